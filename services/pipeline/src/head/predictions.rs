//! What the heads fill in: one batch's predictions of one model, in columns that are reused from batch to batch.

use std::ops::Range;

use super::numbers::Scale;
use crate::score::{RunError, RunFault};
use crate::signal::{Matrix, Signal};

/// Stands for "no class".
const NO_CLASS: u32 = u32::MAX;

/// One batch's predictions of one model. Rows are those of the batch.
///
/// A row that was not read since [`Predictions::reset`], or whose output is not finite, is not valid and has none of
/// the rest: no class, no confidence, no score, and zeros for values.
#[derive(Debug, Clone, Default)]
pub struct Predictions {
    rows: usize,
    widths: Widths,
    has_read: bool,
    valid: Vec<bool>,
    class: Vec<u32>,
    confidence: Vec<f32>,
    anomaly: Vec<f32>,
    values: Vec<f32>,
    logits: Vec<f32>,
    spread: Vec<f32>,
    interval: Vec<f32>,
}

impl Predictions {
    /// Predictions without rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes room for a batch of `rows` and forgets the one before. Allocates only when a batch is the largest so far.
    pub fn reset(&mut self, rows: usize) {
        self.rows = rows;
        self.has_read = false;
        refill(&mut self.valid, rows, false);
        refill(&mut self.class, rows, NO_CLASS);
        refill(&mut self.confidence, rows, f32::NAN);
        refill(&mut self.anomaly, rows, f32::NAN);
        self.refill_rows();
    }

    fn refill_rows(&mut self) {
        refill(&mut self.values, self.rows * self.widths.values, 0.0);
        refill(&mut self.logits, self.rows * self.widths.logits, 0.0);
        refill(&mut self.spread, self.rows * self.widths.spread, 0.0);
        refill(&mut self.interval, self.rows * self.widths.interval, 0.0);
    }

    /// Rows of the batch.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Whether the row was read and every number that the head read for it is finite.
    pub fn is_valid(&self, row: usize) -> bool {
        self.valid[row]
    }

    /// Position of the predicted class, from heads that decide for one.
    pub fn class(&self, row: usize) -> Option<usize> {
        let class = self.class[row];
        (class != NO_CLASS).then_some(class as usize)
    }

    /// Between 0 and 1, from heads that have a confidence.
    pub fn confidence(&self, row: usize) -> Option<f32> {
        some_number(self.confidence[row])
    }

    /// Higher is more anomalous; from heads that have an anomaly score or a reconstruction error.
    pub fn anomaly(&self, row: usize) -> Option<f32> {
        some_number(self.anomaly[row])
    }

    /// Notes how anomalous a row is that a head has compared with its input.
    pub(super) fn set_anomaly(&mut self, row: usize, score: f32) {
        self.anomaly[row] = score;
    }

    /// Decides a valid row of two classes anew: for the second one where its probability reaches `threshold`.
    pub fn decide_at(&mut self, row: usize, threshold: f32) {
        if let (true, [first, second]) = (self.valid[row], self.values(row)) {
            let (class, confidence) = if *second >= threshold {
                (1, *second)
            } else {
                (0, *first)
            };
            self.class[row] = class;
            self.confidence[row] = confidence;
        }
    }

    /// One of the signals that heads give themselves; the others are [measured](crate::signal).
    pub fn signal(&self, signal: Signal, row: usize) -> Option<f32> {
        match signal {
            Signal::Confidence => self.confidence(row),
            Signal::Anomaly => self.anomaly(row),
            _ => None,
        }
    }

    /// The values of all rows.
    pub fn matrix(&self) -> Matrix<'_> {
        Matrix::new(&self.values, self.rows, self.widths.values)
    }

    /// Probabilities, targets or the embedding: whatever the head's values are.
    pub fn values(&self, row: usize) -> &[f32] {
        of_row(&self.values, self.widths.values, row)
    }

    /// Values of one row: the same for every row of a batch.
    pub const fn width(&self) -> usize {
        self.widths.values
    }

    /// Numbers of one row by kind.
    pub(crate) const fn widths(&self) -> Widths {
        self.widths
    }

    /// The numbers that became the probabilities, one for each, from a head that reads logits; empty otherwise.
    pub fn logits(&self, row: usize) -> &[f32] {
        of_row(&self.logits, self.widths.logits, row)
    }

    /// Standard deviation of each value, from a regression that has one; empty otherwise.
    pub fn spread(&self, row: usize) -> &[f32] {
        of_row(&self.spread, self.widths.spread, row)
    }

    /// Lower and upper bound of each value in turn, from a regression that has them; empty otherwise.
    pub fn interval(&self, row: usize) -> &[f32] {
        of_row(&self.interval, self.widths.interval, row)
    }

    /// The columns of some rows, for a head to fill. Open dimensions of a model are settled by the first rows that are read of a batch.
    ///
    /// # Errors
    /// [`RunFault::BadOutput`] when the widths are not those of the rows that were read before.
    ///
    /// # Panics
    /// When the rows are not all in the batch.
    pub fn block(&mut self, rows: Range<usize>, widths: Widths) -> Result<Block<'_>, RunError> {
        assert!(
            rows.start <= rows.end && rows.end <= self.rows,
            "a head reads rows of the batch"
        );
        if self.widths != widths {
            if self.has_read {
                return Err(RunError {
                    fault: RunFault::BadOutput,
                    message: format!(
                        "rows {}..{} have {} values each, and earlier rows of the batch have {}",
                        rows.start, rows.end, widths.values, self.widths.values
                    ),
                });
            }
            self.widths = widths;
            self.refill_rows();
        }
        self.has_read = true;
        // Rows that are read a second time, after a failure, start afresh.
        self.valid[rows.clone()].fill(false);
        self.class[rows.clone()].fill(NO_CLASS);
        self.confidence[rows.clone()].fill(f32::NAN);
        self.anomaly[rows.clone()].fill(f32::NAN);
        let part = |width: usize| rows.start * width..rows.end * width;
        Ok(Block {
            valid: &mut self.valid[rows.clone()],
            class: &mut self.class[rows.clone()],
            confidence: &mut self.confidence[rows.clone()],
            anomaly: &mut self.anomaly[rows.clone()],
            values: &mut self.values[part(widths.values)],
            logits: &mut self.logits[part(widths.logits)],
            spread: &mut self.spread[part(widths.spread)],
            interval: &mut self.interval[part(widths.interval)],
        })
    }
}

/// Numbers of values of one row that a head fills in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Widths {
    /// Of the values.
    pub values: usize,
    /// Of the logits: as many as values, or none.
    pub logits: usize,
    /// Of the spread: as many as values, or none.
    pub spread: usize,
    /// Of the interval: twice as many as values, or none.
    pub interval: usize,
}

impl Widths {
    /// So many values and nothing beside them.
    pub const fn of(values: usize) -> Self {
        Self {
            values,
            logits: 0,
            spread: 0,
            interval: 0,
        }
    }

    /// The same with as many logits, where the head reads those.
    pub(crate) fn with_logits(self, from: Scale) -> Self {
        let logits = match from {
            Scale::Logits => self.values,
            Scale::Probabilities => 0,
        };
        Self { logits, ..self }
    }
}

/// The columns of some rows of a batch, for a head to fill. All start as not valid and empty.
#[derive(Debug)]
pub struct Block<'a> {
    /// Whether a row is valid.
    pub valid: &'a mut [bool],
    /// Position of the predicted class.
    pub class: &'a mut [u32],
    /// Between 0 and 1; NaN for none.
    pub confidence: &'a mut [f32],
    /// Higher is more anomalous; NaN for none.
    pub anomaly: &'a mut [f32],
    /// `rows * width` values, row-major.
    pub values: &'a mut [f32],
    /// What became the values, where these are probabilities from logits, row-major.
    pub logits: &'a mut [f32],
    /// Standard deviations, row-major.
    pub spread: &'a mut [f32],
    /// Lower and upper bound of each value, row-major.
    pub interval: &'a mut [f32],
}

fn of_row(column: &[f32], width: usize, row: usize) -> &[f32] {
    &column[row * width..][..width]
}

fn refill<T: Clone>(column: &mut Vec<T>, len: usize, value: T) {
    column.clear();
    column.resize(len, value);
}

fn some_number(value: f32) -> Option<f32> {
    (!value.is_nan()).then_some(value)
}
