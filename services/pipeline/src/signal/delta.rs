//! Difference of two regressions: |Δ|/σ, where σ is the standard deviation of the value on reference data; of the target
//! and the peer where it is largest, as w/(1+w).

use super::committee::all_valid;
use super::{Evidence, Kind, Measure, Range, Scale, Signal, Subject, relative, squashed};
use crate::head::Values;

pub(super) const KIND: Kind = Kind {
    words: "a difference from another model",
    range: Range::Unit,
    is_costly: false,
    reads_features: false,
    make,
    #[cfg(test)]
    specimens,
};

fn make(subject: &Subject<'_>) -> Option<Box<dyn Measure>> {
    let regress = |values: Values| values == Values::Targets;
    let all_regress = regress(subject.holds.values) && subject.peers.iter().all(|peer| regress(peer.values));
    let is_served = all_regress && !subject.peers.is_empty() && !subject.scales.is_empty();
    is_served.then(|| {
        Box::new(Delta {
            scales: subject.scales.to_vec(),
        }) as Box<dyn Measure>
    })
}

#[derive(Debug)]
struct Delta {
    scales: Vec<Scale>,
}

impl Measure for Delta {
    fn signal(&self) -> Signal {
        Signal::Delta
    }

    fn measure_row(&self, evidence: &Evidence<'_>, row: usize) -> f32 {
        if !all_valid(evidence, row) {
            return f32::NAN;
        }
        let own = evidence.predictions.values(row);
        let mut most: f32 = 0.0;
        for peer in evidence.peers {
            for ((a, b), scale) in own.iter().zip(peer.values(row)).zip(&self.scales) {
                most = most.max(relative((a - b).abs(), scale.std));
            }
        }
        squashed(most)
    }
}

#[cfg(test)]
fn specimens() -> Vec<super::laws::Specimen> {
    use super::laws::Specimen;
    let scale = |std: f32| Scale { std, width: 0.0 };
    let regression = || Specimen::head(serde_json::json!({"type": "regression"}), &[&[2.0, 7.0], &[2.0, 7.0]]);
    vec![
        regression()
            .with_scales(&[scale(1.0), scale(3.0)])
            .with_peer(&[&[2.5, 7.0], &[2.5, 10.0]]),
        regression()
            .with_scales(&[scale(0.0), scale(1.0)])
            .with_peer(&[&[2.0, 7.0], &[2.1, 7.0]]),
    ]
}
