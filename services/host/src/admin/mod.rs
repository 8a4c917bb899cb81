//! The admin address: health, metrics and status over HTTP, for supervisors, Prometheus and people.
//!
//! Owns: one listener, one thread, and the runtime on it; with TLS another thread, which looks after the certificate.
//! Never does: change anything but what a [`Control`] offers, and only for who knows the token; the pages are read-only,
//! and no body is read for them. Nothing secret is shown.
//!
//! Invariant: it answers from before the first model loads until after the last step of the drain, whatever the lanes do.

mod control;
mod guard;
mod lock;
mod pages;
mod places;
mod refusals;
mod settings;
mod tls;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use axum::{Extension, Router};
use eddy_telemetry::Metrics;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use openssl::ssl::SslAcceptor;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use self::control::Desk;
pub use self::control::{Control, NoControl, Promise, Promised, Refusal, Reply, promise};
use self::guard::Guard;
use self::lock::{Entered, Kept, Lock, enter};
use self::pages::Peer;
use self::places::{Places, Progress};
use self::refusals::Refusals;
pub use self::settings::{AdminAddress, AdminSettings};
pub use self::tls::AdminTls;
use crate::error::Error;
use crate::exit::ExitCode;
use crate::readiness::Readiness;
use crate::tasks::{Failure, OnDrain, OnExit, Policy, Tasks};

/// What of `admin.request_timeout` is left for an answer to arrive: one part in so many.
const FOR_THE_ANSWER: u32 = 5;
/// Accepting fails when the process has no file descriptor left; asking again at once would only burn the processor.
const PAUSE_AFTER_REFUSED_ACCEPT: Duration = Duration::from_millis(100);

/// Where the pages `/status`, `/drift` and `/samples` come from.
///
/// Called on the admin thread, once for each request for a page; it must not block.
pub trait StatusSource: Send + Sync {
    /// The state of the service as JSON, without secrets.
    fn status(&self) -> serde_json::Value;

    /// What is known of drift, as JSON.
    fn drift(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    /// The latest samples, as JSON.
    fn samples(&self) -> serde_json::Value {
        serde_json::Value::Null
    }
}

/// A service without anything to say.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoStatus;

impl StatusSource for NoStatus {
    fn status(&self) -> serde_json::Value {
        serde_json::json!({})
    }
}

/// What the pages show.
#[derive(Clone)]
pub struct AdminSources {
    /// For `/metrics`.
    pub metrics: Metrics,
    /// For `/ready`.
    pub readiness: Readiness,
    /// For `/status`.
    pub status: Arc<dyn StatusSource>,
    /// What may be changed.
    pub control: Arc<dyn Control>,
}

impl std::fmt::Debug for AdminSources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdminSources").finish_non_exhaustive()
    }
}

/// The pages and changes, for one connection after another. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct AdminPages {
    pages: Router,
    limits: Arc<AdminSettings>,
    refusals: Arc<Refusals>,
}

/// A server that holds its address and does not answer yet.
#[derive(Debug)]
pub struct AdminServer {
    listener: TcpListener,
    address: SocketAddr,
    lock: Option<Lock>,
    pages: AdminPages,
}

/// A server that answers. Dropping it ends that, and counts in the log what was refused and had no line yet.
#[derive(Debug)]
pub struct AdminHandle {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    /// Ends with the thread.
    ended: Receiver<()>,
    refusals: Arc<Refusals>,
}

impl Drop for AdminHandle {
    fn drop(&mut self) {
        self.refusals.close();
    }
}

impl AdminHandle {
    /// Ends it once what was asked so far is answered, or this time is over.
    pub fn finish(mut self, patience: Duration) {
        drop(self.stop.take());
        // Either it has ended, or it is not waited for any longer; the process ends in both cases.
        let _ended = self.ended.recv_timeout(patience);
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl AdminServer {
    /// Takes the address of the settings; `None` when they switch the server off.
    ///
    /// # Errors
    /// When the address is in use or not this machine's, or the token or the files of TLS are not fit.
    pub fn bind(settings: &AdminSettings, sources: AdminSources) -> Result<Option<Self>, Error> {
        let AdminAddress::At(wanted) = settings.address else {
            return Ok(None);
        };
        let lock = settings.tls.as_ref().map(|tls| Lock::new(tls, &sources.metrics));
        let lock = lock.transpose()?;
        let pages = AdminPages::new(settings, sources)?;
        let listen = || {
            let listener = TcpListener::bind(wanted)?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) = listen().map_err(|source| Error::Listen {
            address: wanted,
            source,
        })?;
        Ok(Some(Self {
            listener,
            address,
            lock,
            pages,
        }))
    }

    /// Where it listens: the settings' address, with the port that the system chose if they say 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers on a thread of its own, until the handle is dropped.
    ///
    /// # Errors
    /// When the thread or its runtime cannot be made.
    pub fn start(mut self, tasks: &Tasks) -> Result<AdminHandle, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::Runtime)?;
        let (address, refusals) = (self.address, Arc::clone(&self.pages.refusals));
        let lock = self.lock.take().map(|lock| lock.keep(tasks)).transpose()?;
        let (stop, stopped) = oneshot::channel();
        let (held, ended) = mpsc::channel();
        let policy = Policy {
            on_exit: OnExit::Log,
            on_drain: OnDrain::Abort,
        };
        tasks.spawn_thread("eddy-admin", policy, move |_| {
            let _held_until_the_end = held;
            runtime
                .block_on(self.serve(lock, stopped))
                .map_err(|error| Failure::new(ExitCode::GuaranteeLost, format!("the admin server failed: {error}")))
        })?;
        tracing::info!(%address, "admin address answers");
        Ok(AdminHandle {
            address,
            stop: Some(stop),
            ended,
            refusals,
        })
    }

    async fn serve(self, lock: Option<Kept>, mut stopped: oneshot::Receiver<()>) -> std::io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        // They end with this function.
        let mut places = Places::new(self.pages.limits.connections);
        loop {
            let has_room = places.has_room();
            tokio::select! {
                // What was asked is answered; each answer has a limit of its own.
                _ = &mut stopped => {
                    while places.next_ended().await.is_some() {}
                    return Ok(());
                }
                Some(()) = places.next_ended() => {}
                accepted = listener.accept(), if has_room => match accepted {
                    Ok((stream, peer)) => {
                        self.pages.refusals.settle(Instant::now().into_std());
                        let acceptor = lock.as_ref().map(Kept::current);
                        let pages = self.pages.clone();
                        places.give(|progress| pages.let_in(stream, peer, acceptor, progress)).await;
                    }
                    Err(error) => {
                        tracing::debug!(%error, "a connection to the admin address was not accepted");
                        sleep(PAUSE_AFTER_REFUSED_ACCEPT).await;
                    }
                },
            }
        }
    }
}

impl AdminPages {
    /// # Errors
    /// When the token is not fit.
    pub fn new(settings: &AdminSettings, sources: AdminSources) -> Result<Self, Error> {
        let token = settings.reveal_token().map_err(Error::Token)?;
        let refusals = Arc::new(Refusals::new(settings.attempts));
        let desk = Desk {
            control: sources.control.clone(),
            guard: Guard::new(token.as_deref(), settings.attempts),
            refusals: Arc::clone(&refusals),
            body_bytes: settings.body_bytes.get(),
        };
        Ok(Self {
            pages: pages::router(sources, Arc::new(desk)),
            limits: Arc::new(settings.clone()),
            refusals,
        })
    }

    /// One connection, one request: without keep-alive no idle client holds a place.
    pub async fn answer(self, stream: impl AsyncRead + AsyncWrite + Unpin, from: SocketAddr) {
        self.converse_in_time(stream, from, Progress::begin()).await;
    }

    /// The same for one that may have to be encrypted first.
    async fn let_in(self, stream: TcpStream, from: SocketAddr, acceptor: Option<SslAcceptor>, progress: Progress) {
        let Some(acceptor) = acceptor else {
            return self.converse_in_time(stream, from, progress).await;
        };
        let pages = self.pages_for(from);
        self.within_time(async {
            match timeout(self.limits.header_timeout.0, enter(stream, &acceptor)).await {
                Ok(Ok(Entered::Encrypted(stream))) => self.converse(stream, pages, progress).await,
                Ok(Ok(Entered::Unencrypted(stream))) => {
                    let pages = pages::only_encrypted(from, Arc::clone(&self.refusals));
                    self.converse(stream, pages, progress).await;
                }
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a client of the admin address failed at the handshake of TLS")
                }
                Err(_) => tracing::debug!("a client's handshake of TLS took longer than `admin.header_timeout`"),
            }
        })
        .await;
    }

    async fn converse_in_time(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        from: SocketAddr,
        progress: Progress,
    ) {
        let pages = self.pages_for(from);
        self.within_time(self.converse(stream, pages, progress)).await;
    }

    fn pages_for(&self, from: SocketAddr) -> Router {
        let patience = self.limits.request_timeout.0;
        let answer_by = Instant::now() + (patience - patience / FOR_THE_ANSWER);
        self.pages.clone().layer(Extension(Peer { from, answer_by }))
    }

    async fn within_time(&self, connection: impl Future<Output = ()>) {
        if timeout(self.limits.request_timeout.0, connection).await.is_err() {
            tracing::debug!("a client of the admin address took longer than `admin.request_timeout`");
        }
    }

    async fn converse(&self, stream: impl AsyncRead + AsyncWrite + Unpin, pages: Router, progress: Progress) {
        let pages = TowerToHyperService::new(pages);
        let pages = service_fn(|request| progress.of(pages.call(request)));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header_timeout.0)
            .max_buf_size(self.limits.header_bytes.get())
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), pages);
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a client of the admin address broke off");
        }
    }
}
