//! Output topics that go away, or may not be written any more, under a running service: it stops where it stands and says
//! which topic; nothing is dropped, and everything goes on from there once the topic is back.

use std::sync::OnceLock;

use eddy_tests::kafka::Kafka;
use eddy_tests::oracle::Outputs;
use eddy_tests::service::{Replica, wait_for};
use eddy_tests::stage::{Event, Plan, Stage, by_id};

use crate::{AT_LEAST_ONCE, BINARY, EXACTLY_ONCE, PICK, stage};

/// A guarantee could no longer be kept.
const GUARANTEE_LOST: i32 = 70;
/// Something that the file names is not there.
const CONFIGURATION: i32 = 78;
/// Good events before the first that has no place to go.
const HEALTHY: usize = 20;
/// How soon the client believes that a topic is gone; its default of half a minute is for topics that were just made.
const SOON: (&str, &str) = (
    "EDDY__KAFKA__PRODUCER",
    r#"{ "topic.metadata.propagation.max.ms" = 1000 }"#,
);

fn good(number: usize) -> Event {
    Event::pair(1.0, 1.0).named(&format!("good {number:02}"))
}

fn bad(number: usize) -> Event {
    Event::new("no JSON").named(&format!("bad {number:02}"))
}

/// A replica that has written predictions and a dead letter.
fn at_work(stage: &Stage) -> Replica {
    let mut replica = stage.start(BINARY, &[SOON]);
    stage.send(&(0..HEALTHY).map(good).chain([bad(0)]).collect::<Vec<_>>());
    stage.wait_for_end(&mut replica);
    replica
}

/// The replica ends by itself, and its log has these words in one line.
#[track_caller]
fn ends(replica: &mut Replica, code: i32, words: &[&str]) {
    let status = replica.wait();
    let log = replica.log();
    assert_eq!(status.code(), Some(code), "{log}");
    let is_said = log.lines().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(is_said && !log.contains("panicked"), "{words:?} in one line of {log}");
}

/// Every event that was sent is there, once where that is promised.
#[track_caller]
fn is_whole(outputs: &Outputs, goods: usize, bads: usize, guarantee: &str) {
    let ids = |messages: &[eddy_tests::kafka::Message]| {
        let mut ids: Vec<_> = messages
            .iter()
            .map(|message| message.header("eddy.id").unwrap().to_owned())
            .collect();
        ids.sort();
        if guarantee == AT_LEAST_ONCE {
            ids.dedup();
        }
        ids
    };
    let numbered = |word: &str, count: usize| {
        (0..count)
            .map(|number| format!("{word} {number:02}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&outputs.predictions), numbered("good", goods));
    // Those of the topic that was deleted went with it.
    let dead = ids(&outputs.dead_letters);
    assert_eq!(dead, numbered("bad", bads)[bads - dead.len()..]);
}

fn dead_letters_are_gone(name: &str, guarantee: &str) {
    let stage = stage(name, guarantee, PICK);
    let topic = stage.topic("dead-letters");
    let mut replica = at_work(&stage);
    let before = stage.committed();

    stage.kafka().delete_topic(&topic);
    stage.send(&[bad(1), good(HEALTHY)]);
    ends(&mut replica, GUARANTEE_LOST, &[&topic, "create it"]);
    assert_eq!(
        stage.committed(),
        before,
        "offsets stand before the event that has no place to go"
    );

    let mut replica = stage.start(BINARY, &[]);
    ends(&mut replica, CONFIGURATION, &[&topic, "does not exist", "create it"]);
    assert_eq!(stage.committed(), before);

    stage.kafka().create_topic(&topic, 1, &[]);
    let outputs = stage.run(BINARY, &[]);
    is_whole(&outputs, HEALTHY + 1, 2, guarantee);
    assert_eq!(by_id(&outputs.dead_letters).into_keys().collect::<Vec<_>>(), ["bad 01"]);
}

#[test]
fn exactly_once_the_stream_stops_where_the_topic_of_dead_letters_is_gone_and_goes_on_when_it_is_back() {
    dead_letters_are_gone("gone-eos", EXACTLY_ONCE);
}

#[test]
fn at_least_once_the_stream_stops_where_the_topic_of_dead_letters_is_gone_and_goes_on_when_it_is_back() {
    dead_letters_are_gone("gone-alo", AT_LEAST_ONCE);
}

/// A broker of their own for the tests that take rights away.
fn strict() -> &'static Kafka {
    static STRICT: OnceLock<Kafka> = OnceLock::new();
    STRICT.get_or_init(|| {
        Kafka::start_with(&[
            (
                "authorizer.class.name",
                "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            ),
            ("allow.everyone.if.no.acl.found", "true"),
        ])
    })
}

fn writing_is_forbidden(name: &str, guarantee: &str, topic: &str, next: Event) {
    let stage = Stage::on(
        strict(),
        &Plan {
            name,
            guarantee,
            partitions: 1,
            limits: &[],
            text: PICK,
        },
    );
    let topic = stage.topic(topic);
    let mut replica = at_work(&stage);
    let before = stage.committed();

    stage.kafka().forbid_writing(&topic, true);
    stage.send(&[next, good(HEALTHY)]);
    ends(&mut replica, GUARANTEE_LOST, &[&topic, "uthoriz", "allow"]);
    assert_eq!(
        stage.committed(),
        before,
        "offsets stand before the event that has no place to go"
    );

    stage.kafka().forbid_writing(&topic, false);
    let outputs = stage.run(BINARY, &[]);
    is_whole(&outputs, HEALTHY + 1, 2, guarantee);
    assert_eq!(outputs.dead_letters.len(), 2);
}

#[test]
fn exactly_once_the_stream_stops_where_dead_letters_may_not_be_written_and_goes_on_when_they_may() {
    writing_is_forbidden("forbidden-eos", EXACTLY_ONCE, "dead-letters", bad(1));
}

#[test]
fn at_least_once_the_stream_stops_where_dead_letters_may_not_be_written_and_goes_on_when_they_may() {
    writing_is_forbidden("forbidden-alo", AT_LEAST_ONCE, "dead-letters", bad(1));
}

#[test]
fn a_topic_that_is_made_anew_under_a_running_service_is_written_to_again() {
    let stage = stage("anew", EXACTLY_ONCE, PICK);
    let topic = stage.topic("dead-letters");
    let mut replica = at_work(&stage);
    stage.kafka().delete_topic(&topic);
    stage.kafka().create_topic(&topic, 1, &[]);
    stage.send(&[bad(1), good(HEALTHY)]);
    // It either goes on, or ends with its sentence and goes on after a restart, as a supervisor would have it.
    wait_for("the events behind", || {
        if !replica.is_running() {
            ends(&mut replica, GUARANTEE_LOST, &[&topic]);
            replica = stage.start(BINARY, &[]);
        }
        (stage.lag() == 0).then_some(())
    });
    assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());
    is_whole(&stage.outputs(), HEALTHY + 1, 2, EXACTLY_ONCE);
}
