//! Input from hell: every kind of event that cannot be scored has its reason, and the event behind it is predicted.

use eddy_tests::kafka::Message;
use eddy_tests::odd;
use eddy_tests::oracle::Outputs;
use eddy_tests::stage::{Event, Plan, Stage, by_id, examples, images};
use serde_json::{Value, json};

use crate::{BINARY, EXACTLY_ONCE, PICK};

/// No flood limit: hell is what is wanted here.
const NO_LIMIT: (&str, &str) = ("EDDY__DEAD_LETTERS__FLOOD_SHARE", "1.0");
const MIB: usize = 1 << 20;

/// What becomes of an event: predicted, or refused for a reason.
type Fate = Result<(), &'static str>;

/// A good value with members around.
fn pair(more: &str) -> String {
    format!(r#"{{"features":[1,1]{more}}}"#)
}

fn headers(event: Event, count: usize) -> Event {
    (0..count).fold(event, |event, number| event.header(&format!("h{number}"), "v"))
}

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

/// Values that are refused, and those on the good side of a border.
fn values() -> Vec<(&'static str, Event, Fate)> {
    let text = |name, value: &str, fate| (name, Event::new(value), fate);
    let bytes = |name, value: &[u8], fate| (name, Event::new(value), fate);
    let long = |length: usize| "x".repeat(length);
    vec![
        ("a tombstone", Event::default(), Err("tombstone")),
        text("nothing", "", Err("malformed")),
        text("a space", " ", Err("malformed")),
        bytes("noise", &[0xFF; 64], Err("malformed")),
        bytes("a schema registry's framing", b"\0\0\0\0\x07{}", Err("framed")),
        text("a byte order mark", "\u{FEFF}{}", Err("malformed")),
        text("a truncated document", &pair("")[..12], Err("malformed")),
        text("two documents", &pair("").repeat(2), Err("malformed")),
        bytes(
            "a text that is not UTF-8",
            b"{\"features\":[1,1],\"n\":\"\xFF\"}",
            Err("malformed"),
        ),
        text("half a surrogate pair", &pair(r#","n":"\ud800""#), Err("malformed")),
        text("another schema", r#"{"other":1}"#, Err("missing_field")),
        text("null", r#"{"features":null}"#, Err("missing_field")),
        text("a list of events", &format!("[{0},{0}]", pair("")), Err("wrong_type")),
        text("a bare NaN", r#"{"features":[NaN,1]}"#, Err("malformed")),
        text("a bare infinity", r#"{"features":[-Infinity,1]}"#, Err("malformed")),
        text("NaN as text", r#"{"features":["NaN",1]}"#, Err("wrong_type")),
        text(
            "a number beyond floats",
            r#"{"features":[1e999,1]}"#,
            Err("out_of_range"),
        ),
        text(
            "a number beyond the model's floats",
            r#"{"features":[1e300,1]}"#,
            Err("out_of_range"),
        ),
        text("one too few", r#"{"features":[1]}"#, Err("wrong_shape")),
        text("one too many", r#"{"features":[1,1,1]}"#, Err("wrong_shape")),
        text("a matrix", r#"{"features":[[1,1]]}"#, Err("wrong_type")),
        text(
            "10,000 levels beside the field",
            &pair(&format!(r#","d":{}"#, nested(10_000))),
            Err("limit_exceeded"),
        ),
        text(
            "10,000 levels in the field",
            &format!(r#"{{"features":{}}}"#, nested(10_000)),
            Err("wrong_type"),
        ),
        text("64 levels", &pair(&format!(r#","d":{}"#, nested(63))), Ok(())),
        text(
            "65 levels",
            &pair(&format!(r#","d":{}"#, nested(64))),
            Err("limit_exceeded"),
        ),
        text(
            "a million elements",
            &pair(&format!(r#","d":[0{}]"#, ",0".repeat(999_999))),
            Err("limit_exceeded"),
        ),
        text(
            "a million elements in the field",
            &format!(r#"{{"features":[0{}]}}"#, ",0".repeat(999_999)),
            Err("wrong_shape"),
        ),
        text(
            "the field twice",
            r#"{"features":[1,1],"features":[1,1]}"#,
            Err("duplicate_key"),
        ),
        text("another key twice", &pair(r#","n":1,"n":2"#), Ok(())),
        text("a long text", &pair(&format!(r#","n":"{}""#, long(64 * 1024))), Ok(())),
        text(
            "a longer text",
            &pair(&format!(r#","n":"{}""#, long(64 * 1024 + 1))),
            Err("limit_exceeded"),
        ),
        text(
            "a long key",
            &pair(&format!(r#","{}":1"#, long(64 * 1024 + 1))),
            Err("limit_exceeded"),
        ),
        text(
            "beyond limits.record_bytes",
            &pair(&" ".repeat(4 * MIB)),
            Err("too_large"),
        ),
    ]
}

/// Odd keys, headers and times around a good value.
fn surroundings() -> Vec<(&'static str, Event, Fate)> {
    let good = || Event::new(pair(""));
    let large = vec![b'x'; MIB];
    vec![
        ("a key that is not UTF-8", good().keyed(vec![0xFF, 0, 0xFE]), Ok(())),
        ("an empty key", good().keyed(vec![]), Ok(())),
        ("a key of 1 MiB", good().keyed(large.clone()), Err("output_too_large")),
        (
            "a header value that is not UTF-8",
            good().header("ce_blob", vec![0xFF, 0]),
            Ok(()),
        ),
        (
            "a header name that is not UTF-8",
            good().header(&odd::header_name(), "v"),
            Ok(()),
        ),
        ("a header without a name", good().header("", "v"), Ok(())),
        ("as many headers as are allowed", headers(good(), 127), Ok(())),
        ("one header more", headers(good(), 128), Err("too_many_headers")),
        ("10,000 headers", headers(good(), 10_000), Err("too_many_headers")),
        (
            "a header of 1 MiB",
            good().header("h", large.clone()),
            Err("too_many_headers"),
        ),
        (
            "a trace of 1 MiB",
            good().header("traceparent", large),
            Err("too_many_headers"),
        ),
        (
            "a header name of 100 KB",
            good().header(&"n".repeat(100_000), "v"),
            Err("too_many_headers"),
        ),
        ("no time at all", good().stamped(-1), Ok(())),
        ("a time at the end of time", good().stamped(i64::MAX), Ok(())),
        ("a time before the epoch of most clocks", good().stamped(1), Ok(())),
    ]
}

/// Each event with its name as its id, and a good one behind it.
fn with_company(cases: &[(&'static str, Event, Fate)]) -> Vec<Event> {
    let good = |name: &str| Event::new(pair("")).named(&format!("behind {name}"));
    cases
        .iter()
        .flat_map(|(name, event, _)| [event.clone().named(name), good(name)])
        .collect()
}

/// Runs the events, and checks that each has its fate and only that, in order, and that the books balance.
fn each_has_its_fate(stage: &Stage, cases: &[(&'static str, Event, Fate)], settings: &[(&str, &str)]) -> Outputs {
    let events = with_company(cases);
    stage.send(&events);
    let mut replica = stage.start(BINARY, settings);
    stage.wait_for_end(&mut replica);
    let status = crate::pages::closed_books(&replica, events.len());
    assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());
    assert!(!replica.log().contains("panicked"), "{}", replica.log());

    let outputs = stage.outputs();
    let (predicted, dead) = (by_id(&outputs.predictions), by_id(&outputs.dead_letters));
    for (name, _, fate) in cases {
        let reason = dead.get(name).and_then(|dead| dead.header("eddy.reason"));
        match fate {
            Ok(()) => assert!(predicted.contains_key(name) && reason.is_none(), "{name}: {reason:?}"),
            Err(expected) => assert!(
                !predicted.contains_key(name) && reason == Some(*expected),
                "{name}: {reason:?}"
            ),
        }
        assert!(
            predicted.contains_key(format!("behind {name}").as_str()),
            "what stands behind {name} is predicted"
        );
        if let Some(dead) = dead.get(name) {
            let detail = dead.header("eddy.detail").unwrap();
            assert!(!detail.is_empty() && detail.len() < 400, "{name}: {detail}");
        }
    }
    assert_eq!(
        predicted.len() + dead.len(),
        events.len(),
        "every event has one outcome"
    );
    let book = &status["events"];
    let count = |messages: &[Message]| json!(messages.len());
    assert_eq!(
        (&book["predicted"], &book["dead_lettered"]),
        (&count(&outputs.predictions), &count(&outputs.dead_letters))
    );
    for messages in [&outputs.predictions, &outputs.dead_letters] {
        let offsets = messages.iter().map(|message| {
            let (_, offset) = message.header("eddy.source").unwrap().rsplit_once('/').unwrap();
            offset.parse::<u64>().unwrap()
        });
        assert!(offsets.is_sorted(), "in the order of the events");
    }
    outputs
}

/// A stage whose topic of events takes what others refuse.
fn open_stage(name: &str, text: &str) -> Stage {
    Stage::new(&Plan {
        name,
        guarantee: EXACTLY_ONCE,
        partitions: 1,
        limits: &[("events", "10000000")],
        text,
    })
}

/// The dead letter's body: the event's own bytes, or nothing and a digest.
#[track_caller]
fn assert_body(dead: &Message, event: &Event, is_whole: bool) {
    let name = dead.header("eddy.id").unwrap();
    let body = if is_whole { "original" } else { "omitted" };
    assert_eq!(dead.header("eddy.body"), Some(body), "{name}");
    assert_eq!(dead.header("eddy.sha256").is_some(), !is_whole, "{name}");
    let value = if is_whole {
        event.value.as_deref()
    } else {
        Some(&[][..])
    };
    assert!(dead.value.as_deref() == value, "{name}: another value");
}

#[test]
fn every_value_from_hell_has_its_reason_and_the_event_behind_it_is_predicted() {
    let stage = open_stage(
        "poison-values",
        &format!("{PICK}\n[limits]\nrecord_bytes = \"4 MiB\"\n"),
    );
    let cases = values();
    let outputs = each_has_its_fate(&stage, &cases, &[NO_LIMIT]);
    let dead = by_id(&outputs.dead_letters);
    for (name, event, fate) in &cases {
        if fate.is_err() {
            let length = event.value.as_ref().map_or(0, Vec::len);
            assert_body(dead[name], event, length < 900_000);
        }
    }
}

#[test]
fn odd_keys_headers_and_times_hurt_nobody_and_floods_of_headers_have_their_reason() {
    let stage = open_stage("poison-headers", PICK);
    let any_time = ("message.timestamp.after.max.ms", "9223372036854775807");
    stage
        .kafka()
        .configure_topic(&stage.topic("events"), &[any_time, ("max.message.bytes", "10000000")]);
    let cases = surroundings();
    let outputs = each_has_its_fate(&stage, &cases, &[NO_LIMIT]);
    let (predicted, dead) = (by_id(&outputs.predictions), by_id(&outputs.dead_letters));
    let event = |name: &str| &cases.iter().find(|(known, ..)| *known == name).unwrap().1;

    for name in ["a key that is not UTF-8", "an empty key"] {
        assert_eq!(predicted[name].key, event(name).key, "{name}");
    }
    let blob = predicted["a header value that is not UTF-8"].headers.iter();
    assert!(
        blob.clone()
            .any(|(name, value)| name == "ce_blob" && *value == Some(vec![0xFF, 0]))
    );
    let untimed: Value = serde_json::from_slice(predicted["no time at all"].value.as_deref().unwrap()).unwrap();
    assert_eq!(untimed["time"], Value::Null);

    // All headers go along where they fit, then only the trace, then not even the key.
    let own = |name: &str| {
        dead[name]
            .headers
            .iter()
            .filter(|(name, _)| !name.starts_with("eddy."))
            .count()
    };
    assert_eq!((own("one header more"), own("10,000 headers")), (128, 10_000));
    assert_body(dead["10,000 headers"], event("10,000 headers"), true);
    for name in ["a header of 1 MiB", "a trace of 1 MiB", "a key of 1 MiB"] {
        assert_eq!(own(name), 0, "{name}");
        assert_body(dead[name], event(name), false);
    }
    assert_eq!(dead["a key of 1 MiB"].key, None);
}

#[test]
fn a_header_name_that_is_not_utf8_goes_along_with_replacement_characters() {
    let stage = open_stage("poison-odd-name", PICK);
    let odd = |event: Event| (0..1000).fold(event, |event, _| event.header(&odd::header_name(), "v"));
    stage.send(&[
        Event::new("no JSON").header(&odd::header_name(), "v").named("one"),
        odd(Event::new("no JSON")).named("a thousand"),
    ]);
    let outputs = stage.run(BINARY, &[NO_LIMIT]);
    let dead = by_id(&outputs.dead_letters);
    assert_eq!(dead["one"].header("odd-\u{FFFD}\u{FFFD}-name"), Some("v"));
    let names = dead["a thousand"].headers.iter();
    assert_eq!(
        names.filter(|(name, _)| name == "odd-\u{FFFD}\u{FFFD}-name").count(),
        1000
    );
}

#[test]
fn an_id_from_hell_is_refused_and_the_dead_letter_is_named_after_its_place() {
    let stage = open_stage("poison-ids", PICK);
    let good = || Event::new(pair(""));
    stage.send(&[
        good().header("eddy.id", vec![0xFF]),
        good().header("eddy.id", ""),
        good().header("eddy.id", "x".repeat(257)),
        good().header("eddy.id", vec![b'x'; MIB]),
        Event {
            headers: vec![("eddy.id".into(), None)],
            ..good()
        },
        good().header("eddy.id", "x".repeat(256)),
    ]);
    let outputs = stage.run(BINARY, &[NO_LIMIT]);
    let ids: Vec<_> = outputs
        .dead_letters
        .iter()
        .map(|dead| dead.header("eddy.id").unwrap())
        .collect();
    assert_eq!(
        ids,
        [0, 1, 2, 3, 4].map(|offset| format!("poison-ids-events/0/{offset}"))
    );
    for dead in &outputs.dead_letters {
        assert_eq!(dead.header("eddy.reason"), Some("invalid_id"));
        assert_eq!(
            dead.header("eddy.body"),
            Some("original"),
            "the id's header is ours and stays behind"
        );
    }
    assert_eq!(outputs.predictions.len(), 1);
}

#[test]
fn raw_tensors_from_hell_have_their_reason() {
    let text = PICK.replace(
        "[fields.features]",
        "[events]\nformat = \"raw\"\nraw = { dtype = \"float32\" }\n[fields.features]",
    );
    let stage = open_stage("poison-raw", &text);
    let raw = |first: f32, second: f32| Event::new([first.to_le_bytes(), second.to_le_bytes()].concat());
    let cases = [
        ("good", raw(1.0, 1.0), Ok(())),
        ("a tombstone", Event::default(), Err("tombstone")),
        ("nothing", Event::new(""), Err("malformed")),
        ("JSON", Event::new(pair("")), Err("malformed")),
        ("one byte too few", Event::new([0; 7]), Err("malformed")),
        ("one byte too many", Event::new([0; 9]), Err("malformed")),
        ("NaN", raw(1.0, f32::NAN), Err("not_finite")),
        ("infinity", raw(1.0, f32::INFINITY), Err("not_finite")),
        ("minus infinity", raw(f32::NEG_INFINITY, 1.0), Err("not_finite")),
        ("minus zero", raw(-0.0, 1.0), Ok(())),
        ("the smallest number", raw(f32::from_bits(1), 1.0), Ok(())),
    ];
    // The good ones behind are JSON, which these events are not: each is a case of its own here.
    stage.send(&cases.clone().map(|(name, event, _)| event.named(name)));
    let outputs = stage.run(BINARY, &[NO_LIMIT]);
    let (predicted, dead) = (by_id(&outputs.predictions), by_id(&outputs.dead_letters));
    for (name, _, fate) in cases {
        let reason = dead.get(name).and_then(|dead| dead.header("eddy.reason"));
        assert_eq!(
            (predicted.contains_key(name), reason),
            (fate.is_ok(), fate.err()),
            "{name}"
        );
    }
}

#[test]
fn images_from_hell_have_their_reason_and_take_no_memory_to_speak_of() {
    let folder = examples().join("digits");
    let text = format!(
        r#"
[events]
format = "image"
[fields.image]
type = "image"
image = {{ width = 8, height = 8, channels = "grey", resize = "shorter-side" }}
[[models]]
name = "digits"
path = "{}"
inputs = {{ image = ["image"] }}
head = {{ type = "classification", from = "logits" }}
"#,
        folder.join("model.onnx").display()
    );
    let stage = open_stage("poison-images", &text);
    let broken = |name: &str| Event::new(std::fs::read(images().join("broken").join(name)).unwrap());
    let good = Event::new(std::fs::read(folder.join("events/digit-0162.png")).unwrap());
    let cases = [
        ("good", good.clone(), Ok(())),
        ("a bomb", broken("bomb.png"), Err("limit_exceeded")),
        (
            "a claim of 65535 by 65535",
            Event::new(huge_jpeg()),
            Err("limit_exceeded"),
        ),
        ("nothing", Event::new(""), Err("malformed")),
        ("text", broken("text.jpg"), Err("malformed")),
        ("a header", broken("header_only.jpg"), Err("malformed")),
        ("a truncated JPEG", broken("truncated.jpg"), Err("malformed")),
        ("a truncated PNG", broken("truncated.png"), Err("malformed")),
        ("a wrong checksum", broken("bad_checksum.png"), Err("malformed")),
        ("a tombstone", Event::default(), Err("tombstone")),
        ("good again", good, Ok(())),
    ];
    let events: Vec<_> = cases.iter().map(|(name, event, _)| event.clone().named(name)).collect();
    stage.send(&events);
    let mut replica = stage.start(BINARY, &[NO_LIMIT]);
    stage.wait_for_end(&mut replica);
    let peak = replica.peak_memory();
    assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());
    let outputs = stage.outputs();
    let (predicted, dead) = (by_id(&outputs.predictions), by_id(&outputs.dead_letters));
    for (name, _, fate) in cases {
        let reason = dead.get(name).and_then(|dead| dead.header("eddy.reason"));
        assert_eq!(
            (predicted.contains_key(name), reason),
            (fate.is_ok(), fate.err()),
            "{name}"
        );
    }
    // Decoded, the least of the bombs alone would take gigabytes.
    assert!(peak < 400 * MIB, "{} MiB at the peak", peak / MIB);
}

/// A sound JPEG but for its size, which its header claims to be the largest there is.
fn huge_jpeg() -> Vec<u8> {
    let mut bytes = std::fs::read(images().join("grey.jpg")).unwrap();
    // Marker of a baseline frame, its length, 8 bits; then height and width.
    let frame = bytes
        .windows(5)
        .position(|window| window == [0xFF, 0xC0, 0, 11, 8])
        .unwrap();
    bytes[frame + 5..frame + 9].fill(0xFF);
    bytes
}
