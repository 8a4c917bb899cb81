//! The systemd unit.

use std::process::Command;

use eddy_tests::rules::{passes, root};

/// In tenths. systemd calls up to 2 "ok", and a unit without any of its options has 9.6.
const MOST_EXPOSED: u32 = 20;

#[test]
fn systemd_takes_the_unit_and_finds_it_hardly_exposed() {
    let text = std::fs::read_to_string(root().join("docker/eddy.service")).expect("the unit is there");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("eddy.service");
    // A program that this machine has.
    std::fs::write(&path, text.replace("/usr/local/bin/eddy", "/bin/true")).expect("the folder takes a file");
    let analyze = |words: &[&str]| {
        let output = Command::new("systemd-analyze").args(words).arg(&path).output();
        output.expect("systemd-analyze runs")
    };
    let verified = analyze(&["verify"]);
    passes(&verified);
    assert!(verified.stderr.is_empty(), "{verified:?}");
    passes(&analyze(&[
        "security",
        "--offline=true",
        &format!("--threshold={MOST_EXPOSED}"),
    ]));
}

#[test]
fn what_the_example_of_its_environment_sets_are_settings_and_secrets() {
    let text = std::fs::read_to_string(root().join("docker/eddy.env")).expect("the example is there");
    let reference =
        std::fs::read_to_string(root().join("config/reference/pipeline.md")).expect("the reference is there");
    let mut settings = 0;
    for line in text.lines() {
        let Some((name, _)) = line.trim_start_matches('#').split_once('=') else {
            continue;
        };
        let Some(key) = name.strip_prefix("EDDY__") else {
            continue;
        };
        let (table, key) = key.split_once("__").expect("a table and a key");
        let table = format!("## `[{}]`", table.to_lowercase());
        let (_, after) = reference.split_once(&table).unwrap_or_else(|| panic!("no {table}"));
        let section = after.split("\n## ").next().expect("a section");
        assert!(section.contains(&format!("| `{}` |", key.to_lowercase())), "{name}");
        settings += 1;
    }
    assert!(settings >= 4, "{settings}");
}
