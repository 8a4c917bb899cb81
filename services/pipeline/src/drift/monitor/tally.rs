//! What was counted.

/// A count for each series and a number for each sum of a [`Monitor`](super::Monitor). Those of lanes, replicas and spans of
/// time add up.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tally {
    /// In the order of [`Monitor::series`](super::Monitor::series).
    pub counts: Vec<u64>,
    /// Sums of values; which, [`Subject::sum`](super::Subject::sum) says.
    pub sums: Vec<f64>,
}

impl Tally {
    /// Forgets all, and keeps the memory.
    pub fn clear(&mut self) {
        self.counts.fill(0);
        self.sums.fill(0.0);
    }

    /// Adds what was counted elsewhere by the same monitor.
    pub fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(a, b)| *a += b);
        self.sums.iter_mut().zip(&other.sums).for_each(|(a, b)| *a += b);
    }

    /// What was counted since `earlier`, which is the same tally as it was then.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let counts = self.counts.iter().zip(&earlier.counts).map(|(now, then)| now - then);
        let sums = self.sums.iter().zip(&earlier.sums).map(|(now, then)| now - then);
        Self {
            counts: counts.collect(),
            sums: sums.collect(),
        }
    }
}
