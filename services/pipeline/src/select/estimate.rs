//! Estimates from selected samples: what the recorded inclusion probabilities are for.
//!
//! Owns: the Hájek estimate and its interval, and the Wilson interval of a share.
//! Never does: gather samples.
//!
//! Invariant: an estimate over samples whose probabilities are right is unbiased (asymptotically, for Hájek's ratio),
//! whichever arms selected them and however often the probabilities changed.

/// The 97.5 % quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// A value with the variance of its estimate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// Its estimated variance.
    pub variance: f64,
}

/// Hájek's estimate of a mean over the whole stream: `Σ(y/π) / Σ(1/π)`, with variance
/// `Σ(1−π)((y−ȳ)/π)² / (Σ1/π)²` (Hájek 1971). Each sample is its value and its inclusion probability, above 0 and at most 1.
/// `None` without samples.
pub fn hajek<I>(samples: I) -> Option<Estimate>
where
    I: IntoIterator<Item = (f64, f64), IntoIter: Clone>,
{
    let samples = samples.into_iter();
    let (sum, weight) = samples.clone().fold((0.0, 0.0), |(sum, weight), (value, probability)| {
        (sum + value / probability, weight + 1.0 / probability)
    });
    if weight == 0.0 {
        return None;
    }
    let mean = sum / weight;
    let squares: f64 = samples
        .map(|(value, probability)| (1.0 - probability) * ((value - mean) / probability).powi(2))
        .sum();
    Some(Estimate {
        value: mean,
        variance: squares / (weight * weight),
    })
}

/// The Wilson 95 % interval of a share of `hits` among `n`; `None` when there are none. Right only where every sample had
/// the same inclusion probability.
pub fn wilson(hits: u64, n: u64) -> Option<(f64, f64)> {
    if n == 0 {
        return None;
    }
    let (n, share) = (n as f64, hits as f64 / n as f64);
    let centre = share + Z * Z / (2.0 * n);
    let reach = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    Some((((centre - reach) / scale).max(0.0), ((centre + reach) / scale).min(1.0)))
}
