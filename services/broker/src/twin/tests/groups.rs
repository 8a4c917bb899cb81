//! Groups: who owns what, what happens when that changes, and from where the next owner reads.

use super::*;

fn events(cluster: &Cluster) {
    fill(cluster, 0, &["a", "b"]);
    fill(cluster, 1, &["c", "d"]);
}

#[test]
fn one_member_reads_every_partition_in_its_order() {
    let cluster = cluster();
    events(&cluster);
    let mut twin = plain(&cluster);
    let mut records = poll_all(&mut twin);
    records.sort();
    assert_eq!(records, ["0/0=a", "0/1=b", "1/0=c", "1/1=d"]);
}

#[test]
fn nothing_is_fetched_before_it_is_accepted() {
    let cluster = cluster();
    events(&cluster);
    let mut twin = plain(&cluster);
    let Some(Polled::Assigned(partitions)) = notice(&mut twin) else {
        panic!("nothing was given")
    };
    assert_eq!(poll(&mut twin), (Polled::Idle, None));
    twin.accept(&partitions).expect("they were just given");
    assert_eq!(poll(&mut twin).0, Polled::Record);
}

#[test]
fn a_paused_lane_reads_nothing_and_serves_the_group() {
    let cluster = cluster();
    events(&cluster);
    let mut twin = plain(&cluster);
    settle(&mut twin);
    twin.pause(true).expect("nothing is planned");
    assert_eq!(poll(&mut twin).0, Polled::Idle);
    let mut other = plain(&cluster);
    assert_eq!(poll(&mut other).0, Polled::Idle);
    assert!(matches!(notice(&mut twin), Some(Polled::Revoked { lost: false, .. })));
}

#[test]
fn a_second_member_gets_its_share_only_when_the_first_lets_go() {
    let cluster = cluster();
    let mut first = plain(&cluster);
    settle(&mut first);
    let mut second = plain(&cluster);
    assert_eq!(notice(&mut second), None);
    let Some(Polled::Revoked {
        partitions,
        lost: false,
    }) = notice(&mut first)
    else {
        panic!("nothing was taken")
    };
    assert_eq!(partitions.len(), 1);
    assert_eq!(notice(&mut second), None);
    first.release(&partitions).expect("it is held");
    assert_eq!(settle(&mut second), partitions);
}

#[test]
fn an_eager_group_takes_everything_before_it_deals_anew() {
    let cluster = eager();
    let mut first = plain(&cluster);
    assert_eq!(settle(&mut first).len(), 2);
    let mut second = plain(&cluster);
    assert_eq!(notice(&mut second), None);
    let Some(Polled::Revoked {
        partitions,
        lost: false,
    }) = notice(&mut first)
    else {
        panic!("nothing was taken")
    };
    assert_eq!(partitions.len(), 2);
    first.release(&partitions).expect("they are held");
    assert_eq!(settle(&mut first).len(), 1);
    assert_eq!(settle(&mut second).len(), 1);
}

#[test]
fn the_next_owner_reads_from_the_committed_offset() {
    let cluster = cluster();
    events(&cluster);
    let mut first = plain(&cluster);
    poll_all(&mut first);
    first
        .store_offsets(&[(partition(0), 1), (partition(1), 2)], true)
        .expect("a sound member");
    first.close().expect("nothing is planned");
    let mut second = plain(&cluster);
    assert_eq!(poll_all(&mut second), ["0/1=b"]);
}

#[test]
fn a_member_that_is_thrown_out_learns_it_and_comes_back() {
    let cluster = cluster();
    events(&cluster);
    let mut twin = plain(&cluster);
    poll_all(&mut twin);
    cluster.kick(twin.id());
    let Some(Polled::Revoked { partitions, lost: true }) = notice(&mut twin) else {
        panic!("it was not told")
    };
    assert_eq!(partitions.len(), 2);
    twin.release(&partitions).expect("it holds them until it lets go");
    assert_eq!(
        poll_all(&mut twin).len(),
        4,
        "nothing was committed, so everything comes again"
    );
}

#[test]
fn a_lost_member_commits_nothing() {
    let cluster = cluster();
    events(&cluster);
    let mut twin = transactional(&cluster, "lane");
    poll_all(&mut twin);
    cluster.kick(twin.id());
    twin.begin().expect("a fresh transaction");
    assert_eq!(fault(twin.send_offsets(&[(partition(0), 2)])), Fault::Abortable);
    assert_eq!(fault(twin.commit()), Fault::Abortable);
    twin.abort().expect("an abortable transaction is aborted");
    assert_eq!(cluster.committed(GROUP, "events", 0), Some(0));
}

#[test]
fn a_lost_members_plain_commits_are_refused() {
    let cluster = cluster();
    events(&cluster);
    let mut twin = plain(&cluster);
    poll_all(&mut twin);
    cluster.kick(twin.id());
    assert_eq!(fault(twin.store_offsets(&[(partition(0), 2)], true)), Fault::Abortable);
    assert_eq!(cluster.committed(GROUP, "events", 0), Some(0));
}

#[test]
fn a_member_that_does_not_let_go_in_time_is_lost() {
    let cluster = eager();
    let mut first = plain(&cluster);
    settle(&mut first);
    let mut second = plain(&cluster);
    poll(&mut second);
    let Some(Polled::Revoked { lost: false, .. }) = notice(&mut first) else {
        panic!("nothing was taken")
    };
    cluster.advance(Duration::from_secs(61));
    assert_eq!(settle(&mut second).len(), 2);
    assert!(matches!(notice(&mut first), Some(Polled::Revoked { lost: true, .. })));
}

#[test]
fn a_dead_members_partitions_wait_for_its_session_to_end() {
    let cluster = cluster();
    let mut first = plain(&cluster);
    settle(&mut first);
    drop(first);
    let mut second = plain(&cluster);
    assert_eq!(notice(&mut second), None);
    cluster.advance(Duration::from_secs(15));
    let mut given = settle(&mut second);
    while let Some(Polled::Assigned(partitions)) = notice(&mut second) {
        second.accept(&partitions).expect("they were just given");
        given.extend(partitions);
    }
    assert_eq!(given.len(), 2);
}

#[test]
fn a_member_that_polls_too_rarely_is_lost() {
    let cluster = cluster();
    let mut twin = plain(&cluster);
    settle(&mut twin);
    cluster.advance(Duration::from_secs(300));
    assert!(cluster.members(GROUP).is_empty());
}

#[test]
fn no_partition_ever_has_two_owners() {
    for seed in 0..200 {
        let protocol = if seed % 2 == 0 {
            Protocol::Eager
        } else {
            Protocol::Cooperative
        };
        let cluster = cluster_with(ClusterSettings {
            seed,
            protocol,
            ..ClusterSettings::default()
        });
        let mut twins: Vec<Twin> = (0..3).map(|_| plain(&cluster)).collect();
        let mut owned: Vec<Vec<Partition>> = vec![Vec::new(); 3];
        let mut rng = fastrand::Rng::with_seed(seed);
        for _ in 0..100 {
            if rng.u8(0..10) == 0 {
                cluster.rebalance(GROUP);
            }
            let lane = rng.usize(0..3);
            match poll(&mut twins[lane]).0 {
                Polled::Assigned(partitions) => {
                    twins[lane].accept(&partitions).expect("they were just given");
                    owned[lane].extend(partitions);
                }
                Polled::Revoked { partitions, lost } => {
                    assert!(!lost, "seed {seed}: nobody was thrown out");
                    twins[lane].release(&partitions).expect("they are held");
                    owned[lane].retain(|partition| !partitions.contains(partition));
                }
                Polled::Record | Polled::Idle => {}
            }
            let mut all: Vec<Partition> = owned.concat();
            let count = all.len();
            all.sort();
            all.dedup();
            assert_eq!(
                all.len(),
                count,
                "seed {seed}: {owned:?}\n{}",
                cluster.trace().join("\n")
            );
        }
    }
}

#[test]
fn stored_offsets_are_committed_now_and_then() {
    let cluster = cluster();
    events(&cluster);
    let mut twin = plain(&cluster);
    poll_all(&mut twin);
    twin.store_offsets(&[(partition(0), 2)], false)
        .expect("nothing is planned");
    assert_eq!(cluster.committed(GROUP, "events", 0), Some(0));
    cluster.advance(Duration::from_secs(1));
    assert_eq!(cluster.committed(GROUP, "events", 0), Some(2));
}

#[test]
fn stored_offsets_of_a_dead_client_are_lost() {
    let cluster = cluster();
    events(&cluster);
    let mut twin = plain(&cluster);
    poll_all(&mut twin);
    twin.store_offsets(&[(partition(0), 2)], false)
        .expect("nothing is planned");
    drop(twin);
    cluster.advance(Duration::from_secs(20));
    assert_eq!(cluster.committed(GROUP, "events", 0), Some(0));
}

#[test]
fn stored_offsets_of_partitions_of_others_are_left_out() {
    let cluster = cluster();
    events(&cluster);
    let mut twin = plain(&cluster);
    settle(&mut twin);
    let all = [partition(0), partition(1)];
    let mut other = plain(&cluster);
    poll(&mut other);
    let Some(Polled::Revoked { partitions, .. }) = notice(&mut twin) else {
        panic!("nothing was taken")
    };
    twin.release(&partitions).expect("it is held");
    twin.poll(MOMENT, &mut |_| {}).expect("nothing is planned");
    twin.store_offsets(&all.map(|partition| (partition, 1)), true)
        .expect("a sound member");
    let committed = all.map(|partition| cluster.committed(GROUP, "events", partition.number));
    let given_on = partitions[0].number as usize;
    assert_eq!(committed[given_on], Some(0), "where the group began");
    assert_eq!(committed[1 - given_on], Some(1));
}

#[test]
fn a_rewound_partition_comes_again_from_there() {
    let cluster = cluster();
    fill(&cluster, 0, &["a", "b", "c"]);
    let mut twin = plain(&cluster);
    assert_eq!(poll_all(&mut twin).len(), 3);
    twin.rewind(&[(partition(0), 1)]).expect("it is fetched");
    assert_eq!(poll_all(&mut twin), ["0/1=b", "0/2=c"]);
}

#[test]
fn a_committed_offset_that_goes_back_is_reported() {
    let cluster = cluster();
    events(&cluster);
    let mut twin = plain(&cluster);
    poll_all(&mut twin);
    twin.store_offsets(&[(partition(0), 2)], true).expect("a sound member");
    twin.store_offsets(&[(partition(0), 1)], true).expect("Kafka takes it");
    assert_eq!(cluster.violations().len(), 1);
}

#[test]
fn stored_offsets_that_could_not_be_committed_are_tried_again() {
    let cluster = cluster();
    events(&cluster);
    let mut twin = plain(&cluster);
    poll_all(&mut twin);
    cluster.outage(Duration::from_millis(100));
    assert_eq!(fault(twin.store_offsets(&[(partition(0), 2)], true)), Fault::Retriable);
    assert_eq!(cluster.committed(GROUP, "events", 0), Some(0));
    cluster.advance(Duration::from_secs(1));
    assert_eq!(cluster.committed(GROUP, "events", 0), Some(2));
}
