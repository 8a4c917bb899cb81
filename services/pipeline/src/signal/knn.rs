//! Distance from the k-th nearest point of a coreset of the reference, over standardised features. A missing feature is
//! taken for the reference's median.

use super::{Evidence, Kind, Matrix, Measure, Range, Signal, Subject};

/// Features that it can be measured over.
pub(crate) const MAX_FEATURES: usize = 1_024;

/// The most distant neighbour that can be asked for.
pub const MAX_NEIGHBOUR: usize = 16;

/// Numbers that are compared side by side, so that the compiler uses vector registers.
const LANES: usize = 8;

pub(super) const KIND: Kind = Kind {
    words: "a distance from the nearest neighbours",
    range: Range::Open,
    is_costly: true,
    reads_features: true,
    make,
    #[cfg(test)]
    specimens,
};

fn make(subject: &Subject<'_>) -> Option<Box<dyn Measure>> {
    let knn = subject.reference?.knn.clone()?;
    Some(Box::new(knn))
}

/// The distance from a coreset.
#[derive(Debug, Clone)]
pub struct Knn {
    width: usize,
    columns: Vec<Standard>,
    /// Points, one after the other.
    points: Vec<f32>,
    neighbour: usize,
}

/// How a feature is standardised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standard {
    /// Where it stands among the features of an event.
    pub position: usize,
    /// Mean of the reference.
    pub mean: f32,
    /// Standard deviation of the reference; positive.
    pub std: f32,
    /// Median of the reference, which stands for a missing value.
    pub median: f32,
}

impl Standard {
    /// The value in standard deviations from the mean.
    pub fn of(self, features: &[f32]) -> f32 {
        let value = features[self.position];
        let value = if value.is_finite() { value } else { self.median };
        (value - self.mean) / self.std
    }
}

impl Knn {
    /// For events of `width` features: those that count, the points in standardised features, and which neighbour is
    /// asked for, from 1. Where there are fewer points, the most distant one is taken.
    ///
    /// # Panics
    /// When more than [`MAX_FEATURES`] count, one lies outside the features, `neighbour` is 0 or more than
    /// [`MAX_NEIGHBOUR`], or there is no point.
    pub fn new(width: usize, columns: Vec<Standard>, points: Matrix<'_>, neighbour: usize) -> Self {
        assert!(columns.len() <= MAX_FEATURES, "at most {MAX_FEATURES} features count");
        assert!(
            columns.iter().all(|column| column.position < width),
            "a column is one of the features"
        );
        assert_eq!(points.width(), columns.len(), "points have the features that count");
        assert!(
            (1..=MAX_NEIGHBOUR).contains(&neighbour),
            "a neighbour from 1 to {MAX_NEIGHBOUR}"
        );
        assert!(points.rows() > 0, "a coreset has points");
        Self {
            width,
            columns,
            neighbour: neighbour.min(points.rows()),
            points: points.values().to_vec(),
        }
    }
}

impl Measure for Knn {
    fn signal(&self) -> Signal {
        Signal::Knn
    }

    fn measure_row(&self, evidence: &Evidence<'_>, row: usize) -> f32 {
        let features = evidence.features.row(row);
        assert_eq!(features.len(), self.width, "features are those of the reference");
        if !evidence.predictions.is_valid(row) || self.columns.is_empty() {
            return f32::NAN;
        }
        let mut standard = [0.0; MAX_FEATURES];
        for (standard, column) in standard.iter_mut().zip(&self.columns) {
            *standard = column.of(features);
        }
        let standard = &standard[..self.columns.len()];
        let mut nearest = [f32::INFINITY; MAX_NEIGHBOUR];
        let nearest = &mut nearest[..self.neighbour];
        for point in self.points.chunks_exact(standard.len()) {
            insert(nearest, squared_distance(point, standard));
        }
        nearest[self.neighbour - 1].sqrt().min(f32::MAX)
    }
}

/// Puts a distance into its place among the smallest, which are in order.
fn insert(nearest: &mut [f32], distance: f32) {
    let mut at = nearest.len();
    while at > 0 && distance < nearest[at - 1] {
        at -= 1;
        if at + 1 < nearest.len() {
            nearest[at + 1] = nearest[at];
        }
    }
    if at < nearest.len() {
        nearest[at] = distance;
    }
}

/// Of two points with equally many numbers.
pub(crate) fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    let square = |a: &f32, b: &f32| (a - b) * (a - b);
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += square(a, b);
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| square(a, b)).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
fn specimens() -> Vec<super::laws::Specimen> {
    use super::Reference;
    let standard = |position: usize| Standard {
        position,
        mean: 1.0,
        std: 2.0,
        median: 1.5,
    };
    let points = [0.0, 0.0, 0.5, 0.5, 1.0, -1.0, -1.0, 1.0];
    let knn = |neighbour| Knn::new(3, vec![standard(0), standard(2)], Matrix::new(&points, 4, 2), neighbour);
    let of = |rows, neighbour| {
        let reference = Reference {
            width: 3,
            knn: Some(knn(neighbour)),
            ..Reference::default()
        };
        super::laws::Specimen::features(rows, reference)
    };
    vec![
        of(&[&[1.0, 9.0, 1.0], &[9.0, 9.0, 9.0]], 1),
        of(&[&[1.0, 9.0, f32::NAN], &[9.0, 9.0, 1e30]], 3),
        of(&[&[1.0, 9.0, 1.0], &[1.0, 9.0, 5.0]], 16),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_distances_are_kept_in_order() {
        let mut nearest = [f32::INFINITY; 3];
        for distance in [5.0, 1.0, 4.0, 1.0, 9.0, 3.0] {
            insert(&mut nearest, distance);
        }
        assert_eq!(nearest, [1.0, 1.0, 3.0]);
    }
}
