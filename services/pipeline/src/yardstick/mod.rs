//! Yardsticks: methods that the service does not run, ported for evaluation and tests to compare it with.
//!
//! Owns: ports that give what their originals give. Never does: take part in scoring; nothing outside evaluation and tests
//! calls this module.
//!
//! Invariant: each is checked against vectors of the original.

mod confidence_sequence;
mod ddm;
mod direction;
mod e_cusum;
mod ecod;
mod eddm;
mod half_space;
mod hddm_a;
mod hddm_w;
mod histogram;
mod mmd;
mod page_hinkley;

pub use self::confidence_sequence::{EmpiricalBernstein, Hoeffding};
pub use self::ddm::Ddm;
pub use self::direction::{Confidence, Direction};
pub use self::e_cusum::ECusum;
pub use self::ecod::ecod;
pub use self::eddm::Eddm;
pub use self::half_space::{HalfSpaceTrees, Split};
pub use self::hddm_a::HddmA;
pub use self::hddm_w::HddmW;
pub use self::histogram::{HistogramScore, histogram_score};
pub use self::mmd::KernelTest;
pub use self::page_hinkley::{PageHinkley, PageHinkleySettings};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::drift::detect::Detector;

    fn detectors() -> Vec<Box<dyn Detector>> {
        let confidence = Confidence {
            drift: 0.001,
            warning: 0.005,
        };
        let page_hinkley = PageHinkleySettings {
            min_instances: 30,
            delta: 0.005,
            threshold: 5.0,
            alpha: 0.9999,
            direction: Direction::Both,
        };
        vec![
            Box::new(Ddm::new(30, 2.0, 3.0)),
            Box::new(ECusum::new(0.1, 1e-3).expect("it is right")),
            Box::new(Eddm::new(30, 0.95, 0.9)),
            Box::new(HddmA::new(confidence, Direction::Both)),
            Box::new(HddmW::new(confidence, 0.05, Direction::Both)),
            Box::new(PageHinkley::new(page_hinkley)),
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
            let (mut with, mut without) = (EmpiricalBernstein::new(0.05), EmpiricalBernstein::new(0.05));
            let (mut also_with, mut also_without) = (Hoeffding::new(0.05), Hoeffding::new(0.05));
            for x in &stream {
                with.update(*x);
                also_with.update(*x);
                if x.is_finite() {
                    without.update(*x);
                    also_without.update(*x);
                }
            }
            prop_assert_eq!(with, without);
            prop_assert_eq!(also_with, also_without);
        });
    }
}
