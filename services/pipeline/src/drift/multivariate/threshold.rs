//! What chance makes of a distance, by drawing windows from the reference itself (Efron, Annals of Statistics 1979): it
//! holds for rows of any distribution, which a formula for normal ones does not.
//!
//! A window of n rows is compared with a reference of N that is a sample, too: both are noise, and what they make together
//! is 1/n + 1/N. Windows drawn from the reference know only the first. They are therefore of nN/(n+N) rows, which is the
//! same noise, as those of the distances fall as 1/n.

use super::{Sums, squared_frechet};
use crate::seed;

/// How windows are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bootstrap {
    /// Rows of the windows that are to be judged, n.
    pub rows: u64,
    /// Windows to draw. Of a thousand, ten lie above the threshold for 1 %, so that rate is right to about a third.
    pub resamples: u64,
    /// Share of windows without drift that may lie above the threshold, above 0 and below 1.
    pub false_alarms: f64,
    /// Of the draws.
    pub seed: u64,
}

impl Bootstrap {
    /// The distance that no more than `false_alarms` of the windows drawn from a reference of so many rows exceed. `distance`
    /// is given the rows of a window, by their number, repeats included. `None` when there is no row or no window to draw,
    /// when the rate is none, or a window has no distance.
    pub fn critical(
        &self,
        reference: usize,
        mut distance: impl FnMut(&mut dyn Iterator<Item = usize>) -> Option<f64>,
    ) -> Option<f64> {
        if reference == 0 || self.rows == 0 || !(self.false_alarms > 0.0 && self.false_alarms < 1.0) {
            return None;
        }
        let (n, all) = (self.rows as f64, reference as f64);
        let drawn = ((n * all / (n + all)).round() as u64).max(1);
        let window = |resample| {
            let seed = seed::hash(self.seed, resample);
            let mut rows = (0..drawn).map(|at| (seed::uniform(seed, at) * all) as usize);
            distance(&mut rows).filter(|distance| distance.is_finite())
        };
        let mut distances: Vec<f64> = (0..self.resamples).map(window).collect::<Option<_>>()?;
        distances.sort_unstable_by(f64::total_cmp);
        // As a conformal threshold: of m + 1 windows without drift, a share of at most the rate lies above.
        let m = distances.len();
        let rank = ((m + 1) as f64 * (1.0 - self.false_alarms)).ceil() as usize;
        distances.get(rank.clamp(1, m.max(1)) - 1).copied()
    }
}

/// The squared Fréchet distance that windows without drift exceed as seldom as asked for, from rows of the reference, which
/// are best [projections](super::Projection). Rows that cannot be added are left out. `None` as [`Bootstrap::critical`], and
/// when a window has fewer than two rows that can be added.
///
/// # Panics
/// When the rows have not as many numbers, or more than [`super::MAX_DIMENSIONS`].
pub fn frechet_critical(reference: &[Vec<f64>], bootstrap: &Bootstrap) -> Option<f64> {
    let of = |rows: &mut dyn Iterator<Item = usize>| {
        let mut sums = Sums::new(reference.first().map_or(0, Vec::len));
        rows.for_each(|row| {
            sums.push(&reference[row]);
        });
        sums
    };
    let whole = of(&mut (0..reference.len()));
    bootstrap.critical(reference.len(), |rows| squared_frechet(&whole, &of(rows)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{hash, normal};

    fn rows(seed: u64, n: u64, is_heavy: bool) -> Vec<Vec<f64>> {
        let row = |row: u64| {
            // Rows of different size have tails like those of embeddings.
            let scale = if is_heavy {
                (0.5 * normal(seed, row * 4 + 3)).exp()
            } else {
                1.0
            };
            (0..3).map(|at| scale * normal(seed, row * 4 + at)).collect()
        };
        (0..n).map(row).collect()
    }

    fn bootstrap() -> Bootstrap {
        Bootstrap {
            rows: 200,
            resamples: 500,
            false_alarms: 0.05,
            seed: 1,
        }
    }

    fn sums(rows: &[Vec<f64>]) -> Sums {
        let mut sums = Sums::new(3);
        rows.iter().for_each(|row| assert!(sums.push(row)));
        sums
    }

    #[test]
    fn false_alarms_are_as_rare_as_asked_for_whatever_the_tails() {
        for is_heavy in [false, true] {
            let (mut alarms, mut by_formula, windows) = (0, 0, 100);
            for run in 0..20 {
                let reference = rows(hash(2, run), 1_000, is_heavy);
                let critical = frechet_critical(&reference, &bootstrap()).expect("there are rows");
                let reference = sums(&reference);
                let mean = super::super::null_mean(&reference, 200).expect("there are rows");
                for window in 0..windows {
                    let window = sums(&rows(hash(hash(3, run), window), 200, is_heavy));
                    let distance = squared_frechet(&reference, &window).expect("both have rows");
                    alarms += u64::from(distance > critical);
                    by_formula += u64::from(distance > 2.0 * mean);
                }
            }
            let rate = |alarms: u64| alarms as f64 / (20 * windows) as f64;
            // Windows that share a reference are alike: of 20 references the rate has a standard error near 0.01.
            assert!((0.025..0.09).contains(&rate(alarms)), "{} {is_heavy}", rate(alarms));
            // What a formula for normal rows allows is far too little for others.
            assert_eq!(rate(by_formula) > 0.15, is_heavy, "{}", rate(by_formula));
        }
    }

    #[test]
    fn a_change_lies_above_and_a_seed_gives_the_same_threshold() {
        let reference = rows(5, 1_000, false);
        let critical = frechet_critical(&reference, &bootstrap()).expect("there are rows");
        assert_eq!(frechet_critical(&reference, &bootstrap()), Some(critical));
        let other = Bootstrap { seed: 2, ..bootstrap() };
        let other = frechet_critical(&reference, &other).expect("there are rows");
        assert!(
            other != critical && (other / critical - 1.0).abs() < 0.2,
            "{other} {critical}"
        );
        let mut moved = rows(6, 200, false);
        moved.iter_mut().flatten().for_each(|x| *x *= 1.5);
        assert!(squared_frechet(&sums(&reference), &sums(&moved)).expect("both have rows") > critical);
    }

    #[test]
    fn the_threshold_is_the_stated_quantile_of_the_windows() {
        let mut numbers = (1..=99).map(f64::from);
        let hundredth = Bootstrap {
            resamples: 99,
            false_alarms: 0.1,
            ..bootstrap()
        };
        assert_eq!(hundredth.critical(10, |_| numbers.next()), Some(90.0));
        // Too few windows for the rate: the largest.
        let mut numbers = (1..=5).map(f64::from);
        let few = Bootstrap {
            resamples: 5,
            false_alarms: 0.01,
            ..bootstrap()
        };
        assert_eq!(few.critical(10, |_| numbers.next()), Some(5.0));
        // Rows of both samples: 200·1000/1200.
        let mut drawn = Vec::new();
        bootstrap().critical(1_000, |rows| {
            drawn.push(rows.inspect(|row| assert!(*row < 1_000)).count());
            Some(0.0)
        });
        assert_eq!(drawn, [167; 500]);
    }

    #[test]
    fn what_cannot_be_drawn_has_no_threshold() {
        let reference = rows(7, 50, false);
        let none = |bootstrap: Bootstrap| assert_eq!(frechet_critical(&reference, &bootstrap), None, "{bootstrap:?}");
        none(Bootstrap { rows: 0, ..bootstrap() });
        none(Bootstrap {
            resamples: 0,
            ..bootstrap()
        });
        for false_alarms in [0.0, 1.0, f64::NAN] {
            none(Bootstrap {
                false_alarms,
                ..bootstrap()
            });
        }
        assert_eq!(frechet_critical(&[], &bootstrap()), None);
        assert_eq!(frechet_critical(&[vec![f64::NAN]], &bootstrap()), None);
    }
}
