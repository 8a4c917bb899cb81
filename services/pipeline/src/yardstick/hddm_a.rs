//! HDDM_A as river 0.26.1 has it (Frías-Blanco et al., IEEE TKDE 2015): the mean of all numbers lies farther from the mean
//! up to the best cut than Hoeffding's bound allows.

use super::direction::{Confidence, Direction};
use crate::drift::detect::{Alarm, Detector};

#[derive(Debug, Clone, Copy, PartialEq)]
struct Mean {
    count: f64,
    mean: f64,
}

/// The detector. Its numbers lie between 0 and 1.
#[derive(Debug, Clone, PartialEq)]
pub struct HddmA {
    confidence: Confidence,
    direction: Direction,
    all: Mean,
    /// Up to where the mean was surely least, and surely largest.
    least: Mean,
    largest: Mean,
    starts_anew: bool,
}

impl HddmA {
    /// Looks for changes of a direction; one-sided is [`Direction::Up`].
    pub const fn new(confidence: Confidence, direction: Direction) -> Self {
        let none = Mean { count: 0.0, mean: 0.0 };
        Self {
            confidence,
            direction,
            all: none,
            least: none,
            largest: none,
            starts_anew: false,
        }
    }

    /// Numbers since the start.
    pub const fn count(&self) -> f64 {
        self.all.count
    }

    /// Number and mean of those up to where the mean was surely least.
    pub const fn least(&self) -> (f64, f64) {
        (self.least.count, self.least.mean)
    }

    fn bound(&self, count: f64) -> f64 {
        ((1.0 / self.confidence.drift).ln() / (2.0 * count)).sqrt()
    }

    /// Whether the mean has risen by so much since a cut.
    fn is_beyond(&self, cut: Mean, risen: f64, confidence: f64) -> bool {
        let m = (self.all.count - cut.count) / cut.count / self.all.count;
        cut.count != self.all.count && risen >= (m / 2.0 * (2.0 / confidence).ln()).sqrt()
    }
}

impl Detector for HddmA {
    fn step(&mut self, x: f64) -> Option<Alarm> {
        if self.starts_anew {
            *self = Self::new(self.confidence, self.direction);
        }
        self.all.count += 1.0;
        self.all.mean += (x - self.all.mean) / self.all.count;
        let (all, bound) = (self.all, self.bound(self.all.count));
        if self.least.count == 0.0 || self.least.mean + self.bound(self.least.count) >= all.mean + bound {
            self.least = all;
        }
        if self.largest.count == 0.0 || self.largest.mean - self.bound(self.largest.count) <= all.mean - bound {
            self.largest = all;
        }
        let alarm = self.confidence.judge(|confidence| {
            self.direction.sees(
                || self.is_beyond(self.least, all.mean - self.least.mean, confidence),
                || self.is_beyond(self.largest, self.largest.mean - all.mean, confidence),
            )
        });
        self.starts_anew = alarm == Some(Alarm::Drift);
        alarm
    }

    /// The mean since the start.
    fn value(&self) -> f64 {
        self.all.mean
    }
}
