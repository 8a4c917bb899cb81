//! The Kafka adapter against a real Kafka: what only one with transactions and leader epochs can show.

mod driver;
mod reader;

use eddy_broker::kafka::{CheckError, KafkaBroker, check};
use eddy_broker::settings::{Guarantee, PropertyValue, Start};
use eddy_broker::{Broker, Fault, Polled};
use eddy_pipeline::event::{Destination, Output};
use eddy_pipeline::settings::Span;
use eddy_tests::kafka::Kafka;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use driver::{Copier, PATIENCE, numbers, partition, stage, until, visible, write_events};

#[test]
fn a_commit_makes_outputs_and_offsets_visible_together() {
    let kafka = Kafka::shared();
    let settings = stage(kafka, "commit", 1, Guarantee::ExactlyOnce);
    write_events(kafka, &settings, 0, 0..10);
    let mut copier = Copier::with_everything(&settings);
    copier.read(10);
    copier.begin_copy();
    copier.broker.send_offsets(&copier.next_offsets()).unwrap();
    assert_eq!(visible(kafka, &settings.topics.predictions), numbers(0..0));
    assert_eq!(kafka.committed(&settings.group(), &settings.topics.events), [None]);
    copier.broker.commit().unwrap();
    assert_eq!(visible(kafka, &settings.topics.predictions), numbers(0..10));
    assert_eq!(kafka.committed(&settings.group(), &settings.topics.events), [Some(10)]);
    assert_eq!(copier.broker.committed(&[partition(0)]).unwrap(), [Some(10)]);
}

#[test]
fn an_abort_hides_the_outputs_and_a_rewind_does_them_again() {
    let kafka = Kafka::shared();
    let settings = stage(kafka, "abort", 1, Guarantee::ExactlyOnce);
    write_events(kafka, &settings, 0, 0..10);
    let mut copier = Copier::with_everything(&settings);
    copier.read(4);
    copier.copy();
    copier.read(6);
    copier.begin_copy();
    copier.broker.abort().unwrap();
    let back = copier.broker.committed(&[partition(0)]).unwrap()[0].unwrap();
    copier.broker.rewind(&[(partition(0), back)]).unwrap();
    copier.read.clear();
    copier.read(6);
    copier.copy();
    assert_eq!(visible(kafka, &settings.topics.predictions), numbers(0..10));
    assert_eq!(kafka.committed(&settings.group(), &settings.topics.events), [Some(10)]);
}

#[test]
fn an_abort_with_outputs_still_queued_ends() {
    let kafka = Kafka::shared();
    let mut settings = stage(kafka, "queued", 1, Guarantee::ExactlyOnce);
    settings.kafka.linger = Span::ms(500);
    write_events(kafka, &settings, 0, 0..10);
    let mut copier = Copier::with_everything(&settings);
    copier.read(10);
    for _ in 0..3 {
        copier.broker.begin().unwrap();
        copier.send();
        copier.broker.abort().unwrap();
        assert_eq!(copier.broker.in_flight(), 0);
    }
    copier.copy();
    assert_eq!(visible(kafka, &settings.topics.predictions), numbers(0..10));
}

#[test]
fn a_twin_with_the_same_identity_fences_the_first() {
    let kafka = Kafka::shared();
    let settings = stage(kafka, "twin", 1, Guarantee::ExactlyOnce);
    write_events(kafka, &settings, 0, 0..5);
    let mut first = Copier::with_everything(&settings);
    first.read(5);
    first.begin_copy();
    let twin = Copier::open(&settings, 0);
    let error = first
        .broker
        .send_offsets(&first.next_offsets())
        .and_then(|()| first.broker.commit())
        .unwrap_err();
    assert_eq!(error.fault, Fault::Fenced, "{error}");
    assert!(error.to_string().contains("`eddy-twin-test-0`"), "{error}");
    drop(twin);
    first.broker.renew_producer().unwrap();
    first.copy();
    assert_eq!(visible(kafka, &settings.topics.predictions), numbers(0..5));
}

#[test]
fn a_renewed_producer_ends_what_the_old_one_left_open() {
    let kafka = Kafka::shared();
    let settings = stage(kafka, "renew", 1, Guarantee::ExactlyOnce);
    write_events(kafka, &settings, 0, 0..5);
    let mut copier = Copier::with_everything(&settings);
    copier.read(5);
    copier.begin_copy();
    copier.broker.send_offsets(&copier.next_offsets()).unwrap();
    copier.broker.renew_producer().unwrap();
    assert_eq!(copier.broker.committed(&[partition(0)]).unwrap(), [None]);
    copier.copy();
    assert_eq!(visible(kafka, &settings.topics.predictions), numbers(0..5));
}

#[test]
fn a_successor_ends_the_transaction_of_a_dead_process_at_once() {
    let kafka = Kafka::shared();
    let mut settings = stage(kafka, "successor", 1, Guarantee::ExactlyOnce);
    // Far longer than this test may take: only taking over the id ends the transaction.
    settings.kafka.transaction_timeout = Span::seconds(600);
    write_events(kafka, &settings, 0, 0..5);
    let mut dead = Copier::with_everything(&settings);
    dead.read(5);
    dead.begin_copy();
    dead.broker.send_offsets(&dead.next_offsets()).unwrap();
    drop(dead);
    let mut successor = Copier::with_everything(&settings);
    successor.read(5);
    successor.copy();
    assert_eq!(visible(kafka, &settings.topics.predictions), numbers(0..5));
}

#[test]
fn a_member_that_was_given_up_for_dead_cannot_commit() {
    let kafka = Kafka::shared();
    let mut settings = stage(kafka, "zombie", 1, Guarantee::ExactlyOnce);
    settings.kafka.session_timeout = Some(Span::seconds(1));
    settings
        .kafka
        .consumer
        .insert("max.poll.interval.ms".into(), PropertyValue::Integer(2_000));
    write_events(kafka, &settings, 0, 0..5);
    let mut zombie = Copier::with_everything(&settings);
    zombie.read(5);
    zombie.begin_copy();

    let mut heir = Copier::open(&settings, 1);
    let inherited = until("the partition goes to the heir", || match heir.poll() {
        Polled::Assigned(partitions) => Some(partitions),
        _ => None,
    });
    heir.broker.accept(&inherited).unwrap();
    let error = zombie.broker.send_offsets(&zombie.next_offsets()).unwrap_err();
    assert_eq!(error.fault, Fault::Abortable, "{error}");
    zombie.broker.abort().unwrap();
    heir.read(5);
    heir.copy();
    let lost = until("the zombie learns of it", || match zombie.poll() {
        Polled::Revoked { partitions, lost } => Some((partitions, lost)),
        _ => None,
    });
    assert_eq!(lost, (vec![partition(0)], true));
    zombie.broker.release(&lost.0).unwrap();
    assert_eq!(visible(kafka, &settings.topics.predictions), numbers(0..5));
}

#[test]
fn partitions_change_hands_without_loss_or_repetition() {
    let kafka = Kafka::shared();
    let settings = stage(kafka, "hands", 4, Guarantee::ExactlyOnce);
    for number in 0..4 {
        write_events(
            kafka,
            &settings,
            number,
            i64::from(number) * 100..i64::from(number) * 100 + 50,
        );
    }
    let mut first = Copier::with_everything(&settings);
    first.read(100);
    let mut second = Copier::open(&settings, 1);
    until("the second lane works", || {
        second.poll();
        match first.poll() {
            Polled::Revoked { partitions, lost } => {
                assert!(!lost);
                first.copy();
                first.broker.release(&partitions).unwrap();
                Some(())
            }
            _ => None,
        }
    });
    for number in 0..4 {
        write_events(
            kafka,
            &settings,
            number,
            i64::from(number) * 100 + 50..i64::from(number) * 100 + 100,
        );
    }
    until("everything is copied", || {
        first.step();
        second.step();
        let committed: i64 = kafka
            .committed(&settings.group(), &settings.topics.events)
            .into_iter()
            .flatten()
            .sum();
        (committed == 400).then_some(())
    });
    let mut copied: Vec<i64> = visible(kafka, &settings.topics.predictions)
        .iter()
        .map(|value| value.parse().unwrap())
        .collect();
    copied.sort_unstable();
    assert_eq!(copied, (0..400).collect::<Vec<_>>());
}

#[test]
fn positions_hold_through_rewinds_and_pauses() {
    let kafka = Kafka::shared();
    let settings = stage(kafka, "positions", 1, Guarantee::AtLeastOnce);
    write_events(kafka, &settings, 0, 0..200);
    let mut copier = Copier::with_everything(&settings);
    copier.broker.rewind(&[(partition(0), 150)]).unwrap();
    copier.read(10);
    copier.broker.rewind(&[(partition(0), 20)]).unwrap();
    copier.broker.pause(true).unwrap();
    copier.broker.pause(false).unwrap();
    copier.read.clear();
    copier.read(30);
    copier.broker.pause(true).unwrap();
    copier.broker.rewind(&[(partition(0), 10)]).unwrap();
    copier.broker.pause(false).unwrap();
    copier.read.clear();
    copier.read(190);
    let offsets: Vec<i64> = copier.read.iter().map(|(_, offset, _)| *offset).collect();
    assert_eq!(offsets, (10..200).collect::<Vec<_>>());
}

#[test]
fn at_least_once_begins_again_at_the_stored_offset() {
    let kafka = Kafka::shared();
    let settings = stage(kafka, "stored", 2, Guarantee::AtLeastOnce);
    write_events(kafka, &settings, 0, 0..10);
    let mut copier = Copier::with_everything(&settings);
    copier.read(10);
    copier.broker.store_offsets(&[(partition(0), 4)], false).unwrap();
    copier.broker.close().unwrap();
    drop(copier);
    assert_eq!(
        kafka.committed(&settings.group(), &settings.topics.events),
        [Some(4), None]
    );
    let mut successor = Copier::with_everything(&settings);
    successor.read(6);
    assert_eq!(successor.read[0].1, 4);
}

#[test]
fn the_end_of_a_partition_is_its_last_stable_offset() {
    let kafka = Kafka::shared();
    let settings = stage(kafka, "ends", 1, Guarantee::ExactlyOnce);
    write_events(kafka, &settings, 0, 0..5);
    let foreign: BaseProducer = kafka.client().set("transactional.id", "ends-foreign").create().unwrap();
    foreign.init_transactions(PATIENCE).unwrap();
    foreign.begin_transaction().unwrap();
    let record: BaseRecord<'_, str, str> = BaseRecord::to(&settings.topics.events).partition(0).payload("open");
    foreign.send(record).map_err(|(error, _)| error).unwrap();
    foreign.flush(PATIENCE).unwrap();

    let mut copier = Copier::with_everything(&settings);
    copier.read(5);
    until("the end is known", || {
        copier.poll();
        (copier.broker.ends() == [(partition(0), 5)]).then_some(())
    });
    foreign.commit_transaction(PATIENCE).unwrap();
    copier.read(6);
    // The commit's own marker has an offset as well.
    until("the new end is known", || {
        copier.poll();
        (copier.broker.ends() == [(partition(0), 7)]).then_some(())
    });
}

#[test]
fn an_offset_that_is_gone_is_an_error_where_the_file_says_so() {
    let kafka = Kafka::shared();
    let mut settings = stage(kafka, "gone", 2, Guarantee::AtLeastOnce);
    write_events(kafka, &settings, 0, 0..5);
    let mut copier = Copier::with_everything(&settings);
    copier.read(5);
    copier
        .broker
        .store_offsets(&[(partition(0), 99), (partition(1), 0)], true)
        .unwrap();
    drop(copier);
    settings.kafka.start = Start::Error;
    let mut copier = Copier::with_everything(&settings);
    let error = until("the error comes", || copier.try_poll().err());
    assert_eq!(error.fault, Fault::Refused);
    let text = error.to_string();
    assert!(
        text.contains("`gone-events` [0]") && !text.contains("[1]") && text.contains("kafka.start"),
        "{text}"
    );
}

#[test]
fn an_output_too_large_for_its_topic_is_told_with_its_row() {
    let kafka = Kafka::shared();
    let settings = stage(kafka, "large", 1, Guarantee::AtLeastOnce);
    let mut copier = Copier::open(&settings, 0);
    let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(5_000).collect();
    let output = Output {
        to: Destination::Retraining,
        partition: 0,
        key: None,
        value: Some(&noise),
        headers: &[],
    };
    copier.broker.send(&output, 3, 17).unwrap();
    copier.drain();
    let mut undelivered = Vec::new();
    copier.broker.undelivered(&mut undelivered);
    let [failure] = undelivered.as_slice() else {
        panic!("{undelivered:?}")
    };
    assert_eq!(
        (failure.ticket, failure.row, failure.to, failure.too_large),
        (3, 17, Destination::Retraining, true)
    );
    assert!(
        failure.error.to_string().contains("max.message.bytes"),
        "{}",
        failure.error
    );
}

#[test]
fn a_missing_topic_is_named_at_the_start_and_in_the_check() {
    let kafka = Kafka::shared();
    let mut settings = stage(kafka, "missing", 1, Guarantee::ExactlyOnce);
    assert_eq!(check(&settings).unwrap().topics.len(), 4);
    settings.topics.dead_letters = "missing-nowhere".into();
    let error = KafkaBroker::open(&settings, 0).unwrap_err();
    assert_eq!(error.fault, Fault::Refused);
    assert!(error.to_string().contains("`missing-nowhere`"), "{error}");
    let Err(CheckError::Problems(problems)) = check(&settings) else {
        panic!("it was found")
    };
    assert_eq!(problems[0].key, "topics.dead_letters");
}

#[test]
fn a_commit_that_meets_a_dead_broker_is_all_or_nothing() {
    let mut kafka = Kafka::start();
    let mut settings = stage(&kafka, "dead", 1, Guarantee::ExactlyOnce);
    settings.kafka.transaction_timeout = Span::seconds(2);
    write_events(&kafka, &settings, 0, 0..5);
    let mut copier = Copier::with_everything(&settings);
    copier.read(5);
    copier.begin_copy();
    copier.broker.send_offsets(&copier.next_offsets()).unwrap();
    kafka.kill();
    let error = copier.broker.commit().unwrap_err();
    assert_eq!(error.fault, Fault::TimedOut, "{error}");
    kafka.restart();
    copier.broker.renew_producer().unwrap();
    let committed = copier.broker.committed(&[partition(0)]).unwrap();
    // Meanwhile the group may have given this member up.
    drop(copier);
    if committed == [None] {
        let mut successor = Copier::with_everything(&settings);
        successor.read(5);
        successor.copy();
    }
    assert_eq!(visible(&kafka, &settings.topics.predictions), numbers(0..5));
}
