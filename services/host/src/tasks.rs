//! The owner of every thread.
//!
//! Owns: which threads run, and what it means when one ends.
//! Never does: kill one. A thread that does not end is left behind when the process exits.
//!
//! Invariant: a thread that fails or panics is seen, logged once, and ends the service.

use std::any::Any;
use std::error::Error as StdError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::Error;
use crate::exit::ExitCode;
use crate::shutdown::{Cause, Shutdown};

/// What it means when a task ends without a failure. A failure always ends the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExit {
    /// The service is pointless without it: drain.
    ShutDown,
    /// It was done: write a line.
    Log,
}

/// What the drain does about a task that still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDrain {
    /// It sees the request and finishes; the drain waits for it.
    Finish,
    /// Nothing is lost when the process ends under it; the drain does not wait.
    Abort,
}

/// How a task belongs to the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// When it ends by itself.
    pub on_exit: OnExit,
    /// When the service drains.
    pub on_drain: OnDrain,
}

/// Why a task failed, and with which code the process is to end for it.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Failure {
    /// The exit code it calls for.
    pub code: ExitCode,
    /// What went wrong, in one sentence.
    #[source]
    pub error: Box<dyn StdError + Send + Sync>,
}

impl Failure {
    /// A failure that calls for this exit code.
    pub fn new(code: ExitCode, error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            code,
            error: error.into(),
        }
    }
}

/// The owner of the process's threads. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct Tasks {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    shutdown: Shutdown,
    running: Mutex<Vec<Running>>,
    ended: Condvar,
}

#[derive(Debug)]
struct Running {
    number: u64,
    name: String,
    policy: Policy,
}

impl Tasks {
    /// No tasks yet. A failing one asks `shutdown` to drain.
    pub fn new(shutdown: Shutdown) -> Self {
        Self {
            shared: Arc::new(Shared {
                shutdown,
                running: Mutex::default(),
                ended: Condvar::new(),
            }),
        }
    }

    /// The request to end that these tasks see.
    pub fn shutdown(&self) -> &Shutdown {
        &self.shared.shutdown
    }

    /// Runs `work` on a thread of its own. The system shows the first 15 bytes of the name.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn spawn_thread<F>(&self, name: &str, policy: Policy, work: F) -> Result<(), Error>
    where
        F: FnOnce(Shutdown) -> Result<(), Failure> + Send + 'static,
    {
        let number = self.enter(name, policy);
        let shared = Arc::clone(&self.shared);
        let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let shutdown = shared.shutdown.clone();
            // Whatever the work left half done dies with it: nothing of it is looked at after a panic.
            let result = catch_unwind(AssertUnwindSafe(|| work(shutdown)));
            shared.end(number, result.unwrap_or_else(|panic| Err(panicked(panic.as_ref()))));
        });
        match spawned {
            Ok(_detached) => Ok(()),
            Err(source) => {
                self.shared.leave(number);
                Err(Error::Thread {
                    name: name.to_owned(),
                    source,
                })
            }
        }
    }

    /// Names of the tasks that run.
    pub fn running(&self) -> Vec<String> {
        self.shared.lock().iter().map(|task| task.name.clone()).collect()
    }

    /// Waits until every task that is to finish on a drain has ended, or for `timeout`.
    ///
    /// # Errors
    /// Names of those that still run.
    pub fn wait_for_finishing(&self, timeout: Duration) -> Result<(), Vec<String>> {
        let unfinished = |running: &Vec<Running>| -> Vec<String> {
            let finishing = running.iter().filter(|task| task.policy.on_drain == OnDrain::Finish);
            finishing.map(|task| task.name.clone()).collect()
        };
        let running = self.shared.lock();
        let waited = self
            .shared
            .ended
            .wait_timeout_while(running, timeout, |running| !unfinished(running).is_empty());
        let (running, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let late = unfinished(&running);
        if late.is_empty() { Ok(()) } else { Err(late) }
    }

    fn enter(&self, name: &str, policy: Policy) -> u64 {
        let mut running = self.shared.lock();
        let number = running.last().map_or(0, |last| last.number + 1);
        running.push(Running {
            number,
            name: name.to_owned(),
            policy,
        });
        number
    }
}

impl Shared {
    fn end(&self, number: u64, result: Result<(), Failure>) {
        let Some((task, policy)) = self.find(number) else {
            return;
        };
        match (result, policy.on_exit) {
            (Err(failure), _) => {
                tracing::error!(task, error = %failure, "task failed");
                let message = failure.error.to_string();
                self.shutdown.request(Cause::Failed {
                    task,
                    code: failure.code,
                    message,
                });
            }
            (Ok(()), OnExit::ShutDown) => self.shutdown.request(Cause::Finished { task }),
            (Ok(()), OnExit::Log) => tracing::debug!(task, "task ended"),
        }
        // Only now: whoever waits for the task then sees what its end meant.
        self.leave(number);
    }

    fn find(&self, number: u64) -> Option<(String, Policy)> {
        let running = self.lock();
        let task = running.iter().find(|task| task.number == number)?;
        Some((task.name.clone(), task.policy))
    }

    fn leave(&self, number: u64) {
        self.lock().retain(|task| task.number != number);
        self.ended.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A panic breaks off work whose results were not durable yet, and leaves the offsets where they are.
fn panicked(panic: &(dyn Any + Send)) -> Failure {
    let words = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message");
    Failure::new(
        ExitCode::GuaranteeLost,
        format!("panicked: {words}; this is a bug, please report it"),
    )
}
