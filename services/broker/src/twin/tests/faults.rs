//! The script, the clock, crashes and outages; and that a run can be repeated.

use super::*;

#[test]
fn a_planned_fault_befalls_the_nth_call_only() {
    let cluster = scripted(Faults::none().at(Op::Begin, 2, Mishap::Fails(Fault::Retriable)));
    let mut twin = transactional(&cluster, "lane");
    twin.begin().expect("the first is not planned to fail");
    twin.abort().expect("nothing is planned");
    assert_eq!(fault(twin.begin()), Fault::Retriable);
    twin.begin().expect("the third is not planned to fail");
}

#[test]
fn a_crash_before_a_commit_leaves_it_out_and_one_after_does_not() {
    for (mishap, committed) in [(Mishap::CrashBefore, false), (Mishap::CrashAfter, true)] {
        let cluster = scripted(Faults::none().at(Op::Commit, 1, mishap));
        let mut twin = transactional(&cluster, "lane");
        twin.begin().expect("a fresh transaction");
        predict(&mut twin, "p");
        drain(&mut twin);
        assert_eq!(fault(twin.commit()), Fault::Fatal);
        assert!(cluster.has_crashed(twin.id()));
        assert_eq!(!predictions(&cluster).is_empty(), committed);
        assert_eq!(
            fault(twin.renew_producer()),
            Fault::Fatal,
            "a dead connection stays dead"
        );
        assert_eq!(cluster.open_transactions(), usize::from(!committed));
    }
}

#[test]
fn while_the_brokers_are_away_nothing_moves_and_then_it_does() {
    let cluster = cluster();
    fill(&cluster, 0, &["a"]);
    let mut twin = transactional(&cluster, "lane");
    settle(&mut twin);
    twin.begin().expect("it asks nobody");
    predict(&mut twin, "p");
    cluster.outage(Duration::from_secs(5));
    twin.serve(MOMENT);
    assert_eq!(twin.in_flight(), 1);
    assert_eq!(poll(&mut twin).0, Polled::Idle);
    assert_eq!(fault(twin.committed(&[partition(0)])), Fault::Retriable);
    cluster.advance(Duration::from_secs(5));
    drain(&mut twin);
    assert_eq!(poll(&mut twin).0, Polled::Record);
}

#[test]
fn an_idle_poll_takes_its_time() {
    let cluster = cluster();
    let clock = cluster.clock();
    let mut twin = plain(&cluster);
    settle(&mut twin);
    let before = clock.passed();
    poll(&mut twin);
    let took = clock.passed() - before;
    assert!(took >= MOMENT && took < MOMENT * 2, "{took:?}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let cluster = cluster_with(ClusterSettings {
            seed,
            faults: Faults::none().with_chance(Op::Deliver, 0.2, Mishap::Undelivered { written: false }),
            ..ClusterSettings::default()
        });
        fill(&cluster, 0, &["a", "b", "c"]);
        fill(&cluster, 1, &["d", "e", "f"]);
        let mut twin = plain(&cluster);
        let records = poll_all(&mut twin);
        for record in &records {
            predict(&mut twin, record);
        }
        drain(&mut twin);
        cluster.trace()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
