//! The score of a head of type `anomaly`, which has turned it so that higher is more anomalous.

use super::{Evidence, Kind, Measure, Range, Signal, Subject};
use crate::head::Values;

pub(super) const KIND: Kind = Kind {
    words: "an anomaly score",
    range: Range::Open,
    is_costly: false,
    reads_features: false,
    make,
    #[cfg(test)]
    specimens,
};

fn make(subject: &Subject<'_>) -> Option<Box<dyn Measure>> {
    (subject.holds.values == Values::Score).then(|| Box::new(Anomaly) as Box<dyn Measure>)
}

#[derive(Debug)]
struct Anomaly;

impl Measure for Anomaly {
    fn signal(&self) -> Signal {
        Signal::Anomaly
    }

    fn measure_row(&self, evidence: &Evidence<'_>, row: usize) -> f32 {
        evidence.predictions.anomaly(row).unwrap_or(f32::NAN)
    }
}

#[cfg(test)]
fn specimens() -> Vec<super::laws::Specimen> {
    vec![super::laws::Specimen::head(
        serde_json::json!({"type": "anomaly", "higher_is": "normal"}),
        &[&[0.2], &[-3.0]],
    )]
}
