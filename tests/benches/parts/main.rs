//! What the service costs beyond its parts: processor seconds per million events, whole and in parts, in one run.
//!
//! The whole is `eddy run` as users run it, selection off, on a backlog of JSON events of 32 named fields, with a small
//! tabular model. The parts are what no such service can do without, each in a process of its own and written without
//! Eddy's code: librdkafka reading the events, `serde_json` filling rows, ONNX Runtime scoring them at the batch size that
//! the service used, librdkafka writing the very records that the service wrote, in transactions of its size.
//!
//! Owns: the order of the rounds. Never does: judge; the table is for people, and no number makes it fail.
//!
//! `make bench ARGS="--events 200000 --rounds 1"` is a quick look.
#![allow(clippy::print_stdout, reason = "its table is what a benchmark is for")]

mod arguments;
mod bare;
#[path = "../common/mod.rs"]
mod common;
mod table;

use std::process::ExitCode;

use arguments::{Arguments, Asked};
use bare::{Job, Part};
use common::clients::Guarantee;
use common::setting::Setting;
use common::whole::Whole;
use table::Round;

fn main() -> ExitCode {
    match arguments::read() {
        Ok(Asked::Part(job)) => bare::serve(&job),
        Ok(Asked::Rounds(arguments)) => measure(&arguments),
        Err(code) => return code,
    }
    ExitCode::SUCCESS
}

fn measure(arguments: &Arguments) {
    let setting = Setting::prepare(arguments.events);
    let mut rounds: Vec<(Guarantee, Round)> = Vec::new();
    for number in 0..arguments.rounds {
        for guarantee in Guarantee::ALL {
            eprintln!("round {} of {}, {}", number + 1, arguments.rounds, guarantee.as_str());
            rounds.push((guarantee, round(&setting, number, guarantee, arguments)));
        }
    }
    table::print(arguments.events, setting.event_bytes, &rounds);
}

/// One round of one guarantee: the whole first, because the parts do what it did.
fn round(setting: &Setting, number: usize, guarantee: Guarantee, arguments: &Arguments) -> Round {
    let name = format!("bench-{}-{number}", guarantee.as_str());
    let whole = Whole::run(setting, &name, guarantee, (arguments.profile.as_deref(), &[]));
    let job = |part: Part| Job {
        part,
        guarantee,
        name: name.clone(),
        brokers: setting.kafka.bootstrap(),
        events: arguments.events,
        batch_rows: (whole.batch_rows.round() as usize).max(1),
        transaction_rows: (whole.transaction_rows.round() as usize).max(1),
    };
    let parts = Part::ALL.map(|part| (part, bare::measure(&job(part))));
    Round { whole, parts }
}
