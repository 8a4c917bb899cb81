//! Records that are sent again, each event once a job, and only this pipeline's.

use std::process::{Command, Stdio};

use eddy_tests::kafka::{Isolation, Message};
use eddy_tests::service::wait_for;
use eddy_tests::stage::{Event, Stage, by_id, send};

use super::{eddy, file, ids, succeeds};
use crate::{BINARY, EXACTLY_ONCE, all_unsure, stage};

/// Lets a stream with many dead letters go on.
const NO_FLOOD: [(&str, &str); 1] = [("EDDY__DEAD_LETTERS__FLOOD_SHARE", "1.0")];

/// Writes bad events, and runs the pipeline over them, so that there are as many dead letters.
fn with_dead_letters(name: &str, count: usize) -> Stage {
    let stage = stage(name, EXACTLY_ONCE, &all_unsure());
    let bad = |number: usize| {
        Event::new(format!("no JSON {number}"))
            .named(&number.to_string())
            .keyed(format!("key-{number}"))
            .header("tenant", "north")
    };
    stage.send(&(0..count).map(bad).collect::<Vec<_>>());
    let outputs = stage.run(BINARY, &NO_FLOOD);
    assert_eq!(outputs.dead_letters.len(), count);
    // Where they are sent, so that they do not come back.
    stage.kafka().create_topic(&stage.topic("again"), 1, &[]);
    stage
}

fn again(stage: &Stage) -> Vec<Message> {
    stage.kafka().read_all(&stage.topic("again"), Isolation::ReadCommitted)
}

/// The words of a job that sends dead letters to the topic `again`.
fn words<'a>(file: &'a str, to: &'a str, job: &'a str) -> Vec<&'a str> {
    vec!["redrive", file, "--from", "dead_letters", "--to", to, "--job", job]
}

#[test]
fn a_job_sends_each_event_once_as_it_was_and_a_second_run_only_what_is_new() {
    let stage = with_dead_letters("redrive", 40);
    let (file, to) = (file(&stage), stage.topic("again"));
    let job = words(&file, &to, "j");

    let dry = succeeds(&[&job[..], &["--dry-run"]].concat());
    assert!(
        dry.contains("40 events would be sent") && dry.contains("40  reason malformed"),
        "{dry}"
    );
    assert_eq!(again(&stage), [], "a dry run writes nothing");
    let group = format!("{}-redrive-j", stage.group());
    assert_eq!(stage.kafka().committed(&group, &stage.topic("dead-letters")), [None]);

    let none = succeeds(&[&words(&file, &to, "none")[..], &["--reason", "tombstone"]].concat());
    assert!(
        none.contains("0 events were sent") && none.contains("40  left out: another reason"),
        "{none}"
    );
    assert_eq!(again(&stage), []);

    let report = succeeds(&job);
    assert!(report.contains("40 events were sent"), "{report}");
    let sent = again(&stage);
    assert_eq!(by_id(&sent).len(), 40);
    for message in &sent {
        let names: Vec<&str> = message.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["eddy.id", "tenant"], "of Eddy's headers the id alone goes back");
        let id = message.header("eddy.id").expect("it has an id");
        assert_eq!(message.value.as_deref(), Some(format!("no JSON {id}").as_bytes()));
        assert_eq!(message.key.as_deref(), Some(format!("key-{id}").as_bytes()));
    }

    assert!(succeeds(&job).contains("0 events were sent"), "nothing is new");
    // One that is new, and one that the job knows already.
    stage.send(&[Event::new("no JSON").named("new"), Event::new("no JSON 7").named("7")]);
    stage.run(BINARY, &NO_FLOOD);
    let report = succeeds(&job);
    assert!(
        report.contains("1 event") && report.contains("1  left out: this job has sent"),
        "{report}"
    );
    assert_eq!(by_id(&again(&stage)).len(), 41);

    let (code, _, why) = eddy(&[&job[..], &["--reason", "malformed"]].concat());
    assert_eq!(code, Some(64), "{why}");
    assert!(why.contains("a --job of its own"), "{why}");
    let (code, _, why) = eddy(&words(&file, &stage.topic("dead-letters"), "circle"));
    assert_eq!(code, Some(64), "{why}");
    let (code, _, why) = eddy(&words(&file, "no-such-topic", "lost"));
    assert_eq!(code, Some(78), "{why}");
    assert!(why.contains("`no-such-topic`"), "{why}");
}

#[test]
fn a_job_that_is_killed_half_way_and_run_again_has_sent_each_event_once() {
    const COUNT: usize = 6000;
    let stage = with_dead_letters("redrive-kill", COUNT);
    let (file, to) = (file(&stage), stage.topic("again"));
    let mut killed_half_way = 0;
    for _ in 0..4 {
        // So long does each transaction take at least.
        let mut child = Command::new(BINARY)
            .args(words(&file, &to, "j"))
            .env("EDDY__KAFKA__LINGER", "300ms")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program under test was built with the tests");
        let before = again(&stage).len();
        wait_for("a transaction of the job to be there, or its end", || {
            let is_ended = child.try_wait().expect("a child can be asked").is_some();
            (is_ended || again(&stage).len() > before).then_some(())
        });
        child.kill().expect("a child can be killed");
        child.wait().expect("a killed child can be waited for");
        killed_half_way += usize::from((1..COUNT).contains(&again(&stage).len()));
    }
    assert!(killed_half_way > 0, "at least one run was killed half-way");
    succeeds(&words(&file, &to, "j"));
    let sent = again(&stage);
    assert_eq!(
        (sent.len(), ids(&sent).len()),
        (COUNT, COUNT),
        "each once, and none is missing"
    );
}

#[test]
fn samples_that_are_sent_back_keep_their_ids_and_come_through_the_pipeline_again() {
    let stage = stage("redrive-samples", EXACTLY_ONCE, &all_unsure());
    let good = |number: usize| Event::new(format!(r#"{{"features":{:?}}}"#, [0.25; 32])).named(&format!("s-{number}"));
    stage.send(&(0..20).map(good).collect::<Vec<_>>());
    stage.run(BINARY, &[]);
    let file = file(&stage);
    let job = [
        "redrive",
        &file,
        "--from",
        "retraining",
        "--job",
        "back",
        "--reason",
        "uncertainty",
        "--model",
        "mlp",
    ];
    assert!(succeeds(&job).contains("20 events were sent"));
    let mut replica = stage.start(BINARY, &[]);
    wait_for("the events to be predicted again", || {
        (stage.outputs().predictions.len() == 40).then_some(())
    });
    assert_eq!(replica.terminate().code(), Some(0));
    let outputs = stage.outputs();
    assert_eq!(ids(&outputs.predictions).len(), 20);
    // They were selected again, and the job knows them.
    assert_eq!(outputs.samples.len(), 40);
    let report = succeeds(&job);
    assert!(
        report.contains("0 events were sent") && report.contains("20  left out: this job has sent"),
        "{report}"
    );
    let out = stage.file().with_file_name("s.csv").display().to_string();
    let report = succeeds(&["samples", &file, "--out", &out]);
    assert!(
        report.contains("20 rows") && report.contains("20  older samples of the same events"),
        "{report}"
    );
}

#[test]
fn what_another_pipeline_wrote_to_the_same_topics_is_neither_a_row_nor_sent() {
    let stage = stage("shared-outputs", EXACTLY_ONCE, &all_unsure());
    let good = Event::new(format!(r#"{{"features":{:?}}}"#, [0.25; 32])).named("own");
    stage.send(&[good, Event::new("no JSON").named("own-bad")]);
    stage.run(BINARY, &NO_FLOOD);
    let (samples, dead) = (stage.topic("retraining"), stage.topic("dead-letters"));
    let alike = |id: &str, source: &str| {
        Event::new("{}")
            .named(id)
            .header("eddy.format", "1")
            .header("eddy.source", source)
            .header("eddy.body", "original")
    };
    let foreign = alike("theirs", "other-events/0/3");
    let sample = foreign
        .clone()
        .header("eddy.selection", r#"[{"model":"mlp","arms":["uncertainty"]}]"#);
    send(stage.kafka(), &samples, &[sample]);
    send(stage.kafka(), &dead, &[foreign.header("eddy.reason", "malformed")]);
    stage.kafka().create_topic(&stage.topic("again"), 1, &[]);
    let (file, to) = (file(&stage), stage.topic("again"));

    let out = stage.file().with_file_name("s.csv").display().to_string();
    let report = succeeds(&["samples", &file, "--out", &out]);
    assert!(
        report.contains("1 row ") && report.contains("1  of another pipeline"),
        "{report}"
    );
    for from in ["retraining", "dead_letters"] {
        let report = succeeds(&["redrive", &file, "--from", from, "--to", &to, "--job", from]);
        assert!(
            report.contains("1 event were sent") && report.contains("1  left out: of another pipeline"),
            "{report}"
        );
    }
    let sent = again(&stage);
    assert_eq!(ids(&sent), ["own", "own-bad"].into());

    let empty = ["--since", "2026-05-02", "--until", "2026-05-01"];
    let (code, _, why) = eddy(&[&words(&file, &to, "empty")[..], &empty].concat());
    assert_eq!(code, Some(64), "{why}");
    let group = format!("{}-redrive-empty", stage.group());
    assert_eq!(
        stage.kafka().committed(&group, &dead),
        [None],
        "nothing of the job was touched"
    );
    let since = [&words(&file, &to, "dead_letters")[..], &["--since", "1d"]].concat();
    let report = succeeds(&since);
    assert!(report.contains("--since says only where a job begins"), "{report}");

    let newer = alike("new", &format!("{}/0/9", stage.topic("events"))).header("eddy.reason", "malformed");
    let newer = Event {
        headers: newer
            .headers
            .into_iter()
            .map(|(name, value)| {
                if name == "eddy.format" {
                    (name, Some(b"2".to_vec()))
                } else {
                    (name, value)
                }
            })
            .collect(),
        ..newer
    };
    send(stage.kafka(), &dead, &[newer]);
    let (code, _, why) = eddy(&words(&file, &to, "dead_letters"));
    assert_eq!(code, Some(78), "{why}");
    assert!(why.contains("is of format 2"), "{why}");
    let (code, _, why) = eddy(&["why", &file, "new"]);
    assert_eq!(code, Some(78), "{why}");
}
