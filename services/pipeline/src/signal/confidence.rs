//! The head's own confidence, as it is: a number that is reported, never a utility.

use super::{Evidence, Kind, Measure, Range, Signal, Subject};
use crate::head::Values;

pub(super) const KIND: Kind = Kind {
    words: "a confidence",
    range: Range::Unit,
    is_costly: false,
    reads_features: false,
    make,
    #[cfg(test)]
    specimens,
};

fn make(subject: &Subject<'_>) -> Option<Box<dyn Measure>> {
    match subject.holds.values {
        Values::Classes(_) | Values::Labels(_) => Some(Box::new(Confidence)),
        _ => None,
    }
}

#[derive(Debug)]
struct Confidence;

impl Measure for Confidence {
    fn signal(&self) -> Signal {
        Signal::Confidence
    }

    fn measure_row(&self, evidence: &Evidence<'_>, row: usize) -> f32 {
        evidence.predictions.confidence(row).unwrap_or(f32::NAN)
    }
}

#[cfg(test)]
fn specimens() -> Vec<super::laws::Specimen> {
    use super::laws::Specimen;
    vec![
        Specimen::classes("probabilities", &[&[0.6, 0.3, 0.1], &[0.8, 0.1, 0.1]]),
        Specimen::labels("logits", &[&[0.1, 3.0], &[2.0, 3.0]]),
    ]
}
