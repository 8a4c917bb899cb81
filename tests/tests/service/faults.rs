//! Models that fail for some events, and floods of events that cannot be scored.

use eddy_tests::service::wait_for;
use eddy_tests::stage::{Event, by_id};
use serde_json::Value;

use crate::{BINARY, EXACTLY_ONCE, PICK, stage};

#[test]
fn an_event_that_makes_the_model_fail_is_refused_alone() {
    let stage = stage("sick-pick", EXACTLY_ONCE, PICK);
    // The table has rows -10 to 9.
    let row = |number: usize| if number % 40 == 17 { 99.0 } else { (number % 10) as f64 };
    let events: Vec<_> = (0..200)
        .map(|number| Event::pair(row(number), 1.0).named(&format!("{number:03}")))
        .collect();
    stage.send(&events);
    let outputs = stage.run(BINARY, &[]);
    let guilty: Vec<_> = (0..200)
        .filter(|number| row(*number) > 9.0)
        .map(|number| format!("{number:03}"))
        .collect();
    let dead = by_id(&outputs.dead_letters);
    assert_eq!(dead.keys().copied().collect::<Vec<_>>(), guilty);
    for message in dead.values() {
        assert_eq!(
            (message.header("eddy.stage"), message.header("eddy.reason")),
            (Some("model"), Some("model_refused"))
        );
        assert!(message.header("eddy.detail").unwrap().contains("`pick`"));
    }
    for (id, message) in by_id(&outputs.predictions) {
        let value: Value = serde_json::from_slice(message.value.as_deref().unwrap()).unwrap();
        let first = row(id.parse().unwrap()) * 4.0;
        let expected: Vec<f64> = (0..4).map(|column| first + f64::from(column)).collect();
        assert_eq!(value["models"]["pick"]["value"], serde_json::json!(expected), "{id}");
    }
    assert_eq!(outputs.predictions.len() + dead.len(), 200);
}

#[test]
fn an_event_that_the_model_does_not_finish_is_refused_alone() {
    let text = r#"
[fields.features]
type = "vector"
length = 2

[[models]]
name = "slow"
path = "{models}/slow.onnx"
max_rows = 8
head = { type = "regression" }

[batch]
run_limit = "2s"
"#;
    let stage = stage("sick-slow", EXACTLY_ONCE, text);
    // Work of a third of a millisecond a unit, when nothing else runs: five minutes for the one, nothing for the others.
    let work = |number: usize| if number == 5 { 1e6 } else { 0.0 };
    let events: Vec<_> = (0..24)
        .map(|number| Event::pair(work(number), number as f64).named(&format!("{number:02}")))
        .collect();
    stage.send(&events);
    let outputs = stage.run(BINARY, &[]);
    let [guilty] = outputs.dead_letters.as_slice() else {
        panic!("{} dead letters", outputs.dead_letters.len())
    };
    assert_eq!(
        (guilty.header("eddy.id"), guilty.header("eddy.reason")),
        (Some("05"), Some("model_timeout"))
    );
    assert!(guilty.header("eddy.detail").unwrap().contains("batch.run_limit"));
    assert_eq!(by_id(&outputs.predictions).len(), 23);
}

#[test]
fn an_output_that_is_no_number_makes_a_dead_letter_of_its_event_alone() {
    let text = r#"
[fields.features]
type = "vector"
length = 2

[[models]]
name = "divide"
path = "{models}/divide.onnx"
head = { type = "regression" }
"#;
    let stage = stage("sick-divide", EXACTLY_ONCE, text);
    let pairs = [(1.0, 4.0), (1.0, 0.0), (-1.0, 0.0), (0.0, 0.0), (3.0, 2.0)];
    stage.send(&pairs.map(|(first, second)| Event::pair(first, second).named(&format!("{first}/{second}"))));
    let outputs = stage.run(BINARY, &[]);
    assert_eq!(
        by_id(&outputs.dead_letters).into_keys().collect::<Vec<_>>(),
        ["-1/0", "0/0", "1/0"]
    );
    assert!(
        outputs
            .dead_letters
            .iter()
            .all(|dead| dead.header("eddy.reason") == Some("output_not_finite"))
    );
    let ratios = by_id(&outputs.predictions).into_values().map(|found| {
        let value: Value = serde_json::from_slice(found.value.as_deref().unwrap()).unwrap();
        value["models"]["divide"]["value"].as_f64()
    });
    assert_eq!(ratios.collect::<Vec<_>>(), [Some(0.25), Some(1.5)]);
}

#[test]
fn a_flood_of_events_that_cannot_be_scored_pauses_the_stream_and_its_end_accounts_for_all() {
    const WINDOW: usize = 100;
    const EVENTS: usize = 1000;
    const ROWS: usize = 32;
    let text = format!(
        "{PICK}\n[dead_letters]\nflood_share = 0.5\nwindow_events = {WINDOW}\nretry = \"1s\"\n[batch]\nrows = {ROWS}\n"
    );
    let stage = stage("flood", EXACTLY_ONCE, &text);
    let events = (0..EVENTS).map(|number| Event::new("no JSON").named(&number.to_string()));
    stage.send(&events.collect::<Vec<_>>());

    let mut replica = stage.start(BINARY, &[]);
    // Asked again and again: while it is tried again, the stream is not paused for a moment.
    let says = |page: &str, words: &[&str]| {
        wait_for(&format!("{words:?} at {page}"), || {
            let text = replica.get(page)?;
            words.iter().all(|word| text.contains(word)).then_some(())
        });
    };
    let (example, step) = ("flood-events/0/", "`dead_letters.flood_share = 1.0`");
    says("/ready", &["lane 0: flood", "flood_share"]);
    says("/status", &[example, "malformed", "put the last good one back", step]);
    says("/metrics", &["cause=\"flood\",lane=\"0\",pipeline=\"flood\"} 1"]);
    wait_for("503", || (replica.code("/ready") == Some(503)).then_some(()));
    assert_eq!(
        replica.code("/live"),
        Some(200),
        "a paused service lives: restarting it would not help"
    );

    // It tries again now and then, and still lets nothing through.
    wait_for("it to be tried again", || {
        (replica.log().matches("tried again").count() >= 2).then_some(())
    });
    let consumed = replica.status().expect("a paused service has a status")["events"]["consumed"].clone();
    let tries = replica.log().matches("tried again").count();
    let bound = WINDOW / 2 + ROWS * (tries + 1);
    assert!(
        consumed.as_u64().is_some_and(|consumed| consumed as usize <= bound),
        "{consumed} events were taken in {tries} tries: at most one batch in each"
    );
    let (before, dead) = (stage.committed() as usize, stage.outputs().dead_letters.len());
    assert!(dead <= WINDOW / 2, "{dead} dead letters of a window of {WINDOW}");
    assert_eq!(before, dead, "offsets stand where the outputs end");
    assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());
    assert_eq!(
        stage.committed() as usize,
        before,
        "a drain of a paused stream leaves the offsets"
    );

    let outputs = stage.run(BINARY, &[("EDDY__DEAD_LETTERS__FLOOD_SHARE", "1.0")]);
    assert_eq!(by_id(&outputs.dead_letters).len(), EVENTS);
    assert!(outputs.predictions.is_empty());
}

#[test]
fn a_stream_that_a_flood_has_paused_goes_on_by_itself_once_enough_good_events_stand_behind() {
    const BAD: usize = 60;
    const GOOD: usize = 200;
    let text = format!(
        "{PICK}\n[dead_letters]\nflood_share = 0.5\nwindow_events = 100\nretry = \"1s\"\n[batch]\nrows = 1000\nwait = \"50ms\"\n"
    );
    let stage = stage("splash", EXACTLY_ONCE, &text);
    let bad = (0..BAD).map(|number| Event::new("no JSON").named(&format!("bad {number}")));
    stage.send(&bad.collect::<Vec<_>>());
    let mut replica = stage.start(BINARY, &[]);
    wait_for("the pause", || {
        replica.get("/ready")?.contains("lane 0: flood").then_some(())
    });
    assert!(stage.lag() > 0);

    let good = (0..GOOD).map(|number| Event::pair(1.0, 1.0).named(&format!("good {number}")));
    stage.send(&good.collect::<Vec<_>>());
    stage.wait_for_end(&mut replica);
    wait_for("readiness", || (replica.code("/ready") == Some(200)).then_some(()));
    assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());
    let outputs = stage.outputs();
    let counts = (by_id(&outputs.dead_letters).len(), by_id(&outputs.predictions).len());
    assert_eq!(counts, (BAD, GOOD));
}
