//! The second reference: the same hour of last week.

use eddy_tests::rules::Trial;
use serde_json::{Value, json};

use crate::scene::{Scene, play};
use crate::{Case, cases, is_near};

/// Minutes between two samples, and samples of an hour and of a week.
const STEP: u32 = 10;
const HOUR: u32 = 60 / STEP;
const WEEK: u32 = 7 * 24 * HOUR;

/// Events of ten minutes by bin.
const CALM: [u32; 5] = [40, 40, 40, 40, 40];
const MOVED: [u32; 5] = [100, 40, 30, 20, 10];
const NONE: [u32; 5] = [0; 5];

/// A counter that grows by so much a step for so many steps, then by so much for so many.
fn counter(spans: &[(u32, u32)]) -> String {
    let mut values = vec!["0".to_owned()];
    let mut count = 0;
    for (steps, growth) in spans {
        values.push(format!("{}+{growth}x{}", count + growth, steps - 1));
        count += steps * growth;
    }
    values.join(" ")
}

/// A feature that is like this for so many steps, then like that.
fn feature(namespace: &'static str, spans: &[(u32, [u32; 5])]) -> Scene {
    let of = |bin: usize| -> Vec<(u32, u32)> { spans.iter().map(|(steps, by_bin)| (*steps, by_bin[bin])).collect() };
    Scene::new(namespace).bins("feature", ",feature=\"f\"", |bin| counter(&of(bin)))
}

/// Two hours of a season, in the third and fourth hour of a week and of the next.
const BEFORE: u32 = 2 * HOUR;
const BETWEEN: u32 = WEEK - 2 * HOUR;
const NOW: u32 = 7 * 24 * 60 + 4 * 60;

pub(crate) fn scenes() -> Vec<Scene> {
    let due = ["EddyFeatureDrift", "EddyFeatureDriftWarning", "EddyModelDrift"];
    let silent = |namespace, first: u32| {
        let spans = [(BEFORE, 1000), (2 * HOUR, first), (BETWEEN, 1000), (2 * HOUR, 0)];
        Scene::new(namespace).with("eddy_events_consumed_total", "", &counter(&spans))
    };
    vec![
        // What is like this at this hour every week is not news, though it is not like the reference.
        feature(
            "season",
            &[(BEFORE, CALM), (2 * HOUR, MOVED), (BETWEEN, CALM), (2 * HOUR, MOVED)],
        )
        .fires(4 * 60, &due)
        .fires(NOW, &[])
        .gives(NOW, "eddy:feature:excess1h{$} > bool 0.5", 1.0)
        .gives(NOW, "eddy:feature:psi_week1h{$} < bool 1e-9", 1.0)
        .gives(NOW, "eddy:feature:drift{$}", 0.0),
        feature(
            "news",
            &[(BEFORE, CALM), (2 * HOUR, CALM), (BETWEEN, CALM), (2 * HOUR, MOVED)],
        )
        .fires(NOW, &due),
        // Last week was the odd one, and this hour is like the reference again.
        feature(
            "back",
            &[(BEFORE, CALM), (2 * HOUR, MOVED), (BETWEEN, CALM), (2 * HOUR, CALM)],
        )
        .fires(NOW, &[]),
        // Too few events last week to say what is usual at this hour.
        feature(
            "closed",
            &[(BEFORE, CALM), (2 * HOUR, NONE), (BETWEEN, CALM), (2 * HOUR, MOVED)],
        )
        .fires(NOW, &due)
        .gives(NOW, "absent(eddy:feature:psi_week1h{$})", 1.0),
        // What drifted all week has not become usual by that.
        feature("lasting", &[(BEFORE, CALM), (BETWEEN + 4 * HOUR, MOVED)])
            .fires(4 * 60, &due)
            .fires(NOW, &due)
            .gives(NOW, "eddy:feature:psi_week1h{$} < bool 1e-9", 1.0),
        silent("closed-hours", 0).fires(NOW, &[]),
        silent("broken-off", 1000).fires(NOW, &["EddySilentInput"]),
    ]
}

#[test]
fn what_is_usual_for_the_hour_alarms_nobody_and_what_lasts_for_a_week_still_does() {
    play(&scenes(), [STEP, 30]);
}

/// A case's reference is last week's hour, its current counts are this hour's.
fn series(case: &Case) -> Vec<Value> {
    let mut series = Vec::new();
    let bins = case.reference.len();
    for (bin, (before, now)) in case.reference.iter().zip(&case.current).enumerate() {
        let labels = format!(
            "namespace=\"n\",pipeline=\"p\",profile=\"f\",feature=\"{}\",bin=\"{bin}\"",
            case.name
        );
        let total = before + now;
        series.push(json!({
            "series": format!("eddy_feature_bin_total{{{labels}}}"),
            "values": format!("0x5 {before}x{} {total}x5", WEEK - 1),
        }));
        series.push(json!({
            "series": format!("eddy_feature_reference_ratio{{{labels}}}"),
            "values": format!("{}x{}", 1.0 / bins as f64, WEEK + 10),
        }));
    }
    series
}

#[test]
fn the_distance_from_last_week_is_the_reference_librarys_distance_of_two_windows() {
    let (mut fed, mut expected, mut judged) = (Vec::new(), Vec::new(), 0);
    let now = 7 * 24 * 60 + 60;
    for case in cases() {
        fed.extend(series(&case));
        let of = |record: &str| format!("eddy:feature:{record}{{feature=\"{}\"}}", case.name);
        let week: u64 = case.reference.iter().sum();
        if case.has_one_bin() || week < 500.max(50 * case.reference.len() as u64) {
            continue;
        }
        judged += 1;
        let psi = case.metric("psi_alpha_half");
        expected.push(is_near(now, &of("psi_week1h"), psi, 1e-9 * psi.max(1.0)));
        expected.push(is_near(
            now,
            &of("psi_week_noise1h"),
            case.metric("psi_null_mean"),
            1e-9,
        ));
        if case.current.len() >= 5 {
            let critical = case.metric("psi_crit_p001");
            expected.push(is_near(now, &of("psi_week_critical1h"), critical, 0.014 * critical));
        }
    }
    assert!(judged >= 20, "{judged}");
    let trial = Trial {
        step: STEP,
        every: 60,
        ..Trial::new(fed, expected)
    };
    trial.holds();
}
