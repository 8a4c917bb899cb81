//! DDM as river 0.26.1 has it (Gama, Medas, Castillo & Rodrigues, SBIA 2004): errors become more than they were at their
//! fewest, by so many standard deviations.

use crate::drift::detect::{Alarm, Detector};

/// The detector. Its numbers are 1 for an error and 0 for none.
#[derive(Debug, Clone, PartialEq)]
pub struct Ddm {
    warm_start: u64,
    warns_at: f64,
    drifts_at: f64,
    count: u64,
    rate: f64,
    /// Error rate and its standard deviation when their sum was least.
    lowest: Option<(f64, f64)>,
    starts_anew: bool,
}

impl Ddm {
    /// Judges after `warm_start` numbers (30 is usual), and says something at so many standard deviations above the lowest
    /// rate (2 and 3 are usual).
    pub const fn new(warm_start: u64, warns_at: f64, drifts_at: f64) -> Self {
        Self {
            warm_start,
            warns_at,
            drifts_at,
            count: 0,
            rate: 0.0,
            lowest: None,
            starts_anew: false,
        }
    }

    /// Numbers since the start.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Error rate and its standard deviation when their sum was least; `None` before the first judgement.
    pub const fn lowest(&self) -> Option<(f64, f64)> {
        self.lowest
    }
}

impl Detector for Ddm {
    fn step(&mut self, x: f64) -> Option<Alarm> {
        if self.starts_anew {
            *self = Self::new(self.warm_start, self.warns_at, self.drifts_at);
        }
        self.count += 1;
        self.rate += (x - self.rate) / self.count as f64;
        if self.count <= self.warm_start {
            return None;
        }
        let deviation = (self.rate * (1.0 - self.rate) / self.count as f64).sqrt();
        let now = self.rate + deviation;
        if self.lowest.is_none_or(|(rate, deviation)| now <= rate + deviation) {
            self.lowest = Some((self.rate, deviation));
        }
        let (rate, deviation) = self.lowest?;
        self.starts_anew = now > rate + self.drifts_at * deviation;
        let warns = now > rate + self.warns_at * deviation;
        if self.starts_anew {
            Some(Alarm::Drift)
        } else {
            warns.then_some(Alarm::Warning)
        }
    }

    /// The error rate since the start.
    fn value(&self) -> f64 {
        self.rate
    }
}
