//! Class probabilities under a temperature, one row at a time and without memory of their own.
//!
//! Invariant: probabilities are given as they compare with the highest, never as what 1 lacks: a softmax that saturates
//! in 32 bits would tie most events of a stream at exactly 0.

use crate::head::{Holds, Predictions};

/// How the probabilities of a row are found.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tempered {
    /// As the head gives them. The logits, where there are any, give the logarithms.
    AsGiven { has_logits: bool },
    /// From the logits, each multiplied by this.
    Logits(f32),
    /// From the probabilities, each to this power.
    Power(f32),
}

impl Tempered {
    pub(super) fn new(holds: Holds, temperature: f32) -> Self {
        match (temperature == 1.0, holds.logits) {
            (true, has_logits) => Self::AsGiven { has_logits },
            (false, true) => Self::Logits(1.0 / temperature),
            (false, false) => Self::Power(1.0 / temperature),
        }
    }

    /// Hands over each class's weight: its probability times a number that is the same for the whole row.
    pub(super) fn weights(self, predictions: &Predictions, row: usize, mut each: impl FnMut(f32)) {
        let values = predictions.values(row);
        match self {
            Self::AsGiven { .. } => values.iter().for_each(|p| each(*p)),
            Self::Logits(by) => weigh(predictions.logits(row), by, |weight, _| each(weight)),
            Self::Power(by) => {
                let highest = max(values);
                values.iter().for_each(|p| each((p / highest).powf(by)));
            }
        }
    }

    /// Hands over each class's weight as it compares with the highest, and how far its logarithm lies below that: 1 and 0
    /// for the most probable class.
    pub(super) fn weights_and_depths(self, predictions: &Predictions, row: usize, mut each: impl FnMut(f32, f32)) {
        let values = predictions.values(row);
        match self {
            Self::AsGiven { has_logits: true } => {
                let logits = predictions.logits(row);
                let (highest, most) = (max(logits), 1.0 / max(values));
                for (z, p) in logits.iter().zip(values) {
                    each(p * most, highest - z);
                }
            }
            Self::AsGiven { has_logits: false } => {
                let most = 1.0 / max(values);
                values.iter().for_each(|p| each(p * most, depth(p * most)));
            }
            Self::Logits(by) => weigh(predictions.logits(row), by, each),
            Self::Power(by) => {
                let highest = max(values);
                for p in values {
                    let depth = depth(p / highest) * by;
                    each((-depth).exp(), depth);
                }
            }
        }
    }
}

/// Logits that are taken at once.
const LANES: usize = 8;

/// Weights and depths of logits, several at a time so that the compiler computes them in vector registers.
fn weigh(logits: &[f32], by: f32, mut each: impl FnMut(f32, f32)) {
    let highest = max(logits);
    for chunk in logits.chunks(LANES) {
        let (mut weights, mut depths) = ([0.0; LANES], [0.0; LANES]);
        for (depth, z) in depths.iter_mut().zip(chunk) {
            *depth = (highest - z) * by;
        }
        weigh_depths(&depths, &mut weights);
        for (weight, depth) in weights.into_iter().zip(depths).take(chunk.len()) {
            each(weight, depth);
        }
    }
}

/// Kept as a call: where it is inlined, the compiler undoes the vectors for the sake of what follows.
#[inline(never)]
fn weigh_depths(depths: &[f32; LANES], weights: &mut [f32; LANES]) {
    for (weight, depth) in weights.iter_mut().zip(depths) {
        *weight = exp(-depth);
    }
}

/// The exponential of a number that is not positive, to 2 units in the last place; what would come to less than
/// [`f32::MIN_POSITIVE`] comes to about that. Without branches and calls, so that loops over it vectorise (reduction to
/// r within ln 2 / 2 and the polynomial of Cephes).
fn exp(x: f32) -> f32 {
    // Adding it leaves a small number rounded to an integer in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let x = if x > -87.0 { x } else { -87.0 };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * 0.693_359_4) - n * -2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p * r + coefficient;
    }
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3F80_0000));
    (p * r * r + r + 1.0) * power
}

/// The highest number of a row.
pub(super) fn max(row: &[f32]) -> f32 {
    row.iter()
        .copied()
        .fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a })
}

/// How far the logarithm of a weight lies below 0. A weight of nothing is taken for the least there is, so that it times
/// its depth is nothing, too.
fn depth(weight: f32) -> f32 {
    -weight.max(f32::MIN_POSITIVE).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_that_of_the_library_to_2_units_in_the_last_place() {
        for step in 0..=86_999u32 {
            let x = -(step as f32) / 1_000.0;
            let (ours, exact) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((ours - exact).abs() <= 2.5e-7 * exact, "exp({x}) = {ours}, not {exact}");
        }
        assert!(exp(-800.0) < 2.0 * 1.18e-38);
        assert!(exp(f32::NEG_INFINITY) < 2.0 * 1.18e-38);
        assert_eq!(exp(0.0), 1.0);
    }
}
