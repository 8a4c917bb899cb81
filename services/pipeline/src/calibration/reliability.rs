//! Reliability: how often the class that was decided for is right, by its confidence.

use serde::{Deserialize, Serialize};

/// Bins of confidence, each 1/15 wide and closed above; a confidence of 0 is in the first.
const BINS: usize = 15;

/// Counts of one model's decisions by confidence.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reliability {
    bins: [Bin; BINS],
}

/// What is counted of a bin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bin {
    /// Decisions.
    pub count: u64,
    /// Sum of their confidences.
    pub confidence: f64,
    /// Those that were right.
    pub correct: u64,
}

impl Bin {
    /// By how much the confidences exceed the right decisions, summed.
    fn excess(&self) -> f64 {
        self.confidence - self.correct as f64
    }
}

impl Reliability {
    /// Nothing counted yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts one decision, for the class `decided` where `label` was right. A confidence that is not finite counts as 0.
    pub fn push(&mut self, confidence: f64, decided: usize, label: usize) {
        let confidence = if confidence.is_finite() {
            confidence.clamp(0.0, 1.0)
        } else {
            0.0
        };
        let above = (confidence * BINS as f64).ceil() as usize;
        let bin = &mut self.bins[above.clamp(1, BINS) - 1];
        bin.count += 1;
        bin.confidence += confidence;
        bin.correct += u64::from(decided == label);
    }

    /// Adds the counts of another part.
    pub fn merge(&mut self, other: &Self) {
        for (bin, other) in self.bins.iter_mut().zip(&other.bins) {
            bin.count += other.count;
            bin.confidence += other.confidence;
            bin.correct += other.correct;
        }
    }

    /// The bins, from the lowest confidence.
    pub fn bins(&self) -> &[Bin] {
        &self.bins
    }

    /// Decisions in all.
    pub fn count(&self) -> u64 {
        self.bins.iter().map(|bin| bin.count).sum()
    }

    /// Share of decisions that were right; NaN without any.
    pub fn accuracy(&self) -> f64 {
        self.mean(|bin| bin.correct as f64)
    }

    /// Expected calibration error (ECE): Σ |Σ confidence − right| / n. NaN without decisions. Small samples overstate it by
    /// about [`Self::noise`]: show it with the count, and from 1,000 decisions on.
    pub fn expected_error(&self) -> f64 {
        self.mean(|bin| bin.excess().abs())
    }

    /// The same with its sign: positive for a model that is too sure.
    pub fn over_confidence(&self) -> f64 {
        self.mean(Bin::excess)
    }

    /// Maximum calibration error (MCE): the largest of a bin, by its own count. 0 without decisions.
    pub fn maximum_error(&self) -> f64 {
        let filled = self.bins.iter().filter(|bin| bin.count > 0);
        filled
            .map(|bin| bin.excess().abs() / bin.count as f64)
            .fold(0.0, f64::max)
    }

    /// The expected calibration error that a calibrated model would show on so few decisions:
    /// Σ √(2/π)·√(n·a·(1−a)) / Σ n over the accuracies a of the bins.
    pub fn noise(&self) -> f64 {
        self.mean(|bin| {
            let right = bin.correct as f64;
            let wrong = (bin.count - bin.correct) as f64;
            (std::f64::consts::FRAC_2_PI * right * wrong / (bin.count as f64).max(1.0)).sqrt()
        })
    }

    fn mean(&self, of: impl Fn(&Bin) -> f64) -> f64 {
        self.bins.iter().map(of).sum::<f64>() / self.count() as f64
    }
}
