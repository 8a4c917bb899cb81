use eddy_broker::Broker;
use eddy_broker::settings::Guarantee;

use crate::driver::{Lane, cluster, partition, produce, settings, until};

#[test]
fn stored_offsets_are_those_of_the_next_record() {
    let cluster = cluster(2);
    let settings = settings(&cluster, Guarantee::AtLeastOnce);
    produce(&cluster.bootstrap_servers(), 0, 0..10);
    let mut lane = Lane::with_everything(&settings);
    lane.read(10);
    assert_eq!(
        lane.broker.committed(&[partition(0), partition(1)]).unwrap(),
        [Some(0), Some(0)]
    );
    lane.broker.store_offsets(&[(partition(0), 4)], true).unwrap();
    assert_eq!(
        lane.broker.committed(&[partition(1), partition(0)]).unwrap(),
        [Some(0), Some(4)]
    );
    lane.broker.close().unwrap();

    let mut successor = Lane::with_everything(&settings);
    successor.read(6);
    assert_eq!(successor.offsets(), [4, 5, 6, 7, 8, 9]);
}

#[test]
fn stored_offsets_are_committed_without_waiting_too() {
    let cluster = cluster(1);
    produce(&cluster.bootstrap_servers(), 0, 0..3);
    let mut lane = Lane::with_everything(&settings(&cluster, Guarantee::AtLeastOnce));
    lane.read(3);
    lane.broker.store_offsets(&[(partition(0), 3)], false).unwrap();
    until("the client commits by itself", || {
        lane.poll();
        (lane.broker.committed(&[partition(0)]).unwrap() == [Some(3)]).then_some(())
    });
}

#[test]
fn offsets_of_partitions_that_are_gone_are_left_out_silently() {
    let cluster = cluster(2);
    let mut lane = Lane::with_everything(&settings(&cluster, Guarantee::AtLeastOnce));
    lane.broker.release(&[partition(1)]).unwrap();
    lane.broker
        .store_offsets(&[(partition(0), 0), (partition(1), 7)], true)
        .unwrap();
    assert_eq!(
        lane.broker.committed(&[partition(0), partition(1)]).unwrap(),
        [Some(0), Some(0)]
    );
}

#[test]
fn a_rewind_goes_back_and_drops_what_was_fetched_ahead() {
    let cluster = cluster(1);
    produce(&cluster.bootstrap_servers(), 0, 0..100);
    let mut lane = Lane::with_everything(&settings(&cluster, Guarantee::AtLeastOnce));
    lane.read(10);
    lane.broker.rewind(&[(partition(0), 3)]).unwrap();
    lane.seen.clear();
    lane.read(97);
    assert_eq!(lane.offsets(), (3..100).collect::<Vec<_>>());
}

#[test]
fn a_rewind_right_after_taking_a_partition_works() {
    let cluster = cluster(1);
    produce(&cluster.bootstrap_servers(), 0, 0..10);
    let mut lane = Lane::with_everything(&settings(&cluster, Guarantee::AtLeastOnce));
    lane.broker.rewind(&[(partition(0), 7)]).unwrap();
    lane.read(3);
    assert_eq!(lane.offsets(), [7, 8, 9]);
}

#[test]
fn a_rewind_of_a_partition_that_is_not_held_is_refused_by_name() {
    let cluster = cluster(1);
    let mut lane = Lane::with_everything(&settings(&cluster, Guarantee::AtLeastOnce));
    let error = lane.broker.rewind(&[(partition(5), 0)]).unwrap_err();
    assert!(error.to_string().contains("`events` [5]"), "{error}");
}

#[test]
fn pausing_stops_and_resuming_neither_loses_nor_repeats() {
    let cluster = cluster(1);
    produce(&cluster.bootstrap_servers(), 0, 0..50);
    let mut lane = Lane::with_everything(&settings(&cluster, Guarantee::AtLeastOnce));
    lane.read(10);
    lane.broker.pause(true).unwrap();
    let read = lane.seen.len();
    for _ in 0..20 {
        lane.poll();
    }
    assert_eq!(lane.seen.len(), read);
    lane.broker.pause(false).unwrap();
    lane.read(50);
    assert_eq!(lane.offsets(), (0..50).collect::<Vec<_>>());
}

#[test]
fn a_rewind_while_paused_holds_after_resuming() {
    let cluster = cluster(1);
    produce(&cluster.bootstrap_servers(), 0, 0..20);
    let mut lane = Lane::with_everything(&settings(&cluster, Guarantee::AtLeastOnce));
    lane.read(10);
    lane.broker.pause(true).unwrap();
    lane.broker.rewind(&[(partition(0), 5)]).unwrap();
    lane.seen.clear();
    lane.broker.pause(false).unwrap();
    lane.read(15);
    assert_eq!(lane.offsets(), (5..20).collect::<Vec<_>>());
}

#[test]
fn a_pause_right_after_a_rewind_does_not_undo_it() {
    let cluster = cluster(1);
    produce(&cluster.bootstrap_servers(), 0, 0..20);
    let mut lane = Lane::with_everything(&settings(&cluster, Guarantee::AtLeastOnce));
    lane.read(10);
    lane.broker.rewind(&[(partition(0), 5)]).unwrap();
    lane.broker.pause(true).unwrap();
    lane.seen.clear();
    lane.broker.pause(false).unwrap();
    lane.read(15);
    assert_eq!(lane.offsets(), (5..20).collect::<Vec<_>>());
}

#[test]
fn partitions_taken_while_paused_stay_paused() {
    let cluster = cluster(1);
    produce(&cluster.bootstrap_servers(), 0, 0..5);
    let mut lane = Lane::open(&settings(&cluster, Guarantee::AtLeastOnce), 0);
    lane.broker.pause(true).unwrap();
    let partitions = lane.assigned();
    lane.broker.accept(&partitions).unwrap();
    for _ in 0..20 {
        lane.poll();
    }
    assert_eq!(lane.seen, []);
    lane.broker.pause(false).unwrap();
    lane.read(5);
    assert_eq!(lane.offsets(), [0, 1, 2, 3, 4]);
}

#[test]
fn the_ends_of_the_partitions_are_known_after_a_while() {
    let cluster = cluster(1);
    produce(&cluster.bootstrap_servers(), 0, 0..5);
    let mut lane = Lane::with_everything(&settings(&cluster, Guarantee::AtLeastOnce));
    until("the end is known", || {
        lane.poll();
        (lane.broker.ends() == [(partition(0), 5)]).then_some(())
    });
    assert!(lane.broker.statistics().unwrap().rebalances >= 1);
}
