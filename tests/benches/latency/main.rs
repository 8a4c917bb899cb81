//! What the checkpoint interval costs and buys: processor time, latency for a reader of committed outputs, throughput.
//!
//! For each interval, and once at least once, `eddy run` does two things on a real Kafka. Paced: it keeps up with a fixed,
//! moderate rate of events, and a `read_committed` reader takes the time from the sending of each event to the arrival of
//! its prediction. Unpaced: it works through a backlog. Processor time is the service's own, all threads, by the kernel.
//!
//! Owns: the order of the rounds and the table. Never does: judge; no number makes it fail.
//!
//! `make bench-latency ARGS="--seconds 5 --events 100000 --rounds 1"` is a quick look.
#![allow(clippy::print_stdout, reason = "its table is what a benchmark is for")]

#[path = "../common/mod.rs"]
mod common;
mod paced;

use std::process::ExitCode;
use std::time::Duration;

use common::clients::Guarantee;
use common::read_flags;
use common::setting::Setting;
use common::whole::Whole;
use paced::{Pace, Paced};

const USAGE: &str = "usage: latency [--rate EVENTS_A_SECOND] [--seconds N] [--events N] [--rounds N]";

/// One line of the table.
#[derive(Debug, Clone, Copy)]
struct Case {
    guarantee: Guarantee,
    /// `checkpoint.interval`; at least once it decides nothing that is measured here.
    interval: Option<&'static str>,
}

const CASES: [Case; 6] = [
    Case::exactly_once("10ms"),
    Case::exactly_once("30ms"),
    Case::exactly_once("100ms"),
    Case::exactly_once("300ms"),
    Case::exactly_once("1s"),
    Case {
        guarantee: Guarantee::AtLeastOnce,
        interval: None,
    },
];

impl Case {
    const fn exactly_once(interval: &'static str) -> Self {
        Self {
            guarantee: Guarantee::ExactlyOnce,
            interval: Some(interval),
        }
    }

    fn settings(&self) -> Vec<(&str, &str)> {
        let interval = self.interval.map(|interval| ("EDDY__CHECKPOINT__INTERVAL", interval));
        // A checkpoint is due for its time, and never for its number of events.
        let records = ("EDDY__CHECKPOINT__RECORDS", "1000000");
        let exactly_once = interval.map(|interval| [interval, records]);
        exactly_once.into_iter().flatten().collect()
    }
}

/// What to measure, and how much of it.
struct Arguments {
    pace: Pace,
    events: usize,
    rounds: usize,
}

fn main() -> ExitCode {
    let (mut rate, mut seconds, mut events, mut rounds) = (2000, 20, 500_000, 3);
    let numbers = &mut [
        ("--rate", &mut rate),
        ("--seconds", &mut seconds),
        ("--events", &mut events),
        ("--rounds", &mut rounds),
    ];
    if let Err(code) = read_flags(USAGE, numbers, &mut []) {
        return code;
    }
    let pace = Pace {
        rate,
        time: Duration::from_secs(seconds as u64),
    };
    measure(&Arguments { pace, events, rounds });
    ExitCode::SUCCESS
}

fn measure(arguments: &Arguments) {
    let setting = Setting::prepare(arguments.events);
    let mut found: Vec<(Vec<Paced>, Vec<Whole>)> = CASES.iter().map(|_| Default::default()).collect();
    for round in 0..arguments.rounds {
        for (number, (case, found)) in CASES.iter().zip(&mut found).enumerate() {
            eprintln!("round {} of {}, {case:?}", round + 1, arguments.rounds);
            let name = format!("paced-{round}-{number}");
            found.0.push(Paced::run(
                &setting,
                &name,
                case.guarantee,
                (arguments.pace, &case.settings()),
            ));
            let name = format!("backlog-{round}-{number}");
            let settings = case.settings();
            found
                .1
                .push(Whole::run(&setting, &name, case.guarantee, (None, &settings)));
        }
    }
    print(arguments, setting.event_bytes, &found);
}

fn print(arguments: &Arguments, event_bytes: usize, found: &[(Vec<Paced>, Vec<Whole>)]) {
    println!(
        "\nevents of {event_bytes} bytes, medians of {} rounds; paced: {} events a second for {:?}; unpaced: {} events\n{}\n",
        arguments.rounds,
        arguments.pace.rate,
        arguments.pace.time,
        arguments.events,
        machine()
    );
    println!(
        "| guarantee | checkpoint.interval | paced: CPU µs/event | p50 ms | p99 ms | unpaced: events/s | CPU µs/event |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (case, (paced, backlog)) in CASES.iter().zip(found) {
        let of_paced = |figure: fn(&Paced) -> f64| median(paced.iter().map(figure));
        let events = arguments.events as f64;
        println!(
            "| {} | {} | {:.1} | {:.1} | {:.1} | {:.0} | {:.2} |",
            case.guarantee.as_str(),
            case.interval.unwrap_or("–"),
            of_paced(|paced| paced.cpu_us),
            of_paced(|paced| paced.percentile_ms(50)),
            of_paced(|paced| paced.percentile_ms(99)),
            median(backlog.iter().map(|whole| events / whole.took.as_secs_f64())),
            median(backlog.iter().map(|whole| whole.cpu.as_secs_f64() / events * 1e6)),
        );
    }
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() % 2 {
        1 => figures[middle],
        _ => (figures[middle - 1] + figures[middle]) / 2.0,
    }
}

/// Cores and load: how far the figures can be trusted.
fn machine() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{cores} cores, load at the end {}",
        load.split(' ').next().unwrap_or_default()
    )
}
