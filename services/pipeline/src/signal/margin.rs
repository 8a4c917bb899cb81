//! Margin: u = 1 − (p₁ − p₂) for the two highest probabilities. 0 is certain, 1 is a draw of two.
//!
//! A binary head that decides at a threshold t is not least certain at p = ½ but at p = t, so there u says how close p is to
//! t: 1 at t, falling in straight lines to 0 at p = 0 and p = 1. At t = ½ that is the formula above.

use super::tempered::Tempered;
use super::{Evidence, Kind, Measure, Range, Signal, Subject};
use crate::head::Values;

pub(super) const KIND: Kind = Kind {
    words: "a margin",
    range: Range::Unit,
    is_costly: false,
    reads_features: false,
    make,
    #[cfg(test)]
    specimens,
};

fn make(subject: &Subject<'_>) -> Option<Box<dyn Measure>> {
    let Values::Classes(2..) = subject.holds.values else {
        return None;
    };
    let tempered = Tempered::new(subject.holds, subject.temperature);
    Some(match subject.holds.threshold {
        Some(threshold) => Box::new(FromThreshold {
            tempered,
            threshold: temper(threshold, subject.temperature),
        }),
        None => Box::new(Margin { tempered }),
    })
}

#[derive(Debug)]
struct Margin {
    tempered: Tempered,
}

impl Measure for Margin {
    fn signal(&self) -> Signal {
        Signal::Margin
    }

    fn measure_row(&self, Evidence { predictions, .. }: &Evidence<'_>, row: usize) -> f32 {
        if !predictions.is_valid(row) {
            return f32::NAN;
        }
        let (mut first, mut second, mut others) = (0.0, 0.0, 0.0);
        self.tempered.weights(predictions, row, |weight| {
            let lower = if weight > first { first } else { weight };
            second = if lower > second { lower } else { second };
            others += lower;
            first = if weight > first { weight } else { first };
        });
        ((others + second) / (others + first)).min(1.0)
    }
}

#[derive(Debug)]
struct FromThreshold {
    tempered: Tempered,
    threshold: f32,
}

impl Measure for FromThreshold {
    fn signal(&self) -> Signal {
        Signal::Margin
    }

    fn measure_row(&self, Evidence { predictions, .. }: &Evidence<'_>, row: usize) -> f32 {
        if !predictions.is_valid(row) {
            return f32::NAN;
        }
        let mut pair = [0.0; 2];
        let mut at = 0;
        self.tempered.weights(predictions, row, |weight| {
            pair[at & 1] = weight;
            at += 1;
        });
        margin_at(pair, self.threshold)
    }
}

/// How close the second of two classes, with these weights (probabilities times any number), comes to the threshold from
/// which on it is decided for: 1 at the threshold, 0 at the probabilities 0 and 1.
pub fn margin_at([first, second]: [f32; 2], threshold: f32) -> f32 {
    let (first, second) = (first / (first + second), second / (first + second));
    let margin = if second >= threshold {
        // At a threshold of 1 only certainty reaches it.
        if threshold < 1.0 {
            first / (1.0 - threshold)
        } else {
            1.0
        }
    } else {
        second / threshold
    };
    margin.min(1.0)
}

/// The threshold on the tempered scale: odds to the power 1/T.
fn temper(threshold: f32, temperature: f32) -> f32 {
    if temperature == 1.0 || threshold == 0.0 || threshold == 1.0 {
        return threshold;
    }
    let odds = (threshold / (1.0 - threshold)).powf(1.0 / temperature);
    odds / (1.0 + odds)
}

#[cfg(test)]
fn specimens() -> Vec<super::laws::Specimen> {
    use super::laws::Specimen;
    let rows: &[&[f32]] = &[&[9.0, 1.0, -4.0], &[2.0, 1.5, -9.0]];
    let binary = |from: &str, threshold: f32, rows: &[&[f32]]| {
        Specimen::head(
            serde_json::json!({"type": "binary", "from": from, "threshold": threshold}),
            rows,
        )
    };
    vec![
        Specimen::classes("logits", rows),
        Specimen::classes("logits", rows).at_temperature(0.5),
        Specimen::classes("probabilities", &[&[0.9, 0.1], &[0.5, 0.5]]).at_temperature(3.0),
        binary("probabilities", 0.2, &[&[0.5], &[0.2]]),
        binary("probabilities", 0.0, &[&[1.0], &[0.0]]),
        binary("probabilities", 1.0, &[&[0.5], &[1.0]]),
        binary("logits", 0.8, &[&[0.0], &[1.4]]).at_temperature(2.0),
    ]
}
