//! An even sample of a stream of numbers, and quantiles of it.

/// Numbers of which every one that came by is in the sample with the same probability.
#[derive(Debug)]
pub(crate) struct Sample {
    kept: Vec<f64>,
    seen: u64,
    random: u64,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            kept: Vec::new(),
            seen: 0,
            // Any seed will do; a fixed one makes two surveys of a data set the same.
            random: 0x9e37_79b9_7f4a_7c15,
        }
    }
}

impl Sample {
    /// Takes a number: algorithm R of Vitter, "Random sampling with a reservoir" (1985). `room` is how many more may be
    /// kept, here and elsewhere; `most` how many here.
    pub(crate) fn take(&mut self, x: f64, most: usize, room: &mut usize) {
        self.seen += 1;
        if self.kept.len() < most && *room > 0 && self.kept.len() as u64 == self.seen - 1 {
            *room -= 1;
            self.kept.push(x);
            return;
        }
        let at = self.draw() % self.seen;
        if let Some(kept) = usize::try_from(at).ok().and_then(|at| self.kept.get_mut(at)) {
            *kept = x;
        }
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The quantiles at these shares, each a number that was taken: the ⌈n·share⌉-th in order. Empty without any number.
    pub(crate) fn quantiles(mut self, shares: &[f64]) -> Vec<(f64, f64)> {
        self.kept.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| {
            let rank = (self.kept.len() as f64 * share).ceil() as usize;
            self.kept.get(rank.clamp(1, self.kept.len().max(1)) - 1).copied()
        };
        shares.iter().filter_map(|share| Some((*share, at(*share)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantiles(numbers: impl Iterator<Item = f64>, most: usize) -> Vec<f64> {
        let mut sample = Sample::default();
        let mut room = usize::MAX;
        for x in numbers {
            sample.take(x, most, &mut room);
        }
        sample
            .quantiles(&[0.01, 0.5, 0.99])
            .into_iter()
            .map(|(_, x)| x)
            .collect()
    }

    #[test]
    fn quantiles_are_exact_as_long_as_all_numbers_are_kept() {
        let shuffled = (0..1000).map(|i| f64::from((i * 617) % 1000 + 1));
        assert_eq!(quantiles(shuffled, 1000), [10.0, 500.0, 990.0]);
        assert_eq!(quantiles([7.0].into_iter(), 10), [7.0, 7.0, 7.0]);
        assert!(quantiles(std::iter::empty(), 10).is_empty());
    }

    #[test]
    fn quantiles_of_a_sample_are_near_wherever_in_the_stream_the_numbers_stand() {
        // Five standard deviations of a sampled median: 5·√(¼/1000) of the ranks, that is 0.079 of them.
        let median = quantiles((0..100_000).map(f64::from), 1000)[1];
        assert!((median - 50_000.0).abs() < 7_900.0, "{median}");
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let mut room = 3;
        let (mut first, mut second) = (Sample::default(), Sample::default());
        for x in 0..100 {
            first.take(f64::from(x), 2, &mut room);
            second.take(f64::from(x), 2, &mut room);
        }
        assert_eq!((first.kept.len(), second.kept.len(), room), (2, 1, 0));
    }
}
