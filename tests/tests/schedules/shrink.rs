//! Makes a failing schedule shorter, so that a person can follow it.

use crate::plan::Plan;
use crate::world::{self, Broken};

/// Most runs that shrinking may take.
const MOST_RUNS: usize = 2000;
/// Most lines of a trace that are shown.
const MOST_LINES: usize = 400;

/// The shortest failing schedule that leaving things out one by one finds, with what it breaks and its trace.
pub(crate) fn report(plan: Plan) -> String {
    let seed = plan.seed;
    let (plan, broken) = shrink(plan);
    let hidden = broken.trace.len().saturating_sub(MOST_LINES);
    let trace = broken.trace[hidden..].join("\n");
    format!(
        "seed {seed} fails; this is what is left of it:\n{plan:#?}\n{hidden} lines of the trace are left out\n{trace}\n\n\
         seed {seed} ({:?}): {}\nplay it alone with EDDY_SCHEDULE_SEED={seed}",
        plan.guarantee, broken.what
    )
}

fn shrink(mut plan: Plan) -> (Plan, Broken) {
    let mut runs = 0;
    loop {
        let mut shorter = None;
        for candidate in candidates(&plan) {
            runs += 1;
            if runs < MOST_RUNS && world::run(&candidate, false).is_err() {
                shorter = Some(candidate);
                break;
            }
        }
        match shorter {
            Some(candidate) => plan = candidate,
            None => break,
        }
    }
    let broken = world::run(&plan, true).err();
    let broken = broken.unwrap_or_else(|| Broken {
        what: "it holds when it is played again: something in it is left to chance outside of the seed".into(),
        trace: Vec::new(),
    });
    (plan, broken)
}

/// Schedules with one thing less.
fn candidates(plan: &Plan) -> impl Iterator<Item = Plan> {
    let without = |change: &dyn Fn(&mut Plan)| {
        let mut shorter = plan.clone();
        change(&mut shorter);
        shorter
    };
    let mut all = Vec::new();
    for at in 0..plan.faults.len() {
        all.push(without(&|plan| {
            plan.faults.remove(at);
        }));
    }
    for at in 0..plan.happenings.len() {
        all.push(without(&|plan| {
            plan.happenings.remove(at);
        }));
    }
    for length in [plan.events.len() / 2, plan.events.len() * 3 / 4] {
        all.push(without(&|plan| plan.events.truncate(length)));
        all.push(without(&|plan| drop(plan.events.drain(..length))));
    }
    for at in 0..plan.later.len() {
        all.push(without(&|plan| {
            plan.later.remove(at);
        }));
    }
    for at in 0..plan.events.len() {
        all.push(without(&|plan| {
            plan.events.remove(at);
        }));
    }
    let used = plan
        .happenings
        .iter()
        .filter_map(|(_, happening)| happening.lane())
        .max()
        .map_or(1, |lane| lane + 1);
    if plan.lanes > used {
        all.push(without(&|plan| plan.lanes -= 1));
    }
    if plan.interleaving > 0 {
        all.push(without(&|plan| plan.interleaving = 0));
    }
    // Halving a single event leaves it out twice, or not at all.
    all.retain(|shorter| shorter.events.len() < plan.events.len() || shorter.size() < plan.size());
    all.into_iter()
}
