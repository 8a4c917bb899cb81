//! SimHash: 64 bits of an event that are alike for events that are alike (Charikar, STOC 2002).
//!
//! Owns: the projections. Never does: remember what it has hashed.
//!
//! Invariant: the same seed gives the same bits for the same features.

use crate::seed;
use crate::signal::Standard;

/// Bits, one for each projection.
const BITS: usize = 64;

/// Hashes events by the signs of 64 projections of their standardised features. A missing feature is taken for the
/// reference's median.
#[derive(Debug, Clone)]
pub struct SimHash {
    columns: Vec<Standard>,
    /// The weight of each column in every projection.
    weights: Vec<[f32; BITS]>,
}

impl SimHash {
    /// Gaussian projections from a seed, over these columns.
    pub fn new(columns: Vec<Standard>, seed: u64) -> Self {
        let weight = |at: usize| seed::normal(seed, at as u64) as f32;
        let of_column = |column: usize| std::array::from_fn(|bit| weight(column * BITS + bit));
        let weights = (0..columns.len()).map(of_column).collect();
        Self { columns, weights }
    }

    /// Given projections: for each column its weight in all of them.
    ///
    /// # Panics
    /// When there are not as many as columns.
    pub fn with_weights(columns: Vec<Standard>, weights: Vec<[f32; BITS]>) -> Self {
        assert_eq!(columns.len(), weights.len(), "each column has weights");
        Self { columns, weights }
    }

    /// The bits of one event, the lowest for the first projection. Two events are near duplicates when few bits differ:
    /// `(a ^ b).count_ones()`.
    ///
    /// # Panics
    /// When a column lies outside the features.
    pub fn of(&self, features: &[f32]) -> u64 {
        let mut sums = [0.0; BITS];
        for (column, weights) in self.columns.iter().zip(&self.weights) {
            let value = column.of(features);
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum += weight * value;
            }
        }
        let bit = |hash: u64, (at, sum): (usize, &f32)| hash | (u64::from(*sum > 0.0) << at);
        sums.iter().enumerate().fold(0, bit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(count: usize) -> Vec<Standard> {
        let standard = |position| Standard {
            position,
            mean: 1.0,
            std: 2.0,
            median: 1.0,
        };
        (0..count).map(standard).collect()
    }

    #[test]
    fn nearer_events_share_more_bits() {
        let hash = SimHash::new(columns(20), 42);
        let event: Vec<f32> = (0..20).map(|at| (at as f32).sin() * 3.0).collect();
        let moved = |by: f32| -> u32 {
            let other: Vec<f32> = event
                .iter()
                .enumerate()
                .map(|(at, x)| x + by * (at as f32).cos())
                .collect();
            (hash.of(&event) ^ hash.of(&other)).count_ones()
        };
        assert_eq!(moved(0.0), 0);
        assert!(moved(0.01) <= 3, "{}", moved(0.01));
        assert!(moved(10.0) > 10, "{}", moved(10.0));
    }

    #[test]
    fn a_missing_feature_counts_as_the_median_and_without_features_there_are_no_bits() {
        let hash = SimHash::new(columns(3), 42);
        assert_eq!(hash.of(&[0.0, f32::NAN, 5.0]), hash.of(&[0.0, 1.0, 5.0]));
        assert_eq!(SimHash::new(Vec::new(), 42).of(&[]), 0);
    }
}
