//! Projections of rows to a few numbers, each of which is then watched as a feature.

use crate::covariance::eigen;
use crate::seed;

/// z = W(x−μ), from d numbers to r.
#[derive(Debug, Clone, PartialEq)]
pub struct Projection {
    mean: Vec<f64>,
    /// W, one row of d numbers for each of r.
    weights: Vec<f64>,
}

impl Projection {
    /// From the mean of the reference and W, one row of d numbers after another. `None` when a number is not finite.
    ///
    /// # Panics
    /// When W has not rows of as many numbers as the mean, or the mean has none.
    pub fn new(mean: Vec<f64>, weights: Vec<f64>) -> Option<Self> {
        assert!(!mean.is_empty(), "a row has numbers");
        assert!(weights.len().is_multiple_of(mean.len()), "W has rows of d numbers");
        let is_finite = mean.iter().chain(&weights).all(|x| x.is_finite());
        is_finite.then_some(Self { mean, weights })
    }

    /// The first principal components: the eigenvectors of the reference's covariance, d by d, row-major, with the r
    /// largest eigenvalues; d of them when r is more. `None` when a number is not finite.
    ///
    /// # Panics
    /// When the covariance is not d by d for d numbers of the mean, or the mean has none.
    pub fn principal(mean: Vec<f64>, covariance: &[f64], r: usize) -> Option<Self> {
        let d = mean.len();
        assert_eq!(covariance.len(), d * d, "a covariance is d by d");
        let mut weights = eigen(covariance)?.vectors;
        weights.truncate(r * d);
        Self::new(mean, weights)
    }

    /// The first principal components, each divided by its standard deviation: numbers of variance 1 that vary
    /// independently, so that none outweighs the others by its unit. Components that do not vary, as far as numbers of 32
    /// bits tell, are left out: they would be rounding, made large. `None` when a number is not finite.
    ///
    /// # Panics
    /// When the covariance is not d by d for d numbers of the mean, or the mean has none.
    pub fn whitened(mean: Vec<f64>, covariance: &[f64], r: usize) -> Option<Self> {
        let d = mean.len();
        assert_eq!(covariance.len(), d * d, "a covariance is d by d");
        let parts = eigen(covariance)?;
        let rounding = f64::from(f32::EPSILON) * f64::from(f32::EPSILON) * 100.0;
        let least = parts.values.first().copied().unwrap_or_default() * rounding.max(d as f64 * f64::EPSILON);
        let varying = parts.values.iter().take(r).take_while(|value| **value > least);
        let vectors = parts.vectors.chunks_exact(d);
        let weights = varying.zip(vectors).flat_map(|(value, vector)| {
            let deviation = value.sqrt();
            vector.iter().map(move |x| x / deviation)
        });
        Self::new(mean, weights.collect())
    }

    /// Normal weights from a seed, of variance 1/d: features of variance 1 that vary independently give numbers of variance
    /// 1. `None` when a number is not finite.
    ///
    /// # Panics
    /// When the mean has no numbers.
    pub fn gaussian(mean: Vec<f64>, r: usize, seed: u64) -> Option<Self> {
        let scale = (mean.len() as f64).sqrt().recip();
        let weights = (0..r * mean.len()).map(|at| scale * seed::normal(seed, at as u64));
        let weights = weights.collect();
        Self::new(mean, weights)
    }

    /// W, one row of d numbers after another.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Mean of the reference.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Numbers of a row, d.
    pub fn width(&self) -> usize {
        self.mean.len()
    }

    /// Numbers that a row becomes, r.
    pub fn len(&self) -> usize {
        self.weights.len() / self.mean.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    /// Projects a row. One with a number that is not finite becomes numbers that are not, which nothing counts.
    ///
    /// # Panics
    /// When the row has not d numbers, or `out` not r places.
    pub fn project(&self, row: &[f64], out: &mut [f64]) {
        assert_eq!(row.len(), self.mean.len(), "a row has d numbers");
        assert_eq!(out.len(), self.len(), "one place for each number");
        for (out, weights) in out.iter_mut().zip(self.weights.chunks_exact(row.len())) {
            let centred = row.iter().zip(&self.mean).map(|(x, mean)| x - mean);
            *out = centred.zip(weights).map(|(x, weight)| x * weight).sum();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::covariance::Moments;
    use crate::drift::multivariate::Sums;
    use crate::seed::normal;

    #[test]
    fn property_principal_components_vary_independently_and_the_first_most() {
        let row = prop::collection::vec(-10.0..10.0f64, 4);
        proptest!(|(rows in prop::collection::vec(row, 5..30), r in 1..6usize)| {
            let mut moments = Moments::new(4);
            rows.iter().for_each(|row| moments.push(row));
            let covariance = moments.covariance().expect("rows");
            let projection = Projection::principal(moments.mean().to_vec(), &covariance, r).expect("finite");
            prop_assert_eq!(projection.len(), r.min(4));
            let (mut sums, mut out) = (Sums::new(projection.len()), vec![0.0; projection.len()]);
            for row in &rows {
                projection.project(row, &mut out);
                sums.push(&out);
            }
            prop_assert!(sums.mean().expect("rows").iter().all(|mean| mean.abs() < 1e-10));
            let projected = sums.covariance().expect("rows");
            let variances: Vec<f64> = projected.iter().step_by(out.len() + 1).copied().collect();
            prop_assert!(variances.is_sorted_by(|a, b| *a >= b - 1e-9));
            let beside: f64 = projected.iter().map(|x| x.abs()).sum::<f64>() - variances.iter().sum::<f64>();
            prop_assert!(beside < 1e-9, "{}", beside);
        });
    }

    #[test]
    fn property_whitened_components_have_the_covariance_of_independent_numbers_of_variance_1() {
        let row = prop::collection::vec(-10.0..10.0f64, 3);
        proptest!(|(rows in prop::collection::vec(row, 6..30), unit in prop::sample::select(vec![1e-3, 1.0, 1e3]))| {
            // The last number is the sum of two others, and their units differ.
            let rows: Vec<Vec<f64>> = rows.iter().map(|x| vec![x[0], unit * x[1], x[2], x[0] + x[2]]).collect();
            let mut moments = Moments::new(4);
            rows.iter().for_each(|row| moments.push(row));
            let covariance = moments.covariance().expect("rows");
            let projection = Projection::whitened(moments.mean().to_vec(), &covariance, 4).expect("finite");
            prop_assert_eq!(projection.len(), 3);
            let (mut whitened, mut out) = (Moments::new(3), [0.0; 3]);
            for row in &rows {
                projection.project(row, &mut out);
                whitened.push(&out);
            }
            let identity = |at: usize| f64::from(u8::from(at.is_multiple_of(4)));
            for (at, x) in whitened.covariance().expect("rows").into_iter().enumerate() {
                prop_assert!((x - identity(at)).abs() < 1e-4, "{} {}", at, x);
            }
        });
        let constant = Projection::whitened(vec![1.0, 2.0], &[0.0; 4], 2).expect("finite");
        assert!(constant.is_empty());
        assert_eq!(Projection::whitened(vec![0.0], &[f64::NAN], 2), None);
    }

    #[test]
    fn normal_projections_keep_the_size_of_a_feature() {
        let d = 50;
        let projection = Projection::gaussian(vec![2.0; d], 16, 5).expect("finite");
        assert_eq!(projection, Projection::gaussian(vec![2.0; d], 16, 5).expect("finite"));
        let (mut sums, mut out) = (Sums::new(16), vec![0.0; 16]);
        for row in 0..2_000 {
            let features: Vec<f64> = (0..d).map(|at| 2.0 + normal(9, (row * d + at) as u64)).collect();
            projection.project(&features, &mut out);
            sums.push(&out);
        }
        let variances: Vec<f64> = sums.covariance().expect("rows").into_iter().step_by(17).collect();
        let mean = variances.iter().sum::<f64>() / 16.0;
        assert!((mean - 1.0).abs() < 0.2, "{mean}");
    }

    #[test]
    fn a_row_with_a_number_that_is_not_finite_is_counted_nowhere() {
        let projection = Projection::gaussian(vec![0.0; 3], 2, 5).expect("finite");
        for bad in [f64::NAN, f64::INFINITY] {
            let mut out = [0.0; 2];
            projection.project(&[1.0, bad, 0.0], &mut out);
            assert!(out.iter().all(|x| !x.is_finite()));
            assert!(!Sums::new(2).push(&out));
        }
        assert_eq!(Projection::gaussian(vec![f64::NAN; 3], 2, 5), None);
        assert_eq!(Projection::principal(vec![0.0], &[f64::NAN], 2), None);
    }
}
