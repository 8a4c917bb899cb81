//! The laws that every distance keeps. They run over all rows of the registry, so a new distance inherits them.

use proptest::prelude::*;

use super::{Bins, Distance, Measured, Scale, Table};
use crate::histogram;

/// The most that every `f64` up to there holds exactly.
const MOST: u64 = 1 << 53;

/// One count: nothing, a few or very many.
fn count() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 1..50u64, 1..100_000u64, 0..=MOST, Just(MOST)]
}

fn rows() -> impl Strategy<Value = (Vec<u64>, Vec<u64>)> {
    (0..25usize).prop_flat_map(|bins| {
        let row = || prop::collection::vec(count(), bins);
        (row(), row())
    })
}

/// Every distance, by bins with means 0, 1, 2… and a window with the mean of the reference.
fn all(reference: &[u64], current: &[u64]) -> Vec<(Distance, Option<Measured>)> {
    let means: Vec<f64> = (0..reference.len()).map(|bin| bin as f64).collect();
    let scale = Scale::new(&means, 0.0, 1.0, 0.0).expect("the means rise");
    let table = Table::new(reference, current, Bins::Scaled(scale)).expect("the same bins");
    Distance::ALL
        .map(|distance| (distance, distance.measure(&table)))
        .to_vec()
}

fn total(counts: &[u64]) -> u128 {
    counts.iter().copied().map(u128::from).sum()
}

#[test]
fn property_a_distance_is_finite_and_within_its_bounds_or_there_is_none() {
    proptest!(|((reference, current) in rows())| {
        let is_comparable = reference.len() >= 2 && total(&reference) > 0 && total(&current) > 0;
        for (distance, measured) in all(&reference, &current) {
            prop_assert_eq!(measured.is_some(), is_comparable, "{}", distance);
            let Some(Measured { value, p }) = measured else {
                continue;
            };
            prop_assert!(value.is_finite() && value >= 0.0 && value <= distance.most(), "{distance}: {value}");
            prop_assert!(p.is_none_or(|p| (0.0..=1.0).contains(&p)), "{distance}: {p:?}");
        }
    });
}

#[test]
fn property_equal_counts_have_no_distance() {
    proptest!(|((reference, _) in rows())| {
        for (distance, measured) in all(&reference, &reference) {
            if let Some(Measured { value, p }) = measured {
                prop_assert!(value == 0.0, "{distance}: {value}");
                prop_assert!(p.is_none_or(|p| p == 1.0), "{distance}: {p:?}");
            }
        }
    });
}

#[test]
fn property_equal_shares_have_no_distance_but_for_smoothing() {
    let is_smoothed = |distance| matches!(distance, Distance::Psi | Distance::Kl);
    proptest!(|(reference in prop::collection::vec(0..10_000u64, 2..25), times in 2..1_000u64)| {
        let current: Vec<u64> = reference.iter().map(|count| count * times).collect();
        for (distance, measured) in all(&reference, &current) {
            if let Some(Measured { value, .. }) = measured && !is_smoothed(distance) {
                prop_assert!(value < 1e-7, "{distance}: {value}");
            }
        }
    });
}

#[test]
fn property_a_distance_is_the_same_both_ways_but_for_the_divergence() {
    // So is W1 here, where both have the deviation and the means of the reference.
    let is_symmetric = |distance| distance != Distance::Kl;
    proptest!(|((reference, current) in rows())| {
        for ((distance, there), (_, back)) in all(&reference, &current).into_iter().zip(all(&current, &reference)) {
            if let (Some(there), Some(back), true) = (there, back, is_symmetric(distance)) {
                let near = (there.value - back.value).abs() <= 1e-12 * there.value;
                prop_assert!(near, "{distance}: {} {}", there.value, back.value);
            }
        }
    });
}

#[test]
fn property_the_order_of_categories_does_not_matter() {
    proptest!(|((mut reference, mut current) in rows())| {
        let of = |reference: &[u64], current: &[u64]| {
            let table = Table::new(reference, current, Bins::Categories).expect("the same bins");
            Distance::ALL.map(|distance| distance.measure(&table))
        };
        let before = of(&reference, &current);
        reference.reverse();
        current.reverse();
        for ((distance, before), after) in Distance::ALL.iter().zip(before).zip(of(&reference, &current)) {
            prop_assert_eq!(before.is_some(), after.is_some());
            let (Some(before), Some(after)) = (before, after) else {
                continue;
            };
            prop_assert!(!distance.reads_order(), "{distance}");
            let near = (before.value - after.value).abs() <= 1e-9 * before.value.max(1.0);
            prop_assert!(near, "{distance}: {} {}", before.value, after.value);
        }
    });
}

#[test]
fn property_the_counts_of_parts_add_up_to_the_distance_of_the_whole() {
    let values = || prop::collection::vec(-5.0..5.0f64, 1..400);
    proptest!(|(reference in values(), current in values(), parts in 1..8usize)| {
        let mut sorted = reference;
        sorted.sort_unstable_by(f64::total_cmp);
        let edges = histogram::equal_mass_edges(&sorted, 10);
        let reference = histogram::counts(&edges, sorted);
        let whole = histogram::counts(&edges, current.iter().copied());
        let mut merged = vec![0u64; whole.len()];
        for part in 0..parts {
            let seen = current.iter().skip(part).step_by(parts).copied();
            for (sum, count) in merged.iter_mut().zip(histogram::counts(&edges, seen)) {
                *sum += count;
            }
        }
        prop_assert_eq!(all(&reference, &merged), all(&reference, &whole));
    });
}

#[test]
fn order_and_scale_are_asked_for_where_they_are_needed() {
    let with = |bins| {
        let table = Table::new(&[5, 5, 5], &[9, 1, 0], bins).expect("the same bins");
        let is_served = |distance: &Distance| distance.measure(&table).is_some();
        let served = Distance::ALL.into_iter().filter(is_served);
        served.map(Distance::as_str).collect::<Vec<_>>()
    };
    let all = Distance::ALL.map(Distance::as_str);
    let without = |left_out: &[&str]| -> Vec<&str> {
        let rest = all.into_iter().filter(|word| !left_out.contains(word));
        rest.collect()
    };
    assert_eq!(with(Bins::Categories), without(&["ks", "pit_w1", "w1"]));
    assert_eq!(with(Bins::Ordered), without(&["w1"]));
    let scale = |mean| Scale::new(&[0.0, 1.0, 2.0], 1.0, 1.0, mean).expect("the means rise");
    assert_eq!(with(Bins::Scaled(scale(0.1))), all);
    assert_eq!(with(Bins::Scaled(scale(f64::NAN))), without(&["w1"]));
}

#[test]
fn a_distance_is_read_and_written_by_its_word() {
    for distance in Distance::ALL {
        let word = serde_json::json!(distance.as_str());
        assert_eq!(serde_json::to_value(distance).expect("a word"), word);
        assert_eq!(serde_json::from_value::<Distance>(word).expect("a distance"), distance);
    }
}
