//! Streams of framed events on a real Kafka, with a real registry: values are those of the reference, schemas come while it
//! runs, and nothing is lost while the registry is away.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use eddy_tests::kafka::{Isolation, Message};
use eddy_tests::proxy::Proxy;
use eddy_tests::registry::{Apicurio, python};
use eddy_tests::service::{Replica, wait_for};
use eddy_tests::stage::{EXACTLY_ONCE, Event, PICK, Plan, Stage, by_id};
use openssl::base64::{decode_block, encode_block};
use serde_json::{Value, json};

use crate::{BINARY, away_for};

/// An event of a shop, with most of what Avro has.
const FIRST: &str = r#"{"type":"record","name":"Order","namespace":"shop","fields":[
    {"name":"id","type":"string"},
    {"name":"features","type":{"type":"array","items":"double"}},
    {"name":"customer","type":["null",{"type":"record","name":"Customer","fields":[
        {"name":"name","type":"string"},
        {"name":"tier","type":{"type":"enum","name":"Tier","symbols":["GOLD","SILVER"]}},
        {"name":"limit","type":["null","double","string"]}]}]},
    {"name":"tags","type":{"type":"map","values":["null","long"]}},
    {"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
    {"name":"day","type":{"type":"int","logicalType":"date"}},
    {"name":"raw","type":"bytes"},
    {"name":"note","type":["null","string"],"default":null}]}"#;

/// The same later: a member is new and stands first, one is gone, one has another type.
const SECOND: &str = r#"{"type":"record","name":"Order","namespace":"shop","fields":[
    {"name":"region","type":["null","string"],"default":null},
    {"name":"id","type":"string"},
    {"name":"features","type":{"type":"array","items":"float"}},
    {"name":"customer","type":["null",{"type":"record","name":"Customer","fields":[
        {"name":"name","type":"string"},
        {"name":"tier","type":{"type":"enum","name":"Tier","symbols":["GOLD","SILVER","BRONZE"]}},
        {"name":"limit","type":["null","double","string"]}]}]},
    {"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
    {"name":"day","type":{"type":"int","logicalType":"date"}},
    {"name":"raw","type":"bytes"},
    {"name":"note","type":["null","string"],"default":null}]}"#;

const PASSED: [&str; 8] = ["customer", "tags", "amount", "at", "day", "raw", "note", "region"];

fn order(number: usize, has_region: bool) -> Value {
    let customer = match number % 3 {
        0 => Value::Null,
        1 => json!({ "name": "Åse", "tier": "GOLD", "limit": null }),
        _ => json!({ "name": "Bo \"the\" \\", "tier": "SILVER", "limit": number as f64 / 8.0 }),
    };
    let mut order = json!({
        "id": format!("{number:04}"),
        "features": [(number % 10) as f64, 1.0],
        "customer": customer,
        "amount": { "$decimal": format!("{}.{:02}", number as i64 - 30, number % 100) },
        "at": 1_777_593_600_000_i64 + number as i64 * 1001 - 500,
        "day": number as i64 * 400 - 9000,
        "raw": { "$bytes": encode_block(&[number as u8, 0, 255]) },
        "note": if number.is_multiple_of(2) { json!(null) } else { json!(format!("n{number}")) },
    });
    if has_region {
        order["region"] = if number.is_multiple_of(5) {
            json!(null)
        } else {
            json!("north")
        };
    } else {
        order["tags"] = json!({ "a": number, "b": null });
    }
    order
}

/// Events as Confluent's serializer writes them.
fn written(url: &str, topic: &str, schema: &str, values: Vec<Value>) -> Vec<Vec<u8>> {
    let task = json!({ "format": "avro", "topic": topic, "schema": schema, "values": values });
    let answer = python(&json!({ "url": url, "write": [task] }));
    let written = answer["written"][0].as_array().expect("a list");
    let bytes = |text: &Value| decode_block(text.as_str().expect("a text")).expect("base64");
    written.iter().map(bytes).collect()
}

/// Values as Confluent's deserializer reads them.
fn read(url: &str, format: &str, topic: &str, messages: &[Message]) -> Vec<Value> {
    let bytes = |message: &Message| encode_block(message.value.as_deref().expect("a value"));
    let values: Vec<String> = messages.iter().map(bytes).collect();
    let task = json!({ "format": format, "topic": topic, "values": values });
    let answer = python(&json!({ "url": url, "read": [task] }));
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

/// The file of a pipeline of Avro events.
fn avro(url: &str) -> String {
    let passed = PASSED.map(|name| format!("/{name}"));
    format!(
        "[registry]\nurl = \"{url}\"\nretry = \"1s\"\ntimeout = \"2s\"\n[events]\nformat = \"avro\"\nid_field = \
         \"/id\"\npass_through = {passed:?}\n{PICK}"
    )
}

fn value(message: &Message) -> Value {
    serde_json::from_slice(message.value.as_deref().expect("a prediction has a value")).expect("JSON")
}

#[test]
fn avro_events_have_the_values_of_the_reference_also_when_their_schema_changes_while_it_runs() {
    let url = Apicurio::shared().url();
    let stage = stage("avro", 1, &avro(&url));
    let topic = stage.topic("events");
    let events = |schema, numbers: std::ops::Range<usize>, has_region| -> Vec<Event> {
        let orders = numbers.map(|number| order(number, has_region)).collect();
        written(&url, &topic, schema, orders)
            .into_iter()
            .map(Event::new)
            .collect()
    };
    stage.send(&events(FIRST, 0..30, false));
    let mut replica = stage.start(BINARY, &[]);
    stage.wait_for_end(&mut replica);
    stage.send(&events(SECOND, 30..60, true));
    stage.wait_for_end(&mut replica);
    stage.send(&events(FIRST, 60..70, false));
    stage.wait_for_end(&mut replica);
    assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());
    let outputs = stage.outputs();
    assert!(outputs.dead_letters.is_empty(), "{:?}", outputs.dead_letters);
    let predictions = by_id(&outputs.predictions);
    let sent = stage.kafka().read_all(&topic, Isolation::ReadCommitted);
    let reference = read(&url, "avro", &topic, &sent);
    assert_eq!((predictions.len(), reference.len()), (70, 70));
    let mut of_second = 0;
    for expected in &reference {
        let id = expected["id"].as_str().expect("an id");
        let prediction = value(predictions[id]);
        for name in PASSED {
            assert_eq!(prediction["fields"].get(name), expected.get(name), "{name} of {id}");
        }
        of_second += usize::from(expected.get("region").is_some());
        let number: f64 = id.parse().expect("a number");
        let row = number % 10.0 * 4.0;
        let values = &prediction["models"]["pick"]["value"];
        assert_eq!(values, &json!([row, row + 1.0, row + 2.0, row + 3.0]), "{prediction}");
    }
    assert_eq!(of_second, 30);
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

/// The registry is away for so long. Nothing is committed beyond `durable`, nothing becomes a dead letter, the group keeps its
/// place, and `/ready` says why.
fn stays_put(stage: &Stage, replica: &mut Replica, durable: i64) {
    let why = |replica: &Replica| replica.get("/ready").filter(|page| page.contains("lane 0: schema"));
    let page = wait_for("the page to name the cause", || why(replica));
    assert!(page.contains("does not answer"), "{page}");
    wait_for("what came before to be durable", || {
        (stage.committed() == durable).then_some(())
    });
    let rebalances = metric(replica, "eddy_rebalances_total");
    let since = Instant::now();
    while since.elapsed() < away_for() {
        assert!(replica.is_running(), "{}", replica.log());
        assert_eq!(stage.committed(), durable);
        assert_eq!(replica.code("/ready"), Some(503));
        std::thread::sleep(Duration::from_millis(500));
    }
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
    let stage = stage("away", 3, &avro(&Apicurio::url_at(proxy.port())));
    let topic = stage.topic("events");
    let events = |schema, numbers: std::ops::Range<usize>, has_region| -> Vec<Event> {
        let orders = numbers.clone().map(|number| order(number, has_region)).collect();
        let written = written(&direct, &topic, schema, orders).into_iter().zip(numbers);
        written
            .map(|(value, number)| Event::new(value).at(number as i32 % 3))
            .collect()
    };
    proxy.cut();
    stage.send(&events(FIRST, 0..300, false));
    let mut replica = stage.start(BINARY, &[]);
    stays_put(&stage, &mut replica, 0);
    // Load goes on meanwhile.
    stage.send(&events(FIRST, 300..600, false));
    proxy.pass();
    stage.wait_for_end(&mut replica);
    wait_for("it to be ready again", || {
        (replica.code("/ready") == Some(200)).then_some(())
    });

    proxy.cut();
    // What is known goes on working.
    stage.send(&events(FIRST, 600..900, false));
    stage.wait_for_end(&mut replica);
    assert_eq!(replica.code("/ready"), Some(200));
    stage.send(&events(SECOND, 900..903, true));
    stays_put(&stage, &mut replica, 900);
    stage.send(&events(FIRST, 903..1200, false));
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
        FIRST,
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
        &format!("{}\n[dead_letters]\nflood_share = 1.0\n", avro(&url)),
    );
    let known = written(
        &url,
        &stage.topic("events"),
        FIRST,
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
        "json_schema",
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
