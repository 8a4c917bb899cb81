//! Squared Mahalanobis distance: (x−μ)ᵀΣ⁻¹(x−μ), computed as ‖W(x−μ)‖² for a lower-triangular W with WᵀW = Σ⁻¹. A missing
//! feature is taken for the reference's median.

use std::array;

use super::{Evidence, Kind, LANES, Matrix, Measure, Range, Signal, Subject};

/// Features that it can be measured over: the cost grows with the square.
pub(crate) const MAX_FEATURES: usize = 64;

pub(super) const KIND: Kind = Kind {
    words: "a Mahalanobis distance",
    range: Range::Open,
    is_costly: false,
    reads_features: true,
    make,
    #[cfg(test)]
    specimens,
};

fn make(subject: &Subject<'_>) -> Option<Box<dyn Measure>> {
    let mahalanobis = subject.reference?.mahalanobis.clone()?;
    Some(Box::new(mahalanobis))
}

/// The distance from a fitted reference.
#[derive(Debug, Clone)]
pub struct Mahalanobis {
    width: usize,
    columns: Vec<Centre>,
    /// W, row after row, each up to the diagonal.
    whitener: Vec<f32>,
}

/// One of the features that count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Centre {
    /// Where it stands among the features of an event.
    pub position: usize,
    /// Mean of the reference.
    pub mean: f32,
    /// Median of the reference.
    pub median: f32,
}

impl Mahalanobis {
    /// For events of `width` features: those that count, and W, row after row, each up to the diagonal.
    ///
    /// # Panics
    /// When more than [`MAX_FEATURES`] count, one lies outside the features, or W has not d(d+1)/2 numbers for d of them.
    pub fn new(width: usize, columns: Vec<Centre>, whitener: Vec<f32>) -> Self {
        let d = columns.len();
        assert!(d <= MAX_FEATURES, "at most {MAX_FEATURES} features count");
        assert!(
            columns.iter().all(|column| column.position < width),
            "a column is one of the features"
        );
        assert_eq!(whitener.len(), d * (d + 1) / 2, "W is lower-triangular");
        Self {
            width,
            columns,
            whitener,
        }
    }

    /// The squared distances of up to `N` rows from `first` on. What each comes to does not depend on `N`.
    fn distances<const N: usize>(&self, features: Matrix<'_>, first: usize) -> [f32; N] {
        assert_eq!(features.width(), self.width, "features are those of the reference");
        let rows: [&[f32]; N] = array::from_fn(|lane| features.row((first + lane).min(features.rows() - 1)));
        let mut centred = [[0.0; N]; MAX_FEATURES];
        for (centred, column) in centred.iter_mut().zip(&self.columns) {
            *centred = array::from_fn(|lane| column.centred(rows[lane][column.position]));
        }
        let mut distances = [0.0; N];
        let mut rest = &self.whitener[..];
        for row in 1..=self.columns.len() {
            let (weights, below) = rest.split_at(row);
            rest = below;
            let mut sums = [0.0; N];
            for (weight, centred) in weights.iter().zip(&centred) {
                for (sum, value) in sums.iter_mut().zip(centred) {
                    *sum += weight * value;
                }
            }
            for (distance, sum) in distances.iter_mut().zip(sums) {
                *distance += sum * sum;
            }
        }
        distances.map(|distance| distance.min(f32::MAX))
    }
}

impl Centre {
    fn centred(self, value: f32) -> f32 {
        let value = if value.is_finite() { value } else { self.median };
        value - self.mean
    }
}

impl Measure for Mahalanobis {
    fn signal(&self) -> Signal {
        Signal::Mahalanobis
    }

    fn measure_row(&self, evidence: &Evidence<'_>, row: usize) -> f32 {
        if !evidence.predictions.is_valid(row) {
            return f32::NAN;
        }
        self.distances::<1>(evidence.features, row)[0]
    }

    fn measure(&self, evidence: &Evidence<'_>, out: &mut [f32]) {
        super::in_blocks(evidence, out, |first| self.distances::<LANES>(evidence.features, first));
    }

    /// Each feature's part zⱼ·(WᵀWz)ⱼ for z = x−μ; they sum to the distance.
    fn parts(&self, features: &[f32], each: &mut dyn FnMut(usize, f32)) {
        let mut centred = [0.0; MAX_FEATURES];
        for (centred, column) in centred.iter_mut().zip(&self.columns) {
            *centred = column.centred(features[column.position]);
        }
        let mut gradient = [0.0; MAX_FEATURES];
        let mut rest = &self.whitener[..];
        for row in 1..=self.columns.len() {
            let (weights, below) = rest.split_at(row);
            rest = below;
            let sum: f32 = weights.iter().zip(&centred).map(|(weight, z)| weight * z).sum();
            for (gradient, weight) in gradient.iter_mut().zip(weights) {
                *gradient += weight * sum;
            }
        }
        for (at, column) in self.columns.iter().enumerate() {
            each(column.position, centred[at] * gradient[at]);
        }
    }
}

#[cfg(test)]
fn specimens() -> Vec<super::laws::Specimen> {
    use super::Reference;
    let columns = [(1, 5.0, 5.5), (0, -1.0, -1.0)].map(|(position, mean, median)| Centre { position, mean, median });
    let reference = Reference {
        width: 3,
        mahalanobis: Some(Mahalanobis::new(3, columns.to_vec(), vec![0.5, -0.25, 2.0])),
        ..Reference::default()
    };
    let of = |rows| super::laws::Specimen::features(rows, reference.clone());
    vec![
        of(&[&[-1.0, 5.0, 9.0], &[-1.5, 7.0, 9.0]]),
        of(&[&[-1.0, f32::NAN, 9.0], &[-1.5, f32::NAN, 9.0]]),
        of(&[&[0.0, 0.0, 0.0], &[1e30, -1e30, 0.0]]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_the_features_sum_to_the_distance() {
        for specimen in specimens().into_iter().take(2) {
            let reference = specimen.reference().mahalanobis.expect("it was made with one");
            for row in specimen.rows() {
                let features = Matrix::new(row, 1, row.len());
                let mut sum = 0.0;
                reference.parts(row, &mut |_, part| sum += part);
                let distance = reference.distances::<1>(features, 0)[0];
                assert!((sum - distance).abs() <= 1e-5 * distance, "{sum} {distance}");
            }
        }
    }
}
