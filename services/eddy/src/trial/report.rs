//! What the tests of a pipeline found, for people and for scripts.
//!
//! Owns: the words and the JSON. Never does: compare.
//!
//! Invariant: what is not shown for want of room is counted.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::beside::EXPECTED;
use super::diff::{DEAD_LETTER, Difference, Finding};
use crate::plain::clipped;
use crate::recall::counted;

/// Most events that are told about one by one, and most members of one event.
const MOST_SHOWN: usize = 100;
/// Longest value that is shown as a whole to people.
const LETTERS: usize = 200;

/// How the tests went. Unknown members may be added; none is renamed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Report {
    /// The pipeline file.
    pub(crate) file: String,
    /// Whether all is as expected.
    pub(crate) passed: bool,
    /// Whether `expected.jsonl` was written anew; without `--update` never.
    pub(crate) updated: bool,
    /// Events that ran.
    pub(crate) events: usize,
    /// Those of them that are as expected.
    pub(crate) as_expected: usize,
    /// By how much numbers of models may differ.
    pub(crate) tolerance: f64,
    /// What is not as expected, or was not, before the update.
    pub(crate) findings: Vec<Finding>,
    /// What was not compared, and what is no event.
    pub(crate) notes: Vec<String>,
}

impl Report {
    /// One JSON document.
    pub(crate) fn json(&self) -> String {
        let document = serde_json::to_string_pretty(self).expect("a report is JSON");
        format!("{document}\n")
    }

    fn head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, tolerance, .. } = self;
        let events = counted(self.events as u64, "event");
        writeln!(
            f,
            "{file}: {events}, {} as expected (numbers of models within {tolerance}, relative beyond 1)",
            self.as_expected
        )?;
        if self.updated {
            let count = |is: fn(&Finding) -> bool| self.findings.iter().filter(|finding| is(finding)).count();
            writeln!(
                f,
                "{EXPECTED} was written anew: {} changed, {} added, {} removed",
                count(|finding| matches!(finding, Finding::Differs { .. })),
                count(|finding| matches!(finding, Finding::Surplus { .. })),
                count(|finding| matches!(finding, Finding::Missing { .. })),
            )?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "note: {note}"))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head(f)?;
        for finding in self.findings.iter().take(MOST_SHOWN) {
            writeln!(f)?;
            tell(finding, self.updated, f)?;
        }
        match self.findings.len().saturating_sub(MOST_SHOWN) {
            0 => Ok(()),
            more => writeln!(f, "\n… and {more} more; --json shows all"),
        }
    }
}

fn tell(finding: &Finding, updated: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match finding {
        Finding::Missing { id, line } => {
            let id = shown(id);
            writeln!(f, "{id} ({EXPECTED}:{line}): it is expected, and no event has this id")
        }
        Finding::Surplus { id, event } => {
            let next = if updated {
                ""
            } else {
                "; `eddy test --update` adds what came out"
            };
            writeln!(
                f,
                "{} ({}): nothing is expected of this event{next}",
                shown(id),
                shown(event)
            )
        }
        Finding::Differs {
            id,
            line,
            event,
            differences,
        } => {
            writeln!(f, "{} ({}, {EXPECTED}:{line})", shown(id), shown(event))?;
            for difference in differences.iter().take(MOST_SHOWN) {
                writeln!(f, "  {}", told(difference))?;
            }
            match differences.len().saturating_sub(MOST_SHOWN) {
                0 => Ok(()),
                more => writeln!(f, "  … and {more} more; --json shows all"),
            }
        }
    }
}

/// `models.m.label: expected "x", got "y"`
fn told(difference: &Difference) -> String {
    let Difference { path, expected, got } = difference;
    let value = |value: &Option<Value>, nothing: &str| {
        value
            .as_ref()
            .map_or_else(|| nothing.to_owned(), |value| shown(&value.to_string()))
    };
    // In the place of a prediction there is a dead letter, or the other way round.
    let nothing = if path == DEAD_LETTER { "a prediction" } else { "nothing" };
    format!(
        "{}: expected {}, got {}",
        shown(path),
        value(expected, nothing),
        value(got, nothing)
    )
}

/// A text of events, cut and without control characters.
fn shown(text: &str) -> String {
    let shown = clipped(text, LETTERS);
    match text.chars().count() {
        count if count > LETTERS => format!("{shown} ({count} characters)"),
        _ => shown,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(findings: Vec<Finding>) -> Report {
        Report {
            file: "pipeline.toml".into(),
            passed: findings.is_empty(),
            updated: false,
            events: 3,
            as_expected: 3_usize.saturating_sub(findings.len()),
            tolerance: 1e-4,
            findings,
            notes: Vec::new(),
        }
    }

    fn differs(id: &str, path: &str, expected: Option<Value>, got: Option<Value>) -> Finding {
        Finding::Differs {
            id: id.into(),
            line: 2,
            event: "events.jsonl:7".into(),
            differences: vec![Difference {
                path: path.into(),
                expected,
                got,
            }],
        }
    }

    #[test]
    fn every_kind_of_finding_is_told_with_the_event_and_its_place() {
        let findings = vec![
            differs("a", "models.m.label", Some(json!("x")), Some(json!("y"))),
            differs("b", DEAD_LETTER, None, Some(json!({"reason": "malformed"}))),
            differs("c", DEAD_LETTER, Some(json!({"reason": "malformed"})), None),
            differs("d", "models.m.score", Some(json!(1.5)), None),
            Finding::Missing {
                id: "gone".into(),
                line: 4,
            },
            Finding::Surplus {
                id: "new".into(),
                event: "events.jsonl:9".into(),
            },
        ];
        let text = report(findings).to_string();
        for part in [
            "pipeline.toml: 3 events, 0 as expected (numbers of models within 0.0001, relative beyond 1)\n",
            "\na (events.jsonl:7, expected.jsonl:2)\n  models.m.label: expected \"x\", got \"y\"\n",
            "  dead_letter: expected a prediction, got {\"reason\":\"malformed\"}\n",
            "  dead_letter: expected {\"reason\":\"malformed\"}, got a prediction\n",
            "  models.m.score: expected 1.5, got nothing\n",
            "\ngone (expected.jsonl:4): it is expected, and no event has this id\n",
            "\nnew (events.jsonl:9): nothing is expected of this event; `eddy test --update` adds what came out\n",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn an_update_says_how_many_lines_it_changed() {
        let updated = Report {
            updated: true,
            ..report(vec![
                differs("a", "models.m.label", None, Some(json!("y"))),
                Finding::Surplus {
                    id: "new".into(),
                    event: "events.jsonl:9".into(),
                },
            ])
        };
        let text = updated.to_string();
        assert!(text.contains("written anew: 1 changed, 1 added, 0 removed"), "{text}");
        assert!(text.contains("models.m.label: expected nothing, got \"y\""), "{text}");
    }

    #[test]
    fn what_does_not_fit_is_counted_and_nothing_moves_the_cursor() {
        let many = (0..MOST_SHOWN + 2).map(|at| Finding::Missing {
            id: format!("e\u{1b}[2J{at}"),
            line: at,
        });
        let text = report(many.collect()).to_string();
        assert!(text.ends_with("\n… and 2 more; --json shows all\n"), "{text}");
        assert!(!text.contains('\u{1b}'));
        let long = shown(&"x".repeat(LETTERS + 5));
        assert!(long.ends_with("x… (205 characters)"), "{long}");
    }

    #[test]
    fn the_json_has_every_finding_with_what_was_expected_and_what_came() {
        let findings = vec![
            differs("a", "models.m.label", None, Some(json!("y"))),
            Finding::Missing {
                id: "gone".into(),
                line: 4,
            },
        ];
        let read: Value = serde_json::from_str(&report(findings).json()).expect("it is JSON");
        assert_eq!(read["passed"], false);
        assert_eq!(
            read["findings"],
            json!([
                {"what": "differs", "id": "a", "line": 2, "event": "events.jsonl:7",
                 "differences": [{"path": "models.m.label", "expected": null, "got": "y"}]},
                {"what": "missing", "id": "gone", "line": 4},
            ])
        );
    }
}
