//! Streams of framed events on a real Kafka, with a real registry: values are those of the reference, schemas come while it
//! runs, and nothing is lost while the registry is away.

use std::collections::BTreeMap;
use std::slice::Chunks;
use std::time::Instant;

use eddy_tests::kafka::{Isolation, Message};
use eddy_tests::proxy::Proxy;
use eddy_tests::registry::{Apicurio, python};
use eddy_tests::service::{Replica, wait_for};
use eddy_tests::stage::{EXACTLY_ONCE, Event, PICK, Plan, Stage, by_id};
use openssl::base64::{decode_block, encode_block};
use serde_json::{Value, json};

use crate::orders::{Language, PASSED, avro_orders, json_orders, order, protobuf_orders};
use crate::{BINARY, away_for};

/// A task of the reference's script with these members more.
fn task(mut task: Value, topic: &str, values: Value) -> Value {
    task["topic"] = topic.into();
    task["values"] = values;
    task
}

/// Events as Confluent's serializer writes them.
fn written(url: &str, topic: &str, schema: &Value, values: Vec<Value>) -> Vec<Vec<u8>> {
    let answer = python(&json!({ "url": url, "write": [task(schema.clone(), topic, values.into())] }));
    let written = answer["written"][0].as_array().expect("a list");
    let bytes = |text: &Value| decode_block(text.as_str().expect("a text")).expect("base64");
    written.iter().map(bytes).collect()
}

/// Values as Confluent's deserializer reads them.
fn read(url: &str, schema: &Value, topic: &str, messages: &[Message]) -> Vec<Value> {
    let bytes = |message: &Message| encode_block(message.value.as_deref().expect("a value"));
    let values: Vec<String> = messages.iter().map(bytes).collect();
    let answer = python(&json!({ "url": url, "read": [task(schema.clone(), topic, values.into())] }));
    answer["read"][0].as_array().expect("a list").clone()
}

fn stage(name: &str, partitions: i32, text: &str) -> Stage {
    Stage::new(&Plan {
        name,
        guarantee: EXACTLY_ONCE,
        partitions,
        limits: &[],
        text,
    })
}

/// The file of a pipeline of framed events.
fn framed(url: &str, format: &str) -> String {
    let passed = PASSED.map(|name| format!("/{name}"));
    format!(
        "[registry]\nurl = \"{url}\"\nretry = \"1s\"\ntimeout = \"2s\"\n[events]\nformat = \"{format}\"\nid_field = \
         \"/id\"\npass_through = {passed:?}\n{PICK}"
    )
}

fn value(message: &Message) -> Value {
    serde_json::from_slice(message.value.as_deref().expect("a prediction has a value")).expect("JSON")
}

/// Events of the earlier schema, then of the later one, then of the earlier one again, while one replica runs.
fn reads_like_the_reference(name: &str, language: &Language) {
    let url = Apicurio::shared().url();
    let stage = stage(name, 1, &framed(&url, language.format));
    let topic = stage.topic("events");
    let mut replica = stage.start(BINARY, &[]);
    for (is_later, numbers) in [(false, 0..30), (true, 30..60), (false, 60..70)] {
        let values = numbers.map(|number| (language.event)(number, is_later)).collect();
        let events = written(&url, &topic, &language.schemas[usize::from(is_later)], values);
        stage.send(&events.into_iter().map(Event::new).collect::<Vec<_>>());
        stage.wait_for_end(&mut replica);
    }
    assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());
    let outputs = stage.outputs();
    assert!(outputs.dead_letters.is_empty(), "{:?}", outputs.dead_letters);
    let predictions = by_id(&outputs.predictions);
    let sent = stage.kafka().read_all(&topic, Isolation::ReadCommitted);
    let reference = read(&url, &language.schemas[1], &topic, &sent);
    assert_eq!((predictions.len(), reference.len()), (70, 70));
    let mut compared = BTreeMap::new();
    for expected in &reference {
        let id = expected["id"].as_str().expect("an id");
        let prediction = value(predictions[id]);
        for name in PASSED {
            assert_eq!(prediction["fields"].get(name), expected.get(name), "{name} of {id}");
            let count: &mut usize = compared.entry(name).or_default();
            *count += usize::from(expected.get(name).is_some_and(|value| !value.is_null()));
        }
        let number: f64 = id.parse().expect("a number");
        let row = number % 10.0 * 4.0;
        let values = &prediction["models"]["pick"]["value"];
        assert_eq!(values, &json!([row, row + 1.0, row + 2.0, row + 3.0]), "{prediction}");
    }
    for name in ["customer", "tags", "note", "region"] {
        assert!(compared[name] > 10, "{compared:?}");
    }
}

#[test]
fn avro_events_have_the_values_of_the_reference_also_when_their_schema_changes_while_it_runs() {
    reads_like_the_reference("avro", &avro_orders());
}

#[test]
fn json_schema_events_have_the_values_of_the_reference_also_when_their_schema_changes_while_it_runs() {
    reads_like_the_reference("json-schema", &json_orders());
}

#[test]
fn protobuf_events_have_the_values_of_the_reference_also_when_their_schema_changes_while_it_runs() {
    reads_like_the_reference("protobuf", &protobuf_orders());
}

/// A metric of one series.
fn metric(replica: &Replica, name: &str) -> f64 {
    let text = replica.get("/metrics").expect("it answers");
    let line = text.lines().find(|line| line.starts_with(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in {text}"));
    line.rsplit_once(' ')
        .and_then(|(_, value)| value.parse().ok())
        .expect("a number")
}

/// The questions that come to nothing while the registry is away: more than are enough to believe that there is no schema.
const QUESTIONS: f64 = 6.0;

/// The registry is away for so long, under load. Nothing is committed beyond `durable`, nothing becomes a dead letter, the
/// group keeps its place, and `/ready` says why.
fn stays_put(stage: &Stage, replica: &mut Replica, durable: i64, load: &mut Chunks<'_, Event>) {
    let why = |replica: &Replica| replica.get("/ready").filter(|page| page.contains("lane 0: schema"));
    let page = wait_for("the page to name the cause", || why(replica));
    assert!(page.contains("does not answer"), "{page}");
    wait_for("what came before to be durable", || {
        (stage.committed() == durable).then_some(())
    });
    let rebalances = metric(replica, "eddy_rebalances_total");
    let in_vain = |replica: &Replica| metric(replica, "eddy_registry_requests_total{outcome=\"unreachable\"");
    let (since, before) = (Instant::now(), in_vain(replica));
    wait_for("questions that come to nothing", || {
        load.next().into_iter().for_each(|events| stage.send(events));
        assert!(replica.is_running(), "{}", replica.log());
        assert_eq!(stage.committed(), durable);
        assert_eq!(replica.code("/ready"), Some(503));
        (in_vain(replica) >= before + QUESTIONS && since.elapsed() >= away_for()).then_some(())
    });
    load.for_each(|events| stage.send(events));
    assert_eq!(stage.committed(), durable);
    assert!(stage.outputs().dead_letters.is_empty());
    assert_eq!(metric(replica, "eddy_rebalances_total"), rebalances);
    let status = replica.status().expect("it answers");
    assert_eq!(status["lanes"][0]["paused"][0]["cause"], "schema", "{status}");
    assert_eq!(
        status["lanes"][0]["partitions"].as_array().map(Vec::len),
        Some(3),
        "{status}"
    );
}

#[test]
fn a_registry_that_is_away_pauses_the_stream_and_nothing_is_lost_or_dead_lettered_or_out_of_order() {
    let direct = Apicurio::shared().url();
    let proxy = Proxy::start(([127, 0, 0, 1], Apicurio::shared().port()).into());
    let stage = stage("away", 3, &framed(&Apicurio::url_at(proxy.port()), "avro"));
    let topic = stage.topic("events");
    let schemas = avro_orders().schemas;
    let events = |version: usize, numbers: std::ops::Range<usize>| -> Vec<Event> {
        let orders = numbers.clone().map(|number| order(number, version == 1)).collect();
        let written = written(&direct, &topic, &schemas[version], orders)
            .into_iter()
            .zip(numbers);
        written
            .map(|(value, number)| Event::new(value).at(number as i32 % 3))
            .collect()
    };
    proxy.cut();
    stage.send(&events(0, 0..300));
    let mut replica = stage.start(BINARY, &[]);
    stays_put(&stage, &mut replica, 0, &mut events(0, 300..600).chunks(5));
    proxy.pass();
    stage.wait_for_end(&mut replica);
    wait_for("it to be ready again", || {
        (replica.code("/ready") == Some(200)).then_some(())
    });

    proxy.cut();
    // What is known goes on working.
    stage.send(&events(0, 600..900));
    stage.wait_for_end(&mut replica);
    assert_eq!(replica.code("/ready"), Some(200));
    stage.send(&events(1, 900..903));
    stays_put(&stage, &mut replica, 900, &mut events(0, 903..1200).chunks(5));
    proxy.pass();
    stage.wait_for_end(&mut replica);
    wait_for("it to be ready again", || {
        (replica.code("/ready") == Some(200)).then_some(())
    });
    assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());

    let outputs = stage.outputs();
    assert!(outputs.dead_letters.is_empty(), "{:?}", outputs.dead_letters);
    assert_eq!(by_id(&outputs.predictions).len(), 1200);
    let mut places: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    for message in &outputs.predictions {
        let source = message.header("eddy.source").expect("it is there");
        let (partition, offset) = source
            .split_once('/')
            .and_then(|(_, rest)| rest.split_once('/'))
            .expect("a place");
        let offset = offset.parse().expect("a number");
        places
            .entry(partition.parse().expect("a number"))
            .or_default()
            .push(offset);
    }
    for (partition, offsets) in places {
        assert_eq!(offsets, (0..400).collect::<Vec<_>>(), "partition {partition}");
    }
}

#[test]
fn framed_events_of_a_pipeline_of_plain_json_have_one_clear_reason() {
    let url = Apicurio::shared().url();
    let stage = stage("framed", 1, &format!("[dead_letters]\nflood_share = 1.0\n{PICK}"));
    let values = written(
        &url,
        &stage.topic("events"),
        &avro_orders().schemas[0],
        (0..20).map(|number| order(number, false)).collect(),
    );
    let id = u32::from_be_bytes(values[0][1..5].try_into().expect("four bytes"));
    let events: Vec<Event> = values.into_iter().map(Event::new).collect();
    stage.send(&events);
    let outputs = stage.run(BINARY, &[]);
    assert_eq!((outputs.dead_letters.len(), outputs.predictions.len()), (20, 0));
    for letter in &outputs.dead_letters {
        assert_eq!(letter.header("eddy.reason"), Some("framed"));
        let detail = letter.header("eddy.detail").expect("a sentence");
        assert!(
            detail.contains(&format!("schema {id}")) && detail.contains("\"avro\""),
            "{detail}"
        );
    }
}

#[test]
fn a_number_that_the_registry_does_not_have_is_a_dead_letter_after_it_said_so_several_times() {
    let url = Apicurio::shared().url();
    let stage = stage(
        "nobody",
        1,
        &format!("{}\n[dead_letters]\nflood_share = 1.0\n", framed(&url, "avro")),
    );
    let known = written(
        &url,
        &stage.topic("events"),
        &avro_orders().schemas[0],
        vec![order(1, false), order(2, false)],
    );
    let foreign = Event::new([0, 0x7f, 0xff, 0xff, 0xff, 1, 2, 3]).named("foreign");
    stage.send(&[Event::new(known[0].clone()), foreign, Event::new(known[1].clone())]);
    let outputs = stage.run(BINARY, &[]);
    let [letter] = outputs.dead_letters.as_slice() else {
        panic!("{:?}", outputs.dead_letters)
    };
    assert_eq!(letter.header("eddy.reason"), Some("unknown_schema"));
    let detail = letter.header("eddy.detail").expect("a sentence");
    assert!(detail.contains("2147483647"), "{detail}");
    assert_eq!(outputs.predictions.len(), 2);
}

#[test]
fn predictions_with_a_schema_are_what_the_reference_reads_and_the_start_waits_for_it() {
    let direct = Apicurio::shared().url();
    let proxy = Proxy::start(([127, 0, 0, 1], Apicurio::shared().port()).into());
    let url = Apicurio::url_at(proxy.port());
    let text =
        format!("[registry]\nurl = \"{url}\"\ntimeout = \"2s\"\n[predictions]\nformat = \"json_schema\"\n{PICK}");
    let stage = stage("schema-out", 1, &text);
    let events: Vec<Event> = (0..20)
        .map(|at| Event::pair(f64::from(at % 10), 1.0).named(&format!("e-{at}")))
        .collect();
    stage.send(&events);
    proxy.cut();
    let mut replica = stage.start(BINARY, &[]);
    let page = wait_for("the page to name the cause", || {
        replica.get("/ready").filter(|page| page.contains("schema registry"))
    });
    assert!(page.contains("does not answer"), "{page}");
    assert_eq!(stage.committed(), 0);
    proxy.pass();
    stage.wait_for_end(&mut replica);
    wait_for("it to be ready", || (replica.code("/ready") == Some(200)).then_some(()));
    assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());
    let outputs = stage.outputs();
    // The reference validates each value against the schema that it fetches.
    let values = read(
        &direct,
        &json!({ "format": "json_schema" }),
        &stage.topic("predictions"),
        &outputs.predictions,
    );
    assert_eq!(values.len(), 20);
    for (at, value) in values.iter().enumerate() {
        assert_eq!(value["id"], format!("e-{at}"));
        let row = (at % 10 * 4) as f64;
        assert_eq!(
            value["models"]["pick"]["value"],
            json!([row, row + 1.0, row + 2.0, row + 3.0])
        );
    }
    let frame = outputs.predictions[0].value.as_deref().expect("a value")[..5].to_vec();
    // A second start finds the schema that the first one registered.
    stage.send(&[Event::pair(3.0, 1.0).named("later")]);
    let outputs = stage.run(BINARY, &[("EDDY__PREDICTIONS__REGISTER", "false")]);
    let later = outputs
        .predictions
        .last()
        .and_then(|message| message.value.as_deref())
        .expect("a value");
    assert_eq!(later[..5], frame);
    assert_eq!(frame[0], 0);
}
