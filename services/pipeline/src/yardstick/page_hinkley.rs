//! The Page-Hinkley test as river 0.26.1 has it (Page, Biometrika 1954): what numbers exceed their mean by has summed up to
//! more than a threshold since it was least.

use super::direction::Direction;
use crate::drift::detect::{Alarm, Detector};

/// What a test is made from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PageHinkleySettings {
    /// Numbers before the first judgement; 30 is usual.
    pub min_instances: u64,
    /// Deviation that is allowed, in the unit of the numbers; 0.005 is usual.
    pub delta: f64,
    /// Sum that is an alarm, in the unit of the numbers; 50 is usual.
    pub threshold: f64,
    /// What a sum keeps with every number; 0.9999 is usual.
    pub alpha: f64,
    /// Changes that are looked for.
    pub direction: Direction,
}

/// The test.
#[derive(Debug, Clone, PartialEq)]
pub struct PageHinkley {
    settings: PageHinkleySettings,
    count: u64,
    mean: f64,
    increase: f64,
    least_increase: f64,
    decrease: f64,
    largest_decrease: f64,
    starts_anew: bool,
}

impl PageHinkley {
    /// From settings.
    pub const fn new(settings: PageHinkleySettings) -> Self {
        Self {
            settings,
            count: 0,
            mean: 0.0,
            increase: 0.0,
            least_increase: f64::INFINITY,
            decrease: 0.0,
            // The original's; a sum seldom lies below.
            largest_decrease: -1.0,
            starts_anew: false,
        }
    }

    /// The sums that rise with increases and fall with decreases.
    pub const fn sums(&self) -> (f64, f64) {
        (self.increase, self.decrease)
    }

    /// Mean since the start.
    pub const fn mean(&self) -> f64 {
        self.mean
    }
}

impl Detector for PageHinkley {
    fn step(&mut self, x: f64) -> Option<Alarm> {
        if self.starts_anew {
            *self = Self::new(self.settings);
        }
        let settings = self.settings;
        self.count += 1;
        self.mean += (x - self.mean) / self.count as f64;
        let deviation = x - self.mean;
        self.increase = settings.alpha * self.increase + deviation - settings.delta;
        self.decrease = settings.alpha * self.decrease + deviation + settings.delta;
        self.least_increase = self.least_increase.min(self.increase);
        self.largest_decrease = self.largest_decrease.max(self.decrease);
        let is_beyond = settings.direction.sees(
            || self.increase - self.least_increase > settings.threshold,
            || self.largest_decrease - self.decrease > settings.threshold,
        );
        self.starts_anew = self.count >= settings.min_instances && is_beyond;
        self.starts_anew.then_some(Alarm::Drift)
    }

    /// How far the sum of increases lies above its least; 0 before the first number.
    fn value(&self) -> f64 {
        if self.count == 0 {
            0.0
        } else {
            self.increase - self.least_increase
        }
    }
}
