//! What the heads fill in: one batch's predictions of one model, in columns that are reused from batch to batch.

use std::fmt;
use std::ops::Range;

use crate::score::{RunError, RunFault};

/// What a head may say about how far its prediction can be trusted. Selection and monitoring decide on these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// Between 0 and 1; low means unsure.
    Confidence,
    /// Any scale; high means anomalous.
    Anomaly,
}

impl Signal {
    /// The word used in outputs and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Confidence => "confidence",
            Self::Anomaly => "anomaly",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Confidence => "a confidence",
            Self::Anomaly => "an anomaly score",
        })
    }
}

/// Stands for "no class".
const NO_CLASS: u32 = u32::MAX;

/// One batch's predictions of one model. Rows are those of the batch.
///
/// A row that was not read since [`Predictions::reset`], or whose output is not finite, is not valid and has none of
/// the rest: no class, no confidence, no score, and zeros for values.
#[derive(Debug, Clone, Default)]
pub struct Predictions {
    rows: usize,
    width: usize,
    has_read: bool,
    valid: Vec<bool>,
    class: Vec<u32>,
    confidence: Vec<f32>,
    anomaly: Vec<f32>,
    values: Vec<f32>,
    spread_width: usize,
    spread: Vec<f32>,
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
        refill(&mut self.values, rows * self.width, 0.0);
        refill(&mut self.spread, rows * self.spread_width, 0.0);
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

    /// Higher is more anomalous; from heads that have an anomaly score.
    pub fn anomaly(&self, row: usize) -> Option<f32> {
        some_number(self.anomaly[row])
    }

    /// One of the signals by name.
    pub fn signal(&self, signal: Signal, row: usize) -> Option<f32> {
        match signal {
            Signal::Confidence => self.confidence(row),
            Signal::Anomaly => self.anomaly(row),
        }
    }

    /// Probabilities, targets or the embedding: whatever the head's values are.
    pub fn values(&self, row: usize) -> &[f32] {
        &self.values[row * self.width..][..self.width]
    }

    /// Values of one row: the same for every row of a batch.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Standard deviation of each value, from a regression that has one; empty otherwise.
    pub fn spread(&self, row: usize) -> &[f32] {
        &self.spread[row * self.spread_width..][..self.spread_width]
    }

    /// The columns of some rows, for a head to fill. `widths` are those of values and spread; open dimensions of a
    /// model are settled by the first rows that are read of a batch.
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
        if (self.width, self.spread_width) != (widths.values, widths.spread) {
            if self.has_read {
                return Err(RunError {
                    fault: RunFault::BadOutput,
                    message: format!(
                        "rows {}..{} have {} values each, and earlier rows of the batch have {}",
                        rows.start, rows.end, widths.values, self.width
                    ),
                });
            }
            self.width = widths.values;
            self.spread_width = widths.spread;
            refill(&mut self.values, self.rows * widths.values, 0.0);
            refill(&mut self.spread, self.rows * widths.spread, 0.0);
        }
        self.has_read = true;
        // Rows that are read a second time, after a failure, start afresh.
        self.valid[rows.clone()].fill(false);
        self.class[rows.clone()].fill(NO_CLASS);
        self.confidence[rows.clone()].fill(f32::NAN);
        self.anomaly[rows.clone()].fill(f32::NAN);
        Ok(Block {
            valid: &mut self.valid[rows.clone()],
            class: &mut self.class[rows.clone()],
            confidence: &mut self.confidence[rows.clone()],
            anomaly: &mut self.anomaly[rows.clone()],
            values: &mut self.values[rows.start * widths.values..rows.end * widths.values],
            spread: &mut self.spread[rows.start * widths.spread..rows.end * widths.spread],
        })
    }
}

/// Numbers of values of one row that a head fills in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Widths {
    /// Of the values.
    pub values: usize,
    /// Of the spread: as many as values, or none.
    pub spread: usize,
}

impl Widths {
    /// So many values and no spread.
    pub const fn of(values: usize) -> Self {
        Self { values, spread: 0 }
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
    /// Standard deviations, row-major.
    pub spread: &'a mut [f32],
}

fn refill<T: Clone>(column: &mut Vec<T>, len: usize, value: T) {
    column.clear();
    column.resize(len, value);
}

fn some_number(value: f32) -> Option<f32> {
    (!value.is_nan()).then_some(value)
}
