//! Signals: numbers that say how much an event is worth a label.
//!
//! Owns: the closed set of signals, one file each with its formula, and the measuring of a batch.
//! Never does: judge a number; see [`crate::select`]. Nor does it learn: what a signal compares with was fitted before and
//! stays as it is, because a reference that moves with the stream lets anomalies hide.
//!
//! Invariant: a number that is measured is finite, higher where a label is worth more (but for `confidence`), and depends
//! on its own row only. A row that has none gets NaN, which is never a utility.

mod committee;
#[cfg(test)]
mod laws;
mod matrix;
mod tempered;

use std::fmt::{self, Debug};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::matrix::Matrix;
use crate::head::{Holds, Predictions};

/// Measures one signal of one model. Made once a model version by [`measures`]; shared between lanes, so it holds no
/// state.
///
/// `measure` is called from the lane's thread once a batch; `measure_row` for selected events, where a signal that
/// [costs much](Signal::is_costly) decides nothing and is only shown. Neither allocates.
pub trait Measure: Send + Sync + Debug {
    /// Which signal.
    fn signal(&self) -> Signal;

    /// The signal of one row; NaN when the row is not valid or lacks what the signal needs.
    ///
    /// # Panics
    /// When the row is not in the batch, or the features are not those that the measure was made for.
    fn measure_row(&self, evidence: &Evidence<'_>, row: usize) -> f32;

    /// The signal of every row of the batch, as [`Self::measure_row`] gives it.
    ///
    /// # Panics
    /// As [`Self::measure_row`], and when `out` has not one place for each row.
    fn measure(&self, evidence: &Evidence<'_>, out: &mut [f32]) {
        assert_eq!(out.len(), evidence.predictions.rows(), "one place for each row");
        for (row, out) in out.iter_mut().enumerate() {
            *out = self.measure_row(evidence, row);
        }
    }

    /// Hands over each feature's part in the score of a row, where the score is a sum or a maximum of parts: the position
    /// of the feature and a number that is higher for a larger part.
    fn parts(&self, _features: &[f32], _each: &mut dyn FnMut(usize, f32)) {}
}

/// What one batch offers to the measures of one model. Rows are those of the batch.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// What the model said.
    pub predictions: &'a Predictions,
    /// What the other models of its committee said, in the order of [`Subject::peers`]. May be empty.
    pub peers: &'a [&'a Predictions],
    /// The features, in the order that the measures were made for; NaN where one is missing.
    pub features: Matrix<'a>,
}

/// What measures are made from: what a model's predictions hold, and what is known of its reference data.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// What the model's predictions hold.
    pub holds: Holds,
    /// The same of the models that it is compared with. Those with classes must have the same classes in the same order.
    pub peers: &'a [Holds],
    /// Divides logits before softmax; 1 leaves them. Positive.
    pub temperature: f32,
    /// What the model's numbers are like on reference data.
    pub scales: &'a [Scale],
    /// Fitted to the features of reference data.
    pub reference: Option<&'a Reference>,
}

impl Subject<'_> {
    /// A model of which nothing but its predictions is known.
    pub const fn bare(holds: Holds) -> Self {
        Self {
            holds,
            peers: &[],
            temperature: 1.0,
            scales: &[],
            reference: None,
        }
    }
}

/// What one value of a regression is like on reference data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// Standard deviation of the value.
    pub std: f32,
    /// Median width of its interval; 0 where it has none.
    pub width: f32,
}

/// What the features of reference data are like, for the signals that compare with them. Columns are those of
/// [`Evidence::features`].
#[derive(Debug, Clone, Default)]
pub struct Reference {
    /// Number of features.
    pub width: usize,
    /// For `hbos`.
    pub hbos: Option<Hbos>,
    /// For `mahalanobis`.
    pub mahalanobis: Option<Mahalanobis>,
    /// For `knn`.
    pub knn: Option<Knn>,
    /// For `z_max`.
    pub z_max: Option<ZMax>,
}

/// The numbers that a signal may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// Between 0 and 1: it can be spent from a budget as it is.
    Unit,
    /// Any number: it needs a threshold, conformal or fixed.
    Open,
}

/// What the file of one signal provides.
struct Kind {
    /// The signal with its article, for messages: "no head gives an anomaly score".
    words: &'static str,
    range: Range,
    /// Whether it costs microseconds an event, so that it is measured on as few as will do.
    is_costly: bool,
    /// Whether it looks at the features of an event, and not only at what the models say.
    reads_features: bool,
    /// The measure for a model, if the model can serve the signal.
    make: fn(&Subject<'_>) -> Option<Box<dyn Measure>>,
    /// What the laws measure.
    #[cfg(test)]
    specimens: fn() -> Vec<laws::Specimen>,
}

macro_rules! signals {
    ($($(#[$doc:meta])* $variant:ident = $word:literal: $module:ident,)+) => {
        /// A number that says how much an event is worth a label, by the word that outputs, labels and settings use.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum Signal {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)+
        }

        impl Signal {
            /// All signals, in index order.
            pub const ALL: [Self; [$($word,)+].len()] = [$(Self::$variant,)+];

            /// The word used in outputs, labels and settings.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            const fn kind(self) -> &'static Kind {
                match self { $(Self::$variant => &$module::KIND,)+ }
            }
        }
    };
}

// A new signal is one file and, here, one `mod` and one row.
mod anomaly;
mod bald;
mod confidence;
mod delta;
mod energy;
mod entropy;
mod r#gen;
mod hbos;
mod interval;
mod js;
mod knn;
mod label_entropy;
mod least_confidence;
mod mahalanobis;
mod margin;
mod max_logit;
mod reconstruction;
mod spread;
mod vote_entropy;
mod z_max;

pub use self::hbos::{Column, Hbos};
pub(crate) use self::knn::MAX_FEATURES as KNN_FEATURES;
pub(crate) use self::knn::squared_distance;
pub use self::knn::{Knn, MAX_NEIGHBOUR, Standard};
pub(crate) use self::mahalanobis::MAX_FEATURES as MAHALANOBIS_FEATURES;
pub use self::mahalanobis::{Centre, Mahalanobis};
pub use self::margin::margin_at;
pub use self::z_max::ZMax;

signals! {
    /// The head's own confidence: reported as it is, low where a label is worth more.
    Confidence = "confidence": confidence,
    /// The score of a head of type `anomaly`.
    Anomaly = "anomaly": anomaly,
    /// What the most probable class lacks to certainty.
    LeastConfidence = "least_confidence": least_confidence,
    /// How close the two most probable classes are, or how close a binary head is to its threshold.
    Margin = "margin": margin,
    /// Entropy of the class probabilities.
    Entropy = "entropy": entropy,
    /// Free energy of the logits.
    Energy = "energy": energy,
    /// The highest logit, turned round.
    MaxLogit = "max_logit": max_logit,
    /// Generalised entropy, which weighs small probabilities more.
    Gen = "gen": r#gen,
    /// Surprise of each feature by itself.
    Hbos = "hbos": hbos,
    /// Distance from the centre of the features, given how they vary together.
    Mahalanobis = "mahalanobis": mahalanobis,
    /// Distance from the nearest events of the reference.
    Knn = "knn": knn,
    /// Deviation of the most unusual feature.
    ZMax = "z_max": z_max,
    /// The error of a head of type `reconstruction`.
    Reconstruction = "reconstruction": reconstruction,
    /// Width of a regression's interval.
    Interval = "interval": interval,
    /// Standard deviation that a regression gives itself.
    Spread = "spread": spread,
    /// How evenly the models of a committee vote.
    VoteEntropy = "vote_entropy": vote_entropy,
    /// What the models of a committee would learn from each other.
    Bald = "bald": bald,
    /// Largest divergence from another model.
    Js = "js": js,
    /// Largest difference from another model's value.
    Delta = "delta": delta,
    /// Entropy of the least certain label.
    LabelEntropy = "label_entropy": label_entropy,
}

impl Signal {
    /// The numbers that it may be.
    pub const fn range(self) -> Range {
        self.kind().range
    }

    /// Whether it costs microseconds an event: where it is only shown, it is measured on selected events alone.
    pub const fn is_costly(self) -> bool {
        self.kind().is_costly
    }

    /// Whether it looks at the features of an event, and not only at what the models say.
    pub const fn reads_features(self) -> bool {
        self.kind().reads_features
    }

    /// Whether a higher number means that a label is worth more. Only such a signal may be spent from a budget.
    pub const fn is_utility(self) -> bool {
        !matches!(self, Self::Confidence)
    }

    /// The measure for a model, if the model can serve the signal.
    pub fn measure(self, subject: &Subject<'_>) -> Option<Box<dyn Measure>> {
        (self.kind().make)(subject)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind().words)
    }
}

/// The measures of every signal that a model can serve, in the order of [`Signal::ALL`].
pub fn measures(subject: &Subject<'_>) -> Vec<Box<dyn Measure>> {
    Signal::ALL
        .into_iter()
        .filter_map(|signal| signal.measure(subject))
        .collect()
}

/// Rows that are measured side by side, so that the compiler adds them up in vector registers.
const LANES: usize = 16;

/// Measures a batch in blocks: `scores` gives those of the rows from the given one on, as far as there are rows.
fn in_blocks(evidence: &Evidence<'_>, out: &mut [f32], scores: impl Fn(usize) -> [f32; LANES]) {
    assert_eq!(out.len(), evidence.predictions.rows(), "one place for each row");
    for (block, out) in out.chunks_mut(LANES).enumerate() {
        let first = block * LANES;
        let scores = scores(first);
        for (lane, out) in out.iter_mut().enumerate() {
            let is_valid = evidence.predictions.is_valid(first + lane);
            *out = if is_valid { scores[lane] } else { f32::NAN };
        }
    }
}

/// A width as it compares with the usual one. Where nothing is usual, any width is infinitely more.
fn relative(width: f32, usual: f32) -> f32 {
    if width == 0.0 { 0.0 } else { width / usual }
}

/// Takes a width from 0 to infinity to a number from 0 to 1: as wide as usual is a half.
fn squashed(width: f32) -> f32 {
    if width.is_infinite() {
        1.0
    } else {
        width / (1.0 + width)
    }
}
