//! The mean squared error of a head of type `reconstruction` from the model's input.

use super::{Evidence, Kind, Measure, Range, Signal, Subject};
use crate::head::Values;

pub(super) const KIND: Kind = Kind {
    words: "a reconstruction error",
    range: Range::Open,
    is_costly: false,
    reads_features: false,
    make,
    #[cfg(test)]
    specimens,
};

fn make(subject: &Subject<'_>) -> Option<Box<dyn Measure>> {
    (subject.holds.values == Values::Reconstruction).then(|| Box::new(Reconstruction) as Box<dyn Measure>)
}

#[derive(Debug)]
struct Reconstruction;

impl Measure for Reconstruction {
    fn signal(&self) -> Signal {
        Signal::Reconstruction
    }

    fn measure_row(&self, evidence: &Evidence<'_>, row: usize) -> f32 {
        evidence.predictions.anomaly(row).unwrap_or(f32::NAN)
    }
}

#[cfg(test)]
fn specimens() -> Vec<super::laws::Specimen> {
    vec![super::laws::Specimen::head(
        serde_json::json!({"type": "reconstruction"}),
        &[&[0.5, 0.0], &[-3.0, 0.1]],
    )]
}
