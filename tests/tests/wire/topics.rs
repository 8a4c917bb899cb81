//! `eddy topics` on a Kafka that asks who may do what: what is missing is made once, what exists stays as it is.

use std::process::{Command, Output};

use eddy_tests::kafka::{self, Acl};
use eddy_tests::secure::{Door, SecureKafka, password_of};
use eddy_tests::stage::Stage;

use crate::{BINARY, CONFIGURATION, Client, EXACTLY_ONCE, allow_all, said, stage};

fn client(user: &str) -> Client {
    Client::through(Door::Sasl).named("PLAIN", user, &password_of(user))
}

fn topics(client: &Client, stage: &Stage, words: &[&str]) -> Output {
    Command::new(BINARY)
        .arg("topics")
        .arg(stage.file())
        .args(words)
        .envs(client.settings())
        .output()
        .expect("the program under test was built with the tests")
}

fn may(operation: kafka::Operation, user: &str, topic: &str) -> Acl {
    Acl {
        principal: format!("User:{user}"),
        resource: kafka::Resource::Topic(topic.to_owned()),
        operation,
    }
}

#[test]
fn what_is_missing_is_made_once_and_what_exists_stays_as_it_is() {
    let stage = stage("wire-topics", EXACTLY_ONCE);
    let kafka = SecureKafka::shared().kafka();
    allow_all(&stage, "User:topics");
    let client = client("topics");
    let [retraining, dead_letters] = ["retraining", "dead-letters"].map(|topic| stage.topic(topic));
    kafka.delete_topic(&retraining);
    kafka.delete_topic(&dead_letters);
    kafka.configure_topic(&stage.topic("events"), &[("max.message.bytes", "2000000")]);

    // What may not be known is not made up.
    let blind = said(&topics(&client, &stage, &[]), 0);
    assert!(blind.contains("it may not be described (DescribeConfigs)"), "{blind}");
    kafka.allow(&[may(kafka::Operation::DescribeConfigs, "topics", &stage.topic("events"))]);
    let looked = said(&topics(&client, &stage, &[]), 0);
    for topic in [&retraining, &dead_letters] {
        let command = format!(
            "--create --topic {topic} --partitions 1 --replication-factor 1 --config max.message.bytes=2065536"
        );
        assert!(looked.contains(&command), "{command}: {looked}");
    }
    assert!(looked.contains("--operation Write --topic"), "{looked}");
    // Looking made nothing.
    assert_eq!(said(&topics(&client, &stage, &[]), 0), looked);

    // Without the right to create, the one that is lacking is named, for each.
    let refused = said(&topics(&client, &stage, &["--apply"]), CONFIGURATION);
    for topic in [&retraining, &dead_letters] {
        assert!(
            refused.contains(&format!("--operation Create --topic {topic}")),
            "{refused}"
        );
    }
    kafka.allow(&[
        may(kafka::Operation::Create, "topics", &retraining),
        may(kafka::Operation::Create, "topics", &dead_letters),
    ]);
    let applied = said(&topics(&client, &stage, &["--apply", "--retention", "3d"]), 0);
    assert_eq!(applied.matches(" created ").count(), 2, "{applied}");
    let again = said(
        &topics(&client, &stage, &["--apply", "--retention", "9d", "--partitions", "7"]),
        0,
    );
    assert!(!again.contains(" created ") && !again.contains("--create"), "{again}");
    assert_eq!(again.matches(" there ").count(), 4, "{again}");
    // The pipeline works on what was made.
    client.works(&stage);
}

#[test]
fn a_wrong_password_is_named_as_such() {
    let stage = stage("wire-topics-password", EXACTLY_ONCE);
    let client = Client::through(Door::Sasl).named("PLAIN", "topics", "wrong");
    let refused = said(&topics(&client, &stage, &[]), CONFIGURATION);
    assert!(refused.contains("password"), "{refused}");
}

#[test]
fn a_missing_events_topic_is_its_producers_to_make_unless_that_is_asked_for() {
    let stage = stage("wire-no-events", EXACTLY_ONCE);
    let kafka = SecureKafka::shared().kafka();
    allow_all(&stage, "User:no-events");
    let client = client("no-events");
    let events = stage.topic("events");
    kafka.allow(&[may(kafka::Operation::Create, "no-events", &events)]);
    kafka.delete_topic(&events);
    let without = said(&topics(&client, &stage, &["--apply"]), 0);
    assert!(
        without.contains("A topic of events is missing") && !without.contains(" created "),
        "{without}"
    );
    let with = said(
        &topics(&client, &stage, &["--apply", "--with-events", "--partitions", "2"]),
        0,
    );
    assert_eq!(with.matches(" created ").count(), 1, "{with}");
    let after = said(&topics(&client, &stage, &[]), 0);
    assert_eq!(after.matches(" there ").count(), 4, "{after}");
}
