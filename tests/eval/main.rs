//! `make eval`: what selection costs and is worth, and how well drift is told from chance, as tables; they are also written
//! to `results.md` beside this file.
//!
//! Owns: streams and replays with known answers, and the literature's budget managers to compare with. Never does: select,
//! score or judge by itself; that is the service's own code, fed with numbers.
//!
//! Invariant: every draw has a seed, so the same code writes the same tables.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

mod alarms;
mod anomalies;
mod budgets;
mod data;
mod detectors;
mod drift;
mod embeddings;
mod learning;
mod managers;
mod model;
mod replicas;
mod report;
mod stream;
mod unbiased;

use std::path::Path;

use clap::{Parser, Subcommand, ValueEnum};

use crate::report::Report;

/// Prints tables on selection and drift.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only these tables, and nothing is written down. Default: all.
    #[arg(long, value_enum)]
    only: Vec<Section>,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What else it can do.
#[derive(Debug, Subcommand)]
enum Command {
    /// Selects for a learner outside, which hands over the class probabilities of an event a line.
    Select(learning::Select),
}

/// The tables, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Section {
    Budgets,
    Alarms,
    Anomalies,
    Unbiased,
    Learning,
    Replicas,
    Drift,
    Detectors,
    Embeddings,
}

const INTRODUCTION: &str = "# Evaluation of selection and drift

Written by `make eval`. Every draw has a seed. Selection, signals, profiles, thresholds, distances, verdicts and detectors are
the service's own code; the data sets come with river, scikit-learn and nannyml.
";

fn main() {
    let arguments = Arguments::parse();
    if let Some(Command::Select(select)) = &arguments.command {
        learning::serve(select);
        return;
    }
    let all = Section::value_variants();
    let wanted = if arguments.only.is_empty() {
        all
    } else {
        &arguments.only[..]
    };
    let mut report = Report::default();
    for section in wanted {
        match section {
            Section::Budgets => budgets::report(&mut report),
            Section::Alarms => alarms::report(&mut report),
            Section::Anomalies => anomalies::report(&mut report),
            Section::Unbiased => unbiased::report(&mut report),
            Section::Learning => learning::report(&mut report),
            Section::Replicas => replicas::report(&mut report),
            Section::Drift => drift::report(&mut report),
            Section::Detectors => detectors::report(&mut report),
            Section::Embeddings => embeddings::report(&mut report),
        }
    }
    if arguments.only.is_empty() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("eval/results.md");
        std::fs::write(&path, format!("{INTRODUCTION}{}", report.text())).expect("results.md can be written");
        eprintln!("written to tests/eval/results.md");
    }
}
