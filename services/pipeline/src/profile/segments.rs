//! The counts of a profile once more for each word of a category, in the same bins.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Category, Feature, Histogram, Moments, Number, Outputs, Profile};
use crate::histogram::{bin, counts};
use crate::signal::Signal;

/// Parts of the rows, by the word of a category.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segments {
    /// The category.
    pub field: String,
    /// Its words that have enough rows.
    pub words: BTreeMap<String, Segment>,
}

/// What the rows of one word are like.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    /// Rows.
    pub rows: u64,
    /// Of each feature of the profile.
    pub features: Vec<Counts>,
    /// Of each target.
    pub targets: Vec<Counts>,
    /// Rows for which each class was decided.
    pub class_counts: Vec<u64>,
    /// Histograms of signals, of the rows that were held out.
    pub signals: BTreeMap<Signal, Histogram>,
}

/// Values in the bins of a feature.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Values in each bin.
    pub counts: Vec<u64>,
    /// Rows without it.
    pub missing: u64,
    /// Rows where it is infinite; 0 for a category.
    pub invalid: u64,
    /// Mean of the values; none without one, and for a category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<f32>,
}

impl Segments {
    pub(super) fn new(field: &str) -> Self {
        Self {
            field: field.to_owned(),
            words: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, word: &str, rows: u64) -> &mut Segment {
        let segment = self.words.entry(word.to_owned()).or_default();
        segment.rows = rows;
        segment
    }

    /// What contradicts the profile that it is of.
    pub(super) fn check(&self, profile: &Profile) -> Result<(), String> {
        for (word, segment) in &self.words {
            let fits = |counts: &[Counts], bins: &[usize]| {
                counts.len() == bins.len()
                    && counts
                        .iter()
                        .zip(bins)
                        .all(|(counts, bins)| counts.counts.len() == *bins)
            };
            let features: Vec<usize> = profile
                .features
                .iter()
                .map(|feature| feature_counts(feature).len())
                .collect();
            let targets: Vec<usize> = profile
                .outputs
                .targets
                .iter()
                .map(|target| target.counts.len())
                .collect();
            let signals = segment.signals.iter().all(|(signal, histogram)| {
                let whole = profile.outputs.signals.get(signal);
                whole.is_some_and(|whole| whole.edges == histogram.edges)
                    && histogram.counts.len() == histogram.edges.len() + 1
            });
            let classes = segment.class_counts.len() == profile.outputs.class_counts.len();
            if !(fits(&segment.features, &features) && fits(&segment.targets, &targets) && signals && classes) {
                return Err(format!("segment `{word}` has other bins than the whole"));
            }
        }
        Ok(())
    }
}

impl Counts {
    pub(super) fn of_feature(feature: &Feature, values: impl Iterator<Item = f32>) -> Self {
        match feature {
            Feature::Number(number) => Self::of_number(number, values),
            Feature::Category(category) => {
                let last = category.categories.len();
                let mut counted = Self {
                    counts: vec![0; last + 1],
                    ..Self::default()
                };
                for value in values {
                    let is_word = value >= 0.0 && (value as usize) < last;
                    match value.is_nan() {
                        true => counted.missing += 1,
                        false => counted.counts[if is_word { value as usize } else { last }] += 1,
                    }
                }
                counted
            }
        }
    }

    pub(super) fn of_number(number: &Number, values: impl Iterator<Item = f32>) -> Self {
        let edges: Vec<f64> = number.edges.iter().map(|edge| f64::from(*edge)).collect();
        let mut counted = Self {
            counts: vec![0; edges.len() + 1],
            ..Self::default()
        };
        let (mut sum, mut count) = (0.0, 0.0);
        for value in values {
            match (value.is_nan(), value.is_finite()) {
                (true, _) => counted.missing += 1,
                (_, false) => counted.invalid += 1,
                _ => {
                    counted.counts[bin(&edges, f64::from(value))] += 1;
                    (sum, count) = (sum + f64::from(value), count + 1.0);
                }
            }
        }
        counted.mean = (count > 0.0).then(|| (sum / count) as f32);
        counted
    }
}

impl Histogram {
    /// Other scores in the same bins; NaN stands for none.
    pub(super) fn of(&self, scores: impl Iterator<Item = f32>) -> Self {
        let scores: Vec<f64> = scores.filter(|score| !score.is_nan()).map(f64::from).collect();
        let edges: Vec<f64> = self.edges.iter().map(|edge| f64::from(*edge)).collect();
        let mean = scores.iter().sum::<f64>() / scores.len() as f64;
        Self {
            edges: self.edges.clone(),
            counts: counts(&edges, scores),
            mean: mean.is_finite().then_some(mean as f32),
        }
    }
}

fn feature_counts(feature: &Feature) -> &[u64] {
    match feature {
        Feature::Number(number) => &number.counts,
        Feature::Category(category) => &category.counts,
    }
}

impl Profile {
    /// The features and outputs of the rows of one word of `field`: those of the profile, with the counts of these rows.
    pub fn segment(&self, field: &str, word: &str) -> Option<(Vec<Feature>, Outputs)> {
        let segments = self.segments.as_ref().filter(|segments| segments.field == field)?;
        let segment = segments.words.get(word)?;
        let features = self.features.iter().zip(&segment.features);
        let features = features.map(|(feature, counted)| match feature {
            Feature::Number(number) => Feature::Number(with(number, counted)),
            Feature::Category(category) => Feature::Category(Category {
                counts: counted.counts.clone(),
                missing: counted.missing,
                ..category.clone()
            }),
        });
        let targets = self.outputs.targets.iter().zip(&segment.targets);
        let outputs = Outputs {
            class_counts: segment.class_counts.clone(),
            targets: targets.map(|(target, counted)| with(target, counted)).collect(),
            signals: segment.signals.clone(),
            embedding: None,
            ..self.outputs.clone()
        };
        Some((features.collect(), outputs))
    }
}

fn with(number: &Number, counted: &Counts) -> Number {
    Number {
        counts: counted.counts.clone(),
        missing: counted.missing,
        invalid: counted.invalid,
        moments: number.moments.map(|moments| Moments {
            mean: counted.mean.unwrap_or(moments.mean),
            ..moments
        }),
        // Those of the whole are not its own.
        bin_means: Vec::new(),
        ..number.clone()
    }
}
