//! e-CUSUM: [e-SR](crate::drift::detect::ESr) with the one bettor who began at the best moment, M ← (1 + λ(x−μ₀))·max(M, 1)
//! (Shin, Ramdas & Rinaldo, "E-detectors", 2023).

use crate::drift::detect::{Alarm, Bets, Detector, Error, average};

/// The detector. Its numbers are losses between 0 and 1; what lies outside counts as the nearer end.
#[derive(Debug, Clone, PartialEq)]
pub struct ECusum {
    bets: Bets,
    sums: [f64; 5],
    starts_anew: bool,
}

impl ECusum {
    /// As [`ESr::new`](crate::drift::detect::ESr::new).
    ///
    /// # Errors
    /// As there.
    pub fn new(mean: f64, rate: f64) -> Result<Self, Error> {
        Ok(Self {
            bets: Bets::new(mean, rate)?,
            sums: [0.0; 5],
            starts_anew: false,
        })
    }
}

impl Detector for ECusum {
    fn step(&mut self, x: f64) -> Option<Alarm> {
        if self.starts_anew {
            self.sums = [0.0; 5];
        }
        self.bets.settle(x, &mut self.sums, |sum| sum.max(1.0));
        self.starts_anew = self.bets.is_alarm(&self.sums);
        self.starts_anew.then_some(Alarm::Drift)
    }

    /// ln M; −∞ before the first number.
    fn value(&self) -> f64 {
        average(&self.sums).ln()
    }
}
