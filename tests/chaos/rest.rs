//! The beginning and the end of a run: at work before the first fault, at rest after the last one.
//!
//! Owns: what must hold of the replicas themselves when nothing disturbs them any more.

use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use eddy_tests::service::ask;
use serde_json::{Value, json};

use crate::fleet::{Fleet, Seen, drain, held};
use crate::state::{PATIENCE, State, locked};

const TICK: Duration = Duration::from_millis(50);
/// Connections that come and go: of two clients to each of three brokers, and of their coordinators.
const FILES_TO_SPARE: u64 = 12;
const THREADS_TO_SPARE: u64 = 6;
/// Memory that a replica may hold beyond the double of what it began with.
const MIB_TO_SPARE: u64 = 64;

/// Waits until every replica is at work.
pub(crate) fn await_start(fleet: &Mutex<Fleet>, state: &State) {
    if !state.wait_for_commit(0, PATIENCE) {
        state.violated("I7", "nothing was committed after the start".into());
    }
    let at_work = || {
        let fleet = locked(fleet);
        fleet.at_work() == fleet.running()
    };
    demand(state, "every replica makes something durable after the start", at_work);
    state.note("at-work", "", Value::Null);
}

/// Stops the feed, waits until everything has come out, looks at the replicas and drains them.
pub(crate) fn bring_to_rest(fleet: &Mutex<Fleet>, state: &State) {
    stop_feed(state);
    let done = || {
        let events: usize = locked(&state.places).iter().map(Vec::len).sum();
        state.committed() == events as i64 && locked(&state.checker).complete() == events as u64
    };
    let started = Instant::now();
    demand(
        state,
        "everything is committed and has come out after the last fault",
        done,
    );
    state.highest("rest_ms", started.elapsed().as_millis() as u64);

    let started = Instant::now();
    let probe = state.handed_out.load(Ordering::SeqCst) + 1;
    state.allowed.store(probe, Ordering::SeqCst);
    demand(state, "a fresh event comes out", || {
        locked(&state.checker).complete() == probe && state.committed() == probe as i64
    });
    state.highest("probe_ms", started.elapsed().as_millis() as u64);
    state.note("at-rest", "", Value::Null);

    let seen = locked(fleet).seen();
    for replica in &seen {
        let is_idle = || {
            let status = ask(replica.port, "/status").and_then(|(_, body)| serde_json::from_str::<Value>(&body).ok());
            status.is_some_and(|status| status["events"]["in_flight"] == 0 && status["events"]["balanced"] == true)
        };
        demand(
            state,
            &format!("{} has nothing in flight at rest", replica.name),
            is_idle,
        );
        let is_ready = || matches!(ask(replica.port, "/ready"), Some((200, _)));
        demand(state, &format!("{} is ready at rest", replica.name), is_ready);
    }
    seen.iter().for_each(|replica| compare(replica, state));
    let running = locked(fleet).running();
    for slot in running {
        drain(fleet, slot, state);
    }
}

/// No more events; those that were handed out arrive.
fn stop_feed(state: &State) {
    state.allowed.store(0, Ordering::SeqCst);
    let mut before = u64::MAX;
    demand(state, "the feed delivers what it handed out", || {
        let handed_out = state.handed_out.load(Ordering::SeqCst);
        let delivered: usize = locked(&state.places).iter().map(Vec::len).sum();
        std::mem::replace(&mut before, handed_out) == handed_out && delivered as u64 == handed_out
    });
}

/// What a replica holds must not have grown since it began to work, whatever it went through.
fn compare(replica: &Seen, state: &State) {
    let (Some(before), Some(after)) = (replica.at_work, held(replica.pid)) else {
        return;
    };
    let name = &replica.name;
    state.note("held", name, json!({"before": before.shown(), "after": after.shown()}));
    state.highest("rss_mib", after.rss_mib);
    let grown = after.files > before.files + before.files / 20 + FILES_TO_SPARE
        || after.threads > before.threads + before.threads / 20 + THREADS_TO_SPARE
        || after.rss_mib > before.rss_mib * 2 + MIB_TO_SPARE;
    if grown {
        state.violated(
            "I7",
            format!("{name} holds more than when it began to work: {before:?} became {after:?}"),
        );
    }
}

/// Waits for what must come true; that it does not is a broken promise.
fn demand(state: &State, what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        if started.elapsed() > PATIENCE || state.is_ending() {
            return state.violated("I7", format!("not within {} s: {what}", PATIENCE.as_secs()));
        }
        std::thread::sleep(TICK);
    }
}
