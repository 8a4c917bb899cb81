//! Everything that the cluster holds, behind one lock, and what happens as time passes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::{BrokerError, Fault};

use super::clock::VirtualClock;
use super::cluster::{ClusterSettings, ConnectionId};
use super::faults::{Fate, Mishap, Op};
use super::group::{Group, Mark};
use super::log::{Log, TwinRecord};
use super::transactions::{Transaction, TransactionalId};

/// One partition of one topic of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot {
    pub(super) topic: usize,
    pub(super) number: i32,
}

#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: String,
    pub(super) logs: Vec<Log>,
    /// Largest record that the topic takes, in bytes of key, value and headers.
    pub(super) max_message_bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Alive,
    /// Dead since then; the group does not know until the session ends.
    Crashed(Duration),
    Closed,
}

/// Whether the group still takes a connection for a member, and whether it knows better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Membership {
    /// Not joined yet, or joined.
    Sound,
    /// Thrown out; it learns so then.
    LostUntil(Duration),
    /// Thrown out, and it knows.
    Lost,
}

/// One client of the cluster, as far as the brokers and the client's own background threads are concerned.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) group: usize,
    pub(super) topics: Vec<usize>,
    pub(super) life: Life,
    pub(super) membership: Membership,
    /// What the client takes for its own.
    pub(super) held: BTreeSet<Slot>,
    /// At least once: offsets that the client commits by itself.
    pub(super) stored: BTreeMap<Slot, Mark>,
    pub(super) auto_commit_at: Option<Duration>,
    pub(super) last_poll: Duration,
    /// Deliveries stand still for so many further calls.
    pub(super) stalled: u32,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) settings: ClusterSettings,
    pub(super) clock: VirtualClock,
    pub(super) rng: fastrand::Rng,
    pub(super) fate: Fate,
    pub(super) topics: Vec<Topic>,
    pub(super) groups: Vec<Group>,
    pub(super) connections: Vec<Connection>,
    pub(super) producers: BTreeMap<String, TransactionalId>,
    pub(super) transactions: Vec<Transaction>,
    pub(super) outage_until: Duration,
    pub(super) trace: Vec<String>,
    pub(super) violations: Vec<String>,
}

pub(super) type Shared = Arc<Mutex<State>>;

/// Locks the cluster. A panic elsewhere leaves it as it was: tests look at it afterwards.
pub(super) fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A failed call.
pub(super) fn failure(fault: Fault, doing: impl Into<String>, message: impl Into<String>) -> BrokerError {
    BrokerError {
        fault,
        doing: doing.into(),
        message: message.into(),
    }
}

impl State {
    pub(super) fn new(mut settings: ClusterSettings) -> Self {
        let faults = std::mem::take(&mut settings.faults);
        Self {
            clock: VirtualClock::new(),
            rng: fastrand::Rng::with_seed(settings.seed),
            fate: Fate::new(faults),
            settings,
            topics: Vec::new(),
            groups: Vec::new(),
            connections: Vec::new(),
            producers: BTreeMap::new(),
            transactions: Vec::new(),
            outage_until: Duration::ZERO,
            trace: Vec::new(),
            violations: Vec::new(),
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.clock.passed()
    }

    /// Adds a line to the trace, if there is one.
    pub(super) fn note(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.settings.trace {
            let line = format!("{:>12.3} ms  {}", self.now().as_secs_f64() * 1e3, line(self));
            self.trace.push(line);
        }
    }

    /// Notes that a client did what a sound one never does.
    pub(super) fn violation(&mut self, what: String) {
        self.note(|_| format!("VIOLATION {what}"));
        self.violations.push(what);
    }

    pub(super) fn topic(&self, name: &str) -> Option<usize> {
        self.topics.iter().position(|topic| topic.name == name)
    }

    pub(super) fn log(&self, slot: Slot) -> &Log {
        &self.topics[slot.topic].logs[slot.number as usize]
    }

    pub(super) fn log_mut(&mut self, slot: Slot) -> &mut Log {
        &mut self.topics[slot.topic].logs[slot.number as usize]
    }

    /// `topic/partition`.
    pub(super) fn name_of(&self, slot: Slot) -> String {
        format!("{}/{}", self.topics[slot.topic].name, slot.number)
    }

    pub(super) fn names_of<'a>(&self, slots: impl IntoIterator<Item = &'a Slot>) -> String {
        let names: Vec<String> = slots.into_iter().map(|slot| self.name_of(*slot)).collect();
        names.join(" ")
    }

    /// A record with the cluster's own time where it has none.
    pub(super) fn stamped(&self, mut record: TwinRecord) -> Arc<TwinRecord> {
        record.timestamp_ms = record.timestamp_ms.or(Some(self.clock.unix_ms()));
        Arc::new(record)
    }

    pub(super) fn connection(&self, id: ConnectionId) -> &Connection {
        &self.connections[id.index()]
    }

    pub(super) fn connection_mut(&mut self, id: ConnectionId) -> &mut Connection {
        &mut self.connections[id.index()]
    }

    pub(super) fn crash(&mut self, id: ConnectionId) {
        if self.connection(id).life != Life::Alive {
            return;
        }
        self.connection_mut(id).life = Life::Crashed(self.now());
        self.note(|_| format!("{id} crashes"));
    }

    /// Whether the brokers cannot be reached.
    pub(super) fn is_away(&self) -> bool {
        self.now() < self.outage_until
    }

    /// The beginning of every call: a moment passes, and the script says what befalls it.
    pub(super) fn enter(&mut self, id: ConnectionId, op: Op) -> Result<Option<Mishap>, BrokerError> {
        let moment = self.settings.op_time * self.rng.u32(1..=2);
        self.pass(moment);
        if self.connection(id).life != Life::Alive {
            return Err(self.gone(id, op));
        }
        let mishap = self.fate.of(op, &mut self.rng);
        if let Some(mishap) = mishap {
            self.note(|_| format!("{id} {op}: {mishap:?} is planned"));
        }
        match mishap {
            Some(Mishap::CrashBefore) => {
                self.crash(id);
                return Err(self.gone(id, op));
            }
            Some(Mishap::Kick) => self.kick(id),
            Some(Mishap::Rebalance) => self.reshuffle(self.connection(id).group),
            Some(Mishap::Outage(length)) => self.outage_until = self.now() + length,
            Some(Mishap::Stall(calls)) => self.connection_mut(id).stalled = calls,
            other => return Ok(other),
        }
        Ok(None)
    }

    pub(super) fn gone(&self, id: ConnectionId, op: Op) -> BrokerError {
        failure(
            Fault::Fatal,
            format!("{id} {op}"),
            "the connection has ended; make a new one",
        )
    }

    /// Time passes, and what waits for it happens.
    pub(super) fn pass(&mut self, time: Duration) {
        self.clock.advance(time);
        self.expire_transactions();
        self.expire_members();
        self.commit_stored_offsets();
    }

    fn commit_stored_offsets(&mut self) {
        let now = self.now();
        for index in 0..self.connections.len() {
            let connection = &self.connections[index];
            let due = connection.auto_commit_at.is_some_and(|at| at <= now);
            if !due || connection.life != Life::Alive || self.is_away() {
                continue;
            }
            let id = ConnectionId::at(index);
            if let Err(error) = self.commit_stored(id) {
                self.note(|_| format!("{id} keeps stored offsets for later: {error}"));
            }
        }
    }

    fn commit_stored(&mut self, id: ConnectionId) -> Result<(), BrokerError> {
        let stored = self.connection(id).stored.clone();
        self.connection_mut(id).auto_commit_at = None;
        self.commit_of(id, &stored)
    }

    /// At least once: commits offsets that are stored. When that fails they stay stored, and the client tries again
    /// later, as librdkafka does.
    pub(super) fn commit_of(&mut self, id: ConnectionId, offsets: &BTreeMap<Slot, Mark>) -> Result<(), BrokerError> {
        let committed = if self.is_away() {
            Err(failure(
                Fault::Retriable,
                format!("{id} committing offsets"),
                "no broker answers",
            ))
        } else {
            self.commit_offsets(id, offsets)
        };
        let later = self.now() + self.settings.auto_commit_interval;
        let connection = self.connection_mut(id);
        if committed.is_ok() {
            connection.stored.retain(|slot, mark| offsets.get(slot) != Some(mark));
        }
        if connection.stored.is_empty() {
            connection.auto_commit_at = None;
        } else {
            connection.auto_commit_at.get_or_insert(later);
        }
        committed
    }
}
