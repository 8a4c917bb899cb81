//! One run: everything is started, disturbed, healed, brought to rest and judged.
//!
//! Invariant: whatever happens, there is an outcome, and nothing that was started stays behind.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use eddy_tests::checker::{Checker, Counts as Seen, Promise, Violation};
use eddy_tests::cluster::Cluster;
use serde_json::{Value, json};

use crate::arguments::{Arguments, Guarantee};
use crate::feed::feed;
use crate::fleet::Fleet;
use crate::nemesis::Nemesis;
use crate::reader::{read_again, read_along};
use crate::rest::{await_start, bring_to_rest};
use crate::scene::{DUPLICATES_PER_FAULT, PARTITIONS, Scene};
use crate::state::{Counts, State, locked};
use crate::watch::{watch_offsets, watch_replicas};

/// What became of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub seed: u64,
    pub seconds: f64,
    pub counts: Counts,
    /// Broken promises, with the time at which each was found.
    pub violations: Vec<(f64, Violation)>,
    /// What the harness itself could not do.
    pub mishaps: Vec<String>,
    pub timeline: Vec<Value>,
}

impl Outcome {
    /// Whether nothing was broken.
    pub(crate) fn is_clean(&self) -> bool {
        self.violations.is_empty() && self.mishaps.is_empty()
    }

    /// Whether it is as it must be; where duplicates were planted, they and nothing else must have been found.
    pub(crate) fn passed(&self, planted: bool) -> bool {
        if !planted {
            return self.is_clean();
        }
        let found = |promise| {
            self.violations
                .iter()
                .any(|(_, violation)| violation.promise == promise)
        };
        let only = self.violations.iter().all(|(_, v)| ["I2", "I4"].contains(&v.promise));
        found("I2") && only && self.mishaps.is_empty()
    }
}

/// Runs, and keeps in `folder` what explains a failure.
pub(crate) fn run(arguments: &Arguments, seed: u64, folder: &Path) -> Outcome {
    let home = tempfile::tempdir().expect("a temporary folder");
    let mut cluster = Cluster::start(arguments.nodes);
    let scene = Scene::set(arguments, seed, &cluster, home.path());
    let state = Arc::new(State::new(checker(&scene), PARTITIONS));
    state.note("start", "", json!({"seed": seed}));
    let fleet = Mutex::new(Fleet::start(&scene, arguments.membership));

    std::thread::scope(|scope| {
        let (scene, state, fleet) = (&scene, &state, &fleet);
        scope.spawn(move || guarded("the feed", state, || feed(scene, state, arguments.rate)));
        scope.spawn(move || guarded("the reader", state, || read_along(scene, state)));
        scope.spawn(move || guarded("the watch of offsets", state, || watch_offsets(scene, state)));
        scope.spawn(move || guarded("the watch of replicas", state, || watch_replicas(fleet, state)));
        guarded("the nemesis", state, || {
            await_start(fleet, state);
            Nemesis::new(arguments, &mut cluster, seed, (fleet, scene, state)).run();
            bring_to_rest(fleet, state);
        });
        state.end();
    });
    guarded("the judgement", &state, || judge(&scene, &state));
    let outcome = Outcome {
        seed,
        seconds: state.seconds(),
        counts: state.counts(),
        violations: state.violations(),
        mishaps: state.mishaps(),
        timeline: state.timeline(),
    };
    if arguments.keep_logs || !outcome.is_clean() {
        locked(&fleet).keep_logs(folder);
    }
    if !outcome.is_clean() {
        guarded("the evidence", &state, || {
            keep_outputs(&scene, &state, &outcome, folder)
        });
    }
    outcome
}

fn checker(scene: &Scene) -> Checker {
    let promise = match scene.guarantee {
        Guarantee::ExactlyOnce => Promise::exactly_once(),
        Guarantee::AtLeastOnce => Promise::at_least_once(),
    };
    let recipe = scene.recipe;
    Checker::new(promise, move |number| recipe.event(number))
}

/// A panic is a mishap, and ends the run.
fn guarded(what: &'static str, state: &State, work: impl FnOnce()) {
    let Err(panic) = catch_unwind(AssertUnwindSafe(work)) else {
        return;
    };
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic");
    state.mishap(format!("{what}: {text}"));
    state.end();
}

/// At rest: nothing is missing for the reader that read along, nor for one that reads everything once more.
fn judge(scene: &Scene, state: &State) {
    let places = locked(&state.places).clone();
    let mut along = locked(&state.checker);
    along.at_rest();
    along.compare_places(&places);

    let mut again = checker(scene);
    again.handed_out(state.handed_out.load(Ordering::SeqCst));
    let seen = along.counts();
    read_again(scene, state, outputs(seen), |to, message| again.output(to, message));
    again.at_rest();
    let seen_again = again.counts();
    state.take_up(along.violations());
    if along.violations().is_empty() {
        state.take_up(again.violations());
    }
    drop(along);
    if seen != seen_again {
        state.violated("I1", format!("read along {seen:?}, read again {seen_again:?}"));
    }
    let counted = [
        ("events", places.iter().map(Vec::len).sum::<usize>()),
        ("predictions", seen_again.predictions),
        ("samples", seen_again.samples),
        ("dead_letters", seen_again.dead_letters),
        ("duplicates", seen_again.duplicates),
    ];
    counted
        .into_iter()
        .for_each(|(what, count)| state.highest(what, count as u64));
    if scene.guarantee == Guarantee::ExactlyOnce {
        compare_books(seen_again, state);
    } else {
        bound_duplicates(seen_again.duplicates as u64, state);
    }
}

/// How many records were seen.
fn outputs(seen: Seen) -> usize {
    seen.predictions + seen.samples + seen.dead_letters + seen.duplicates
}

/// Where every replica could say at its end what it had made durable, that is what there is.
fn compare_books(seen: Seen, state: &State) {
    if state.counted("kills_total") + state.counted("starts_again") > 0 {
        return;
    }
    let said = ["drained_predicted", "drained_dead_lettered"].map(|what| state.counted(what));
    if said != [seen.predictions as u64, seen.dead_letters as u64] {
        let what = format!("the replicas' books say {said:?} predictions and dead letters, and there are {seen:?}");
        state.violated("I6", what);
    }
}

/// At least once, each fault may repeat what was under way: of one replica, or of all where a broker was concerned. Replicas
/// that come and go repeat nothing.
fn bound_duplicates(duplicates: u64, state: &State) {
    let sum = |names: &[&'static str]| names.iter().map(|what| state.counted(what)).sum::<u64>();
    let of_one = sum(&["kills_total", "zombies"]);
    let of_all = sum(&["broker_faults", "network_faults", "outages"]);
    let replicas = crate::fleet::MOST as u64;
    let bound = (of_one + replicas * of_all) * DUPLICATES_PER_FAULT;
    state.highest("duplicates_allowed", bound);
    if duplicates > bound {
        let what = format!("{duplicates} duplicates, and the faults explain {bound} at most");
        state.violated("I2", what);
    }
}

/// Every output of the events that violations name, one a line.
fn keep_outputs(scene: &Scene, state: &State, outcome: &Outcome, folder: &Path) {
    let ids: BTreeSet<&str> = outcome
        .violations
        .iter()
        .flat_map(|(_, v)| v.ids.iter().map(String::as_str))
        .collect();
    if ids.is_empty() {
        return;
    }
    let mut file = std::fs::File::create(folder.join("outputs.jsonl")).expect("the folder of the verdict takes a file");
    let known = outputs(locked(&state.checker).counts());
    read_again(scene, state, known, |to, message| {
        if message.header("eddy.id").is_some_and(|id| ids.contains(id)) {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).chars().take(2000).collect::<String>();
            let headers: Vec<_> = message
                .headers
                .iter()
                .map(|(name, value)| json!([name, value.as_deref().map(text)]))
                .collect();
            let line = json!({
                "topic": to.as_str(), "partition": message.partition, "offset": message.offset,
                "timestamp": message.timestamp, "value": message.value.as_deref().map(text), "headers": headers,
            });
            writeln!(file, "{line}").expect("the folder of the verdict takes more");
        }
    });
}
