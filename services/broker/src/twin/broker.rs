//! The twin as a [`Broker`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use eddy_pipeline::event::{Destination, Output, Partition, Record};

use crate::{Broker, BrokerError, Fault, Polled, Reach, SendError, Silence, Ticket, Undelivered};

use super::connection::{Twin, planned};
use super::faults::{Mishap, Op, Until};
use super::group::{Mark, Notice};
use super::log::{Isolation, TwinRecord};
use super::outbox::{Outbox, Phase, bytes_of};
use super::state::{Life, Membership, Slot, State, failure, lock};
use super::transactions::Producer;

impl Broker for Twin {
    fn poll(&mut self, timeout: Duration, on_record: &mut dyn FnMut(&Record<'_>)) -> Result<Polled, BrokerError> {
        let mut handed = None;
        let polled = self.perform(Op::Poll, |twin, state| {
            if !state.is_away()
                && let Some(notice) = state.next_notice(twin.id, twin.answered)
            {
                twin.answered = false;
                return Ok(twin.announce(state, notice));
            }
            handed = twin.next_record(state)?;
            let id = twin.id;
            match &handed {
                Some((slot, offset, _)) => {
                    state.note(|state| format!("{id} polls {}/{offset}", state.name_of(*slot)));
                    Ok(Polled::Record)
                }
                None => {
                    state.pass(timeout);
                    Ok(Polled::Idle)
                }
            }
        })?;
        if let Some(handed) = &handed {
            self.hand_over(handed, on_record);
        }
        Ok(polled)
    }

    fn accept(&mut self, partitions: &[Partition]) -> Result<(), BrokerError> {
        self.perform(Op::Accept, |twin, state| {
            let slots = twin.held(state, Op::Accept, partitions)?;
            twin.settle_beginnings(state, &slots)?;
            twin.answered = true;
            twin.void.retain(|slot| !slots.contains(slot));
            twin.fetching.extend(slots.into_iter().map(|slot| (slot, None)));
            Ok(())
        })
    }

    fn release(&mut self, partitions: &[Partition]) -> Result<(), BrokerError> {
        self.perform(Op::Release, |twin, state| {
            let is_void = |partition: &&Partition| twin.slot(**partition).is_some_and(|slot| twin.void.contains(&slot));
            let (void, partitions): (Vec<Partition>, Vec<Partition>) = partitions.iter().partition(is_void);
            if partitions.is_empty() && !void.is_empty() {
                return Ok(());
            }
            let slots = twin.held(state, Op::Release, &partitions)?;
            twin.answered = true;
            twin.run = None;
            twin.fetching.retain(|slot, _| !slots.contains(slot));
            twin.commit_stored_of(state, &slots);
            state.let_go(twin.id, &slots);
            Ok(())
        })
    }

    fn pause(&mut self, paused: bool) -> Result<(), BrokerError> {
        self.perform(Op::Pause, |twin, _| {
            twin.paused = paused;
            Ok(())
        })
    }

    fn rewind(&mut self, positions: &[(Partition, i64)]) -> Result<(), BrokerError> {
        self.perform(Op::Rewind, |twin, state| {
            twin.run = None;
            for (partition, offset) in positions {
                let slot = twin.slot(*partition).filter(|slot| twin.fetching.contains_key(slot));
                let Some(slot) = slot else {
                    let doing = format!("rewinding partition {} to {offset}", partition.number);
                    state.violation(format!("{doing}: it is not fetched"));
                    return Err(failure(Fault::Fatal, doing, "it is not assigned to this client"));
                };
                twin.fetching.insert(slot, Some(*offset));
                twin.stuck
                    .retain(|stuck, until| *stuck != slot || *until != Until::Rewound);
                state.note(|state| format!("{} is rewound to {offset}", state.name_of(slot)));
            }
            Ok(())
        })
    }

    fn committed(&mut self, partitions: &[Partition]) -> Result<Vec<Option<i64>>, BrokerError> {
        let marks = self.marks(partitions)?;
        Ok(marks.into_iter().map(|mark| Some(mark?.next)).collect())
    }

    fn notes(&mut self, partitions: &[Partition]) -> Result<Vec<Option<String>>, BrokerError> {
        let marks = self.marks(partitions)?;
        let note = |mark: Option<Mark>| mark.map(|mark| mark.note.to_string()).filter(|note| !note.is_empty());
        Ok(marks.into_iter().map(note).collect())
    }

    fn annotate(&mut self, partition: Partition, note: String) {
        if let Some(slot) = self.slot(partition) {
            self.notes.insert(slot, note.into());
        }
    }

    fn renew_consumer(&mut self) -> Result<Vec<Partition>, BrokerError> {
        self.perform(Op::Rejoin, |twin, state| {
            let held = std::mem::take(&mut state.connection_mut(twin.id).held);
            state.leave(twin.id);
            let connection = state.connection_mut(twin.id);
            connection.membership = Membership::Sound;
            connection.stored.clear();
            twin.fetching.clear();
            twin.void.extend(&held);
            twin.stuck.retain(|_, until| *until == Until::Never);
            (twin.answered, twin.paused, twin.is_lost, twin.run) = (true, false, false, None);
            Ok(twin.partitions(&held))
        })
    }

    fn reach(&mut self, partition: Partition) -> Option<Reach> {
        let state = lock(&self.shared);
        let slot = self.slot(partition)?;
        let fetched = self.fetching.get(&slot).copied().flatten()?;
        let log = state.log(slot);
        // A client fetches over what no reader sees.
        let is_at_end = log.read(fetched, Isolation::ReadCommitted).next().is_none();
        let end = if is_at_end { fetched } else { log.last_stable() };
        (!state.is_away()).then_some(Reach { fetched, end })
    }

    fn silence(&self) -> Option<Silence> {
        let is_away = lock(&self.shared).is_away();
        is_away.then(|| Silence {
            lasted: Duration::ZERO,
            brokers: "the twin".into(),
        })
    }

    fn ends(&mut self) -> Vec<(Partition, i64)> {
        let state = lock(&self.shared);
        let end = |slot: &Slot| (self.partition(*slot), state.log(*slot).last_stable());
        self.fetching.keys().map(end).collect()
    }

    fn topic(&self, partition: Partition) -> &str {
        let name = self.settings.inputs.get(usize::from(partition.topic));
        name.map_or("unknown topic", String::as_str)
    }

    fn partitions_of_inputs(&self) -> i32 {
        let state = lock(&self.shared);
        let counts = self.inputs.iter().map(|topic| state.topics[*topic].logs.len() as i32);
        counts.sum()
    }

    fn partitions_of(&self, to: Destination) -> i32 {
        self.outputs[to as usize].1
    }

    fn send(&mut self, output: &Output<'_>, ticket: Ticket, row: u32) -> Result<(), SendError> {
        let shared = std::sync::Arc::clone(&self.shared);
        let mishap = lock(&shared).enter(self.id, Op::Send);
        let mishap = mishap.map_err(SendError::Failed)?;
        if let Some(Mishap::Fails(fault)) = mishap {
            let mut state = lock(&shared);
            self.suffer(&mut state, Op::Send, fault);
            return Err(SendError::Failed(planned(self.id, Op::Send, fault)));
        }
        if mishap == Some(Mishap::Full) || self.outbox.in_flight() >= self.settings.queue_records {
            return Err(SendError::Full);
        }
        let record = owned(output);
        let (bytes, limit) = (bytes_of(&record), self.settings.max_message_bytes);
        if bytes > limit {
            let detail = format!("the output takes {bytes} bytes; the client takes at most {limit}");
            return Err(SendError::TooLarge { detail });
        }
        let mut state = lock(&shared);
        let taken = self.take(&mut state, output, record, (ticket, row));
        drop(state);
        taken.map_err(SendError::Failed)
    }

    fn serve(&mut self, timeout: Duration) {
        let served = self.perform(Op::Serve, |twin, state| {
            if !twin.serve_once(state) && !timeout.is_zero() {
                state.pass(timeout);
                twin.serve_once(state);
            }
            Ok(())
        });
        // A dead connection serves nothing; the next call that can fail says so.
        drop(served);
    }

    fn outstanding(&self, ticket: Ticket) -> usize {
        self.outbox.outstanding(ticket)
    }

    fn in_flight(&self) -> usize {
        self.outbox.in_flight()
    }

    fn undelivered(&mut self, into: &mut Vec<Undelivered>) {
        self.outbox.take_undelivered(into);
    }

    fn begin(&mut self) -> Result<(), BrokerError> {
        self.perform(Op::Begin, |twin, state| {
            twin.in_phase(state, Phase::Ready, "beginning a transaction")?;
            twin.transactional(state, "beginning a transaction")?;
            twin.outbox.phase = Phase::Open;
            Ok(())
        })
    }

    fn send_offsets(&mut self, offsets: &[(Partition, i64)]) -> Result<(), BrokerError> {
        self.perform(Op::SendOffsets, |twin, state| {
            let doing = "adding offsets to the transaction";
            twin.in_phase(state, Phase::Open, doing)?;
            let producer = twin.transactional(state, doing)?;
            let slots = twin.offsets(state, offsets);
            let generation = state.generation_of(twin.id);
            if twin.settings.fresh_membership || twin.generation.is_none() {
                twin.generation = generation;
            }
            if let Err(refused) = state.admits(twin.id, twin.generation, doing) {
                twin.outbox.phase = Phase::MustAbort;
                return Err(refused);
            }
            let group = state.connection(twin.id).group;
            let added = state.add_offsets(&producer, group, &slots);
            added.map_err(|_| twin.fenced(doing))
        })
    }

    fn commit(&mut self) -> Result<(), BrokerError> {
        self.perform(Op::Commit, |twin, state| {
            if twin.outbox.phase == Phase::Unanswered {
                twin.outbox.phase = Phase::Ready;
                return Ok(());
            }
            let doing = "committing the transaction";
            twin.in_phase(state, Phase::Open, doing)?;
            if twin.outbox.in_flight() > 0 {
                state.violation(format!("{} commits with outputs in flight", twin.id));
                let doing = format!("{} {doing}", twin.id);
                return Err(failure(Fault::Fatal, doing, "the queue must be drained before"));
            }
            twin.end_transaction(state, true)
        })
    }

    fn abort(&mut self) -> Result<(), BrokerError> {
        self.perform(Op::Abort, |twin, state| {
            twin.outbox.purge();
            match twin.outbox.phase {
                Phase::Ready => Ok(()),
                Phase::Open | Phase::MustAbort => twin.end_transaction(state, false),
                _ => twin.in_phase(state, Phase::Open, "aborting the transaction"),
            }
        })
    }

    fn renew_producer(&mut self) -> Result<(), BrokerError> {
        self.perform(Op::Renew, |twin, state| {
            let producer = twin.outbox.producer.take().map(|producer| Producer {
                epoch: state.init_producer(&producer.id),
                ..producer
            });
            twin.outbox = Outbox::new(producer);
            Ok(())
        })
    }

    fn store_offsets(&mut self, offsets: &[(Partition, i64)], wait: bool) -> Result<(), BrokerError> {
        self.perform(Op::Store, |twin, state| {
            let slots = twin.offsets(state, offsets);
            let interval = state.settings.auto_commit_interval;
            let due = state.now() + interval;
            let connection = state.connection_mut(twin.id);
            let held = slots.into_iter().filter(|(slot, _)| connection.held.contains(slot));
            let held: BTreeMap<Slot, Mark> = held.collect();
            connection.stored.extend(held.clone());
            connection.auto_commit_at.get_or_insert(due);
            if wait { state.commit_of(twin.id, &held) } else { Ok(()) }
        })
    }

    fn discard(&mut self) -> Result<(), BrokerError> {
        self.perform(Op::Discard, |twin, state| {
            // What is on its way may arrive all the same.
            let arriving = state.rng.usize(0..=twin.outbox.queued());
            twin.outbox.transmit(state, twin.id, arriving);
            twin.outbox.purge();
            Ok(())
        })
    }

    fn close(&mut self) -> Result<(), BrokerError> {
        self.perform(Op::Close, |twin, state| {
            let held = state.connection(twin.id).held.clone();
            twin.commit_stored_of(state, &held);
            twin.fetching.clear();
            state.leave(twin.id);
            state.connection_mut(twin.id).life = Life::Closed;
            Ok(())
        })
    }
}

impl Twin {
    /// Says what the group said.
    fn announce(&self, state: &mut State, notice: Notice) -> Polled {
        let id = self.id;
        match notice {
            Notice::Given(slots) => {
                state.note(|state| format!("{id} polls: given {}", state.names_of(&slots)));
                Polled::Assigned(self.partitions(&slots))
            }
            Notice::Taken { slots, lost } => {
                let how = if lost { "lost" } else { "asked for" };
                state.note(|state| format!("{id} polls: {how} {}", state.names_of(&slots)));
                Polled::Revoked {
                    partitions: self.partitions(&slots),
                    lost,
                }
            }
        }
    }

    /// What is committed for each partition, once no open transaction may change it.
    fn marks(&mut self, partitions: &[Partition]) -> Result<Vec<Option<Mark>>, BrokerError> {
        self.perform(Op::Committed, |twin, state| {
            let slots: Vec<Slot> = partitions
                .iter()
                .filter_map(|partition| twin.slot(*partition))
                .collect();
            let group = state.connection(twin.id).group;
            if slots.iter().any(|slot| state.is_unstable(group, *slot)) {
                state.pass(state.settings.request_timeout);
            }
            if let Some(slot) = slots.iter().find(|slot| state.is_unstable(group, **slot)) {
                let doing = format!("reading the committed offset of {}", state.name_of(*slot));
                let message = "a transaction with an offset of this partition is open (UNSTABLE_OFFSET_COMMIT)";
                return Err(failure(Fault::Retriable, doing, message));
            }
            let committed = &state.groups[group].committed;
            Ok(slots.iter().map(|slot| committed.get(slot).cloned()).collect())
        })
    }

    /// At least once: the client commits what was stored of partitions before it lets them go.
    fn commit_stored_of(&self, state: &mut State, slots: &BTreeSet<Slot>) {
        let connection = state.connection_mut(self.id);
        let (leaving, staying): (BTreeMap<Slot, Mark>, BTreeMap<Slot, Mark>) = std::mem::take(&mut connection.stored)
            .into_iter()
            .partition(|(slot, _)| slots.contains(slot));
        connection.stored = staying;
        if state.is_away() {
            return;
        }
        if let Err(error) = state.commit_offsets(self.id, &leaving) {
            let id = self.id;
            state.note(|_| format!("{id} loses stored offsets: {error}"));
        }
    }

    /// Offsets by slot. Those of partitions that are not fetched, or beyond what was read, show a client at fault.
    fn offsets(&self, state: &mut State, offsets: &[(Partition, i64)]) -> Vec<(Slot, Mark)> {
        let mut slots = Vec::with_capacity(offsets.len());
        for (partition, offset) in offsets {
            let Some(slot) = self.slot(*partition) else { continue };
            let read = self.fetching.get(&slot).copied().flatten();
            if self.outbox.producer.is_some() && read.is_none_or(|position| position < *offset) {
                let name = state.name_of(slot);
                state.violation(format!(
                    "{} commits {name} up to {offset}, having read up to {read:?}",
                    self.id
                ));
            }
            let note = self.notes.get(&slot).cloned().unwrap_or_default();
            slots.push((slot, Mark { next: *offset, note }));
        }
        slots
    }

    fn transactional(&self, state: &mut State, doing: &str) -> Result<Producer, BrokerError> {
        self.outbox.producer.clone().ok_or_else(|| {
            state.violation(format!("{} {doing} without a transactional id", self.id));
            failure(Fault::Fatal, doing, "the producer has no transactional id")
        })
    }

    fn take(
        &mut self,
        state: &mut State,
        output: &Output<'_>,
        record: TwinRecord,
        place: (Ticket, u32),
    ) -> Result<(), BrokerError> {
        let doing = format!("sending to {}", output.to);
        if self.outbox.producer.is_some() {
            self.in_phase(state, Phase::Open, &doing)?;
        }
        let Some(slot) = self.output_slot(output.to, output.partition) else {
            let message = format!("the topic has no partition {}", output.partition);
            return Err(failure(Fault::Refused, doing, message));
        };
        self.outbox.push(place, (output.to, slot), record);
        Ok(())
    }

    /// Sends some of what is queued and reports some of what was sent. Returns whether there was anything.
    fn serve_once(&mut self, state: &mut State) -> bool {
        if state.connection(self.id).stalled > 0 {
            state.connection_mut(self.id).stalled -= 1;
            return false;
        }
        let queued = state.rng.usize(0..=self.outbox.queued());
        let sent = self.outbox.transmit(state, self.id, queued);
        let unreported = state.rng.usize(0..=self.outbox.unreported());
        sent + self.outbox.report(unreported) > 0
    }
}

fn owned(output: &Output<'_>) -> TwinRecord {
    TwinRecord {
        key: output.key.map(<[u8]>::to_vec),
        value: output.value.map(<[u8]>::to_vec),
        headers: output
            .headers
            .iter()
            .map(|header| (header.name.to_owned(), header.value.map(<[u8]>::to_vec)))
            .collect(),
        timestamp_ms: None,
    }
}
