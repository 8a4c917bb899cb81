//! `eddy test`: the events and expectations that stand beside a pipeline file, through the very path of the stream.
//!
//! Owns: the order of a test, and what `--update` writes.
//! Never does: reach Kafka, or judge what is right: the files say it.
//!
//! Invariant: `expected.jsonl` is written on request only, whole or not at all.

pub(crate) mod bench;
pub(crate) mod beside;
pub(crate) mod diff;
mod report;

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use eddy_host::ExitCode;
use eddy_storage::table::{Existing, WholeFile};

use self::bench::Bench;
use self::beside::{Beside, Limits, Unread};
use self::diff::{Comparison, compare};
use self::report::Report;
use crate::assemble::assemble;
use crate::cli::TestArguments;
use crate::file;
use crate::settings::problems::Problems;

/// Why the tests did not run.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0}")]
    Pipeline(Problems),
    #[error(transparent)]
    Unread(#[from] Unread),
    #[error("{0} is not there; let `eddy test --update` write it, and look at what it says")]
    NoExpectations(String),
    #[error(transparent)]
    Bench(#[from] bench::Error),
    #[error(transparent)]
    Write(#[from] eddy_storage::Error),
}

/// Runs the tests: how they went goes to standard output, why they could not run to standard error.
pub(crate) fn test(arguments: &TestArguments, variables: impl IntoIterator<Item = (String, String)>) -> ExitCode {
    // Nobody is left to tell when the stream is closed; the exit code still says it.
    match run(arguments, variables) {
        Ok(report) => {
            let answer = if arguments.json {
                report.json()
            } else {
                report.to_string()
            };
            drop(write!(io::stdout(), "{answer}"));
            match report.passed {
                true => ExitCode::Drained,
                false => ExitCode::Configuration,
            }
        }
        Err(error) => {
            drop(writeln!(io::stderr(), "{}", error.to_string().trim_end()));
            match error {
                Error::Bench(bench::Error::Schema(error)) => error.exit_code(),
                _ => ExitCode::Configuration,
            }
        }
    }
}

fn run(arguments: &TestArguments, variables: impl IntoIterator<Item = (String, String)>) -> Result<Report, Error> {
    let pipeline = file::load(&arguments.file, variables).map_err(Error::Pipeline)?;
    let limits = Limits {
        events: arguments.events,
        bytes: arguments.bytes,
    };
    // What is cheap to find comes first: loading a model may take long.
    let mut beside = Beside::of(&pipeline.folder, limits);
    let (events, feed) = beside.events(&pipeline.file.events)?;
    let expected = beside.expected()?;
    if expected.is_none() && !arguments.update {
        return Err(Error::NoExpectations(beside.expected_path().display().to_string()));
    }
    let mut expected = expected.unwrap_or_default();
    let assembly = assemble(&pipeline).map_err(Error::Pipeline)?;
    let mut bench = Bench::of(&assembly, feed)?;
    let outcomes = bench.run(&events)?;
    if bench.has_budget() {
        let note = "what a label budget selects depends on what it selected before, so `flags` are not compared";
        beside.notes.push(note.to_owned());
        expected
            .iter_mut()
            .for_each(|one| bench::without_flags(&mut one.document));
    }
    let comparison = compare(&expected, &outcomes, arguments.tolerance);
    let is_as_expected = comparison.findings.is_empty();
    let updated = arguments.update && !is_as_expected;
    if updated {
        write(&beside.expected_path(), &comparison)?;
    }
    Ok(Report {
        file: arguments.file.display().to_string(),
        passed: updated || is_as_expected,
        updated,
        events: events.len(),
        as_expected: comparison.agree,
        tolerance: arguments.tolerance,
        findings: comparison.findings,
        notes: beside.notes,
    })
}

/// Writes the expectations anew.
fn write(path: &Path, comparison: &Comparison) -> Result<(), Error> {
    // The file may be a link to one that several pipelines share; that one is meant.
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut text = comparison.renewed.join("\n");
    text.push('\n');
    WholeFile::holding(&real, Existing::Replace, text.as_bytes())?.finish()?;
    Ok(())
}
