//! The reference profile: what a model's inputs and outputs were like on data that are known to be good.
//!
//! Owns: the document, its building, and what is read out of it: measures of signals, conformal thresholds.
//! Never does: change. Another model version, or newer data, have another profile with another id.
//!
//! Invariant: no row serves two masters. What signals compare with is fitted on two thirds of the rows; thresholds,
//! histograms of signals, the calibrators and the calibration error come from the third that was held out.

mod accept;
mod builder;
mod embedding;
mod features;
mod fit;
mod packed;
mod segments;
mod serve;
mod sound;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::builder::{About, Plan, ProfileBuilder};
pub use self::embedding::{Embedding, Threshold};
pub use self::packed::{Floats, Halves};
pub use self::segments::{Counts, Segment, Segments};
use crate::signal::{Scale, Signal};

/// Fewer rows than these make no profile.
pub const LEAST_ROWS: u64 = 1_000;

/// Fewer rows than these make one with a note: the noise of drift statistics is (bins − 1)/rows.
pub const ENOUGH_ROWS: u64 = 10_000;

/// Why there is no profile, or nothing in it for what is asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// Too little data.
    #[error("a profile needs {LEAST_ROWS} rows, and {rows} were usable; give more data")]
    TooFewRows {
        /// Rows that the model could score.
        rows: u64,
    },
    /// A row is not like the others.
    #[error(
        "row {row} has {got} {what}, and {expected} are expected; give all rows of one model and one set of fields"
    )]
    Width {
        /// Its number, from 0.
        row: u64,
        /// What differs.
        what: &'static str,
        /// How many it has.
        got: usize,
        /// How many there should be.
        expected: usize,
    },
    /// The label of a row is no class.
    #[error(
        "row {row} has the label {label}, and the model has {classes} classes, counted from 0; map the labels to them"
    )]
    Label {
        /// The row's number, from 0.
        row: u64,
        /// Its label.
        label: usize,
        /// Classes.
        classes: usize,
    },
    /// The document is no profile.
    #[error("this is no profile: {0}; build it anew")]
    NotJson(String),
    /// The document comes from another release.
    #[error("the profile {0}; or build it anew")]
    Format(String),
    /// The document contradicts itself.
    #[error("the profile is damaged: {0}; build it anew")]
    Damaged(String),
    /// The feature is not there, or of another kind by now.
    #[error(
        "feature `{0}` is not in both profiles, or is a number in one and a word in the other; build the profile anew"
    )]
    NoFeature(String),
    /// The feature has no value to be a normal.
    #[error("feature `{0}` has no value in the span; name one in which it is as it should be, as --since and --until")]
    NoValue(String),
    /// Segments of the profile that the newer events have too few rows of.
    #[error(
        "the span has too few events of the segments {0} that the profile knows; widen it, or build the profile anew"
    )]
    SmallSegments(String),
    /// The signal was not there when the profile was built.
    #[error("the profile has no scores of {0}: the model could not serve it when the profile was built; build it anew")]
    NoSignal(Signal),
    /// The rate has no threshold.
    #[error(transparent)]
    Conformal(#[from] crate::conformal::Error),
}

/// The reference profile of one model version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Of this document: [`crate::format::PROFILE`].
    pub format: u32,
    /// The model's name.
    pub model: String,
    /// The model's version.
    pub version: String,
    /// When it was built, RFC 3339.
    pub created: String,
    /// What it was built from.
    pub source: Source,
    /// Rows that the model could score.
    pub rows: u64,
    /// Rows that the numbers rest on: all of them, or a random sample.
    pub sampled: u64,
    /// What to know about it.
    pub notes: Vec<Note>,
    /// The features, in the order in which they were given. Empty when there are too many.
    pub features: Vec<Feature>,
    /// What distances between events are measured with, where there are numbers that vary.
    pub distances: Option<Distances>,
    /// What the model said.
    pub outputs: Outputs,
    /// Scores of the rows that were held out, of each signal that is a utility.
    pub conformal: BTreeMap<Signal, Tail>,
    /// The same counts of the rows of each word of a category, where one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segments: Option<Segments>,
}

/// What a profile was built from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A data set, such as the training data.
    Data,
    /// A healthy span of the stream itself: it shows change since then, not what differs from training.
    Recorded,
}

/// Something to know about a profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// Fewer rows than [`ENOUGH_ROWS`].
    #[error(
        "it rests on {0} rows; from {ENOUGH_ROWS} on, drift statistics have little noise and low rates can be certified"
    )]
    FewRows(u64),
    /// A random sample was kept.
    #[error("it rests on a random sample of {0} rows")]
    Sampled(u64),
    /// Rows that the model could not score.
    #[error("{0} rows were left out: the model's output for them is not a number")]
    Unusable(u64),
    /// Too many features for statistics.
    #[error("the {0} features are too many for statistics of each; only outputs are profiled")]
    TooManyFeatures(usize),
    /// Too many features for the Mahalanobis distance.
    #[error("the {0} features that vary are too many for a Mahalanobis distance")]
    NoMahalanobis(usize),
    /// A feature without any value.
    #[error("feature `{0}` has no value in any row")]
    Empty(String),
    /// A feature with one value.
    #[error("feature `{0}` has the same value in every row")]
    Constant(String),
    /// A word of the segments' field with too few rows.
    #[error("segment `{0}` has too few rows and is not watched apart")]
    SmallSegment(String),
    /// A feature that was measured anew.
    #[error("feature `{feature}` is as it was from {since} to {until}, over {rows} events")]
    Accepted {
        /// Its name.
        feature: String,
        /// From when on, RFC 3339.
        since: String,
        /// Until when, RFC 3339.
        until: String,
        /// Events that it rests on.
        rows: u64,
    },
    /// Embeddings that are all the same.
    #[error("the embeddings do not vary, so they are not watched")]
    NoEmbedding,
    /// The labels ask for no temperature.
    #[error(
        "the labels give no temperature: the model decides as they say, or its logits do not help; were they its training data?"
    )]
    NoTemperature,
    /// Too many classes for calibrators.
    #[error("the {0} classes are too many for a calibrator of each")]
    NoCalibrators(usize),
}

/// One feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Feature {
    /// A number.
    Number(Number),
    /// A word out of a list.
    Category(Category),
}

/// What a number was like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Number {
    /// Its name.
    pub name: String,
    /// Rows without it.
    pub missing: u64,
    /// Rows where it is infinite.
    pub invalid: u64,
    /// Interior edges of the bins, which are closed above; see [`crate::histogram`].
    pub edges: Vec<f32>,
    /// Values in each bin: one more than edges.
    pub counts: Vec<u64>,
    /// Mean of the values in each bin; empty without a value.
    pub bin_means: Vec<f32>,
    /// Moments; none without a value.
    pub moments: Option<Moments>,
    /// Bins of equal width over the rows that were not held out, for the signal `hbos`; none without a value.
    pub hbos: Option<EqualWidthCounts>,
}

/// Moments and extremes of a number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moments {
    /// Least value.
    pub min: f32,
    /// Greatest value.
    pub max: f32,
    /// Mean.
    pub mean: f32,
    /// Standard deviation of the population.
    pub std: f32,
    /// Median, the lower one of two.
    pub median: f32,
}

/// Counts in bins of equal width.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EqualWidthCounts {
    /// Lower end.
    pub low: f32,
    /// Upper end.
    pub high: f32,
    /// Values up to the lower end, in each bin, and above the upper end.
    pub counts: Vec<u64>,
    /// Rows without a value.
    pub missing: u64,
}

/// What a category was like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Category {
    /// Its name.
    pub name: String,
    /// Rows without it.
    pub missing: u64,
    /// Its words. A feature's value is a word's position in this list.
    pub categories: Vec<String>,
    /// Rows of each word, and last those of all others.
    pub counts: Vec<u64>,
    /// The same over the rows that were not held out, for the signal `hbos`.
    pub hbos_counts: Vec<u64>,
    /// Rows without it that were not held out.
    pub hbos_missing: u64,
}

/// What distances between events are measured with: fitted to the rows that were not held out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distances {
    /// The numbers that vary, by name.
    pub columns: Vec<String>,
    /// Mean of each.
    pub mean: Floats,
    /// Standard deviation of each; positive.
    pub std: Floats,
    /// Median of each, which stands for a missing value.
    pub median: Floats,
    /// Lower-triangular W with WᵀW = Σ⁻¹ for the shrunk covariance, packed row after row; none for too many columns.
    pub whitener: Option<Floats>,
    /// How far the covariance was shrunk (Ledoit & Wolf), from 0 to 1.
    pub shrinkage: f32,
    /// Points that stand for the rows, standardised, row after row.
    pub coreset: Halves,
    /// Seed of the [projections](crate::simhash::SimHash), in hexadecimal.
    pub simhash_seed: String,
}

/// What a model said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outputs {
    /// Names of the classes or labels; empty for other heads.
    pub classes: Vec<String>,
    /// Rows for which each class was decided; empty for heads that decide for none.
    pub class_counts: Vec<u64>,
    /// The targets of a regression; empty for other heads.
    pub targets: Vec<Number>,
    /// What each target compares with, from the rows that were not held out; empty for other heads.
    pub scales: Vec<Scale>,
    /// Histograms of the signals of the rows that were held out.
    pub signals: BTreeMap<Signal, Histogram>,
    /// What embeddings were like; none for other heads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<Embedding>,
    /// Divides logits before softmax; 1 without labels. From the rows that were not held out.
    pub temperature: f32,
    /// How often each class is right by its probability, from the rows that were held out; only the second of two.
    pub calibrators: Vec<Calibrator>,
    /// How good the model was on the rows that were held out; none without labels.
    pub quality: Option<Quality>,
}

/// Counts of a signal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Histogram {
    /// Interior edges of the bins, which are closed above.
    pub edges: Vec<f32>,
    /// Values in each bin: one more than edges.
    pub counts: Vec<u64>,
    /// Mean of the values; none without a value, and in profiles of earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<f32>,
}

/// How often a class is right by its probability; see [`crate::calibration::Isotonic`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibrator {
    /// Position of the class.
    pub class: usize,
    /// Probabilities, rising.
    pub x: Vec<f32>,
    /// How often the class was right, rising.
    pub y: Vec<f32>,
}

/// How good a model was, by labels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quality {
    /// Rows with a label.
    pub rows: u64,
    /// Share of them that were right.
    pub accuracy: f32,
    /// Expected calibration error; see [`crate::calibration::Reliability`].
    pub ece: f32,
    /// What a calibrated model would show on so few rows.
    pub ece_noise: f32,
    /// The same with its sign: positive for a model that is too sure.
    pub over_confidence: f32,
    /// Mean Brier score.
    pub brier: f32,
    /// Mean log loss.
    pub log_loss: f32,
}

/// The highest scores of the rows that were held out; see [`crate::conformal::Conformal`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tail {
    /// Rows with a score.
    pub rows: usize,
    /// The highest scores, rising.
    pub highest: Floats,
}
