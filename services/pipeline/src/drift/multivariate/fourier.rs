//! The maximum mean discrepancy by random Fourier features (Gretton et al., JMLR 2012; Rahimi & Recht, NeurIPS 2007): the
//! kernel exp(−‖x−y‖²/(2σ²)) is nearly z(x)·z(y) with z(x) = √(2/D)·cos(Wx/σ + φ), W normal and φ uniform, so that a cloud
//! is the mean of its features. It sees any change of shape, those that leave mean and covariance alone too.

use std::f64::consts::TAU;

use super::is_usable;
use crate::seed;

/// The features of rows of d numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct FourierFeatures {
    /// W/σ, one row of d numbers for each feature.
    weights: Vec<f64>,
    phases: Vec<f64>,
    d: usize,
}

impl FourierFeatures {
    /// From W, one row of d numbers for each feature, φ in radians, and the bandwidth σ in the unit of the rows. `None` when
    /// a number is not finite, or σ is not positive, or so small that W/σ means nothing.
    ///
    /// # Panics
    /// When W has not d numbers for each φ.
    pub fn new(d: usize, mut weights: Vec<f64>, phases: Vec<f64>, bandwidth: f64) -> Option<Self> {
        assert_eq!(weights.len(), d * phases.len(), "d weights for each phase");
        weights.iter_mut().for_each(|weight| *weight /= bandwidth);
        let is_right = bandwidth > 0.0 && is_usable(&weights) && is_usable(&phases);
        is_right.then_some(Self { weights, phases, d })
    }

    /// So many features, drawn from a seed; 128 to 256 are usual. `None` as [`Self::new`].
    pub fn drawn(d: usize, features: usize, bandwidth: f64, seed: u64) -> Option<Self> {
        let weights = (d * features) as u64;
        // A normal number takes two draws, so the phases begin after twice as many.
        let phase = |at: u64| TAU * seed::uniform(seed, 2 * weights + at);
        Self::new(
            d,
            (0..weights).map(|at| seed::normal(seed, at)).collect(),
            (0..features as u64).map(phase).collect(),
            bandwidth,
        )
    }

    /// Features of a row, D.
    pub fn len(&self) -> usize {
        self.phases.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.phases.is_empty()
    }

    /// z(x), one by one.
    fn of<'a>(&'a self, row: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        let scale = (2.0 / self.phases.len() as f64).sqrt();
        let angle = move |at: usize| {
            let weights = &self.weights[at * self.d..][..self.d];
            weights.iter().zip(row).map(|(w, x)| w * x).sum::<f64>() + self.phases[at]
        };
        (0..self.phases.len()).map(move |at| scale * angle(at).cos())
    }
}

/// A cloud as n and Σz(x): its mean embedding.
#[derive(Debug, Clone, PartialEq)]
pub struct MeanEmbedding {
    count: u64,
    sums: Vec<f64>,
}

impl MeanEmbedding {
    /// No rows, of so many features.
    pub fn new(features: usize) -> Self {
        Self {
            count: 0,
            sums: vec![0.0; features],
        }
    }

    /// What [`Self::count`] and [`Self::sums`] gave. `None` when a number is not finite.
    pub fn from_parts(count: u64, sums: Vec<f64>) -> Option<Self> {
        let is_finite = sums.iter().all(|x| x.is_finite());
        is_finite.then_some(Self { count, sums })
    }

    /// Adds a row, and says whether it could be: all its numbers must be finite, and none beyond ±1e50.
    ///
    /// # Panics
    /// When the row has not d numbers, or the features are not as many as here.
    pub fn push(&mut self, features: &FourierFeatures, row: &[f64]) -> bool {
        assert_eq!(row.len(), features.d, "a row has d numbers");
        assert_eq!(features.len(), self.sums.len(), "the features are those of the cloud");
        if !is_usable(row) {
            return false;
        }
        self.count += 1;
        self.sums
            .iter_mut()
            .zip(features.of(row))
            .for_each(|(sum, z)| *sum += z);
        true
    }

    /// Adds the rows of another part.
    ///
    /// # Panics
    /// When it has not as many features.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(self.sums.len(), other.sums.len(), "both parts have the same features");
        self.count += other.count;
        self.sums.iter_mut().zip(&other.sums).for_each(|(a, b)| *a += b);
    }

    /// Rows.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Σz(x).
    pub fn sums(&self) -> &[f64] {
        &self.sums
    }

    fn means(&self) -> impl Iterator<Item = f64> + '_ {
        self.sums.iter().map(|sum| sum / self.count as f64)
    }

    /// MMD² from a current cloud, ‖z̄−z̄_ref‖². Chance alone makes it [`Self::null_mean`] on average. `None` when a cloud has
    /// no row.
    ///
    /// # Panics
    /// When the clouds have not as many features.
    pub fn mmd2(&self, current: &Self) -> Option<f64> {
        assert_eq!(
            self.sums.len(),
            current.sums.len(),
            "both clouds have the same features"
        );
        let squares = self.means().zip(current.means()).map(|(a, b)| (a - b) * (a - b));
        (self.count > 0 && current.count > 0).then(|| squares.sum())
    }

    /// What [`Self::mmd2`] is on average when n rows come from this cloud, the reference: (1−‖z̄_ref‖²)(1/n + 1/N), as
    /// ‖z(x)‖² is 1 on average over all W and φ; for one draw of 128 features and one
    /// reference it was 6 to 11 % more. `None` when the cloud has no row, or n is 0.
    pub fn null_mean(&self, n: u64) -> Option<f64> {
        if self.count == 0 || n == 0 {
            return None;
        }
        let squares: f64 = self.means().map(|mean| mean * mean).sum();
        Some((1.0 - squares) * (1.0 / n as f64 + 1.0 / self.count as f64))
    }
}

/// The median distance between two rows, a usual bandwidth σ. It compares all pairs: a thousand rows are enough. `None` with
/// fewer than two rows, or when the median is 0 or not finite.
pub fn bandwidth(rows: &[Vec<f64>]) -> Option<f64> {
    let distance = |(a, b): (&Vec<f64>, &Vec<f64>)| {
        let squares: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
        squares.sqrt()
    };
    let pairs = rows
        .iter()
        .enumerate()
        .flat_map(|(at, a)| rows[..at].iter().map(move |b| (a, b)));
    let mut distances: Vec<f64> = pairs.map(distance).collect();
    distances.sort_unstable_by(f64::total_cmp);
    let n = distances.len();
    let upper = *distances.get(n / 2)?;
    let median = 0.5 * (upper + distances[(n - 1) / 2]);
    (median > 0.0 && median.is_finite()).then_some(median)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::seed::{hash, normal};

    fn features() -> FourierFeatures {
        FourierFeatures::drawn(3, 64, 2.0, 7).expect("they are right")
    }

    fn of(rows: &[Vec<f64>]) -> MeanEmbedding {
        let features = features();
        let mut sums = MeanEmbedding::new(features.len());
        rows.iter().for_each(|row| assert!(sums.push(&features, row)));
        sums
    }

    #[test]
    fn property_parts_in_any_cut_add_up_to_the_whole() {
        let row = prop::collection::vec(-10.0..10.0f64, 3);
        proptest!(|(rows in prop::collection::vec(row, 1..40), cut in 0..40usize)| {
            let (left, right) = rows.split_at(cut.min(rows.len()));
            let (mut merged, whole) = (of(left), of(&rows));
            merged.merge(&of(right));
            prop_assert_eq!(merged.count(), whole.count());
            for (a, b) in merged.sums().iter().zip(whole.sums()) {
                prop_assert!((a - b).abs() < 1e-12);
            }
            let mmd2 = merged.mmd2(&whole).expect("rows");
            prop_assert!(mmd2 < 1e-24);
            let again = MeanEmbedding::from_parts(merged.count(), merged.sums().to_vec());
            prop_assert_eq!(again, Some(merged));
        });
    }

    #[test]
    fn products_of_features_are_nearly_the_kernel() {
        let features = FourierFeatures::drawn(2, 20_000, 1.5, 3).expect("they are right");
        let (a, b) = ([0.3, -1.0], [1.0, 0.5]);
        let product: f64 = features.of(&a).zip(features.of(&b)).map(|(a, b)| a * b).sum();
        let squares: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
        assert!(
            (product - (-squares / (2.0 * 1.5 * 1.5)).exp()).abs() < 0.02,
            "{product}"
        );
    }

    #[test]
    fn chance_gives_the_stated_distance_on_average_and_a_change_more() {
        let features = features();
        let cloud = |seed: u64, n: u64, scale: f64| {
            let mut sums = MeanEmbedding::new(features.len());
            for row in 0..n {
                sums.push(
                    &features,
                    &[0, 1, 2].map(|column| scale * normal(seed, row * 3 + column)),
                );
            }
            sums
        };
        let (mut distances, mut stated, mut changed) = (0.0, 0.0, 0.0);
        for run in 0..100 {
            let reference = cloud(hash(1, run), 1_000, 1.0);
            distances += reference.mmd2(&cloud(hash(2, run), 100, 1.0)).expect("rows");
            changed += reference.mmd2(&cloud(hash(3, run), 100, 1.5)).expect("rows");
            stated += reference.null_mean(100).expect("rows");
        }
        assert!((distances / stated - 1.0).abs() < 0.15, "{distances} {stated}");
        assert!(changed > 3.0 * stated, "{changed} {stated}");
    }

    #[test]
    fn what_cannot_be_compared_is_told() {
        let (none, one) = (of(&[]), of(&[vec![0.0; 3]]));
        assert_eq!(none.mmd2(&one), None);
        assert_eq!(one.mmd2(&none), None);
        assert_eq!(none.null_mean(10), None);
        assert_eq!(one.null_mean(0), None);
        let mut sums = one.clone();
        for bad in [f64::NAN, f64::INFINITY, 1e60] {
            assert!(!sums.push(&features(), &[0.0, bad, 0.0]));
        }
        assert_eq!(sums, one);
        for bandwidth in [0.0, -1.0, f64::NAN, f64::MIN_POSITIVE] {
            assert_eq!(FourierFeatures::drawn(3, 8, bandwidth, 7), None, "{bandwidth}");
        }
        assert_eq!(bandwidth(&[]), None);
        assert_eq!(bandwidth(&[vec![1.0]]), None);
        assert_eq!(bandwidth(&[vec![1.0], vec![1.0]]), None);
        assert_eq!(bandwidth(&[vec![1.0], vec![f64::NAN]]), None);
        assert_eq!(bandwidth(&[vec![0.0], vec![1.0], vec![5.0]]), Some(4.0));
    }
}
