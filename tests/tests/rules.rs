//! The recording and alert rules of `dashboards/prometheus`, run by `promtool` on known counts: what they make of a fleet is
//! what the reference library makes of the sum of its replicas.

use eddy_tests::rules::{Trial, alerts, files, lines, names, passes, promtool, root, unknown};
use serde_json::{Value, json};

#[path = "rules/alertmanager.rs"]
mod alertmanager;
#[path = "rules/days.rs"]
mod days;
#[path = "rules/drift_alerts.rs"]
mod drift_alerts;
#[path = "rules/scene.rs"]
mod scene;
#[path = "rules/service_alerts.rs"]
mod service_alerts;
#[path = "rules/weeks.rs"]
mod weeks;

/// Runs one group of promtool's own tests.
#[track_caller]
fn holds(series: &[Value], expressions: &[Value]) {
    Trial::new(series.to_vec(), expressions.to_vec()).holds();
}

/// Counts of a reference and of a window with what the reference library makes of them.
struct Case {
    name: String,
    reference: Vec<u64>,
    current: Vec<u64>,
    metrics: Value,
}

impl Case {
    fn new(name: String, counts: &Value, metrics: &Value) -> Self {
        let whole = |list: &Value| -> Vec<u64> {
            let list = list.as_array().expect("counts");
            list.iter().map(|count| count.as_u64().expect("a count")).collect()
        };
        Self {
            name,
            reference: whole(&counts["ref_counts"]),
            current: whole(&counts["cur_counts"]),
            metrics: metrics.clone(),
        }
    }

    fn metric(&self, name: &str) -> f64 {
        self.metrics[name]
            .as_f64()
            .unwrap_or_else(|| panic!("{} has no {name}", self.name))
    }

    /// A reference of one value, which nothing can be compared with; the library gives no numbers.
    fn has_one_bin(&self) -> bool {
        assert_eq!(self.reference.len() == 1, self.metrics.is_null(), "{}", self.name);
        self.metrics.is_null()
    }

    /// Whether an alert at this limit is due by the library's own numbers.
    fn is_due(&self, limit: f64) -> bool {
        if self.has_one_bin() {
            return false;
        }
        let events: u64 = self.current.iter().sum();
        let enough = 500.max(50 * self.current.len() as u64);
        let psi = self.metric("psi_alpha_half");
        events >= enough && psi - self.metric("psi_null_mean") > limit && psi > self.metric("psi_crit_p001")
    }
}

/// Every case of the reference vectors: numbers in 10 and in 20 bins, and words.
fn cases() -> Vec<Case> {
    let folder =
        std::env::var("EDDY_GOLDEN").unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden").into());
    let text = std::fs::read(format!("{folder}/g01_univariate.json")).expect("the vectors are there");
    let file: Value = serde_json::from_slice(&text).expect("they are JSON");
    let mut cases = Vec::new();
    for (name, case) in file["cases"].as_object().expect("cases by name") {
        for (bins, binned) in case["binned"].as_object().expect("binnings") {
            cases.push(Case::new(format!("{name}_{bins}"), binned, &binned["metrics"]));
        }
    }
    for (name, case) in file["categorical"].as_object().expect("cases by name") {
        cases.push(Case::new(name.clone(), case, &case["metrics"]));
    }
    assert!(cases.len() >= 28, "{}", cases.len());
    cases
}

/// The series of a case: two replicas that share its events in one namespace, and in another one a replica that sees the
/// reference itself. Everything happens in the sixtieth minute.
fn series(case: &Case) -> Vec<Value> {
    let (all, bins) = (case.reference.iter().sum::<u64>(), case.reference.len());
    let mut series = Vec::new();
    for (place, [before, now]) in case
        .reference
        .iter()
        .zip(&case.current)
        .map(|(r, c)| [*r, *c])
        .enumerate()
    {
        let labels = |namespace: &str, replica: u8| {
            format!(
                "{{namespace=\"{namespace}\",instance=\"{replica}\",pipeline=\"p\",profile=\"f\",feature=\"{}\",bin=\"{place}\"}}",
                case.name
            )
        };
        let share = (before as f64 + 0.5) / (all as f64 + bins as f64 / 2.0);
        for (namespace, replica, count) in [("moved", 0, now / 2), ("moved", 1, now - now / 2), ("calm", 0, before)] {
            series.push(json!({
                "series": format!("eddy_feature_bin_total{}", labels(namespace, replica)),
                "values": format!("0x59 {count}x10"),
            }));
            series.push(json!({
                "series": format!("eddy_feature_reference_ratio{}", labels(namespace, replica)),
                "values": format!("{share}x70"),
            }));
        }
    }
    for (namespace, replica) in [("moved", 0), ("moved", 1), ("calm", 0)] {
        series.push(json!({
            "series": format!(
                "eddy_feature_reference_events{{namespace=\"{namespace}\",instance=\"{replica}\",pipeline=\"p\",profile=\"f\",\
                 feature=\"{}\"}}",
                case.name
            ),
            "values": format!("{all}x70"),
        }));
    }
    series
}

/// That an expression is this number, but for rounding.
fn is_near(minute: u32, expression: &str, expected: f64, tolerance: f64) -> Value {
    json!({
        "expr": format!("sum(abs(({expression}) - ({expected:e})) <= bool {tolerance:e})"),
        "eval_time": format!("{minute}m"),
        "exp_samples": [{"labels": "{}", "value": 1}],
    })
}

#[test]
fn the_rules_are_sound() {
    let rules = files();
    assert!(rules.len() >= 2, "{rules:?}");
    let words: Vec<&str> = ["check", "rules"]
        .into_iter()
        .chain(rules.iter().map(String::as_str))
        .collect();
    passes(&promtool(&words));
}

#[test]
fn the_distances_of_a_fleet_and_their_noise_are_those_of_the_reference_library_on_the_sum_of_its_replicas() {
    let (mut fed, mut expected) = (Vec::new(), Vec::new());
    for case in cases() {
        let of = |record: &str, namespace: &str| {
            format!(
                "eddy:feature:{record}{{namespace=\"{namespace}\",feature=\"{}\"}}",
                case.name
            )
        };
        fed.extend(series(&case));
        if case.has_one_bin() {
            expected.push(is_near(60, &of("psi1h", "moved"), 0.0, 0.0));
            continue;
        }
        let psi = case.metric("psi_alpha_half");
        let events = case.current.iter().sum::<u64>() as f64;
        expected.extend([
            is_near(60, &of("psi1h", "moved"), psi, 1e-9 * psi.max(1.0)),
            is_near(60, &of("psi1h", "calm"), 0.0, 1e-12),
            is_near(60, &of("js1h", "moved"), case.metric("js_distance_base2"), 1e-7),
            is_near(60, &of("js1h", "calm"), 0.0, 1e-7),
            is_near(60, &of("count1h", "moved"), events, 1e-9),
            is_near(60, &of("psi_noise1h", "moved"), case.metric("psi_null_mean"), 1e-9),
        ]);
        // Wilson and Hilferty are within 1.4 % of the quantile from 4 degrees of freedom on.
        if case.current.len() >= 5 {
            let critical = case.metric("psi_crit_p001");
            expected.push(is_near(60, &of("psi_critical1h", "moved"), critical, 0.014 * critical));
        }
    }
    holds(&fed, &expected);
}

#[test]
fn a_feature_alarms_where_there_are_enough_events_and_more_than_noise_and_in_its_own_namespace_only() {
    let (mut due, mut quiet) = (0, 0);
    let (mut fed, mut expected) = (Vec::new(), Vec::new());
    for case in cases() {
        let firing = |alert: &str, namespace: &str| {
            format!(
                "count(ALERTS{{alertname=\"{alert}\",alertstate=\"firing\",namespace=\"{namespace}\",feature=\"{}\"}}) or \
                 vector(0)",
                case.name
            )
        };
        fed.extend(series(&case));
        for (alert, limit) in [("EddyFeatureDrift", 0.2), ("EddyFeatureDriftWarning", 0.1)] {
            let is_due = case.is_due(limit);
            due += u32::from(is_due);
            quiet += u32::from(!is_due);
            expected.push(is_near(65, &firing(alert, "moved"), f64::from(u8::from(is_due)), 0.0));
            expected.push(is_near(65, &firing(alert, "calm"), 0.0, 0.0));
            // It must last.
            expected.push(is_near(61, &firing(alert, "moved"), 0.0, 0.0));
        }
    }
    holds(&fed, &expected);
    assert!(due >= 6 && quiet >= 6, "{due} are due and {quiet} are not");
}

#[test]
fn missing_values_alarm_where_they_jump_by_more_than_chance_and_more_than_a_little() {
    // Of 1000 events: how many lack the value, where one in a hundred of 10,000 lacked it before.
    for (missing, is_due) in [(10, false), (19, false), (22, false), (25, true), (1000, true)] {
        let labels = "{namespace=\"n\",pipeline=\"p\",profile=\"f\",feature=\"age\"";
        let in_bins = 1000 - missing;
        let series = [
            (
                format!("eddy_feature_missing_total{labels}}}"),
                format!("0x59 {missing}x10"),
            ),
            (
                format!("eddy_feature_bin_total{labels},bin=\"a\"}}"),
                format!("0x59 {in_bins}x10"),
            ),
            (format!("eddy_feature_bin_total{labels},bin=\"b\"}}"), "0x70".to_owned()),
            (
                format!("eddy_feature_reference_ratio{labels},bin=\"a\"}}"),
                "0.9999x70".to_owned(),
            ),
            (
                format!("eddy_feature_reference_ratio{labels},bin=\"b\"}}"),
                "0.0001x70".to_owned(),
            ),
            (format!("eddy_feature_reference_events{labels}}}"), "9900x70".to_owned()),
            (
                format!("eddy_feature_reference_missing_ratio{labels}}}"),
                "0.01x70".to_owned(),
            ),
        ];
        let series: Vec<Value> = series
            .map(|(series, values)| json!({"series": series, "values": values}))
            .to_vec();
        // Two samples, pooled: scipy and statsmodels call it the z-test of two proportions.
        let (n, reference) = (1000.0, 10_000.0);
        let pooled = (f64::from(missing) + 100.0) / (n + reference);
        let z = (f64::from(missing) / n - 0.01) / (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / reference)).sqrt();
        let firing = "count(ALERTS{alertname=\"EddyMissingValues\",alertstate=\"firing\"}) or vector(0)";
        holds(
            &series,
            &[
                is_near(60, "eddy:feature:missing_z1h", z, 1e-9),
                is_near(65, firing, f64::from(u8::from(is_due)), 0.0),
            ],
        );
    }
}

#[test]
fn every_metric_that_a_rule_reads_is_one_that_eddy_shows_or_another_rule_records() {
    let code = lines().into_iter().filter(|line| !line.trim().starts_with("- name: "));
    let unknown = unknown(code.flat_map(|line| names(&line)).collect());
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn every_alert_says_what_is_the_matter_and_where_to_read_what_to_do() {
    let page = std::fs::read_to_string(root().join("dashboards/runbooks.md")).expect("the page can be read");
    let anchors: Vec<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(|title| title.to_lowercase().replace(' ', "-"))
        .collect();
    let alerts = alerts();
    assert!(alerts.len() >= 16, "{alerts:?}");
    for alert in alerts {
        assert!(alert.summary.ends_with('.'), "{alert:?}");
        assert!(
            ["page", "warning", "info"].contains(&alert.severity.as_str()),
            "{alert:?}"
        );
        assert!(
            ["drift", "flow", "model", "selection", "service"].contains(&alert.about.as_str()),
            "{alert:?}"
        );
        let anchor = alert
            .runbook
            .strip_prefix("dashboards/runbooks.md#")
            .unwrap_or_default();
        assert!(anchors.iter().any(|known| known == anchor), "{alert:?}, {anchors:?}");
        assert!(
            page.contains(&format!("`{}`", alert.name)),
            "{alert:?} has no place in the runbooks"
        );
    }
}

#[test]
fn every_alert_fires_in_some_scene() {
    let mut quiet: Vec<String> = alerts().into_iter().map(|alert| alert.name).collect();
    let scenes = [service_alerts::scenes(), drift_alerts::scenes(), weeks::scenes()];
    for scene in scenes.iter().flatten() {
        quiet.retain(|alert| !scene.expects(alert));
    }
    assert!(quiet.is_empty(), "{quiet:?}");
}
