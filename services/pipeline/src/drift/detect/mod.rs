//! Detectors of change in a stream of numbers: errors of a model against labels, or what it lacks to certainty.
//!
//! Owns: what a detector is, and the two that the service runs: [`ESr`] against a reference, [`Adwin`] without one. Others
//! are [yardsticks](crate::yardstick). Never does: know where its numbers come from, or average those of replicas by itself.
//!
//! Invariant: a number that is not finite changes nothing. After a drift a detector starts anew with the next number, so
//! that each change is told once; until then it shows what it told of.

mod adwin;
mod e_sr;

use std::fmt::Debug;

pub use self::adwin::Adwin;
pub(crate) use self::e_sr::{Bets, average};
pub use self::e_sr::{ESr, log_mean};

/// What a detector has to say about the stream up to a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    /// It may be changing. Only some detectors warn.
    Warning,
    /// It has changed.
    Drift,
}

/// Watches one stream of numbers for a change.
pub trait Detector: Send + Debug {
    /// Takes a finite number in; called by [`Self::update`] alone.
    fn step(&mut self, x: f64) -> Option<Alarm>;

    /// The number that is shown of the detector; what it means and its unit are the detector's.
    fn value(&self) -> f64;

    /// Takes the next number in, and says what it makes of the stream. A number that is not finite is passed over: it
    /// raises nothing and the detector stays as it was.
    fn update(&mut self, x: f64) -> Option<Alarm> {
        if x.is_finite() { self.step(x) } else { None }
    }
}

/// Why there is no detector.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// There is nothing worse to bet on, or nothing to divide by.
    #[error("the mean to compare with lies between 0 and 0.99, and {mean} does not; add a tolerance to a mean of 0")]
    Mean {
        /// What was asked for.
        mean: f64,
    },
    /// A rate is a share.
    #[error("a rate of false alarms lies between 0 and 1, and {rate} does not; write a number such as 0.00001")]
    Rate {
        /// What was asked for.
        rate: f64,
    },
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use proptest::prelude::*;

    use super::*;

    fn detectors() -> Vec<Box<dyn Detector>> {
        let clock = NonZeroU32::new(4).expect("not 0");
        vec![
            Box::new(ESr::new(0.1, 1e-3).expect("it is right")),
            Box::new(ESr::new(0.1, 1e-3).expect("it is right").held()),
            Box::new(Adwin::new(0.002, clock)),
        ]
    }

    #[test]
    fn property_numbers_that_are_not_finite_change_nothing() {
        let number = prop_oneof![
            8 => (0..2u8).prop_map(f64::from),
            1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
        ];
        proptest!(|(stream in prop::collection::vec(number, 0..300))| {
            for (mut with, mut without) in detectors().into_iter().zip(detectors()) {
                for x in &stream {
                    let alarm = with.update(*x);
                    prop_assert_eq!(alarm, if x.is_finite() { without.update(*x) } else { None });
                    prop_assert_eq!(with.value().to_bits(), without.value().to_bits());
                }
            }
        });
    }

    #[test]
    fn property_any_number_leaves_a_detector_that_still_works() {
        proptest!(|(stream in prop::collection::vec(any::<f64>(), 0..200))| {
            for mut detector in detectors() {
                stream.iter().for_each(|x| { detector.update(*x); });
                prop_assert!(!detector.value().is_nan());
            }
        });
    }
}
