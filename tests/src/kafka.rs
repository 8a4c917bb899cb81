//! A real Apache Kafka for tests: one node, on loopback, on free ports, in a folder that goes away.
//!
//! What is fetched, and where to, is the business of `tests/setup/kafka`. Functions here wait for conditions and never
//! for a span of time; when the broker does not do within a generous deadline what it was asked to do, they panic with
//! a sentence, because the only caller is a test.

mod access;
mod changes;
mod groups;
pub(crate) mod node;
pub(crate) mod process;
mod topics;
pub(crate) mod wait;

use std::net::{Ipv4Addr, TcpStream};
use std::ops::Deref;
use std::sync::OnceLock;

use node::Node;
use process::{free_ports, remove_stale_homes, server_properties};

pub use access::{Acl, Operation, Resource, write_acls_tool};
pub use topics::{Isolation, Message, Topics, coordinating_partition};

/// How often ports are looked for: between the look and the start somebody else can take one.
pub(crate) const LAUNCH_ATTEMPTS: usize = 5;

/// A broker process of its own, stopped and removed when it is dropped.
///
/// It also dies with the process that started it, however that one ends. What can be asked of it is in [`Topics`].
#[derive(Debug)]
pub struct Kafka {
    node: Node,
    port: u16,
    topics: Topics,
}

impl Kafka {
    /// Starts a broker and returns when it serves metadata and transactions.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Like [`Kafka::start`], with server properties that are added to, or replace, those of the harness.
    ///
    /// In their values `{port}` and `{controller_port}` stand for the ports that the harness chose. A key that begins with
    /// `-D` is a property of the Java machine instead.
    pub fn start_with(properties: &[(&str, &str)]) -> Self {
        remove_stale_homes();
        for _ in 0..LAUNCH_ATTEMPTS {
            let mut kafka = Self::prepare(properties);
            match kafka.launch() {
                Ok(()) => return kafka,
                Err(reason) if reason.contains("BindException") => {}
                Err(reason) => panic!("kafka did not start: {reason}"),
            }
        }
        panic!("kafka did not start: {LAUNCH_ATTEMPTS} times somebody else took one of its ports");
    }

    /// The broker that the tests of this process share; topics and groups need names of their own.
    ///
    /// It cannot be killed or stopped by a test, because that needs `&mut self`.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Kafka> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// The process id of the broker; `None` after [`Kafka::kill`] or [`Kafka::shutdown`].
    pub fn pid(&self) -> Option<u32> {
        self.node.pid()
    }

    /// Kills the broker with SIGKILL: nothing is flushed, nobody is told.
    pub fn kill(&mut self) {
        self.node.kill();
    }

    /// Freezes the broker with SIGSTOP: connections stay open and nothing answers, as when a network stalls.
    pub fn stop_process(&mut self) {
        self.node.stop();
    }

    /// Lets a broker go on that [`Kafka::stop_process`] froze.
    pub fn continue_process(&mut self) {
        self.node.cont();
    }

    /// Stops the broker with SIGTERM, and with SIGKILL if that takes too long. Does nothing if it does not run.
    pub fn shutdown(&mut self) {
        self.node.shutdown();
    }

    /// Starts the broker again on the same data and address, after it is stopped if it still runs.
    ///
    /// Returns when it serves metadata and transactions and each partition has a leader again.
    pub fn restart(&mut self) {
        self.shutdown();
        self.launch()
            .unwrap_or_else(|reason| panic!("kafka did not start again: {reason}"));
    }

    fn prepare(properties: &[(&str, &str)]) -> Self {
        let [port, controller_port] = free_ports();
        let (of_java, of_server): (Vec<_>, Vec<_>) = properties.iter().partition(|(key, _)| key.starts_with("-D"));
        let node = Node::prepare(1, |data| server_properties(data, port, controller_port, &of_server));
        Self {
            node: node.with_java(of_java.iter().map(|(key, value)| format!("{key}={value}"))),
            port,
            topics: Topics::new(format!("127.0.0.1:{port}"), 1),
        }
    }

    fn launch(&mut self) -> Result<(), String> {
        self.node.launch()?;
        wait_until_serving(&mut self.node, self.port, &self.topics)
    }
}

impl Deref for Kafka {
    type Target = Topics;

    fn deref(&self) -> &Topics {
        &self.topics
    }
}

/// Serving is who answers: first the port, then metadata with a leader everywhere, then both coordinators.
pub(crate) fn wait_until_serving(node: &mut Node, port: u16, topics: &Topics) -> Result<(), String> {
    node.wait_for("its port", || {
        TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .map(drop)
            .map_err(|e| e.to_string())
    })?;
    node.wait_for("its metadata", || topics.whole())?;
    node.wait_for("its transactions", topics.transactions_probe())
}
