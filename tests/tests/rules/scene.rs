//! Scenes: what a namespace of its own shows by the minute, and exactly which alerts fire in it when.

use std::collections::BTreeMap;

use eddy_tests::rules::Trial;
use serde_json::{Value, json};

/// One namespace with a pipeline `p`.
pub(crate) struct Scene {
    namespace: &'static str,
    series: BTreeMap<String, String>,
    fires: Vec<(u32, Vec<&'static str>)>,
    expressions: Vec<Value>,
}

impl Scene {
    /// A namespace in which nothing is scraped.
    pub(crate) fn new(namespace: &'static str) -> Self {
        Self {
            namespace,
            series: BTreeMap::new(),
            fires: Vec::new(),
            expressions: Vec::new(),
        }
    }

    /// A series; it replaces one of the same name and labels. The labels begin with a comma, or there are none.
    pub(crate) fn with(mut self, metric: &str, labels: &str, values: &str) -> Self {
        let series = format!("{metric}{{namespace=\"{}\",pipeline=\"p\"{labels}}}", self.namespace);
        self.series.insert(series, values.to_owned());
        self
    }

    /// A feature with five bins, each with a fifth of 10,000 events of the reference, and so many events in each step.
    pub(crate) fn feature(self, name: &str, segment: &str, steps: [u32; 5]) -> Self {
        self.bins(
            "feature",
            &format!(",feature=\"{name}\",segment=\"{segment}\""),
            |bin| format!("0+{}x2000", steps[bin]),
        )
    }

    /// The same of an output of model `m`.
    pub(crate) fn output(self, name: &str, steps: [u32; 5]) -> Self {
        let labels = format!(",model=\"m\",version=\"1\",output=\"{name}\"");
        self.bins("output", &labels, |bin| format!("0+{}x2000", steps[bin]))
    }

    /// A feature or an output whose bins have these values.
    pub(crate) fn bins(mut self, kind: &str, labels: &str, values: impl Fn(usize) -> String) -> Self {
        let labels = format!(",profile=\"f\"{labels}");
        for bin in 0..5 {
            let with_bin = format!("{labels},bin=\"{bin}\"");
            self = self
                .with(&format!("eddy_{kind}_bin_total"), &with_bin, &values(bin))
                .with(&format!("eddy_{kind}_reference_ratio"), &with_bin, "0.2x2000");
        }
        self.with(&format!("eddy_{kind}_reference_events"), &labels, "10000x2000")
    }

    /// From this minute on exactly these alerts fire, until another call says otherwise; only the minute itself is looked at.
    pub(crate) fn fires(mut self, minute: u32, alerts: &[&'static str]) -> Self {
        self.fires.push((minute, alerts.to_vec()));
        self
    }

    /// What an expression gives in a minute; `$` stands for the label of the scene's namespace.
    pub(crate) fn gives(mut self, minute: u32, expression: &str, value: f64) -> Self {
        let namespace = format!("namespace=\"{}\"", self.namespace);
        self.expressions.push(json!({
            "expr": format!("sum({})", expression.replace('$', &namespace)),
            "eval_time": format!("{minute}m"),
            "exp_samples": [{"labels": "{}", "value": value}],
        }));
        self
    }

    /// Whether the scene has this alert fire.
    pub(crate) fn expects(&self, alert: &str) -> bool {
        self.fires.iter().any(|(_, alerts)| alerts.contains(&alert))
    }

    /// What is scraped, as promtool reads it.
    pub(crate) fn series(&self) -> Vec<Value> {
        let of = |(series, values): (&String, &String)| json!({"series": series, "values": values});
        self.series.iter().map(of).collect()
    }

    fn expectations(&self) -> Vec<Value> {
        let mut expected = self.expressions.clone();
        for (minute, alerts) in &self.fires {
            let of = |alert: &&str| json!({"labels": format!("{{alertname=\"{alert}\"}}"), "value": 1});
            expected.push(json!({
                "expr": format!(
                    "group by (alertname) (ALERTS{{alertstate=\"firing\",namespace=\"{}\"}})",
                    self.namespace
                ),
                "eval_time": format!("{minute}m"),
                "exp_samples": alerts.iter().map(of).collect::<Vec<_>>(),
            }));
        }
        expected
    }
}

/// Plays all scenes at once, side by side, with so many minutes from sample to sample, and from evaluation to evaluation.
#[track_caller]
pub(crate) fn play(scenes: &[Scene], [step, every]: [u32; 2]) {
    let (mut series, mut expressions) = (Vec::new(), Vec::new());
    for scene in scenes {
        assert!(!scene.fires.is_empty(), "{} expects nothing", scene.namespace);
        series.extend(scene.series());
        expressions.extend(scene.expectations());
    }
    let trial = Trial {
        step,
        every,
        ..Trial::new(series, expressions)
    };
    trial.holds();
}
