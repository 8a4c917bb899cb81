//! Heads: how a model's raw outputs become predictions.
//!
//! Owns: one file for each type of head, their settings, and the matching of a head with a model's outputs.
//! Never does: run a model, or judge a prediction; see [`crate::select`].
//!
//! Invariant: a row is read by itself. What a head says about it does not depend on the rows beside it, so a batch may
//! be cut anywhere.

mod predictions;

use std::fmt::Debug;
use std::ops::Range;

pub use self::predictions::{Block, Predictions, Signal, Widths};
use crate::score::RunError;
use crate::tensor::View;

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

    /// Appends the members of a valid row's prediction, without braces: `"label":"7","confidence":0.98,…`.
    fn render(&self, predictions: &Predictions, row: usize, json: &mut Vec<u8>);

    /// Names of the classes or labels, in the order of the probabilities; empty for heads that have none.
    fn classes(&self) -> &[String] {
        &[]
    }

    /// The signals that every valid row has.
    fn signals(&self) -> &'static [Signal];
}
