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
#![allow(
    dead_code,
    reason = "some modules belong to the other benchmark, which needs all of them"
)]

#[path = "../parts/clients.rs"]
mod clients;
#[path = "../parts/cpu.rs"]
mod cpu;
#[path = "../parts/events.rs"]
mod events;
#[path = "../parts/metrics.rs"]
mod metrics;
#[path = "../parts/setting.rs"]
mod setting;
#[path = "../parts/whole.rs"]
mod whole;

use std::path::Path;
use std::process::{Command, ExitCode};

use clients::Guarantee;
use setting::Setting;
use whole::Whole;

const USAGE: &str = "usage: selection [--events N] [--rounds N] [--profile FOLDER]";
const BINARY: &str = env!("CARGO_BIN_EXE_eddy-under-test");
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
    let Arguments {
        events,
        rounds,
        profile: folder_of_perf,
    } = match arguments(std::env::args().skip(1)) {
        Ok(asked) => asked,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(64);
        }
    };
    let mut setting = Setting::prepare(events);
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let profile = make_profile(&setting, folder.path());
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

/// The reference profile of the model on some of the events, by the command that users have.
fn make_profile(setting: &Setting, folder: &Path) -> String {
    let data = folder.join("events.jsonl");
    let events: Vec<String> = events::different().into_iter().take(PROFILED).collect();
    std::fs::write(&data, events.join("\n")).expect("the temporary folder takes a file");
    let profile = folder.join("profile.json");
    let pipeline = setting.pipeline("selection-profile", Guarantee::AtLeastOnce);
    let made = Command::new(BINARY)
        .arg("profile")
        .arg(pipeline)
        .arg("--data")
        .arg(data)
        .arg("--out")
        .arg(&profile)
        .output()
        .expect("the program under test can be started");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    profile.display().to_string()
}

/// What is asked for.
struct Arguments {
    events: usize,
    rounds: usize,
    profile: Option<String>,
}

fn arguments(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut asked = Arguments {
        events: 1_000_000,
        rounds: 3,
        profile: None,
    };
    while let Some(word) = words.next() {
        let place = match word.as_str() {
            // Cargo says this to every benchmark.
            "--bench" => continue,
            "--events" => &mut asked.events,
            "--rounds" => &mut asked.rounds,
            "--profile" => {
                asked.profile = Some(
                    words
                        .next()
                        .ok_or_else(|| format!("--profile needs a folder; {USAGE}"))?,
                );
                continue;
            }
            _ => return Err(format!("`{word}` is not known; {USAGE}")),
        };
        *place = match words.next().and_then(|value| value.parse().ok()) {
            Some(count) if count > 0 => count,
            _ => return Err(format!("{word} needs a number above zero; {USAGE}")),
        };
    }
    Ok(asked)
}
