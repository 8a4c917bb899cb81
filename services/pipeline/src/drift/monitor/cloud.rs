//! Embeddings: their projections in bins, and the sums of the cloud that they are.

use super::bins::Binned;
use super::sheet::Sheet;
use super::{Of, Tally};
use crate::drift::multivariate::{Projection, Sums, null_mean, squared_frechet};
use crate::head::Predictions;
use crate::profile::{Embedding, Feature, Threshold};
use crate::signal::Matrix;

/// Standard deviations beyond which a projection is broken.
const FURTHEST: f64 = 1e4;

/// How the embeddings of one model are counted and compared.
#[derive(Debug)]
pub struct Cloud {
    projection: Projection,
    bins: Vec<Binned>,
    /// Place among the sums: the count, Σz, then the lower triangle of Σzzᵀ.
    first: usize,
    reference: Sums,
    thresholds: Vec<Threshold>,
}

/// How far a window of embeddings is from the reference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distance {
    /// Rows of the window.
    pub rows: u64,
    /// Squared Fréchet distance.
    pub distance: f64,
    /// Its mean without drift, if rows are normal.
    pub expected: f64,
    /// What one window in a thousand exceeds without drift; none for windows smaller than those of any threshold.
    pub critical: Option<f64>,
}

impl Cloud {
    pub(super) fn new(model: usize, embedding: &Embedding, sheet: &mut Sheet) -> Option<Self> {
        let (projection, reference) = (embedding.projection()?, embedding.reference()?);
        let (mut bins, end) = (Vec::new(), sheet.end());
        for number in &embedding.projections {
            let of = Of::Output {
                model,
                output: format!("projection/{}", number.name),
            };
            let Some(binned) = Binned::new(&Feature::Number(number.clone()), of, sheet) else {
                sheet.cut(end);
                return None;
            };
            bins.push(binned);
        }
        let r = projection.len();
        let first = sheet.sums;
        sheet.sums += 1 + r + r * (r + 1) / 2;
        Some(Self {
            projection,
            bins,
            first,
            reference,
            thresholds: embedding.thresholds.clone(),
        })
    }

    pub(super) fn count(&self, predictions: &Predictions, rows: &[u32], tally: &mut Tally) {
        let r = self.projection.len();
        let (mut wide, mut out) = (Vec::new(), vec![0.0; r]);
        let mut window = Sums::new(r);
        let mut projected = Vec::with_capacity(rows.len() * r);
        for row in rows {
            let values = predictions.values(*row as usize);
            if values.len() != self.projection.width() {
                continue;
            }
            wide.clear();
            wide.extend(values.iter().map(|x| f64::from(*x)));
            self.projection.project(&wide, &mut out);
            // One that is broken would drown all others for ever; it is no part of the cloud, and in the last bins.
            if out.iter().all(|z| z.abs() <= FURTHEST) {
                window.push(&out);
            }
            projected.extend(out.iter().map(|z| *z as f32));
        }
        let count = projected.len() / r;
        let all: Vec<u32> = (0..count as u32).collect();
        for (at, bins) in self.bins.iter().enumerate() {
            bins.count(Matrix::new(&projected, count, r), at, &all, tally);
        }
        let sums = &mut tally.sums[self.first..];
        sums[0] += window.count() as f64;
        let parts = window.sums().iter().chain(window.products());
        sums[1..].iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
    }

    /// Rows of the smallest window for which there is a threshold; no window is large enough where there is none.
    pub fn least_rows(&self) -> u64 {
        self.thresholds.first().map_or(u64::MAX, |threshold| threshold.rows)
    }

    /// How far what was counted is from the reference. `None` with fewer than two rows.
    pub fn distance(&self, tally: &Tally) -> Option<Distance> {
        let r = self.projection.len();
        let sums = &tally.sums[self.first..];
        let rows = sums[0] as u64;
        let products = sums[1 + r..][..r * (r + 1) / 2].to_vec();
        let window = Sums::from_parts(rows, sums[1..=r].to_vec(), products)?;
        Some(Distance {
            rows,
            distance: squared_frechet(&self.reference, &window)?,
            expected: null_mean(&self.reference, rows)?,
            critical: self.critical(rows),
        })
    }

    /// The threshold of the next smaller window, as chance falls with the rows of both sides: 1/n + 1/N.
    fn critical(&self, rows: u64) -> Option<f64> {
        let known = self.thresholds.iter().rev().find(|threshold| threshold.rows <= rows)?;
        let noise = |rows: u64| 1.0 / rows as f64 + 1.0 / self.reference.count() as f64;
        Some(f64::from(known.distance) * noise(rows) / noise(known.rows))
    }
}
