//! One connection: what its client holds, and how a call on it succeeds, fails, or does both.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use eddy_pipeline::event::{Destination, Header, Partition, Record, Source};

use crate::settings::Start;
use crate::{BrokerError, Fault};

use super::cluster::ConnectionId;
use super::faults::{Mishap, Op, Until};
use super::log::{Isolation, TwinRecord};
use super::outbox::{Outbox, Phase};
use super::state::{Shared, Slot, State, failure, lock};
use super::transactions::{Fenced, Producer};

/// Settings of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TwinSettings {
    /// Consumer group.
    pub group: String,
    /// Transactional id; `None` is at least once.
    pub transactional_id: Option<String>,
    /// Names of the input topics.
    pub inputs: Vec<String>,
    /// Names of the output topics, in the order of [`Destination::ALL`].
    pub outputs: [String; 3],
    /// Where a new group begins.
    pub start: Start,
    /// Most outputs in the producer's queue.
    pub queue_records: usize,
    /// Largest output that the client takes, in bytes of key, value and headers.
    pub max_message_bytes: usize,
    /// How long the broker keeps a transaction open.
    pub transaction_timeout: Duration,
    /// Whether the membership is read anew for each transaction; `false` is a planted bug: the first one serves them all.
    pub fresh_membership: bool,
}

impl TwinSettings {
    /// Exactly once, on topics of the default names.
    pub fn exactly_once(group: &str, transactional_id: &str) -> Self {
        Self {
            transactional_id: Some(transactional_id.to_owned()),
            ..Self::at_least_once(group)
        }
    }

    /// At least once, on topics of the default names.
    pub fn at_least_once(group: &str) -> Self {
        Self {
            group: group.to_owned(),
            transactional_id: None,
            inputs: vec!["events".to_owned()],
            outputs: ["predictions", "retraining", "dead-letters"].map(str::to_owned),
            start: Start::Earliest,
            queue_records: 100_000,
            max_message_bytes: 1 << 20,
            transaction_timeout: Duration::from_secs(10),
            fresh_membership: true,
        }
    }
}

/// A lane's connection to a [`super::Cluster`]. Dropping it without [`crate::Broker::close`] is a crash.
#[derive(Debug)]
pub struct Twin {
    pub(super) shared: Shared,
    pub(super) id: ConnectionId,
    pub(super) settings: TwinSettings,
    pub(super) inputs: Vec<usize>,
    pub(super) outputs: Vec<(usize, i32)>,
    /// Partitions that were accepted, with the offset of the next record once that is known.
    pub(super) fetching: BTreeMap<Slot, Option<i64>>,
    /// Partitions in which the group is known to have an offset.
    pub(super) have: BTreeSet<Slot>,
    /// Whether the last notice of the group was taken up.
    pub(super) answered: bool,
    pub(super) paused: bool,
    /// Whether the consumer is beyond repair.
    pub(super) is_lost: bool,
    /// Partitions that deliver nothing.
    pub(super) stuck: BTreeMap<Slot, Until>,
    /// What a consumer before this one held and this one has not accepted: letting it go means nothing.
    pub(super) void: BTreeSet<Slot>,
    /// The partition that records come from, and how many more in a row.
    pub(super) run: Option<(Slot, u32)>,
    pub(super) outbox: Outbox,
    /// What is put beside offsets.
    pub(super) notes: BTreeMap<Slot, Arc<str>>,
    /// The generation of the group that the last transaction was told.
    pub(super) generation: Option<u32>,
}

impl Twin {
    pub(super) fn new(shared: Shared, id: ConnectionId, settings: TwinSettings) -> Self {
        let (connection, mut state) = (id, lock(&shared));
        let find = |name: &String| {
            let known = state.topic(name);
            known.unwrap_or_else(|| panic!("the twin has no topic `{name}`; create it first"))
        };
        let inputs: Vec<usize> = settings.inputs.iter().map(find).collect();
        let outputs: Vec<usize> = settings.outputs.iter().map(find).collect();
        let outputs = outputs
            .into_iter()
            .map(|topic| (topic, state.topics[topic].logs.len() as i32))
            .collect();
        let producer = settings.transactional_id.clone().map(|id| Producer {
            epoch: state.init_producer(&id),
            id,
            timeout: settings.transaction_timeout,
        });
        let have = state.begin_everywhere(connection, settings.start);
        drop(state);
        Self {
            shared,
            id,
            settings,
            inputs,
            outputs,
            fetching: BTreeMap::new(),
            have,
            answered: true,
            paused: false,
            is_lost: false,
            stuck: BTreeMap::new(),
            void: BTreeSet::new(),
            notes: BTreeMap::new(),
            run: None,
            outbox: Outbox::new(producer),
            generation: None,
        }
    }

    /// Which connection this is, for the hooks of [`super::Cluster`].
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// One call: what the script has in store for it, then the call itself, then what the script says it returns.
    pub(super) fn perform<T>(
        &mut self,
        op: Op,
        body: impl FnOnce(&mut Self, &mut State) -> Result<T, BrokerError>,
    ) -> Result<T, BrokerError> {
        let shared = Arc::clone(&self.shared);
        let mut state = lock(&shared);
        let state = &mut *state;
        let mishap = state.enter(self.id, op)?;
        self.work_in_the_background(state);
        if self.is_lost && op.is_the_consumers() {
            state.pass(state.settings.op_time);
            return Err(planned(self.id, op, Fault::ConsumerLost));
        }
        if op.asks_the_broker() && state.is_away() {
            state.pass(state.settings.request_timeout);
            if state.is_away() {
                let id = self.id;
                state.note(|_| format!("{id} {op}: no broker answers"));
                return Err(failure(Fault::Retriable, format!("{id} {op}"), "no broker answers"));
            }
        }
        // A commit that took effect is not answered by "abort".
        let took_effect = op == Op::Commit && self.outbox.phase == Phase::Unanswered;
        let result = match mishap {
            Some(Mishap::Fails(Fault::Abortable | Fault::Refused)) if took_effect => body(self, state),
            Some(Mishap::Fails(fault)) => {
                self.suffer(state, op, fault);
                Err(planned(self.id, op, fault))
            }
            Some(Mishap::CommitsLate) if op == Op::Commit && self.outbox.phase == Phase::Open => {
                if let Some(producer) = &self.outbox.producer {
                    state.commit_late(producer);
                }
                self.suffer(state, op, Fault::TimedOut);
                Err(planned(self.id, op, Fault::TimedOut))
            }
            _ => body(self, state),
        };
        let id = self.id;
        match &result {
            Ok(_) if matches!(op, Op::Poll | Op::Serve | Op::Send) => {}
            Ok(_) => state.note(|_| format!("{id} {op}: done")),
            Err(error) => state.note(|_| format!("{id} {op}: {:?}, {}", error.fault, error.message)),
        }
        match mishap {
            Some(Mishap::CrashAfter) => {
                state.crash(id);
                Err(state.gone(id, op))
            }
            Some(Mishap::Sticks(until)) if result.is_ok() => {
                self.stuck
                    .extend(self.fetching.keys().next().map(|slot| (*slot, until)));
                result
            }
            Some(Mishap::FailsAfterwards(fault)) if result.is_ok() => {
                self.suffer(state, op, fault);
                state.note(|_| format!("{id} {op}: but {fault:?} is what it returns"));
                Err(planned(id, op, fault))
            }
            _ => result,
        }
    }

    /// The client's own threads send what is queued whenever they get to it.
    fn work_in_the_background(&mut self, state: &mut State) {
        let queued = self.outbox.queued();
        if queued > 0 && state.connection(self.id).stalled == 0 && state.rng.u8(0..4) == 0 {
            let most = state.rng.usize(1..=queued);
            self.outbox.transmit(state, self.id, most);
        }
    }

    /// What a fault that the script chose does to the client.
    pub(super) fn suffer(&mut self, state: &mut State, op: Op, fault: Fault) {
        self.is_lost |= fault == Fault::ConsumerLost;
        let transactional = matches!(
            op,
            Op::Begin | Op::Send | Op::SendOffsets | Op::Commit | Op::Abort | Op::Renew
        );
        let Some(producer) = self.outbox.producer.as_ref().filter(|_| transactional) else {
            return;
        };
        let phase = self.outbox.phase;
        self.outbox.phase = match fault {
            Fault::Retriable if op == Op::Commit && phase == Phase::Ready => Phase::Unanswered,
            Fault::Retriable => phase,
            Fault::Abortable | Fault::Refused if phase == Phase::Open => Phase::MustAbort,
            Fault::Abortable | Fault::Refused | Fault::ConsumerLost | Fault::ConsumerFenced => phase,
            Fault::TimedOut => Phase::Unknown,
            Fault::Fenced => {
                let id = producer.id.clone();
                state.give_up_on(&id);
                Phase::Fenced
            }
            Fault::Fatal => Phase::Broken,
        };
    }

    pub(super) fn slot(&self, partition: Partition) -> Option<Slot> {
        let topic = self.inputs.get(usize::from(partition.topic)).copied()?;
        Some(Slot {
            topic,
            number: partition.number,
        })
    }

    pub(super) fn partition(&self, slot: Slot) -> Partition {
        let topic = self.inputs.iter().position(|topic| *topic == slot.topic);
        Partition {
            topic: topic.expect("partitions of input topics only are fetched") as u16,
            number: slot.number,
        }
    }

    pub(super) fn partitions<'a>(&self, slots: impl IntoIterator<Item = &'a Slot>) -> Vec<Partition> {
        slots.into_iter().map(|slot| self.partition(*slot)).collect()
    }

    /// The slots of partitions that this client holds; a client that names others is at fault.
    pub(super) fn held(
        &self,
        state: &mut State,
        op: Op,
        partitions: &[Partition],
    ) -> Result<BTreeSet<Slot>, BrokerError> {
        let mut slots = BTreeSet::new();
        for partition in partitions {
            let slot = self
                .slot(*partition)
                .filter(|slot| state.connection(self.id).held.contains(slot));
            let Some(slot) = slot else {
                let what = format!("{} {op}: partition {partition:?} was not given to it", self.id);
                state.violation(what);
                let doing = format!("{op} of partition {}", partition.number);
                return Err(failure(
                    Fault::Fatal,
                    doing,
                    "the group has not given it to this client",
                ));
            };
            slots.insert(slot);
        }
        Ok(slots)
    }

    /// The next record of the accepted partitions: a few in a row from one, then from another.
    pub(super) fn next_record(
        &mut self,
        state: &mut State,
    ) -> Result<Option<(Slot, i64, Arc<TwinRecord>)>, BrokerError> {
        if self.paused || !self.answered || state.is_away() {
            return Ok(None);
        }
        let mut ready = Vec::new();
        let slots: Vec<Slot> = self.fetching.keys().copied().collect();
        for slot in slots {
            let Some(position) = self.position(state, slot)? else {
                continue;
            };
            if self.stuck.contains_key(&slot) {
                continue;
            }
            let next = state.log(slot).read(position, Isolation::ReadCommitted).next();
            if let Some((offset, record)) = next {
                ready.push((slot, offset, Arc::clone(record)));
            }
        }
        if ready.is_empty() {
            return Ok(None);
        }
        let going_on = self.run.filter(|(_, left)| *left > 0);
        let chosen = going_on.and_then(|(slot, _)| ready.iter().position(|(ready, ..)| *ready == slot));
        let chosen = chosen.unwrap_or_else(|| {
            let chosen = state.rng.usize(..ready.len());
            self.run = Some((ready[chosen].0, state.rng.u32(1..=8)));
            chosen
        });
        let (slot, offset, record) = ready.swap_remove(chosen);
        if let Some((_, left)) = &mut self.run {
            *left -= 1;
        }
        self.fetching.insert(slot, Some(offset + 1));
        Ok(Some((slot, offset, record)))
    }

    /// Where the next record of a partition is read; `None` while the group cannot tell.
    fn position(&mut self, state: &mut State, slot: Slot) -> Result<Option<i64>, BrokerError> {
        if let Some(position) = self.fetching.get(&slot).copied().flatten() {
            return Ok(Some(position));
        }
        let group = state.connection(self.id).group;
        if state.is_unstable(group, slot) {
            state.note(|state| format!("the offset of {} is not stable yet", state.name_of(slot)));
            return Ok(None);
        }
        let Some(position) = state.groups[group].committed.get(&slot).map(|mark| mark.next) else {
            let doing = format!("reading {}", state.name_of(slot));
            let message = "the group has no committed offset, and `kafka.start` is \"error\"";
            return Err(failure(Fault::Refused, doing, message));
        };
        self.fetching.insert(slot, Some(position));
        Ok(Some(position))
    }

    /// Hands a record over as the broker's client would.
    pub(super) fn hand_over(
        &self,
        (slot, offset, record): &(Slot, i64, Arc<TwinRecord>),
        on_record: &mut dyn FnMut(&Record<'_>),
    ) {
        let partition = self.partition(*slot);
        let headers: Vec<Header<'_>> = record
            .headers
            .iter()
            .map(|(name, value)| Header {
                name,
                value: value.as_deref(),
            })
            .collect();
        on_record(&Record {
            source: Source {
                partition,
                offset: *offset,
            },
            topic: &self.settings.inputs[usize::from(partition.topic)],
            timestamp_ms: record.timestamp_ms,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
        });
    }

    pub(super) fn output_slot(&self, to: Destination, partition: i32) -> Option<Slot> {
        let (topic, partitions) = self.outputs[to as usize];
        (0..partitions).contains(&partition).then_some(Slot {
            topic,
            number: partition,
        })
    }

    pub(super) fn fenced(&mut self, doing: &str) -> BrokerError {
        self.outbox.phase = Phase::Fenced;
        failure(
            Fault::Fenced,
            format!("{} {doing}", self.id),
            "a newer producer has the same transactional id, or the broker gave the transaction up",
        )
    }

    /// Turns away calls that the producer's phase forbids.
    pub(super) fn in_phase(&mut self, state: &mut State, wanted: Phase, doing: &str) -> Result<(), BrokerError> {
        let phase = self.outbox.phase;
        if phase == wanted {
            return Ok(());
        }
        let doing = format!("{} {doing}", self.id);
        let (fault, message) = match phase {
            Phase::Fenced => (Fault::Fenced, "another producer took over"),
            Phase::Broken => (Fault::Fatal, "the producer is beyond repair; renew it"),
            Phase::Unknown => (Fault::Fatal, "the last call's fate is unknown; renew the producer"),
            Phase::MustAbort => (Fault::Abortable, "the transaction has failed and must be aborted"),
            Phase::Ready | Phase::Open | Phase::Unanswered => {
                state.violation(format!("{doing}: the producer is {phase:?}"));
                (Fault::Fatal, "the call is out of order")
            }
        };
        Err(failure(fault, doing, message))
    }

    pub(super) fn end_transaction(&mut self, state: &mut State, committed: bool) -> Result<(), BrokerError> {
        let Some(producer) = &self.outbox.producer else {
            return Ok(());
        };
        let ended: Result<(), Fenced> = state.end_of(producer, committed);
        ended.map_err(|Fenced| self.fenced("ending the transaction"))?;
        self.outbox.phase = Phase::Ready;
        Ok(())
    }
}

impl Drop for Twin {
    fn drop(&mut self) {
        lock(&self.shared).crash(self.id);
    }
}

pub(super) fn planned(id: ConnectionId, op: Op, fault: Fault) -> BrokerError {
    failure(fault, format!("{id} {op}"), "the script says so")
}
