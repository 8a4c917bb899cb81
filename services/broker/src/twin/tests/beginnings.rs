//! Where a group begins in partitions for which it has no offset.

use super::*;
use crate::settings::Start;

fn start(start: Start) -> TwinSettings {
    TwinSettings {
        start,
        ..TwinSettings::at_least_once(GROUP)
    }
}

fn committed(cluster: &Cluster) -> [Option<i64>; 2] {
    [0, 1].map(|partition| cluster.committed(GROUP, "events", partition))
}

#[test]
fn the_first_in_a_group_commits_where_it_begins_in_every_partition() {
    let cluster = cluster();
    fill(&cluster, 0, &["a", "b"]);
    let mut twin = cluster.connect(start(Start::Latest));
    assert_eq!(committed(&cluster), [Some(2), Some(0)], "before anything is read");
    fill(&cluster, 1, &["c"]);
    assert_eq!(poll_all(&mut twin), ["1/0=c"]);
}

#[test]
fn a_group_that_begins_at_a_time_begins_with_the_first_event_that_is_not_older_and_else_at_the_end() {
    let cluster = cluster();
    for (value, timestamp_ms) in [("a", 10), ("b", 20), ("c", 15)] {
        let record = TwinRecord {
            timestamp_ms: Some(timestamp_ms),
            ..TwinRecord::of(value)
        };
        cluster.produce("events", 0, record.clone());
        cluster.produce(
            "events",
            1,
            TwinRecord {
                timestamp_ms: Some(1),
                ..record
            },
        );
    }
    let mut twin = cluster.connect(start(Start::At(20)));
    assert_eq!(committed(&cluster), [Some(1), Some(3)]);
    assert_eq!(poll_all(&mut twin), ["0/1=b", "0/2=c"]);
}

#[test]
fn a_restart_before_the_first_commit_begins_where_the_first_start_did() {
    let cluster = cluster();
    let mut twin = cluster.connect(start(Start::Latest));
    twin.close().expect("nothing is planned");
    fill(&cluster, 0, &["a"]);
    let mut twin = cluster.connect(start(Start::Latest));
    assert_eq!(poll_all(&mut twin), ["0/0=a"]);
}

#[test]
fn replicas_that_take_their_shares_one_after_another_all_begin_where_the_first_did() {
    let cluster = cluster();
    fill(&cluster, 0, &["a"]);
    fill(&cluster, 1, &["b"]);
    let mut one = cluster.connect(start(Start::Latest));
    let mut other = cluster.connect(start(Start::Latest));
    fill(&cluster, 0, &["c"]);
    assert_eq!(poll_all(&mut one), ["0/1=c"]);
    one.store_offsets(&[(partition(0), 2)], true).expect("a sound member");
    one.close().expect("nothing is planned");
    assert_eq!(poll_all(&mut other), Vec::<String>::new());
}

#[test]
fn nothing_is_skipped_of_a_partition_that_came_later() {
    for from in [Start::Earliest, Start::Latest, Start::Error] {
        let cluster = cluster();
        let mut first = cluster.connect(start(Start::Latest));
        settle(&mut first);
        cluster.add_partitions("events", 1);
        fill(&cluster, 2, &["a", "b"]);
        first.close().expect("nothing is planned");
        let mut twin = cluster.connect(start(from));
        assert_eq!(poll_all(&mut twin), ["2/0=a", "2/1=b"], "{from:?}");
    }
}

#[test]
fn a_partition_that_comes_while_the_group_reads_is_read_from_its_beginning() {
    let cluster = cluster();
    let mut twin = cluster.connect(start(Start::Latest));
    poll_all(&mut twin);
    cluster.add_partitions("events", 1);
    fill(&cluster, 2, &["a"]);
    assert_eq!(poll_all(&mut twin), ["2/0=a"]);
    assert_eq!(
        cluster.committed(GROUP, "events", 2),
        Some(0),
        "committed before it was read"
    );
}

#[test]
fn a_group_without_offsets_is_refused_where_nobody_may_choose() {
    let cluster = cluster();
    let mut strict = cluster.connect(start(Start::Error));
    settle(&mut strict);
    assert_eq!(fault(strict.poll(MOMENT, &mut |_| {})), Fault::Refused);
    assert_eq!(committed(&cluster), [None, None]);
}

#[test]
fn a_beginning_that_is_not_known_yet_is_asked_for_again() {
    let cluster = cluster();
    let mut twin = cluster.connect(start(Start::Latest));
    poll_all(&mut twin);
    cluster.add_partitions("events", 1);
    let Some(Polled::Assigned(partitions)) = notice(&mut twin) else {
        panic!("nothing was given")
    };
    cluster.outage(Duration::from_secs(10));
    assert_eq!(fault(twin.accept(&partitions)), Fault::Retriable);
    cluster.advance(Duration::from_secs(10));
    twin.accept(&partitions).expect("the brokers are back");
    assert_eq!(cluster.committed(GROUP, "events", 2), Some(0));
}
