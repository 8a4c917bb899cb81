//! What is concluded from answers; how they are asked for, `tests/tests/registry` tells.

use std::collections::BTreeSet;

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
            .note(Err(failure(RegistryOutcome::Unknown)), LONGEST, false)
            .expect("it is asked again");
        assert!(!entry.is_definite(Instant::now()));
    }
    assert_eq!(pauses, Duration::from_secs(3));
    entry.note(Err(failure(RegistryOutcome::Unknown)), LONGEST, false);
    assert!(entry.is_definite(Instant::now()));
    let later = Instant::now() + NONE_FOR;
    assert!(!entry.is_definite(later), "what was said long ago is no answer");
    assert_eq!(entry.note(Ok(schema(7)), LONGEST, false), None);
    assert!(entry.schema.is_some() && entry.is_definite(later));
}

#[test]
fn trouble_is_never_taken_for_an_answer_and_pauses_grow_to_the_longest() {
    use RegistryOutcome::{Denied, Failed, Unfit, Unreachable};
    let mut entry = Entry::new(Instant::now());
    let mut pauses = Vec::new();
    for outcome in [Unreachable, Failed, Denied, Unfit].into_iter().cycle().take(40) {
        pauses.extend(entry.note(Err(failure(outcome)), LONGEST, false));
        assert!(!entry.is_definite(Instant::now()));
        assert_eq!(entry.why, Some(format!("{}!", outcome.as_str())));
    }
    assert!(pauses[0] <= FIRST_PAUSE, "{pauses:?}");
    assert!(pauses.iter().all(|pause| *pause <= LONGEST), "{pauses:?}");
    assert!(pauses[39] >= LONGEST / 2, "{pauses:?}");
}

/// A state whose numbers were wanted so many seconds ago, with a schema each.
fn known(ages: &[(u32, u64)]) -> State {
    let (mut state, now) = (State::default(), Instant::now());
    for (id, age) in ages {
        let mut entry = Entry::new(now);
        entry.schema = Some(Arc::new(schema(*id)));
        entry.wanted = now
            .checked_sub(Duration::from_secs(*age))
            .expect("the machine runs for longer");
        state.entries.insert(*id, entry);
    }
    state
}

/// What comes of a number that somebody wants now.
fn answer(state: &mut State, id: u32, answer: Result<WriterSchema, Failure>, most: usize) {
    state.want(id, Instant::now());
    state.note(id, answer, (LONGEST, most));
}

fn numbers(state: &State) -> BTreeSet<u32> {
    state.entries.keys().copied().collect()
}

fn none() -> Result<WriterSchema, Failure> {
    Err(failure(RegistryOutcome::Unknown))
}

#[test]
fn what_was_not_wanted_for_the_longest_makes_room_for_a_schema() {
    let mut state = known(&[(1, 30), (2, 10), (3, 20)]);
    answer(&mut state, 4, Ok(schema(4)), 2);
    assert_eq!(numbers(&state), BTreeSet::from([2, 4]));
}

#[test]
fn lanes_that_await_different_schemas_do_not_drive_each_others_out_of_a_full_cache() {
    let mut state = known(&[(1, 30)]);
    state.want(2, Instant::now());
    state.want(3, Instant::now());
    state.note(2, Ok(schema(2)), (LONGEST, 1));
    state.note(3, Ok(schema(3)), (LONGEST, 1));
    assert_eq!(numbers(&state), BTreeSet::from([2, 3]));
}

#[test]
fn senseless_numbers_drive_no_schema_out_and_are_not_remembered_without_end() {
    let ages: Vec<(u32, u64)> = (0..10).map(|id| (id, 60)).collect();
    let mut state = known(&ages);
    for id in 1000..4000 {
        answer(&mut state, id, none(), 10);
    }
    let known = state.entries.values().filter(|entry| entry.schema.is_some());
    assert_eq!((known.count(), state.entries.len()), (10, 10 + NUMBERS_MOST));
    assert!(state.entries.contains_key(&3999));
}

#[test]
fn once_several_numbers_surely_had_no_schema_the_next_are_settled_by_two_answers_and_never_by_one() {
    let mut state = State::default();
    let is_settled = |state: &State, id| state.entries[&id].is_definite(Instant::now());
    for id in 0..SEVERAL as u32 {
        for _ in 0..=UNSURE.len() {
            assert!(!state.entries.contains_key(&id) || !is_settled(&state, id));
            answer(&mut state, id, none(), 10);
        }
        assert!(is_settled(&state, id));
    }
    answer(&mut state, 100, none(), 10);
    assert!(!is_settled(&state, 100));
    answer(&mut state, 100, none(), 10);
    assert!(is_settled(&state, 100));
    // A schema that is late shows that the registry is not to be believed at once.
    answer(&mut state, 100, Ok(schema(100)), 10);
    answer(&mut state, 101, none(), 10);
    answer(&mut state, 101, none(), 10);
    assert!(!is_settled(&state, 101));
}

#[test]
fn what_nobody_wants_is_not_asked_for_any_more_but_schemas_are_kept() {
    let (mut state, now) = (known(&[(1, 0)]), Instant::now());
    state.want(2, now);
    assert_eq!(state.next(now), Ok(2));
    assert_eq!(state.next(now + FORGOTTEN), Err(None));
    assert_eq!(numbers(&state), BTreeSet::from([1]));
}

#[test]
fn what_is_settled_is_asked_for_again_only_when_somebody_wants_it() {
    let mut state = State::default();
    for _ in 0..=UNSURE.len() {
        answer(&mut state, 1, none(), 10);
    }
    let later = Instant::now() + LOOK_AGAIN;
    assert_eq!(state.next(later), Err(None));
    let (_, is_news) = state.want(1, later);
    assert!(is_news, "the thread is to be woken");
    assert_eq!(state.next(later), Ok(1));
}

#[test]
fn a_new_schema_is_asked_for_before_another_look_at_numbers_that_surely_have_none() {
    let mut state = State::default();
    for _ in 0..=UNSURE.len() {
        answer(&mut state, 1, none(), 10);
    }
    let later = Instant::now() + LOOK_AGAIN;
    state.want(1, later);
    state.want(2, later);
    assert!(state.entries[&1].due < state.entries[&2].due);
    assert_eq!(state.next(later), Ok(2));
    // What is not due yet holds nothing up.
    state.entries.get_mut(&2).expect("it is wanted").due = later + Duration::from_secs(1);
    assert_eq!(state.next(later), Ok(1));
    // After a minute a lane waits for the number again, and it takes its turn.
    state.want(1, later + NONE_FOR);
    assert_eq!(state.next(later + NONE_FOR), Ok(1));
}

#[test]
fn whoever_waits_is_told_that_the_thread_has_ended() {
    let settings = serde_json::from_str(r#"{"url": "http://127.0.0.1:1"}"#).expect("it can be read");
    let registry = SchemaRegistry::start(settings).expect("there is a thread");
    drop(End(&registry.shared));
    assert_eq!(registry.find(1), Found::Awaited(ENDED.to_owned()));
}
