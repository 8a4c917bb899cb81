//! What is counted against what the reference profile, built by other code, counted of the same rows.

use proptest::prelude::*;

use super::bins::Edges;
use super::*;
use crate::histogram::bin;
use crate::profile::tests::{Data3, profile, specs};
use crate::profile::{Feature as Known, Profile};

fn classes() -> Vec<String> {
    ["a", "b", "c"].map(str::to_owned).to_vec()
}

fn monitor(profile: &Profile, settings: &DriftSettings) -> Monitor {
    let classes = classes();
    let watched = Watched {
        profile,
        classes: &classes,
    };
    Monitor::new(&[Some(watched)], &specs(), settings)
}

/// Counts a batch, all rows of it.
fn counted(monitor: &Monitor, data: &Data3) -> Vec<u64> {
    let rows: Vec<u32> = (0..data.rows() as u32).collect();
    let mut counts = vec![0; monitor.series().len()];
    monitor.count_features(data.matrix(), &rows, &mut counts);
    monitor.count_outputs(0, &data.predictions(), |_| None, &rows, &mut counts);
    counts
}

fn of<'a>(monitor: &'a Monitor, counts: &'a [u64], feature: &str) -> Vec<(&'a What, u64)> {
    let series = monitor.series().iter().zip(counts);
    let own = series.filter(|(series, _)| series.of == Of::Feature(feature.to_owned()));
    own.map(|(series, count)| (&series.what, *count)).collect()
}

#[test]
fn the_rows_of_the_reference_are_counted_as_the_reference_counted_them() {
    let profile = profile(5_000, 3);
    let monitor = monitor(&profile, &DriftSettings::default());
    let counts = counted(&monitor, &Data3::new(5_000, 3));
    let mut watched = 0;
    for known in &profile.features {
        let found = of(&monitor, &counts, known.name());
        let in_bins: Vec<u64> = found
            .iter()
            .filter(|(what, _)| matches!(what, What::Bin(_)))
            .map(|(_, count)| *count)
            .collect();
        let other = |wanted: What| found.iter().find(|(what, _)| **what == wanted).map(|(_, count)| *count);
        match known {
            Known::Number(number) if number.moments.is_none() => assert!(found.is_empty(), "nothing to compare with"),
            Known::Number(number) => {
                assert_eq!(in_bins, number.counts, "{}", number.name);
                assert_eq!(other(What::Missing), Some(number.missing));
                assert_eq!(other(What::Invalid), Some(number.invalid));
                assert_eq!((other(What::Below), other(What::Above)), (Some(0), Some(0)));
                watched += 1;
            }
            Known::Category(category) => {
                assert_eq!(in_bins, category.counts, "{}", category.name);
                assert_eq!(other(What::Missing), Some(category.missing));
                watched += 1;
            }
        }
    }
    assert_eq!(monitor.features(), (watched, &[][..]));
    let classes = monitor
        .series()
        .iter()
        .zip(&counts)
        .filter(|(series, _)| matches!(&series.of, Of::Output { output, .. } if output == "class"));
    let classes: Vec<u64> = classes.map(|(_, count)| *count).collect();
    assert_eq!(classes, profile.outputs.class_counts);
}

#[test]
fn the_reference_of_a_series_is_what_the_same_rows_would_give() {
    let profile = profile(5_000, 3);
    let monitor = monitor(&profile, &DriftSettings::default());
    let counts = counted(&monitor, &Data3::new(5_000, 3));
    for (series, count) in monitor.series().iter().zip(&counts) {
        if matches!(series.of, Of::Feature(_)) {
            assert_eq!(series.reference.count, *count, "{series:?}");
        }
    }
    let sums = |feature: &str| -> f64 {
        let own = monitor
            .series()
            .iter()
            .filter(|series| series.of == Of::Feature(feature.to_owned()));
        let bins = own.filter(|series| matches!(series.what, What::Bin(_)));
        bins.map(|series| series.reference.ratio).sum()
    };
    assert!((sums("height") - 1.0).abs() < 1e-12 && (sums("colour") - 1.0).abs() < 1e-12);
}

#[test]
fn a_value_beyond_the_reference_is_in_its_last_bin_and_beyond_and_an_infinite_one_in_none() {
    let profile = profile(2_000, 5);
    let monitor = monitor(&profile, &DriftSettings::default());
    let mut row = [0.0, 1.0, 0.0, 4.25, f32::NAN, 0.0];
    let mut count = |height: f32| {
        row[0] = height;
        let mut counts = vec![0; monitor.series().len()];
        monitor.count_features(Matrix::new(&row, 1, 6), &[0], &mut counts);
        let found = of(&monitor, &counts, "height");
        let ones: Vec<&What> = found
            .iter()
            .filter(|(_, count)| *count == 1)
            .map(|(what, _)| *what)
            .collect();
        ones.into_iter().cloned().collect::<Vec<What>>()
    };
    assert_eq!(count(1e30), [What::Bin("+Inf".to_owned()), What::Above]);
    assert_eq!(count(-1e30)[1], What::Below);
    assert_eq!(count(f32::NEG_INFINITY), [What::Invalid]);
    assert_eq!(count(f32::NAN), [What::Missing]);
}

#[test]
fn a_word_that_is_in_no_list_is_another_word_whatever_its_number() {
    let profile = profile(2_000, 5);
    let monitor = monitor(&profile, &DriftSettings::default());
    for colour in [-1.0, 2.0, 7.0, 1e30, f32::INFINITY, f32::NEG_INFINITY] {
        let row = [0.0, 1.0, colour, 4.25, f32::NAN, 0.0];
        let mut counts = vec![0; monitor.series().len()];
        monitor.count_features(Matrix::new(&row, 1, 6), &[0], &mut counts);
        let found = of(&monitor, &counts, "colour");
        assert_eq!(found[2], (&What::Bin("(other)".to_owned()), 1), "{colour}");
    }
}

#[test]
fn series_are_bounded_and_what_is_left_out_is_said() {
    let profile = profile(2_000, 5);
    let all = monitor(&profile, &DriftSettings::default());
    let few = monitor(
        &profile,
        &DriftSettings {
            max_series: all.series().len() - 1,
            ..DriftSettings::default()
        },
    );
    assert!(few.series().len() < all.series().len());
    assert_eq!(few.features().1, ["weight"]);
    let counts = counted(&few, &Data3::new(100, 1));
    assert_eq!(counts.len(), few.series().len());
    let off = monitor(
        &profile,
        &DriftSettings {
            export: Export::Off,
            ..DriftSettings::default()
        },
    );
    assert!(off.series().is_empty() && !off.reads_features());
}

#[test]
fn signals_are_counted_from_the_columns_that_were_measured() {
    let profile = profile(2_000, 5);
    let monitor = monitor(&profile, &DriftSettings::default());
    let data = Data3::new(10, 7);
    let margin = [0.25; 10];
    let mut counts = vec![0; monitor.series().len()];
    let column = |signal: Signal| (signal == Signal::Margin).then_some(&margin[..]);
    monitor.count_outputs(0, &data.predictions(), column, &[0, 3, 9], &mut counts);
    let total = |wanted: &str| -> u64 {
        let series = monitor.series().iter().zip(&counts);
        let own = series.filter(|(series, _)| matches!(&series.of, Of::Output { output, .. } if output == wanted));
        own.map(|(_, count)| count).sum()
    };
    // The confidence is there without being measured; the entropy is not.
    assert_eq!(
        [total("class"), total("margin"), total("confidence"), total("entropy")],
        [3, 3, 3, 0]
    );
}

proptest! {
    #[test]
    fn property_comparing_side_by_side_finds_the_same_bin_as_searching(
        mut edges in prop::collection::vec(prop_oneof![-1e3f32..1e3, Just(0.0f32), prop::num::f32::NORMAL], 0..40),
        values in prop::collection::vec(prop_oneof![-1e3f32..1e3, Just(-0.0f32), prop::num::f32::NORMAL], 1..50),
    ) {
        edges.sort_by(f32::total_cmp);
        edges.dedup_by(|one, other| one == other);
        let wide: Vec<f64> = edges.iter().map(|edge| f64::from(*edge)).collect();
        let fast = Edges::new(&edges);
        for value in values.iter().chain(&edges) {
            prop_assert_eq!(fast.bin(*value), bin(&wide, f64::from(*value)), "{} in {:?}", value, edges);
        }
    }
}
