//! The looks that are taken before a pipeline runs: what `eddy check` shows of the events that are there, and `eddy init` of
//! how many there are.

use std::path::Path;
use std::process::Command;

use eddy_tests::service::said;
use eddy_tests::stage::{Event, PICK, Plan, Stage, examples};

use crate::{BINARY, EXACTLY_ONCE};

/// A model of two features; the budget is shared by country.
fn by_country() -> String {
    format!(
        "[events]\nid_field = \"/id\"\n{PICK}\n[models.inputs]\nfeatures = [\"features\"]\n[fields.country]\ntype = \
         \"category\"\ncategories = [\"NO\", \"SE\"]\nother = 2\n[select]\nfraction = 0.1\n[select.segments]\nfield = \"country\"\n"
    )
}

fn event(id: &str, country: &str) -> Event {
    Event::new(format!(r#"{{"id":"{id}","country":"{country}","features":[1,1]}}"#))
}

fn told(words: &[&str]) -> String {
    let output = Command::new(BINARY).args(words).output();
    let output = output.expect("the program under test was built with the tests");
    said(&output, 0);
    String::from_utf8(output.stdout).expect("it speaks UTF-8")
}

fn check(stage: &Stage) -> String {
    told(&["check", &stage.file().display().to_string()])
}

#[test]
fn check_shows_the_ids_keys_partitions_and_segments_of_the_latest_events_and_warns_of_ids_that_repeat() {
    let stage = Stage::new(&Plan {
        name: "looks",
        guarantee: EXACTLY_ONCE,
        partitions: 3,
        limits: &[],
        text: &by_country(),
    });
    let empty = check(&stage);
    assert!(empty.contains("holds up to 0 events in 3 partitions"), "{empty}");
    assert!(empty.contains("no event is there to look at"), "{empty}");

    // Kafka's own test says that murmur2 of "21" is -973932308; without its sign bit 1173551340, a multiple of three.
    stage.send(&[event("a", "SE").keyed("21").at(0), event("b", "NO")]);
    let sound = check(&stage);
    assert!(sound.contains("holds up to 2 events in 3 partitions"), "{sound}");
    assert!(sound.contains("with start = \"earliest\" it reads 2 events"), "{sound}");
    let row = sound
        .lines()
        .find(|line| line.contains(" 21 "))
        .expect("the key is shown");
    assert!(row.contains(" a ") && row.ends_with("SE"), "{row}");
    assert!(sound.contains("segment `country`"), "{sound}");
    assert!(!sound.contains("ids repeat") && !sound.contains("murmur2"), "{sound}");

    stage.send(&[
        event("a", "SE").keyed("21").at(1),
        Event::new(r#"{"id":"c","country":"NO"}"#),
    ]);
    let odd = check(&stage);
    for part in [
        "ids repeat among the latest 4 events: 1 id came more than once, such as `a`",
        "1 of 2 events with a key stand not where Kafka's default partitioner (murmur2) puts it",
        "1 of the latest 4 events would become dead letters before any model ran",
        "missing_field",
    ] {
        assert!(odd.contains(part), "{part}\n{odd}");
    }
}

#[test]
fn check_counts_what_a_group_has_not_read_yet() {
    let stage = crate::stage("behind", EXACTLY_ONCE, PICK);
    stage.send(&[Event::pair(1.0, 1.0).named("a"), Event::pair(2.0, 1.0).named("b")]);
    stage.run(BINARY, &[]);
    stage.send(&[Event::pair(3.0, 1.0).named("c")]);
    let report = check(&stage);
    assert!(report.contains("; the group is 1 event behind"), "{report}");
    assert!(
        report.contains("events are named after their topic, partition and offset"),
        "{report}"
    );
}

#[test]
fn init_states_where_a_group_begins_and_how_large_the_backlog_is() {
    let stage = crate::stage("backlog", EXACTLY_ONCE, PICK);
    stage.send(&[Event::pair(1.0, 1.0), Event::pair(2.0, 1.0)]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let example = examples().join("cancer");
    let init = |start: &[&str]| {
        let path = |path: &Path| path.display().to_string();
        let (model, data) = (
            path(&example.join("model.onnx")),
            path(&example.join("../../tests/fixtures/init/cancer.csv")),
        );
        let (out, brokers, topic) = (path(folder.path()), stage.kafka().bootstrap(), stage.topic("events"));
        let words = [
            "init",
            "--model",
            &model,
            "--data",
            &data,
            "--out",
            &out,
            "--force",
            "--brokers",
            &brokers,
            "--events",
            &topic,
        ];
        told(&[&words, start].concat())
    };
    let report = init(&[]);
    assert!(
        report.contains("start        earliest: with the oldest event"),
        "{report}"
    );
    assert!(report.contains("it reads 2 events before it is up to date"), "{report}");
    let report = init(&["--start", "latest"]);
    assert!(report.contains("start        latest: with what comes next"), "{report}");
    assert!(report.contains("it skips 2 events"), "{report}");
    let text = std::fs::read_to_string(folder.path().join("pipeline.toml")).expect("it was written");
    assert!(text.contains("start = \"latest\""), "{text}");
    let checked = told(&[
        "check",
        "--offline",
        &folder.path().join("pipeline.toml").display().to_string(),
    ]);
    assert!(checked.contains("is sound"), "{checked}");
}
