//! The rules of `dashboards/prometheus`, and the tools of `.eddy/prometheus` that judge them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use eddy_telemetry::catalogue::{ALL, DEPRECATED, Deprecated, Metric};
use serde_json::{Value, json};

/// The folder of the project.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .expect("the project is there")
}

/// Every file of rules, in the order of their names.
pub fn files() -> Vec<String> {
    let folder = root().join("dashboards/prometheus");
    let files = std::fs::read_dir(folder).expect("the rules are there");
    let paths = files.map(|file| file.expect("the folder can be read").path());
    let mut rules: Vec<String> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "yml"))
        .map(|path| path.display().to_string())
        .collect();
    rules.sort();
    rules
}

/// A program of `.eddy/prometheus`.
pub fn tool(name: &str) -> PathBuf {
    let tool = root().join(".eddy/prometheus").join(name);
    assert!(tool.exists(), "no {}; run tests/setup/prometheus", tool.display());
    tool
}

/// Runs promtool.
pub fn promtool(words: &[&str]) -> Output {
    let output = Command::new(tool("promtool")).args(words).output();
    output.unwrap_or_else(|error| panic!("promtool: {error}"))
}

/// That a program ended well; else says what it said.
#[track_caller]
pub fn passes(output: &Output) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
}

/// One group of promtool's own tests: series by the minute, and what must come of them.
#[derive(Debug)]
pub struct Trial {
    /// Minutes between two samples.
    pub step: u32,
    /// Minutes between two evaluations.
    pub every: u32,
    /// Files of rules.
    pub files: Vec<String>,
    /// What is scraped.
    pub series: Vec<Value>,
    /// What expressions must give.
    pub expressions: Vec<Value>,
    /// What alerts must say.
    pub alerts: Vec<Value>,
}

impl Trial {
    /// A trial of all the rules, whose samples and evaluations are a minute apart.
    pub fn new(series: Vec<Value>, expressions: Vec<Value>) -> Self {
        Self {
            step: 1,
            every: 1,
            files: files(),
            series,
            expressions,
            alerts: Vec::new(),
        }
    }

    /// Runs it.
    #[track_caller]
    pub fn holds(&self) {
        let test = json!({
            "rule_files": self.files,
            "evaluation_interval": format!("{}m", self.every),
            // Counts before what is made of them, and that before the alerts; promtool's own order is chance.
            "group_eval_order": groups(),
            "tests": [{
                "interval": format!("{}m", self.step),
                "input_series": self.series,
                "promql_expr_test": self.expressions,
                "alert_rule_test": self.alerts,
            }],
        });
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("test.yml");
        // JSON is YAML.
        std::fs::write(&path, test.to_string()).expect("the folder takes a file");
        passes(&promtool(&["test", "rules", &path.display().to_string()]));
    }
}

/// One alert of the rules.
#[derive(Debug, Default)]
pub struct Alert {
    /// Its name.
    pub name: String,
    /// `page`, `warning` or `info`.
    pub severity: String,
    /// Its topic, which inhibition goes by.
    pub about: String,
    /// What it says.
    pub summary: String,
    /// Where it says what to do.
    pub runbook: String,
}

/// Every alert, in the order of the files.
pub fn alerts() -> Vec<Alert> {
    let mut alerts: Vec<Alert> = Vec::new();
    for line in lines() {
        let Some((key, value)) = line.trim().trim_start_matches("- ").split_once(": ") else {
            continue;
        };
        if key == "alert" {
            alerts.push(Alert {
                name: value.to_owned(),
                ..Alert::default()
            });
        }
        let Some(alert) = alerts.last_mut() else { continue };
        let place = match key {
            "severity" => &mut alert.severity,
            "about" => &mut alert.about,
            "summary" => &mut alert.summary,
            "runbook" => &mut alert.runbook,
            _ => continue,
        };
        value.trim_matches('\'').clone_into(place);
    }
    alerts
}

/// The names that the rules record.
pub fn records() -> BTreeSet<String> {
    let record = |line: String| Some(line.trim().strip_prefix("- record: ")?.to_owned());
    lines().into_iter().filter_map(record).collect()
}

/// The names of the groups, in an order in which each finds what it reads: counts, days, verdicts, alerts.
fn groups() -> Vec<String> {
    let name = |line: String| Some(line.strip_prefix("  - name: ")?.to_owned());
    let mut groups: Vec<String> = lines().into_iter().filter_map(name).collect();
    groups.sort_by_key(|group| {
        let rank = ["_day", "_gate", "_verdicts", "_alerts"]
            .iter()
            .position(|end| group.ends_with(end));
        (
            rank.map_or(0, |rank| rank + 1),
            !group.ends_with("feature_verdicts"),
            !group.ends_with("output_verdicts"),
        )
    });
    groups
}

/// Every line of the rules that is no comment.
pub fn lines() -> Vec<String> {
    let mut lines = Vec::new();
    for path in files() {
        let text = std::fs::read_to_string(&path).expect("the rules can be read");
        let code = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        lines.extend(code.map(str::to_owned));
    }
    lines
}

/// The names of metrics and records in an expression: words that begin with `eddy`.
pub fn names(expression: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = expression.split(|c: char| !is_part(c));
    let names = words.filter(|word| word.starts_with("eddy_") || word.starts_with("eddy:"));
    names.map(str::to_owned).collect()
}

/// Those of the names that are neither in the catalogue nor recorded, or that are in it and deprecated: what reads one of
/// those shows nothing from the next minor version on.
pub fn unknown(names: BTreeSet<String>) -> BTreeSet<String> {
    unknown_but(names, DEPRECATED)
}

fn unknown_but(names: BTreeSet<String>, deprecated: &[Deprecated]) -> BTreeSet<String> {
    let lasts = |metric: &&Metric| deprecated.iter().all(|one| one.metric.name != metric.name);
    let catalogue: BTreeSet<&str> = ALL.iter().filter(lasts).map(|metric| metric.name).collect();
    let records = records();
    let is_known = |name: &String| {
        let bare = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end));
        records.contains(name) || catalogue.contains(name.as_str()) || bare.is_some_and(|bare| catalogue.contains(bare))
    };
    names.into_iter().filter(|name| !is_known(name)).collect()
}

#[cfg(test)]
mod tests {
    use eddy_pipeline::format::Version;
    use eddy_telemetry::catalogue::{BATCH_ROWS, STAGE_SECONDS};

    use super::*;

    #[test]
    fn a_deprecated_metric_is_not_to_be_read_any_more() {
        let deprecated = [Deprecated {
            metric: BATCH_ROWS,
            replacement: STAGE_SECONDS,
            dropped_in: Version::new(7, 3),
        }];
        let read = names("eddy_batch_rows_bucket + eddy_stage_seconds_sum + eddy_no_such");
        let unknown = |deprecated| unknown_but(read.clone(), deprecated).into_iter().collect::<Vec<_>>();
        assert_eq!(unknown(&[]), ["eddy_no_such"]);
        assert_eq!(unknown(&deprecated), ["eddy_batch_rows_bucket", "eddy_no_such"]);
    }
}
