//! Counts by key, sums and sketches of numbers: what a comparison is made of.
//!
//! Owns: adding up so that neither the order of events nor where a run was cut shows in the result.
//! Never does: keep an event.
//!
//! Invariant: adding is associative and commutative to the last bit, and memory has a bound that no stream can move.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How often each key was seen. A list of pairs in JSON, which knows no keys but texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(K, u64)>", into = "Vec<(K, u64)>")]
#[serde(bound(serialize = "K: Ord + Clone + Serialize", deserialize = "K: Ord + Deserialize<'de>"))]
pub struct Counts<K: Ord + Clone>(BTreeMap<K, u64>);

impl<K: Ord + Clone> Default for Counts<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord + Clone> From<Vec<(K, u64)>> for Counts<K> {
    fn from(pairs: Vec<(K, u64)>) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl<K: Ord + Clone> From<Counts<K>> for Vec<(K, u64)> {
    fn from(counts: Counts<K>) -> Self {
        counts.0.into_iter().collect()
    }
}

impl<K: Ord + Clone> Counts<K> {
    /// Counts a key so many times.
    pub fn add(&mut self, key: K, times: u64) {
        let count = self.0.entry(key).or_default();
        *count = count.saturating_add(times);
    }

    /// How often a key was seen.
    pub fn of(&self, key: &K) -> u64 {
        self.0.get(key).copied().unwrap_or_default()
    }

    /// Every key that was seen, rising, with its count.
    pub fn iter(&self) -> impl Iterator<Item = (&K, u64)> {
        self.0.iter().map(|(key, times)| (key, *times))
    }

    /// All counts together.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

/// Bits of a 32-bit number below its sketch's resolution: ten of the mantissa's 23 stay.
const DROPPED: u32 = 13;
/// Units of an [`ExactSum`]: its parts hold 32 bits each, the lowest counts in 2⁻¹⁴⁹, the least number there is.
const PARTS: usize = 9;

/// The exact sum of 32-bit numbers: rounded once, when it is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct ExactSum([i128; PARTS]);

impl TryFrom<Vec<String>> for ExactSum {
    type Error = String;

    fn try_from(parts: Vec<String>) -> Result<Self, String> {
        let numbers: Option<Vec<i128>> = parts.iter().map(|part| part.parse().ok()).collect();
        let sum = numbers.and_then(|numbers| numbers.try_into().ok());
        sum.map(Self).ok_or_else(|| "a sum has other parts than numbers".into())
    }
}

impl From<ExactSum> for Vec<String> {
    fn from(sum: ExactSum) -> Self {
        sum.0.iter().map(i128::to_string).collect()
    }
}

impl ExactSum {
    /// Adds a finite number; any other adds nothing.
    pub fn add(&mut self, value: f32) {
        if !value.is_finite() {
            return;
        }
        let bits = value.to_bits();
        let exponent = (bits >> 23) & 0xff;
        let mantissa = bits & 0x7f_ffff;
        // A subnormal number lacks the leading one, and has the exponent of the least normal one.
        let (whole, shift) = match exponent {
            0 => (mantissa, 0),
            _ => (mantissa | 0x80_0000, exponent - 1),
        };
        let part = i128::from(whole) << (shift % 32);
        let signed = if value < 0.0 { -part } else { part };
        self.0[(shift / 32) as usize] += signed;
    }

    /// The sum as the nearest number but for the last few bits.
    pub fn value(&self) -> f64 {
        // Carried first, so that parts of opposite sign do not cancel in rounded numbers.
        let mut carried = self.0;
        for at in 0..PARTS - 1 {
            let over = carried[at].div_euclid(1 << 32);
            carried[at] -= over << 32;
            carried[at + 1] += over;
        }
        let is_negative = carried[PARTS - 1] < 0;
        if is_negative {
            let negated = Self(self.0.map(|part| -part));
            return -negated.value();
        }
        let part = |at: usize| carried[at] as f64 * f64::from(at as u32 * 32).exp2();
        // In the unit of 2⁻¹⁴⁹ the largest parts exceed no double; scaled in two steps, since 2⁻¹⁴⁹ times them is none less.
        let sum: f64 = (0..PARTS).map(part).sum();
        sum * (-149_f64).exp2()
    }
}

/// How numbers are distributed: a count for each range of relative width 2⁻¹⁰, so at most 2¹⁹ of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Numbers {
    sum: ExactSum,
    ranges: Counts<u32>,
    least: Option<f32>,
    most: Option<f32>,
}

/// The quantiles that reports show.
pub const QUANTILES: [(&str, f64); 7] = [
    ("p01", 0.01),
    ("p05", 0.05),
    ("p25", 0.25),
    ("p50", 0.5),
    ("p75", 0.75),
    ("p95", 0.95),
    ("p99", 0.99),
];

impl Numbers {
    /// Takes in a finite number; any other is passed over.
    pub fn add(&mut self, value: f32) {
        if !value.is_finite() {
            return;
        }
        self.sum.add(value);
        self.ranges.add(key(value), 1);
        self.least = Some(self.least.map_or(value, |least| least.min(value)));
        self.most = Some(self.most.map_or(value, |most| most.max(value)));
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.ranges.total()
    }

    /// Their mean; `None` without any.
    pub fn mean(&self) -> Option<f64> {
        let count = self.count();
        (count > 0).then(|| self.sum.value() / count as f64)
    }

    /// The least of them.
    pub const fn least(&self) -> Option<f32> {
        self.least
    }

    /// The greatest of them.
    pub const fn most(&self) -> Option<f32> {
        self.most
    }

    /// The number that a share of them does not exceed, x₍⌈n·share⌉₎, to 2⁻¹¹ of itself. `None` without any.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let rank = ((self.count() as f64 * share).ceil() as u64).max(1);
        let mut passed = 0;
        for (key, times) in self.ranges.iter() {
            passed += times;
            if passed >= rank {
                let middle = middle(*key);
                return Some(middle.clamp(f64::from(self.least?), f64::from(self.most?)));
            }
        }
        None
    }

    /// Counts in up to `bins` bins that hold as much of these numbers each as their ranges allow, and those of `other` in the
    /// same bins.
    pub fn in_bins(&self, other: &Self, bins: u64) -> (Vec<u64>, Vec<u64>) {
        let (all, mut passed, mut next) = (self.count(), 0, 1);
        // The last range of each bin but the last.
        let mut ends: Vec<u32> = Vec::new();
        for (key, times) in self.ranges.iter() {
            passed += times;
            if passed < all && passed * bins >= all * next {
                ends.push(*key);
                next = passed * bins / all + 1;
            }
        }
        let count = |numbers: &Self| {
            let mut counts = vec![0; ends.len() + 1];
            for (key, times) in numbers.ranges.iter() {
                counts[ends.partition_point(|end| end < key)] += times;
            }
            counts
        };
        (count(self), count(other))
    }
}

/// The range of a number: its upper bits, turned so that their order is that of the numbers.
fn key(value: f32) -> u32 {
    // Both zeros are one number.
    let bits = (value + 0.0).to_bits();
    let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    ordered >> DROPPED
}

/// The middle of a range.
fn middle(key: u32) -> f64 {
    let number = |ordered: u32| {
        let bits = if ordered >> 31 == 1 {
            ordered & !(1 << 31)
        } else {
            !ordered
        };
        f64::from(f32::from_bits(bits))
    };
    let (low, high) = (number(key << DROPPED), number(key << DROPPED | ((1 << DROPPED) - 1)));
    // Zero has its range to itself but for what is too small to tell.
    if low == 0.0 || high == 0.0 {
        0.0
    } else {
        0.5 * (low + high)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[f32]) -> Numbers {
        let mut numbers = Numbers::default();
        values.iter().for_each(|value| numbers.add(*value));
        numbers
    }

    fn values() -> impl Strategy<Value = Vec<f32>> {
        let one = prop_oneof![-1.0..1.0f32, -1e6..1e6f32, Just(0.0), Just(-0.0), any::<f32>()];
        proptest::collection::vec(one.prop_filter("finite", |value| value.is_finite()), 1..200)
    }

    #[test]
    fn property_numbers_are_the_same_in_any_order_and_come_back_from_their_text() {
        proptest!(|(values in values())| {
            let numbers = of(&values);
            let reversed: Vec<f32> = values.into_iter().rev().collect();
            prop_assert_eq!(&numbers, &of(&reversed));
            let text = serde_json::to_string(&numbers).unwrap();
            prop_assert_eq!(serde_json::from_str::<Numbers>(&text).unwrap(), numbers);
        });
    }

    #[test]
    fn property_a_quantile_is_that_of_the_sorted_numbers_to_a_two_thousandth() {
        proptest!(|(values in values(), share in 0.0..=1.0f64)| {
            let mut sorted = values.clone();
            sorted.sort_by(f32::total_cmp);
            let rank = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len());
            let exact = f64::from(sorted[rank - 1]);
            let found = of(&values).quantile(share).unwrap();
            prop_assert!((found - exact).abs() <= exact.abs() / 2000.0 + 1e-36, "{found} {exact}");
        });
    }

    #[test]
    fn property_a_sum_of_whole_numbers_is_exact_and_what_cancels_is_gone() {
        proptest!(|(numbers in proptest::collection::vec(-8_000_000i32..8_000_000, 1..300))| {
            let mut sum = ExactSum::default();
            numbers.iter().for_each(|number| sum.add(*number as f32));
            let exact: i64 = numbers.iter().map(|number| i64::from(*number)).sum();
            prop_assert_eq!(sum.value(), exact as f64);
            // Huge and tiny numbers beside it, which cancel.
            for value in [3.4e38f32, -3.4e38, 1e-45, -1e-45] {
                sum.add(value);
            }
            prop_assert_eq!(sum.value(), exact as f64);
        });
        let mut tiny = ExactSum::default();
        tiny.add(1e-45);
        assert_eq!(tiny.value(), f64::from(1e-45f32));
        let mut large = ExactSum::default();
        for _ in 0..4 {
            large.add(f32::MAX);
        }
        assert_eq!(large.value(), 4.0 * f64::from(f32::MAX));
    }

    #[test]
    fn property_bins_hold_every_number_once_and_equal_parts_where_numbers_differ() {
        proptest!(|(values in values(), others in values())| {
            let (mine, theirs) = of(&values).in_bins(&of(&others), 10);
            prop_assert_eq!(mine.iter().sum::<u64>(), values.len() as u64);
            prop_assert_eq!(theirs.iter().sum::<u64>(), others.len() as u64);
            prop_assert!(mine.len() <= 10 && mine.iter().all(|count| *count > 0));
        });
        let spread: Vec<f32> = (1..=1000).map(|number| number as f32).collect();
        let (mine, shifted) = of(&spread).in_bins(&of(&spread[500..]), 10);
        assert_eq!(mine, [100; 10]);
        assert_eq!(shifted, [0, 0, 0, 0, 0, 100, 100, 100, 100, 100]);
    }

    #[test]
    fn a_broken_sum_is_refused() {
        assert!(serde_json::from_str::<ExactSum>(r#"["1"]"#).is_err());
        assert!(serde_json::from_str::<ExactSum>(r#"["1","2","3","4","5","6","7","8","x"]"#).is_err());
    }
}
