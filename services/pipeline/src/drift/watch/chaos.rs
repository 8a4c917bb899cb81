//! A chaos of data through the whole of it: a profile is built, events are counted, and a view is made of them. Whatever
//! comes, nothing panics, what is kept is bounded, and what is shown makes sense.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::{ModelName, Standing, SubjectView, View, Watcher};
use crate::drift::monitor::tests::Batch;
use crate::drift::monitor::{DriftSettings, Monitor, Watched};
use crate::fields::{Feature, FeatureKind};
use crate::head::Predictions;
use crate::profile::Profile;
use crate::profile::tests::of_features;
use crate::seed::{hash, normal};
use crate::settings::Span;
use crate::signal::Matrix;

/// Numbers of one kind of feature.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Normal,
    /// Small whole numbers.
    Count,
    Constant,
    AllMissing,
    Infinite,
    /// Mostly missing, at times infinite, or of any size that there is.
    Wild,
    /// A word out of three.
    Word,
    /// Words that nobody knows.
    StrangeWord,
}

const KINDS: [Kind; 8] = [
    Kind::Normal,
    Kind::Count,
    Kind::Constant,
    Kind::AllMissing,
    Kind::Infinite,
    Kind::Wild,
    Kind::Word,
    Kind::StrangeWord,
];

impl Kind {
    fn value(self, seed: u64, at: u64) -> f32 {
        let draw = hash(seed, at);
        match self {
            Self::Normal => normal(seed, at) as f32,
            Self::Count => (draw % 7) as f32,
            Self::Constant => 4.25,
            Self::AllMissing => f32::NAN,
            Self::Infinite => f32::INFINITY,
            Self::Wild => match draw % 5 {
                0 => f32::NAN,
                1 => f32::NEG_INFINITY,
                2 => f32::MAX,
                3 => f32::from_bits((draw >> 8) as u32),
                _ => -0.0,
            },
            Self::Word => (draw % 3) as f32,
            Self::StrangeWord => 3.0 + (draw % 1_000) as f32,
        }
    }

    const fn is_word(self) -> bool {
        matches!(self, Self::Word | Self::StrangeWord)
    }
}

fn rows(kinds: &[Kind], rows: u64, seed: u64) -> Vec<f32> {
    let row = |row: u64| {
        (0..)
            .zip(kinds)
            .map(move |(at, kind)| kind.value(seed, row * 10_000 + at))
    };
    (0..rows).flat_map(row).collect()
}

fn features(kinds: &[Kind]) -> Vec<Feature> {
    let feature = |(at, kind): (usize, &Kind)| Feature {
        name: format!("f{at}"),
        kind: match kind.is_word() {
            true => FeatureKind::Category(["a", "b", "c"].map(str::to_owned).to_vec()),
            false => FeatureKind::Number,
        },
    };
    kinds.iter().enumerate().map(feature).collect()
}

/// What is seen after three comparisons of such events with the reference.
fn seen(
    profile: &Profile,
    kinds: &[Kind],
    (count, seed): (u64, u64),
    settings: &DriftSettings,
) -> (Arc<Monitor>, View) {
    let classes = ["a", "b", "c"].map(str::to_owned);
    let watched = Watched {
        profile,
        classes: &classes,
        measured: &[],
    };
    let monitor = Arc::new(Monitor::new(&[Some(watched)], &features(kinds), settings));
    let model = ModelName {
        name: "model".to_owned(),
        version: "1".to_owned(),
    };
    let mut watcher = Watcher::new(monitor.clone(), settings.clone(), vec![model], Duration::ZERO);
    let values = rows(kinds, count, seed);
    let mut predictions = Predictions::new();
    predictions.reset(count as usize);
    let batch = Batch {
        matrix: Matrix::new(&values, count as usize, kinds.len()),
        predictions,
        measured: Vec::new(),
    };
    let mut tally = monitor.tally();
    monitor.count(&batch, &(0..count as u32).collect::<Vec<_>>(), &mut tally);
    for second in 1..=3 {
        watcher.tick(Duration::from_secs(second), tally.clone(), (count, 0), "then");
    }
    (monitor, watcher.view().clone())
}

fn settings() -> DriftSettings {
    DriftSettings {
        window: Span::seconds(60),
        widest: Span::seconds(60),
        ..DriftSettings::default()
    }
}

/// That every number that is shown is one, and that no row was counted twice or not at all.
fn assert_sensible(view: &View, rows: u64) {
    for subject in &view.features {
        let numbers = [subject.psi, subject.noise, subject.critical].into_iter().flatten();
        let numbers = numbers.chain(subject.statistics.values().copied());
        for number in numbers.chain(subject.mean.into_iter().flatten()) {
            assert!(number.is_finite(), "{subject:?}");
        }
        assert!(subject.psi.is_none_or(|psi| psi >= 0.0), "{subject:?}");
        let missing = subject.missing.expect("every feature can be missing");
        assert!((0.0..=1.0).contains(&missing.ratio), "{subject:?}");
        let missing = (missing.ratio * rows as f64).round() as u64;
        assert_eq!(
            subject.events + missing + subject.invalid.unwrap_or(0),
            rows,
            "{subject:?}"
        );
        assert_eq!(subject.bins.iter().map(|bin| bin.current).sum::<u64>(), subject.events);
    }
    // What cannot be written cannot be shown.
    assert!(serde_json::to_string(view).is_ok());
}

#[test]
fn property_any_mix_of_odd_features_is_seen_for_what_it_is() {
    let kinds = prop::collection::vec(prop::sample::select(&KINDS[..]), 1..12);
    proptest!(ProptestConfig::with_cases(40), |(before in kinds, turn in 0..8usize, seed in 1..1_000u64)| {
        let profile = of_features(&rows(&before, 1_500, seed), &features(&before));
        // The same features come, and then others of the same type in their place.
        let turned: Vec<Kind> = before.iter().map(|kind| {
            let other = KINDS[(*kind as usize + turn) % KINDS.len()];
            if other.is_word() == kind.is_word() { other } else { *kind }
        }).collect();
        for kinds in [&before, &turned] {
            let (monitor, view) = seen(&profile, kinds, (1_500, seed + 1), &settings());
            prop_assert!(monitor.series().len() <= settings().max_series);
            assert_sensible(&view, 1_500);
        }
        let (_, calm) = seen(&profile, &before, (1_500, seed + 1), &settings());
        for (feature, kind) in calm.features.iter().zip(before.iter().filter(|kind| ![Kind::AllMissing, Kind::Infinite].contains(kind))) {
            // Of wild numbers, those of any size are spread over as many bins as of the reference.
            prop_assert_ne!(feature.state, Standing::Alert, "{:?}: {:?}", kind, feature);
        }
    });
}

#[test]
fn two_thousand_features_are_watched_as_far_as_there_is_room_and_the_rest_is_named() {
    let kinds = vec![Kind::Normal; 2_000];
    let profile = of_features(&rows(&kinds, 1_000, 1), &features(&kinds));
    let (monitor, view) = seen(&profile, &kinds, (600, 2), &settings());
    assert_sensible(&view, 600);
    let (watched, left_out) = monitor.features();
    assert_eq!(watched + left_out.len(), 2_000);
    assert!(
        watched > 300 && monitor.series().len() <= settings().max_series,
        "{watched}"
    );
    assert_eq!((view.features.len(), view.left_out.len()), (watched, left_out.len()));
    assert!(view.features.iter().all(|feature| feature.state == Standing::Quiet));
    let all = DriftSettings {
        max_series: 100_000,
        ..settings()
    };
    let (monitor, view) = seen(&profile, &kinds, (600, 2), &all);
    assert_eq!((view.features.len(), monitor.features().1.len()), (2_000, 0));
}

#[test]
fn one_feature_is_enough() {
    let profile = of_features(&rows(&[Kind::Normal], 1_000, 1), &features(&[Kind::Normal]));
    let (_, calm) = seen(&profile, &[Kind::Normal], (1_000, 2), &settings());
    let state = |view: &View| view.features.iter().map(|feature| feature.state).collect::<Vec<_>>();
    assert_eq!(state(&calm), [Standing::Quiet]);
    let (_, gone) = seen(&profile, &[Kind::AllMissing], (1_000, 2), &settings());
    assert_eq!(state(&gone), [Standing::Alert]);
    assert_eq!(gone.features[0].reasons, ["missing"]);
}

#[test]
fn a_flood_of_new_words_fills_one_bin_and_makes_no_series() {
    let profile = of_features(&rows(&[Kind::Word], 2_000, 1), &features(&[Kind::Word]));
    let (before, _) = seen(&profile, &[Kind::Word], (1_000, 2), &settings());
    let (after, view) = seen(&profile, &[Kind::StrangeWord], (1_000, 2), &settings());
    assert_eq!(before.series().len(), after.series().len());
    let word: &SubjectView = &view.features[0];
    assert_eq!(word.state, Standing::Alert);
    let other = word.bins.last().expect("there is a bin for all others");
    assert_eq!((other.label.as_str(), other.current), ("(other)", 1_000));
}
