//! HDDM_W as river 0.26.1 has it (Frías-Blanco et al., IEEE TKDE 2015): the weighted mean of the numbers since the best cut
//! lies farther from that of those before than McDiarmid's bound allows.

use super::direction::{Confidence, Direction};
use crate::drift::detect::{Alarm, Detector};

/// An exponentially weighted mean, and the sum of its squared weights.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Weighted {
    mean: Option<f64>,
    squared_weights: f64,
}

impl Weighted {
    const NONE: Self = Self {
        mean: None,
        squared_weights: 1.0,
    };

    fn push(&mut self, x: f64, weight: f64) {
        let rest = 1.0 - weight;
        self.mean = Some(self.mean.map_or(x, |mean| weight * x + rest * mean));
        self.squared_weights = weight * weight + rest * rest * self.squared_weights;
    }
}

/// The numbers before and after the best cut.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cut {
    bound: f64,
    before: Weighted,
    after: Weighted,
}

impl Cut {
    const fn at(bound: f64, before: Weighted) -> Self {
        Self {
            bound,
            before,
            after: Weighted::NONE,
        }
    }
}

/// The detector. Its numbers lie between 0 and 1.
#[derive(Debug, Clone, PartialEq)]
pub struct HddmW {
    confidence: Confidence,
    direction: Direction,
    weight: f64,
    all: Weighted,
    least: Cut,
    largest: Cut,
    starts_anew: bool,
}

impl HddmW {
    /// Looks for changes of a direction (one-sided is [`Direction::Up`]), giving the newest number a weight from 0 to 1
    /// (0.05 is usual).
    pub const fn new(confidence: Confidence, weight: f64, direction: Direction) -> Self {
        Self {
            confidence,
            direction,
            weight,
            all: Weighted::NONE,
            least: Cut::at(f64::INFINITY, Weighted::NONE),
            largest: Cut::at(f64::NEG_INFINITY, Weighted::NONE),
            starts_anew: false,
        }
    }

    /// The sum of the squared weights.
    pub const fn squared_weights(&self) -> f64 {
        self.all.squared_weights
    }
}

fn bound(squared_weights: f64, confidence: f64) -> f64 {
    (squared_weights * (1.0 / confidence).ln() / 2.0).sqrt()
}

/// Whether the higher mean is surely higher.
fn is_beyond(lower: Weighted, higher: Weighted, confidence: f64) -> bool {
    let bound = bound(lower.squared_weights + higher.squared_weights, confidence);
    matches!((lower.mean, higher.mean), (Some(lower), Some(higher)) if higher - lower > bound)
}

impl Detector for HddmW {
    fn step(&mut self, x: f64) -> Option<Alarm> {
        if self.starts_anew {
            *self = Self::new(self.confidence, self.weight, self.direction);
        }
        self.all.push(x, self.weight);
        let bound = bound(self.all.squared_weights, self.confidence.drift);
        let mean = self.value();
        if mean + bound < self.least.bound {
            self.least = Cut::at(mean + bound, self.all);
        } else {
            self.least.after.push(x, self.weight);
        }
        if mean - bound > self.largest.bound {
            self.largest = Cut::at(mean - bound, self.all);
        } else {
            self.largest.after.push(x, self.weight);
        }
        let alarm = self.confidence.judge(|confidence| {
            self.direction.sees(
                || is_beyond(self.least.before, self.least.after, confidence),
                || is_beyond(self.largest.after, self.largest.before, confidence),
            )
        });
        self.starts_anew = alarm == Some(Alarm::Drift);
        alarm
    }

    /// The weighted mean; 0 before the first number.
    fn value(&self) -> f64 {
        self.all.mean.unwrap_or_default()
    }
}
