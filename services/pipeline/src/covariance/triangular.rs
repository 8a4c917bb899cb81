//! Triangular factors of a covariance. Lower-triangular matrices are packed: row after row, each up to the diagonal.

use super::Error;

/// W with WᵀW = Σ⁻¹, lower-triangular and packed, for a symmetric Σ of d by d, row-major: the inverse of Σ's Cholesky
/// factor. ‖W(x−μ)‖² is then the squared Mahalanobis distance.
///
/// # Errors
/// [`Error::Singular`] when Σ is not positive definite.
pub fn whitener(covariance: &[f64]) -> Result<Vec<f64>, Error> {
    let d = covariance.len().isqrt();
    let factor = cholesky(covariance, d)?;
    let mut inverse = vec![0.0; factor.len()];
    for row in 0..d {
        let pivot = factor[packed(row, row)];
        for column in 0..row {
            let sum: f64 = (column..row)
                .map(|k| factor[packed(row, k)] * inverse[packed(k, column)])
                .sum();
            inverse[packed(row, column)] = -sum / pivot;
        }
        inverse[packed(row, row)] = 1.0 / pivot;
    }
    Ok(inverse)
}

/// Σ⁻¹, d by d, row-major.
///
/// # Errors
/// As [`whitener`].
pub fn inverse(covariance: &[f64]) -> Result<Vec<f64>, Error> {
    let d = covariance.len().isqrt();
    let w = whitener(covariance)?;
    let element = |i: usize, j: usize| (i.max(j)..d).map(|k| w[packed(k, i)] * w[packed(k, j)]).sum();
    Ok((0..d * d).map(|at| element(at / d, at % d)).collect())
}

/// Where an element on or below the diagonal stands.
const fn packed(row: usize, column: usize) -> usize {
    row * (row + 1) / 2 + column
}

/// C with CCᵀ = Σ.
fn cholesky(covariance: &[f64], d: usize) -> Result<Vec<f64>, Error> {
    let mut factor = vec![0.0; d * (d + 1) / 2];
    for row in 0..d {
        for column in 0..=row {
            let sum: f64 = (0..column)
                .map(|k| factor[packed(row, k)] * factor[packed(column, k)])
                .sum();
            let rest = covariance[row * d + column] - sum;
            factor[packed(row, column)] = if row > column {
                rest / factor[packed(column, column)]
            } else if rest > covariance[row * d + row] * 1e-14 {
                rest.sqrt()
            } else {
                return Err(Error::Singular { feature: row });
            };
        }
    }
    Ok(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_that_repeats_another_is_named() {
        let repeated = [1.0, 0.5, 1.0, 0.5, 2.0, 0.5, 1.0, 0.5, 1.0];
        assert_eq!(whitener(&repeated), Err(Error::Singular { feature: 2 }));
        assert_eq!(whitener(&[0.0]), Err(Error::Singular { feature: 0 }));
        assert_eq!(whitener(&[f64::NAN]), Err(Error::Singular { feature: 0 }));
        assert_eq!(whitener(&[4.0]), Ok(vec![0.5]));
    }
}
