//! What every long-running service needs around its work: threads with an owner, signals, drain, health, a watchdog.
//!
//! Owns: the process's threads, its end and its exit code, what others see of it, the admin address.
//! Never does: touch an event, or know what the service is for.
//!
//! Invariant: every thread has a name, a [`Policy`] and an owner ([`Tasks`]); every way to end has an [`ExitCode`].
#![deny(missing_docs)]

mod admin;
mod clock;
mod drain;
mod error;
mod exit;
mod identity;
mod probe;
mod readiness;
mod secrecy;
mod shutdown;
mod signals;
mod tasks;
mod trust;
mod watchdog;

pub use self::admin::{
    AdminAddress, AdminHandle, AdminPages, AdminServer, AdminSettings, AdminSources, AdminTls, Control, NoControl,
    NoStatus, Promise, Promised, Refusal, Reply, StatusSource, promise,
};
pub use self::clock::SystemClock;
pub use self::drain::{Drain, DrainSettings, Missed, exit_on_missed};
pub use self::error::Error;
pub use self::exit::{ExitCode, exit_now, say_end};
pub use self::probe::{Answer, Place, Post, post, probe};
pub use self::readiness::{Readiness, Unmet};
pub use self::secrecy::{ProcessSettings, forbid_core_dumps, take_variable};
pub use self::shutdown::{Cause, Shutdown};
pub use self::signals::{drain_on_signals, stop_on_signals};
pub use self::tasks::{Failure, OnDrain, OnExit, Policy, Tasks};
pub use self::trust::{ClientTls, Trust};
pub use self::watchdog::{Beat, Call, Entered, Overdue, Verdict, Watchdog, exit_on_overdue};
