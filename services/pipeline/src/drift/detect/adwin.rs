//! ADWIN: whether the mean of a window that grows as long as nothing changes differs between its older and its newer part
//! (Bifet & Gavaldà, "Learning from time-changing data with adaptive windowing", SDM 2007), as river 0.26.1 has it.
//!
//! The window is kept as buckets of 1, 2, 4, … numbers, at most five of each size. Now and then each boundary between
//! buckets is tested: the means of n₀ older and n₁ newer numbers, out of W, may differ by √(2m·σ²·δ′) + ⅔δ′m with
//! m = 1/(n₀−4) + 1/(n₁−4), δ′ = ln(2·ln W / δ) and σ² the variance of the window.

use std::collections::VecDeque;
use std::num::NonZeroU32;

use super::{Alarm, Detector};

/// Buckets of one size.
const MAX_BUCKETS: usize = 5;
/// Numbers that a part must have.
const MIN_PART: f64 = 5.0;
/// Numbers below which nothing is tested.
const GRACE: f64 = 10.0;
/// Numbers count as no larger than this, so that the sum of their squares is finite.
const LARGEST: f64 = 1e100;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Bucket {
    sum: f64,
    /// Σ (x−x̄)² over the bucket.
    squares: f64,
}

/// The detector. Needs no reference; its numbers may be of any scale, but the test was made for numbers between 0 and 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Adwin {
    delta: f64,
    clock: NonZeroU32,
    /// Buckets of 1, 2, 4, … numbers, the oldest of each size first.
    rows: Vec<VecDeque<Bucket>>,
    width: f64,
    sum: f64,
    squares: f64,
    /// Numbers since the start, up to a multiple of the clock.
    ticks: u32,
    starts_anew: bool,
}

impl Adwin {
    /// δ bounds the share of false alarms (0.002 is usual), and the clock says after how many numbers the window is tested
    /// again (32 is usual).
    pub fn new(delta: f64, clock: NonZeroU32) -> Self {
        Self {
            delta,
            clock,
            rows: vec![VecDeque::new()],
            width: 0.0,
            sum: 0.0,
            squares: 0.0,
            ticks: 0,
            starts_anew: false,
        }
    }

    /// Numbers in the window.
    pub const fn width(&self) -> f64 {
        self.width
    }

    /// Their sum.
    pub const fn sum(&self) -> f64 {
        self.sum
    }

    /// Σ (x−x̄)² over the window.
    pub const fn squares(&self) -> f64 {
        self.squares
    }

    fn insert(&mut self, x: f64) {
        self.width += 1.0;
        if self.width > 1.0 {
            let before = self.width - 1.0;
            let deviation = x - self.sum / before;
            self.squares += before * deviation * deviation / self.width;
        }
        self.sum += x;
        self.rows[0].push_back(Bucket { sum: x, squares: 0.0 });
        self.compress();
    }

    /// Joins the two oldest buckets of a size that has too many.
    fn compress(&mut self) {
        let mut row = 0;
        while self.rows[row].len() > MAX_BUCKETS {
            let (Some(a), Some(b)) = (self.rows[row].pop_front(), self.rows[row].pop_front()) else {
                return;
            };
            let size = size(row);
            let difference = a.sum / size - b.sum / size;
            row += 1;
            if row == self.rows.len() {
                self.rows.push(VecDeque::with_capacity(MAX_BUCKETS + 1));
            }
            self.rows[row].push_back(Bucket {
                sum: a.sum + b.sum,
                squares: a.squares + b.squares + size * 0.5 * difference * difference,
            });
        }
    }

    /// Whether the means differ at a boundary between buckets, from the oldest on.
    fn is_cut(&self) -> bool {
        let (mut older, mut older_sum) = (0.0, 0.0);
        for (row, buckets) in self.rows.iter().enumerate().rev() {
            for bucket in buckets {
                older += size(row);
                older_sum += bucket.sum;
                let newer = self.width - older;
                if older < MIN_PART || newer < MIN_PART {
                    continue;
                }
                let difference = older_sum / older - (self.sum - older_sum) / newer;
                if difference.abs() > self.allowance(older, newer) {
                    return true;
                }
            }
        }
        false
    }

    fn allowance(&self, older: f64, newer: f64) -> f64 {
        let delta = (2.0 * self.width.ln() / self.delta).ln();
        let m = 1.0 / (older - MIN_PART + 1.0) + 1.0 / (newer - MIN_PART + 1.0);
        // What is left after large numbers were taken out again may be less than nothing.
        let variance = (self.squares / self.width).max(0.0);
        (2.0 * m * variance * delta).sqrt() + 2.0 / 3.0 * delta * m
    }

    /// Takes the oldest bucket out.
    fn forget(&mut self) {
        let row = self.rows.len() - 1;
        let Some(oldest) = self.rows[row].pop_front() else {
            return;
        };
        let size = size(row);
        self.width -= size;
        self.sum -= oldest.sum;
        let difference = oldest.sum / size - self.sum / self.width;
        self.squares -= oldest.squares + size * self.width * difference * difference / (size + self.width);
        if self.rows[row].is_empty() {
            self.rows.pop();
        }
    }
}

/// Numbers in each bucket of a row.
fn size(row: usize) -> f64 {
    2f64.powi(row as i32)
}

impl Detector for Adwin {
    fn step(&mut self, x: f64) -> Option<Alarm> {
        if self.starts_anew {
            *self = Self::new(self.delta, self.clock);
        }
        self.insert(x.clamp(-LARGEST, LARGEST));
        self.ticks = (self.ticks + 1) % self.clock;
        if self.ticks == 0 && self.width > GRACE {
            while self.is_cut() {
                self.forget();
                self.starts_anew = true;
            }
        }
        self.starts_anew.then_some(Alarm::Drift)
    }

    /// The mean of the window; 0 before the first number.
    fn value(&self) -> f64 {
        if self.width > 0.0 { self.sum / self.width } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: NonZeroU32 = NonZeroU32::MIN;

    #[test]
    fn a_long_window_takes_few_buckets() {
        let mut detector = Adwin::new(0.002, CLOCK);
        for n in 0..100_000u32 {
            assert_eq!(detector.update(f64::from(n % 2)), None);
        }
        assert_eq!(detector.width(), 100_000.0);
        assert!(detector.rows.len() <= 16);
        assert!(detector.rows.iter().all(|row| row.len() <= MAX_BUCKETS));
    }

    #[test]
    fn a_drift_is_told_once_and_the_window_shows_it_until_the_next_number() {
        let mut detector = Adwin::new(0.002, CLOCK);
        let told: Vec<f64> = (0..400)
            .filter_map(|n| detector.update(f64::from(n / 200)).map(|_| detector.value()))
            .collect();
        assert_eq!(told.len(), 1);
        assert!(told[0] > 0.0);
        assert_eq!(detector.value(), 1.0);
    }
}
