//! The highest logit, turned round: −max z (Hendrycks et al., ICML 2022). Events unlike the training data have low logits.

use super::tempered::max;
use super::{Evidence, Kind, Measure, Range, Signal, Subject};
use crate::head::Values;

pub(super) const KIND: Kind = Kind {
    words: "a highest logit",
    range: Range::Open,
    is_costly: false,
    reads_features: false,
    make,
    #[cfg(test)]
    specimens,
};

fn make(subject: &Subject<'_>) -> Option<Box<dyn Measure>> {
    match (subject.holds.values, subject.holds.logits) {
        (Values::Classes(_), true) => Some(Box::new(MaxLogit)),
        _ => None,
    }
}

#[derive(Debug)]
struct MaxLogit;

impl Measure for MaxLogit {
    fn signal(&self) -> Signal {
        Signal::MaxLogit
    }

    fn measure_row(&self, Evidence { predictions, .. }: &Evidence<'_>, row: usize) -> f32 {
        if predictions.is_valid(row) {
            0.0 - max(predictions.logits(row))
        } else {
            f32::NAN
        }
    }
}

#[cfg(test)]
fn specimens() -> Vec<super::laws::Specimen> {
    vec![super::laws::Specimen::classes(
        "logits",
        &[&[9.0, 1.0, -4.0], &[0.5, 0.1, -0.7]],
    )]
}
