//! Heads: how a model's raw outputs become predictions.
//!
//! Owns: one file for each type of head, their settings, and the matching of a head with a model's outputs.
//! Never does: run a model, or judge a prediction; see [`crate::select`].
//!
//! Invariant: a row is read by itself. What a head says about it does not depend on the rows beside it, so a batch may
//! be cut anywhere.

mod classes;
#[cfg(test)]
pub(crate) mod laws;
mod members;
mod numbers;
mod outputs;
mod predictions;
#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::members::{Content, Member};
pub use self::numbers::Scale;
pub(crate) use self::numbers::highest;
use self::outputs::ModelOutputs;
pub use self::predictions::{Block, Predictions, Widths};
use crate::score::RunError;
use crate::settings::Problem;
pub use crate::signal::Signal;
use crate::tensor::{Inputs, TensorSpec, View};

/// Turns a model's raw outputs into predictions and predictions into JSON.
///
/// Compiled once a model version; called from the lane's thread, `read` once a run and `render` once a row. Neither
/// allocates in the steady state. Shared between lanes, so it holds no state.
pub trait Head: Send + Sync + Debug {
    /// Reads what came out for `rows` of the batch into the same rows of `into`, which was reset for the whole batch.
    /// Row 0 of each view is `rows.start`. Rows whose output is not finite stay not valid.
    ///
    /// # Errors
    /// [`crate::score::RunFault::BadOutput`] when an output has not the type or size that the model promised, or
    /// contradicts the settings. The rows' predictions are then not to be used.
    fn read(&self, outputs: &[View<'_>], rows: Range<usize>, into: &mut Predictions) -> Result<(), RunError>;

    /// Compares `rows`, which were just read, with what went into the model. Only a reconstruction has something to
    /// compare.
    ///
    /// # Errors
    /// [`crate::score::RunFault::BadOutput`] when the inputs have nothing that compares with the output.
    fn compare(&self, _inputs: &Inputs, _rows: Range<usize>, _into: &mut Predictions) -> Result<(), RunError> {
        Ok(())
    }

    /// Appends the members of a valid row's prediction, without braces: `"label":"7","confidence":0.98,…`.
    fn render(&self, predictions: &Predictions, row: usize, json: &mut Vec<u8>);

    /// What [`Self::render`] writes: these members and no others.
    fn members(&self) -> Vec<Member>;

    /// Names of the classes or labels, in the order of the probabilities; empty for heads that have none.
    fn classes(&self) -> &[String] {
        &[]
    }

    /// Probability from which on each label is set, from a head that sets any number of them; empty for others.
    fn thresholds(&self) -> &[f32] {
        &[]
    }

    /// What every valid row holds, for [signals](crate::signal) to be measured from.
    fn holds(&self) -> Holds;

    /// The signals that the head gives itself, on every valid row.
    fn signals(&self) -> &'static [Signal] {
        match self.holds().values {
            Values::Classes(_) | Values::Labels(_) => &[Signal::Confidence],
            Values::Score | Values::Reconstruction => &[Signal::Anomaly],
            Values::Targets | Values::Vector => &[],
        }
    }
}

/// What the valid rows of a head's predictions hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Holds {
    /// What the values are.
    pub values: Values,
    /// Whether they are probabilities that came from logits, which stand beside them.
    pub logits: bool,
    /// Probability from which on the second of two classes is decided for, where the head has such a threshold.
    pub threshold: Option<f32>,
    /// Whether each value has a standard deviation.
    pub spread: bool,
    /// Whether each value has a lower and an upper bound.
    pub interval: bool,
}

/// What the values of a row are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// Probabilities of so many classes, one of which holds.
    Classes(usize),
    /// Probabilities of so many labels, any of which may hold.
    Labels(usize),
    /// The targets of a regression.
    Targets,
    /// An embedding.
    Vector,
    /// One anomaly score.
    Score,
    /// The model's input again.
    Reconstruction,
}

impl Holds {
    /// Values and nothing beside them.
    pub const fn only(values: Values) -> Self {
        Self {
            values,
            logits: false,
            threshold: None,
            spread: false,
            interval: false,
        }
    }

    /// The same with logits, where the head reads those.
    fn with_logits(self, from: Scale) -> Self {
        Self {
            logits: from == Scale::Logits,
            ..self
        }
    }
}

/// The settings of one type of head: what a file in this folder provides.
trait HeadType {
    /// Matches the settings with a model.
    fn compile(&self, model: &ModelOutputs<'_>) -> Result<Box<dyn Head>, Vec<Problem>>;

    /// What heads of this type write, whatever their settings and models.
    fn members() -> Vec<Member>
    where
        Self: Sized;

    /// Heads of this type, each with a model that it fits, for the laws that all heads keep.
    #[cfg(test)]
    fn specimens() -> Vec<laws::Specimen>
    where
        Self: Sized;
}

macro_rules! heads {
    ($($(#[$doc:meta])* $variant:ident = $word:literal: $settings:ty,)+) => {
        /// The key `head` of a model: how its outputs become predictions.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "type")]
        pub enum HeadSettings {
            $($(#[$doc])* #[serde(rename = $word)] $variant($settings),)+
        }

        impl HeadSettings {
            /// The words for the type, in the order of the reference.
            pub const TYPES: &'static [&'static str] = &[$($word,)+];

            /// The word for the type.
            pub const fn type_name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $word,)+ }
            }

            /// What heads of each type write, whatever their settings and models, in the order of the reference.
            pub fn members() -> Vec<(&'static str, Vec<Member>)> {
                vec![$(($word, <$settings as HeadType>::members()),)+]
            }

            fn as_type(&self) -> &dyn HeadType {
                match self { $(Self::$variant(settings) => settings,)+ }
            }

            #[cfg(test)]
            fn specimens() -> Vec<laws::Specimen> {
                [$(<$settings as HeadType>::specimens(),)+].concat()
            }
        }
    };
}

// A new type of head is one file and, here, one `mod`, one `pub use` and one row.
mod anomaly;
mod binary;
mod classification;
mod embedding;
mod multi_label;
mod reconstruction;
mod regression;
mod sklearn;

pub use self::anomaly::{AnomalySettings, Higher};
pub use self::binary::BinarySettings;
pub use self::classification::ClassificationSettings;
pub use self::embedding::EmbeddingSettings;
pub use self::multi_label::{MultiLabelSettings, Threshold};
pub use self::reconstruction::ReconstructionSettings;
pub use self::regression::RegressionSettings;
pub use self::sklearn::SklearnSettings;

heads! {
    /// One class out of several, from logits or probabilities.
    Classification = "classification": ClassificationSettings,
    /// One of two classes, from one number or two.
    Binary = "binary": BinarySettings,
    /// scikit-learn's classifiers as they are exported by default.
    Sklearn = "sklearn": SklearnSettings,
    /// Any number of labels at once.
    MultiLabel = "multi-label": MultiLabelSettings,
    /// Numbers: one target or several.
    Regression = "regression": RegressionSettings,
    /// A vector that stands for the event.
    Embedding = "embedding": EmbeddingSettings,
    /// How unusual an event is.
    Anomaly = "anomaly": AnomalySettings,
    /// The model's input again, as an autoencoder gives it.
    Reconstruction = "reconstruction": ReconstructionSettings,
}

/// Matches a head's settings with the outputs of a model. `class_names` are those that the model carries.
///
/// # Errors
/// Everything that is wrong, at keys that begin with `head`: the caller puts the model's key in front.
pub fn compile(
    settings: &HeadSettings,
    outputs: &[TensorSpec],
    class_names: Option<&[String]>,
) -> Result<Box<dyn Head>, Vec<Problem>> {
    settings.as_type().compile(&ModelOutputs {
        specs: outputs,
        class_names,
    })
}
