//! EDDM as river 0.26.1 has it (Baena-García et al., "Early drift detection method", 2006): errors come closer together
//! than they were when they were farthest apart.

use crate::drift::detect::{Alarm, Detector};

/// The detector. Its numbers are 1 for an error and 0 for none.
#[derive(Debug, Clone, PartialEq)]
pub struct Eddm {
    warm_start: u64,
    warns_at: f64,
    drifts_at: f64,
    count: u64,
    errors: u64,
    last_error: u64,
    mean: f64,
    squares: f64,
    /// The largest mean distance and two standard deviations.
    farthest: Option<f64>,
    /// The last distance and two standard deviations, as a part of the largest.
    share: f64,
    warns: bool,
    starts_anew: bool,
}

impl Eddm {
    /// Judges after `warm_start` errors (30 is usual), and says something when the distance is less than so large a part of
    /// the largest (0.95 and 0.9 are usual).
    pub const fn new(warm_start: u64, warns_at: f64, drifts_at: f64) -> Self {
        Self {
            warm_start,
            warns_at,
            drifts_at,
            count: 0,
            errors: 0,
            last_error: 0,
            mean: 0.0,
            squares: 0.0,
            farthest: None,
            share: 1.0,
            warns: false,
            starts_anew: false,
        }
    }

    /// Whether a warning stands. It does until an error takes it back, at a drift too.
    pub const fn warns(&self) -> bool {
        self.warns
    }

    fn judge(&mut self) {
        let variance = if self.errors > 1 {
            self.squares / (self.errors - 1) as f64
        } else {
            0.0
        };
        let distance = self.mean + 2.0 * variance.sqrt();
        match self.farthest {
            Some(farthest) if distance <= farthest => {
                self.share = distance / farthest;
                if self.errors > self.warm_start {
                    self.starts_anew = self.share < self.drifts_at;
                    self.warns = if self.starts_anew {
                        self.warns
                    } else {
                        self.share < self.warns_at
                    };
                }
            }
            _ => {
                self.farthest = Some(distance);
                self.share = 1.0;
            }
        }
    }
}

impl Detector for Eddm {
    fn step(&mut self, x: f64) -> Option<Alarm> {
        if self.starts_anew {
            *self = Self::new(self.warm_start, self.warns_at, self.drifts_at);
        }
        self.count += 1;
        if x == 1.0 {
            self.errors += 1;
            let distance = (self.count - self.last_error) as f64;
            let before = distance - self.mean;
            self.mean += before / self.errors as f64;
            self.squares += before * (distance - self.mean);
            if self.count > self.warm_start {
                self.judge();
            }
            self.last_error = self.count;
        }
        if self.starts_anew {
            Some(Alarm::Drift)
        } else {
            self.warns.then_some(Alarm::Warning)
        }
    }

    /// How far apart errors come, as a part of the farthest.
    fn value(&self) -> f64 {
        self.share
    }
}
