//! Means and sums of squares of one part of the data, which add up to those of the whole.

use super::Error;

/// Number, mean and co-moments of rows of d numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    count: u64,
    mean: Vec<f64>,
    /// Σ (x−μ)(x−μ)ᵀ, d by d.
    comoments: Vec<f64>,
}

impl Moments {
    /// No rows of `d` numbers.
    pub fn new(d: usize) -> Self {
        Self {
            count: 0,
            mean: vec![0.0; d],
            comoments: vec![0.0; d * d],
        }
    }

    /// Adds a row (Welford).
    ///
    /// # Panics
    /// When the row has not d numbers.
    pub fn push(&mut self, row: &[f64]) {
        assert_eq!(row.len(), self.mean.len(), "a row has d numbers");
        self.count += 1;
        let count = self.count as f64;
        let before: Vec<f64> = row.iter().zip(&self.mean).map(|(x, mean)| x - mean).collect();
        for (mean, before) in self.mean.iter_mut().zip(&before) {
            *mean += before / count;
        }
        for (at, sums) in self.comoments.chunks_exact_mut(row.len()).enumerate() {
            let after = row[at] - self.mean[at];
            sums.iter_mut()
                .zip(&before)
                .for_each(|(sum, before)| *sum += after * before);
        }
    }

    /// Adds the rows of another part (Chan, Golub & LeVeque).
    ///
    /// # Panics
    /// When its rows have not d numbers.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(self.mean.len(), other.mean.len(), "rows of both parts have d numbers");
        if other.count == 0 {
            return;
        }
        let (a, b) = (self.count as f64, other.count as f64);
        let delta: Vec<f64> = other.mean.iter().zip(&self.mean).map(|(b, a)| b - a).collect();
        let d = delta.len();
        for (at, sum) in self.comoments.iter_mut().enumerate() {
            *sum += other.comoments[at] + delta[at / d] * delta[at % d] * a * b / (a + b);
        }
        for (mean, delta) in self.mean.iter_mut().zip(&delta) {
            *mean += delta * b / (a + b);
        }
        self.count += other.count;
    }

    /// Rows.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Mean of each number.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Σ (x−μ)(x−μ)ᵀ, row-major.
    pub fn comoments(&self) -> &[f64] {
        &self.comoments
    }

    /// The covariance, d by d, row-major.
    ///
    /// # Errors
    /// [`Error::NoRows`].
    pub fn covariance(&self) -> Result<Vec<f64>, Error> {
        if self.count == 0 {
            return Err(Error::NoRows);
        }
        Ok(self.comoments.iter().map(|sum| sum / self.count as f64).collect())
    }

    /// ‖x−μ‖⁴ of a row; its sum is what [Ledoit and Wolf](super::ledoit_wolf) need beside the moments.
    pub fn fourth_power(&self, row: &[f64]) -> f64 {
        let squares = row.iter().zip(&self.mean).map(|(x, mean)| (x - mean) * (x - mean));
        squares.sum::<f64>().powi(2)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn property_parts_in_any_cut_add_up_to_the_whole() {
        let row = prop::collection::vec(-100.0..100.0f64, 3);
        proptest!(|(rows in prop::collection::vec(row, 1..40), cut in 0..40usize)| {
            let of = |rows: &[Vec<f64>]| {
                let mut moments = Moments::new(3);
                rows.iter().for_each(|row| moments.push(row));
                moments
            };
            let (left, right) = rows.split_at(cut.min(rows.len()));
            let (mut merged, whole) = (of(left), of(&rows));
            merged.merge(&of(right));
            prop_assert_eq!(merged.count(), whole.count());
            for (a, b) in merged.mean().iter().zip(whole.mean()) {
                prop_assert!((a - b).abs() < 1e-9);
            }
            for (a, b) in merged.comoments().iter().zip(whole.comoments()) {
                prop_assert!((a - b).abs() < 1e-6, "{} {}", a, b);
            }
        });
    }
}
