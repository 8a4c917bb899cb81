//! What features were like: counts, moments and the bins of `hbos`.

use super::{Category, EqualWidthCounts, Feature, Moments, Note, Number};
use crate::histogram::{EqualWidth, bin, counts, equal_mass_edges};

/// A number with no more different values than these has a bin for each.
const MAX_VALUES: usize = 30;

/// Bins of equal width for `hbos`, beside the one below and the one above.
const HBOS_BINS: usize = 20;

/// The values of one feature, NaN where it is missing: of all rows, and of those that were not held out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Values<'a> {
    pub all: &'a [f32],
    pub fitting: &'a [f32],
}

/// Whether a feature has no value, or only one.
pub(super) fn note(feature: &Feature) -> Option<Note> {
    let Feature::Number(number) = feature else { return None };
    match number.moments {
        None => Some(Note::Empty(number.name.clone())),
        Some(moments) if moments.min == moments.max => Some(Note::Constant(number.name.clone())),
        Some(_) => None,
    }
}

pub(super) fn number(name: &str, values: Values<'_>, bins: usize) -> Number {
    let sorted = sorted(values.all);
    let edges = edges(&sorted, bins);
    Number {
        name: name.to_owned(),
        missing: count(values.all, |x| x.is_nan()),
        invalid: count(values.all, f32::is_infinite),
        counts: counts(&edges, sorted.iter().copied()),
        bin_means: bin_means(&edges, &sorted),
        moments: moments(&sorted),
        hbos: equal_width_counts(values.fitting),
        edges: edges.into_iter().map(|edge| edge as f32).collect(),
    }
}

pub(super) fn category(name: &str, words: &[String], values: Values<'_>) -> Category {
    Category {
        name: name.to_owned(),
        missing: count(values.all, |x| x.is_nan()),
        categories: words.to_vec(),
        counts: code_counts(values.all, words.len()),
        hbos_counts: code_counts(values.fitting, words.len()),
        hbos_missing: count(values.fitting, |x| x.is_nan()),
    }
}

/// Interior edges: one bin for each value where there are few, bins of equal mass otherwise.
pub(super) fn edges(sorted: &[f64], bins: usize) -> Vec<f64> {
    let mut distinct: Vec<f64> = Vec::new();
    for value in sorted {
        if distinct.last() != Some(value) {
            distinct.push(*value);
        }
        if distinct.len() > MAX_VALUES {
            return equal_mass_edges(sorted, bins);
        }
    }
    distinct.pop();
    distinct
}

/// The finite values, in order and in 64 bits.
pub(super) fn sorted(values: &[f32]) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.iter().filter(|x| x.is_finite()).map(|x| f64::from(*x)).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

/// The middle of sorted values, the lower one of two.
pub(super) fn median(sorted: &[f64]) -> Option<f64> {
    sorted.get(sorted.len().saturating_sub(1) / 2).copied()
}

pub(super) fn moments(sorted: &[f64]) -> Option<Moments> {
    let (mean, std) = mean_and_std(sorted);
    Some(Moments {
        min: *sorted.first()? as f32,
        max: *sorted.last()? as f32,
        mean: mean as f32,
        std: std as f32,
        median: median(sorted)? as f32,
    })
}

/// Mean and standard deviation of the population.
pub(super) fn mean_and_std(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
    // A sum of equal numbers may be out by rounding, and a constant would seem to vary.
    match (values.first(), values.last()) {
        (Some(first), Some(last)) if first == last && values.is_sorted() => (*first, 0.0),
        _ => (mean, variance.sqrt()),
    }
}

fn bin_means(edges: &[f64], sorted: &[f64]) -> Vec<f32> {
    let in_bins = sorted.chunk_by(|a, b| bin(edges, *a) == bin(edges, *b));
    in_bins
        .map(|values| (values.iter().sum::<f64>() / values.len() as f64) as f32)
        .collect()
}

fn equal_width_counts(values: &[f32]) -> Option<EqualWidthCounts> {
    let sorted = sorted(values);
    let fitted = EqualWidth::fit(&sorted, HBOS_BINS)?;
    // The ends as they are written: what is counted here is what is looked up later.
    let (low, high) = (fitted.low as f32, fitted.high as f32);
    let written = EqualWidth {
        low: low.into(),
        high: high.into(),
        ..fitted
    };
    Some(EqualWidthCounts {
        low,
        high,
        counts: counts(&written.edges(), sorted),
        missing: count(values, |x| x.is_nan()),
    })
}

/// Rows of each code, and of all others.
fn code_counts(values: &[f32], codes: usize) -> Vec<u64> {
    let mut counts = vec![0; codes + 1];
    for value in values.iter().filter(|value| !value.is_nan()) {
        let is_code = *value >= 0.0 && (*value as usize) < codes;
        counts[if is_code { *value as usize } else { codes }] += 1;
    }
    counts
}

fn count(values: &[f32], holds: impl Fn(f32) -> bool) -> u64 {
    values.iter().filter(|value| holds(**value)).count() as u64
}
