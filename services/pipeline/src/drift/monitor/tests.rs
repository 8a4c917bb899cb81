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
        measured: &[],
    };
    Monitor::new(&[Some(watched)], &specs(), settings)
}

/// A batch and what was measured of it.
pub(crate) struct Batch<'a> {
    pub(crate) matrix: Matrix<'a>,
    pub(crate) predictions: Predictions,
    pub(crate) measured: Vec<(Signal, Vec<f32>)>,
}

impl Values for Batch<'_> {
    fn features(&self) -> Matrix<'_> {
        self.matrix
    }

    fn predictions(&self, _: usize) -> &Predictions {
        &self.predictions
    }

    fn signal(&self, _: usize, signal: Signal) -> Option<&[f32]> {
        let measured = self.measured.iter().find(|(known, _)| *known == signal);
        measured.map(|(_, column)| column.as_slice())
    }
}

/// Counts a batch, all rows of it.
fn counted(monitor: &Monitor, data: &Data3) -> Vec<u64> {
    let rows: Vec<u32> = (0..data.rows() as u32).collect();
    let batch = Batch {
        matrix: data.matrix(),
        predictions: data.predictions(),
        measured: Vec::new(),
    };
    let mut tally = monitor.tally();
    monitor.count(&batch, &rows, &mut tally);
    tally.counts
}

/// Counts one event.
fn of_row(monitor: &Monitor, row: &[f32; 6]) -> Vec<u64> {
    let batch = Batch {
        matrix: Matrix::new(row, 1, 6),
        predictions: Data3::new(1, 1).predictions(),
        measured: Vec::new(),
    };
    let mut tally = monitor.tally();
    monitor.count(&batch, &[0], &mut tally);
    tally.counts
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
        let counts = of_row(&monitor, &row);
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
        let counts = of_row(&monitor, &row);
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
    let batch = Batch {
        matrix: data.matrix(),
        predictions: data.predictions(),
        measured: vec![(Signal::Margin, vec![0.25; 10])],
    };
    let mut tally = monitor.tally();
    monitor.count(&batch, &[0, 3, 9], &mut tally);
    let total = |wanted: &str| -> u64 {
        let series = monitor.series().iter().zip(&tally.counts);
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

#[test]
fn segments_are_counted_apart_and_each_row_once_in_the_whole() {
    let profile = crate::profile::tests::segmented(5_000, 3);
    let settings = DriftSettings {
        segment: Some("colour".to_owned()),
        ..DriftSettings::default()
    };
    let monitor = monitor(&profile, &settings);
    let counts = counted(&monitor, &Data3::new(5_000, 3));
    let mut segments = 0;
    for (series, count) in monitor.series().iter().zip(&counts) {
        let is_feature = matches!(series.of, Of::Feature(_));
        let is_class = matches!(&series.of, Of::Output { output, .. } if output == "class");
        if is_feature || is_class {
            assert_eq!(series.reference.count, *count, "{series:?}");
        }
        segments += usize::from(series.segment.is_some());
    }
    assert!(segments > 50, "{segments}");
    let red = monitor
        .subjects()
        .iter()
        .find(|subject| subject.segment.as_deref() == Some("red") && subject.of == Of::Feature("colour".to_owned()));
    let red = red.expect("red is a segment");
    let counted = &counts[red.bins.clone()];
    assert!(counted[0] > 1_000 && counted[1..] == [0, 0], "{counted:?}");
}

#[test]
fn segments_without_room_are_left_out_whole_and_named() {
    let profile = crate::profile::tests::segmented(2_000, 3);
    let plain = monitor(&profile, &DriftSettings::default());
    let settings = DriftSettings {
        segment: Some("colour".to_owned()),
        max_series: plain.series().len() + plain.series().len() * 3 / 2,
        ..DriftSettings::default()
    };
    let monitor = monitor(&profile, &settings);
    assert_eq!(monitor.features().1, ["colour=green"]);
    assert!(monitor.series().len() <= settings.max_series);
    assert_eq!(counted(&monitor, &Data3::new(100, 1)).len(), monitor.series().len());
}

#[test]
fn p_values_of_the_rows_that_were_held_out_have_the_shares_of_their_rates() {
    let profile = profile(20_000, 3);
    let classes = classes();
    let watched = Watched {
        profile: &profile,
        classes: &classes,
        measured: &[Signal::Entropy],
    };
    let monitor = Monitor::new(&[Some(watched)], &specs(), &DriftSettings::default());
    let subject = monitor
        .subjects()
        .iter()
        .find(|subject| matches!(&subject.of, Of::Output { output, .. } if output == "p/entropy"));
    let series = &monitor.series()[subject.expect("it is watched").bins.clone()];
    let labels: Vec<&What> = series.iter().map(|series| &series.what).collect();
    let expected = ["1", "0.1", "0.05", "0.02", "0.01", "0.005", "0.001"].map(|label| What::Bin(label.to_owned()));
    assert_eq!(labels, expected.iter().collect::<Vec<_>>());
    let shares = [0.9, 0.05, 0.03, 0.01, 0.005, 0.004, 0.001];
    for (series, share) in series.iter().zip(shares) {
        let found = series.reference.count as f64 / series.reference.of as f64;
        assert!((found - share).abs() < 1e-3, "{:?}: {found}", series.what);
    }
    assert!(monitor.signals(0).any(|signal| signal == Signal::Entropy));
}

#[test]
fn sums_are_those_of_the_values_and_a_broken_one_does_not_drown_them() {
    let profile = profile(2_000, 5);
    let monitor = monitor(&profile, &DriftSettings::default());
    let count = |height: f32| {
        let row = [height, 1.0, 0.0, 4.25, f32::NAN, 0.0];
        let batch = Batch {
            matrix: Matrix::new(&row, 1, 6),
            predictions: Data3::new(1, 1).predictions(),
            measured: Vec::new(),
        };
        let mut tally = monitor.tally();
        monitor.count(&batch, &[0], &mut tally);
        let of = |subject: &&Subject| subject.of == Of::Feature("height".to_owned());
        tally.sums[monitor
            .subjects()
            .iter()
            .find(of)
            .and_then(|subject| subject.sum)
            .expect("it has a sum")]
    };
    assert_eq!(count(1.5), 1.5);
    assert_eq!(count(f32::NAN), 0.0);
    assert!(count(1e38) < 2e6 && count(-1e38) > -2e6);
}
