//! The checker must be able to fail: outputs that are right, each spoilt in one way.

use eddy_pipeline::event::Destination;
use serde_json::json;

use super::{Checker, Ends, Promise, Violation};
use crate::kafka::Message;
use crate::oracle::{Event, Expected, For, Keys, Recipe};

const EVENTS: u64 = 400;
const PARTITIONS: i32 = 2;

fn recipe() -> Recipe {
    Recipe {
        seed: 3,
        keys: Keys::Null,
        model: For::Doubled,
    }
}

fn checker(promise: Promise) -> Checker {
    let mut checker = Checker::new(promise, |number| recipe().event(number));
    checker.handed_out(EVENTS);
    checker
}

/// Where an event lies: they go to the partitions in turn.
fn place(number: u64) -> (i32, i64) {
    ((number % PARTITIONS as u64) as i32, (number / PARTITIONS as u64) as i64)
}

fn message(event: &Event, number: u64) -> Message {
    let (partition, offset) = place(number);
    let source = format!("events/{partition}/{offset}");
    let header = |name: &str, value: &str| (name.to_owned(), Some(value.as_bytes().to_vec()));
    Message {
        partition,
        offset,
        key: None,
        value: event.value.clone(),
        headers: vec![
            header("eddy.id", &event.id),
            header("eddy.source", &source),
            header("traceparent", "00-1-2-01"),
        ],
        timestamp: None,
    }
}

/// What must come out of an event.
fn outputs_of(number: u64) -> Vec<(Destination, Message)> {
    let event = recipe().event(number);
    let base = message(&event, number);
    let with = |headers: &[(&str, &str)]| {
        let mut message = base.clone();
        let more = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Some(value.as_bytes().to_vec())));
        message.headers.extend(more);
        message
    };
    match event.expected {
        Expected::DeadLetter(reason) => {
            vec![(
                Destination::DeadLetters,
                with(&[("eddy.reason", reason), ("eddy.detail", "why")]),
            )]
        }
        Expected::Class {
            label,
            confidence,
            flagged,
        } => {
            let flags = if flagged { json!(["uncertainty"]) } else { json!([]) };
            let mlp = json!({"label": label.to_string(), "confidence": confidence, "flags": flags});
            let value = json!({"id": event.id, "source": base.header("eddy.source"), "models": {"mlp": mlp}});
            let prediction = Message {
                value: Some(value.to_string().into_bytes()),
                ..base.clone()
            };
            let sample = flagged.then(|| {
                (
                    Destination::Retraining,
                    with(&[("eddy.selection", "[\"uncertainty\"]")]),
                )
            });
            [(Destination::Predictions, prediction)]
                .into_iter()
                .chain(sample)
                .collect()
        }
        Expected::Prediction => unreachable!("the recipe knows its answers"),
    }
}

fn outputs() -> Vec<(Destination, Message)> {
    (0..EVENTS).flat_map(outputs_of).collect()
}

/// Everything that a run promises, checked of these outputs.
fn broken(promise: Promise, outputs: &[(Destination, Message)]) -> Vec<Violation> {
    let mut checker = checker(promise);
    for (to, message) in outputs {
        checker.output(*to, message);
    }
    checker.at_rest();
    checker.violations().to_vec()
}

/// Exactly these promises are broken, and each violation names this event.
fn assert_broken(violations: &[Violation], promises: &[&str], id: &str) {
    let mut found: Vec<_> = violations.iter().map(|violation| violation.promise).collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, promises, "{violations:?}");
    assert!(
        violations.iter().any(|v| v.ids == [id]),
        "{id} is not named: {violations:?}"
    );
}

fn is_about(message: &Message, id: &str) -> bool {
    message.header("eddy.id") == Some(id)
}

/// The number of the first event for which this must come out.
fn first(wanted: impl Fn(&Expected) -> bool) -> u64 {
    (0..EVENTS)
        .find(|number| wanted(&recipe().event(*number).expected))
        .expect("events of every kind")
}

fn prediction() -> u64 {
    first(|expected| matches!(expected, Expected::Class { flagged: false, .. }))
}

#[test]
fn outputs_that_are_right_break_nothing() {
    assert_eq!(broken(Promise::exactly_once(), &outputs()), []);
    assert_eq!(broken(Promise::at_least_once(), &outputs()), []);
}

#[test]
fn a_gap_is_found() {
    let mut outputs = outputs();
    outputs.retain(|(_, message)| !is_about(message, "event-17"));
    assert_broken(&broken(Promise::exactly_once(), &outputs), &["I1"], "event-17");
    assert_broken(&broken(Promise::at_least_once(), &outputs), &["I1"], "event-17");
}

#[test]
fn a_missing_sample_of_a_flagged_event_is_found() {
    let number = first(|expected| matches!(expected, Expected::Class { flagged: true, .. }));
    let id = format!("event-{number}");
    let mut outputs = outputs();
    outputs.retain(|(to, message)| !(*to == Destination::Retraining && is_about(message, &id)));
    assert_broken(&broken(Promise::exactly_once(), &outputs), &["I1"], &id);
}

#[test]
fn a_duplicate_is_found_exactly_once_and_counted_at_least_once() {
    let mut outputs = outputs();
    let again = outputs[30].clone();
    let id = again.1.header("eddy.id").unwrap().to_owned();
    outputs.push(again);
    assert_broken(&broken(Promise::exactly_once(), &outputs), &["I2"], &id);
    assert_eq!(broken(Promise::at_least_once(), &outputs), []);
    let mut checker = checker(Promise::at_least_once());
    outputs.iter().for_each(|(to, message)| checker.output(*to, message));
    assert_eq!(checker.counts().duplicates, 1);
}

#[test]
fn a_duplicate_that_differs_is_found_at_least_once() {
    let mut outputs = outputs();
    let (to, mut again) = outputs[30].clone();
    let id = again.header("eddy.id").unwrap().to_owned();
    again.headers.push(("eddy.more".into(), None));
    outputs.push((to, again));
    assert_broken(&broken(Promise::at_least_once(), &outputs), &["I2"], &id);
}

#[test]
fn a_wrong_order_is_found() {
    let number = prediction();
    let mut outputs = outputs();
    let at = outputs
        .iter()
        .position(|(_, message)| is_about(message, &format!("event-{number}")))
        .unwrap();
    let late = outputs.remove(at);
    outputs.push(late);
    let violations = broken(Promise::exactly_once(), &outputs);
    assert_broken(&violations, &["I4"], &format!("event-{number}"));
}

#[test]
fn a_changed_byte_is_found() {
    let number = first(|expected| matches!(expected, Expected::DeadLetter("malformed" | "wrong_shape")));
    let id = format!("event-{number}");
    let mut outputs = outputs();
    for (_, message) in outputs.iter_mut().filter(|(_, message)| is_about(message, &id)) {
        match message.value.as_mut().filter(|value| !value.is_empty()) {
            Some(value) => value[0] ^= 1,
            None => message.value = Some(vec![1]),
        }
    }
    assert_broken(&broken(Promise::exactly_once(), &outputs), &["I3"], &id);
}

#[test]
fn a_wrong_answer_is_found() {
    let number = prediction();
    let id = format!("event-{number}");
    let mut outputs = outputs();
    let (_, message) = outputs.iter_mut().find(|(_, message)| is_about(message, &id)).unwrap();
    let text = String::from_utf8(message.value.clone().unwrap()).unwrap();
    let spoilt = text.replace("\"confidence\":0.9", "\"confidence\":0.8");
    assert_ne!(spoilt, text);
    message.value = Some(spoilt.into_bytes());
    assert_broken(&broken(Promise::exactly_once(), &outputs), &["I3"], &id);
}

#[test]
fn a_wrong_reason_is_found() {
    let number = first(|expected| matches!(expected, Expected::DeadLetter(reason) if *reason != "any"));
    let id = format!("event-{number}");
    let mut outputs = outputs();
    let (_, message) = outputs.iter_mut().find(|(_, message)| is_about(message, &id)).unwrap();
    for (name, value) in &mut message.headers {
        if name == "eddy.reason" {
            *value = Some(b"another".to_vec());
        }
    }
    assert_broken(&broken(Promise::exactly_once(), &outputs), &["I3"], &id);
}

#[test]
fn an_output_on_the_wrong_topic_is_found() {
    let number = prediction();
    let id = format!("event-{number}");
    let mut outputs = outputs();
    let (to, _) = outputs.iter_mut().find(|(_, message)| is_about(message, &id)).unwrap();
    *to = Destination::DeadLetters;
    let violations = broken(Promise::exactly_once(), &outputs);
    assert_broken(&violations, &["I3"], &id);
}

#[test]
fn an_output_of_an_event_that_never_was_is_found() {
    let mut outputs = outputs();
    let stranger = recipe().event(EVENTS);
    outputs.push((Destination::Predictions, message(&stranger, EVENTS)));
    assert_broken(&broken(Promise::exactly_once(), &outputs), &["I1"], &stranger.id);
}

#[test]
fn a_committed_offset_that_goes_back_is_found() {
    let mut checker = checker(Promise::exactly_once());
    outputs().iter().for_each(|(to, message)| checker.output(*to, message));
    checker.committed(&[Some(10), Some(7)], Ends::new());
    checker.committed(&[Some(10), Some(9)], Ends::new());
    assert_eq!(checker.violations(), []);
    checker.committed(&[Some(9), Some(9)], Ends::new());
    assert_broken_offsets(&checker, "went back from Some(10) to Some(9)");
}

#[test]
fn an_offset_that_is_forgotten_goes_back() {
    let mut checker = checker(Promise::exactly_once());
    outputs().iter().for_each(|(to, message)| checker.output(*to, message));
    checker.committed(&[Some(10), None], Ends::new());
    checker.committed(&[None, None], Ends::new());
    assert_broken_offsets(&checker, "went back from Some(10) to None");
}

/// The ends of the output topics once the first `count` events have come out.
fn ends_after(count: u64) -> Ends {
    let mut ends = Ends::new();
    for (to, message) in (0..count).flat_map(outputs_of) {
        ends.insert((to, message.partition), message.offset + 1);
    }
    ends
}

#[test]
fn an_offset_committed_ahead_of_its_outputs_is_found_once_the_reader_is_past_them() {
    let mut checker = checker(Promise::exactly_once());
    let (late, rest) = (10, EVENTS - 10);
    // Event 10 is at 0/5; offset 6 claims it is done, while nothing of it lies before the ends asked for afterwards.
    checker.committed(&[Some(6), Some(5)], ends_after(late));
    for number in (0..late).chain(late + 1..rest) {
        outputs_of(number)
            .iter()
            .for_each(|(to, message)| checker.output(*to, message));
    }
    assert_broken_offsets(&checker, "partition 0: 6 was committed");
}

#[test]
fn a_commit_whose_outputs_the_reader_has_not_reached_yet_is_not_judged() {
    let mut checker = checker(Promise::exactly_once());
    checker.committed(&[Some(6), Some(5)], ends_after(11));
    for number in 0..10 {
        outputs_of(number)
            .iter()
            .for_each(|(to, message)| checker.output(*to, message));
    }
    assert_eq!(checker.violations(), []);
    for number in 10..EVENTS {
        outputs_of(number)
            .iter()
            .for_each(|(to, message)| checker.output(*to, message));
    }
    assert_eq!(checker.violations(), []);
}

#[test]
fn a_partition_that_is_not_committed_to_its_end_at_rest_is_found() {
    let places: Vec<Vec<u64>> = (0..PARTITIONS)
        .map(|partition| (0..EVENTS).filter(|number| place(*number).0 == partition).collect())
        .collect();
    let run = |committed: [i64; 2]| {
        let mut checker = checker(Promise::exactly_once());
        outputs().iter().for_each(|(to, message)| checker.output(*to, message));
        checker.committed(&committed.map(Some), Ends::new());
        checker.at_rest();
        checker.compare_places(&places);
        checker
    };
    let half = EVENTS as i64 / 2;
    assert_eq!(run([half, half]).violations(), []);
    assert_broken_offsets(&run([half, half - 1]), "199 is committed at rest");
}

#[test]
fn books_that_do_not_balance_are_found() {
    let books = |in_flight: u64| {
        let mut checker = checker(Promise::exactly_once());
        let events = json!({
            "consumed": 10, "predicted": 6, "dead_lettered": 1, "abandoned": 1, "in_flight": in_flight, "balanced": true,
        });
        checker.books("replica-0", &events);
        checker.violations().to_vec()
    };
    assert_eq!(books(2), []);
    let violations = books(1);
    assert_eq!(violations[0].promise, "I6");
    assert!(violations[0].what.contains("replica-0"), "{violations:?}");
}

fn assert_broken_offsets(checker: &Checker, words: &str) {
    let violations = checker.violations();
    assert!(!violations.is_empty(), "nothing was found");
    assert!(violations.iter().all(|v| v.promise == "I5"), "{violations:?}");
    assert!(violations[0].what.contains(words), "{violations:?}");
}
