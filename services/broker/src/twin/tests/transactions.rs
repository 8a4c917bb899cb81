//! Transactions: atomic, fenced, timed out, of unknown fate.

use super::*;

fn in_transaction(twin: &mut Twin, value: &str, offset: i64) {
    twin.begin().expect("a fresh transaction");
    predict(twin, value);
    drain(twin);
    twin.send_offsets(&[(partition(0), offset)]).expect("a sound member");
}

/// A cluster with two events, and a lane that has read them.
fn reading(cluster: &Cluster, id: &str) -> Twin {
    fill(cluster, 0, &["a", "b"]);
    let mut twin = transactional(cluster, id);
    poll_all(&mut twin);
    twin
}

#[test]
fn a_commit_shows_outputs_and_offsets_together() {
    let cluster = cluster();
    let mut twin = reading(&cluster, "lane");
    in_transaction(&mut twin, "p", 2);
    assert!(predictions(&cluster).is_empty());
    assert_eq!(cluster.committed(GROUP, "events", 0), Some(0));
    twin.commit().expect("nothing is planned");
    assert_eq!(predictions(&cluster), ["p"]);
    assert_eq!(cluster.committed(GROUP, "events", 0), Some(2));
    assert!(cluster.violations().is_empty(), "{:?}", cluster.violations());
}

#[test]
fn an_abort_hides_outputs_and_forgets_offsets() {
    let cluster = cluster();
    let mut twin = reading(&cluster, "lane");
    in_transaction(&mut twin, "p", 2);
    twin.abort().expect("nothing is planned");
    assert!(predictions(&cluster).is_empty());
    assert_eq!(values(&cluster, "predictions", Isolation::ReadUncommitted), ["p"]);
    assert_eq!(cluster.committed(GROUP, "events", 0), Some(0));
}

#[test]
fn a_marker_takes_an_offset() {
    let cluster = cluster();
    let mut twin = reading(&cluster, "lane");
    in_transaction(&mut twin, "p", 2);
    twin.commit().expect("nothing is planned");
    assert_eq!(cluster.end("predictions", 0), 2);
    in_transaction(&mut twin, "q", 2);
    twin.commit().expect("nothing is planned");
    let offsets: Vec<i64> = cluster
        .read("predictions", Isolation::ReadCommitted)
        .iter()
        .map(|stored| stored.offset)
        .collect();
    assert_eq!(offsets, [0, 2]);
}

#[test]
fn an_open_transaction_holds_readers_back() {
    let cluster = cluster();
    let mut twin = reading(&cluster, "lane");
    in_transaction(&mut twin, "p", 2);
    cluster.produce("predictions", 0, TwinRecord::of("later"));
    assert_eq!(cluster.last_stable("predictions", 0), 0);
    assert!(predictions(&cluster).is_empty());
    twin.abort().expect("nothing is planned");
    assert_eq!(predictions(&cluster), ["later"]);
}

#[test]
fn a_lane_reads_past_aborted_records_and_gaps() {
    let cluster = cluster();
    fill(&cluster, 0, &["a"]);
    cluster.produce_transaction("events", 0, vec![TwinRecord::of("never")], false);
    cluster.skip("events", 0, 5);
    cluster.produce_transaction("events", 0, vec![TwinRecord::of("b")], true);
    let mut twin = transactional(&cluster, "lane");
    assert_eq!(poll_all(&mut twin), ["0/0=a", "0/8=b"]);
}

#[test]
fn sending_outside_of_a_transaction_fails() {
    let cluster = cluster();
    let mut twin = transactional(&cluster, "lane");
    let refused = send(&mut twin, Destination::Predictions, "p", 1, 0);
    assert!(matches!(refused, Err(SendError::Failed(error)) if error.fault == Fault::Fatal));
    assert_eq!(cluster.violations().len(), 1);
}

#[test]
fn committing_with_outputs_in_flight_fails() {
    let cluster = cluster();
    let mut twin = transactional(&cluster, "lane");
    twin.begin().expect("a fresh transaction");
    predict(&mut twin, "p");
    assert_eq!(fault(twin.commit()), Fault::Fatal);
    assert_eq!(cluster.violations().len(), 1);
}

#[test]
fn a_second_producer_of_the_same_id_fences_the_first_and_ends_its_transaction() {
    let cluster = cluster();
    let mut first = reading(&cluster, "lane");
    in_transaction(&mut first, "p", 2);
    let mut second = transactional(&cluster, "lane");
    assert_eq!(cluster.open_transactions(), 0);
    assert_eq!(fault(first.commit()), Fault::Fenced);
    assert_eq!(fault(first.begin()), Fault::Fenced);
    assert!(predictions(&cluster).is_empty());
    second.begin().expect("it is the one that counts");
    predict(&mut second, "q");
    drain(&mut second);
    second.commit().expect("it is the one that counts");
    assert_eq!(predictions(&cluster), ["q"]);
}

#[test]
fn a_fenced_producers_deliveries_fail() {
    let cluster = cluster();
    let mut first = transactional(&cluster, "lane");
    first.begin().expect("a fresh transaction");
    let _second = transactional(&cluster, "lane");
    predict(&mut first, "p");
    drain(&mut first);
    let failures = failures(&mut first);
    assert_eq!(failures[0].error.fault, Fault::Fenced);
    assert!(values(&cluster, "predictions", Isolation::ReadUncommitted).is_empty());
}

#[test]
fn a_renewed_producer_aborts_what_the_old_one_left_and_goes_on() {
    let cluster = scripted(Faults::none().at(Op::Commit, 1, Mishap::Fails(Fault::Fatal)));
    let mut twin = reading(&cluster, "lane");
    in_transaction(&mut twin, "p", 2);
    assert_eq!(fault(twin.commit()), Fault::Fatal);
    assert_eq!(fault(twin.abort()), Fault::Fatal);
    twin.renew_producer().expect("nothing is planned");
    assert_eq!(cluster.open_transactions(), 0);
    in_transaction(&mut twin, "q", 2);
    twin.commit().expect("nothing is planned");
    assert_eq!(predictions(&cluster), ["q"]);
}

#[test]
fn after_a_timed_out_commit_only_a_new_producer_begins_again() {
    let cluster = scripted(Faults::none().at(Op::Commit, 1, Mishap::Fails(Fault::TimedOut)));
    let mut twin = reading(&cluster, "lane");
    in_transaction(&mut twin, "p", 2);
    assert_eq!(fault(twin.commit()), Fault::TimedOut);
    assert_eq!(fault(twin.begin()), Fault::Fatal);
    twin.renew_producer().expect("nothing is planned");
    twin.begin().expect("the new producer is at rest");
    assert_eq!(twin.committed(&[partition(0)]).expect("nothing is open"), [Some(0)]);
}

#[test]
fn a_timed_out_commit_may_have_taken_effect() {
    let cluster = scripted(Faults::none().at(Op::Commit, 1, Mishap::FailsAfterwards(Fault::TimedOut)));
    let mut twin = reading(&cluster, "lane");
    in_transaction(&mut twin, "p", 2);
    assert_eq!(fault(twin.commit()), Fault::TimedOut);
    twin.renew_producer().expect("nothing is planned");
    assert_eq!(twin.committed(&[partition(0)]).expect("nothing is open"), [Some(2)]);
    assert_eq!(predictions(&cluster), ["p"]);
}

#[test]
fn a_late_commit_lands_when_the_producer_is_renewed_and_not_before() {
    let cluster = scripted(Faults::none().at(Op::Commit, 1, Mishap::CommitsLate));
    let mut twin = reading(&cluster, "lane");
    in_transaction(&mut twin, "p", 2);
    assert_eq!(fault(twin.commit()), Fault::TimedOut);
    assert_eq!(cluster.committed(GROUP, "events", 0), Some(0));
    twin.renew_producer().expect("nothing is planned");
    assert_eq!(twin.committed(&[partition(0)]).expect("nothing is open"), [Some(2)]);
}

#[test]
fn a_late_commit_lands_by_itself_after_a_while() {
    let cluster = scripted(Faults::none().at(Op::Commit, 1, Mishap::CommitsLate));
    let mut twin = reading(&cluster, "lane");
    in_transaction(&mut twin, "p", 2);
    assert_eq!(fault(twin.commit()), Fault::TimedOut);
    cluster.advance(Duration::from_millis(50));
    assert_eq!(predictions(&cluster), ["p"]);
}

#[test]
fn a_retriable_commit_that_took_effect_says_so_when_asked_again() {
    let cluster = scripted(Faults::none().at(Op::Commit, 1, Mishap::FailsAfterwards(Fault::Retriable)));
    let mut twin = reading(&cluster, "lane");
    in_transaction(&mut twin, "p", 2);
    assert_eq!(fault(twin.commit()), Fault::Retriable);
    twin.commit().expect("the same call again");
    assert_eq!(predictions(&cluster), ["p"]);
    twin.begin().expect("the producer is at rest");
}

#[test]
fn a_dangling_transaction_ends_with_its_timeout_and_its_producer_is_fenced() {
    let cluster = cluster();
    let mut twin = reading(&cluster, "lane");
    in_transaction(&mut twin, "p", 2);
    cluster.advance(Duration::from_millis(9_900));
    assert_eq!(cluster.open_transactions(), 1);
    cluster.advance(Duration::from_millis(200));
    assert_eq!(cluster.open_transactions(), 0);
    assert_eq!(fault(twin.commit()), Fault::Fenced);
    assert!(predictions(&cluster).is_empty());
}

#[test]
fn a_crashed_lanes_transaction_dangles_until_its_successor_comes() {
    let cluster = cluster();
    let mut twin = reading(&cluster, "lane");
    in_transaction(&mut twin, "p", 2);
    drop(twin);
    assert_eq!(cluster.open_transactions(), 1);
    assert_eq!(cluster.last_stable("predictions", 0), 0);
    let _successor = transactional(&cluster, "lane");
    assert_eq!(cluster.open_transactions(), 0);
}

#[test]
fn the_next_owner_waits_while_an_offset_of_its_partition_is_pending() {
    let cluster = cluster();
    let mut first = reading(&cluster, "lane-0");
    let mut second = transactional(&cluster, "lane-1");
    in_transaction(&mut first, "p", 2);
    cluster.kick(first.id());
    let given = settle(&mut second);
    assert_eq!(given.len(), 2);
    assert_eq!(poll(&mut second).0, Polled::Idle);
    assert_eq!(fault(second.committed(&[partition(0)])), Fault::Retriable);
    first
        .commit()
        .expect("the generation was checked when the offsets were added");
    fill(&cluster, 0, &["c"]);
    assert_eq!(poll_all(&mut second), ["0/2=c"]);
}

#[test]
fn a_newcomer_does_not_take_a_partition_whose_beginning_it_cannot_see_yet() {
    let cluster = cluster();
    let mut first = reading(&cluster, "lane-0");
    in_transaction(&mut first, "p", 2);
    cluster.kick(first.id());
    let mut second = transactional(&cluster, "lane-1");
    let Some(Polled::Assigned(given)) = notice(&mut second) else {
        panic!("nothing was given")
    };
    assert_eq!(fault(second.accept(&given)), Fault::Retriable);
    first
        .commit()
        .expect("the generation was checked when the offsets were added");
    second.accept(&given).expect("nothing is open");
    fill(&cluster, 0, &["c"]);
    assert_eq!(poll_all(&mut second), ["0/2=c"]);
}

#[test]
fn a_commit_of_nothing_is_a_commit() {
    let cluster = cluster();
    let mut twin = transactional(&cluster, "lane");
    twin.begin().expect("a fresh transaction");
    twin.commit().expect("there is nothing to commit");
    assert_eq!(cluster.end("predictions", 0), 0);
}
