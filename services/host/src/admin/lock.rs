//! How a connection to the admin address begins where there is `[admin.tls]`.
//!
//! Owns: the certificate in use, and the thread that exchanges it for a renewed one. Never does: read a request, or a file on
//! the thread that answers: whoever waits for a file that hangs, as on a mount whose server is gone, is not heard of by anybody.
//!
//! Invariant: once there is a certificate there is always one; files that make none change nothing.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::pin::Pin;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use eddy_pipeline::settings::Problem;
use eddy_telemetry::Metrics;
use eddy_telemetry::catalogue::Certificate;
use openssl::ssl::{Ssl, SslAcceptor};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use super::tls::{AdminTls, Server};
use crate::error::Error;
use crate::tasks::{OnDrain, OnExit, Policy, Tasks};

/// Between two looks at the files.
const EVERY: Duration = Duration::from_secs(1);

/// The first byte of every handshake of TLS, and of no request of HTTP.
const HANDSHAKE: u8 = 0x16;

/// Most bytes that a client may have sent before it learns that it is refused.
const UNREAD_BYTES: u64 = 64 << 10;

/// What a file was like: whatever changes it, or puts another in its place, changes this. `None` without the file.
type Trace = Option<[i64; 6]>;

/// The certificate in use, and its files.
pub(super) struct Lock {
    tls: AdminTls,
    acceptor: Arc<Mutex<SslAcceptor>>,
    seen: Vec<Trace>,
    metrics: Metrics,
}

/// A lock whose files are looked after, until this is dropped.
pub(super) struct Kept {
    acceptor: Arc<Mutex<SslAcceptor>>,
    /// Ends the thread that looks.
    _held: Sender<()>,
}

impl std::fmt::Debug for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lock").field("tls", &self.tls).finish_non_exhaustive()
    }
}

/// What came in.
pub(super) enum Entered {
    /// A client that speaks TLS.
    Encrypted(SslStream<TcpStream>),
    /// One that does not.
    Unencrypted(TcpStream),
}

impl Lock {
    /// # Errors
    /// When the files of the table make no server.
    pub(super) fn new(tls: &AdminTls, metrics: &Metrics) -> Result<Self, Error> {
        let seen = traces(tls);
        let server = tls.load().map_err(|problems| Error::Tls(sentences(&problems)))?;
        let lock = Self {
            acceptor: Arc::new(Mutex::new(server.acceptor.clone())),
            seen,
            tls: tls.clone(),
            metrics: metrics.clone(),
        };
        lock.show(&server);
        Ok(lock)
    }

    /// Looks after the files, on a thread of its own.
    ///
    /// # Errors
    /// When there is no thread left.
    pub(super) fn keep(mut self, tasks: &Tasks) -> Result<Kept, Error> {
        let acceptor = Arc::clone(&self.acceptor);
        let (held, ended) = mpsc::channel();
        let policy = Policy {
            on_exit: OnExit::Log,
            on_drain: OnDrain::Abort,
        };
        tasks.spawn_thread("admin-tls", policy, move |_| {
            while ended.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                self.renew();
            }
            Ok(())
        })?;
        Ok(Kept { acceptor, _held: held })
    }

    fn renew(&mut self) {
        let now = traces(&self.tls);
        if now == self.seen {
            return;
        }
        // Files that make no server are not read again before they change: that is said once.
        self.seen = now;
        match self.tls.load() {
            Ok(server) => {
                self.show(&server);
                *self.acceptor.lock().unwrap_or_else(PoisonError::into_inner) = server.acceptor;
                tracing::info!("the admin address shows the certificate that was renewed");
            }
            Err(problems) => {
                let problems = sentences(&problems);
                tracing::error!(problems, "the admin address goes on with the certificate that it had");
            }
        }
    }

    fn show(&self, server: &Server) {
        if let Some(expiry) = server.expiry() {
            self.metrics.certificate_expires(Certificate::Admin, expiry);
        }
        if let Some(sentence) = server.time_is_near(&self.tls.certificate) {
            tracing::warn!("admin.tls.certificate: {sentence}");
        }
    }
}

impl Kept {
    /// What the next connection is let in by.
    pub(super) fn current(&self) -> SslAcceptor {
        self.acceptor.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Shakes hands with who offers it.
pub(super) async fn enter(stream: TcpStream, acceptor: &SslAcceptor) -> io::Result<Entered> {
    let mut first = [0];
    let is_there = stream.peek(&mut first).await? > 0;
    if is_there && first[0] != HANDSHAKE {
        return Ok(Entered::Unencrypted(stream));
    }
    let ssl = Ssl::new(acceptor.context())?;
    let mut stream = SslStream::new(ssl, stream)?;
    if let Err(error) = Pin::new(&mut stream).accept().await {
        hear_out(stream.get_mut()).await;
        return Err(io::Error::other(error));
    }
    Ok(Entered::Encrypted(stream))
}

/// A connection that ends with something unread is reset, and the client would not learn why it is refused.
async fn hear_out(stream: &mut TcpStream) {
    if stream.shutdown().await.is_ok() {
        // Whatever comes of it: it is over.
        drop(tokio::io::copy(&mut stream.take(UNREAD_BYTES), &mut tokio::io::sink()).await);
    }
}

fn sentences(problems: &[Problem]) -> String {
    let sentences: Vec<String> = problems.iter().map(ToString::to_string).collect();
    sentences.join("\n")
}

fn traces(tls: &AdminTls) -> Vec<Trace> {
    let trace = |path: &Path| std::fs::metadata(path).ok().map(|file| trace(&file));
    tls.files().map(trace).collect()
}

fn trace(file: &Metadata) -> [i64; 6] {
    [
        file.ino().cast_signed(),
        file.size().cast_signed(),
        file.mtime(),
        file.mtime_nsec(),
        file.ctime(),
        file.ctime_nsec(),
    ]
}
