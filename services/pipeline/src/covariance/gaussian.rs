//! Squared Mahalanobis distances in 64 bits, from one centre or from those of classes.

use super::triangular::whitener;
use super::{Error, Moments};

/// A centre and how features vary around it.
#[derive(Debug, Clone, PartialEq)]
pub struct Gaussian {
    mean: Vec<f64>,
    /// W with WᵀW = Σ⁻¹, packed.
    whitener: Vec<f64>,
}

impl Gaussian {
    /// From a mean and a covariance, d by d, row-major.
    ///
    /// # Errors
    /// [`Error::Singular`].
    ///
    /// # Panics
    /// When the covariance is not d by d for d numbers of the mean.
    pub fn new(mean: Vec<f64>, covariance: &[f64]) -> Result<Self, Error> {
        assert_eq!(covariance.len(), mean.len() * mean.len(), "a covariance is d by d");
        let whitener = whitener(covariance)?;
        Ok(Self { mean, whitener })
    }

    /// (x−μ)ᵀΣ⁻¹(x−μ).
    pub fn squared_distance(&self, row: &[f64]) -> f64 {
        squared_distance(&self.mean, &self.whitener, row)
    }
}

/// Centres of several classes that vary alike (Lee et al., NeurIPS 2018).
#[derive(Debug, Clone, PartialEq)]
pub struct ClassGaussians {
    means: Vec<Vec<f64>>,
    whitener: Vec<f64>,
}

impl ClassGaussians {
    /// From the means of the classes and their common covariance, d by d, row-major.
    ///
    /// # Errors
    /// [`Error::Singular`], and [`Error::NoRows`] without a class.
    pub fn new(means: Vec<Vec<f64>>, covariance: &[f64]) -> Result<Self, Error> {
        if means.is_empty() {
            return Err(Error::NoRows);
        }
        let whitener = whitener(covariance)?;
        Ok(Self { means, whitener })
    }

    /// Fits rows to their labels: each class its mean, and one covariance around them for all. A class without rows has no
    /// centre.
    ///
    /// # Errors
    /// [`Error`], when there are no rows or the covariance has no inverse.
    pub fn fit<'a>(rows: impl Iterator<Item = (&'a [f64], usize)> + Clone, classes: usize) -> Result<Self, Error> {
        let d = rows.clone().next().ok_or(Error::NoRows)?.0.len();
        let mut of_class = vec![Moments::new(d); classes];
        for (row, label) in rows {
            if let Some(moments) = of_class.get_mut(label) {
                moments.push(row);
            }
        }
        let count: u64 = of_class.iter().map(Moments::count).sum();
        let mut tied = vec![0.0; d * d];
        for moments in &of_class {
            for (sum, comoment) in tied.iter_mut().zip(moments.comoments()) {
                *sum += comoment / count as f64;
            }
        }
        let filled = of_class.iter().filter(|moments| moments.count() > 0);
        Self::new(filled.map(|moments| moments.mean().to_vec()).collect(), &tied)
    }

    /// The distance from the nearest class.
    pub fn nearest(&self, row: &[f64]) -> f64 {
        let distances = self
            .means
            .iter()
            .map(|mean| squared_distance(mean, &self.whitener, row));
        distances.fold(f64::INFINITY, f64::min)
    }

    /// The same less the distance from the centre of all data (Ren et al., 2021): what is unusual for every class alike
    /// says little.
    pub fn relative(&self, background: &Gaussian, row: &[f64]) -> f64 {
        self.nearest(row) - background.squared_distance(row)
    }
}

fn squared_distance(mean: &[f64], whitener: &[f64], row: &[f64]) -> f64 {
    let centred: Vec<f64> = row.iter().zip(mean).map(|(x, mean)| x - mean).collect();
    let mut rest = whitener;
    let mut distance = 0.0;
    for row in 1..=centred.len() {
        let (weights, below) = rest.split_at(row);
        rest = below;
        distance += weights.iter().zip(&centred).map(|(w, x)| w * x).sum::<f64>().powi(2);
    }
    distance
}
