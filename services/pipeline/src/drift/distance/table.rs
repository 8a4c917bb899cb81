//! Two rows of counts over the same bins, and the shares that distances are made of.

/// Why counts cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Counts of other bins.
    #[error(
        "the reference has {reference} bins and the window {current}; count both with the edges or categories of one profile"
    )]
    Lengths {
        /// Bins of the reference.
        reference: usize,
        /// Bins of the window.
        current: usize,
    },
    /// Each bin has a mean.
    #[error("there are {means} means for {bins} bins; take both from one profile")]
    Means {
        /// Means of bins.
        means: usize,
        /// Bins.
        bins: usize,
    },
    /// Means are finite and rise from bin to bin.
    #[error("the means of the bins are not finite numbers in rising order; build the profile anew")]
    NotRising,
    /// A standard deviation is a number from 0 on, a mean a number.
    #[error("the mean or standard deviation of the reference is not a number; build the profile anew")]
    NotNumbers,
}

/// What the bins are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bins<'a> {
    /// Without an order.
    Categories,
    /// In an order.
    Ordered,
    /// In an order, with what the numbers in them are like.
    Scaled(Scale<'a>),
}

/// What the numbers in the bins are like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale<'a> {
    bin_means: &'a [f64],
    mean: f64,
    sigma: f64,
    current_mean: f64,
}

impl<'a> Scale<'a> {
    /// Least standard deviation that distances are divided by, as Evidently has it.
    const LEAST_SIGMA: f64 = 1e-3;

    /// The mean of the reference in each bin, its mean and standard deviation (of the population) over all, and the mean of
    /// the window, all in the unit of the feature. The last may be NaN for an empty window.
    ///
    /// # Errors
    /// [`Error::NotRising`], [`Error::NotNumbers`].
    pub fn new(bin_means: &'a [f64], mean: f64, sigma: f64, current_mean: f64) -> Result<Self, Error> {
        if !(bin_means.is_sorted() && bin_means.iter().all(|mean| mean.is_finite())) {
            return Err(Error::NotRising);
        }
        if !(mean.is_finite() && sigma.is_finite() && sigma >= 0.0) {
            return Err(Error::NotNumbers);
        }
        Ok(Self {
            bin_means,
            mean,
            sigma,
            current_mean,
        })
    }

    /// |mean of the window − mean of the reference| in standard deviations of the reference. It bounds Wasserstein's
    /// distance from below, also where all values leave the range of the reference, and for a constant one.
    pub fn mean_shift(&self) -> f64 {
        (self.current_mean - self.mean).abs() / self.sigma()
    }

    pub(super) fn sigma(&self) -> f64 {
        self.sigma.max(Self::LEAST_SIGMA)
    }

    pub(super) fn bin_means(&self) -> &'a [f64] {
        self.bin_means
    }
}

/// Counts of a reference, c₁…c_B with sum N, and of a window, d₁…d_B with sum n, over the same bins.
#[derive(Debug, Clone, Copy)]
pub struct Table<'a> {
    reference: &'a [u64],
    current: &'a [u64],
    bins: Bins<'a>,
    reference_total: f64,
    current_total: f64,
}

impl<'a> Table<'a> {
    /// Added to every count before shares are taken whose logarithm is: Jeffreys' prior.
    const ALPHA: f64 = 0.5;

    /// Two rows of counts. Windows and parts of a stream are merged before, by adding counts up.
    ///
    /// # Errors
    /// [`Error::Lengths`], [`Error::Means`].
    pub fn new(reference: &'a [u64], current: &'a [u64], bins: Bins<'a>) -> Result<Self, Error> {
        if reference.len() != current.len() {
            return Err(Error::Lengths {
                reference: reference.len(),
                current: current.len(),
            });
        }
        if let Bins::Scaled(scale) = bins
            && scale.bin_means.len() != reference.len()
        {
            return Err(Error::Means {
                means: scale.bin_means.len(),
                bins: reference.len(),
            });
        }
        Ok(Self {
            reference,
            current,
            bins,
            reference_total: sum(reference),
            current_total: sum(current),
        })
    }

    /// B.
    pub const fn bins(&self) -> usize {
        self.reference.len()
    }

    /// What the bins are.
    pub const fn kind(&self) -> &Bins<'a> {
        &self.bins
    }

    /// N.
    pub const fn reference_total(&self) -> f64 {
        self.reference_total
    }

    /// n.
    pub const fn current_total(&self) -> f64 {
        self.current_total
    }

    /// Whether there are two bins and an event of each row.
    pub fn is_comparable(&self) -> bool {
        self.bins() >= 2 && self.reference_total > 0.0 && self.current_total > 0.0
    }

    /// (cᵢ, dᵢ) of each bin.
    pub fn counts(&self) -> impl Iterator<Item = (f64, f64)> + use<'_> {
        let pairs = self.reference.iter().zip(self.current);
        pairs.map(|(c, d)| (*c as f64, *d as f64))
    }

    /// Shares (rᵢ, sᵢ) = (cᵢ/N, dᵢ/n). Numbers where the table [is comparable](Self::is_comparable).
    pub fn shares(&self) -> impl Iterator<Item = (f64, f64)> + use<'_> {
        self.counts()
            .map(|(c, d)| (c / self.reference_total, d / self.current_total))
    }

    /// Smoothed shares (pᵢ, qᵢ) = ((cᵢ+½)/(N+B/2), (dᵢ+½)/(n+B/2)): never 0.
    pub fn smoothed(&self) -> impl Iterator<Item = (f64, f64)> + use<'_> {
        let added = Self::ALPHA * self.bins() as f64;
        let (of_reference, of_current) = (self.reference_total + added, self.current_total + added);
        self.counts()
            .map(move |(c, d)| ((c + Self::ALPHA) / of_reference, (d + Self::ALPHA) / of_current))
    }

    /// |Fᵢ − Gᵢ| at each of the B−1 edges between bins, for the sums F and G of shares up to there.
    pub fn gaps(&self) -> impl Iterator<Item = f64> + use<'_> {
        let pairs = self.reference.iter().zip(self.current);
        let sums = pairs.scan((0u128, 0u128), |sums, (c, d)| {
            sums.0 += u128::from(*c);
            sums.1 += u128::from(*d);
            Some(*sums)
        });
        sums.take(self.bins().saturating_sub(1))
            .map(|(c, d)| (c as f64 / self.reference_total - d as f64 / self.current_total).abs())
    }
}

/// Exact, however many counts there are.
fn sum(counts: &[u64]) -> f64 {
    counts.iter().copied().map(u128::from).sum::<u128>() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_other_bins_are_refused() {
        let error = Table::new(&[1, 2], &[1], Bins::Ordered).expect_err("other bins");
        assert_eq!(
            error,
            Error::Lengths {
                reference: 2,
                current: 1
            }
        );
        let scale = Scale::new(&[0.0], 0.0, 1.0, 0.0).expect("numbers");
        let error = Table::new(&[1, 2], &[1, 2], Bins::Scaled(scale)).expect_err("a mean for each bin");
        assert_eq!(error, Error::Means { means: 1, bins: 2 });
    }

    #[test]
    fn a_scale_takes_numbers_in_rising_order() {
        for means in [
            &[1.0, 0.0][..],
            &[0.0, f64::NAN],
            &[f64::NAN, 0.0],
            &[0.0, f64::INFINITY],
        ] {
            assert_eq!(Scale::new(means, 0.0, 1.0, 0.0), Err(Error::NotRising), "{means:?}");
        }
        for (mean, sigma) in [(f64::NAN, 1.0), (0.0, f64::NAN), (0.0, -1.0), (0.0, f64::INFINITY)] {
            assert_eq!(Scale::new(&[0.0], mean, sigma, 0.0), Err(Error::NotNumbers));
        }
    }

    #[test]
    fn a_constant_reference_still_has_a_shift_of_its_mean() {
        let scale = Scale::new(&[5.0], 5.0, 0.0, 5.1).expect("numbers");
        assert!((scale.mean_shift() - 100.0).abs() < 1e-9);
    }
}
