//! Generalised entropy: Σ (p·(1−p))^γ over the 100 highest probabilities, γ = 0.1 (Liu et al., CVPR 2023).

use super::{Evidence, Kind, Measure, Range, Signal, Subject};
use crate::head::{Values, highest};

const GAMMA: f32 = 0.1;

/// Probabilities that count, from the highest down.
const TOP: usize = 100;

pub(super) const KIND: Kind = Kind {
    words: "a generalised entropy",
    range: Range::Open,
    is_costly: false,
    reads_features: false,
    make,
    #[cfg(test)]
    specimens,
};

fn make(subject: &Subject<'_>) -> Option<Box<dyn Measure>> {
    match subject.holds.values {
        Values::Classes(2..) => Some(Box::new(Gen)),
        _ => None,
    }
}

#[derive(Debug)]
struct Gen;

impl Measure for Gen {
    fn signal(&self) -> Signal {
        Signal::Gen
    }

    fn measure_row(&self, Evidence { predictions, .. }: &Evidence<'_>, row: usize) -> f32 {
        if !predictions.is_valid(row) {
            return f32::NAN;
        }
        let values = predictions.values(row);
        let top = highest(values);
        let others = || values[..top].iter().chain(&values[top + 1..]).copied();
        // What the highest lacks to 1 is the sum of the others; a difference would lose it to rounding.
        let rest: f32 = others().sum();
        let total = values[top] + rest;
        let term = |p: f32, not_p: f32| (p * not_p / (total * total)).powf(GAMMA);
        let below: f32 = if values.len() <= TOP {
            others().map(|p| term(p, total - p)).sum()
        } else {
            let mut kept = [0.0; TOP - 1];
            keep_highest(others(), &mut kept);
            kept.into_iter().map(|p| term(p, total - p)).sum()
        };
        term(values[top], rest) + below
    }
}

/// Fills `kept` with the highest of the values, in no order.
fn keep_highest(values: impl Iterator<Item = f32>, kept: &mut [f32]) {
    let mut least = 0;
    for value in values {
        if value > kept[least] {
            kept[least] = value;
            least = (0..kept.len()).fold(0, |a, b| if kept[b] < kept[a] { b } else { a });
        }
    }
}

#[cfg(test)]
fn specimens() -> Vec<super::laws::Specimen> {
    use super::laws::Specimen;
    let many = |first: f32| -> Vec<f32> { (0..250).map(|at| if at == 40 { first } else { 0.01 }).collect() };
    vec![
        Specimen::classes("logits", &[&[9.0, 1.0, -4.0], &[0.5, 0.1, -0.7]]),
        Specimen::classes("logits", &[&many(20.0), &many(1.0)]),
    ]
}
