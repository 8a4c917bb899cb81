//! BALD: H(p̄) − mean H(pₘ) over M models and their mean p̄, divided by ln min(K, M). It is the mean divergence of the
//! models from their consensus: 0 when all give the same probabilities, however uncertain these are.

use super::committee::{all_valid, classes, members};
use super::{Evidence, Kind, Measure, Range, Signal, Subject};

pub(super) const KIND: Kind = Kind {
    words: "a BALD score",
    range: Range::Unit,
    is_costly: false,
    reads_features: false,
    make,
    #[cfg(test)]
    specimens,
};

fn make(subject: &Subject<'_>) -> Option<Box<dyn Measure>> {
    let models = subject.peers.len() + 1;
    let classes = classes(subject)?;
    Some(Box::new(Bald {
        classes,
        models: models as f32,
        scale: 1.0 / (classes.min(models) as f32).ln(),
    }))
}

#[derive(Debug)]
struct Bald {
    classes: usize,
    models: f32,
    /// 1/ln min(K, M).
    scale: f32,
}

impl Measure for Bald {
    fn signal(&self) -> Signal {
        Signal::Bald
    }

    fn measure_row(&self, evidence: &Evidence<'_>, row: usize) -> f32 {
        if !all_valid(evidence, row) {
            return f32::NAN;
        }
        let mut divergence = 0.0;
        for class in 0..self.classes {
            let shares = members(evidence).map(|member| member.values(row)[class]);
            let mean = shares.clone().sum::<f32>() / self.models;
            // Not a difference of entropies, which would lose small divergences to rounding.
            divergence += shares.filter(|p| *p > 0.0).map(|p| p * (p / mean).ln()).sum::<f32>();
        }
        (divergence / self.models * self.scale).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
fn specimens() -> Vec<super::laws::Specimen> {
    use super::laws::Specimen;
    let own: &[&[f32]] = &[&[0.5, 0.5, 0.0], &[0.9, 0.1, 0.0]];
    vec![
        Specimen::classes("probabilities", own).with_peer(&[&[0.5, 0.5, 0.0], &[0.4, 0.6, 0.0]]),
        Specimen::classes("probabilities", own)
            .with_peer(&[&[0.4, 0.6, 0.0], &[0.4, 0.6, 0.0]])
            .with_peer(&[&[0.6, 0.4, 0.0], &[0.0, 0.0, 1.0]]),
    ]
}
