//! The promises of the Kafka harness, on which the other whole-service tests stand.

use std::collections::BTreeSet;
use std::time::Duration;

use eddy_tests::kafka::{Isolation, Kafka, Message};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

const PATIENCE: Duration = Duration::from_secs(60);

fn producer(kafka: &Kafka) -> BaseProducer {
    kafka.client().set("acks", "all").create().expect("producer")
}

fn transactional_producer(kafka: &Kafka, id: &str) -> BaseProducer {
    let producer: BaseProducer = kafka.client().set("transactional.id", id).create().expect("producer");
    producer.init_transactions(PATIENCE).expect("init transactions");
    producer
}

fn send(producer: &BaseProducer, topic: &str, values: impl IntoIterator<Item = String>) {
    for value in values {
        producer
            .send(BaseRecord::<(), _>::to(topic).partition(0).payload(&value))
            .expect("send");
    }
    producer.flush(PATIENCE).expect("flush");
}

fn values(messages: &[Message]) -> Vec<&str> {
    messages
        .iter()
        .map(|message| str::from_utf8(message.value.as_deref().expect("value")).expect("text"))
        .collect()
}

#[test]
fn a_thousand_messages_go_in_and_come_out() {
    let kafka = Kafka::shared();
    kafka.create_topic("thousand", 3, &[("retention.ms", "-1")]);
    let producer = producer(kafka);
    for i in 0..1000 {
        let (key, value) = (format!("key-{i}"), format!("value-{i}"));
        let headers = OwnedHeaders::new().insert(Header {
            key: "number",
            value: Some(&i.to_string()),
        });
        let record = BaseRecord::to("thousand")
            .key(&key)
            .payload(&value)
            .headers(headers)
            .timestamp(1_000 + i);
        producer.send(record).expect("send");
    }
    producer.flush(PATIENCE).expect("flush");

    let messages = kafka.read_all("thousand", Isolation::ReadCommitted);
    assert_eq!(messages.len(), 1000);
    assert_eq!(kafka.end_offsets("thousand").iter().sum::<i64>(), 1000);
    let numbers: BTreeSet<i64> = messages
        .iter()
        .map(|message| {
            let number: i64 = message.header("number").expect("header").parse().expect("a number");
            assert_eq!(message.key.as_deref(), Some(format!("key-{number}").as_bytes()));
            assert_eq!(message.value.as_deref(), Some(format!("value-{number}").as_bytes()));
            assert_eq!(message.timestamp, Some(1_000 + number));
            number
        })
        .collect();
    assert_eq!(numbers, (0..1000).collect());
}

#[test]
fn only_committed_transactions_are_visible_to_read_committed() {
    let kafka = Kafka::shared();
    kafka.create_topic("transactions", 1, &[]);
    let producer = transactional_producer(kafka, "transactions");

    producer.begin_transaction().expect("begin");
    send(&producer, "transactions", ["aborted".to_owned()]);
    producer.abort_transaction(PATIENCE).expect("abort");
    assert_eq!(
        values(&kafka.read_all("transactions", Isolation::ReadCommitted)),
        Vec::<&str>::new()
    );
    assert_eq!(
        values(&kafka.read_all("transactions", Isolation::ReadUncommitted)),
        ["aborted"]
    );

    producer.begin_transaction().expect("begin");
    send(&producer, "transactions", ["committed".to_owned()]);
    producer.commit_transaction(PATIENCE).expect("commit");
    assert_eq!(
        values(&kafka.read_all("transactions", Isolation::ReadCommitted)),
        ["committed"]
    );

    producer.begin_transaction().expect("begin");
    send(&producer, "transactions", ["open".to_owned()]);
    assert_eq!(
        values(&kafka.read_all("transactions", Isolation::ReadCommitted)),
        ["committed"]
    );
    assert_eq!(
        values(&kafka.read_all("transactions", Isolation::ReadUncommitted)),
        ["aborted", "committed", "open"]
    );
    // Three records and the markers of the abort and of the commit.
    assert_eq!(kafka.end_offsets("transactions"), [5]);
    producer.abort_transaction(PATIENCE).expect("abort");
}

#[test]
fn lag_is_what_the_group_has_not_committed() {
    let kafka = Kafka::shared();
    kafka.create_topic("lag", 2, &[]);
    send(&producer(kafka), "lag", (0..10).map(|i| i.to_string()));
    assert_eq!(kafka.committed("lag-group", "lag"), [None, None]);
    assert_eq!(kafka.lag("lag-group", "lag"), 10);

    let consumer: BaseConsumer = kafka.client().set("group.id", "lag-group").create().expect("consumer");
    let mut offsets = TopicPartitionList::new();
    offsets
        .add_partition_offset("lag", 0, Offset::Offset(7))
        .expect("offset");
    consumer.commit(&offsets, CommitMode::Sync).expect("commit");
    assert_eq!(kafka.committed("lag-group", "lag"), [Some(7), None]);
    assert_eq!(kafka.lag("lag-group", "lag"), 3);
}

#[test]
fn data_outlives_a_kill_and_a_restart() {
    let mut kafka = Kafka::start();
    kafka.create_topic("kept", 1, &[]);
    send(&producer(&kafka), "kept", (0..100).map(|i| i.to_string()));
    let transactional = transactional_producer(&kafka, "kept");
    transactional.begin_transaction().expect("begin");
    send(&transactional, "kept", ["committed".to_owned()]);
    transactional.commit_transaction(PATIENCE).expect("commit");

    let bootstrap = kafka.bootstrap();
    let before = kafka.read_all("kept", Isolation::ReadCommitted);
    assert_eq!(before.len(), 101);
    kafka.kill();
    kafka.restart();
    assert_eq!(kafka.bootstrap(), bootstrap);
    assert_eq!(kafka.read_all("kept", Isolation::ReadCommitted), before);

    kafka.restart();
    send(&producer(&kafka), "kept", ["later".to_owned()]);
    assert_eq!(kafka.read_all("kept", Isolation::ReadCommitted).len(), 102);
}

#[test]
fn a_frozen_broker_answers_nobody_until_it_goes_on() {
    let mut kafka = Kafka::start();
    kafka.create_topic("frozen", 1, &[]);
    let consumer: BaseConsumer = kafka.client().create().expect("consumer");
    kafka.stop_process();
    assert!(
        consumer
            .fetch_metadata(Some("frozen"), Duration::from_millis(500))
            .is_err()
    );
    kafka.continue_process();
    assert_eq!(kafka.end_offsets("frozen"), [0]);
}

#[test]
fn a_dropped_broker_leaves_no_process() {
    let kafka = Kafka::start();
    let process = format!("/proc/{}", kafka.pid().expect("kafka runs"));
    assert!(std::fs::exists(&process).expect("proc"));
    drop(kafka);
    assert!(!std::fs::exists(&process).expect("proc"));
}
