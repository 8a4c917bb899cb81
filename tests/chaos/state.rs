//! What the threads of a run share.
//!
//! Owns: the checker, the counts, the timeline, and whether the run goes on.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use eddy_tests::checker::{Checker, Violation};
use serde_json::{Value, json};

/// Longest wait for the service to go on after a fault. Only failures take this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);
/// Entries of the timeline that are kept.
const KEPT: usize = 20_000;

/// What is counted, by name.
pub(crate) type Counts = BTreeMap<&'static str, u64>;

/// What the threads of a run share.
pub(crate) struct State {
    started: Instant,
    pub checker: Mutex<Checker>,
    /// Numbers below it were sent, or are about to be.
    pub handed_out: AtomicU64,
    /// Numbers below it may be sent.
    pub allowed: AtomicU64,
    /// For each partition of the events topic the numbers in its order.
    pub places: Mutex<Vec<Vec<u64>>>,
    /// An outage is under way.
    pub is_outage: AtomicBool,
    /// A broker or the way to it is disturbed, so that a start may fail.
    pub is_disturbed: AtomicBool,
    ending: AtomicBool,
    committed: Mutex<i64>,
    moved: Condvar,
    counts: Mutex<Counts>,
    timeline: Mutex<Vec<Value>>,
    violations: Mutex<Vec<(f64, Violation)>>,
    mishaps: Mutex<Vec<String>>,
}

impl State {
    pub(crate) fn new(checker: Checker, partitions: i32) -> Self {
        Self {
            started: Instant::now(),
            checker: Mutex::new(checker),
            handed_out: AtomicU64::new(0),
            allowed: AtomicU64::new(u64::MAX),
            places: Mutex::new(vec![Vec::new(); partitions as usize]),
            is_outage: AtomicBool::new(false),
            is_disturbed: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            committed: Mutex::new(0),
            moved: Condvar::new(),
            counts: Mutex::default(),
            timeline: Mutex::default(),
            violations: Mutex::default(),
            mishaps: Mutex::default(),
        }
    }

    pub(crate) fn seconds(&self) -> f64 {
        (self.started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0
    }

    /// Whether the threads shall end.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    pub(crate) fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    /// Whether something went wrong, so that going on would only blur it.
    pub(crate) fn is_broken(&self) -> bool {
        !locked(&self.violations).is_empty() || !locked(&self.mishaps).is_empty() || locked(&self.checker).broken() > 0
    }

    pub(crate) fn count(&self, what: &'static str) {
        self.add(what, 1);
    }

    pub(crate) fn add(&self, what: &'static str, number: u64) {
        *locked(&self.counts).entry(what).or_default() += number;
    }

    pub(crate) fn counted(&self, what: &'static str) -> u64 {
        locked(&self.counts).get(what).copied().unwrap_or(0)
    }

    /// Keeps the highest value.
    pub(crate) fn highest(&self, what: &'static str, value: u64) {
        let mut counts = locked(&self.counts);
        let known = counts.entry(what).or_default();
        *known = value.max(*known);
    }

    pub(crate) fn counts(&self) -> Counts {
        locked(&self.counts).clone()
    }

    /// Notes an action, and shows it.
    pub(crate) fn note(&self, action: &str, victim: &str, more: Value) {
        let at = self.seconds();
        eprintln!(
            "{at:>9.3} {action} {victim} {}",
            if more.is_null() {
                String::new()
            } else {
                more.to_string()
            }
        );
        let mut timeline = locked(&self.timeline);
        if timeline.len() < KEPT {
            let mut entry = json!({"at": at, "action": action, "victim": victim});
            if !more.is_null() {
                entry["more"] = more;
            }
            timeline.push(entry);
        }
    }

    pub(crate) fn timeline(&self) -> Vec<Value> {
        locked(&self.timeline).clone()
    }

    /// A promise was broken.
    pub(crate) fn violated(&self, promise: &'static str, what: String) {
        eprintln!("{:>9.3} VIOLATION {promise}: {what}", self.seconds());
        let violation = Violation {
            promise,
            what,
            ids: Vec::new(),
        };
        locked(&self.violations).push((self.seconds(), violation));
    }

    /// The harness itself did not do what it should.
    pub(crate) fn mishap(&self, what: String) {
        eprintln!("{:>9.3} MISHAP of the harness: {what}", self.seconds());
        locked(&self.mishaps).push(what);
    }

    pub(crate) fn mishaps(&self) -> Vec<String> {
        locked(&self.mishaps).clone()
    }

    /// Takes up what the checker found.
    pub(crate) fn take_up(&self, found: &[Violation]) {
        let at = self.seconds();
        locked(&self.violations).extend(found.iter().map(|violation| (at, violation.clone())));
    }

    pub(crate) fn violations(&self) -> Vec<(f64, Violation)> {
        locked(&self.violations).clone()
    }

    /// The sum of the group's committed offsets, as last seen.
    pub(crate) fn committed(&self) -> i64 {
        *locked(&self.committed)
    }

    pub(crate) fn set_committed(&self, sum: i64) {
        let mut committed = locked(&self.committed);
        if sum != *committed {
            *committed = sum;
            self.moved.notify_all();
        }
    }

    /// Waits until more than this is committed; says whether that came true.
    pub(crate) fn wait_for_commit(&self, beyond: i64, patience: Duration) -> bool {
        let committed = locked(&self.committed);
        let waited = self
            .moved
            .wait_timeout_while(committed, patience, |sum| *sum <= beyond && !self.is_ending());
        let (committed, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *committed > beyond
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

/// A thread that panicked has left whole values behind.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
