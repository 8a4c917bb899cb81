//! Least confidence: u = (1 − p₁)·K/(K−1) for the highest probability p₁ of K classes. 0 is certain, 1 is a draw of all.

use super::tempered::Tempered;
use super::{Evidence, Kind, Measure, Range, Signal, Subject};
use crate::head::Values;

pub(super) const KIND: Kind = Kind {
    words: "a least confidence",
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
    Some(Box::new(LeastConfidence {
        tempered: Tempered::new(subject.holds, subject.temperature),
        scale: classes as f32 / (classes - 1) as f32,
    }))
}

#[derive(Debug)]
struct LeastConfidence {
    tempered: Tempered,
    /// K/(K−1).
    scale: f32,
}

impl Measure for LeastConfidence {
    fn signal(&self) -> Signal {
        Signal::LeastConfidence
    }

    fn measure_row(&self, Evidence { predictions, .. }: &Evidence<'_>, row: usize) -> f32 {
        if !predictions.is_valid(row) {
            return f32::NAN;
        }
        let (mut first, mut others) = (0.0, 0.0);
        self.tempered.weights(predictions, row, |weight| {
            others += if weight > first { first } else { weight };
            first = if weight > first { weight } else { first };
        });
        (others / (others + first) * self.scale).min(1.0)
    }
}

#[cfg(test)]
fn specimens() -> Vec<super::laws::Specimen> {
    use super::laws::Specimen;
    let rows: &[&[f32]] = &[&[9.0, 1.0, -4.0], &[2.0, 1.0, 1.5]];
    vec![
        Specimen::classes("logits", rows),
        Specimen::classes("logits", rows).at_temperature(2.5),
        Specimen::classes("probabilities", &[&[0.8, 0.2], &[0.4, 0.6]]).at_temperature(2.5),
    ]
}
