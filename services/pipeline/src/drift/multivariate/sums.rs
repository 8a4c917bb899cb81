//! A cloud of points as its count, its sum and the sum of its outer products.

use super::{MAX_DIMENSIONS, is_usable};

/// n, Σz and Σzzᵀ of rows of r numbers. They are best centred near 0, as [projections](super::Projection) are: far from it,
/// the covariance is a small difference of large sums.
#[derive(Debug, Clone, PartialEq)]
pub struct Sums {
    count: u64,
    sums: Vec<f64>,
    /// Lower triangle of Σzzᵀ, packed: row after row, each up to the diagonal.
    products: Vec<f64>,
}

impl Sums {
    /// No rows of `r` numbers.
    ///
    /// # Panics
    /// When r is more than [`MAX_DIMENSIONS`].
    pub fn new(r: usize) -> Self {
        assert!(r <= MAX_DIMENSIONS, "at most {MAX_DIMENSIONS} dimensions");
        Self {
            count: 0,
            sums: vec![0.0; r],
            products: vec![0.0; r * (r + 1) / 2],
        }
    }

    /// What [`Self::count`], [`Self::sums`] and [`Self::products`] gave. `None` when no rows give that.
    pub fn from_parts(count: u64, sums: Vec<f64>, products: Vec<f64>) -> Option<Self> {
        let r = sums.len();
        let fits = r <= MAX_DIMENSIONS && products.len() == r * (r + 1) / 2;
        let is_finite = sums.iter().chain(&products).all(|x| x.is_finite());
        (fits && is_finite).then_some(Self { count, sums, products })
    }

    /// Adds a row, and says whether it could be: all its numbers must be finite, and none beyond ±1e50.
    ///
    /// # Panics
    /// When the row has not r numbers.
    pub fn push(&mut self, row: &[f64]) -> bool {
        assert_eq!(row.len(), self.sums.len(), "a row has r numbers");
        if !is_usable(row) {
            return false;
        }
        self.count += 1;
        let mut rest = self.products.as_mut_slice();
        for (at, (x, sum)) in row.iter().zip(&mut self.sums).enumerate() {
            *sum += x;
            let (products, below) = rest.split_at_mut(at + 1);
            products.iter_mut().zip(row).for_each(|(product, y)| *product += x * y);
            rest = below;
        }
        true
    }

    /// Adds the rows of another part.
    ///
    /// # Panics
    /// When its rows have not r numbers.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(self.sums.len(), other.sums.len(), "rows of both parts have r numbers");
        self.count += other.count;
        self.sums.iter_mut().zip(&other.sums).for_each(|(a, b)| *a += b);
        self.products.iter_mut().zip(&other.products).for_each(|(a, b)| *a += b);
    }

    /// Rows.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Σz.
    pub fn sums(&self) -> &[f64] {
        &self.sums
    }

    /// Σzzᵀ: its lower triangle, row after row, each up to the diagonal.
    pub fn products(&self) -> &[f64] {
        &self.products
    }

    /// Mean of each number. `None` without a row.
    pub fn mean(&self) -> Option<Vec<f64>> {
        let count = self.count as f64;
        (self.count > 0).then(|| self.sums.iter().map(|sum| sum / count).collect())
    }

    /// The unbiased covariance (divided by n−1), r by r, row-major. `None` with fewer than two rows.
    pub fn covariance(&self) -> Option<Vec<f64>> {
        if self.count < 2 {
            return None;
        }
        let (r, count, mean) = (self.sums.len(), self.count as f64, self.mean()?);
        let mut covariance = vec![0.0; r * r];
        let mut products = self.products.iter();
        for i in 0..r {
            for (j, product) in (0..=i).zip(&mut products) {
                let element = (product - self.sums[i] * mean[j]) / (count - 1.0);
                covariance[i * r + j] = element;
                covariance[j * r + i] = element;
            }
        }
        Some(covariance)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::covariance::Moments;

    fn of(rows: &[Vec<f64>]) -> Sums {
        let mut sums = Sums::new(3);
        rows.iter().for_each(|row| assert!(sums.push(row)));
        sums
    }

    #[test]
    fn property_parts_in_any_cut_and_order_add_up_to_the_whole_exactly() {
        // Of whole numbers, and of parts of 1024, no sum here is rounded.
        let row = prop::collection::vec((-50_000..50_000i32).prop_map(|x| f64::from(x) / 1024.0), 3);
        proptest!(|(rows in prop::collection::vec(row, 0..40), cuts in [0..40usize, 0..40])| {
            let (first, second) = (cuts[0].min(cuts[1]).min(rows.len()), cuts[0].max(cuts[1]).min(rows.len()));
            let mut merged = of(&rows[second..]);
            merged.merge(&of(&rows[..first]));
            merged.merge(&of(&rows[first..second]));
            prop_assert_eq!(&merged, &of(&rows));
            let again = Sums::from_parts(merged.count(), merged.sums().to_vec(), merged.products().to_vec());
            prop_assert_eq!(again, Some(merged));
        });
    }

    #[test]
    fn property_mean_and_covariance_are_those_of_moments() {
        let row = prop::collection::vec(-100.0..100.0f64, 3);
        proptest!(|(rows in prop::collection::vec(row, 2..40))| {
            let (sums, mut moments) = (of(&rows), Moments::new(3));
            rows.iter().for_each(|row| moments.push(row));
            let n = rows.len() as f64;
            for (a, b) in sums.mean().expect("rows").iter().zip(moments.mean()) {
                prop_assert!((a - b).abs() < 1e-11);
            }
            let of_moments = moments.covariance().expect("rows");
            for (a, b) in sums.covariance().expect("rows").iter().zip(of_moments) {
                prop_assert!((a - b * n / (n - 1.0)).abs() < 1e-8);
            }
        });
    }

    #[test]
    fn a_row_that_cannot_be_added_is_left_out_whole() {
        let mut sums = of(&[vec![1.0, 2.0, 3.0]]);
        let before = sums.clone();
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e60] {
            assert!(!sums.push(&[1.0, bad, 2.0]));
        }
        assert_eq!(sums, before);
    }

    #[test]
    fn too_few_rows_have_no_mean_and_no_covariance() {
        assert_eq!(Sums::new(3).mean(), None);
        assert_eq!(of(&[vec![1.0; 3]]).covariance(), None);
        assert_eq!(Sums::from_parts(1, vec![0.0; 3], vec![0.0; 5]), None);
        assert_eq!(Sums::from_parts(1, vec![f64::NAN], vec![0.0]), None);
        assert_eq!(Sums::from_parts(1, vec![0.0; 33], vec![0.0; 33 * 17]), None);
    }
}
