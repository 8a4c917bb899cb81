//! Conformal thresholds: a stated share of false alarms, guaranteed for events like those of the reference.
//!
//! Owns: the p-value of a score, the threshold of a rate, and what a finite reference makes of the guarantee.
//! Never does: promise a rate that so few rows cannot certify.
//!
//! Invariant: over references and events drawn alike, the share of ordinary events above a threshold is at most its rate
//! (Bates et al., Annals of Statistics 2023).

use statrs::function::beta::inv_beta_reg;

/// Why a rate has no threshold.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// A rate is a share.
    #[error("a rate of false alarms lies between 0 and 1, and {rate} does not; write a number such as 0.01")]
    NoRate {
        /// What was asked for.
        rate: f64,
    },
    /// So few rows can certify no rate that low.
    #[error(
        "a rate of {rate} cannot be certified with {rows} rows; it takes {needed}: build the profile from more data, or \
         ask for a rate of {lowest:.6} or more"
    )]
    TooFewRows {
        /// What was asked for.
        rate: f64,
        /// Rows that were held out for thresholds.
        rows: usize,
        /// Rows that the rate takes.
        needed: usize,
        /// The lowest rate that these rows certify.
        lowest: f64,
    },
    /// Only the highest scores were kept.
    #[error("the profile keeps thresholds of rates up to {highest:.6}, and {rate} is higher; ask for a lower rate")]
    NotKept {
        /// What was asked for.
        rate: f64,
        /// The highest rate that was kept.
        highest: f64,
    },
    /// A score is not a number.
    #[error("{count} of {rows} scores are not numbers; leave these rows out")]
    NotNumbers {
        /// How many.
        count: usize,
        /// Of so many.
        rows: usize,
    },
}

/// The scores of rows that were held out: their number, and the highest of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Conformal {
    rows: usize,
    /// Rising.
    highest: Vec<f32>,
}

impl Conformal {
    /// Keeps all scores, in any order.
    ///
    /// # Errors
    /// [`Error::NotNumbers`].
    pub fn new(mut scores: Vec<f32>) -> Result<Self, Error> {
        let rows = scores.len();
        let count = scores.iter().filter(|score| score.is_nan()).count();
        if count > 0 {
            return Err(Error::NotNumbers { count, rows });
        }
        scores.sort_unstable_by(f32::total_cmp);
        Ok(Self { rows, highest: scores })
    }

    /// What [`Self::rows`] and [`Self::highest`] gave. `None` when no scores give that.
    pub fn from_parts(rows: usize, highest: Vec<f32>) -> Option<Self> {
        let rises = highest.is_sorted() && !highest.iter().any(|score| score.is_nan());
        (rises && highest.len() <= rows).then_some(Self { rows, highest })
    }

    /// The same with only the scores that rates up to `rate` take.
    pub fn kept_up_to(mut self, rate: f64) -> Self {
        let kept = (rate * (self.rows + 1) as f64).ceil() as usize;
        let dropped = self.highest.len().saturating_sub(kept);
        self.highest.drain(..dropped);
        self
    }

    /// Rows that were held out.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// The highest scores, rising.
    pub fn highest(&self) -> &[f32] {
        &self.highest
    }

    /// p = (1 + #{scores at or above this one}) / (n + 1). `None` for a score below all that were kept, whose p-value is
    /// larger than every rate that has a threshold, and for one that is not a number.
    pub fn p_value(&self, score: f32) -> Option<f64> {
        let below = self.highest.partition_point(|kept| *kept < score);
        let is_known = !score.is_nan() && (below > 0 || self.highest.len() == self.rows);
        let above = self.highest.len() - below;
        is_known.then(|| (1 + above) as f64 / (self.rows + 1) as f64)
    }

    /// The threshold of a rate: at most this share of ordinary events scores *above* it. It is the k-th lowest score for
    /// k = ⌈(n+1)(1−rate)⌉.
    ///
    /// # Errors
    /// [`Error`] when the rate cannot be certified: it takes 1/rate − 1 rows.
    pub fn threshold(&self, rate: f64) -> Result<f32, Error> {
        let from_top = self.rows - self.rank(rate)?;
        match self.highest.len().checked_sub(1 + from_top) {
            Some(at) => Ok(self.highest[at]),
            None => Err(Error::NotKept {
                rate,
                highest: self.highest.len() as f64 / (self.rows + 1) as f64,
            }),
        }
    }

    /// Where the share of false alarms of this rate's threshold lies with 95 %, given that the scores are these: it is
    /// drawn from Beta(n+1−k, k) once, when the reference is.
    ///
    /// # Errors
    /// As [`Self::threshold`].
    pub fn realised(&self, rate: f64) -> Result<(f64, f64), Error> {
        let k = self.rank(rate)?;
        let quantile = |q| inv_beta_reg((self.rows + 1 - k) as f64, k as f64, q);
        Ok((quantile(0.025), quantile(0.975)))
    }

    /// k of the k-th lowest score, from 1 to n.
    fn rank(&self, rate: f64) -> Result<usize, Error> {
        if !(rate > 0.0 && rate < 1.0) {
            return Err(Error::NoRate { rate });
        }
        let rows = self.rows;
        let k = ceil((rows + 1) as f64 * (1.0 - rate));
        if k > rows {
            let needed = ceil(1.0 / rate - 1.0);
            let lowest = 1.0 / (rows + 1) as f64;
            return Err(Error::TooFewRows {
                rate,
                rows,
                needed,
                lowest,
            });
        }
        Ok(k.max(1))
    }
}

/// Rounds up, but not for a hair: 1000 · (1 − 0.1) is not exactly 900.
fn ceil(value: f64) -> usize {
    ((value * 1e9).round() / 1e9).ceil() as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use statrs::function::beta::beta_reg;

    use super::*;

    fn ramp(rows: u16) -> Conformal {
        Conformal::new((0..rows).map(f32::from).collect()).expect("numbers")
    }

    #[test]
    fn a_rate_that_cannot_be_certified_says_how_many_rows_it_takes() {
        let error = ramp(998).threshold(0.001).expect_err("it takes 999");
        assert!(matches!(error, Error::TooFewRows { needed: 999, .. }), "{error}");
        assert!(error.to_string().contains("it takes 999"), "{error}");
        assert_eq!(ramp(999).threshold(0.001), Ok(998.0));
    }

    #[test]
    fn what_is_no_rate_is_an_error() {
        for rate in [0.0, 1.0, -0.1, f64::NAN, f64::INFINITY] {
            assert!(matches!(ramp(100).threshold(rate), Err(Error::NoRate { .. })), "{rate}");
        }
        assert!(matches!(
            Conformal::new(vec![1.0, f32::NAN]),
            Err(Error::NotNumbers { count: 1, rows: 2 })
        ));
    }

    #[test]
    fn the_realised_rate_of_1_percent_on_1000_rows_lies_between_half_and_twice() {
        let (low, high) = ramp(1000).realised(0.01).expect("it can be certified");
        // Methods quote .0048 and .0170.
        assert!(
            (low - 0.0048).abs() < 5e-5 && (high - 0.0170).abs() < 5e-5,
            "{low} {high}"
        );
    }

    #[test]
    fn property_the_interval_has_its_stated_weight() {
        proptest!(|(rows in 50..60_000usize, rate in 0.0001..0.3f64)| {
            let scores = Conformal::new(vec![0.0; rows]).expect("numbers");
            if let Ok((low, high)) = scores.realised(rate) {
                let k = scores.rank(rate).expect("it has an interval");
                let below = |p| beta_reg((rows + 1 - k) as f64, k as f64, p);
                prop_assert!((below(low) - 0.025).abs() < 1e-6, "{}", below(low));
                prop_assert!((below(high) - 0.975).abs() < 1e-6, "{}", below(high));
            }
        });
    }

    #[test]
    fn property_what_was_kept_answers_as_all_scores_do() {
        proptest!(|(scores in prop::collection::vec(0..50u8, 20..300), up_to in 0.05..0.5f64)| {
            let all = Conformal::new(scores.iter().copied().map(f32::from).collect()).expect("numbers");
            let kept = all.clone().kept_up_to(up_to);
            for rate in [0.01, 0.05, 0.1, 0.2, up_to] {
                match kept.threshold(rate) {
                    Err(Error::NotKept { highest, .. }) => prop_assert!(rate > highest),
                    answer => prop_assert_eq!(answer, all.threshold(rate)),
                }
            }
            for score in 0..52u8 {
                let exact = all.p_value(f32::from(score));
                match kept.p_value(f32::from(score)) {
                    None => prop_assert!(exact > Some(up_to)),
                    known => prop_assert_eq!(known, exact),
                }
            }
        });
    }
}
