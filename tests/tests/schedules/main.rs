//! The lane under thousands of random schedules, on the in-memory twin of Kafka.
//!
//! A schedule is a handful of events, one to three lanes, and whatever can go wrong: lost members, rebalances, crashes,
//! outages, commits of unknown fate, deliveries that fail. A failing one is shortened before it is shown.
//!
//! `EDDY_SCHEDULES` sets how many are played (default 10000 for each guarantee), `EDDY_SCHEDULE_SEED` plays one alone.

mod checker;
mod commits;
mod inputs;
mod interleave;
mod orders;
mod pauses;
mod plan;
mod schemas;
mod shrink;
mod stalls;
mod stub;
mod world;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use eddy_broker::twin::Sabotage;
use eddy_pipeline::checkpoint::Guarantee;

use crate::plan::Plan;

const SCHEDULES: u64 = 10_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The seeds to play.
fn seeds() -> std::ops::Range<u64> {
    match number("EDDY_SCHEDULE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("EDDY_SCHEDULES").unwrap_or(SCHEDULES),
    }
}

/// The first schedule that fails, if any. They are shared out between the processor's cores.
fn first_failure(seeds: std::ops::Range<u64>, draw: impl Fn(u64) -> Plan + Sync) -> Option<Plan> {
    let (next, failed) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let workers = thread::available_parallelism().map_or(1, usize::from).min(4);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || failed.load(Ordering::Relaxed) {
                return None;
            }
            let plan = draw(seed);
            if world::run(&plan, false).is_err() {
                failed.store(true, Ordering::Relaxed);
                return Some(plan);
            }
        }
    };
    thread::scope(|scope| {
        let handles: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let failures = handles
            .into_iter()
            .filter_map(|handle| handle.join().expect("panics are caught inside"));
        failures.min_by_key(|plan| plan.seed)
    })
}

fn all_hold(guarantee: Guarantee) {
    if let Some(plan) = first_failure(seeds(), |seed| Plan::draw(seed, guarantee)) {
        panic!("{}", shrink::report(plan));
    }
}

#[test]
fn exactly_once_each_event_has_one_outcome_whatever_happens() {
    all_hold(Guarantee::ExactlyOnce);
}

#[test]
fn at_least_once_no_event_is_lost_whatever_happens() {
    all_hold(Guarantee::AtLeastOnce);
}

#[test]
fn the_same_seed_plays_the_same_schedule() {
    for seed in 0..20 {
        let play = || world::run(&Plan::draw(seed, Guarantee::ExactlyOnce), true).map_err(|broken| broken.trace);
        let (one, other) = (
            play().unwrap_or_else(|trace| trace),
            play().unwrap_or_else(|trace| trace),
        );
        assert_eq!(one, other, "seed {seed}");
    }
}

/// The schedules would hold for want of trouble, too.
#[test]
fn the_schedules_meet_the_trouble_that_they_are_meant_for() {
    let mut missing: Vec<&str> = vec![
        "the late commit",
        "is not stable yet",
        "took too long",
        "polls: lost",
        "ILLEGAL_GENERATION",
        "UNKNOWN_MEMBER_ID",
        ": fenced",
        "crashes",
        "is rewound to",
        "too large",
        "gives up deliveries",
        "no broker answers",
        "Rejoin: done",
    ];
    for seed in 0..2000 {
        let trace = world::run(&Plan::draw(seed, Guarantee::ExactlyOnce), true).unwrap_or_else(|broken| broken.trace);
        missing.retain(|words| !trace.iter().any(|line| line.contains(words)));
        if missing.is_empty() && world::has_replayed() {
            return;
        }
    }
    panic!("never met: {missing:?}, replays: {}", world::has_replayed());
}

fn is_caught(guarantee: Guarantee, plant: impl Fn(&mut Plan) + Sync) -> bool {
    let planted = |seed| {
        let mut plan = Plan::draw(seed, guarantee);
        plant(&mut plan);
        plan
    };
    first_failure(0..2000, planted).is_some()
}

#[test]
fn planted_faults_are_caught() {
    let both = [Guarantee::ExactlyOnce, Guarantee::AtLeastOnce];
    let cases = [
        (Sabotage::OffsetTooFar, &both[..]),
        (Sabotage::OffsetTooShort, &both[..]),
        (Sabotage::ForgetsToRewind, &both[..]),
        (Sabotage::Drops(17), &both[..]),
        (Sabotage::OffsetsBeforeDelivery, &both[..]),
        (Sabotage::SwallowsFailures, &both[1..]),
        (Sabotage::SendsTwice(17), &both[..1]),
        (Sabotage::CommitsInsteadOfAborting, &both[..1]),
        (Sabotage::SkipsCheckpoint(3), &both[..1]),
        (Sabotage::ForgetsWhatIsCommitted, &both[..1]),
        (Sabotage::KeepsRowsOfLostPartitions, &both[..]),
    ];
    for (sabotage, guarantees) in cases {
        for guarantee in guarantees {
            let caught = is_caught(*guarantee, |plan| plan.sabotage = sabotage);
            assert!(caught, "{sabotage:?} goes unnoticed under {guarantee:?}");
        }
    }
}

#[test]
fn a_group_that_takes_commits_of_members_it_has_thrown_out_is_caught() {
    let caught = is_caught(Guarantee::ExactlyOnce, |plan| plan.checks_generation = false);
    assert!(caught, "a stale generation goes unnoticed");
}

#[test]
fn a_client_that_shows_the_group_an_old_membership_is_caught() {
    let caught = is_caught(Guarantee::ExactlyOnce, |plan| plan.fresh_membership = false);
    assert!(caught, "stale group metadata goes unnoticed");
}
