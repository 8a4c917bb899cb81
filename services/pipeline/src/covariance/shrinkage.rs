//! Shrinkage: a covariance drawn towards equal and independent features by as much as the rows are too few, so that it has
//! an inverse.

use super::{Error, Moments};

/// A covariance that was drawn towards μ·I, where μ is the mean variance.
#[derive(Debug, Clone, PartialEq)]
pub struct Shrunk {
    /// From 0, as it was, to 1, equal and independent.
    pub shrinkage: f64,
    /// d by d, row-major.
    pub covariance: Vec<f64>,
}

/// Shrinks by the formula of Ledoit & Wolf (2004), as scikit-learn does. `fourth_powers` is the sum of
/// [`Moments::fourth_power`] over the rows.
///
/// # Errors
/// [`Error::NoRows`].
pub fn ledoit_wolf(moments: &Moments, fourth_powers: f64) -> Result<Shrunk, Error> {
    let covariance = moments.covariance()?;
    let (d, n) = (moments.mean().len() as f64, moments.count() as f64);
    let mean_variance = mean_variance(&covariance, moments.mean().len());
    let squares: f64 = covariance.iter().map(|c| c * c).sum();
    let error = (fourth_powers / n - squares) / (n * d);
    let distance = squares / d - mean_variance * mean_variance;
    // Never past the target, and not at all where the covariance is the target.
    let error = error.min(distance);
    let shrinkage = if error == 0.0 { 0.0 } else { error / distance };
    Ok(shrink(covariance, mean_variance, shrinkage))
}

/// Shrinks by the oracle approximating formula (OAS; Chen, Wiesel, Eldar & Hero 2010), as scikit-learn does.
///
/// # Errors
/// [`Error::NoRows`].
pub fn oracle_approximating(moments: &Moments) -> Result<Shrunk, Error> {
    let covariance = moments.covariance()?;
    let (d, n) = (moments.mean().len() as f64, moments.count() as f64);
    let mean_variance = mean_variance(&covariance, moments.mean().len());
    let mean_square = covariance.iter().map(|c| c * c).sum::<f64>() / (d * d);
    let target = mean_variance * mean_variance;
    let above = mean_square + target;
    let below = (n + 1.0) * (mean_square - target / d);
    let shrinkage = if below == 0.0 { 1.0 } else { (above / below).min(1.0) };
    Ok(shrink(covariance, mean_variance, shrinkage))
}

fn mean_variance(covariance: &[f64], d: usize) -> f64 {
    covariance.iter().step_by(d + 1).sum::<f64>() / d as f64
}

fn shrink(mut covariance: Vec<f64>, mean_variance: f64, shrinkage: f64) -> Shrunk {
    let d = covariance.len().isqrt();
    covariance.iter_mut().for_each(|c| *c *= 1.0 - shrinkage);
    covariance
        .iter_mut()
        .step_by(d + 1)
        .for_each(|variance| *variance += shrinkage * mean_variance);
    Shrunk { shrinkage, covariance }
}
