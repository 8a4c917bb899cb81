//! HBOS as PyOD has it: densities in bins between the least and the greatest value of the reference.

/// What the score is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HistogramScore {
    /// Bins of each feature.
    pub bins: usize,
    /// Added to each density.
    pub alpha: f64,
    /// Part of a bin's width by which a value may lie outside and still count to the outermost bin.
    pub tolerance: f64,
}

/// The scores of `rows`, higher for the more anomalous.
pub fn histogram_score(reference: &[Vec<f64>], rows: &[Vec<f64>], of: HistogramScore) -> Vec<f64> {
    let mut scores = vec![0.0; rows.len()];
    let features = rows.first().map_or(0, Vec::len);
    for feature in 0..features {
        let values = || reference.iter().map(|row| row[feature]);
        let (low, high) = (
            values().fold(f64::INFINITY, f64::min),
            values().fold(f64::NEG_INFINITY, f64::max),
        );
        let edges: Vec<f64> = (0..=of.bins)
            .map(|k| low + (high - low) * k as f64 / of.bins as f64)
            .collect();
        // Bins are closed below, and the last one above, too.
        let bin = |value: f64| edges.partition_point(|edge| *edge <= value);
        let mut counts = vec![0.0; of.bins];
        values().for_each(|value| counts[bin(value).min(of.bins) - 1] += 1.0);
        let total = reference.len() as f64;
        let weights: Vec<f64> = counts
            .iter()
            .zip(edges.windows(2))
            .map(|(count, edges)| (count / (total * (edges[1] - edges[0])) + of.alpha).log2())
            .collect();
        let least = weights.iter().copied().fold(f64::INFINITY, f64::min);
        let near = of.tolerance * (edges[1] - edges[0]);
        for (score, row) in scores.iter_mut().zip(rows) {
            let value = row[feature];
            *score -= match bin(value) {
                0 if low - value <= near => weights[0],
                at if at > of.bins && value - high <= near => weights[of.bins - 1],
                0 => least,
                at if at > of.bins => least,
                at => weights[at - 1],
            };
        }
    }
    scores
}
