use std::sync::Arc;

use super::*;
use crate::drift::monitor::Watched;
use crate::drift::monitor::tests::Batch;
use crate::profile::tests::{Data3, embeddings, of_embeddings, profile, segmented, specs};
use crate::settings::Span;
use crate::signal::Matrix;

/// A service, its clock and its events.
struct Stream {
    watcher: Watcher,
    monitor: Arc<Monitor>,
    total: Tally,
    events: u64,
    second: u64,
}

impl Stream {
    fn new(settings: DriftSettings) -> Self {
        let profile = match settings.segment {
            Some(_) => segmented(20_000, 1),
            None => profile(20_000, 1),
        };
        let classes = ["a", "b", "c"].map(str::to_owned);
        let watched = Watched {
            profile: &profile,
            classes: &classes,
            measured: &[],
        };
        let monitor = Arc::new(Monitor::new(&[Some(watched)], &specs(), &settings));
        let model = ModelName {
            name: "digits".to_owned(),
            version: "3".to_owned(),
        };
        Self {
            watcher: Watcher::new(monitor.clone(), settings, vec![model], Duration::ZERO),
            total: monitor.tally(),
            monitor,
            events: 0,
            second: 0,
        }
    }

    /// Counts a batch and lets so many seconds go by.
    fn then(&mut self, data: &Data3, seconds: u64) -> &View {
        self.lagging(data, seconds, 0)
    }

    fn lagging(&mut self, data: &Data3, seconds: u64, lag: u64) -> &View {
        let rows: Vec<u32> = (0..data.rows() as u32).collect();
        let batch = Batch {
            matrix: data.matrix(),
            predictions: data.predictions(),
            measured: Vec::new(),
        };
        self.monitor.count(&batch, &rows, &mut self.total);
        self.events += rows.len() as u64;
        for _ in 0..seconds {
            self.second += 1;
            let now = Duration::from_secs(self.second);
            self.watcher.tick(now, self.total.clone(), (self.events, lag), "then");
        }
        self.watcher.view()
    }

    fn feature(&self, name: &str) -> &SubjectView {
        let features = &self.watcher.view().features;
        let own = |feature: &&SubjectView| feature.name.as_deref() == Some(name) && feature.segment.is_none();
        features.iter().find(own).expect("it is watched")
    }
}

fn settings() -> DriftSettings {
    DriftSettings {
        window: Span::seconds(60),
        widest: Span::seconds(240),
        ..DriftSettings::default()
    }
}

/// Events like those of the reference.
fn usual(rows: u64, seed: u64) -> Data3 {
    Data3::new(rows, seed + 100)
}

#[test]
fn what_is_like_the_reference_is_quiet_and_what_is_not_is_told_after_three_comparisons() {
    let mut stream = Stream::new(settings());
    let view = stream.then(&usual(5_000, 1), 3).clone();
    assert_eq!(view.state, Activity::Watching);
    let loud = view
        .features
        .iter()
        .chain(&view.outputs)
        .filter(|subject| subject.state != Standing::Quiet);
    let loud: Vec<_> = loud
        .map(|subject| (&subject.name, &subject.output, subject.state))
        .collect();
    assert!(loud.is_empty(), "{loud:?}");
    // Nothing measured the entropy, so it is not shown.
    let outputs: Vec<_> = view
        .outputs
        .iter()
        .filter_map(|output| output.output.as_deref())
        .collect();
    assert_eq!(outputs, ["class", "confidence"]);
    let moved = || usual(5_000, 2).changed("weight", |x| x + 1.5);
    stream.then(&moved(), 2);
    assert_eq!(stream.feature("weight").state, Standing::Quiet);
    stream.then(&moved(), 1);
    let weight = stream.feature("weight");
    assert_eq!((weight.state, &weight.reasons[..]), (Standing::Alert, &["psi"][..]));
    assert!(weight.psi > weight.critical && weight.history.len() == 6, "{weight:?}");
    let [now, then] = weight.mean.expect("it is a number");
    assert!((now - then - 1.0).abs() < 0.1, "two thirds moved by 1.5: {now} {then}");
    assert_eq!(stream.feature("height").state, Standing::Quiet);
}

#[test]
fn too_few_events_widen_the_window_and_are_never_health() {
    let mut stream = Stream::new(settings());
    for _ in 0..6 {
        let view = stream.then(&usual(80, 3), 10);
        assert!(
            view.features
                .iter()
                .all(|feature| feature.state == Standing::InsufficientData)
        );
    }
    // 80 events in ten seconds are 480 in the window, and more in a wider one.
    for _ in 0..6 {
        stream.then(&usual(80, 4), 10);
    }
    let height = stream.feature("height");
    assert_eq!(height.state, Standing::Quiet);
    assert!(height.seconds > 60.0 && height.events >= 500, "{height:?}");
    let nothing = stream.then(&usual(0, 5), 300);
    assert!(
        nothing
            .features
            .iter()
            .all(|feature| feature.state == Standing::InsufficientData)
    );
}

#[test]
fn while_the_service_catches_up_nothing_is_judged_and_afterwards_a_verdict_must_last_again() {
    let mut stream = Stream::new(settings());
    let moved = usual(5_000, 2).changed("weight", |x| x + 3.0);
    stream.then(&moved, 3);
    assert_eq!(stream.feature("weight").state, Standing::Alert);
    // A lag for a moment is a burst, not a backlog.
    assert_eq!(stream.lagging(&moved, 1, 10_000).state, Activity::Watching);
    assert_eq!(stream.feature("weight").state, Standing::Alert);
    assert_eq!(stream.then(&moved, 1).state, Activity::Watching);
    let view = stream.lagging(&moved, 2, 10_000);
    assert_eq!((view.state, view.lag), (Activity::CatchingUp, 10_000));
    assert!(
        view.features
            .iter()
            .all(|feature| feature.state == Standing::CatchingUp)
    );
    stream.lagging(&moved, 5, 20_000);
    // It stays until half of the limit is worked off; what was read until then is in no window.
    assert_eq!(stream.lagging(&moved, 1, 5_000).state, Activity::CatchingUp);
    assert_eq!(stream.then(&moved, 1).state, Activity::Watching);
    assert_eq!(stream.feature("weight").state, Standing::InsufficientData);
    stream.then(&moved, 2);
    assert_eq!(
        (stream.feature("weight").state, stream.feature("weight").events),
        (Standing::Quiet, 5_000)
    );
    stream.then(&moved, 1);
    assert_eq!(stream.feature("weight").state, Standing::Alert);
}

#[test]
fn a_feature_that_disappears_or_breaks_or_leaves_its_range_is_told_apart() {
    for (feature, change, reason) in [
        ("height", (|_| f32::NAN) as fn(f32) -> f32, "missing"),
        ("height", |_| f32::INFINITY, "invalid"),
        ("constant", |_| 5.0, "out_of_range"),
        ("constant", |_| f32::NAN, "missing"),
        ("colour", |_| f32::NAN, "missing"),
        ("colour", |_| 9.0, "psi"),
    ] {
        let mut stream = Stream::new(settings());
        stream.then(&usual(2_000, 6).changed(feature, change), 3);
        let view = stream.feature(feature);
        assert_eq!(view.state, Standing::Alert, "{feature} {reason}: {view:?}");
        assert!(view.reasons.contains(&reason), "{feature} {reason}: {:?}", view.reasons);
        assert_eq!(stream.feature("weight").state, Standing::Quiet);
    }
}

#[test]
fn falling_confidence_is_evidence_and_a_change() {
    let mut stream = Stream::new(settings());
    for second in 0..120 {
        stream.then(&usual(50, 1_000 + second), 1);
    }
    let before = stream.watcher.view().models[0].clone();
    assert!(
        before.evidence.is_some_and(|evidence| evidence < before.alarm_at),
        "{before:?}"
    );
    assert_eq!(before.changes, 0);
    for second in 0..200 {
        stream.then(&usual(50, 2_000 + second).sharpened(0.3), 1);
    }
    let after = &stream.watcher.view().models[0];
    assert!(
        after.evidence.is_some_and(|evidence| evidence >= after.alarm_at),
        "{after:?}"
    );
    assert!(after.changes >= 1, "{after:?}");
}

#[test]
fn a_segment_that_moves_is_seen_where_the_whole_hides_it() {
    let mut stream = Stream::new(DriftSettings {
        segment: Some("colour".to_owned()),
        ..settings()
    });
    let of = |stream: &Stream, segment: Option<&str>| {
        let features = stream.watcher.view().features.iter();
        let mut own = features.filter(|feature| feature.name.as_deref() == Some("colour"));
        own.find(|feature| feature.segment.as_deref() == segment).cloned()
    };
    stream.then(&usual(8_000, 8), 3);
    assert_eq!(of(&stream, None).expect("it is watched").state, Standing::Quiet);
    let red = of(&stream, Some("red")).expect("it is watched");
    assert!(red.events > 3_000 && red.events < 4_500, "{red:?}");
    assert_eq!(of(&stream, Some("(other)")), None);
    let segments: Vec<_> = stream
        .watcher
        .view()
        .outputs
        .iter()
        .filter_map(|output| output.segment.clone())
        .collect();
    assert!(segments.contains(&"green".to_owned()), "{segments:?}");
}

#[test]
fn without_a_profile_or_with_drift_off_that_is_what_is_said() {
    let settings = settings();
    let monitor = Arc::new(Monitor::new(&[None], &specs(), &settings));
    let model = ModelName {
        name: "digits".to_owned(),
        version: "3".to_owned(),
    };
    let mut watcher = Watcher::new(monitor.clone(), settings.clone(), vec![model], Duration::ZERO);
    watcher.tick(Duration::from_secs(1), monitor.tally(), (5, 1_000_000), "then");
    assert_eq!(watcher.view().state, Activity::NoProfile);
    assert_eq!(watcher.view().models[0].evidence, None);
    let off = DriftSettings {
        export: Export::Off,
        ..settings
    };
    let monitor = Arc::new(Monitor::new(&[None], &specs(), &off));
    assert_eq!(
        Watcher::new(monitor, off, Vec::new(), Duration::ZERO).view().state,
        Activity::Off
    );
}

#[test]
fn what_comes_every_week_is_no_drift() {
    let mut stream = Stream::new(DriftSettings {
        verdict: crate::drift::verdict::VerdictSettings {
            evaluations: 1,
            ..Default::default()
        },
        ..DriftSettings::default()
    });
    let hour = |stream: &mut Stream, data: &Data3| {
        let rows: Vec<u32> = (0..data.rows() as u32).collect();
        let batch = Batch {
            matrix: data.matrix(),
            predictions: data.predictions(),
            measured: Vec::new(),
        };
        stream.monitor.count(&batch, &rows, &mut stream.total);
        stream.second += 3_600;
        let now = Duration::from_secs(stream.second);
        stream.watcher.tick(now, stream.total.clone(), (1, 0), "then");
    };
    let (weekday, sunday) = (usual(1_000, 1), usual(1_000, 2).changed("weight", |x| x + 3.0));
    for at in 0..(7 * 24) {
        hour(&mut stream, if at == 10 { &sunday } else { &weekday });
        let expected = if at == 10 { Standing::Alert } else { Standing::Quiet };
        assert_eq!(stream.feature("weight").state, expected, "{at}");
    }
    for at in 0..12 {
        hour(&mut stream, if at >= 10 { &sunday } else { &weekday });
        let weight = stream.feature("weight");
        // The same hour of the week before was the same; the next one was not.
        let expected = if at == 11 { Standing::Alert } else { Standing::Quiet };
        assert_eq!(weight.state, expected, "{at}: {:?}", weight.reasons);
        assert_eq!(weight.reasons.contains(&"as_last_week"), at == 10, "{at}");
    }
}

#[test]
fn embeddings_that_move_are_told_and_their_projections_are_outputs() {
    let (profile, settings) = (of_embeddings(9_000, 1), settings());
    let watched = Watched {
        profile: &profile,
        classes: &[],
        measured: &[],
    };
    let monitor = Arc::new(Monitor::new(&[Some(watched)], &[], &settings));
    let model = ModelName {
        name: "encoder".to_owned(),
        version: "1".to_owned(),
    };
    let mut watcher = Watcher::new(monitor.clone(), settings, vec![model], Duration::ZERO);
    let (mut total, mut second) = (monitor.tally(), 0);
    let mut then = |seed: u64, shift: f64, rows: u64| {
        let batch = Batch {
            matrix: Matrix::new(&[], rows as usize, 0),
            predictions: embeddings(rows, seed, shift),
            measured: Vec::new(),
        };
        monitor.count(&batch, &(0..rows as u32).collect::<Vec<_>>(), &mut total);
        for _ in 0..3 {
            second += 1;
            watcher.tick(Duration::from_secs(second), total.clone(), (1, 0), "then");
        }
        watcher.view().clone()
    };
    let embedding = |view: &View| view.models[0].embedding.clone().expect("it is an encoder");
    assert_eq!(embedding(&then(2, 0.0, 400)).state, Standing::InsufficientData);
    let calm = then(3, 0.0, 2_000);
    assert_eq!(embedding(&calm).state, Standing::Quiet, "{:?}", embedding(&calm));
    assert!(calm.outputs.iter().all(|output| output.state == Standing::Quiet));
    let names: Vec<_> = calm.outputs.iter().filter_map(|output| output.output.clone()).collect();
    assert_eq!(
        names,
        ["projection/00", "projection/01", "projection/02", "projection/03"]
    );
    let moved = embedding(&then(4, 1.0, 20_000));
    assert_eq!(moved.state, Standing::Alert, "{moved:?}");
    assert!(moved.distance > moved.critical);
}
