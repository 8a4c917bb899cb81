//! Outputs that are too large for their topics: each has a way out that ends, and nothing else suffers.

use eddy_tests::kafka::{Isolation, Message};
use eddy_tests::oracle::Outputs;
use eddy_tests::stage::{Event, Plan, Stage, by_id};

use crate::{AT_LEAST_ONCE, BINARY, EXACTLY_ONCE, all_unsure};

/// Events of a run, and how many of them are large.
const EVENTS: usize = 200;

fn is_large(number: usize) -> bool {
    number % 50 == 25
}

/// Text that no compression makes small, different for each number.
fn noise(number: usize) -> String {
    let mut random = fastrand::Rng::with_seed(number as u64);
    std::iter::repeat_with(|| random.alphanumeric()).take(4000).collect()
}

fn event(number: usize) -> Event {
    let note = if is_large(number) {
        noise(number)
    } else {
        "short".into()
    };
    let text = format!(r#"{{"note":"{note}","features":{:?}}}"#, [0.25; 32]);
    Event::new(text)
        .named(&format!("{number:03}"))
        .header("tenant", "north")
}

/// Runs the events on topics of which one takes no message beyond a kilobyte or two.
fn run(name: &str, guarantee: &str, limit: (&str, &str), text: &str, events: &[Event]) -> Outputs {
    let stage = Stage::new(&Plan {
        name,
        guarantee,
        partitions: 1,
        limits: &[limit],
        text: &format!("{text}\n{}", all_unsure()),
    });
    stage.send(events);
    stage.run(BINARY, &[("EDDY__DEAD_LETTERS__FLOOD_SHARE", "1.0")])
}

/// The messages by id: as many as there are, where the guarantee allows no more.
fn ids<'a>(messages: &'a [Message], guarantee: &str) -> Vec<&'a str> {
    if guarantee == EXACTLY_ONCE {
        return by_id(messages).into_keys().collect();
    }
    let ids = messages.iter().map(|message| message.header("eddy.id").unwrap());
    let ids: std::collections::BTreeSet<_> = ids.collect();
    assert!(messages.len() < 8 * EVENTS, "what is done again ends");
    ids.into_iter().collect()
}

fn numbered(which: impl Fn(usize) -> bool) -> Vec<String> {
    (0..EVENTS)
        .filter(|number| which(*number))
        .map(|number| format!("{number:03}"))
        .collect()
}

/// sha256 as `sha256sum` computes it.
fn sha256(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    std::fs::write(&file, bytes).unwrap();
    let output = std::process::Command::new("sha256sum").arg(&file).output().unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned()
}

#[track_caller]
fn assert_omitted(message: &Message, original: &Event) {
    assert_eq!(message.header("eddy.body"), Some("omitted"));
    assert_eq!(message.value.as_deref(), Some(&[][..]));
    let digest = sha256(original.value.as_deref().unwrap());
    assert_eq!(message.header("eddy.sha256"), Some(digest.as_str()));
}

fn predictions_too_large(name: &str, guarantee: &str) {
    let events: Vec<_> = (0..EVENTS).map(event).collect();
    let text = "[events]\npass_through = [\"/note\"]\n";
    let outputs = run(name, guarantee, ("predictions", "1024"), text, &events);
    assert_eq!(
        ids(&outputs.predictions, guarantee),
        numbered(|number| !is_large(number))
    );
    assert_eq!(ids(&outputs.dead_letters, guarantee), numbered(is_large));
    let mut samples = ids(&outputs.samples, guarantee);
    if guarantee == AT_LEAST_ONCE {
        // A sample may be written before its event's prediction turns out to be too large.
        samples.retain(|id| !is_large(id.parse().unwrap()));
    }
    assert_eq!(samples, numbered(|number| !is_large(number)));
    for dead in &outputs.dead_letters {
        let number: usize = dead.header("eddy.id").unwrap().parse().unwrap();
        assert_eq!(
            (dead.header("eddy.stage"), dead.header("eddy.reason")),
            (Some("output"), Some("output_too_large"))
        );
        assert_eq!(
            (&dead.value, dead.header("eddy.body")),
            (&events[number].value, Some("original"))
        );
        assert_eq!(dead.header("tenant"), Some("north"));
    }
}

#[test]
fn exactly_once_a_prediction_too_large_for_its_topic_is_a_dead_letter_and_the_others_are_written() {
    predictions_too_large("large-predictions-eos", EXACTLY_ONCE);
}

#[test]
fn at_least_once_a_prediction_too_large_for_its_topic_is_a_dead_letter_and_the_others_are_written() {
    predictions_too_large("large-predictions-alo", AT_LEAST_ONCE);
}

fn samples_too_large(name: &str, guarantee: &str) {
    let events: Vec<_> = (0..EVENTS).map(event).collect();
    let outputs = run(name, guarantee, ("retraining", "2048"), "", &events);
    assert_eq!(ids(&outputs.predictions, guarantee), numbered(|_| true));
    assert_eq!(ids(&outputs.samples, guarantee), numbered(|_| true));
    assert!(outputs.dead_letters.is_empty());
    for sample in &outputs.samples {
        let number: usize = sample.header("eddy.id").unwrap().parse().unwrap();
        if is_large(number) {
            assert_omitted(sample, &events[number]);
        } else {
            assert_eq!(
                (&sample.value, sample.header("eddy.body")),
                (&events[number].value, Some("original"))
            );
        }
    }
}

#[test]
fn exactly_once_a_sample_too_large_for_its_topic_is_written_without_its_body() {
    samples_too_large("large-samples-eos", EXACTLY_ONCE);
}

#[test]
fn at_least_once_a_sample_too_large_for_its_topic_is_written_without_its_body() {
    samples_too_large("large-samples-alo", AT_LEAST_ONCE);
}

/// What cannot be decoded, some of it large.
fn poison(number: usize) -> Event {
    let text = if is_large(number) {
        noise(number)
    } else {
        format!("no JSON {number}")
    };
    Event::new(text).named(&format!("{number:03}"))
}

fn dead_letters_too_large(name: &str, guarantee: &str) {
    let events: Vec<_> = (0..EVENTS).map(poison).collect();
    let outputs = run(name, guarantee, ("dead-letters", "2048"), "", &events);
    assert_eq!(ids(&outputs.dead_letters, guarantee), numbered(|_| true));
    assert!(outputs.predictions.is_empty() && outputs.samples.is_empty());
    for dead in &outputs.dead_letters {
        let number: usize = dead.header("eddy.id").unwrap().parse().unwrap();
        assert_eq!(dead.header("eddy.reason"), Some("malformed"));
        if is_large(number) {
            assert_omitted(dead, &events[number]);
        } else {
            assert_eq!(
                (&dead.value, dead.header("eddy.body")),
                (&events[number].value, Some("original"))
            );
        }
    }
}

#[test]
fn exactly_once_a_dead_letter_too_large_for_its_topic_is_written_without_its_body() {
    dead_letters_too_large("large-dead-eos", EXACTLY_ONCE);
}

#[test]
fn at_least_once_a_dead_letter_too_large_for_its_topic_is_written_without_its_body() {
    dead_letters_too_large("large-dead-alo", AT_LEAST_ONCE);
}

#[test]
fn an_event_beyond_what_an_output_may_be_is_a_dead_letter_without_its_body() {
    let stage = Stage::new(&Plan {
        name: "large-event",
        guarantee: EXACTLY_ONCE,
        partitions: 1,
        limits: &[("events", "3000000")],
        text: &all_unsure(),
    });
    let large = Event::new(vec![b'x'; 2_000_000]).named("large");
    stage.send(&[event(0), large.clone(), event(1)]);
    let outputs = stage.run(BINARY, &[("EDDY__DEAD_LETTERS__FLOOD_SHARE", "1.0")]);
    assert_eq!(
        by_id(&outputs.predictions).into_keys().collect::<Vec<_>>(),
        ["000", "001"]
    );
    let [dead] = outputs.dead_letters.as_slice() else {
        panic!("{} dead letters", outputs.dead_letters.len())
    };
    assert_eq!(dead.header("eddy.reason"), Some("too_large"));
    assert_omitted(dead, &large);
}

fn sizes_around_the_limit(name: &str, guarantee: &str) {
    // The client refuses what is beyond its own limit, Kafka what is beyond the topic's: the client does not count what a
    // request adds, so with the same number in both places there are sizes that only Kafka refuses.
    const LIMIT: &str = "2048";
    let stage = Stage::new(&Plan {
        name,
        guarantee,
        partitions: 1,
        limits: &[("dead-letters", LIMIT)],
        text: &all_unsure(),
    });
    let sizes: Vec<usize> = (0..EVENTS).map(|number| 1000 + 6 * number).collect();
    let text = |size: usize| noise(size)[..size].to_owned();
    let events = sizes
        .iter()
        .map(|size| Event::new(text(*size)).named(&format!("{size}")));
    stage.send(&events.collect::<Vec<_>>());
    let settings = [
        ("EDDY__DEAD_LETTERS__FLOOD_SHARE", "1.0"),
        ("EDDY__KAFKA__MAX_OUTPUT_BYTES", LIMIT),
        // What is compressed has another size.
        ("EDDY__KAFKA__COMPRESSION", "none"),
    ];
    let outputs = stage.run(BINARY, &settings);
    assert_eq!(
        ids(&outputs.dead_letters, guarantee).len(),
        EVENTS,
        "each has its dead letter"
    );
    let mut whole = vec![];
    for dead in &outputs.dead_letters {
        let size: usize = dead.header("eddy.id").unwrap().parse().unwrap();
        let is_whole = dead.header("eddy.body") == Some("original");
        let body = if is_whole { text(size) } else { String::new() };
        assert_eq!(dead.value.as_deref(), Some(body.as_bytes()), "{size}");
        assert_eq!(dead.header("eddy.sha256").is_some(), !is_whole, "{size}");
        if is_whole {
            whole.push(size);
        }
    }
    whole.sort_unstable();
    whole.dedup();
    let border = whole.len();
    assert!(
        border > EVENTS / 10 && border < EVENTS - EVENTS / 10,
        "the border lies in between: {border}"
    );
    assert_eq!(
        whole,
        sizes[..border],
        "whole up to a size, and without their bodies beyond it"
    );
}

#[test]
fn exactly_once_every_dead_letter_around_the_limit_of_its_topic_is_written_in_the_largest_form_that_fits() {
    sizes_around_the_limit("border-eos", EXACTLY_ONCE);
}

#[test]
fn at_least_once_every_dead_letter_around_the_limit_of_its_topic_is_written_in_the_largest_form_that_fits() {
    sizes_around_the_limit("border-alo", AT_LEAST_ONCE);
}

#[test]
fn events_of_fifty_megabytes_are_scored_one_by_one_and_take_the_memory_of_a_few() {
    const MIB: usize = 1 << 20;
    const SIZE: usize = 50 * MIB;
    const COUNT: usize = 12;
    let limits = "[limits]\nrecord_bytes = \"60 MiB\"\nstring_bytes = \"60 MiB\"\n";
    let stage = Stage::new(&Plan {
        name: "fifty",
        guarantee: EXACTLY_ONCE,
        partitions: 1,
        limits: &[("events", "62914560")],
        text: &format!("{limits}{}", all_unsure()),
    });
    let whole = |number: usize| {
        let note = "x".repeat(SIZE);
        Event::new(format!(r#"{{"note":"{note}","features":{:?}}}"#, [0.25; 32])).named(&format!("{number:02}"))
    };
    let mut replica = stage.start(BINARY, &[]);
    for number in 0..COUNT {
        stage.send(&[whole(number)]);
    }
    stage.send(&[Event::new(vec![b'['; SIZE]).named("broken"), event(99)]);
    stage.wait_for_end(&mut replica);
    let peak = replica.peak_memory();
    assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());

    let outputs = stage.outputs();
    assert_eq!(by_id(&outputs.predictions).len(), COUNT + 1);
    assert_eq!(by_id(&outputs.samples).len(), COUNT + 1);
    assert_omitted(&outputs.samples[0], &whole(0));
    let [broken] = outputs.dead_letters.as_slice() else {
        panic!("{} dead letters", outputs.dead_letters.len())
    };
    assert_eq!(
        (broken.header("eddy.id"), broken.header("eddy.body")),
        (Some("broken"), Some("omitted"))
    );
    eprintln!("{} MiB at the peak", peak / MIB);
    assert!(peak < COUNT / 2 * SIZE, "{} MiB at the peak", peak / MIB);
}

#[test]
fn an_event_that_fills_its_topic_to_the_byte_is_predicted_and_its_sample_goes_without_its_body() {
    const LIMIT: usize = 4096;
    /// What a request adds to one event without key and headers is 71 bytes or so.
    const OVERHEAD: std::ops::Range<usize> = 62..82;
    let bytes = LIMIT.to_string();
    let stage = Stage::new(&Plan {
        name: "brimful",
        guarantee: EXACTLY_ONCE,
        partitions: 1,
        limits: &[("events", bytes.as_str()), ("retraining", bytes.as_str())],
        text: &all_unsure(),
    });
    // One by one, since Kafka refuses requests and not events; those beyond the border are refused.
    for size in LIMIT - OVERHEAD.end..LIMIT - OVERHEAD.start {
        let rest = format!(r#"","features":{:?}}}"#, [0.25; 32]);
        let note = "x".repeat(size - rest.len() - r#"{"note":""#.len());
        stage.send(&[Event::new(format!(r#"{{"note":"{note}{rest}"#))]);
    }
    let taken = stage.kafka().read_all(&stage.topic("events"), Isolation::ReadCommitted);
    assert!(
        (1..OVERHEAD.len()).contains(&taken.len()),
        "the border lies in between: {}",
        taken.len()
    );
    // What is compressed would fit.
    let outputs = stage.run(BINARY, &[("EDDY__KAFKA__COMPRESSION", "none")]);
    assert_eq!(
        (outputs.predictions.len(), outputs.samples.len()),
        (taken.len(), taken.len())
    );
    let fullest = outputs.samples.last().unwrap();
    assert_omitted(fullest, &Event::new(taken.last().unwrap().value.clone().unwrap()));
}
