//! A TCP proxy between a client and a broker, whose faults are those of a network.
//!
//! Owns: one listening port, one thread, and every byte on the way. Faults can be switched at any time; they meet the
//! connections that are open and those to come.
//!
//! Invariant: bytes arrive in order and whole, or the connection ends. When a call that holds bytes back has returned, none
//! passes any more.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::kafka::process::listen;

/// What one read takes at most.
const BUFFER: usize = 16 * 1024;
/// How often a slow connection gets its share.
const SLICES_PER_SECOND: u64 = 20;

/// What the proxy does with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Pass,
    Cut,
    Stall,
    StallAnswers,
    /// Holds back what clients and brokers say, but for clients whose `client.id` ends with this.
    StallBut(&'static str),
    Slow(u64),
}

/// The latest order. Connections end when a number changes.
#[derive(Clone, Copy, Debug)]
struct Order {
    mode: Mode,
    cuts: u64,
    resets: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Requests,
    Answers,
}

/// The `client.id` of a connection, once its first request has come.
type Client = OnceLock<String>;

impl Mode {
    /// How many bytes of this client may pass at once; `None` holds them back.
    fn most(self, way: Way, client: &Client) -> Option<usize> {
        match (self, way) {
            (Mode::StallBut(end), _) => client.get().is_none_or(|id| id.ends_with(end)).then_some(BUFFER),
            (Mode::Stall | Mode::Cut, _) | (Mode::StallAnswers, Way::Answers) => None,
            (Mode::Slow(bytes_per_second), _) => Some((bytes_per_second / SLICES_PER_SECOND).max(1) as usize),
            (Mode::Pass, _) | (Mode::StallAnswers, Way::Requests) => Some(BUFFER),
        }
    }

    /// How long a connection rests after so many bytes.
    fn rest(self, bytes: usize) -> Duration {
        match self {
            Mode::Slow(bytes_per_second) => Duration::from_secs_f64(bytes as f64 / bytes_per_second.max(1) as f64),
            _ => Duration::ZERO,
        }
    }
}

#[derive(Debug, Default)]
struct Counters {
    connections: AtomicU64,
    open: AtomicU64,
    requests: AtomicU64,
    answers: AtomicU64,
}

/// What has passed a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Connections taken since the start, those that were cut at once included.
    pub connections: u64,
    /// Connections open now.
    pub open: u64,
    /// Bytes from clients to the broker.
    pub requests: u64,
    /// Bytes from the broker to clients.
    pub answers: u64,
}

/// A proxy before one address. It ends, with its connections, when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    // Taken by the drop: its end is the order to end.
    order: Option<watch::Sender<Order>>,
    counters: Arc<Counters>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// A proxy on a free port of loopback that passes everything to `target`, which may come and go.
    pub fn start(target: SocketAddr) -> Self {
        let listener = listen();
        listener.set_nonblocking(true).expect("a listener that does not block");
        let port = listener.local_addr().expect("a bound address").port();
        let (order, orders) = watch::channel(Order {
            mode: Mode::Pass,
            cuts: 0,
            resets: 0,
        });
        let counters = Arc::new(Counters::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let (runtime, counted) = (runtime.expect("a runtime"), Arc::clone(&counters));
        let thread = thread::Builder::new().name(format!("proxy-{port}")).spawn(move || {
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).expect("a listener of this runtime");
                serve(&listener, target, orders, &counted).await;
            });
        });
        Self {
            port,
            order: Some(order),
            counters,
            thread: Some(thread.expect("a thread")),
        }
    }

    /// Where clients connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Everything flows, also what was held back.
    pub fn pass(&self) {
        self.order(|order| order.mode = Mode::Pass);
    }

    /// Closes what is open, and at once whatever is opened.
    pub fn cut(&self) {
        self.order(|order| {
            order.mode = Mode::Cut;
            order.cuts += 1;
        });
    }

    /// Takes connections and holds every byte back, both ways. Nothing is lost.
    pub fn stall(&self) {
        self.order(|order| order.mode = Mode::Stall);
    }

    /// Lets requests pass and holds answers back: the connection is half open.
    pub fn stall_one_way(&self) {
        self.order(|order| order.mode = Mode::StallAnswers);
    }

    /// Holds every byte back, both ways, but for clients whose `client.id` ends with this.
    pub fn stall_all_but(&self, client: &'static str) {
        self.order(|order| order.mode = Mode::StallBut(client));
    }

    /// Resets what is open (RST: what is under way is lost), and passes what is opened.
    pub fn reset(&self) {
        self.order(|order| {
            order.mode = Mode::Pass;
            order.resets += 1;
        });
    }

    /// Lets so many bytes a second pass, for each connection and way.
    pub fn slow(&self, bytes_per_second: u64) {
        self.order(|order| order.mode = Mode::Slow(bytes_per_second));
    }

    /// What has passed so far.
    pub fn traffic(&self) -> Traffic {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Traffic {
            connections: read(&self.counters.connections),
            open: read(&self.counters.open),
            requests: read(&self.counters.requests),
            answers: read(&self.counters.answers),
        }
    }

    fn order(&self, change: impl FnOnce(&mut Order)) {
        let order = self.order.as_ref().expect("only the drop takes it");
        order.send_modify(change);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.order.take();
        if let Some(thread) = self.thread.take() {
            // Its panic was reported by itself; a second one here could hide the test's own.
            thread.join().ok();
        }
    }
}

async fn serve(
    listener: &TcpListener,
    target: SocketAddr,
    mut orders: watch::Receiver<Order>,
    counters: &Arc<Counters>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            ordered = orders.changed() => if ordered.is_err() { return },
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                counters.connections.fetch_add(1, Ordering::Relaxed);
                let born = *orders.borrow();
                if born.mode != Mode::Cut {
                    connections.spawn(carry(client, target, (born, orders.clone()), Arc::clone(counters)));
                }
            }
        }
    }
}

/// The life of one connection.
async fn carry(
    mut client: TcpStream,
    target: SocketAddr,
    (born, mut orders): (Order, watch::Receiver<Order>),
    counters: Arc<Counters>,
) {
    counters.open.fetch_add(1, Ordering::Relaxed);
    let mut server = None;
    tokio::select! {
        // When both ends are closed, or one failed, the drop closes the other.
        _ = flow(&mut client, &mut server, target, (orders.clone(), &counters)) => {}
        _ = orders.wait_for(|order| order.cuts != born.cuts || order.resets != born.resets) => {}
    }
    if orders.borrow().resets != born.resets {
        for stream in [Some(&client), server.as_ref()].into_iter().flatten() {
            // It fails on a connection that has ended, which needs no reset.
            stream.set_zero_linger().ok();
        }
    }
    counters.open.fetch_sub(1, Ordering::Relaxed);
}

async fn flow(
    client: &mut TcpStream,
    server: &mut Option<TcpStream>,
    target: SocketAddr,
    (mut orders, counters): (watch::Receiver<Order>, &Counters),
) -> io::Result<()> {
    let who = Client::new();
    // A network that stalls does not tell whether the broker is there.
    may_pass(&mut orders, Way::Requests, &who).await?;
    let server = server.insert(TcpStream::connect(target).await?);
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
    let requests = pump(
        from_client,
        to_server,
        (Way::Requests, orders.clone()),
        (&counters.requests, &who),
    );
    let answers = pump(
        from_server,
        to_client,
        (Way::Answers, orders),
        (&counters.answers, &who),
    );
    tokio::try_join!(requests, answers).map(drop)
}

/// One way of a connection, to the end of what comes.
async fn pump(
    from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    (way, mut orders): (Way, watch::Receiver<Order>),
    (passed, client): (&AtomicU64, &Client),
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        from.readable().await?;
        let read = match from.try_read(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        if way == Way::Requests {
            client.get_or_init(|| client_id(&buffer[..read]).unwrap_or_default());
        }
        if read == 0 {
            may_pass(&mut orders, way, client).await?;
            return to.shutdown().await;
        }
        let mut held = &buffer[..read];
        while !held.is_empty() {
            to.writable().await?;
            let (written, mode) = {
                // Written under the lock of the order: when a call that holds bytes back has returned, none passes.
                let order = may_pass(&mut orders, way, client).await?;
                let most = order.mode.most(way, client).map_or(0, |most| most.min(held.len()));
                (to.try_write(&held[..most]), order.mode)
            };
            match written {
                Ok(written) => {
                    passed.fetch_add(written as u64, Ordering::Relaxed);
                    held = &held[written..];
                    // A new order ends the rest.
                    let rest = tokio::time::timeout(mode.rest(written), orders.changed());
                    if mode != Mode::Pass && rest.await.is_ok_and(|changed| changed.is_err()) {
                        return Err(io::ErrorKind::Interrupted.into());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Waits until bytes may pass.
async fn may_pass<'a>(
    orders: &'a mut watch::Receiver<Order>,
    way: Way,
    client: &Client,
) -> io::Result<watch::Ref<'a, Order>> {
    let ordered = orders.wait_for(|order| order.mode.most(way, client).is_some()).await;
    // The proxy ends.
    ordered.map_err(|_| io::ErrorKind::Interrupted.into())
}

/// The `client.id` in the header of a request, if it begins here: length, key, version, correlation id, then the text.
fn client_id(request: &[u8]) -> Option<String> {
    const BEFORE: usize = 4 + 2 + 2 + 4;
    let length = request.get(BEFORE..BEFORE + 2)?.try_into().ok()?;
    let text = request
        .get(BEFORE + 2..)?
        .get(..usize::from(u16::from_be_bytes(length)))?;
    str::from_utf8(text).ok().map(str::to_owned)
}
