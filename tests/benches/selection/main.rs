//! What signals and selection cost: processor time of the service with both on against both off, in one run.
//!
//! `eddy run` works through a backlog of JSON events of 32 fields with a small tabular model, as in the benchmark of the parts:
//! off, then with signals of outputs and of features (margin, entropy, energy, HBOS, Mahalanobis; written into predictions and
//! exported) and a budget of one event in a thousand. The reference profile is made by `eddy profile` from the same events.
//! Processor time is the service's own, all threads, by the kernel.
//!
//! Owns: the order of the rounds and the table. Never does: judge; no number makes it fail.
//!
//! `make bench-selection ARGS="--events 200000 --rounds 1"` is a quick look; `--profile FOLDER` writes what `perf` sees of each
//! case there.
#![allow(clippy::print_stdout, reason = "its table is what a benchmark is for")]

#[path = "../common/mod.rs"]
mod common;

use std::process::ExitCode;

use common::clients::Guarantee;
use common::read_flags;
use common::setting::Setting;
use common::whole::Whole;

const USAGE: &str = "usage: selection [--events N] [--rounds N] [--profile FOLDER]";
/// Rows of the reference profile.
const PROFILED: usize = 20_000;

/// What is switched on, with the keys of the model and the tables that do it.
#[derive(Debug, Clone, Copy)]
struct Case {
    name: &'static str,
    keys: &'static str,
    tables: &'static str,
}

/// `{profile}` stands for the profile's path.
const CASES: [Case; 3] = [
    Case {
        name: "off",
        keys: "",
        tables: "",
    },
    Case {
        name: "budget",
        keys: "profile = \"{profile}\"\nsignals = []",
        tables: "[select]\nfraction = 0.001",
    },
    Case {
        name: "all",
        keys: "profile = \"{profile}\"",
        tables: "[select]\nfraction = 0.001",
    },
];

fn main() -> ExitCode {
    let (mut events, mut rounds, mut folder_of_perf) = (1_000_000, 3, None);
    let numbers = &mut [("--events", &mut events), ("--rounds", &mut rounds)];
    if let Err(code) = read_flags(USAGE, numbers, &mut [("--profile", &mut folder_of_perf)]) {
        return code;
    }
    let mut setting = Setting::prepare(events);
    let profile = setting.profile("selection-profile", PROFILED);
    println!(
        "CPU time of the service in microseconds an event, {events} events of {} bytes",
        setting.event_bytes
    );
    println!(
        "off: no signals, no selection; budget: those that the arms need; all: shown in predictions and metrics too"
    );
    println!(
        "{:>14} {:>6} {:>8} {:>8} {:>8} {:>14} {:>12}",
        "guarantee", "round", "off", "budget", "all", "budget - off", "all - off"
    );
    for number in 0..rounds {
        for guarantee in Guarantee::ALL {
            let spent = CASES.map(|case| {
                eprintln!(
                    "round {} of {rounds}, {}, {}",
                    number + 1,
                    guarantee.as_str(),
                    case.name
                );
                setting.more = (case.keys.replace("{profile}", &profile), case.tables.to_owned());
                let name = format!("selection-{}-{}-{number}", case.name, guarantee.as_str());
                let whole = Whole::run(&setting, &name, guarantee, (folder_of_perf.as_deref(), &[]));
                whole.cpu.as_secs_f64() * 1e6 / events as f64
            });
            let [off, budget, all] = spent;
            println!(
                "{:>14} {:>6} {off:>8.3} {budget:>8.3} {all:>8.3} {:>14.3} {:>12.3}",
                guarantee.as_str(),
                number + 1,
                budget - off,
                all - off
            );
        }
    }
    ExitCode::SUCCESS
}
