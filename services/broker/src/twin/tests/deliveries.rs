//! Deliveries: asynchronous, reported later, refused, given up.

use super::*;

#[test]
fn a_report_comes_only_when_the_producer_is_served() {
    let cluster = cluster();
    let mut twin = plain(&cluster);
    predict(&mut twin, "p");
    for _ in 0..50 {
        poll(&mut twin);
    }
    assert_eq!(
        predictions(&cluster),
        ["p"],
        "the client's own threads have sent it by now"
    );
    assert_eq!((twin.in_flight(), twin.outstanding(1)), (1, 1));
    drain(&mut twin);
    assert_eq!((twin.in_flight(), twin.outstanding(1)), (0, 0));
}

#[test]
fn reports_are_counted_by_ticket() {
    let cluster = cluster();
    let mut twin = plain(&cluster);
    send(&mut twin, Destination::Predictions, "p", 1, 0).expect("there is room");
    send(&mut twin, Destination::Retraining, "r", 2, 0).expect("there is room");
    assert_eq!(
        (twin.outstanding(1), twin.outstanding(2), twin.outstanding(3)),
        (1, 1, 0)
    );
}

#[test]
fn outputs_keep_their_order() {
    let cluster = cluster();
    let mut twin = plain(&cluster);
    let sent: Vec<String> = (0..30).map(|n| n.to_string()).collect();
    for value in &sent {
        predict(&mut twin, value);
        twin.serve(Duration::ZERO);
    }
    drain(&mut twin);
    assert_eq!(predictions(&cluster), sent);
}

#[test]
fn a_full_queue_takes_no_more_until_it_is_served() {
    let cluster = cluster();
    let mut twin = cluster.connect(TwinSettings {
        queue_records: 2,
        ..TwinSettings::at_least_once(GROUP)
    });
    predict(&mut twin, "p");
    predict(&mut twin, "q");
    assert_eq!(
        send(&mut twin, Destination::Predictions, "r", 1, 2),
        Err(SendError::Full)
    );
    drain(&mut twin);
    predict(&mut twin, "r");
}

#[test]
fn the_client_refuses_what_is_too_large_for_it() {
    let cluster = cluster();
    let mut twin = cluster.connect(TwinSettings {
        max_message_bytes: 4,
        ..TwinSettings::at_least_once(GROUP)
    });
    let refused = send(&mut twin, Destination::Predictions, "12345", 1, 0);
    assert!(matches!(refused, Err(SendError::TooLarge { detail }) if detail.contains('5')));
}

#[test]
fn a_topic_refuses_what_is_too_large_for_it_and_the_transaction_with_it() {
    let cluster = cluster();
    let mut twin = transactional(&cluster, "lane");
    twin.begin().expect("a fresh transaction");
    send(&mut twin, Destination::DeadLetters, &"x".repeat(65), 3, 7).expect("the client takes it");
    drain(&mut twin);
    let failures = failures(&mut twin);
    assert_eq!((failures[0].ticket, failures[0].row), (3, 7));
    assert_eq!(
        (failures[0].to, failures[0].too_large),
        (Destination::DeadLetters, true)
    );
    assert_eq!(fault(twin.commit()), Fault::Abortable);
    twin.abort().expect("nothing is planned");
    twin.begin().expect("the producer lives on");
}

#[test]
fn a_delivery_that_is_given_up_takes_those_behind_it_along() {
    for written in [false, true] {
        let cluster = scripted(Faults::none().at(Op::Deliver, 2, Mishap::Undelivered { written }));
        let mut twin = plain(&cluster);
        for value in ["p", "q", "r"] {
            predict(&mut twin, value);
        }
        drain(&mut twin);
        let on_the_broker = if written { vec!["p", "q"] } else { vec!["p"] };
        let failed = failures(&mut twin).len();
        let written_later = 2 - failed;
        let seen = predictions(&cluster);
        assert_eq!(seen[..on_the_broker.len()], on_the_broker);
        assert_eq!(seen.len(), on_the_broker.len() + written_later);
    }
}

#[test]
fn discarded_outputs_are_written_from_the_front_or_not_at_all() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..50 {
        let cluster = cluster_with(ClusterSettings {
            seed,
            ..ClusterSettings::default()
        });
        let mut twin = plain(&cluster);
        for value in ["p", "q", "r"] {
            predict(&mut twin, value);
        }
        twin.discard().expect("nothing is planned");
        assert_eq!((twin.in_flight(), twin.outstanding(1)), (0, 0));
        let written = predictions(&cluster);
        assert_eq!(written, ["p", "q", "r"][..written.len()]);
        seen.insert(written.len());
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[test]
fn an_output_for_a_partition_that_does_not_exist_is_refused() {
    let cluster = cluster();
    let mut twin = plain(&cluster);
    let output = Output {
        to: Destination::Retraining,
        partition: 1,
        key: None,
        value: None,
        headers: &[],
    };
    let refused = twin.send(&output, 1, 0);
    assert!(matches!(refused, Err(SendError::Failed(error)) if error.fault == Fault::Refused));
}

#[test]
fn an_output_arrives_as_it_was_sent() {
    let cluster = cluster();
    let mut twin = plain(&cluster);
    let headers = [
        eddy_pipeline::event::Header {
            name: "eddy.id",
            value: Some(b"7"),
        },
        eddy_pipeline::event::Header {
            name: "empty",
            value: None,
        },
    ];
    let output = Output {
        to: Destination::Predictions,
        partition: 1,
        key: Some(b"k"),
        value: Some(b"v"),
        headers: &headers,
    };
    twin.send(&output, 1, 0).expect("there is room");
    drain(&mut twin);
    let stored = &cluster.read("predictions", Isolation::ReadCommitted)[0];
    assert_eq!((stored.partition, stored.offset), (1, 0));
    assert_eq!(stored.record.key.as_deref(), Some(&b"k"[..]));
    assert_eq!(stored.record.header("eddy.id"), Some("7"));
    assert_eq!(stored.record.headers[1], ("empty".to_owned(), None));
}
