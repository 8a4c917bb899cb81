//! SIGTERM and SIGINT: the first one drains, a later one ends the process at once.
//!
//! Owns: the process's handlers for these signals.
//!
//! Invariant: once the drain has run for a moment, another signal ends the process from within the signal handler itself,
//! so that no stuck thread and no blocked log can prevent it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::{register, register_conditional_shutdown};
use signal_hook::iterator::Signals;

use crate::error::Error;
use crate::exit::ExitCode;
use crate::shutdown::Cause;
use crate::tasks::{OnDrain, OnExit, Policy, Tasks};

/// Supervisors such as `timeout` send one signal twice in a row, to the process and to its group: that is one wish.
const SAME_WISH: Duration = Duration::from_secs(1);

/// Drains on SIGTERM and SIGINT; another one, a second or more later, ends the process at once with
/// [`ExitCode::DrainMissed`].
///
/// # Errors
/// When the system refuses the handlers or the thread.
pub fn drain_on_signals(tasks: &Tasks) -> Result<(), Error> {
    let is_armed = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        let code = i32::from(ExitCode::DrainMissed.number());
        register_conditional_shutdown(signal, code, Arc::clone(&is_armed)).map_err(Error::Signals)?;
    }
    let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(Error::Signals)?;
    let policy = Policy {
        on_exit: OnExit::Log,
        on_drain: OnDrain::Abort,
    };
    tasks.spawn_thread("eddy-signals", policy, move |shutdown| {
        if let Some(signal) = signals.forever().next() {
            let by = if signal == SIGTERM { "SIGTERM" } else { "SIGINT" };
            shutdown.request(Cause::Asked { by: by.to_owned() });
            std::thread::sleep(SAME_WISH);
            is_armed.store(true, Ordering::Release);
        }
        Ok(())
    })
}

/// For a command that has something to put down before it ends: true from the first SIGTERM or SIGINT on. The next one ends
/// the process at once with [`ExitCode::DrainMissed`].
///
/// # Errors
/// When the system refuses the handlers.
pub fn stop_on_signals() -> Result<Arc<AtomicBool>, Error> {
    let is_asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        let code = i32::from(ExitCode::DrainMissed.number());
        // In this order: the first signal finds the flag down, and puts it up.
        register_conditional_shutdown(signal, code, Arc::clone(&is_asked)).map_err(Error::Signals)?;
        register(signal, Arc::clone(&is_asked)).map_err(Error::Signals)?;
    }
    Ok(is_asked)
}
