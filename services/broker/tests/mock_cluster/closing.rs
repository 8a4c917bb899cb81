use eddy_broker::settings::Guarantee;
use eddy_broker::{Broker, Polled};

use crate::driver::{Lane, cluster, settings, until};

#[test]
fn a_lane_closes_with_everything_in_hand() {
    let cluster = cluster(2);
    let mut lane = Lane::with_everything(&settings(&cluster, Guarantee::AtLeastOnce));
    lane.broker.close().unwrap();
    lane.broker.close().unwrap();
}

#[test]
fn a_lane_closes_before_it_joined() {
    let cluster = cluster(1);
    let mut lane = Lane::open(&settings(&cluster, Guarantee::AtLeastOnce), 0);
    lane.broker.close().unwrap();
}

#[test]
fn a_lane_closes_with_an_assignment_that_it_never_answered() {
    let cluster = cluster(1);
    let mut lane = Lane::open(&settings(&cluster, Guarantee::AtLeastOnce), 0);
    lane.assigned();
    lane.broker.close().unwrap();
}

#[test]
fn a_lane_is_dropped_with_a_revocation_that_it_never_answered() {
    let cluster = cluster(2);
    let settings = settings(&cluster, Guarantee::AtLeastOnce);
    let mut first = Lane::with_everything(&settings);
    let mut second = Lane::open(&settings, 1);
    until("the first lane has to give up partitions", || {
        second.poll();
        matches!(first.poll(), Polled::Revoked { .. }).then_some(())
    });
    drop(first);
    let mut taken = Vec::new();
    until("the second lane has taken over everything", || {
        if let Polled::Assigned(partitions) = second.poll() {
            second.broker.accept(&partitions).unwrap();
            taken.extend(partitions);
        }
        (taken.len() == 2).then_some(())
    });
}

#[test]
fn a_lane_closes_while_the_brokers_are_away() {
    let cluster = cluster(1);
    let mut lane = Lane::with_everything(&settings(&cluster, Guarantee::AtLeastOnce));
    cluster.broker_down(-1).unwrap();
    lane.broker.close().unwrap();
}

#[test]
fn a_lane_closes_with_an_unanswered_assignment_while_the_brokers_are_away() {
    let cluster = cluster(1);
    let mut lane = Lane::open(&settings(&cluster, Guarantee::AtLeastOnce), 0);
    lane.assigned();
    cluster.broker_down(-1).unwrap();
    lane.broker.close().unwrap();
}
