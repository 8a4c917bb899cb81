//! The request to end, and its deadline.
//!
//! Owns: whether the service is to drain, why, until when, and with which exit code it will end.
//! Never does: drain; each thread sees the request and finishes in its own way.
//!
//! Invariant: the deadline is set by the first request and never moves; the first failure decides the exit code.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use eddy_pipeline::time::Clock;

use crate::exit::ExitCode;

/// Why the service ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// Somebody asked for it.
    Asked {
        /// How: `SIGTERM`, `POST /drain`, `--for 60s`.
        by: String,
    },
    /// A task without which the service is pointless is done.
    Finished {
        /// Its name.
        task: String,
    },
    /// A task failed.
    Failed {
        /// Its name.
        task: String,
        /// The exit code that it calls for.
        code: ExitCode,
        /// What went wrong.
        message: String,
    },
}

impl Cause {
    /// The exit code that it calls for when the drain succeeds.
    pub const fn exit_code(&self) -> ExitCode {
        match self {
            Self::Asked { .. } | Self::Finished { .. } => ExitCode::Drained,
            Self::Failed { code, .. } => *code,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked { by } => write!(f, "asked by {by}"),
            Self::Finished { task } => write!(f, "`{task}` is done"),
            Self::Failed { task, message, .. } => write!(f, "`{task}` failed: {message}"),
        }
    }
}

/// The request to end. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct Shutdown {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clock: Arc<dyn Clock>,
    allowance: Duration,
    is_requested: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    requested: Option<(Cause, Duration)>,
    failure: Option<Cause>,
}

impl Shutdown {
    /// No request yet. Once there is one, the drain may take `allowance`.
    pub fn new(clock: Arc<dyn Clock>, allowance: Duration) -> Self {
        let shared = Shared {
            clock,
            allowance,
            is_requested: AtomicBool::new(false),
            state: Mutex::default(),
            changed: Condvar::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Asks the service to drain. Only the first request starts the deadline; a failure is remembered even when it comes
    /// later, during the drain.
    pub fn request(&self, cause: Cause) {
        let mut state = self.lock();
        if matches!(cause, Cause::Failed { .. }) && state.failure.is_none() {
            state.failure = Some(cause.clone());
        }
        if state.requested.is_some() {
            return;
        }
        let deadline = self.shared.clock.now().monotonic.saturating_add(self.shared.allowance);
        state.requested = Some((cause, deadline));
        self.shared.is_requested.store(true, Ordering::Release);
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Whether the service is to drain. Costs one atomic read.
    pub fn is_requested(&self) -> bool {
        self.shared.is_requested.load(Ordering::Acquire)
    }

    /// Why the service was asked to drain first.
    pub fn cause(&self) -> Option<Cause> {
        self.lock().requested.as_ref().map(|(cause, _)| cause.clone())
    }

    /// Until when, in monotonic time, the drain must be over.
    pub fn deadline(&self) -> Option<Duration> {
        self.lock().requested.as_ref().map(|(_, deadline)| *deadline)
    }

    /// How long the drain may still take: zero when it is late, nothing when there is no request.
    pub fn remaining(&self) -> Option<Duration> {
        let deadline = self.deadline()?;
        Some(deadline.saturating_sub(self.shared.clock.now().monotonic))
    }

    /// How long a drain may take at all.
    pub fn allowance(&self) -> Duration {
        self.shared.allowance
    }

    /// The exit code after a drain in time: that of the first failure, else success.
    pub fn exit_code(&self) -> ExitCode {
        self.lock().failure.as_ref().map_or(ExitCode::Drained, Cause::exit_code)
    }

    /// Blocks until the service is to drain.
    pub fn wait(&self) -> Cause {
        let mut state = self.lock();
        loop {
            if let Some((cause, _)) = &state.requested {
                return cause.clone();
            }
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Pauses the calling thread for `timeout`, or until the service is to drain; says whether it is.
    pub fn wait_for(&self, timeout: Duration) -> bool {
        let state = self.lock();
        let waited = self
            .shared
            .changed
            .wait_timeout_while(state, timeout, |state| state.requested.is_none());
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.requested.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
