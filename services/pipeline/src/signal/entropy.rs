//! Normalised entropy: u = −Σ p ln p / ln K over K classes, where 0·ln 0 = 0. 0 is certain, 1 is a draw of all.

use super::tempered::Tempered;
use super::{Evidence, Kind, Measure, Range, Signal, Subject};
use crate::head::Values;

pub(super) const KIND: Kind = Kind {
    words: "an entropy",
    range: Range::Unit,
    is_costly: false,
    reads_features: false,
    make,
    #[cfg(test)]
    specimens,
};

fn make(subject: &Subject<'_>) -> Option<Box<dyn Measure>> {
    let Values::Classes(classes @ 2..) = subject.holds.values else {
        return None;
    };
    Some(Box::new(Entropy {
        tempered: Tempered::new(subject.holds, subject.temperature),
        scale: 1.0 / (classes as f32).ln(),
    }))
}

#[derive(Debug)]
struct Entropy {
    tempered: Tempered,
    /// 1/ln K.
    scale: f32,
}

impl Measure for Entropy {
    fn signal(&self) -> Signal {
        Signal::Entropy
    }

    fn measure_row(&self, Evidence { predictions, .. }: &Evidence<'_>, row: usize) -> f32 {
        if !predictions.is_valid(row) {
            return f32::NAN;
        }
        // For weights w of which the highest is 1, and W = Σ w: −Σ p ln p = ln W − Σ w ln w / W.
        let (mut others, mut depths, mut first) = (0.0, 0.0, 0.0);
        self.tempered.weights_and_depths(predictions, row, |weight, depth| {
            others += if weight > first { first } else { weight };
            first = if weight > first { weight } else { first };
            depths += weight * depth;
        });
        let entropy = f32::ln_1p(others) + depths / (1.0 + others);
        (entropy * self.scale).min(1.0)
    }
}

#[cfg(test)]
fn specimens() -> Vec<super::laws::Specimen> {
    use super::laws::Specimen;
    let rows: &[&[f32]] = &[&[9.0, 1.0, -4.0], &[2.0, 1.5, 1.0]];
    vec![
        Specimen::classes("logits", rows),
        Specimen::classes("logits", rows).at_temperature(0.5),
        Specimen::classes("probabilities", &[&[1.0, 0.0], &[0.5, 0.5]]),
        Specimen::classes("probabilities", &[&[1.0, 0.0], &[0.5, 0.5]]).at_temperature(3.0),
    ]
}
