//! What stands on the output topics: values, headers, keys, partitions.

use std::collections::BTreeMap;

use eddy_tests::kafka::Message;
use eddy_tests::stage::{Event, Plan, Stage, by_id};
use serde_json::{Value, json};

use crate::{BINARY, EXACTLY_ONCE, PICK, all_unsure, stage};

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn value(message: &Message) -> Value {
    serde_json::from_slice(message.value.as_deref().expect("a prediction has a value")).expect("JSON")
}

/// Thirty-two numbers, and what else an event may have.
fn features(more: &str) -> String {
    format!(r#"{{"features":{:?}{more}}}"#, [0.25; 32])
}

#[test]
fn an_event_is_named_by_its_header_else_its_field_else_its_place() {
    let text = format!("[events]\nid_header = \"ce_id\"\nid_field = \"/id\"\n{PICK}");
    let by_field = r#"{"id":"from-the-field","features":[1,1]}"#;
    let with_ids = stage("ids", EXACTLY_ONCE, &text);
    with_ids.send(&[
        Event::new(by_field)
            .header("ce_id", "from-the-header")
            .named("from-eddy"),
        Event::new(by_field).header("ce_id", "from-the-header"),
        Event::new(by_field),
        Event::pair(1.0, 1.0),
    ]);
    let outputs = with_ids.run(BINARY, &[("EDDY__DEAD_LETTERS__FLOOD_SHARE", "1.0")]);
    let ids: Vec<_> = outputs
        .predictions
        .iter()
        .map(|found| value(found)["id"].clone())
        .collect();
    assert_eq!(ids, ["from-eddy", "from-the-header", "from-the-field"]);
    let headers: Vec<_> = outputs
        .predictions
        .iter()
        .map(|found| found.header("eddy.id"))
        .collect();
    assert_eq!(
        headers,
        [Some("from-eddy"), Some("from-the-header"), Some("from-the-field")]
    );
    // Where ids are configured, an event without one is refused; its place names it all the same.
    let [nameless] = outputs.dead_letters.as_slice() else {
        panic!("{:?}", outputs.dead_letters)
    };
    assert_eq!(nameless.header("eddy.reason"), Some("invalid_id"));
    assert_eq!(nameless.header("eddy.id"), Some("ids-events/0/3"));

    let without = stage("places", EXACTLY_ONCE, PICK);
    without.send(&[Event::pair(1.0, 1.0), Event::pair(2.0, 1.0)]);
    let predictions = without.run(BINARY, &[]).predictions;
    let ids: Vec<_> = predictions.iter().map(|found| found.header("eddy.id")).collect();
    assert_eq!(ids, [Some("places-events/0/0"), Some("places-events/0/1")]);
    assert_eq!(predictions[0].header("eddy.source"), Some("places-events/0/0"));
}

/// An event with every kind of header.
fn decorated(value: String, id: &str) -> Event {
    let mut event = Event::new(value)
        .named(id)
        .header("traceparent", TRACE)
        .header("tracestate", "vendor=1")
        .header("ce_type", "camera.picture")
        .header("ce_source", "/line/4")
        .header("tenant", "north")
        .header("tenant", "north-again")
        .header("blob", vec![0, 0xFF, 1])
        .header("eddy.reason", "a lie")
        .header("eddy.probability", "2")
        .header("eddy.whatever", "unknown");
    event.headers.push(("nothing".into(), None));
    event
}

/// The headers that are not Eddy's own.
fn foreign(message: &Message) -> Vec<(String, Option<Vec<u8>>)> {
    let headers = message.headers.iter().filter(|(name, _)| !name.starts_with("eddy."));
    headers.cloned().collect()
}

#[test]
fn traces_and_cloud_events_go_everywhere_and_all_headers_go_with_the_original_bytes() {
    let stage = stage("headers", EXACTLY_ONCE, &all_unsure());
    let good = features(r#", "note": "spaces   are kept""#);
    let bad = format!("{good} and more");
    stage.send(&[decorated(good.clone(), "good"), decorated(bad.clone(), "bad")]);
    let outputs = stage.run(BINARY, &[]);
    let (prediction, sample, dead) = (&outputs.predictions[0], &outputs.samples[0], &outputs.dead_letters[0]);
    assert_eq!(
        (
            outputs.predictions.len(),
            outputs.samples.len(),
            outputs.dead_letters.len()
        ),
        (1, 1, 1)
    );

    let carried = ["traceparent", "tracestate", "ce_type", "ce_source"];
    let names: Vec<_> = foreign(prediction).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, carried);
    assert_eq!(prediction.header("traceparent"), Some(TRACE));

    let originals = decorated(String::new(), "").headers;
    let originals: Vec<_> = originals
        .into_iter()
        .filter(|(name, _)| !name.starts_with("eddy."))
        .collect();
    assert_eq!(foreign(sample), originals, "a sample has all headers, in their order");
    assert_eq!(
        foreign(dead),
        originals,
        "a dead letter has all headers, in their order"
    );
    assert_eq!(sample.value.as_deref(), Some(good.as_bytes()));
    assert_eq!(dead.value.as_deref(), Some(bad.as_bytes()));

    for message in [prediction, sample, dead] {
        let mut seen = BTreeMap::new();
        let own = message.headers.iter().filter(|(name, _)| name.starts_with("eddy."));
        own.for_each(|(name, _)| *seen.entry(name.as_str()).or_insert(0) += 1);
        assert!(
            seen.values().all(|count| *count == 1),
            "nothing of Eddy's is there twice: {seen:?}"
        );
        assert!(!seen.contains_key("eddy.whatever"), "{seen:?}");
        assert_eq!(message.header("eddy.format"), Some("1"));
    }
    assert_eq!(prediction.header("eddy.reason"), None);
    assert_eq!(
        (dead.header("eddy.stage"), dead.header("eddy.reason")),
        (Some("decode"), Some("malformed"))
    );
    assert_eq!(
        (sample.header("eddy.probability"), sample.header("eddy.body")),
        (Some("1"), Some("original"))
    );
    let selection: Value = serde_json::from_str(sample.header("eddy.selection").unwrap()).unwrap();
    assert_eq!(
        (&selection[0]["model"], &selection[0]["arms"]),
        (&"mlp".into(), &json!(["uncertainty"]))
    );
    assert_eq!(sample.header("eddy.config"), dead.header("eddy.config"));
}

#[test]
fn a_keyed_event_goes_where_a_java_client_sends_it_and_one_without_key_stays_in_its_partition() {
    // What Kafka's own tests say of the Java client's hash: org.apache.kafka.common.utils.UtilsTest.
    const HASHES: [(&str, i32); 6] = [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ("abc", 479_470_107),
    ];
    const PARTITIONS: i32 = 5;
    let stage = Stage::new(&Plan {
        name: "keys",
        guarantee: EXACTLY_ONCE,
        partitions: PARTITIONS,
        limits: &[],
        text: PICK,
    });
    let keyed = HASHES.iter().enumerate().flat_map(|(number, (key, _))| {
        let place = number as i32 % PARTITIONS;
        let good = Event::pair(1.0, 1.0).keyed(*key).at(place).named(key);
        let bad = Event::new("no JSON").keyed(*key).at(place).named(&format!("bad {key}"));
        [good, bad]
    });
    let unkeyed = (0..PARTITIONS).map(|place| Event::pair(1.0, 1.0).at(place).named(&format!("in {place}")));
    stage.send(&keyed.chain(unkeyed).collect::<Vec<_>>());
    let outputs = stage.run(BINARY, &[("EDDY__DEAD_LETTERS__FLOOD_SHARE", "1.0")]);
    let (predictions, dead_letters) = (by_id(&outputs.predictions), by_id(&outputs.dead_letters));
    for (key, hash) in HASHES {
        // Java: Utils.toPositive(hash) % partitions.
        let partition = (hash & 0x7FFF_FFFF) % PARTITIONS;
        let dead = dead_letters[format!("bad {key}").as_str()];
        for message in [predictions[key], dead] {
            assert_eq!(
                (message.partition, message.key.as_deref()),
                (partition, Some(key.as_bytes())),
                "{key}"
            );
        }
    }
    for place in 0..PARTITIONS {
        let message = predictions[format!("in {place}").as_str()];
        assert_eq!((message.partition, &message.key), (place, &None));
    }
}

#[test]
fn two_models_score_one_event_into_one_prediction() {
    let two = format!(
        "{PICK}\n[[models]]\nname = \"divide\"\nversion = \"7\"\npath = \"{{models}}/divide.onnx\"\nhead = {{ type = \"regression\" }}\n"
    );
    let stage = stage("two-models", EXACTLY_ONCE, &two);
    stage.send(&[Event::pair(3.0, 2.0), Event::pair(0.0, 4.0), Event::pair(5.0, 0.0)]);
    let outputs = stage.run(BINARY, &[]);
    let models: Vec<_> = outputs
        .predictions
        .iter()
        .map(|found| value(found)["models"].clone())
        .collect();
    // Row 3 of the table is 12, 13, 14, 15; row 0 is 0, 1, 2, 3.
    let expected = [([24.0, 26.0, 28.0, 30.0], 1.5), ([0.0, 4.0, 8.0, 12.0], 0.0)];
    assert_eq!(models.len(), expected.len());
    for (models, (picked, ratio)) in models.iter().zip(expected) {
        assert_eq!(models["pick"]["value"], json!(picked));
        assert_eq!(
            (&models["divide"]["value"], &models["divide"]["version"]),
            (&json!(ratio), &"7".into())
        );
    }
    // What one model cannot say anything about has no prediction at all.
    let [dead] = outputs.dead_letters.as_slice() else {
        panic!("{:?}", outputs.dead_letters)
    };
    assert_eq!(dead.header("eddy.reason"), Some("output_not_finite"));
    assert!(dead.header("eddy.detail").unwrap().contains("`divide`"));
}

#[test]
fn tombstones_empty_and_oversize_events_are_dead_letters_with_what_they_were() {
    let stage = stage(
        "odd",
        EXACTLY_ONCE,
        &format!("{PICK}\n[limits]\nrecord_bytes = \"1 KiB\"\n"),
    );
    let long = format!(r#"{{"note":"{}","features":[1,1]}}"#, "x".repeat(2000));
    let tombstone = Event::default().keyed("k").named("tombstone").header("tenant", "north");
    stage.send(&[
        Event::pair(1.0, 1.0).named("good"),
        tombstone,
        Event::new("").named("empty"),
        Event::new(long.clone()).named("long"),
        Event::pair(2.0, 1.0).named("good too"),
    ]);
    let outputs = stage.run(BINARY, &[("EDDY__DEAD_LETTERS__FLOOD_SHARE", "1.0")]);
    assert_eq!(
        by_id(&outputs.predictions).into_keys().collect::<Vec<_>>(),
        ["good", "good too"]
    );
    let dead = by_id(&outputs.dead_letters);
    let is = |id: &str, reason: &str, value: Option<&[u8]>| {
        assert_eq!(dead[id].header("eddy.reason"), Some(reason), "{id}");
        assert_eq!(
            (dead[id].value.as_deref(), dead[id].header("eddy.body")),
            (value, Some("original")),
            "{id}"
        );
    };
    is("tombstone", "tombstone", None);
    is("empty", "malformed", Some(b""));
    is("long", "too_large", Some(long.as_bytes()));
    assert_eq!(
        (dead["tombstone"].key.as_deref(), dead["tombstone"].header("tenant")),
        (Some(&b"k"[..]), Some("north"))
    );
    assert_eq!(dead.len(), 3);
}
