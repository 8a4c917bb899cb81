//! The drain: numbered steps under one deadline.
//!
//! Owns: the table `[drain]`, the deadline's guard, and which step the drain is at.
//! Never does: a step's work; the service performs it between two calls of [`Drain::step`].
//!
//! Invariant: when the deadline passes before [`Drain::finish`], the process ends with [`ExitCode::DrainMissed`], whatever
//! the step hangs in.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use eddy_pipeline::settings::{Problem, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::exit::{ExitCode, exit_now, say_end};
use crate::tasks::{OnDrain, OnExit, Policy, Tasks};

/// Longest wait for a last scrape.
const MOST_PATIENCE: Duration = Duration::from_secs(300);

/// The table `[drain]`: how the service ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DrainSettings {
    /// How long the service may take, after SIGTERM or SIGINT, to finish its batches, make them durable and leave the
    /// group. Default: `20s`. More than zero. When it passes, the process ends with exit code 76 and the unfinished work is
    /// done again after the restart. Keep it some seconds below what the supervisor grants (Kubernetes grants 30 s).
    pub deadline: Span,
    /// How long a drained process stays for a last scrape of `/metrics`, so that not even what was counted at the very end
    /// is missing from Prometheus. Default: `0s`, not at all. Make it a little more than the scrape interval, and keep the
    /// sum of both times below what the supervisor grants. Work has been handed over by then and waits for nothing.
    pub last_scrape: Span,
}

impl Default for DrainSettings {
    fn default() -> Self {
        Self {
            deadline: Span::seconds(20),
            last_scrape: Span::seconds(0),
        }
    }
}

impl DrainSettings {
    /// What is wrong with the table.
    pub fn check(&self) -> Vec<Problem> {
        if self.last_scrape.0 > MOST_PATIENCE {
            let message = "nobody scrapes so seldom; write 5 minutes or less, or \"0s\" for not at all";
            return vec![Problem::new("drain.last_scrape", message)];
        }
        if self.deadline.0.is_zero() {
            let message =
                "without time nothing can be finished, so every stop would fail; write a time such as \"20s\"";
            return vec![Problem::new("drain.deadline", message)];
        }
        Vec::new()
    }
}

/// A drain that was not over in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// Number of the step it was at; 0 before the first.
    pub number: u32,
    /// What that step was.
    pub step: String,
    /// How long the drain was allowed to take.
    pub allowance: Duration,
    /// Tasks that still ran.
    pub running: Vec<String>,
}

impl std::fmt::Display for Missed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            number,
            step,
            allowance,
            running,
        } = self;
        write!(
            f,
            "the drain took longer than `drain.deadline` ({}): it was at step {number}, {step}; still running: {}",
            Span(*allowance),
            running.join(", ")
        )
    }
}

/// Writes what was missed and ends the process with [`ExitCode::DrainMissed`].
pub fn exit_on_missed(missed: &Missed) {
    tracing::error!("{missed}");
    say_end(ExitCode::DrainMissed);
    exit_now(ExitCode::DrainMissed);
}

/// A drain under way.
#[derive(Debug)]
pub struct Drain {
    at: Arc<Mutex<(u32, String)>>,
    /// Dropping it calls the guard off.
    _over: Sender<()>,
}

impl Drain {
    /// Guards the deadline that the request to `tasks`' shutdown sets, whenever that comes: the service may be starting still.
    /// `on_missed` is called once if it passes ([`exit_on_missed`], except in tests).
    ///
    /// # Errors
    /// When the guard's thread cannot be started.
    pub fn guard(tasks: &Tasks, on_missed: impl FnOnce(&Missed) + Send + 'static) -> Result<Self, Error> {
        let at = Arc::new(Mutex::new((0, "the start".to_owned())));
        let (over, is_over) = mpsc::channel();
        let (owner, guarded) = (tasks.clone(), Arc::clone(&at));
        let policy = Policy {
            on_exit: OnExit::Log,
            on_drain: OnDrain::Abort,
        };
        tasks.spawn_thread("eddy-drain", policy, move |shutdown| {
            shutdown.wait();
            let remaining = shutdown.remaining().unwrap_or_default();
            if is_over.recv_timeout(remaining) == Err(RecvTimeoutError::Timeout) {
                let (number, step) = guarded.lock().unwrap_or_else(PoisonError::into_inner).clone();
                on_missed(&Missed {
                    number,
                    step,
                    allowance: shutdown.allowance(),
                    running: owner.running(),
                });
            }
            Ok(())
        })?;
        Ok(Self { at, _over: over })
    }

    /// Says which step comes now, and numbers it.
    pub fn step(&mut self, step: &str) {
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        *at = (at.0 + 1, step.to_owned());
        tracing::info!(number = at.0, step, "drain");
    }

    /// The drain is over; the deadline means nothing any more.
    pub fn finish(self) {
        tracing::info!("drained");
    }
}
