//! Each lie is told.

use super::*;

fn lying(cluster: &Cluster, sabotage: Sabotage) -> Saboteur<Twin> {
    let mut twin = plain(cluster);
    poll_all(&mut twin);
    Saboteur::new(twin, sabotage)
}

fn predict_through(broker: &mut impl Broker, value: &str) {
    let output = Output {
        to: Destination::Predictions,
        partition: 0,
        key: None,
        value: Some(value.as_bytes()),
        headers: &[],
    };
    broker.send(&output, 1, 0).expect("there is room");
}

#[test]
fn undelivered_outputs_are_called_delivered() {
    let cluster = cluster();
    let mut liar = lying(&cluster, Sabotage::OffsetsBeforeDelivery);
    predict_through(&mut liar, "p");
    assert_eq!(
        (liar.outstanding(1), liar.in_flight(), liar.inner().in_flight()),
        (0, 0, 1)
    );
}

#[test]
fn offsets_are_shifted() {
    for (sabotage, committed) in [(Sabotage::OffsetTooFar, 2), (Sabotage::OffsetTooShort, 0)] {
        let cluster = cluster();
        fill(&cluster, 0, &["a", "b"]);
        let mut liar = lying(&cluster, sabotage);
        liar.store_offsets(&[(partition(0), 1)], true).expect("a sound member");
        assert_eq!(cluster.committed(GROUP, "events", 0), Some(committed));
    }
}

#[test]
fn outputs_are_dropped_or_doubled() {
    for (sabotage, seen) in [
        (Sabotage::Drops(2), vec!["p"]),
        (Sabotage::SendsTwice(2), vec!["p", "q", "q"]),
    ] {
        let cluster = cluster();
        let mut liar = lying(&cluster, sabotage);
        predict_through(&mut liar, "p");
        predict_through(&mut liar, "q");
        while liar.in_flight() > 0 {
            liar.serve(MOMENT);
        }
        assert_eq!(predictions(&cluster), seen);
    }
}

#[test]
fn failures_are_swallowed_and_rewinds_forgotten() {
    let cluster = scripted(Faults::none().at(Op::Deliver, 1, Mishap::TooLarge));
    fill(&cluster, 0, &["a"]);
    let mut liar = lying(&cluster, Sabotage::SwallowsFailures);
    predict_through(&mut liar, "p");
    while liar.in_flight() > 0 {
        liar.serve(MOMENT);
    }
    let mut failures = Vec::new();
    liar.undelivered(&mut failures);
    assert!(failures.is_empty());
    let mut liar = Saboteur::new(liar, Sabotage::ForgetsToRewind);
    liar.rewind(&[(partition(0), 0)]).expect("it does nothing");
    assert_eq!(liar.poll(MOMENT, &mut |_| {}), Ok(Polled::Idle));
}
