//! The summary: what the demo did, in words or as one JSON object.
//!
//! Owns: the sentences, the JSON's members and the verdict on whether all is accounted for.
//! Never does: print; the caller does.
//!
//! Invariant: the demo succeeded only if each event that was sent has exactly one outcome and each selected one flowed
//! back.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::tally::Facts;

/// The last line of standard output with `--summary json`. Unknown members may be added; none is renamed.
#[derive(Debug, Serialize)]
struct Json<'a> {
    events: u64,
    predictions: u64,
    samples: &'a BTreeMap<String, u64>,
    dead_letters: &'a BTreeMap<String, u64>,
    repeated: u64,
    missing: u64,
    accuracy_before: Option<f64>,
    accuracy_after: Option<f64>,
    seconds: f64,
    guarantee: &'a str,
    pages: &'a [String],
}

/// What the demo did.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Summary {
    /// The numbers, after everything came to rest.
    pub(super) facts: Facts,
    /// How long events were sent.
    pub(super) seconds: f64,
    /// What was promised: `exactly-once` or `at-least-once`.
    pub(super) guarantee: &'static str,
    /// Addresses of the pages that were served.
    pub(super) pages: Vec<String>,
}

impl Summary {
    /// What cannot be accounted for, in one sentence; nothing if all is well.
    pub(super) fn complaint(&self) -> Option<String> {
        let facts = &self.facts;
        if facts.unanswered() > 0 {
            return Some(format!(
                "{} of {} events have no outcome: neither a prediction nor a dead letter arrived for them; \
                 see the log for what the service met",
                grouped(facts.unanswered()),
                grouped(facts.events)
            ));
        }
        if facts.samples != facts.selected {
            return Some(format!(
                "{} events were selected and {} flowed back; see the log for what the service met",
                grouped(facts.selected),
                grouped(facts.samples)
            ));
        }
        if self.guarantee == "exactly-once" && facts.repeated > 0 {
            return Some(format!(
                "{} outcomes arrived more than once although exactly once was promised; please report this",
                grouped(facts.repeated)
            ));
        }
        None
    }

    /// One JSON object on one line.
    pub(super) fn json(&self) -> String {
        let facts = &self.facts;
        let json = Json {
            events: facts.events,
            predictions: facts.predictions,
            samples: &facts.samples_by_reason,
            dead_letters: &facts.dead_letters,
            repeated: facts.repeated,
            missing: facts.unanswered(),
            accuracy_before: facts.accuracy_before.map(rounded),
            accuracy_after: facts.accuracy_after.map(rounded),
            seconds: rounded(self.seconds),
            guarantee: self.guarantee,
            pages: &self.pages,
        };
        serde_json::to_string(&json).expect("numbers and text can be written as JSON")
    }

    /// A few lines for people.
    pub(super) fn words(&self) -> String {
        let facts = &self.facts;
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            writeln!(text, "  {name:<14} {value}").expect("writing to a String cannot fail");
        };
        line("events", format!("{} in {:.0} s", grouped(facts.events), self.seconds));
        line("predictions", grouped(facts.predictions));
        line("flowed back", counted(facts.samples, &facts.samples_by_reason));
        line("dead letters", counted(facts.dead(), &facts.dead_letters));
        if facts.repeated > 0 {
            line(
                "repeated",
                format!("{} (at least once allows it)", grouped(facts.repeated)),
            );
        }
        line(
            "accuracy",
            format!(
                "{} while the camera hung straight, {} once it hung askew",
                percent(facts.accuracy_before),
                percent(facts.accuracy_after)
            ),
        );
        let verdict = self
            .complaint()
            .unwrap_or_else(|| "Every event has exactly one outcome, and every selected one flowed back.".to_owned());
        format!("What the demo did\n{text}{verdict}\n")
    }
}

/// Four digits after the point are enough for a share and for seconds.
fn rounded(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

/// `12,345`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `99.8 %`, or a dash where nothing was counted.
pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

/// `12 (7 malformed, 5 wrong_shape)`.
fn counted(sum: u64, reasons: &BTreeMap<String, u64>) -> String {
    if reasons.is_empty() {
        return grouped(sum);
    }
    let parts: Vec<String> = reasons
        .iter()
        .map(|(reason, count)| format!("{} {reason}", grouped(*count)))
        .collect();
    format!("{} ({})", grouped(sum), parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
        pairs
            .iter()
            .map(|(reason, count)| ((*reason).to_owned(), *count))
            .collect()
    }

    fn summary() -> Summary {
        Summary {
            facts: Facts {
                events: 12_000,
                predictions: 11_940,
                selected: 1_234,
                samples: 1_234,
                samples_by_reason: counts(&[("uncertainty", 1_234)]),
                dead_letters: counts(&[("malformed", 40), ("wrong_shape", 20)]),
                accuracy_before: Some(0.997_777_7),
                accuracy_after: Some(0.25),
                ..Facts::default()
            },
            seconds: 60.004_04,
            guarantee: "at-least-once",
            pages: vec!["http://127.0.0.1:9180/".to_owned()],
        }
    }

    #[test]
    fn the_json_is_one_line_with_all_the_facts() {
        let json = summary().json();
        assert!(!json.contains('\n'));
        let value: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
        assert_eq!(
            value,
            serde_json::json!({
                "events": 12_000,
                "predictions": 11_940,
                "samples": {"uncertainty": 1_234},
                "dead_letters": {"malformed": 40, "wrong_shape": 20},
                "repeated": 0,
                "missing": 0,
                "accuracy_before": 0.9978,
                "accuracy_after": 0.25,
                "seconds": 60.004,
                "guarantee": "at-least-once",
                "pages": ["http://127.0.0.1:9180/"],
            })
        );
    }

    #[test]
    fn accuracy_that_was_never_measured_is_null() {
        let mut summary = summary();
        summary.facts.accuracy_after = None;
        assert!(summary.json().contains("\"accuracy_after\":null"));
        assert!(summary.words().contains("– once it hung askew"));
    }

    #[test]
    fn the_words_name_every_number() {
        let words = summary().words();
        for part in [
            "12,000 in 60 s",
            "11,940",
            "1,234 (1,234 uncertainty)",
            "60 (40 malformed, 20 wrong_shape)",
            "99.8 %",
            "25.0 %",
            "exactly one outcome",
        ] {
            assert!(words.contains(part), "`{part}` is missing in:\n{words}");
        }
        assert!(!words.contains("repeated"));
    }

    #[test]
    fn a_missing_outcome_is_a_complaint() {
        let mut summary = summary();
        assert_eq!(summary.complaint(), None);
        summary.facts.events += 3;
        let complaint = summary.complaint().expect("three events have no outcome");
        assert!(
            complaint.starts_with("3 of 12,003 events have no outcome"),
            "{complaint}"
        );
        assert!(summary.words().contains(&complaint));
    }

    #[test]
    fn a_sample_that_did_not_flow_back_is_a_complaint() {
        let mut summary = summary();
        summary.facts.selected += 1;
        assert!(
            summary
                .complaint()
                .is_some_and(|text| text.contains("1,235 events were selected and 1,234"))
        );
    }

    #[test]
    fn a_repeated_outcome_is_a_complaint_only_where_exactly_once_was_promised() {
        let mut summary = summary();
        summary.facts.repeated = 2;
        assert_eq!(summary.complaint(), None);
        assert!(summary.words().contains("2 (at least once allows it)"));
        summary.guarantee = "exactly-once";
        assert!(summary.complaint().is_some());
    }

    #[test]
    fn thousands_are_grouped() {
        let written = [0, 7, 999, 1_000, 12_345, 1_234_567].map(grouped);
        assert_eq!(written, ["0", "7", "999", "1,000", "12,345", "1,234,567"]);
    }
}
