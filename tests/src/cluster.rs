//! Apache Kafka of three nodes for tests: brokers that can be killed, frozen and brought back one by one, each with a
//! second listener that is reached through a [`Proxy`].
//!
//! Every record of a cluster of three is on three nodes and acknowledged by two, so it bears the loss of any one. Brokers
//! and the test's own readers use the direct listeners, which nothing disturbs but the death of a broker; the replicas
//! under test use the proxied ones, whose advertised address is the proxy's, so that every byte of theirs passes it.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::thread;
use std::time::{Duration, Instant};

use crate::kafka::node::Node;
use crate::kafka::process::{free_ports, remove_stale_homes, server_properties};
use crate::kafka::wait::PAUSE;
use crate::kafka::{LAUNCH_ATTEMPTS, Topics, wait_until_serving};
use crate::proxy::Proxy;

/// How long a node may take to join before it is started anew.
const PATIENCE: Duration = Duration::from_secs(60);

/// Brokers of one cluster, killed and removed when this is dropped. What can be asked of them is in [`Topics`].
///
/// Nodes are counted from 0.
#[derive(Debug)]
pub struct Cluster {
    members: Vec<Member>,
    topics: Topics,
}

#[derive(Debug)]
struct Member {
    node: Node,
    proxy: Proxy,
    ports: Ports,
}

#[derive(Clone, Copy, Debug)]
struct Ports {
    direct: u16,
    proxied: u16,
    controller: u16,
}

impl Cluster {
    /// Starts 1 or 3 nodes and returns when all serve metadata, transactions and groups.
    ///
    /// # Panics
    /// When they do not start.
    pub fn start(nodes: usize) -> Self {
        assert!(nodes == 1 || nodes == 3, "a cluster has one node or three, not {nodes}");
        remove_stale_homes();
        for _ in 0..LAUNCH_ATTEMPTS {
            let mut cluster = Self::prepare(nodes);
            match cluster.launch() {
                Ok(()) => return cluster,
                Err(reason) if reason.contains("BindException") => {}
                Err(reason) => panic!("the cluster did not start: {reason}"),
            }
        }
        panic!("the cluster did not start: {LAUNCH_ATTEMPTS} times somebody else took one of its ports");
    }

    /// How many nodes it has, running or not.
    pub fn nodes(&self) -> usize {
        self.members.len()
    }

    /// `bootstrap.servers` of the direct listeners: for the test's own clients.
    pub fn direct(&self) -> String {
        self.topics.bootstrap()
    }

    /// `bootstrap.servers` of the proxies: for the replicas under test.
    pub fn proxied(&self) -> String {
        addresses(self.members.iter().map(|member| member.proxy.port()))
    }

    /// The proxy that every connection to the proxied listener of a node passes.
    pub fn proxy(&self, node: usize) -> &Proxy {
        &self.members[node].proxy
    }

    /// Kills a node with SIGKILL: nothing is flushed, nobody is told.
    pub fn kill(&mut self, node: usize) {
        self.members[node].node.kill();
    }

    /// Stops a node with SIGTERM, so that it hands over what it leads; with SIGKILL if that takes too long.
    pub fn shutdown(&mut self, node: usize) {
        self.members[node].node.shutdown();
    }

    /// Freezes a node with SIGSTOP: its connections stay open and it answers nobody.
    pub fn stop(&self, node: usize) {
        self.members[node].node.stop();
    }

    /// Lets a frozen node go on with SIGCONT.
    pub fn cont(&self, node: usize) {
        self.members[node].node.cont();
    }

    /// Starts a node again on its own data and addresses, and does not wait for it.
    ///
    /// # Panics
    /// When it still runs.
    pub fn restart(&mut self, node: usize) {
        assert!(!self.is_running(node), "node {node} still runs");
        let started = self.members[node].node.launch();
        started.unwrap_or_else(|reason| panic!("node {node} did not start again: {reason}"));
    }

    /// Whether a node has a process; a frozen one has.
    pub fn is_running(&mut self, node: usize) -> bool {
        self.members[node].node.is_running()
    }

    /// Waits until all nodes are up and every partition has all its replicas in sync, as every node itself sees it.
    ///
    /// A node that ended by itself, or that the others still miss after a minute, is started again, as a supervisor would: it
    /// has been seen that a killed node did not come back within three, and how Kafka starts is not what is tested here. What
    /// it logged goes to the standard error.
    ///
    /// # Panics
    /// When that does not help.
    pub fn wait_until_whole(&mut self) {
        for _ in 1..LAUNCH_ATTEMPTS {
            let Err(reason) = self.become_whole() else { return };
            for node in self.missing() {
                let log = self.members[node].node.log_tail();
                eprintln!(
                    "the cluster is not whole: {reason}; node {node} is started again, which logged at last\n{log}"
                );
                self.members[node].node.end();
                self.restart(node);
            }
        }
        self.become_whole()
            .unwrap_or_else(|reason| panic!("the cluster is not whole: {reason}"));
    }

    /// Creates a topic with a replica on each node, and returns when every node knows the leaders of its partitions.
    ///
    /// # Panics
    /// When a node is down.
    pub fn create_topic(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        self.topics.create_topic(name, partitions, configs);
        for node in 0..self.nodes() {
            self.seen_by(node).wait_for_topic(name, partitions);
        }
    }

    fn prepare(nodes: usize) -> Self {
        let ports: Vec<Ports> = (0..nodes)
            .map(|_| {
                let [direct, proxied, controller] = free_ports();
                Ports {
                    direct,
                    proxied,
                    controller,
                }
            })
            .collect();
        let members = (0..nodes).map(|node| Member::prepare(node, &ports)).collect();
        let direct = addresses(ports.iter().map(|ports| ports.direct));
        Self {
            members,
            topics: Topics::new(direct, nodes),
        }
    }

    fn launch(&mut self) -> Result<(), String> {
        for member in &mut self.members {
            member.node.launch()?;
        }
        for member in &mut self.members {
            wait_until_serving(&mut member.node, member.ports.direct, &self.topics)?;
        }
        let first = &mut self.members[0].node;
        first.wait_for("its groups", self.topics.groups_probe())?;
        self.wait_until_whole();
        Ok(())
    }

    fn whole(&self) -> Result<(), String> {
        (0..self.nodes()).try_for_each(|node| self.seen_by(node).whole().map_err(|why| format!("node {node}: {why}")))
    }

    /// Waits for that, until a node has ended or it takes too long.
    fn become_whole(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while let Err(reason) = self.whole() {
            if Instant::now() > deadline || (0..self.nodes()).any(|node| !self.is_running(node)) {
                return Err(reason);
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Nodes that have ended, or that most do not know to be up.
    fn missing(&mut self) -> Vec<usize> {
        let views: Vec<_> = (0..self.nodes())
            .filter_map(|node| self.seen_by(node).nodes_up().ok())
            .collect();
        let is_missed = |node: &usize| 2 * views.iter().filter(|view| !view.contains(node)).count() > views.len();
        (0..self.nodes())
            .filter(|node| !self.is_running(*node) || is_missed(node))
            .collect()
    }

    /// The topics as one node sees them.
    fn seen_by(&self, node: usize) -> Topics {
        Topics::new(addresses([self.members[node].ports.direct]), self.nodes())
    }
}

impl Deref for Cluster {
    type Target = Topics;

    fn deref(&self) -> &Topics {
        &self.topics
    }
}

impl Member {
    fn prepare(node: usize, ports: &[Ports]) -> Self {
        let own = ports[node];
        let proxy = Proxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, own.proxied)));
        let properties = properties(node, ports, proxy.port());
        let properties: Vec<_> = properties.iter().map(|(key, value)| (*key, value.as_str())).collect();
        Self {
            node: Node::prepare(node + 1, |data| {
                server_properties(data, own.direct, own.controller, &properties)
            }),
            proxy,
            ports: own,
        }
    }
}

/// What a node of a cluster has beyond, or instead of, the properties of a single one.
fn properties(node: usize, ports: &[Ports], proxy: u16) -> Vec<(&'static str, String)> {
    let Ports {
        direct,
        proxied,
        controller,
    } = ports[node];
    let nodes = ports.len();
    let voters = (1..).zip(ports);
    let voters: Vec<_> = voters
        .map(|(id, ports)| format!("{id}@127.0.0.1:{}", ports.controller))
        .collect();
    let acknowledging = nodes.div_ceil(2).to_string();
    let copies = nodes.to_string();
    vec![
        ("node.id", (node + 1).to_string()),
        ("controller.quorum.voters", voters.join(",")),
        (
            "listeners",
            format!("PLAINTEXT://127.0.0.1:{direct},PROXIED://127.0.0.1:{proxied},CONTROLLER://127.0.0.1:{controller}"),
        ),
        (
            "advertised.listeners",
            format!("PLAINTEXT://127.0.0.1:{direct},PROXIED://127.0.0.1:{proxy}"),
        ),
        (
            "listener.security.protocol.map",
            "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT".into(),
        ),
        ("default.replication.factor", copies.clone()),
        ("offsets.topic.replication.factor", copies.clone()),
        ("transaction.state.log.replication.factor", copies),
        ("min.insync.replicas", acknowledging.clone()),
        ("transaction.state.log.min.isr", acknowledging),
        ("unclean.leader.election.enable", "false".into()),
        // On a busy machine a node that is only slow must not be given up.
        ("broker.session.timeout.ms", "6000".into()),
    ]
}

fn addresses(ports: impl IntoIterator<Item = u16>) -> String {
    let addresses: Vec<_> = ports.into_iter().map(|port| format!("127.0.0.1:{port}")).collect();
    addresses.join(",")
}
