//! Vote entropy: −Σ v ln v / ln min(K, M) over the shares v of M models' votes for each of K classes. 0 when all vote alike.

use super::committee::{all_valid, classes, members};
use super::{Evidence, Kind, Measure, Range, Signal, Subject};

pub(super) const KIND: Kind = Kind {
    words: "a vote entropy",
    range: Range::Unit,
    is_costly: false,
    reads_features: false,
    make,
    #[cfg(test)]
    specimens,
};

fn make(subject: &Subject<'_>) -> Option<Box<dyn Measure>> {
    let models = subject.peers.len() + 1;
    let most = classes(subject)?.min(models) as f32;
    Some(Box::new(VoteEntropy {
        models: models as f32,
        scale: 1.0 / most.ln(),
    }))
}

#[derive(Debug)]
struct VoteEntropy {
    models: f32,
    /// 1/ln min(K, M).
    scale: f32,
}

impl Measure for VoteEntropy {
    fn signal(&self) -> Signal {
        Signal::VoteEntropy
    }

    fn measure_row(&self, evidence: &Evidence<'_>, row: usize) -> f32 {
        if !all_valid(evidence, row) {
            return f32::NAN;
        }
        let votes = members(evidence).map(|member| member.class(row));
        // −Σ v ln v over classes is the mean of −ln v over the models that voted so.
        let surprise: f32 = votes
            .clone()
            .map(|vote| (self.models / votes.clone().filter(|other| *other == vote).count() as f32).ln())
            .sum();
        (surprise / self.models * self.scale).min(1.0)
    }
}

#[cfg(test)]
fn specimens() -> Vec<super::laws::Specimen> {
    use super::laws::Specimen;
    let own: &[&[f32]] = &[&[0.9, 0.1, 0.0], &[0.9, 0.1, 0.0]];
    vec![
        Specimen::classes("probabilities", own).with_peer(&[&[0.6, 0.4, 0.0], &[0.4, 0.6, 0.0]]),
        Specimen::classes("probabilities", own)
            .with_peer(&[&[0.4, 0.6, 0.0], &[0.4, 0.6, 0.0]])
            .with_peer(&[&[0.8, 0.1, 0.1], &[0.1, 0.1, 0.8]]),
    ]
}
