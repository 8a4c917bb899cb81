//! What a model's numbers look like when it has run over the data: the only way to tell probabilities from logits.

/// How far a probability may lie outside 0 to 1, and a sum of them from 1, for rounding's sake; half precision sums up to
/// about this.
const ROUNDING: f64 = 1e-3;

/// What an output holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looks {
    /// Several numbers a row between 0 and 1 that sum to 1: a probability for each class.
    Distributions,
    /// Numbers between 0 and 1: probabilities by themselves.
    Probabilities,
    /// -1 and 1 only: the verdicts of scikit-learn's outlier detectors.
    Verdicts,
    /// Any numbers.
    Numbers,
}

/// Watches an output over the rows of a run.
#[derive(Debug, Clone, Copy)]
pub struct Observer {
    rows: u64,
    within: bool,
    sums: bool,
    verdicts: bool,
    spread: bool,
    first: f64,
}

impl Default for Observer {
    fn default() -> Self {
        Self {
            rows: 0,
            within: true,
            sums: true,
            verdicts: true,
            spread: false,
            first: 0.0,
        }
    }
}

impl Observer {
    /// Notes one row of the output. A row with a number that is not finite says nothing.
    pub fn observe(&mut self, row: impl IntoIterator<Item = f64>) {
        let (mut sum, mut width, mut next) = (0.0, 0, *self);
        for x in row {
            if !x.is_finite() {
                return;
            }
            if next.rows == 0 && width == 0 {
                next.first = x;
            }
            sum += x;
            width += 1;
            next.within &= (-ROUNDING..=1.0 + ROUNDING).contains(&x);
            next.verdicts &= x.abs() == 1.0;
            next.spread |= x != next.first;
        }
        next.rows += 1;
        next.sums &= width > 1 && (sum - 1.0).abs() <= ROUNDING;
        *self = next;
    }

    /// What it looks like; `None` before any row.
    pub fn looks(&self) -> Option<Looks> {
        (self.rows > 0).then_some(if self.verdicts && self.spread {
            Looks::Verdicts
        } else if !self.within {
            Looks::Numbers
        } else if self.sums {
            Looks::Distributions
        } else {
            Looks::Probabilities
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(rows: &[&[f64]]) -> Option<Looks> {
        let mut observer = Observer::default();
        for row in rows {
            observer.observe(row.iter().copied());
        }
        observer.looks()
    }

    #[test]
    fn numbers_are_told_by_their_range_and_their_sums() {
        assert_eq!(looks(&[]), None);
        assert_eq!(looks(&[&[0.25, 0.75], &[0.9996, 0.0]]), Some(Looks::Distributions));
        assert_eq!(looks(&[&[0.25, 0.75], &[0.5, 0.9]]), Some(Looks::Probabilities));
        assert_eq!(looks(&[&[0.25], &[1.0]]), Some(Looks::Probabilities));
        assert_eq!(looks(&[&[0.25, 0.75], &[-3.0, 4.0]]), Some(Looks::Numbers));
        assert_eq!(looks(&[&[1.0], &[-1.0]]), Some(Looks::Verdicts));
        assert_eq!(looks(&[&[1.0], &[0.0]]), Some(Looks::Probabilities));
    }

    #[test]
    fn a_row_that_is_not_finite_says_nothing() {
        assert_eq!(looks(&[&[f64::NAN, 7.0]]), None);
        assert_eq!(looks(&[&[9.0, f64::NAN], &[0.5, 0.5]]), Some(Looks::Distributions));
    }
}
