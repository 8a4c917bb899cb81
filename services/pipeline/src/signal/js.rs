//! Jensen-Shannon divergence from the peer that differs most, divided by ln 2. 0 when both give the same probabilities, 1
//! when each excludes what the other holds possible.

use super::committee::{all_valid, classes};
use super::{Evidence, Kind, Measure, Range, Signal, Subject};

pub(super) const KIND: Kind = Kind {
    words: "a Jensen-Shannon divergence",
    range: Range::Unit,
    is_costly: false,
    reads_features: false,
    make,
    #[cfg(test)]
    specimens,
};

fn make(subject: &Subject<'_>) -> Option<Box<dyn Measure>> {
    classes(subject).map(|_| Box::new(Js) as Box<dyn Measure>)
}

#[derive(Debug)]
struct Js;

impl Measure for Js {
    fn signal(&self) -> Signal {
        Signal::Js
    }

    fn measure_row(&self, evidence: &Evidence<'_>, row: usize) -> f32 {
        if !all_valid(evidence, row) {
            return f32::NAN;
        }
        let own = evidence.predictions.values(row);
        let from = |peer: &[f32]| -> f32 { own.iter().zip(peer).map(|(p, q)| toward(*p, *q) + toward(*q, *p)).sum() };
        let most = evidence
            .peers
            .iter()
            .map(|peer| from(peer.values(row)))
            .fold(0.0, f32::max);
        (0.5 * most / std::f32::consts::LN_2).min(1.0)
    }
}

/// One term of the divergence from the mean of both.
fn toward(p: f32, q: f32) -> f32 {
    if p > 0.0 { p * (p / (0.5 * (p + q))).ln() } else { 0.0 }
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
