//! The isotonic calibrator: the rising function nearest to the outcomes (pool adjacent violators).

use super::Error;

/// A function that never falls, by its corners: constant outside, straight lines between.
#[derive(Debug, Clone, PartialEq)]
pub struct Isotonic {
    x: Vec<f64>,
    y: Vec<f64>,
}

/// Values that share one height.
#[derive(Debug, Clone, Copy)]
struct Block {
    sum: f64,
    weight: f64,
    /// Different values of x.
    len: usize,
}

impl Isotonic {
    /// Fits the function to scores and their outcomes, by least squares. Equal scores share the mean of their outcomes.
    ///
    /// # Errors
    /// [`Error::NoRows`] and [`Error::NotFinite`].
    pub fn fit(points: impl IntoIterator<Item = (f64, f64)>) -> Result<Self, Error> {
        let mut points: Vec<(f64, f64)> = points.into_iter().collect();
        if let Some(row) = points.iter().position(|(x, y)| !x.is_finite() || !y.is_finite()) {
            return Err(Error::NotFinite { row });
        }
        points.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let mut xs = Vec::new();
        let mut blocks: Vec<Block> = Vec::new();
        for tied in points.chunk_by(|a, b| a.0 == b.0) {
            xs.push(tied[0].0);
            let mut last = Block {
                sum: tied.iter().map(|(_, y)| y).sum(),
                weight: tied.len() as f64,
                len: 1,
            };
            while let Some(before) = blocks.pop_if(|before| before.sum * last.weight >= last.sum * before.weight) {
                last.sum += before.sum;
                last.weight += before.weight;
                last.len += before.len;
            }
            blocks.push(last);
        }
        if blocks.is_empty() {
            return Err(Error::NoRows);
        }
        Ok(Self::corners(&xs, &blocks))
    }

    /// The first and the last value of each block; what lies between says nothing.
    fn corners(xs: &[f64], blocks: &[Block]) -> Self {
        let (mut x, mut y) = (Vec::new(), Vec::new());
        let mut from = 0;
        for block in blocks {
            let last = from + block.len - 1;
            for at in if last > from { vec![from, last] } else { vec![from] } {
                x.push(xs[at]);
                y.push(block.sum / block.weight);
            }
            from += block.len;
        }
        Self { x, y }
    }

    /// The function's value. A score that is not a number stays one.
    pub fn apply(&self, score: f64) -> f64 {
        let above = self.x.partition_point(|x| *x < score);
        match (above.checked_sub(1), self.x.get(above)) {
            _ if score.is_nan() => f64::NAN,
            (None, _) => self.y[0],
            (Some(below), None) => self.y[below],
            (Some(below), Some(_)) => {
                let part = (score - self.x[below]) / (self.x[above] - self.x[below]);
                self.y[below] + part * (self.y[above] - self.y[below])
            }
        }
    }

    /// The function with these corners. `None` when they do not rise.
    pub fn from_corners(x: Vec<f64>, y: Vec<f64>) -> Option<Self> {
        Some(Self { x, y }).filter(Self::is_sound)
    }

    /// Where the corners are, rising.
    pub fn x(&self) -> &[f64] {
        &self.x
    }

    /// How high they are, rising.
    pub fn y(&self) -> &[f64] {
        &self.y
    }

    /// Whether the corners are such as a fit gives.
    fn is_sound(&self) -> bool {
        let rises = self.x.windows(2).all(|pair| pair[0] < pair[1]) && self.y.windows(2).all(|pair| pair[0] <= pair[1]);
        let finite = self.x.iter().chain(&self.y).all(|value| value.is_finite());
        rises && finite && !self.x.is_empty() && self.x.len() == self.y.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn property_the_function_never_falls_and_keeps_the_mean() {
        proptest!(|(points in prop::collection::vec((0..20u8, 0..=1u8), 1..200))| {
            let points: Vec<(f64, f64)> = points.iter().map(|(x, y)| (f64::from(*x), f64::from(*y))).collect();
            let fitted = Isotonic::fit(points.iter().copied()).expect("there are points");
            prop_assert!(fitted.is_sound());
            let mean = |of: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / points.len() as f64;
            let (before, after) = (mean(&|(_, y)| *y), mean(&|(x, _)| fitted.apply(*x)));
            prop_assert!((before - after).abs() < 1e-9, "{} {}", before, after);
            prop_assert_eq!(fitted.apply(-1.0), fitted.y()[0]);
            prop_assert_eq!(fitted.apply(99.0), fitted.y()[fitted.y().len() - 1]);
        });
    }

    #[test]
    fn what_cannot_be_fitted_is_an_error() {
        assert_eq!(Isotonic::fit([]), Err(Error::NoRows));
        assert_eq!(
            Isotonic::fit([(0.0, 1.0), (f64::NAN, 0.0)]),
            Err(Error::NotFinite { row: 1 })
        );
    }
}
