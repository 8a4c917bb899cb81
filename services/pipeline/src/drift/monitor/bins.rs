//! The bins of one feature.

use super::sheet::{ReferenceScale, Sheet, edge_labels};
use super::{Of, Tally, What};
use crate::profile::{Category, Feature, Number};
use crate::signal::Matrix;

/// Edges are compared side by side, so many at once.
const LANES: usize = 8;
/// All other words of a category.
pub(super) const OTHER: &str = "(other)";
/// Values count for their sum as no further from the mean than so many standard deviations: one broken value must not
/// drown all others.
const FURTHEST: f64 = 1e6;

/// How the values of one feature are counted. `first` is the place of its first series.
#[derive(Debug)]
pub(super) enum Binned {
    /// Bins, then missing, invalid, below, above.
    Number {
        first: usize,
        edges: Edges,
        least: f32,
        greatest: f32,
        sum: usize,
        /// Ends of what values count as for their sum.
        ends: (f64, f64),
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

impl Binned {
    /// Puts a feature on the sheet; `None` for one without a value in the reference.
    pub(super) fn new(feature: &Feature, of: Of, sheet: &mut Sheet) -> Option<Self> {
        match feature {
            Feature::Number(number) => Self::of_number(number, of, sheet),
            Feature::Category(category) => Some(Self::of_category(category, of, sheet)),
        }
    }

    fn of_number(number: &Number, of: Of, sheet: &mut Sheet) -> Option<Self> {
        let moments = number.moments?;
        let first = sheet.subject(of, true, edge_labels(&number.edges), &number.counts);
        let all = number.counts.iter().sum::<u64>() + number.missing + number.invalid;
        sheet.odd(What::Missing, number.missing, all);
        sheet.odd(What::Invalid, number.invalid, all);
        sheet.odd(What::Below, 0, all);
        sheet.odd(What::Above, 0, all);
        let (mean, std) = (f64::from(moments.mean), f64::from(moments.std));
        let sum = sheet.sum(ReferenceScale {
            bin_means: number.bin_means.iter().map(|mean| f64::from(*mean)).collect(),
            mean,
            std,
        });
        // A constant has no deviation to measure by.
        let furthest = FURTHEST * if std > 0.0 { std } else { mean.abs().max(1.0) };
        Some(Self::Number {
            first,
            edges: Edges::new(&number.edges),
            least: moments.min,
            greatest: moments.max,
            sum,
            ends: (mean - furthest, mean + furthest),
        })
    }

    fn of_category(category: &Category, of: Of, sheet: &mut Sheet) -> Self {
        let words = category.categories.iter().cloned().chain([OTHER.to_owned()]);
        let first = sheet.subject(of, false, words, &category.counts);
        let all = category.counts.iter().sum::<u64>() + category.missing;
        sheet.odd(What::Missing, category.missing, all);
        Self::Category {
            first,
            words: category.categories.len(),
        }
    }

    pub(super) fn count(&self, features: Matrix<'_>, column: usize, rows: &[u32], tally: &mut Tally) {
        let (values, width) = (features.values(), features.width());
        let value = |row: u32| values[row as usize * width + column];
        match self {
            Self::Number {
                first,
                edges,
                least,
                greatest,
                sum,
                ends: (low, high),
            } => {
                let counts = &mut tally.counts[*first..][..edges.bins() + 4];
                let rest = edges.bins();
                let mut total = 0.0;
                for row in rows {
                    let value = value(*row);
                    if value.is_finite() {
                        counts[edges.bin(value)] += 1;
                        counts[rest + 2] += u64::from(value < *least);
                        counts[rest + 3] += u64::from(value > *greatest);
                        total += f64::from(value).clamp(*low, *high);
                    } else {
                        counts[rest + usize::from(!value.is_nan())] += 1;
                    }
                }
                tally.sums[*sum] += total;
            }
            Self::Category { first, words } => {
                let counts = &mut tally.counts[*first..][..words + 2];
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
