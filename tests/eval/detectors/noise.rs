//! How much a number of few runs moves by chance.

use eddy_pipeline::seed;

/// Draws of runs.
const DRAWS: u64 = 2_000;
/// Part of the draws below an interval, and above it.
const TAIL: f64 = 0.005;

/// From one number to another, both of them inside.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Interval {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Interval {
    pub(super) fn holds(self, x: f64) -> bool {
        (self.low..=self.high).contains(&x)
    }

    /// With what rounding may hide.
    pub(super) fn widened(self, by: f64) -> Self {
        Self {
            low: self.low - by,
            high: self.high + by,
        }
    }

    /// What all but the tails of some numbers lie in.
    fn of(mut numbers: Vec<f64>) -> Self {
        numbers.sort_unstable_by(f64::total_cmp);
        let last = numbers.len() - 1;
        let tail = (TAIL * numbers.len() as f64) as usize;
        Self {
            low: numbers[tail],
            high: numbers[last - tail],
        }
    }
}

/// The median, and infinity for none.
pub(super) fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    let n = numbers.len();
    match numbers.get(n / 2) {
        None => f64::INFINITY,
        Some(upper) => 0.5 * (upper + numbers[(n - 1) / 2]),
    }
}

/// Draws of runs, by a seed.
#[derive(Debug)]
pub(super) struct Noise {
    seed: u64,
}

impl Noise {
    pub(super) const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// What a number of so many runs is, drawn from these.
    pub(super) fn resampled<T: Copy>(&self, runs: &[T], so_many: usize, of: impl Fn(&[T]) -> f64) -> Interval {
        let draw = |draw: u64| {
            let seed = seed::hash(self.seed, draw);
            let run = |at| runs[(seed::uniform(seed, at) * runs.len() as f64) as usize];
            let drawn: Vec<T> = (0..so_many as u64).map(run).collect();
            of(&drawn)
        };
        Interval::of((0..DRAWS).map(draw).collect())
    }

    /// How many alarms so many streams have, drawn from these, and at the least what Poisson's law says: no alarm here does
    /// not mean that none could be there.
    pub(super) fn alarms(&self, streams: &[u32], so_many: usize) -> Interval {
        let drawn = self.resampled(streams, so_many, |drawn| f64::from(drawn.iter().sum::<u32>()));
        let all: u32 = streams.iter().sum();
        let mean = (f64::from(all) + 0.5) * so_many as f64 / streams.len() as f64;
        let law = poisson(mean);
        Interval {
            low: drawn.low.min(law.low),
            high: drawn.high.max(law.high),
        }
    }
}

/// How often something happens in so many runs, when it did in `count` of `runs` others.
pub(super) fn binomial(count: f64, runs: f64, so_many: usize) -> Interval {
    let p = (count + 0.5) / (runs + 1.0);
    let n = so_many as f64;
    let mut chance = (1.0 - p).powf(n);
    quantiles(|k| {
        let now = chance;
        chance *= (n - k) / (k + 1.0) * p / (1.0 - p);
        now
    })
}

fn poisson(mean: f64) -> Interval {
    let mut log = -mean;
    quantiles(|k| {
        let now = log.exp();
        log += (mean / (k + 1.0)).ln();
        now
    })
}

/// From the chances of 0, 1, 2, …
fn quantiles(mut chance: impl FnMut(f64) -> f64) -> Interval {
    let (mut sum, mut low, mut k) = (0.0, None, 0.0);
    loop {
        sum += chance(k);
        if low.is_none() && sum > TAIL {
            low = Some(k);
        }
        // Beyond a million something is wrong with the chances.
        if sum >= 1.0 - TAIL || k > 1e6 {
            return Interval {
                low: low.unwrap_or(k),
                high: k,
            };
        }
        k += 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_the_laws() {
        // By SciPy: binom.ppf and poisson.ppf at 0.005 and 0.995.
        let half = binomial(199.999, 400.0, 40);
        assert_eq!(half, Interval { low: 12.0, high: 28.0 });
        assert_eq!(poisson(10.0), Interval { low: 3.0, high: 19.0 });
        assert_eq!(binomial(0.0, 400.0, 40), Interval { low: 0.0, high: 1.0 });
        assert!(poisson(800.0).low > 700.0 && poisson(800.0).high < 900.0);
    }

    #[test]
    fn the_median_is_the_middle_and_of_nothing_infinite() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&mut []), f64::INFINITY);
    }

    #[test]
    fn a_median_of_few_runs_lies_in_its_interval() {
        let runs: Vec<f64> = (0..400).map(f64::from).collect();
        let interval = Noise::new(3).resampled(&runs, 40, |runs| median(&mut runs.to_vec()));
        // Its standard error is near 400·1.25/(√12·√40).
        assert!(interval.low > 100.0 && interval.low < 150.0, "{interval:?}");
        assert!(interval.high > 250.0 && interval.high < 300.0, "{interval:?}");
    }
}
