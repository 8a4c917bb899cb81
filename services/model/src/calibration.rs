//! How many rows a run should have, and how long it will take.
//!
//! Owns: the measurement and the choice. Never does: read a clock after the model has loaded.
//! Invariant: the choice is a function of the measured points alone.

use std::time::{Duration, Instant};

use eddy_pipeline::score::RunError;
use eddy_pipeline::tensor::{Buffer, Inputs};

use crate::engine::Engine;
use crate::signature::Batch;
use crate::tensors::{copy_rows, like};

/// Rows of a run where nothing was measured.
pub(crate) const DEFAULT_ROWS: usize = 32;
/// A batch within this share of the best rate is as good as the best.
const GOOD_ENOUGH: f64 = 0.9;
/// Doublings without a better rate after which no better one is expected.
const PATIENCE: usize = 2;
/// Inputs of a larger batch are not tried: the runtime keeps the memory of its largest run.
const MAX_INPUT_BYTES: usize = 64 << 20;
/// Runs of each size, of which the fastest counts: the others were disturbed.
const REPEATS: usize = 3;
/// A model of a fixed batch is called once per block, so more blocks gain nothing but fewer calls of the lane.
const FIXED_BATCH_TARGET: Duration = Duration::from_millis(5);

/// What a batch may not exceed, whatever is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchCaps {
    /// Rows: `batch.rows`.
    pub rows: usize,
    /// Time of one run: `batch.time`.
    pub time: Duration,
}

impl Default for BatchCaps {
    fn default() -> Self {
        Self {
            rows: 4096,
            time: Duration::from_millis(250),
        }
    }
}

/// What was measured, and what follows from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// Rows and time of a run, by rising rows.
    points: Vec<(usize, Duration)>,
    max_rows: usize,
}

impl Calibration {
    pub(crate) fn new(points: Vec<(usize, Duration)>, caps: BatchCaps, batch: Batch) -> Self {
        let max_rows = match batch {
            Batch::Open => best_rows(&points, caps),
            Batch::Fixed(size) => fixed_rows(&points, caps, size),
        };
        Self { points, max_rows }
    }

    /// Rows that a run should have at most.
    pub fn max_rows(&self) -> usize {
        self.max_rows
    }

    /// Rows and time of each run that was measured, by rising rows; empty where none was.
    pub fn points(&self) -> &[(usize, Duration)] {
        &self.points
    }

    /// How long a run of so many rows takes, by what was measured; `None` where nothing was.
    pub fn expected_time(&self, rows: usize) -> Option<Duration> {
        let (last_rows, last_time) = *self.points.last()?;
        if rows >= last_rows {
            return Some(last_time.mul_f64(rows as f64 / last_rows as f64));
        }
        let above = self.points.partition_point(|(measured, _)| *measured < rows);
        let (high_rows, high_time) = self.points[above];
        if above == 0 {
            // A run has a price of its own, however few its rows.
            return Some(high_time);
        }
        let (low_rows, low_time) = self.points[above - 1];
        let share = (rows - low_rows) as f64 / (high_rows - low_rows) as f64;
        let time = low_time.as_secs_f64() + (high_time.as_secs_f64() - low_time.as_secs_f64()) * share;
        Some(Duration::from_secs_f64(time))
    }

    pub(crate) fn with_max_rows(self, max_rows: Option<usize>) -> Self {
        Self {
            max_rows: max_rows.unwrap_or(self.max_rows),
            ..self
        }
    }
}

fn rate((rows, time): (usize, Duration)) -> f64 {
    rows as f64 / time.as_secs_f64().max(1e-9)
}

/// The smallest measured batch within reach of the best rate that keeps to the caps.
fn best_rows(points: &[(usize, Duration)], caps: BatchCaps) -> usize {
    let Some(&(smallest, _)) = points.first() else {
        return DEFAULT_ROWS.min(caps.rows).max(1);
    };
    let allowed = || {
        points
            .iter()
            .copied()
            .filter(|(rows, time)| *time <= caps.time && *rows <= caps.rows)
    };
    let best = allowed().map(rate).fold(0.0, f64::max);
    allowed()
        .find(|point| rate(*point) >= best * GOOD_ENOUGH)
        .map_or(smallest, |(rows, _)| rows)
}

/// As many blocks as fit in a short time, and at least one.
fn fixed_rows(points: &[(usize, Duration)], caps: BatchCaps, size: usize) -> usize {
    let time = points
        .first()
        .map_or(FIXED_BATCH_TARGET, |(_, time)| *time)
        .max(Duration::from_nanos(1));
    let blocks = (caps.time.min(FIXED_BATCH_TARGET).as_nanos() / time.as_nanos()) as usize;
    let blocks = blocks.min(caps.rows / size).max(1);
    blocks * size
}

/// Times growing batches of the known rows, until the budget is used up or more rows stop to help.
pub(crate) fn measure(
    engine: &mut Engine,
    rows: &Inputs,
    caps: BatchCaps,
    budget: Duration,
) -> Result<Vec<(usize, Duration)>, RunError> {
    let started = Instant::now();
    let mut points: Vec<(usize, Duration)> = Vec::new();
    let mut best = 0.0;
    let mut without_gain = 0;
    let first = match engine.signature().batch {
        Batch::Open => 1,
        Batch::Fixed(size) => size,
    };
    let mut size = first;
    while size == first || size <= caps.rows && size.saturating_mul(row_bytes(rows)) <= MAX_INPUT_BYTES {
        let mut batch = like(rows, size);
        copy_rows(rows, &mut batch, size, |row| row % rows.rows);
        let time = fastest(engine, &batch, started, budget)?;
        points.push((size, time));
        let rate = rate((size, time));
        without_gain = if rate > best / GOOD_ENOUGH { 0 } else { without_gain + 1 };
        best = f64::max(best, rate);
        // The next size takes about twice as long, and is run twice at least.
        let is_too_slow = time > caps.time || started.elapsed() + time * 4 > budget;
        if is_too_slow || without_gain == PATIENCE || matches!(engine.signature().batch, Batch::Fixed(_)) {
            break;
        }
        size *= 2;
    }
    Ok(points)
}

/// The first run of a size is its warm-up, and counts only where there is no time for another.
fn fastest(engine: &mut Engine, batch: &Inputs, started: Instant, budget: Duration) -> Result<Duration, RunError> {
    let mut run = || {
        let start = Instant::now();
        engine.run(batch, 0..batch.rows, &mut |_| {}).map(|()| start.elapsed())
    };
    let mut fastest = run()?;
    for _ in 0..REPEATS {
        if started.elapsed() + fastest > budget {
            break;
        }
        fastest = fastest.min(run()?);
    }
    Ok(fastest)
}

fn row_bytes(inputs: &Inputs) -> usize {
    let element = |buffer: &Buffer| match buffer {
        Buffer::Bool(_) => 1,
        Buffer::Float16(_) => 2,
        Buffer::Float32(_) | Buffer::Int32(_) => 4,
        Buffer::Float64(_) | Buffer::Int64(_) => 8,
        Buffer::String(_) => size_of::<String>(),
    };
    inputs
        .inputs
        .iter()
        .map(|input| input.width * element(&input.data))
        .sum::<usize>()
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn us(us: u64) -> Duration {
        Duration::from_micros(us)
    }

    fn chosen(points: &[(usize, Duration)], caps: BatchCaps) -> usize {
        Calibration::new(points.to_vec(), caps, Batch::Open).max_rows()
    }

    #[test]
    fn the_smallest_batch_near_the_best_rate_wins() {
        // Rows a second: 100k, 190k, 200k, 150k.
        let points = [(1, us(10)), (19, us(100)), (40, us(200)), (60, us(400))];
        assert_eq!(chosen(&points, BatchCaps::default()), 19);
    }

    #[test]
    fn a_batch_over_a_cap_is_never_chosen() {
        let points = [(1, us(10)), (8, us(20)), (64, us(80))];
        assert_eq!(
            chosen(
                &points,
                BatchCaps {
                    rows: 4096,
                    time: us(50)
                }
            ),
            8
        );
        assert_eq!(chosen(&points, BatchCaps { rows: 8, time: us(500) }), 8);
        assert_eq!(
            chosen(
                &points,
                BatchCaps {
                    rows: 4096,
                    time: us(5)
                }
            ),
            1
        );
    }

    #[test]
    fn without_a_measurement_the_default_holds_within_the_cap() {
        assert_eq!(chosen(&[], BatchCaps::default()), DEFAULT_ROWS);
        assert_eq!(
            chosen(
                &[],
                BatchCaps {
                    rows: 5,
                    ..BatchCaps::default()
                }
            ),
            5
        );
    }

    #[test]
    fn a_fixed_batch_is_multiplied_and_never_split() {
        let fixed = |time, size, caps| Calibration::new(vec![(size, time)], caps, Batch::Fixed(size)).max_rows();
        assert_eq!(fixed(us(100), 4, BatchCaps::default()), 200);
        assert_eq!(
            fixed(
                us(100),
                4,
                BatchCaps {
                    rows: 10,
                    ..BatchCaps::default()
                }
            ),
            8
        );
        assert_eq!(fixed(us(90_000), 4, BatchCaps { rows: 1, time: us(1) }), 4);
    }

    #[test]
    fn times_between_points_are_interpolated_and_beyond_them_extrapolated() {
        let points = vec![(2, us(100)), (4, us(140))];
        let calibration = Calibration::new(points, BatchCaps::default(), Batch::Open);
        assert_eq!(calibration.expected_time(1), Some(us(100)));
        assert_eq!(calibration.expected_time(3), Some(us(120)));
        assert_eq!(calibration.expected_time(8), Some(us(280)));
        assert_eq!(
            Calibration::new(vec![], BatchCaps::default(), Batch::Open).expected_time(1),
            None
        );
    }
}
