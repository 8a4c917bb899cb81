//! The bins of one feature.

use super::{Of, Series, What, edge_labels};
use crate::profile::{Category, Feature, Number};
use crate::signal::Matrix;

/// Edges are compared side by side, so many at once.
const LANES: usize = 8;
/// All other words of a category.
pub(super) const OTHER: &str = "(other)";

/// How the values of one feature are counted. `first` is the place of its first series.
#[derive(Debug)]
pub(super) enum Binned {
    /// Bins, then missing, invalid, below, above.
    Number {
        first: usize,
        edges: Edges,
        least: f32,
        greatest: f32,
    },
    /// Words and all others, then missing.
    Category { first: usize, words: usize },
}

/// Interior edges, filled up with infinity.
#[derive(Debug)]
pub(super) struct Edges {
    padded: Vec<f32>,
    bins: usize,
}

impl Edges {
    pub(super) fn new(edges: &[f32]) -> Self {
        let mut padded = edges.to_vec();
        padded.resize(edges.len().next_multiple_of(LANES), f32::INFINITY);
        Self {
            padded,
            bins: edges.len() + 1,
        }
    }

    pub(super) const fn bins(&self) -> usize {
        self.bins
    }

    /// The bin of a finite value: the number of edges strictly below it. Without branches, so that the compiler compares
    /// them in vector registers.
    pub(super) fn bin(&self, value: f32) -> usize {
        let mut below = 0;
        for edges in self.padded.chunks_exact(LANES) {
            below += edges.iter().map(|edge| u32::from(*edge < value)).sum::<u32>();
        }
        below as usize
    }
}

/// How a feature is counted from place `first` on, and its series; `None` for one without a value in the reference.
pub(super) fn of_feature(feature: &Feature, first: usize) -> Option<(Binned, Vec<Series>)> {
    match feature {
        Feature::Number(number) => of_number(number, first),
        Feature::Category(category) => Some(of_category(category, first)),
    }
}

fn of_number(number: &Number, first: usize) -> Option<(Binned, Vec<Series>)> {
    let moments = number.moments?;
    let of = Of::Feature(number.name.clone());
    let mut series = Series::bins(&of, edge_labels(&number.edges), &number.counts);
    let all = number.counts.iter().sum::<u64>() + number.missing + number.invalid;
    series.push(Series::rate(&of, What::Missing, number.missing, all));
    series.push(Series::rate(&of, What::Invalid, number.invalid, all));
    series.push(Series::rate(&of, What::Below, 0, all));
    series.push(Series::rate(&of, What::Above, 0, all));
    let binned = Binned::Number {
        first,
        edges: Edges::new(&number.edges),
        least: moments.min,
        greatest: moments.max,
    };
    Some((binned, series))
}

fn of_category(category: &Category, first: usize) -> (Binned, Vec<Series>) {
    let of = Of::Feature(category.name.clone());
    let words = category.categories.iter().cloned().chain([OTHER.to_owned()]);
    let mut series = Series::bins(&of, words, &category.counts);
    let all = category.counts.iter().sum::<u64>() + category.missing;
    series.push(Series::rate(&of, What::Missing, category.missing, all));
    let binned = Binned::Category {
        first,
        words: category.categories.len(),
    };
    (binned, series)
}

impl Binned {
    pub(super) fn count(&self, features: Matrix<'_>, column: usize, rows: &[u32], counts: &mut [u64]) {
        let (values, width) = (features.values(), features.width());
        let value = |row: u32| values[row as usize * width + column];
        match self {
            Self::Number {
                first,
                edges,
                least,
                greatest,
            } => {
                let counts = &mut counts[*first..][..edges.bins() + 4];
                let rest = edges.bins();
                for row in rows {
                    let value = value(*row);
                    if value.is_finite() {
                        counts[edges.bin(value)] += 1;
                        counts[rest + 2] += u64::from(value < *least);
                        counts[rest + 3] += u64::from(value > *greatest);
                    } else {
                        counts[rest + usize::from(!value.is_nan())] += 1;
                    }
                }
            }
            Self::Category { first, words } => {
                let counts = &mut counts[*first..][..words + 2];
                for row in rows {
                    let value = value(*row);
                    let is_word = value >= 0.0 && (value as usize) < *words;
                    let place = match (is_word, value.is_nan()) {
                        (true, _) => value as usize,
                        (false, false) => *words,
                        (false, true) => words + 1,
                    };
                    counts[place] += 1;
                }
            }
        }
    }
}
