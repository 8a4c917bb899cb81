//! Reading a topic back: spans, ends, and what is not to be seen.

use eddy_broker::kafka::{Committed, Stretch, TopicReader};
use eddy_broker::settings::Guarantee;
use eddy_broker::{BrokerError, Fault};
use eddy_tests::kafka::Kafka;
use eddy_tests::service::wait_for;
use eddy_tests::stage::{Event, send};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use crate::driver::{PATIENCE, events, stage};

/// Partition, offset and value of every record of these stretches.
fn read(reader: &TopicReader, stretches: &[Stretch]) -> Vec<(i32, i64, String)> {
    let mut found = Vec::new();
    let read = reader.read(stretches, &mut |record| {
        let value = String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned();
        found.push((record.source.partition.number, record.source.offset, value));
        Ok::<_, BrokerError>(())
    });
    assert_eq!(read.expect("Kafka is there"), found.len() as u64);
    found
}

fn values(reader: &TopicReader, stretches: &[Stretch]) -> Vec<String> {
    read(reader, stretches).into_iter().map(|(_, _, value)| value).collect()
}

fn transactional(kafka: &Kafka, id: &str) -> BaseProducer {
    let mut config = kafka.client();
    config.set("transactional.id", id);
    let producer: BaseProducer = config.create().expect("a producer can be made");
    producer.init_transactions(PATIENCE).expect("an id can be taken over");
    producer
}

/// Writes numbers in a transaction that is left open.
fn open_transaction(producer: &BaseProducer, topic: &str, numbers: std::ops::Range<u32>) {
    producer.begin_transaction().expect("a transaction can be begun");
    for number in numbers {
        let value = number.to_string();
        let record = BaseRecord::<(), str>::to(topic).partition(0).payload(&value);
        producer
            .send(record)
            .map_err(|(error, _)| error)
            .expect("there is room");
    }
    producer.flush(PATIENCE).expect("the records arrive");
}

#[test]
fn a_partition_that_ends_with_aborted_records_is_read_to_its_end() {
    let kafka = Kafka::shared();
    let settings = stage(kafka, "read-aborted", 2, Guarantee::ExactlyOnce);
    send(kafka, events(&settings), &[Event::new("a"), Event::new("b")]);
    let producer = transactional(kafka, "read-aborted");
    open_transaction(&producer, events(&settings), 0..50);
    producer.abort_transaction(PATIENCE).expect("it can be aborted");
    let reader = TopicReader::open(&settings, events(&settings)).unwrap();
    let all = reader.all().unwrap();
    // Two records, fifty aborted ones and a marker; nothing in the other partition.
    assert_eq!(
        all.iter().map(|one| one.offsets.clone()).collect::<Vec<_>>(),
        [0..53, 0..0]
    );
    assert_eq!(values(&reader, &all), ["a", "b"]);
    // And once more, with nothing but aborted records in it.
    let aborted = [Stretch {
        partition: 0,
        offsets: 2..53,
    }];
    assert_eq!(read(&reader, &aborted), []);
}

#[test]
fn what_an_open_transaction_holds_back_is_not_waited_for() {
    let kafka = Kafka::shared();
    let settings = stage(kafka, "read-open", 1, Guarantee::ExactlyOnce);
    send(kafka, events(&settings), &[Event::new("a")]);
    let producer = transactional(kafka, "read-open");
    open_transaction(&producer, events(&settings), 0..3);
    send(kafka, events(&settings), &[Event::new("behind it")]);
    let reader = TopicReader::open(&settings, events(&settings)).unwrap();
    assert_eq!(values(&reader, &reader.all().unwrap()), ["a"]);
    producer.commit_transaction(PATIENCE).expect("it can be committed");
    // The marker is written a moment after the commit is confirmed.
    wait_for("the committed records", || {
        let found = values(&reader, &reader.all().unwrap());
        (found == ["a", "0", "1", "2", "behind it"]).then_some(())
    });
}

#[test]
fn what_comes_after_the_ends_were_asked_for_is_left_out() {
    let kafka = Kafka::shared();
    let settings = stage(kafka, "read-ends", 2, Guarantee::AtLeastOnce);
    send(kafka, events(&settings), &[Event::new("a"), Event::new("b").at(1)]);
    let reader = TopicReader::open(&settings, events(&settings)).unwrap();
    let all = reader.all().unwrap();
    send(
        kafka,
        events(&settings),
        &[Event::new("late"), Event::new("later").at(1)],
    );
    let mut found = read(&reader, &all);
    found.sort();
    assert_eq!(found, [(0, 0, "a".into()), (1, 0, "b".into())]);
}

#[test]
fn a_span_begins_and_ends_by_the_time_of_the_records() {
    let kafka = Kafka::shared();
    let settings = stage(kafka, "read-times", 2, Guarantee::AtLeastOnce);
    let at = |time: i64| Event::new(time.to_string()).stamped(1_790_000_000_000 + time);
    send(kafka, events(&settings), &[at(1), at(2), at(3), at(4), at(2).at(1)]);
    let reader = TopicReader::open(&settings, events(&settings)).unwrap();
    let between = |since: Option<i64>, until: Option<i64>| {
        let time = |time: i64| 1_790_000_000_000 + time;
        let stretches = reader.between(since.map(time), until.map(time)).unwrap();
        let mut found = values(&reader, &stretches);
        found.sort();
        found
    };
    assert_eq!(between(Some(2), Some(4)), ["2", "2", "3"]);
    assert_eq!(between(Some(3), None), ["3", "4"]);
    assert_eq!(between(None, Some(2)), ["1"]);
    assert_eq!(between(Some(5), None), [""; 0]);
    assert_eq!(between(None, None), ["1", "2", "2", "3", "4"]);
}

#[test]
fn an_error_of_the_caller_ends_the_reading_and_another_one_can_follow() {
    let kafka = Kafka::shared();
    let settings = stage(kafka, "read-stop", 1, Guarantee::AtLeastOnce);
    send(kafka, events(&settings), &[Event::new("a"), Event::new("b")]);
    let reader = TopicReader::open(&settings, events(&settings)).unwrap();
    let all = reader.all().unwrap();
    let own = BrokerError {
        fault: Fault::Refused,
        doing: "writing a row".into(),
        message: "no room".into(),
    };
    let stopped = reader.read(&all, &mut |_| Err(own.clone()));
    assert_eq!(stopped, Err(own));
    assert_eq!(values(&reader, &all), ["a", "b"]);
}

#[test]
fn a_topic_that_is_not_there_is_named_with_what_to_do() {
    let kafka = Kafka::shared();
    let settings = stage(kafka, "read-missing", 1, Guarantee::AtLeastOnce);
    let error = TopicReader::open(&settings, "no-such-topic").unwrap_err();
    assert_eq!(error.fault, Fault::Refused);
    let said = error.to_string();
    assert!(said.contains("`no-such-topic`") && said.contains("create it"), "{said}");
}

#[test]
fn what_a_group_has_committed_is_seen_without_joining_it() {
    let kafka = Kafka::shared();
    let settings = stage(kafka, "read-group", 2, Guarantee::AtLeastOnce);
    let reader = TopicReader::open(&settings, events(&settings)).unwrap();
    assert_eq!(reader.committed().unwrap(), [None, None]);
    let mut config = kafka.client();
    config.set("group.id", settings.group());
    let member: BaseConsumer = config.create().expect("a consumer can be made");
    let mut position = TopicPartitionList::new();
    let mut partition = position.add_partition(events(&settings), 1);
    partition.set_offset(Offset::Offset(7)).expect("an offset");
    partition.set_metadata("a note");
    member
        .commit(&position, CommitMode::Sync)
        .expect("a group without members takes offsets");
    let committed = Committed {
        offset: 7,
        note: "a note".into(),
    };
    assert_eq!(reader.committed().unwrap(), [None, Some(committed)]);
}
