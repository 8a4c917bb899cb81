//! Framed events whose schemas come in the course of a schedule: what waits for one is neither lost, nor a dead letter, nor
//! overtaken, whatever else happens meanwhile.

use eddy_broker::twin::Sabotage;
use eddy_pipeline::checkpoint::Guarantee;

use crate::plan::Plan;
use crate::{first_failure, seeds, shrink, world};

fn all_hold(guarantee: Guarantee) {
    if let Some(plan) = first_failure(seeds(), |seed| Plan::draw_framed(seed, guarantee)) {
        panic!("{}", shrink::report(plan));
    }
    assert!(world::waits() > 0, "no lane ever waited");
}

#[test]
fn exactly_once_an_event_that_waits_for_its_schema_has_one_outcome_whatever_happens() {
    all_hold(Guarantee::ExactlyOnce);
}

#[test]
fn at_least_once_an_event_that_waits_for_its_schema_is_not_lost_whatever_happens() {
    all_hold(Guarantee::AtLeastOnce);
}

/// The event is put back by a rewind. A client that says it did, and did not, would lose it.
#[test]
fn a_client_that_does_not_put_back_an_event_that_waits_is_caught() {
    for guarantee in [Guarantee::ExactlyOnce, Guarantee::AtLeastOnce] {
        let planted = |seed| {
            let mut plan = Plan::draw_framed(seed, guarantee);
            plan.faults.clear();
            plan.happenings.clear();
            plan.sabotage = Sabotage::ForgetsToRewind;
            plan
        };
        assert!(first_failure(0..200, planted).is_some(), "{guarantee:?}");
    }
}
