//! What the documents say is there is there: exit codes, commands, settings, files, tests, and where links lead.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use eddy::cli::{self, Stop};
use eddy_host::ExitCode;

const DOCUMENTS: [&str; 8] = [
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "OPERATIONS.md",
    "README.md",
    "RELIABILITY.md",
    "SECURITY.md",
    "dashboards/runbooks.md",
    "docker/README.md",
];
/// What the names of files begin with that are written from the root of the project.
const FOLDERS: [&str; 5] = ["config/", "dashboards/", "docker/", "services/", "tests/"];
/// What is called like a setting ends otherwise.
const ENDINGS: [&str; 4] = ["jsonl", "py", "rs", "toml"];

struct Document {
    name: &'static str,
    /// All of it but its blocks of code.
    prose: String,
    blocks: Vec<String>,
}

impl Document {
    /// What stands in the prose as code.
    fn spans(&self) -> impl Iterator<Item = &str> {
        self.prose.split('`').skip(1).step_by(2)
    }
}

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn text(path: &str) -> String {
    std::fs::read_to_string(at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn document(name: &'static str) -> Document {
    let (mut prose, mut blocks) = (String::new(), Vec::new());
    for (position, part) in text(name).split("```").enumerate() {
        match position % 2 {
            0 => prose.push_str(part),
            _ => blocks.push(part.to_owned()),
        }
    }
    Document { name, prose, blocks }
}

fn documents() -> impl Iterator<Item = Document> {
    DOCUMENTS.into_iter().map(document)
}

/// The headings of a document, as links name them.
fn headings(path: &str) -> BTreeSet<String> {
    let heading = |line: &str| -> Option<String> {
        let title = line.strip_prefix('#')?.trim_start_matches('#').trim().to_lowercase();
        let kept = title
            .chars()
            .filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
        Some(kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect())
    };
    text(path).lines().filter_map(heading).collect()
}

/// The keys of each table of a pipeline file, by its name; that of a list ends in `[]`.
fn tables() -> BTreeMap<String, BTreeSet<String>> {
    let mut tables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut table = String::new();
    for line in text("config/reference/pipeline.md").lines() {
        let quoted = || line.split('`').nth(1).unwrap_or_default();
        if line.starts_with("## ") {
            let name = quoted().trim_matches(['[', ']']);
            let list = if quoted().starts_with("[[") { "[]" } else { "" };
            table = format!("{name}{list}");
        } else if line.starts_with("| `") {
            tables.entry(table.clone()).or_default().insert(quoted().to_owned());
        }
    }
    tables
}

#[test]
fn every_exit_code_has_a_row_that_says_what_to_do_and_there_is_no_other() {
    let operations = text("OPERATIONS.md");
    let (_, after) = operations.split_once("\n## Exit codes\n").expect("a section");
    let section = after.split("\n## ").next().expect("its end");
    let number = |line: &str| line.strip_prefix("| ")?.split(' ').next()?.parse().ok();
    let numbers: Vec<u8> = section.lines().filter_map(number).collect();
    assert_eq!(numbers, ExitCode::ALL.map(ExitCode::number));
}

#[test]
fn every_command_that_a_document_names_is_there() {
    let mut count = 0;
    for document in documents() {
        let lines = document.blocks.iter().flat_map(|block| block.lines());
        let lines = lines.map(|line| line.trim().trim_start_matches("$ "));
        for code in document.spans().chain(lines) {
            let mut words = code.split_whitespace();
            let (Some("eddy"), Some(command)) = (words.next(), words.next()) else {
                continue;
            };
            if command.starts_with('-') {
                continue;
            }
            let asked = cli::parse(["eddy", "help", command].map(OsString::from));
            assert!(matches!(asked, Err(Stop::Answer(_))), "{}: `{code}`", document.name);
            count += 1;
        }
    }
    assert!(count >= 60, "{count}");
}

#[test]
fn every_setting_that_a_document_names_is_there() {
    let (tables, mut count) = (tables(), 0);
    for document in documents() {
        for span in document.spans() {
            let is_key = span.chars().all(|c| c.is_ascii_lowercase() || "_.[]".contains(c));
            let Some((table, key)) = span.rsplit_once('.').filter(|_| is_key) else {
                continue;
            };
            let first = table.split('.').next().expect("a first part");
            if first.is_empty() || !tables.contains_key(first) || ENDINGS.contains(&key) {
                continue;
            }
            let is_there = tables.get(table).is_some_and(|keys| keys.contains(key));
            assert!(is_there, "{}: `{span}`", document.name);
            count += 1;
        }
    }
    assert!(count >= 60, "{count}");
}

#[test]
fn every_file_and_every_test_that_a_document_names_is_there() {
    let mut tests = 0;
    for document in documents() {
        for span in document.spans() {
            let is_path = span.chars().all(|c| c.is_ascii_alphanumeric() || "_-./:".contains(c));
            if !is_path || !FOLDERS.iter().any(|folder| span.starts_with(folder)) {
                continue;
            }
            let (path, test) = span.split_once("::").unwrap_or((span, ""));
            assert!(at(path).exists(), "{}: `{span}`", document.name);
            if !test.is_empty() {
                let is_there = text(path).contains(&format!("fn {test}()"));
                assert!(is_there, "{}: `{span}`", document.name);
                tests += 1;
            }
        }
    }
    assert!(tests >= 40, "{tests}");
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_are_there() {
    let mut count = 0;
    for document in documents() {
        let folder = Path::new(document.name).parent().expect("a document lies in a folder");
        let targets = document.prose.split("](").skip(1);
        let targets = targets.filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://")) {
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = match path {
                "" => PathBuf::from(document.name),
                path => folder.join(path),
            };
            let path = path.to_str().expect("documents are UTF-8");
            assert!(at(path).exists(), "{}: {target}", document.name);
            let is_there = heading.is_empty() || headings(path).contains(heading);
            assert!(is_there, "{}: {target}", document.name);
            count += 1;
        }
    }
    assert!(count >= 60, "{count}");
}
