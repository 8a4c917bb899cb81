//! What the core asks of whatever runs a model.

use std::ops::Range;
use std::time::Duration;

use crate::tensor::{Inputs, TensorSpec, View};

/// Why a run failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunFault {
    /// The model refused the input, or failed while computing on it.
    Refused,
    /// The run took longer than its limit and was terminated.
    TimedOut,
    /// The output has not the shape or type that the model promised when it loaded.
    BadOutput,
}

/// A failed run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunError {
    /// What kind of failure.
    pub fault: RunFault,
    /// The runtime's own words, one line.
    pub message: String,
}

/// A model that is ready to run. Each lane owns one per model, so `run` takes `&mut self` and nothing is shared.
///
/// Called from the lane's thread, once a batch; costs what the model costs.
pub trait Scorer: Send {
    /// Runs rows `rows` of `inputs` and hands the outputs, in the model's order, to `read` while they are valid.
    ///
    /// # Errors
    /// [`RunError`]; `read` was then not called.
    fn run(&mut self, inputs: &Inputs, rows: Range<usize>, read: &mut dyn FnMut(&[View<'_>])) -> Result<(), RunError>;

    /// Runs one row that is known to be good. Tells a sick model or device from a guilty row.
    ///
    /// # Errors
    /// [`RunError`] when even this row fails.
    fn probe(&mut self) -> Result<(), RunError>;

    /// Makes the session anew, on the same model. Called after a failed [`Scorer::probe`], before the stream pauses.
    ///
    /// # Errors
    /// [`RunError`] when that is impossible; the default says so.
    fn rebuild(&mut self) -> Result<(), RunError> {
        Err(RunError {
            fault: RunFault::Refused,
            message: "this model cannot be rebuilt while it runs".into(),
        })
    }

    /// Expected time of a run on so many rows, from calibration; zero where it was not calibrated.
    fn expected_time(&self, _rows: usize) -> Duration {
        Duration::ZERO
    }

    /// The inputs, in the model's order.
    fn inputs(&self) -> &[TensorSpec];

    /// The outputs, in the model's order.
    fn outputs(&self) -> &[TensorSpec];

    /// Rows that a batch should have at most; calibrated when the model loaded.
    fn max_rows(&self) -> usize;
}
