//! What embeddings were like: projections to a few numbers, and how far windows of them are by chance alone.

use serde::{Deserialize, Serialize};

use super::features::{self, Values};
use super::{Floats, Number};
use crate::covariance::Moments;
use crate::drift::multivariate::{Bootstrap, MAX_DIMENSIONS, Projection, Sums, frechet_critical};

/// Numbers that an embedding is projected to.
const DIMENSIONS: usize = 16;
/// Principal components of longer embeddings are looked for among so many random projections.
const MAX_PRINCIPAL: usize = 128;
/// Share of windows without drift above the threshold.
const FALSE_ALARMS: f64 = 0.001;
/// Windows that are drawn for each threshold.
const RESAMPLES: u64 = 1_000;
/// Rows of the windows for which there is a threshold.
const WINDOWS: [u64; 4] = [500, 1_000, 2_000, 5_000];
/// Rows that windows are drawn from.
const DRAWN_FROM: usize = 20_000;
const PROJECTION_DRAW: u64 = 0x7072_6F6A;
const BOOTSTRAP_DRAW: u64 = 0x626F_6F74;

/// What embeddings were like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Embedding {
    /// Mean of the rows that were not held out.
    pub mean: Floats,
    /// Their principal components, each divided by its standard deviation, one after another.
    pub weights: Floats,
    /// The projections of the rows that were held out, by their numbers from 0.
    pub projections: Vec<Number>,
    /// Rows that were held out, as far as they could be projected.
    pub rows: u64,
    /// Σz of their projections.
    pub sums: Floats,
    /// Σzzᵀ: its lower triangle.
    pub products: Floats,
    /// Squared Fréchet distances that one window in a thousand exceeds by chance, for windows of rising size.
    pub thresholds: Vec<Threshold>,
}

/// A threshold for windows of one size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// Rows of the window.
    pub rows: u64,
    /// Squared Fréchet distance.
    pub distance: f32,
}

impl Embedding {
    /// Fits projections to some rows and describes those of others. `None` when nothing varies, or a number is not finite.
    pub(super) fn fit(fitting: &[&[f32]], held_out: &[&[f32]], (bins, seed): (usize, u64)) -> Option<Self> {
        let projection = projection(fitting, seed)?;
        let mut projected = Vec::new();
        let mut sums = Sums::new(projection.len());
        for row in held_out {
            let mut out = vec![0.0; projection.len()];
            projection.project(&wide(row), &mut out);
            if sums.push(&out) {
                projected.push(out);
            }
        }
        let every = projected.len().div_ceil(DRAWN_FROM).max(1);
        let drawn_from: Vec<Vec<f64>> = projected.iter().step_by(every).cloned().collect();
        let threshold = |rows: u64| {
            let bootstrap = Bootstrap {
                rows,
                resamples: RESAMPLES,
                false_alarms: FALSE_ALARMS,
                seed: seed ^ BOOTSTRAP_DRAW,
            };
            let distance = frechet_critical(&drawn_from, &bootstrap)?;
            Some(Threshold {
                rows,
                distance: distance as f32,
            })
        };
        let number = |at: usize| {
            let all: Vec<f32> = projected.iter().map(|row| row[at] as f32).collect();
            let values = Values {
                all: &all,
                fitting: &[],
            };
            Number {
                hbos: None,
                ..features::number(&format!("{at:02}"), values, bins)
            }
        };
        let narrow = |numbers: &[f64]| Floats(numbers.iter().map(|x| *x as f32).collect());
        Some(Self {
            mean: narrow(projection.mean()),
            weights: narrow(projection.weights()),
            projections: (0..projection.len()).map(number).collect(),
            rows: sums.count(),
            sums: narrow(sums.sums()),
            products: narrow(sums.products()),
            thresholds: WINDOWS.into_iter().filter_map(threshold).collect(),
        })
    }

    /// Projects embeddings.
    pub fn projection(&self) -> Option<Projection> {
        Projection::new(wide(&self.mean.0), wide(&self.weights.0))
    }

    /// The cloud that windows are compared with.
    pub fn reference(&self) -> Option<Sums> {
        Sums::from_parts(self.rows, wide(&self.sums.0), wide(&self.products.0))
    }

    /// What is wrong with it.
    pub(super) fn check(&self) -> Result<(), String> {
        let (d, r) = (self.mean.0.len(), self.projections.len());
        let is_finite = self.mean.0.iter().chain(&self.weights.0).all(|x| x.is_finite());
        let fits = d > 0 && (1..=MAX_DIMENSIONS).contains(&r) && self.weights.0.len() == r * d && is_finite;
        if !(fits && self.sums.0.len() == r && self.reference().is_some()) {
            return Err("the projections of embeddings do not fit each other".to_owned());
        }
        if self.projections.iter().any(|projection| projection.moments.is_none()) {
            return Err("a projection of embeddings has no values".to_owned());
        }
        let rises = self.thresholds.is_sorted_by(|a, b| a.rows < b.rows);
        let is_right = self
            .thresholds
            .iter()
            .all(|threshold| threshold.rows > 0 && threshold.distance.is_finite());
        match rises && is_right {
            true => Ok(()),
            false => Err("the thresholds of embeddings do not rise".to_owned()),
        }
    }
}

fn wide(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().map(|x| f64::from(*x)).collect()
}

/// Whitened principal components; of long embeddings those of random projections.
fn projection(rows: &[&[f32]], seed: u64) -> Option<Projection> {
    let d = rows.first()?.len();
    let finite = || {
        rows.iter()
            .filter(|row| row.iter().all(|x| x.is_finite()))
            .map(|row| wide(row))
    };
    if d <= MAX_PRINCIPAL {
        let mut moments = Moments::new(d);
        finite().for_each(|row| moments.push(&row));
        let covariance = moments.covariance().ok()?;
        return Projection::whitened(moments.mean().to_vec(), &covariance, DIMENSIONS)
            .filter(|found| !found.is_empty());
    }
    let mut mean = vec![0.0; d];
    let mut count = 0.0;
    finite().for_each(|row| {
        count += 1.0;
        mean.iter_mut()
            .zip(row)
            .for_each(|(mean, x)| *mean += (x - *mean) / count);
    });
    let random = Projection::gaussian(mean.clone(), MAX_PRINCIPAL, seed ^ PROJECTION_DRAW)?;
    let mut moments = Moments::new(MAX_PRINCIPAL);
    let mut out = vec![0.0; MAX_PRINCIPAL];
    finite().for_each(|row| {
        random.project(&row, &mut out);
        moments.push(&out);
    });
    let covariance = moments.covariance().ok()?;
    let principal = Projection::whitened(moments.mean().to_vec(), &covariance, DIMENSIONS)?;
    let weights = principal.weights().chunks_exact(MAX_PRINCIPAL).flat_map(|of_one| {
        let mut row = vec![0.0; d];
        for (weight, random) in of_one.iter().zip(random.weights().chunks_exact(d)) {
            row.iter_mut().zip(random).for_each(|(sum, x)| *sum += weight * x);
        }
        row
    });
    Projection::new(mean, weights.collect()).filter(|found| !found.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::multivariate::squared_frechet;
    use crate::seed::normal;

    fn rows(seed: u64, n: u64, d: u64, shift: f64) -> Vec<Vec<f32>> {
        let row = |row: u64| {
            let common = normal(seed, row * 2 * d);
            let number = |at: u64| (3.0 * common + normal(seed, row * 2 * d + 1 + at) + shift) as f32;
            (0..d).map(number).collect()
        };
        (0..n).map(row).collect()
    }

    #[test]
    fn what_is_alike_lies_below_the_threshold_and_what_has_moved_above_for_short_and_long_embeddings() {
        for d in [8, 300] {
            let all = rows(1, 3_000, d, 0.0);
            let all: Vec<&[f32]> = all.iter().map(Vec::as_slice).collect();
            let embedding = Embedding::fit(&all[..2_000], &all[2_000..], (10, 1)).expect("it varies");
            assert_eq!(embedding.check(), Ok(()));
            let text = serde_json::to_string(&embedding).expect("it is plain data");
            assert_eq!(
                serde_json::from_str::<Embedding>(&text).expect("it reads back"),
                embedding
            );
            let (projection, reference) = (
                embedding.projection().expect("finite"),
                embedding.reference().expect("sums"),
            );
            assert_eq!(projection.len(), DIMENSIONS.min(d as usize));
            let distance = |seed: u64, shift: f64| {
                let mut sums = Sums::new(projection.len());
                let mut out = vec![0.0; projection.len()];
                for row in rows(seed, 1_000, d, shift) {
                    projection.project(&wide(&row), &mut out);
                    sums.push(&out);
                }
                squared_frechet(&reference, &sums).expect("both have rows")
            };
            let threshold = embedding.thresholds.iter().find(|threshold| threshold.rows == 1_000);
            let threshold = f64::from(threshold.expect("there is one").distance);
            for seed in 2..12 {
                assert!(distance(seed, 0.0) < threshold, "{d} {seed}");
                assert!(distance(seed, 2.0) > threshold, "{d} {seed}");
            }
        }
    }

    #[test]
    fn embeddings_that_do_not_vary_have_no_projections() {
        let constant = vec![1.0f32; 4];
        let all = vec![constant.as_slice(); 100];
        assert_eq!(Embedding::fit(&all, &all, (10, 1)), None);
    }
}
