//! e-SR: whether a mean has become worse than the reference, by a bet on it (Shin, Ramdas & Rinaldo, "E-detectors", New
//! England Journal of Statistics in Data Science 2023).
//!
//! For five worse means μ₁ a bettor starts anew at every number with a wealth of 1, and the e-detector is what all of them
//! hold: M ← (1 + λ(x−μ₀))·(M + 1) with λ = (μ₁−μ₀)/(μ₀(1−μ₀)). The alarm comes when the average of the five reaches 1/α.
//! As long as each number's mean, given those before it, is at most μ₀, the mean time to a false alarm is at least 1/α
//! numbers, whatever their distribution.

use super::{Alarm, Detector, Error};

/// How much worse the alternatives are than the reference.
const WORSE_BY: [f64; 5] = [0.01, 0.02, 0.05, 0.1, 0.2];
/// The worst alternative.
const WORST: f64 = 0.99;
/// Where a sum stops growing. A smaller sum keeps the guarantee.
const CAP: f64 = 1e300;
/// Where one that is held does, in alarms: far enough above one for the average over a hundred replicas, and near enough to
/// fall below it within half an hour once the mean is well again.
const HELD: f64 = 100.0;

/// The share of its wealth that each bettor puts on each alternative.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bets {
    mean: f64,
    shares: [f64; WORSE_BY.len()],
    /// 1/α.
    alarm_at: f64,
}

impl Bets {
    /// Against a mean, to be wrong at a rate α.
    pub(crate) fn new(mean: f64, rate: f64) -> Result<Self, Error> {
        if !(mean > 0.0 && mean < WORST) {
            return Err(Error::Mean { mean });
        }
        if !(rate > 0.0 && rate < 1.0) {
            return Err(Error::Rate { rate });
        }
        let share = |worse: f64| ((mean + worse).min(WORST) - mean) / (mean * (1.0 - mean));
        Ok(Self {
            mean,
            shares: WORSE_BY.map(share),
            alarm_at: 1.0 / rate,
        })
    }

    /// The sums after a number, which lies between 0 and 1, each from what `stake` makes of it.
    pub(crate) fn settle(&self, x: f64, sums: &mut [f64; WORSE_BY.len()], stake: impl Fn(f64) -> f64) {
        // Beyond its ends a loss has no bound, and a bet could be lost more than once.
        let surprise = x.clamp(0.0, 1.0) - self.mean;
        for (sum, share) in sums.iter_mut().zip(self.shares) {
            *sum = ((1.0 + share * surprise) * stake(*sum)).min(CAP);
        }
    }

    /// Whether sums are an alarm.
    pub(crate) fn is_alarm(&self, sums: &[f64; WORSE_BY.len()]) -> bool {
        average(sums) >= self.alarm_at
    }
}

/// The average over the alternatives, M.
pub(crate) fn average(sums: &[f64; WORSE_BY.len()]) -> f64 {
    // Divided first, so that five sums at the cap have an average.
    sums.iter().map(|sum| sum / sums.len() as f64).sum()
}

/// The detector. Its numbers are losses between 0 and 1, such as errors or 1−confidence; what lies outside counts as the
/// nearer end.
#[derive(Debug, Clone, PartialEq)]
pub struct ESr {
    bets: Bets,
    sums: [f64; WORSE_BY.len()],
    is_held: bool,
    starts_anew: bool,
}

impl ESr {
    /// Against a mean μ₀, which is that of the reference and a tolerance, with at least 1/`rate` numbers to a false alarm
    /// on average.
    ///
    /// # Errors
    /// [`Error`], when μ₀ is not between 0 and 0.99 or the rate not between 0 and 1.
    pub fn new(mean: f64, rate: f64) -> Result<Self, Error> {
        Ok(Self {
            bets: Bets::new(mean, rate)?,
            sums: [0.0; WORSE_BY.len()],
            is_held: false,
            starts_anew: false,
        })
    }

    /// Goes on after an alarm and tells of it for as long as it stands; its sums stop at 100/α. Replicas whose M are averaged
    /// must do so: if each started anew at its own 1/α, the average would never get there.
    #[must_use]
    pub fn held(self) -> Self {
        Self { is_held: true, ..self }
    }

    /// Starts anew.
    pub fn reset(&mut self) {
        self.sums = [0.0; WORSE_BY.len()];
        self.starts_anew = false;
    }
}

impl Detector for ESr {
    fn step(&mut self, x: f64) -> Option<Alarm> {
        if self.starts_anew {
            self.reset();
        }
        self.bets.settle(x, &mut self.sums, |sum| sum + 1.0);
        if self.is_held {
            let most = HELD * self.bets.alarm_at;
            self.sums.iter_mut().for_each(|sum| *sum = sum.min(most));
        }
        let is_alarm = self.bets.is_alarm(&self.sums);
        self.starts_anew = is_alarm && !self.is_held;
        is_alarm.then_some(Alarm::Drift)
    }

    /// ln M; −∞ before the first number.
    fn value(&self) -> f64 {
        average(&self.sums).ln()
    }
}

/// ln of the average M of replicas, from the ln M of each. An average of e-detectors is an e-detector: it keeps the
/// guarantee when it is compared with 1/α. `None` without a replica.
pub fn log_mean(logs: &[f64]) -> Option<f64> {
    let highest = logs.iter().copied().reduce(f64::max)?;
    if highest == f64::NEG_INFINITY {
        return Some(highest);
    }
    let sum: f64 = logs.iter().map(|log| (log - highest).exp()).sum();
    Some(highest + (sum / logs.len() as f64).ln())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::seed::uniform;

    /// Alarms in so many errors at a rate.
    fn alarms(detector: &mut ESr, errors: f64, seed: u64, numbers: u64) -> usize {
        let error = |n| f64::from(u8::from(uniform(seed, n) < errors));
        (0..numbers).filter(|n| detector.update(error(*n)).is_some()).count()
    }

    #[test]
    fn a_mean_that_nothing_is_worse_than_and_a_rate_that_is_none_are_refused() {
        for mean in [0.0, -0.1, 0.99, 1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(ESr::new(mean, 1e-5), Err(Error::Mean { .. })), "{mean}");
        }
        for rate in [0.0, 1.0, -1.0, f64::NAN] {
            assert!(matches!(ESr::new(0.1, rate), Err(Error::Rate { .. })), "{rate}");
        }
    }

    #[test]
    fn false_alarms_are_rarer_than_their_rate_and_a_worse_mean_is_told() {
        let new = || ESr::new(0.1, 1e-3).expect("it is right");
        assert!(alarms(&mut new(), 0.1, 1, 200_000) <= 200);
        assert!(alarms(&mut new(), 0.2, 2, 1_000) >= 1);
    }

    #[test]
    fn a_held_alarm_stands_until_a_reset_and_never_overflows() {
        let mut held = ESr::new(0.1, 1e-3).expect("it is right").held();
        let alarms: Vec<bool> = (0..10_000).map(|_| held.update(1.0).is_some()).collect();
        let first = alarms.iter().position(|alarm| *alarm).expect("all is worse");
        assert!(first < 10 && alarms[first..].iter().all(|alarm| *alarm));
        assert!((held.value() - (HELD * 1e3).ln()).abs() < 1e-9);
        let well = (0..5_000).position(|_| held.update(0.05).is_none());
        assert!(well.is_some_and(|well| well > 0), "{well:?}");
        held.reset();
        assert_eq!(held.value(), f64::NEG_INFINITY);
        assert_eq!(held.update(0.0), None);
    }

    #[test]
    fn numbers_beyond_the_ends_count_as_the_ends() {
        let after = |x: f64| {
            let mut detector = ESr::new(0.1, 1e-3).expect("it is right");
            detector.update(x);
            detector.value()
        };
        assert_eq!(after(7.0).to_bits(), after(1.0).to_bits());
        assert_eq!(after(-7.0).to_bits(), after(0.0).to_bits());
    }

    #[test]
    fn property_the_log_of_a_mean_is_the_mean_of_what_was_logged() {
        assert_eq!(log_mean(&[]), None);
        assert_eq!(log_mean(&[f64::NEG_INFINITY; 3]), Some(f64::NEG_INFINITY));
        assert_eq!(log_mean(&[CAP.ln(); 2]), Some(CAP.ln()));
        proptest!(|(sums in prop::collection::vec(0.0..1e6f64, 1..8))| {
            let logs: Vec<f64> = sums.iter().map(|sum| sum.ln()).collect();
            let mean = sums.iter().sum::<f64>() / sums.len() as f64;
            let got = log_mean(&logs).expect("there are some").exp();
            prop_assert!((got - mean).abs() <= 1e-9 * mean);
        });
    }
}
