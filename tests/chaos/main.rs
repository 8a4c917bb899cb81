//! `make chaos`: numbered events flow through replicas that are killed, frozen, drained and cut off, and through brokers
//! that are, too; what comes out is checked while it comes and at rest.
//!
//! The oracle ([`feed`]) and the checker ([`reader`], [`watch`]) are never disturbed; the [`nemesis`] strikes by a seed.
//! The verdict is a file; a failed run leaves the replicas' logs and the outputs concerned beside it.
//!
//! Promises: I1 no gap, I2 no duplicate, I3 right place and value, I4 order, I5 offsets, I6 books, I7 the service goes on,
//! I9 exit codes. I8, that a misspelt key stops the start, is tested with the settings.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

mod arguments;
mod faults;
mod feed;
mod fleet;
mod nemesis;
mod reader;
mod rest;
mod run;
mod scene;
mod state;
mod suite;
mod verdict;
mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser as _;

use crate::arguments::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runs = match arguments.suite {
        Some(suite) => suite::runs(suite, &arguments),
        None => vec![arguments],
    };
    let passed = runs.iter().filter(|arguments| passes(arguments)).count();
    let failed = runs.len() - passed;
    println!("{passed} passed, {failed} failed");
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs and writes the verdict; says whether it is a pass.
fn passes(arguments: &Arguments) -> bool {
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let name = format!(
        "{}-{}-{seed}",
        Arguments::word(arguments.profile),
        Arguments::word(arguments.guarantee)
    );
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/chaos").join(name);
    fresh(&folder).expect("the target folder takes another one");
    eprintln!("seed {seed}, {:?}", arguments.goal());
    let outcome = run::run(arguments, seed, &folder);
    let verdict = verdict::verdict(arguments, &outcome);
    let path = arguments.verdict.clone().unwrap_or_else(|| folder.join("verdict.json"));
    verdict::write(&path, &verdict);
    if let Some(log) = &arguments.log {
        verdict::append(log, &verdict);
    }
    println!("{}", verdict::summary(&verdict));
    println!("verdict: {}", plain(&path).display());
    outcome.passed(arguments.planted)
}

/// Nothing of an earlier run may explain this one.
fn fresh(folder: &Path) -> std::io::Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder)
}

fn plain(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
