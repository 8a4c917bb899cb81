//! What is concluded from answers; how they are asked for, `tests/tests/registry` tells.

use super::*;

fn schema(id: u32) -> WriterSchema {
    WriterSchema {
        id,
        kind: SchemaKind::Avro,
        text: "\"int\"".into(),
        references: Vec::new(),
    }
}

fn failure(outcome: RegistryOutcome) -> Failure {
    Failure::new(outcome, "registry.url", format!("{}!", outcome.as_str()))
}

const LONGEST: Duration = Duration::from_secs(10);

#[test]
fn that_there_is_no_schema_is_believed_only_when_it_was_said_three_times_over_seconds() {
    let mut entry = Entry::new(Instant::now());
    let mut pauses = Duration::ZERO;
    for _ in 0..2 {
        pauses += entry
            .note(Err(failure(RegistryOutcome::Unknown)), LONGEST)
            .expect("it is asked again");
        assert!(!entry.is_definite(Instant::now()));
    }
    assert_eq!(pauses, Duration::from_secs(3));
    entry.note(Err(failure(RegistryOutcome::Unknown)), LONGEST);
    assert!(entry.is_definite(Instant::now()));
    let later = Instant::now() + NONE_FOR;
    assert!(!entry.is_definite(later), "what was said long ago is no answer");
    assert_eq!(entry.note(Ok(schema(7)), LONGEST), None);
    assert!(entry.schema.is_some() && entry.is_definite(later));
}

#[test]
fn trouble_is_never_taken_for_an_answer_and_pauses_grow_to_the_longest() {
    use RegistryOutcome::{Denied, Failed, Unfit, Unreachable};
    let mut entry = Entry::new(Instant::now());
    let mut pauses = Vec::new();
    for outcome in [Unreachable, Failed, Denied, Unfit].into_iter().cycle().take(40) {
        pauses.extend(entry.note(Err(failure(outcome)), LONGEST));
        assert!(!entry.is_definite(Instant::now()));
        assert_eq!(entry.why, Some(format!("{}!", outcome.as_str())));
    }
    assert!(pauses[0] <= FIRST_PAUSE, "{pauses:?}");
    assert!(pauses.iter().all(|pause| *pause <= LONGEST), "{pauses:?}");
    assert!(pauses[39] >= LONGEST / 2, "{pauses:?}");
}

#[test]
fn what_was_not_wanted_for_the_longest_makes_room() {
    let mut state = State::default();
    let now = Instant::now();
    for (id, age) in [(1, 30), (2, 10), (3, 20)] {
        let mut entry = Entry::new(now);
        entry.wanted = now
            .checked_sub(Duration::from_secs(age))
            .expect("the machine runs for longer");
        state.entries.insert(id, entry);
    }
    state.make_room(2);
    assert_eq!(state.entries.keys().collect::<Vec<_>>(), [&2]);
}

#[test]
fn senseless_numbers_drive_at_most_one_schema_out() {
    let mut state = State::default();
    for id in 0..10 {
        let mut known = Entry::new(Instant::now());
        known.note(Ok(schema(id)), LONGEST);
        state.entries.insert(id, known);
    }
    for id in 1000..2000 {
        state.make_room(10);
        state.entries.insert(id, Entry::new(Instant::now()));
    }
    let known = state.entries.values().filter(|entry| entry.schema.is_some());
    assert_eq!((known.count(), state.entries.len()), (9, 10));
}

#[test]
fn what_nobody_wants_is_not_asked_for_any_more_but_schemas_are_kept() {
    let mut state = State::default();
    let now = Instant::now();
    let mut known = Entry::new(now);
    known.note(Ok(schema(1)), LONGEST);
    state.entries.insert(1, known);
    state.entries.insert(2, Entry::new(now));
    assert_eq!(state.next(now), Ok(2));
    assert_eq!(state.next(now + FORGOTTEN), Err(None));
    assert_eq!(state.entries.keys().collect::<Vec<_>>(), [&1]);
}
