//! Free energy: −ln Σ exp(z) over the logits z, at temperature 1 (Liu et al., NeurIPS 2020). Events unlike the training
//! data have low logits throughout, so a high energy.

use super::tempered::max;
use super::{Evidence, Kind, Measure, Range, Signal, Subject};
use crate::head::Values;

pub(super) const KIND: Kind = Kind {
    words: "an energy",
    range: Range::Open,
    is_costly: false,
    reads_features: false,
    make,
    #[cfg(test)]
    specimens,
};

fn make(subject: &Subject<'_>) -> Option<Box<dyn Measure>> {
    match (subject.holds.values, subject.holds.logits) {
        (Values::Classes(_), true) => Some(Box::new(Energy)),
        _ => None,
    }
}

#[derive(Debug)]
struct Energy;

impl Measure for Energy {
    fn signal(&self) -> Signal {
        Signal::Energy
    }

    fn measure_row(&self, Evidence { predictions, .. }: &Evidence<'_>, row: usize) -> f32 {
        if !predictions.is_valid(row) {
            return f32::NAN;
        }
        // The head has computed the sum: the highest probability is exp(z₁) / Σ exp(z).
        max(predictions.values(row)).ln() - max(predictions.logits(row))
    }
}

#[cfg(test)]
fn specimens() -> Vec<super::laws::Specimen> {
    use super::laws::Specimen;
    vec![
        Specimen::classes("logits", &[&[9.0, 1.0, -4.0], &[0.5, 0.1, -0.7]]),
        Specimen::head(
            serde_json::json!({"type": "binary", "from": "logits"}),
            &[&[-7.0], &[0.5]],
        ),
    ]
}
