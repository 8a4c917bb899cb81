//! `eddy migrate`: a file of an older format becomes one of the newest, and keeps its comments.
//!
//! Owns: telling which kind of file it is, and what is said and written.
//! Never does: judge what the file says beyond its names and its number; `eddy check` does that.
//!
//! Invariant: the file is replaced as a whole or not at all, and only with `--write`.
#![allow(clippy::print_stdout, reason = "a command's answer goes to standard output")]

use std::io::{self, Write as _};
use std::path::Path;

use eddy_host::ExitCode;
use eddy_pipeline::format::{Format, GOLDEN, PROFILE};
use eddy_storage::table::{Existing, WholeFile};
use serde_json::Value;
use similar::TextDiff;

use crate::cli::MigrateArguments;
use crate::settings::Source;
use crate::settings::history::History;
use crate::settings::migration::{self, Migrated};
use crate::settings::problems::Problems;
use crate::{file, policy};

/// Larger than any of these files; a profile is the largest.
const MAX_BYTES: u64 = 64 << 20;
/// Lines that the difference shows around a change.
const CONTEXT: usize = 2;

/// Migrates a file, or says what would change.
pub fn migrate(arguments: &MigrateArguments) -> ExitCode {
    let path = &arguments.file;
    let done = read(path).and_then(|text| {
        let migrated = of(path, &text)?;
        if arguments.write && !migrated.changes.is_empty() {
            write(path, &migrated.text).map_err(|message| Problems::whole(named(path), message))?;
        }
        Ok((text, migrated))
    });
    match done {
        Ok((_, migrated)) if arguments.check && !migrated.changes.is_empty() => {
            tell(&format!("{}\n{}", migrated.changes, next(path)));
            ExitCode::Configuration
        }
        Ok((text, migrated)) => {
            // Nobody is left to tell when the stream is closed; the exit code still says it.
            drop(write!(io::stdout(), "{}", answer(arguments, &text, &migrated)));
            ExitCode::Drained
        }
        Err(problems) => {
            tell(&problems.to_string());
            ExitCode::Configuration
        }
    }
}

fn tell(message: &str) {
    // As above.
    drop(writeln!(io::stderr(), "{message}"));
}

fn next(path: &Path) -> String {
    format!("`eddy migrate {} --write` does it", named(path))
}

fn answer(arguments: &MigrateArguments, text: &str, migrated: &Migrated) -> String {
    let Migrated { from, to, changes, .. } = migrated;
    let name = named(&arguments.file);
    if changes.is_empty() {
        return format!("{name} is of format {to}, the newest: nothing is to be done\n");
    }
    if arguments.write {
        return format!("{changes}\n{name} was of format {from} and is of format {to} now\n");
    }
    let difference = TextDiff::from_lines(text, &migrated.text);
    let difference = difference
        .unified_diff()
        .context_radius(CONTEXT)
        .header(&name, &format!("{name} of format {to}"))
        .to_string();
    format!("{difference}\n{changes}\n{}\n", next(&arguments.file))
}

/// What becomes of a text, by the kind of file that it is.
fn of(path: &Path, text: &str) -> Result<Migrated, Problems> {
    let name = named(path);
    if text.trim_start().starts_with('{') {
        return of_json(text).map_err(|message| Problems::whole(name, message));
    }
    let source = Source { name: &name, text };
    migration::migrate(source, history(text))
}

/// A policy file holds less than every pipeline file, down to nothing.
fn history(text: &str) -> &'static History {
    const POLICY: [&str; 3] = ["format", "select", "models"];
    let is_policy = text.parse::<toml_edit::DocumentMut>().is_ok_and(|document| {
        let mut keys = document.iter();
        keys.all(|(key, item)| POLICY.contains(&key) && !item.is_array_of_tables())
    });
    match is_policy {
        true => &policy::HISTORY,
        false => &file::HISTORY,
    }
}

/// Profiles and golden files have one format so far, so that there is nothing to rewrite.
fn of_json(text: &str) -> Result<Migrated, String> {
    let next = "pass the path of a pipeline file, a policy file or a profile";
    let value: Value = serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}; {next}"))?;
    let has = |names: [&str; 2]| names.iter().all(|name| value.get(name).is_some());
    let format: &Format = match (has(["features", "outputs"]), has(["inputs", "outputs"])) {
        (true, _) => &PROFILE,
        (_, true) => &GOLDEN,
        _ => return Err(format!("is JSON, but no file of Eddy's; {next}")),
    };
    let number = value.get("format").and_then(Value::as_i64);
    let number = number.ok_or_else(|| format!("has no `format`, which all {} have; build it anew", format.of))?;
    let from = format.judge(number)?;
    Ok(Migrated {
        from,
        to: format.written,
        text: text.to_owned(),
        changes: Problems::new(String::new(), Vec::new()),
    })
}

fn named(path: &Path) -> String {
    path.display().to_string()
}

fn read(path: &Path) -> Result<String, Problems> {
    let next = "pass the path of a pipeline file, a policy file or a profile";
    let wrong = |message: String| Problems::whole(named(path), message);
    let unread = |error: io::Error| wrong(format!("cannot be read: {error}; {next}"));
    let about = std::fs::metadata(path).map_err(unread)?;
    if !about.is_file() {
        return Err(wrong(format!("is no file; {next}")));
    }
    if about.len() > MAX_BYTES {
        return Err(wrong(format!(
            "has {} bytes, more than the {MAX_BYTES} of any file of Eddy's; {next}",
            about.len()
        )));
    }
    let bytes = std::fs::read(path).map_err(unread)?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        wrong(format!("is not UTF-8 from byte {at} on; save it as UTF-8, or {next}"))
    })
}

/// Replaces the file, which keeps its permissions; a link to it stays one.
fn write(path: &Path, text: &str) -> Result<(), String> {
    let next = "make its folder writable, or put what `eddy migrate` prints without --write in its place";
    let unwritten = |error: io::Error| format!("cannot be replaced: {error}; {next}");
    let path = path.canonicalize().map_err(unwritten)?;
    let permissions = std::fs::metadata(&path).map_err(unwritten)?.permissions();
    let stored = |error| format!("cannot be replaced: {error}; {next}");
    let whole = WholeFile::holding(&path, Existing::Replace, text.as_bytes()).map_err(stored)?;
    std::fs::set_permissions(whole.hidden(), permissions).map_err(unwritten)?;
    whole.finish().map(drop).map_err(stored)
}
