//! The watchdog: a call that never comes back must not look like patience.
//!
//! Owns: which thread is in which blocking call, since when, and how long that may take.
//! Never does: interrupt a call or abort the process by a signal. A thread stuck in a C library cannot be helped; the
//! process says so and ends, the offsets untouched.
//!
//! Invariant: only calls that were entered are judged, so a lane without work is never suspected.

use std::fmt;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use eddy_pipeline::settings::Span;
use eddy_pipeline::time::{Clock, Now};

use crate::error::Error;
use crate::exit::{ExitCode, exit_now};
use crate::tasks::{OnDrain, OnExit, Policy, Tasks};

/// A blocking call that took longer than its limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overdue {
    /// Whose call: `lane 0`.
    pub who: String,
    /// Which call: `commit`.
    pub call: &'static str,
    /// How long it has taken so far.
    pub took: Duration,
    /// How long it may take.
    pub limit: Duration,
}

impl fmt::Display for Overdue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole_ms = |time: Duration| Span::ms(time.as_millis() as u64);
        write!(
            f,
            "{} is stuck in `{}`: {} have passed, {} is the limit",
            self.who,
            self.call,
            whole_ms(self.took),
            whole_ms(self.limit)
        )
    }
}

/// Writes what is overdue and ends the process with [`ExitCode::GuaranteeLost`].
pub fn exit_on_overdue(overdue: &Overdue) {
    tracing::error!("{overdue}; the process ends here, and what was not durable is done again after the restart");
    exit_now(ExitCode::GuaranteeLost);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Call {
    name: &'static str,
    since: Duration,
    limit: Duration,
}

type Slot = Arc<Mutex<Option<Call>>>;

/// One thread's sign of life. Belongs to that thread.
#[derive(Debug)]
pub struct Beat {
    slot: Slot,
}

impl Beat {
    /// Says that a blocking call begins that may take `limit`; it ends when the returned value is dropped. One call at a
    /// time: entering a second one replaces the first.
    #[must_use = "the call counts as ended when this is dropped"]
    pub fn enter(&self, call: &'static str, limit: Duration, now: Now) -> Entered {
        *lock(&self.slot) = Some(Call {
            name: call,
            since: now.monotonic,
            limit,
        });
        Entered {
            slot: Arc::clone(&self.slot),
        }
    }
}

/// A blocking call under way.
#[derive(Debug)]
pub struct Entered {
    slot: Slot,
}

impl Drop for Entered {
    fn drop(&mut self) {
        *lock(&self.slot) = None;
    }
}

/// Watches the beats. Dropping it ends the watch.
#[derive(Debug)]
pub struct Watchdog {
    watched: Arc<Mutex<Vec<(String, Slot)>>>,
    _stop: Sender<()>,
}

impl Watchdog {
    /// Looks at all beats every `period`, and calls `on_overdue` for the first call beyond its limit
    /// ([`exit_on_overdue`], except in tests).
    ///
    /// # Errors
    /// When its thread cannot be started.
    pub fn start(
        tasks: &Tasks,
        clock: Arc<dyn Clock>,
        period: Duration,
        on_overdue: impl Fn(&Overdue) + Send + 'static,
    ) -> Result<Self, Error> {
        let watched: Arc<Mutex<Vec<(String, Slot)>>> = Arc::default();
        let beats = Arc::clone(&watched);
        let (stop, stopped) = mpsc::channel::<()>();
        // It goes on during a drain: a commit can hang there as well.
        let policy = Policy {
            on_exit: OnExit::Log,
            on_drain: OnDrain::Abort,
        };
        tasks.spawn_thread("eddy-watchdog", policy, move |_| {
            let mut looked = clock.now();
            while stopped.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
                let now = clock.now();
                let was_asleep = slept(looked, now, period);
                looked = now;
                if was_asleep {
                    continue;
                }
                let overdue = lock(&beats).iter().find_map(|(who, slot)| judge(who, *lock(slot), now));
                if let Some(overdue) = overdue {
                    on_overdue(&overdue);
                }
            }
            Ok(())
        })?;
        Ok(Self { watched, _stop: stop })
    }

    /// A beat for one more thread: `lane 0`.
    pub fn beat(&self, who: &str) -> Beat {
        let slot = Slot::default();
        lock(&self.watched).push((who.to_owned(), Arc::clone(&slot)));
        Beat { slot }
    }
}

/// When the whole process was stopped (a debugger, a frozen container), its calls were not slow: they get one more period.
fn slept(looked: Now, now: Now, period: Duration) -> bool {
    now.monotonic.saturating_sub(looked.monotonic) > period.saturating_mul(4)
}

fn judge(who: &str, call: Option<Call>, now: Now) -> Option<Overdue> {
    let Call { name, since, limit } = call?;
    let took = now.monotonic.saturating_sub(since);
    (took > limit).then(|| Overdue {
        who: who.to_owned(),
        call: name,
        took,
        limit,
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Now {
        Now {
            monotonic: Duration::from_secs(seconds),
            unix_ms: 0,
        }
    }

    const CALL: Call = Call {
        name: "commit",
        since: Duration::from_secs(10),
        limit: Duration::from_secs(5),
    };

    #[test]
    fn a_call_within_its_limit_is_left_alone() {
        assert_eq!(judge("lane 0", Some(CALL), at(15)), None);
    }

    #[test]
    fn a_call_beyond_its_limit_is_named_with_who_and_how_long() {
        let overdue = judge("lane 0", Some(CALL), at(17)).expect("7 s are more than 5 s");
        assert_eq!(
            overdue.to_string(),
            "lane 0 is stuck in `commit`: 7s have passed, 5s is the limit"
        );
    }

    #[test]
    fn who_is_in_no_call_is_not_judged() {
        assert_eq!(judge("lane 0", None, at(1_000_000)), None);
    }

    #[test]
    fn leaving_a_call_ends_it() {
        let beat = Beat { slot: Slot::default() };
        let call = beat.enter("commit", Duration::from_secs(5), at(10));
        assert_eq!(*lock(&beat.slot), Some(CALL));
        drop(call);
        assert_eq!(*lock(&beat.slot), None);
    }

    #[test]
    fn a_process_that_was_stopped_is_not_taken_for_a_slow_call() {
        let period = Duration::from_secs(1);
        assert!(!slept(at(10), at(12), period));
        assert!(slept(at(10), at(70), period));
    }
}
