//! Ends runs that take too long.
//!
//! Owns: one thread for the whole process, and the limit of each session. Never does: decide what a late run means.
//! Invariant: a run is terminated only while it is the one that was late; the next run of the same session never
//! starts with the flag of the last one still up.
//!
//! A run costs its caller two atomic writes and two readings of the clock. The thread looks at all armed runs a few
//! times per limit, and sleeps without a timer once none has been armed for a while; only the run that wakes it pays
//! for a system call. So a run ends between one and one and a quarter of its limit, once its kernel is done.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use ort::session::RunOptions;

/// No run is going on.
const IDLE: u64 = 0;
/// The run was late: it has been, or is just being, terminated.
const FIRED: u64 = u64::MAX;
/// Looks per limit.
const LOOKS: u32 = 4;
const SHORTEST_TICK: Duration = Duration::from_millis(1);
const LONGEST_TICK: Duration = Duration::from_secs(1);

/// The thread that looks for late runs.
#[derive(Debug)]
pub(crate) struct Watchdog {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Debug)]
struct Shared {
    epoch: Instant,
    watches: Mutex<Vec<Weak<State>>>,
    is_asleep: AtomicBool,
}

struct State {
    options: RunOptions,
    limit_ns: AtomicU64,
    /// Nanoseconds since the epoch, or [`IDLE`], or [`FIRED`].
    deadline: AtomicU64,
    /// Runs so far: tells a session that is busy from one that rests.
    runs: AtomicU64,
    /// Held from the decision that a run is late until its flag is up.
    firing: Mutex<()>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("limit_ns", &self.limit_ns)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// The limit of one session. Its owner arms it before a run and disarms it after.
#[derive(Debug)]
pub(crate) struct Watch {
    state: Arc<State>,
    shared: Arc<Shared>,
    thread: Thread,
}

/// How a watched run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    InTime,
    Late,
}

impl Watchdog {
    /// Starts the thread. It lives as long as the process.
    pub(crate) fn start() -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            epoch: Instant::now(),
            watches: Mutex::new(Vec::new()),
            is_asleep: AtomicBool::new(false),
        });
        let seen = Arc::clone(&shared);
        let handle = thread::Builder::new()
            .name("eddy-model-watch".into())
            .spawn(move || seen.keep_watch())?;
        let thread = handle.thread().clone();
        Ok(Self { shared, thread })
    }

    /// A watch without a limit.
    pub(crate) fn watch(&self) -> ort::Result<Watch> {
        let state = Arc::new(State {
            options: RunOptions::new()?,
            limit_ns: AtomicU64::new(0),
            deadline: AtomicU64::new(IDLE),
            runs: AtomicU64::new(0),
            firing: Mutex::new(()),
        });
        let mut watches = lock(&self.shared.watches);
        // The thread clears up as well, but not while it sleeps, and models may come and go in the meantime.
        watches.retain(|watch| watch.strong_count() > 0);
        watches.push(Arc::downgrade(&state));
        drop(watches);
        Ok(Watch {
            state,
            shared: Arc::clone(&self.shared),
            thread: self.thread.clone(),
        })
    }
}

impl Watch {
    /// Sets the limit of each run from now on; `None` lifts it.
    pub(crate) fn set_limit(&self, limit: Option<Duration>) {
        let limit_ns = limit.map_or(0, |limit| (limit.as_nanos() as u64).clamp(1, FIRED / 4));
        self.state.limit_ns.store(limit_ns, SeqCst);
        // The thread may have to look more often than it does.
        self.thread.unpark();
    }

    /// What the watched run must be given.
    pub(crate) fn options(&self) -> &RunOptions {
        &self.state.options
    }

    /// To be called right before a run.
    pub(crate) fn arm(&self) {
        let limit_ns = self.state.limit_ns.load(SeqCst);
        if limit_ns == 0 {
            return;
        }
        self.state.runs.fetch_add(1, SeqCst);
        self.state.deadline.store(self.shared.now_ns() + limit_ns, SeqCst);
        // Either the thread sees the deadline in its last look before it sleeps, or this sees that it sleeps.
        if self.shared.is_asleep.load(SeqCst) && self.shared.is_asleep.swap(false, SeqCst) {
            self.thread.unpark();
        }
    }

    /// To be called right after the run.
    pub(crate) fn disarm(&self) -> Verdict {
        if self.state.deadline.swap(IDLE, SeqCst) != FIRED {
            return Verdict::InTime;
        }
        // The thread may still be on its way to raise the flag, which stays up until it is taken down.
        let _raised = lock(&self.state.firing);
        if let Err(error) = self.state.options.unterminate() {
            tracing::warn!(%error, "the flag that ended a late run cannot be taken down");
        }
        Verdict::Late
    }
}

impl Shared {
    fn now_ns(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64 + 1
    }

    fn keep_watch(&self) {
        let mut runs_seen = 0;
        loop {
            let look = self.look();
            if look.is_armed || look.runs != runs_seen {
                runs_seen = look.runs;
                thread::park_timeout(look.tick);
                continue;
            }
            self.is_asleep.store(true, SeqCst);
            if !self.look().is_armed {
                while self.is_asleep.load(SeqCst) {
                    thread::park();
                }
            }
            self.is_asleep.store(false, SeqCst);
        }
    }

    /// Ends what is late, and says whether anything is going on.
    fn look(&self) -> Look {
        let mut look = Look {
            is_armed: false,
            runs: 0,
            tick: LONGEST_TICK,
        };
        lock(&self.watches).retain(|watch| {
            let Some(state) = watch.upgrade() else { return false };
            state.end_if_late(self.now_ns());
            look.is_armed |= !matches!(state.deadline.load(SeqCst), IDLE | FIRED);
            look.runs = look.runs.wrapping_add(state.runs.load(SeqCst));
            let limit = Duration::from_nanos(state.limit_ns.load(SeqCst));
            if limit > Duration::ZERO {
                look.tick = look.tick.min(limit / LOOKS).max(SHORTEST_TICK);
            }
            true
        });
        look
    }
}

struct Look {
    is_armed: bool,
    runs: u64,
    tick: Duration,
}

impl State {
    fn end_if_late(&self, now_ns: u64) {
        let deadline = self.deadline.load(SeqCst);
        if deadline == IDLE || deadline == FIRED || now_ns < deadline {
            return;
        }
        let _firing = lock(&self.firing);
        // If the run has ended since, or another has begun, this fails and nothing is terminated.
        if self.deadline.compare_exchange(deadline, FIRED, SeqCst, SeqCst).is_ok()
            && let Err(error) = self.options.terminate()
        {
            tracing::warn!(%error, "a late run cannot be ended");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that is held here can be left half done by a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
