//! What a replay found, with whose word it is: the document that `--json` prints and pages are made from.

use eddy_pipeline::compare::{Comparison, Psi, Report, Terms};
use serde::Serialize;

use super::side::Side;

/// The whole report.
#[derive(Debug, Serialize)]
pub(super) struct Document {
    /// What was read.
    pub(super) source: String,
    pub(super) pipelines: Vec<Who>,
    /// Names of the classes, by the numbers that the most changed events have.
    pub(super) classes: Vec<String>,
    #[serde(flatten)]
    pub(super) report: Report,
    /// What to know to read it right.
    pub(super) notes: Vec<String>,
}

/// One side.
#[derive(Debug, Serialize)]
pub(super) struct Who {
    pub(super) file: String,
    pub(super) model: String,
    pub(super) version: String,
    pub(super) sha256: String,
    pub(super) config: String,
    /// PSI against the reference profile, the largest first; none without a profile.
    pub(super) profile: Option<Vec<Psi>>,
}

impl Document {
    pub(super) fn of(sides: &[Side], terms: &Terms, comparison: &Comparison, source: String) -> Self {
        let who = |side: &Side| Who {
            file: side.path().to_owned(),
            model: side.model().to_owned(),
            version: side.version().to_owned(),
            sha256: side.sha256().to_owned(),
            config: side.config(),
            profile: side.has_profile().then(|| side.against_profile()),
        };
        Self {
            source,
            pipelines: sides.iter().map(who).collect(),
            classes: terms.answer().classes().to_vec(),
            report: comparison.report(terms, sides.len() > 1),
            notes: notes(sides),
        }
    }

    pub(super) fn json(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("a report holds nothing that JSON lacks");
        format!("{text}\n")
    }

    pub(super) fn title(&self) -> String {
        let names: Vec<String> = self
            .pipelines
            .iter()
            .map(|who| format!("{} {}", who.model, who.version))
            .collect();
        format!("Replay of {}: {}", self.source, names.join(" against "))
    }
}

fn notes(sides: &[Side]) -> Vec<String> {
    let mut notes = Vec::new();
    for (side, word) in sides.iter().zip(["first", "second"]) {
        if !side.selects() {
            notes.push(format!(
                "the {word} pipeline selects under a budget, so what it takes depends on what came before and is not told here"
            ));
        }
    }
    if sides.len() > 1 {
        notes.push(
            "both pipelines scored the same events: without any change PSI is 0, not its mean; mean and critical value are \
             those between two independent samples of as many events"
                .to_owned(),
        );
    }
    notes.push("quantiles are right to one part in 2,000; least, greatest, means and counts are exact".to_owned());
    notes
}
