//! What can go wrong around the work.

use std::io;
use std::net::SocketAddr;

use crate::exit::ExitCode;

/// A failure of the host's own.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The admin address cannot be used.
    #[error(
        "cannot listen on {address}: {source}; write another one at `admin.address`, or stop the process that uses this one"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's words.
        source: io::Error,
    },
    /// The token of the admin address is not fit for use.
    #[error("admin.token: {0}")]
    Token(String),
    /// The files of `[admin.tls]` make no server.
    #[error("{0}")]
    Tls(String),
    /// The runtime of the admin server cannot be made.
    #[error("cannot start the admin server: {0}; raise the limits on open files and threads")]
    Runtime(#[source] io::Error),
    /// A thread cannot be started.
    #[error("cannot start the thread `{name}`: {source}; raise the limits on threads and memory")]
    Thread {
        /// Its name.
        name: String,
        /// The system's words.
        source: io::Error,
    },
    /// The process cannot be told of signals.
    #[error("cannot listen for SIGTERM and SIGINT: {0}")]
    Signals(#[source] io::Error),
    /// The admin address does not answer.
    #[error("{address} does not answer: {source}; is the service running, and is this its `admin.address`?")]
    Probe {
        /// The address that was asked.
        address: SocketAddr,
        /// The system's words.
        source: io::Error,
    },
    /// Whoever answers there is not to be trusted.
    #[error("{address} answers, and {why}")]
    Untrusted {
        /// The address that was asked.
        address: SocketAddr,
        /// Why, and what to do.
        why: String,
    },
    /// Whoever answers there does not trust us.
    #[error("{address} answers, and {why}")]
    Refused {
        /// The address that was asked.
        address: SocketAddr,
        /// Why, and what to do.
        why: String,
    },
}

impl Error {
    /// The exit code of a process that cannot go on after this.
    pub const fn exit_code(&self) -> ExitCode {
        match self {
            Self::Listen { .. } | Self::Token(_) | Self::Tls(_) | Self::Untrusted { .. } | Self::Refused { .. } => {
                ExitCode::Configuration
            }
            Self::Probe { .. } => ExitCode::Unreachable,
            Self::Runtime(_) | Self::Thread { .. } | Self::Signals(_) => ExitCode::GuaranteeLost,
        }
    }
}
