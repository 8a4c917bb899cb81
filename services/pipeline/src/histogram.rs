//! Histograms of numbers whose bins a reference fixed, so that counts of any parts of a stream add up.
//!
//! Owns: where the edges lie. Never does: move them.
//!
//! Invariant: bins are closed above. A value's bin is the number of edges below it, as for Prometheus' label `le`.

/// Interior edges of up to `bins` bins of equal mass: the values at k/bins of the sorted reference, by the inverted
/// distribution function x₍⌈N·k/bins⌉₎, without repeats and without the maximum. A reference of few values so gets fewer
/// bins, and a constant one none.
pub fn equal_mass_edges(sorted: &[f64], bins: usize) -> Vec<f64> {
    let mut edges: Vec<f64> = Vec::new();
    let Some(highest) = sorted.last() else {
        return edges;
    };
    for k in 1..bins {
        let edge = sorted[(sorted.len() * k).div_ceil(bins) - 1];
        if edge < *highest && edges.last().is_none_or(|last| edge > *last) {
            edges.push(edge);
        }
    }
    edges
}

/// The bin of a value: the number of edges strictly below it.
pub fn bin(edges: &[f64], value: f64) -> usize {
    edges.partition_point(|edge| *edge < value)
}

/// Values in each of the `edges.len() + 1` bins. Those that are not finite are left out.
pub fn counts(edges: &[f64], values: impl IntoIterator<Item = f64>) -> Vec<u64> {
    let mut counts = vec![0; edges.len() + 1];
    for value in values {
        if value.is_finite() {
            counts[bin(edges, value)] += 1;
        }
    }
    counts
}

/// Bins of equal width between two ends, with one bin below and one above.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EqualWidth {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Bins between the ends.
    pub bins: usize,
}

impl EqualWidth {
    /// Between the 0.1 % and the 99.9 % quantile of the sorted reference. A reference that is constant there gets bins of a
    /// hair's width, the first of which it fills. `None` without a value.
    pub fn fit(sorted: &[f64], bins: usize) -> Option<Self> {
        let at = |thousandths: usize| sorted.get((sorted.len() * thousandths).div_ceil(1000).max(1) - 1);
        let (low, high) = (*at(1)?, *at(999)?);
        if high > low {
            return Some(Self { low, high, bins });
        }
        let hair = low.abs().max(1.0) * 1e-6;
        Some(Self {
            low: low - 0.5 * hair,
            high: low + (bins as f64 - 0.5) * hair,
            bins,
        })
    }

    /// The `bins + 1` edges.
    pub fn edges(&self) -> Vec<f64> {
        let step = |k: usize| self.low + (self.high - self.low) * k as f64 / self.bins as f64;
        (0..=self.bins).map(step).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_of_nothing_has_no_edges() {
        assert!(equal_mass_edges(&[], 10).is_empty());
        assert_eq!(EqualWidth::fit(&[], 20), None);
        assert_eq!(counts(&[], [1.0, f64::NAN, f64::INFINITY]), [1]);
    }

    #[test]
    fn a_constant_fills_the_first_bin_between_the_ends() {
        for constant in [0.0, -5.0, 1e9] {
            let bins = EqualWidth::fit(&[constant; 10], 20).expect("there are values");
            let edges = bins.edges();
            assert_eq!(bin(&edges, constant), 1, "{constant}");
            let below = constant - 0.01 * constant.abs().max(1.0);
            assert_eq!(bin(&edges, below), 0, "{constant}");
        }
    }
}
