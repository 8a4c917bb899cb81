//! The verdict of a run, as JSON: what was done, what was seen, what was broken, and of which versions.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::run::Outcome;

/// Everything about a run.
pub(crate) fn verdict(arguments: &Arguments, outcome: &Outcome) -> Value {
    let violations: Vec<_> = outcome
        .violations
        .iter()
        .map(|(at, violation)| {
            json!({"at": at, "promise": violation.promise, "what": violation.what, "ids": violation.ids})
        })
        .collect();
    json!({
        "verdict": if outcome.passed(arguments.planted) { "pass" } else { "fail" },
        "seed": outcome.seed,
        "guarantee": Arguments::word(arguments.judged()),
        "planted": arguments.planted,
        "profile": Arguments::word(arguments.profile),
        "membership": Arguments::word(arguments.membership),
        "nodes": arguments.nodes,
        "rate": arguments.rate,
        "seconds": outcome.seconds,
        "commit": commit(),
        "versions": versions(),
        "counts": outcome.counts,
        "violations": violations,
        "mishaps": outcome.mishaps,
        "elsewhere": "I8, that a misspelt key stops the start: services/eddy/tests/misspelt.rs",
        "timeline": outcome.timeline,
    })
}

/// The verdict without what makes it long, on one line.
pub(crate) fn summary(verdict: &Value) -> Value {
    let mut summary = verdict.clone();
    if let Some(members) = summary.as_object_mut() {
        members.shift_remove("timeline");
        members.shift_remove("elsewhere");
        if members["planted"] == false {
            members.shift_remove("planted");
        }
        if members["mishaps"].as_array().is_some_and(Vec::is_empty) {
            members.shift_remove("mishaps");
        }
    }
    summary
}

pub(crate) fn write(path: &Path, verdict: &Value) {
    let text = serde_json::to_string_pretty(verdict).expect("JSON");
    fs::write(path, text + "\n").unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

pub(crate) fn append(path: &Path, verdict: &Value) {
    let file = OpenOptions::new().append(true).create(true).open(path);
    let written = file.and_then(|mut file| writeln!(file, "{}", summary(verdict)));
    written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn versions() -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
    json!({
        "librdkafka": librdkafka,
        "kafka": in_a_name(&root.join(".eddy/kafka/libs"), "kafka-clients-", ".jar"),
        "onnxruntime": in_a_name(&root.join(".eddy/onnxruntime"), "libonnxruntime.so.", ""),
        "rustc": said("rustc", &["--version"]),
    })
}

/// The commit that the sources are of, with a `+` when they differ from it.
fn commit() -> String {
    let root = env!("CARGO_MANIFEST_DIR");
    let commit = said("git", &["-C", root, "rev-parse", "--short=12", "HEAD"]);
    let changes = said(
        "git",
        &[
            "-C",
            root,
            "status",
            "--porcelain",
            "--untracked-files=no",
            "--",
            "..",
            ":!chaos/log.jsonl",
        ],
    );
    if changes.is_empty() { commit } else { commit + "+" }
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// The version in the name of a file in a folder.
fn in_a_name(folder: &Path, before: &str, after: &str) -> Option<String> {
    let names = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.file_name());
    let versions = names.filter_map(|name| {
        let version = name.to_str()?.strip_prefix(before)?.strip_suffix(after)?.to_owned();
        Some(version)
    });
    versions.max_by_key(String::len)
}
