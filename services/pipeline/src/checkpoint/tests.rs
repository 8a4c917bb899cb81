use std::time::Duration;

use proptest::prelude::*;

use super::{Budget, Checkpoint, Fault, Guarantee, Next, Step, Stop, Went};
use crate::time::Now;

fn at(seconds: u64) -> Now {
    Now {
        monotonic: Duration::from_secs(seconds),
        unix_ms: 0,
    }
}

/// Runs a checkpoint: `script` says how each step goes, in order; what it does not name goes well. Gives the steps taken
/// and the end.
fn run(guarantee: Guarantee, script: &[(Step, Went)]) -> (Vec<Step>, Next) {
    let mut checkpoint = Checkpoint::new(guarantee, Budget::default());
    let mut script = script.iter().copied().collect::<std::collections::VecDeque<_>>();
    let mut steps = Vec::new();
    let mut next = checkpoint.start();
    while let Next::Do(step) = next {
        assert!(steps.len() < 200, "no end after {steps:?}");
        steps.push(step);
        let went = match script.front() {
            Some((expected, went)) if *expected == step => {
                let went = *went;
                script.pop_front();
                went
            }
            _ => Went::Well,
        };
        next = checkpoint.next(step, went, at(0));
    }
    assert!(script.is_empty(), "steps {steps:?} never came to {script:?}");
    (steps, next)
}

#[test]
fn exactly_once_drains_before_it_commits_and_publishes_last() {
    let (steps, end) = run(Guarantee::ExactlyOnce, &[]);
    assert_eq!(steps, [Step::Drain, Step::SendOffsets, Step::Commit, Step::Publish]);
    assert_eq!(end, Next::Durable);
}

#[test]
fn at_least_once_stores_offsets_only_after_the_delivery() {
    let (steps, end) = run(Guarantee::AtLeastOnce, &[]);
    assert_eq!(steps, [Step::Drain, Step::StoreOffsets, Step::Publish]);
    assert_eq!(end, Next::Durable);
}

#[test]
fn an_abortable_error_aborts_and_sends_what_is_held_again() {
    for failing in [Step::Drain, Step::Commit] {
        let (steps, end) = run(Guarantee::ExactlyOnce, &[(failing, Went::Wrong(Fault::Abortable))]);
        let tail = [
            Step::Abort,
            Step::Replay,
            Step::Drain,
            Step::SendOffsets,
            Step::Commit,
            Step::Publish,
        ];
        assert_eq!(steps[steps.len() - 6..], tail, "{failing:?}");
        assert_eq!(end, Next::Durable, "{failing:?}");
    }
}

#[test]
fn what_is_not_held_any_more_is_rolled_back() {
    let script = [
        (Step::Commit, Went::Wrong(Fault::Abortable)),
        (Step::Replay, Went::NotHeld),
    ];
    let (steps, end) = run(Guarantee::ExactlyOnce, &script);
    assert_eq!(steps[3..], [Step::Abort, Step::Replay, Step::RollBack]);
    assert_eq!(end, Next::RolledBack);
}

#[test]
fn offsets_that_the_group_refuses_are_not_sent_again() {
    let (steps, end) = run(
        Guarantee::ExactlyOnce,
        &[(Step::SendOffsets, Went::Wrong(Fault::Abortable))],
    );
    assert_eq!(steps[1..], [Step::SendOffsets, Step::Abort, Step::RollBack]);
    assert_eq!(end, Next::RolledBack);
}

#[test]
fn a_span_that_fails_again_and_again_is_rolled_back_in_the_end() {
    let wrong = Went::Wrong(Fault::Abortable);
    let (steps, end) = run(Guarantee::ExactlyOnce, &[(Step::Drain, wrong); 3]);
    assert_eq!(steps.iter().filter(|step| **step == Step::Replay).count(), 2);
    assert_eq!(steps[steps.len() - 2..], [Step::Abort, Step::RollBack]);
    assert_eq!(end, Next::RolledBack);
}

#[test]
fn a_replay_that_fails_is_aborted_like_any_transaction() {
    let script = [
        (Step::Commit, Went::Wrong(Fault::Abortable)),
        (Step::Replay, Went::Wrong(Fault::Abortable)),
        (Step::Replay, Went::Wrong(Fault::Fatal)),
    ];
    let (steps, end) = run(Guarantee::ExactlyOnce, &script);
    let tail = [
        Step::Abort,
        Step::Replay,
        Step::Abort,
        Step::Replay,
        Step::Renew,
        Step::RollBack,
    ];
    assert_eq!(steps[3..], tail);
    assert_eq!(end, Next::RolledBack);
}

#[test]
fn a_span_that_is_given_up_half_way_is_never_sent_again() {
    for fault in [
        Fault::Retriable,
        Fault::Abortable,
        Fault::TimedOut,
        Fault::Fenced,
        Fault::Fatal,
    ] {
        let mut checkpoint = Checkpoint::new(Guarantee::ExactlyOnce, Budget::default());
        let mut next = checkpoint.give_up(fault, true, at(0));
        while let Next::Do(step) = next {
            assert_ne!(step, Step::Replay, "{fault:?}");
            next = checkpoint.next(step, Went::Well, at(0));
        }
        assert_eq!(next, Next::RolledBack, "{fault:?}");
    }
}

#[test]
fn a_failed_delivery_at_least_once_discards_and_rolls_back() {
    let (steps, end) = run(Guarantee::AtLeastOnce, &[(Step::Drain, Went::Wrong(Fault::Abortable))]);
    assert_eq!(steps, [Step::Drain, Step::Discard, Step::RollBack]);
    assert_eq!(end, Next::RolledBack);
}

#[test]
fn offsets_of_delivered_outputs_that_cannot_be_committed_yet_undo_nothing() {
    let (steps, end) = run(
        Guarantee::AtLeastOnce,
        &[(Step::StoreOffsets, Went::Wrong(Fault::Abortable))],
    );
    assert_eq!(steps, [Step::Drain, Step::StoreOffsets, Step::Publish]);
    assert_eq!(end, Next::Durable);
    let tries = Budget::default().retries as usize + 1;
    let wrong = (Step::StoreOffsets, Went::Wrong(Fault::Retriable));
    let (steps, end) = run(Guarantee::AtLeastOnce, &vec![wrong; tries]);
    assert_eq!(steps.last(), Some(&Step::Publish));
    assert_eq!(steps.len(), 1 + tries + 1);
    assert_eq!(end, Next::Durable);
    let refused = (Step::StoreOffsets, Went::Wrong(Fault::Refused));
    let (steps, end) = run(Guarantee::AtLeastOnce, &[refused]);
    assert_eq!(steps[2..], [Step::Discard, Step::RollBack]);
    assert_eq!(end, Next::Stop(Stop::GuaranteeLost));
}

#[test]
fn a_retriable_error_repeats_the_same_step() {
    let wrong = Went::Wrong(Fault::Retriable);
    let (steps, end) = run(
        Guarantee::ExactlyOnce,
        &[(Step::SendOffsets, wrong), (Step::SendOffsets, wrong)],
    );
    assert_eq!(
        steps,
        [
            Step::Drain,
            Step::SendOffsets,
            Step::SendOffsets,
            Step::SendOffsets,
            Step::Commit,
            Step::Publish
        ]
    );
    assert_eq!(end, Next::Durable);
}

#[test]
fn a_commit_of_unknown_fate_that_took_effect_is_published() {
    let script = [
        (Step::Commit, Went::Wrong(Fault::TimedOut)),
        (Step::Inspect, Went::Committed),
    ];
    let (steps, end) = run(Guarantee::ExactlyOnce, &script);
    assert_eq!(steps[2..], [Step::Commit, Step::Renew, Step::Inspect, Step::Publish]);
    assert_eq!(end, Next::Durable);
}

#[test]
fn a_commit_of_unknown_fate_that_took_no_effect_is_rolled_back() {
    let script = [
        (Step::Commit, Went::Wrong(Fault::TimedOut)),
        (Step::Inspect, Went::NotCommitted),
        (Step::Replay, Went::NotHeld),
    ];
    let (steps, end) = run(Guarantee::ExactlyOnce, &script);
    let tail = [Step::Commit, Step::Renew, Step::Inspect, Step::Replay, Step::RollBack];
    assert_eq!(steps[2..], tail);
    assert_eq!(end, Next::RolledBack);
}

#[test]
fn a_fatal_error_before_the_commit_needs_no_inspection() {
    let (steps, end) = run(
        Guarantee::ExactlyOnce,
        &[(Step::SendOffsets, Went::Wrong(Fault::Fatal))],
    );
    assert_eq!(steps[1..4], [Step::SendOffsets, Step::Renew, Step::Replay]);
    assert_eq!(end, Next::Durable);
}

#[test]
fn an_abort_that_times_out_is_finished_by_a_new_producer() {
    let script = [
        (Step::Commit, Went::Wrong(Fault::Abortable)),
        (Step::Abort, Went::Wrong(Fault::TimedOut)),
        (Step::Inspect, Went::NotCommitted),
    ];
    let (steps, end) = run(Guarantee::ExactlyOnce, &script);
    // Was the commit refused, or did it take effect before it was? Only Kafka knows.
    assert_eq!(
        steps[2..7],
        [Step::Commit, Step::Abort, Step::Renew, Step::Inspect, Step::Replay]
    );
    assert_eq!(end, Next::Durable);
}

#[test]
fn a_refusal_undoes_the_work_and_stops() {
    let (steps, end) = run(
        Guarantee::ExactlyOnce,
        &[(Step::SendOffsets, Went::Wrong(Fault::Refused))],
    );
    assert_eq!(steps[1..], [Step::SendOffsets, Step::Abort, Step::RollBack]);
    assert_eq!(end, Next::Stop(Stop::GuaranteeLost));
}

#[test]
fn one_fencing_is_survived_and_a_second_one_soon_after_stops() {
    let mut checkpoint = Checkpoint::new(Guarantee::ExactlyOnce, Budget::default());
    checkpoint.start();
    let fenced = Went::Wrong(Fault::Fenced);
    assert_eq!(checkpoint.next(Step::Commit, fenced, at(0)), Next::Do(Step::Renew));
    checkpoint.start();
    assert_eq!(checkpoint.next(Step::Commit, fenced, at(30)), Next::Stop(Stop::Fenced));
}

#[test]
fn fencings_far_apart_are_slow_transactions_and_no_twin() {
    let mut checkpoint = Checkpoint::new(Guarantee::ExactlyOnce, Budget::default());
    for minute in 0..10 {
        checkpoint.start();
        let next = checkpoint.next(Step::SendOffsets, Went::Wrong(Fault::Fenced), at(minute * 61));
        assert_eq!(next, Next::Do(Step::Renew));
    }
}

#[test]
fn transactions_that_outlasted_their_time_are_given_up_by_the_broker_and_by_no_twin() {
    let mut checkpoint = Checkpoint::new(Guarantee::ExactlyOnce, Budget::default());
    // An outage of 12 s, again and again: longer than a transaction may last.
    for round in 0..20 {
        checkpoint.opened(at(round * 15));
        checkpoint.start();
        let next = checkpoint.next(Step::SendOffsets, Went::Wrong(Fault::Fenced), at(round * 15 + 12));
        assert_eq!(next, Next::Do(Step::Renew));
        checkpoint.next(Step::Renew, Went::Well, at(round * 15 + 12));
        let next = checkpoint.next(Step::Replay, Went::NotHeld, at(round * 15 + 12));
        assert_eq!(next, Next::Do(Step::RollBack));
        checkpoint.next(Step::RollBack, Went::Well, at(round * 15 + 12));
    }
}

#[test]
fn an_outage_uses_up_no_budget_however_often_it_comes_back() {
    let mut checkpoint = Checkpoint::new(Guarantee::ExactlyOnce, Budget::default());
    for _ in 0..100 {
        checkpoint.start();
        for failing in [Step::Commit, Step::Abort] {
            let next = checkpoint.next(failing, Went::Wrong(Fault::TimedOut), at(0));
            assert_eq!(next, Next::Do(Step::Renew), "{failing:?}");
        }
    }
}

#[test]
fn what_became_durable_in_between_gives_the_budget_back() {
    let budget = Budget {
        renewals: 1,
        ..Budget::default()
    };
    let mut checkpoint = Checkpoint::new(Guarantee::ExactlyOnce, budget);
    for _ in 0..10 {
        checkpoint.start();
        let next = checkpoint.next(Step::SendOffsets, Went::Wrong(Fault::Fatal), at(0));
        assert_eq!(next, Next::Do(Step::Renew));
        assert_eq!(checkpoint.next(Step::Publish, Went::Well, at(0)), Next::Durable);
    }
}

#[test]
fn a_lost_consumer_is_replaced_after_the_work_is_undone_and_before_positions_are_gone_back_to() {
    let lost = Went::Wrong(Fault::ConsumerLost);
    for failing in [Step::Drain, Step::SendOffsets] {
        let (steps, end) = run(Guarantee::ExactlyOnce, &[(failing, lost)]);
        assert_eq!(
            steps[steps.len() - 3..],
            [Step::Abort, Step::Rejoin, Step::RollBack],
            "{failing:?}"
        );
        assert_eq!(end, Next::RolledBack);
    }
    let (steps, end) = run(Guarantee::AtLeastOnce, &[(Step::StoreOffsets, lost)]);
    assert_eq!(steps[2..], [Step::Discard, Step::Rejoin, Step::RollBack]);
    assert_eq!(end, Next::RolledBack);
    // It is noticed only on the way back.
    let script = [
        (Step::SendOffsets, Went::Wrong(Fault::Abortable)),
        (Step::RollBack, lost),
    ];
    let (steps, end) = run(Guarantee::ExactlyOnce, &script);
    assert_eq!(steps[2..], [Step::Abort, Step::RollBack, Step::Rejoin, Step::RollBack]);
    assert_eq!(end, Next::RolledBack);
}

#[test]
fn a_commit_of_unknown_fate_is_looked_for_by_the_new_consumer() {
    let script = [
        (Step::Commit, Went::Wrong(Fault::TimedOut)),
        (Step::Inspect, Went::Wrong(Fault::ConsumerLost)),
        (Step::Inspect, Went::Committed),
    ];
    let (steps, end) = run(Guarantee::ExactlyOnce, &script);
    assert_eq!(
        steps[3..],
        [Step::Renew, Step::Inspect, Step::Rejoin, Step::Inspect, Step::Publish]
    );
    assert_eq!(end, Next::Durable);
}

#[test]
fn a_consumer_that_a_twin_replaced_stops_as_fenced_after_the_work_is_undone() {
    let fenced = Went::Wrong(Fault::ConsumerFenced);
    let (steps, end) = run(Guarantee::ExactlyOnce, &[(Step::SendOffsets, fenced)]);
    assert_eq!(steps[2..], [Step::Abort, Step::RollBack]);
    assert_eq!(end, Next::Stop(Stop::Fenced));
    let (_, end) = run(
        Guarantee::ExactlyOnce,
        &[(Step::SendOffsets, fenced), (Step::RollBack, fenced)],
    );
    assert_eq!(end, Next::Stop(Stop::Fenced));
    for (open, first) in [(false, Next::Stop(Stop::Fenced)), (true, Next::Do(Step::Abort))] {
        let mut checkpoint = Checkpoint::new(Guarantee::ExactlyOnce, Budget::default());
        assert_eq!(checkpoint.give_up(Fault::ConsumerFenced, open, at(0)), first);
    }
}

#[test]
fn renewals_in_a_row_are_limited() {
    let mut checkpoint = Checkpoint::new(
        Guarantee::ExactlyOnce,
        Budget {
            renewals: 2,
            ..Budget::default()
        },
    );
    for _ in 0..2 {
        checkpoint.start();
        let next = checkpoint.next(Step::SendOffsets, Went::Wrong(Fault::Fatal), at(0));
        assert_eq!(next, Next::Do(Step::Renew));
    }
    checkpoint.start();
    let next = checkpoint.next(Step::SendOffsets, Went::Wrong(Fault::Fatal), at(1));
    assert_eq!(next, Next::Stop(Stop::GuaranteeLost));
}

#[test]
fn a_new_producer_is_waited_for_as_long_as_the_outage_lasts() {
    let mut checkpoint = Checkpoint::new(Guarantee::ExactlyOnce, Budget::default());
    checkpoint.start();
    checkpoint.next(Step::SendOffsets, Went::Wrong(Fault::Fatal), at(0));
    for second in 0..1000 {
        let next = checkpoint.next(Step::Renew, Went::Wrong(Fault::Retriable), at(second));
        assert_eq!(next, Next::Do(Step::Renew));
    }
    assert_eq!(
        checkpoint.next(Step::Renew, Went::Well, at(1000)),
        Next::Do(Step::Replay)
    );
}

fn any_went() -> impl Strategy<Value = Went> {
    prop_oneof![
        5 => Just(Went::Well),
        1 => Just(Went::Wrong(Fault::Retriable)),
        1 => Just(Went::Wrong(Fault::Abortable)),
        1 => Just(Went::Wrong(Fault::TimedOut)),
        1 => Just(Went::Wrong(Fault::Fenced)),
        1 => Just(Went::Wrong(Fault::Fatal)),
        1 => Just(Went::Wrong(Fault::ConsumerLost)),
        1 => Just(Went::Wrong(Fault::ConsumerFenced)),
        1 => Just(Went::Wrong(Fault::Refused)),
    ]
}

proptest! {
    #[test]
    fn whatever_goes_wrong_a_span_is_published_only_when_its_offsets_may_be_committed(
        exactly_once: bool,
        script in proptest::collection::vec((any_went(), any::<bool>()), 0..60),
    ) {
        let guarantee = if exactly_once { Guarantee::ExactlyOnce } else { Guarantee::AtLeastOnce };
        let mut checkpoint = Checkpoint::new(guarantee, Budget::default());
        let mut next = checkpoint.start();
        let mut confirmed = false;
        let mut undone = false;
        // Whether a transaction is open, and whether the last one may have been committed all the same.
        let (mut open, mut is_fate_unknown) = (true, false);
        for (second, (went, committed)) in script.into_iter().enumerate() {
            let Next::Do(step) = next else { break };
            let went = match (step, went) {
                (Step::Inspect, Went::Well) if committed => Went::Committed,
                (Step::Inspect, Went::Well) => Went::NotCommitted,
                (Step::Publish, _) => Went::Well,
                (Step::Replay, Went::Well) if !committed => Went::NotHeld,
                (_, went) => went,
            };
            confirmed |= match (step, went) {
                (Step::Commit, went) => went == Went::Well,
                (Step::StoreOffsets, went) => went != Went::Wrong(Fault::Refused),
                (_, went) => went == Went::Committed,
            };
            if step == Step::Publish {
                prop_assert!(confirmed && !undone);
            }
            undone |= step == Step::RollBack;
            match (step, went) {
                (Step::Replay, Went::Well | Went::Wrong(_)) => {
                    prop_assert!(!open && !is_fate_unknown && !undone && !confirmed, "Kafka may have it already");
                    open = went == Went::Well || !matches!(went, Went::Wrong(Fault::Retriable));
                }
                (Step::Commit, Went::Wrong(_)) => is_fate_unknown = true,
                (Step::Abort, Went::Well) | (Step::Inspect, Went::NotCommitted) => (open, is_fate_unknown) = (false, false),
                (Step::Renew, Went::Well) => open = false,
                _ => {}
            }
            next = checkpoint.next(step, went, at(second as u64));
        }
    }
}
