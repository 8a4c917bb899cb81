//! Errors that the cluster is told to answer with. It says nothing about what transactions do.

use std::time::Duration;

use eddy_broker::kafka::KafkaBroker;
use eddy_broker::settings::{Guarantee, PropertyValue, Settings, Start};
use eddy_broker::{Broker, BrokerError, Fault, Polled, Undelivered};
use eddy_pipeline::settings::Span;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::driver::{Cluster, Lane, cluster, output, partition, produce, settings, until};

/// Settings under which each output has a request of its own, one after the other.
fn one_by_one(cluster: &Cluster, guarantee: Guarantee) -> Settings {
    let mut settings = settings(cluster, guarantee);
    for property in ["batch.num.messages", "max.in.flight.requests.per.connection"] {
        let one = PropertyValue::Integer(1);
        settings.kafka.producer.insert(property.into(), one);
    }
    settings
}

fn send_rows(lane: &mut Lane, rows: u32) {
    for row in 0..rows {
        lane.broker.send(&output(b"a", &[]), 1, row).unwrap();
    }
}

/// A lane in a transaction with one delivered output.
fn in_transaction(cluster: &Cluster) -> Lane {
    let mut lane = Lane::with_everything(&settings(cluster, Guarantee::ExactlyOnce));
    begin(&mut lane);
    lane
}

fn begin(lane: &mut Lane) {
    lane.broker.begin().unwrap();
    lane.broker.send(&output(b"a", &[]), 1, 0).unwrap();
    lane.drain();
}

fn send_offsets_with(error: RDKafkaRespErr) -> (Lane, Cluster, BrokerError) {
    let cluster = cluster(1);
    let mut lane = in_transaction(&cluster);
    cluster.request_errors(RDKafkaApiKey::TxnOffsetCommit, &[error]);
    let error = lane.broker.send_offsets(&[(partition(0), 1)]).unwrap_err();
    (lane, cluster, error)
}

#[test]
fn a_group_that_moved_on_calls_for_an_abort() {
    let (mut lane, _cluster, error) = send_offsets_with(RDKafkaRespErr::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION);
    assert_eq!(error.fault, Fault::Abortable, "{error}");
    lane.broker.abort().unwrap();
    begin(&mut lane);
    lane.broker.send_offsets(&[(partition(0), 1)]).unwrap();
    lane.broker.commit().unwrap();
}

/// Offsets without a member id or a generation would be taken whoever owns the partitions.
#[test]
fn offsets_are_not_sent_by_a_lane_that_is_no_member() {
    for lost in [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION,
    ] {
        let cluster = cluster(1);
        let mut lane = in_transaction(&cluster);
        cluster.request_errors(RDKafkaApiKey::Heartbeat, &[lost]);
        let partitions = until("the partitions are lost", || match lane.poll() {
            Polled::Revoked { partitions, lost: true } => Some(partitions),
            _ => None,
        });
        let error = lane.broker.send_offsets(&[(partition(0), 1)]).unwrap_err();
        assert_eq!(error.fault, Fault::Abortable, "{error}");
        assert!(error.to_string().contains("`eddy-test`"), "{error}");
        lane.broker.abort().unwrap();

        lane.broker.release(&partitions).unwrap();
        let partitions = lane.assigned();
        lane.broker.accept(&partitions).unwrap();
        begin(&mut lane);
        lane.broker.send_offsets(&[(partition(0), 1)]).unwrap();
        lane.broker.commit().unwrap();
    }
}

#[test]
fn a_group_that_is_closed_to_us_is_a_refusal() {
    let (_lane, _cluster, error) = send_offsets_with(RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED);
    assert_eq!(error.fault, Fault::Refused, "{error}");
    assert!(
        error.to_string().contains("--operation Read --group eddy-test"),
        "{error}"
    );
}

#[test]
fn a_fenced_producer_is_replaced() {
    let cluster = cluster(1);
    let mut lane = in_transaction(&cluster);
    lane.broker.send_offsets(&[(partition(0), 1)]).unwrap();
    cluster.request_errors(
        RDKafkaApiKey::EndTxn,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH],
    );
    let error = lane.broker.commit().unwrap_err();
    assert_eq!(error.fault, Fault::Fenced, "{error}");
    assert!(error.to_string().contains("`eddy-test-test-0`"), "{error}");
    lane.broker.renew_producer().unwrap();
    assert_eq!(
        lane.broker
            .partitions_of(eddy_pipeline::event::Destination::Predictions),
        2
    );
    begin(&mut lane);
    lane.broker.commit().unwrap();
}

#[test]
fn a_commit_without_an_answer_is_of_unknown_fate() {
    let cluster = cluster(1);
    let mut settings = settings(&cluster, Guarantee::ExactlyOnce);
    settings.kafka.transaction_timeout = Span::seconds(1);
    let mut lane = Lane::with_everything(&settings);
    begin(&mut lane);
    lane.broker.send_offsets(&[(partition(0), 1)]).unwrap();
    cluster.broker_round_trip_time(-1, Duration::from_secs(20)).unwrap();
    let error = lane.broker.commit().unwrap_err();
    assert_eq!(error.fault, Fault::TimedOut, "{error}");
    cluster.broker_round_trip_time(-1, Duration::ZERO).unwrap();
    lane.broker.renew_producer().unwrap();
    begin(&mut lane);
    lane.broker.commit().unwrap();
}

#[test]
fn aborting_drops_what_is_queued_without_reporting_it() {
    let cluster = cluster(1);
    let mut settings = settings(&cluster, Guarantee::ExactlyOnce);
    settings.kafka.linger = Span::seconds(1);
    let mut lane = Lane::with_everything(&settings);
    lane.broker.begin().unwrap();
    for row in 0..5 {
        lane.broker.send(&output(b"a", &[]), 1, row).unwrap();
    }
    lane.broker.abort().unwrap();
    assert_eq!((lane.broker.outstanding(1), lane.broker.in_flight()), (0, 0));
    let mut undelivered = Vec::new();
    lane.broker.undelivered(&mut undelivered);
    assert_eq!(undelivered, []);
    lane.broker.abort().unwrap();
}

#[test]
fn what_the_client_drops_when_it_fails_does_not_count_as_delivered() {
    let cluster = cluster(1);
    let mut lane = Lane::open(&one_by_one(&cluster, Guarantee::AtLeastOnce), 0);
    // Each request takes a while, so that the others still wait when the first one is answered.
    cluster.broker_round_trip_time(-1, Duration::from_millis(300)).unwrap();
    cluster.request_errors(
        RDKafkaApiKey::Produce,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER],
    );
    send_rows(&mut lane, 5);
    lane.drain();
    let undelivered = lane.undelivered();
    let mut rows: Vec<u32> = undelivered.iter().map(|failed| failed.row).collect();
    // What is on its way is reported after what never went out. The second one may be, before the client knows that it has
    // failed; the others never go out.
    rows.sort_unstable();
    assert_eq!((rows[0], &rows[rows.len() - 3..]), (0, &[2, 3, 4][..]));
    assert!(
        undelivered.iter().all(|failed| failed.error.fault == Fault::Fatal),
        "{undelivered:?}"
    );
    assert!(
        undelivered
            .iter()
            .all(|failed| failed.error.to_string().contains("sequence")),
        "{undelivered:?}"
    );
    lane.broker.discard().unwrap();
    lane.broker.renew_producer().unwrap();
    send_rows(&mut lane, 5);
    lane.drain();
    assert_eq!(lane.undelivered(), []);
}

#[test]
fn aborting_keeps_the_reason_and_drops_its_consequences() {
    let cluster = cluster(1);
    let mut lane = Lane::with_everything(&one_by_one(&cluster, Guarantee::ExactlyOnce));
    lane.broker.begin().unwrap();
    cluster.request_errors(
        RDKafkaApiKey::Produce,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE],
    );
    send_rows(&mut lane, 5);
    lane.drain();
    lane.broker.abort().unwrap();
    let undelivered = lane.undelivered();
    let told: Vec<_> = undelivered
        .iter()
        .map(|failed| (failed.ticket, failed.row, failed.too_large))
        .collect();
    assert_eq!(told, [(1, 0, true)]);
}

#[test]
fn a_request_that_is_too_large_is_told_from_an_output_also_after_an_abort() {
    let cluster = cluster(1);
    let mut settings = settings(&cluster, Guarantee::ExactlyOnce);
    settings.kafka.linger = Span::ms(200);
    let mut lane = Lane::with_everything(&settings);
    lane.broker.begin().unwrap();
    cluster.request_errors(
        RDKafkaApiKey::Produce,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE],
    );
    send_rows(&mut lane, 3);
    lane.drain();
    lane.broker.abort().unwrap();
    let undelivered = lane.undelivered();
    assert_eq!(undelivered.len(), 3, "{undelivered:?}");
    let is_to_be_tried_again = |failed: &Undelivered| !failed.too_large && failed.error.fault == Fault::Abortable;
    assert!(undelivered.iter().all(is_to_be_tried_again), "{undelivered:?}");

    // From now on each output has a request of its own.
    lane.broker.begin().unwrap();
    cluster.request_errors(
        RDKafkaApiKey::Produce,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE],
    );
    send_rows(&mut lane, 3);
    lane.drain();
    let undelivered = lane.undelivered();
    assert!(undelivered[0].too_large && undelivered[1..].iter().all(|failed| !failed.too_large));
}

#[test]
fn a_transactional_id_that_is_closed_to_us_is_a_refusal() {
    let cluster = cluster(1);
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    cluster.request_errors(RDKafkaApiKey::InitProducerId, &[denied]);
    let error = KafkaBroker::open(&settings(&cluster, Guarantee::ExactlyOnce), 0).unwrap_err();
    assert_eq!(error.fault, Fault::Refused, "{error}");
    assert!(error.to_string().contains("`eddy-test-test-0`"), "{error}");
}

#[test]
fn a_group_without_offsets_is_named_with_the_partitions_where_that_is_an_error() {
    let cluster = cluster(2);
    let mut settings = settings(&cluster, Guarantee::AtLeastOnce);
    settings.kafka.start = Start::Error;
    let mut lane = Lane::with_everything(&settings);
    let error = until("the error comes", || lane.try_poll().err());
    assert_eq!(error.fault, Fault::Refused);
    let text = error.to_string();
    assert!(
        text.contains("`events` [0], `events` [1]") && text.contains("kafka.start"),
        "{text}"
    );
}

#[test]
fn a_broker_that_goes_away_is_waited_for() {
    let cluster = cluster(1);
    produce(&cluster.bootstrap_servers(), 0, 0..5);
    let mut lane = Lane::with_everything(&settings(&cluster, Guarantee::AtLeastOnce));
    lane.read(5);
    cluster.broker_down(-1).unwrap();
    for _ in 0..50 {
        lane.poll();
    }
    cluster.broker_up(-1).unwrap();
    produce(&cluster.bootstrap_servers(), 0, 5..8);
    lane.read(8);
    assert_eq!(lane.offsets(), (0..8).collect::<Vec<_>>());
}
