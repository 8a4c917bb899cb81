//! The cluster as tests hold it: topics, what stands in them, and the hooks of a schedule.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::clock::VirtualClock;
use super::connection::{Twin, TwinSettings};
use super::faults::Faults;
use super::group::Group;
use super::log::{Isolation, Log, Stored, TwinRecord};
use super::state::{Connection, Life, Membership, Shared, Slot, State, Topic, lock};
use super::transactions::Producer;

/// One connection to the cluster: a lane's consumer and producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u32);

impl ConnectionId {
    pub(super) const fn at(index: usize) -> Self {
        Self(index as u32)
    }

    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {}", self.0)
    }
}

/// How a group deals its partitions anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Everybody lets go of everything first.
    Eager,
    /// Only what moves is let go.
    Cooperative,
}

/// Settings of a cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterSettings {
    /// Seed of everything that is left to chance.
    pub seed: u64,
    /// How groups rebalance.
    pub protocol: Protocol,
    /// What goes wrong.
    pub faults: Faults,
    /// Whether [`Cluster::trace`] is written.
    pub trace: bool,
    /// Virtual time of one call; each takes this or twice as much.
    pub op_time: Duration,
    /// How long a client waits for an answer while the brokers are away.
    pub request_timeout: Duration,
    /// Longest time until a member notices that it was thrown out.
    pub heartbeat: Duration,
    /// How long the group waits for a member that died.
    pub session_timeout: Duration,
    /// How long the group waits for a member to let go.
    pub rebalance_timeout: Duration,
    /// Longest time between two polls of a member.
    pub max_poll_interval: Duration,
    /// When a commit whose client stopped waiting arrives by itself.
    pub late_commit: Duration,
    /// At least once: how often stored offsets are committed.
    pub auto_commit_interval: Duration,
    /// Whether the group refuses commits of another generation. Kafka does; `false` is a planted bug.
    pub checks_generation: bool,
}

impl Default for ClusterSettings {
    fn default() -> Self {
        Self {
            seed: 0,
            protocol: Protocol::Cooperative,
            faults: Faults::none(),
            trace: false,
            op_time: Duration::from_micros(50),
            request_timeout: Duration::from_secs(1),
            heartbeat: Duration::from_millis(20),
            session_timeout: Duration::from_secs(15),
            rebalance_timeout: Duration::from_secs(60),
            max_poll_interval: Duration::from_secs(300),
            late_commit: Duration::from_millis(50),
            auto_commit_interval: Duration::from_secs(1),
            checks_generation: true,
        }
    }
}

/// An in-memory Kafka cluster. Clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct Cluster {
    shared: Shared,
}

impl Cluster {
    /// A cluster without topics.
    pub fn new(settings: ClusterSettings) -> Self {
        Self {
            shared: Arc::new(Mutex::new(State::new(settings))),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared)
    }

    /// The cluster's clock.
    pub fn clock(&self) -> VirtualClock {
        self.state().clock.clone()
    }

    /// Makes a topic whose records may be of any size.
    pub fn create_topic(&self, name: &str, partitions: i32) {
        self.create_topic_with_limit(name, partitions, usize::MAX);
    }

    /// Makes a topic that takes records of at most so many bytes.
    ///
    /// # Panics
    /// When there is one of that name.
    pub fn create_topic_with_limit(&self, name: &str, partitions: i32, max_message_bytes: usize) {
        let mut state = self.state();
        assert!(state.topic(name).is_none(), "topic `{name}` exists");
        state.topics.push(Topic {
            name: name.to_owned(),
            logs: (0..partitions).map(|_| Log::default()).collect(),
            max_message_bytes,
        });
    }

    /// Adds partitions to a topic. Groups that read it deal anew.
    ///
    /// # Panics
    /// When there is no such topic.
    pub fn add_partitions(&self, topic: &str, more: usize) {
        let mut state = self.state();
        let topic = topic_index(&state, topic);
        state.topics[topic].logs.extend((0..more).map(|_| Log::default()));
        state.note(|state| {
            format!(
                "{} has {} partitions now",
                state.topics[topic].name,
                state.topics[topic].logs.len()
            )
        });
        let read = |connection: &Connection| connection.topics.contains(&topic);
        let groups: BTreeSet<usize> = state
            .connections
            .iter()
            .filter(|one| read(one))
            .map(|one| one.group)
            .collect();
        for group in groups {
            state.deal(group);
        }
    }

    /// Appends a record; returns its offset.
    ///
    /// # Panics
    /// When there is no such partition.
    pub fn produce(&self, topic: &str, partition: i32, record: TwinRecord) -> i64 {
        let mut state = self.state();
        let slot = slot(&state, topic, partition);
        let record = state.stamped(record);
        state.log_mut(slot).append(record, None)
    }

    /// Appends the records of a foreign transaction, which ends as `committed` says.
    ///
    /// # Panics
    /// When there is no such partition.
    pub fn produce_transaction(&self, topic: &str, partition: i32, records: Vec<TwinRecord>, committed: bool) {
        let mut state = self.state();
        let slot = slot(&state, topic, partition);
        let id = "a foreign producer";
        let epoch = state.init_producer(id);
        let producer = Producer {
            id: id.to_owned(),
            epoch,
            timeout: Duration::from_secs(60),
        };
        for record in records {
            let record = state.stamped(record);
            let written = state.write_in_transaction(&producer, slot, record);
            written.expect("a producer that was just made is not fenced");
        }
        let ended = state.end_of(&producer, committed);
        ended.expect("a producer that was just made is not fenced");
    }

    /// Leaves offsets out, as compaction does.
    ///
    /// # Panics
    /// When there is no such partition.
    pub fn skip(&self, topic: &str, partition: i32, offsets: i64) {
        let mut state = self.state();
        let slot = slot(&state, topic, partition);
        state.log_mut(slot).skip(offsets);
    }

    /// Everything in a topic that a reader may see, partition by partition.
    ///
    /// # Panics
    /// When there is no such topic.
    pub fn read(&self, topic: &str, isolation: Isolation) -> Vec<Stored> {
        let state = self.state();
        let topic = &state.topics[topic_index(&state, topic)];
        let stored = |(partition, log): (usize, &Log)| {
            let records = log.read(0, isolation).map(|(offset, record)| Stored {
                partition: partition as i32,
                offset,
                record: Arc::clone(record),
            });
            records.collect::<Vec<_>>()
        };
        topic.logs.iter().enumerate().flat_map(stored).collect()
    }

    /// The offset that the next record of a partition will have.
    ///
    /// # Panics
    /// When there is no such partition.
    pub fn end(&self, topic: &str, partition: i32) -> i64 {
        let state = self.state();
        state.log(slot(&state, topic, partition)).end()
    }

    /// How far a reader of committed records can read.
    ///
    /// # Panics
    /// When there is no such partition.
    pub fn last_stable(&self, topic: &str, partition: i32) -> i64 {
        let state = self.state();
        state.log(slot(&state, topic, partition)).last_stable()
    }

    /// The committed offset of a group.
    ///
    /// # Panics
    /// When there is no such partition.
    pub fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        let state = self.state();
        let slot = slot(&state, topic, partition);
        let group = state.groups.iter().find(|known| known.name == group)?;
        group.committed.get(&slot).map(|mark| mark.next)
    }

    /// Connections that are members of a group, dead ones among them until their session ends.
    pub fn members(&self, group: &str) -> Vec<ConnectionId> {
        let state = self.state();
        let group = state.groups.iter().find(|known| known.name == group);
        group
            .map(|group| group.members.keys().copied().collect())
            .unwrap_or_default()
    }

    /// Transactions that are open at the broker.
    pub fn open_transactions(&self) -> usize {
        self.state().open_transactions()
    }

    /// Makes a connection; its producer fences older ones of the same transactional id. It joins its group when it polls.
    ///
    /// # Panics
    /// When a topic does not exist.
    pub fn connect(&self, settings: TwinSettings) -> Twin {
        let mut state = self.state();
        let id = ConnectionId::at(state.connections.len());
        let topics = settings.inputs.iter().map(|name| topic_index(&state, name)).collect();
        let known = state.groups.iter().position(|group| group.name == settings.group);
        let group = known.unwrap_or_else(|| {
            state.groups.push(Group::new(&settings.group));
            state.groups.len() - 1
        });
        let last_poll = state.now();
        state.connections.push(Connection {
            group,
            topics,
            life: Life::Alive,
            membership: Membership::Sound,
            held: BTreeSet::new(),
            stored: BTreeMap::new(),
            auto_commit_at: None,
            last_poll,
            stalled: 0,
        });
        state.note(|_| format!("{id} connects"));
        drop(state);
        Twin::new(Arc::clone(&self.shared), id, settings)
    }

    /// Deals a group's partitions anew, at random.
    pub fn rebalance(&self, group: &str) {
        let mut state = self.state();
        let index = state.groups.iter().position(|known| known.name == group);
        if let Some(index) = index {
            state.reshuffle(index);
        }
    }

    /// The group takes this member for lost and gives its partitions to others; the member learns it a little later.
    pub fn kick(&self, connection: ConnectionId) {
        self.state().kick(connection);
    }

    /// The connection dies: nothing of it reaches the cluster any more, and nobody knows.
    pub fn crash(&self, connection: ConnectionId) {
        self.state().crash(connection);
    }

    /// Whether a connection died.
    pub fn has_crashed(&self, connection: ConnectionId) -> bool {
        matches!(self.state().connection(connection).life, Life::Crashed(_))
    }

    /// Nobody reaches the brokers from now on, for so long.
    pub fn outage(&self, length: Duration) {
        let mut state = self.state();
        state.outage_until = state.now() + length;
    }

    /// Lets time pass.
    pub fn advance(&self, time: Duration) {
        self.state().pass(time);
    }

    /// What happened, line by line; empty unless [`ClusterSettings::trace`] is set.
    pub fn trace(&self) -> Vec<String> {
        self.state().trace.clone()
    }

    /// What clients did that a sound one never does: offsets that go back, calls out of order, partitions of others.
    pub fn violations(&self) -> Vec<String> {
        self.state().violations.clone()
    }
}

fn topic_index(state: &State, name: &str) -> usize {
    let known = state.topic(name);
    known.unwrap_or_else(|| panic!("the twin has no topic `{name}`; create it first"))
}

fn slot(state: &State, topic: &str, partition: i32) -> Slot {
    let topic = topic_index(state, topic);
    let partitions = state.topics[topic].logs.len() as i32;
    assert!(
        (0..partitions).contains(&partition),
        "the topic has {partitions} partitions, so there is no partition {partition}"
    );
    Slot {
        topic,
        number: partition,
    }
}
