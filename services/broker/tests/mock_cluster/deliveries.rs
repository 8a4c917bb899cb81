use eddy_broker::settings::Guarantee;
use eddy_broker::{Broker, Fault, SendError};
use eddy_pipeline::event::{Destination, Header, Output};
use eddy_pipeline::settings::{Bytes, Span};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Headers;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{ClientConfig, Message};

use crate::driver::{Lane, cluster, output, settings, until};

#[test]
fn deliveries_are_counted_by_ticket() {
    let cluster = cluster(1);
    let mut lane = Lane::open(&settings(&cluster, Guarantee::AtLeastOnce), 0);
    for row in 0..3 {
        lane.broker.send(&output(b"a", &[]), 7, row).unwrap();
    }
    lane.broker.send(&output(b"b", &[]), 8, 0).unwrap();
    assert_eq!(
        (
            lane.broker.outstanding(7),
            lane.broker.outstanding(8),
            lane.broker.in_flight()
        ),
        (3, 1, 4)
    );
    lane.drain();
    assert_eq!((lane.broker.outstanding(7), lane.broker.outstanding(8)), (0, 0));
    let mut undelivered = Vec::new();
    lane.broker.undelivered(&mut undelivered);
    assert_eq!(undelivered, []);
}

#[test]
fn an_output_arrives_with_key_value_and_headers() {
    let cluster = cluster(1);
    let mut lane = Lane::open(&settings(&cluster, Guarantee::AtLeastOnce), 0);
    let headers = [
        Header {
            name: "eddy.id",
            value: Some(b"1"),
        },
        Header {
            name: "empty",
            value: Some(b""),
        },
        Header {
            name: "null",
            value: None,
        },
    ];
    let full = Output {
        to: Destination::DeadLetters,
        partition: 1,
        key: Some(b""),
        value: Some(b""),
        headers: &headers,
    };
    let bare = Output {
        key: None,
        value: None,
        headers: &[],
        ..full
    };
    lane.broker.send(&full, 0, 0).unwrap();
    lane.broker.send(&bare, 0, 1).unwrap();
    lane.drain();

    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "reader");
    let reader: BaseConsumer = config.set("auto.offset.reset", "earliest").create().unwrap();
    reader.subscribe(&["dead-letters"]).unwrap();
    let message = || {
        until("an output arrives", || {
            reader.poll(std::time::Duration::from_millis(50))?.ok()
        })
    };
    let first = message();
    assert_eq!(
        (first.partition(), first.key(), first.payload()),
        (1, Some(&b""[..]), Some(&b""[..]))
    );
    let found: Vec<_> = first
        .headers()
        .unwrap()
        .iter()
        .map(|header| (header.key, header.value))
        .collect();
    assert_eq!(
        found,
        [("eddy.id", Some(&b"1"[..])), ("empty", Some(&b""[..])), ("null", None)]
    );
    let second = message();
    assert_eq!(
        (second.key(), second.payload(), second.headers().is_none()),
        (None, None, true)
    );
}

#[test]
fn an_output_larger_than_the_limit_is_not_taken() {
    let cluster = cluster(1);
    let mut settings = settings(&cluster, Guarantee::AtLeastOnce);
    settings.kafka.max_output_bytes = Bytes(2_000);
    let mut lane = Lane::open(&settings, 0);
    let Err(SendError::TooLarge { detail }) = lane.broker.send(&output(&[0; 3_000], &[]), 1, 0) else {
        panic!("it was taken");
    };
    assert!(
        detail.contains("3003") && detail.contains("kafka.max_output_bytes") && detail.contains("2000"),
        "{detail}"
    );
    assert_eq!((lane.broker.outstanding(1), lane.broker.in_flight()), (0, 0));
}

#[test]
fn an_output_that_its_topic_refuses_is_reported_with_its_row() {
    let cluster = cluster(1);
    let mut lane = Lane::open(&settings(&cluster, Guarantee::AtLeastOnce), 0);
    cluster.request_errors(
        RDKafkaApiKey::Produce,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE],
    );
    lane.broker.send(&output(b"a", &[]), 5, 42).unwrap();
    lane.drain();
    let mut undelivered = Vec::new();
    lane.broker.undelivered(&mut undelivered);
    let [failure] = undelivered.as_slice() else {
        panic!("{undelivered:?}")
    };
    assert_eq!(
        (failure.ticket, failure.row, failure.to, failure.too_large),
        (5, 42, Destination::Predictions, true)
    );
    assert!(
        failure.error.to_string().contains("`predictions` [0]"),
        "{}",
        failure.error
    );
    lane.broker.undelivered(&mut undelivered);
    assert_eq!(undelivered.len(), 1, "a failure is told once");
}

#[test]
fn a_topic_that_is_closed_to_us_is_a_refusal() {
    let cluster = cluster(1);
    let mut lane = Lane::open(&settings(&cluster, Guarantee::AtLeastOnce), 0);
    cluster.request_errors(
        RDKafkaApiKey::Produce,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED],
    );
    lane.broker.send(&output(b"a", &[]), 5, 0).unwrap();
    lane.drain();
    let mut undelivered = Vec::new();
    lane.broker.undelivered(&mut undelivered);
    assert_eq!(
        (undelivered[0].error.fault, undelivered[0].too_large),
        (Fault::Refused, false)
    );
}

#[test]
fn discarding_empties_the_queue_and_reports_nothing() {
    let cluster = cluster(1);
    let mut settings = settings(&cluster, Guarantee::AtLeastOnce);
    settings.kafka.linger = Span::seconds(1);
    let mut lane = Lane::open(&settings, 0);
    for row in 0..5 {
        lane.broker.send(&output(b"a", &[]), 1, row).unwrap();
    }
    lane.broker.discard().unwrap();
    assert_eq!((lane.broker.outstanding(1), lane.broker.in_flight()), (0, 0));
    let mut undelivered = Vec::new();
    lane.broker.undelivered(&mut undelivered);
    assert_eq!(undelivered, []);
}

#[test]
fn discarding_works_while_the_brokers_are_away() {
    let cluster = cluster(1);
    let mut lane = Lane::open(&settings(&cluster, Guarantee::AtLeastOnce), 0);
    cluster.broker_down(-1).unwrap();
    for row in 0..5 {
        lane.broker.send(&output(b"a", &[]), 1, row).unwrap();
    }
    lane.broker.discard().unwrap();
    assert_eq!(lane.broker.in_flight(), 0);
    cluster.broker_up(-1).unwrap();
    lane.broker.send(&output(b"b", &[]), 2, 0).unwrap();
    lane.drain();
}

#[test]
fn outputs_survive_an_outage() {
    let cluster = cluster(1);
    let mut lane = Lane::open(&settings(&cluster, Guarantee::AtLeastOnce), 0);
    cluster.broker_down(-1).unwrap();
    lane.broker.send(&output(b"a", &[]), 1, 0).unwrap();
    for _ in 0..10 {
        lane.poll();
        lane.broker.serve(std::time::Duration::from_millis(10));
    }
    assert_eq!(lane.broker.outstanding(1), 1);
    cluster.broker_up(-1).unwrap();
    lane.drain();
}
