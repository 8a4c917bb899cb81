//! What each format of events costs, end to end: processor time of the service and events a second, in one run.
//!
//! `eddy run` works through a backlog of events of 32 fields with a small tabular model, as in the benchmark of the parts; the
//! same values in each format. Those with a schema have it from a stand-in for a registry, which is asked once.
//!
//! Owns: the order of the rounds and the table. Never does: judge; no number makes it fail.
//!
//! `make bench-formats ARGS="--events 200000 --rounds 1"` is a quick look.
#![allow(clippy::print_stdout, reason = "its table is what a benchmark is for")]

#[path = "../common/mod.rs"]
mod common;

use std::process::ExitCode;

use common::clients::Guarantee;
use common::setting::{Setting, Shape};
use common::whole::Whole;
use common::{events, read_flags};
use eddy_tests::registry::StandIn;
use serde_json::{Value, json};

const USAGE: &str = "usage: formats [--events N] [--rounds N]";

/// A format by its word in the pipeline file.
const FORMATS: [&str; 4] = ["json", "avro", "protobuf", "json_schema"];

fn main() -> ExitCode {
    let (mut events, mut rounds) = (1_000_000, 3);
    let numbers = &mut [("--events", &mut events), ("--rounds", &mut rounds)];
    if let Err(code) = read_flags(USAGE, numbers, &mut []) {
        return code;
    }
    println!("{events} events of 32 floats, the same in each format");
    println!(
        "{:>12} {:>14} {:>6} {:>10} {:>14} {:>12}",
        "format", "guarantee", "round", "bytes", "CPU µs/event", "events/s"
    );
    for format in FORMATS {
        let registry = StandIn::start();
        let id = registry.put("events-value", schema(format));
        let different: Vec<Vec<u8>> = events::different()
            .iter()
            .map(|event| encoded(format, id, event))
            .collect();
        let mut setting = Setting::holding(events, Shape::Named, &different);
        if format != "json" {
            let url = registry.url();
            setting.more.1 = format!("[registry]\nurl = \"{url}\"\n[events]\nformat = \"{format}\"");
        }
        for number in 0..rounds {
            for guarantee in Guarantee::ALL {
                let guarantee_word = guarantee.as_str();
                eprintln!("{format}, {guarantee_word}, round {} of {rounds}", number + 1);
                let name = format!("formats-{}-{guarantee_word}-{number}", format.replace('_', "-"));
                let whole = Whole::run(&setting, &name, guarantee, (None, &[]));
                println!(
                    "{format:>12} {guarantee_word:>14} {:>6} {:>10} {:>14.3} {:>12.0}",
                    number + 1,
                    setting.event_bytes,
                    whole.cpu.as_secs_f64() * 1e6 / events as f64,
                    events as f64 / whole.took.as_secs_f64()
                );
            }
        }
    }
    ExitCode::SUCCESS
}

/// The schema of the events.
fn schema(format: &str) -> Value {
    match format {
        "avro" => {
            let fields: Vec<Value> = events::NAMES
                .map(|name| json!({ "name": name, "type": "double" }))
                .into();
            let record = json!({ "type": "record", "name": "Event", "fields": fields });
            json!({ "schema": record.to_string() })
        }
        "protobuf" => {
            let numbered = events::NAMES.iter().zip(1..);
            let fields: String = numbered
                .map(|(name, number)| format!("double {name} = {number};\n"))
                .collect();
            json!({ "schema": format!("syntax = \"proto3\";\nmessage Event {{\n{fields}}}\n"), "schemaType": "PROTOBUF" })
        }
        _ => {
            let fields = events::NAMES.map(|name| (name.to_owned(), json!({ "type": "number" })));
            let fields: serde_json::Map<String, Value> = fields.into_iter().collect();
            let object = json!({ "type": "object", "properties": fields });
            json!({ "schema": object.to_string(), "schemaType": "JSON" })
        }
    }
}

/// An event in a format, out of its JSON.
fn encoded(format: &str, id: u32, event: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend(id.to_be_bytes());
    let values: Value = serde_json::from_str(event).expect("it is JSON");
    let value = |name: &str| values[name].as_f64().expect("a number").to_le_bytes();
    match format {
        "json" => return event.as_bytes().to_vec(),
        "avro" => events::NAMES.iter().for_each(|name| bytes.extend(value(name))),
        "protobuf" => {
            // The first message of the file, then for each field its number and that it has eight bytes.
            bytes.push(0);
            for (name, number) in events::NAMES.iter().zip(1_u16..) {
                let tag = number << 3 | 1;
                match tag < 0x80 {
                    true => bytes.push(tag as u8),
                    false => bytes.extend([tag as u8 | 0x80, (tag >> 7) as u8]),
                }
                bytes.extend(value(name));
            }
        }
        _ => bytes.extend(event.as_bytes()),
    }
    bytes
}
