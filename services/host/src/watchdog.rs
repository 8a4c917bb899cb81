//! The watchdog: a call that never comes back must not look like patience.
//!
//! Owns: which thread is in which blocking call, since when, and how long that may take.
//! Never does: interrupt a call or abort the process by a signal. A thread stuck in a C library cannot be helped; the
//! process says so and ends, the offsets untouched.
//!
//! Invariant: only what was announced is judged: calls that were entered and, for a thread that says so, the time between
//! them.

use std::fmt;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use eddy_pipeline::settings::Span;
use eddy_pipeline::time::Clock;

use crate::error::Error;
use crate::exit::{ExitCode, exit_now, say_end};
use crate::tasks::{OnDrain, OnExit, Policy, Tasks};

/// A blocking call that may take so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Its name, for the log.
    pub name: &'static str,
    /// How long it may take.
    pub limit: Duration,
    /// Whether it waits for somebody outside, so that a longer wait may help.
    pub waits_outside: bool,
}

/// A blocking call that took longer than its limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overdue {
    /// Whose call: `lane 0`.
    pub who: String,
    /// Which call.
    pub call: Call,
    /// How long it has taken so far.
    pub took: Duration,
}

impl fmt::Display for Overdue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole_ms = |time: Duration| Span::ms(time.as_millis() as u64);
        write!(
            f,
            "{} is stuck in `{}`: {} have passed, {} is the limit",
            self.who,
            self.call.name,
            whole_ms(self.took),
            whole_ms(self.call.limit)
        )
    }
}

/// What is done about a call that is overdue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It gets its whole limit once more.
    WaitOn,
    /// It is told again at the next look.
    Stuck,
}

/// Writes what is overdue and ends the process with [`ExitCode::GuaranteeLost`].
pub fn exit_on_overdue(overdue: &Overdue) -> Verdict {
    tracing::error!("{overdue}; the process ends here, and what was not durable is done again after the restart");
    say_end(ExitCode::GuaranteeLost);
    exit_now(ExitCode::GuaranteeLost);
}

/// What one thread is doing.
#[derive(Debug, Default)]
struct Doing {
    /// The call that it is in.
    call: Option<(Call, Duration)>,
    /// What it does between calls, if that is watched.
    between: Option<(Call, Duration)>,
}

impl Doing {
    fn judge(&self, who: &str, now: Duration) -> Option<Overdue> {
        let (call, since) = self.call.or(self.between)?;
        let took = now.saturating_sub(since);
        (took > call.limit).then(|| Overdue {
            who: who.to_owned(),
            call,
            took,
        })
    }

    /// Begins to count anew, or later.
    fn count_from(&mut self, from: impl Fn(Duration) -> Duration) {
        for (_, since) in self.call.iter_mut().chain(&mut self.between) {
            *since = from(*since);
        }
    }
}

type Slot = Arc<Mutex<Doing>>;

/// One thread's sign of life. Its clones are of the same thread.
#[derive(Debug, Clone)]
pub struct Beat {
    slot: Slot,
    clock: Arc<dyn Clock>,
}

impl Beat {
    /// Says that a blocking call begins; it ends when the returned value is dropped. One call at a time: entering a second
    /// one replaces the first.
    #[must_use = "the call counts as ended when this is dropped"]
    pub fn enter(&self, call: Call) -> Entered {
        let now = self.clock.now().monotonic;
        lock(&self.slot).call = Some((call, now));
        Entered { beat: self.clone() }
    }

    /// Says that from now on the time between two calls is watched as well, as `work`.
    pub fn watch_between(&self, work: Call) {
        let now = self.clock.now().monotonic;
        lock(&self.slot).between = Some((work, now));
    }

    /// Says that the thread ends.
    pub fn end(&self) {
        *lock(&self.slot) = Doing::default();
    }
}

/// A blocking call under way.
#[derive(Debug)]
pub struct Entered {
    beat: Beat,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let now = self.beat.clock.now().monotonic;
        let mut doing = lock(&self.beat.slot);
        doing.call = None;
        doing.count_from(|_| now);
    }
}

/// Watches the beats. Dropping it ends the watch.
#[derive(Debug)]
pub struct Watchdog {
    watched: Arc<Mutex<Vec<(String, Slot)>>>,
    clock: Arc<dyn Clock>,
    _stop: Sender<()>,
}

impl Watchdog {
    /// Looks at all beats every `period`, and calls `on_overdue` for the first call beyond its limit
    /// ([`exit_on_overdue`], except in tests and where a longer wait may help). It may block: nothing else is watched
    /// meanwhile.
    ///
    /// # Errors
    /// When its thread cannot be started.
    pub fn start(
        tasks: &Tasks,
        clock: Arc<dyn Clock>,
        period: Duration,
        on_overdue: impl Fn(&Overdue) -> Verdict + Send + 'static,
    ) -> Result<Self, Error> {
        let watched: Arc<Mutex<Vec<(String, Slot)>>> = Arc::default();
        let beats = Arc::clone(&watched);
        let (stop, stopped) = mpsc::channel::<()>();
        // It goes on during a drain: a commit can hang there as well.
        let policy = Policy {
            on_exit: OnExit::Log,
            on_drain: OnDrain::Abort,
        };
        let now = Arc::clone(&clock);
        tasks.spawn_thread("eddy-watchdog", policy, move |_| {
            let mut looked = now.now().monotonic;
            while stopped.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
                look(
                    &lock(&beats).clone(),
                    looked,
                    now.now().monotonic,
                    (period, &on_overdue),
                );
                looked = now.now().monotonic;
            }
            Ok(())
        })?;
        Ok(Self {
            watched,
            clock,
            _stop: stop,
        })
    }

    /// A beat for one more thread: `lane 0`.
    pub fn beat(&self, who: &str) -> Beat {
        let slot = Slot::default();
        lock(&self.watched).push((who.to_owned(), Arc::clone(&slot)));
        Beat {
            slot,
            clock: Arc::clone(&self.clock),
        }
    }
}

/// One look at all beats.
fn look(
    beats: &[(String, Slot)],
    looked: Duration,
    now: Duration,
    (period, on_overdue): (Duration, &impl Fn(&Overdue) -> Verdict),
) {
    if slept(looked, now, period) {
        for (_, slot) in beats {
            lock(slot).count_from(|since| since + now.saturating_sub(looked));
        }
        return;
    }
    let overdue = beats
        .iter()
        .find_map(|(who, slot)| Some((slot, lock(slot).judge(who, now)?)));
    if let Some((slot, overdue)) = overdue
        && on_overdue(&overdue) == Verdict::WaitOn
    {
        lock(slot).count_from(|since| since.max(now));
    }
}

/// When the whole process was stopped (a debugger, a frozen container), its calls were not slow: that time does not count.
fn slept(looked: Duration, now: Duration, period: Duration) -> bool {
    now.saturating_sub(looked) > period.saturating_mul(4)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use eddy_pipeline::time::Now;

    use super::*;

    const CALL: Call = Call {
        name: "commit",
        limit: Duration::from_secs(5),
        waits_outside: true,
    };
    const BETWEEN: Call = Call {
        name: "the lane's own work",
        limit: Duration::from_secs(150),
        waits_outside: false,
    };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn doing(call: Option<u64>, between: Option<u64>) -> Doing {
        Doing {
            call: call.map(|since| (CALL, seconds(since))),
            between: between.map(|since| (BETWEEN, seconds(since))),
        }
    }

    #[test]
    fn a_call_within_its_limit_is_left_alone() {
        assert_eq!(doing(Some(10), None).judge("lane 0", seconds(15)), None);
    }

    #[test]
    fn a_call_beyond_its_limit_is_named_with_who_and_how_long() {
        let overdue = doing(Some(10), None).judge("lane 0", seconds(17));
        assert_eq!(
            overdue.expect("7 s are more than 5 s").to_string(),
            "lane 0 is stuck in `commit`: 7s have passed, 5s is the limit"
        );
    }

    #[test]
    fn who_is_in_no_call_is_judged_only_where_the_time_between_is_watched() {
        assert_eq!(doing(None, None).judge("lane 0", seconds(1_000_000)), None);
        assert_eq!(doing(None, Some(10)).judge("lane 0", seconds(160)), None);
        let overdue = doing(None, Some(10)).judge("lane 0", seconds(161)).expect("151 s");
        assert_eq!(overdue.call, BETWEEN);
    }

    #[test]
    fn a_call_has_a_limit_of_its_own_however_long_the_time_between_was() {
        assert_eq!(doing(Some(10), Some(0)).judge("lane 0", seconds(15)), None);
        let long = Call {
            limit: seconds(1000),
            ..CALL
        };
        let doing = Doing {
            call: Some((long, seconds(10))),
            between: Some((BETWEEN, seconds(0))),
        };
        assert_eq!(doing.judge("lane 0", seconds(900)), None);
    }

    #[derive(Debug)]
    struct Stopped(Mutex<Duration>);

    impl Clock for Stopped {
        fn now(&self) -> Now {
            Now {
                monotonic: *lock(&self.0),
                unix_ms: 0,
            }
        }
    }

    #[test]
    fn leaving_a_call_ends_it_and_begins_the_time_between_anew() {
        let clock = Arc::new(Stopped(Mutex::new(seconds(10))));
        let beat = Beat {
            slot: Slot::default(),
            clock: clock.clone(),
        };
        beat.watch_between(BETWEEN);
        let call = beat.enter(CALL);
        assert_eq!(lock(&beat.slot).call, Some((CALL, seconds(10))));
        *lock(&clock.0) = seconds(300);
        drop(call);
        let doing = lock(&beat.slot);
        assert_eq!((doing.call, doing.between), (None, Some((BETWEEN, seconds(300)))));
    }

    #[test]
    fn the_time_that_a_process_was_stopped_does_not_count() {
        let slot = Arc::new(Mutex::new(doing(Some(10), None)));
        let beats = [("lane 0".to_owned(), Arc::clone(&slot))];
        let never = |overdue: &Overdue| panic!("{overdue}");
        let period = seconds(1);
        look(&beats, seconds(12), seconds(82), (period, &never));
        look(&beats, seconds(82), seconds(83), (period, &never));
        assert_eq!(lock(&slot).call, Some((CALL, seconds(80))));
    }

    #[test]
    fn a_call_that_is_to_be_waited_on_gets_its_whole_limit_again() {
        let slot = Arc::new(Mutex::new(doing(Some(10), None)));
        let beats = [("lane 0".to_owned(), Arc::clone(&slot))];
        let told = std::cell::Cell::new(0);
        let wait = |_: &Overdue| {
            told.set(told.get() + 1);
            Verdict::WaitOn
        };
        for now in 11..=30 {
            look(&beats, seconds(now - 1), seconds(now), (seconds(1), &wait));
        }
        // After more than 5 s each: at 16, 22 and 28.
        assert_eq!(told.get(), 3);
    }
}
