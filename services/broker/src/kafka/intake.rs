//! The consumer of a lane.
//!
//! Owns: the assignment as the lane sees it, positions, what an error of the consumer means.
//! Never does: take or give up partitions by itself, except while closing.
//!
//! Invariants: a record of a partition that the lane does not hold is never handed over; every offset given to the
//! client goes through a fresh list that carries it as it is (other calls of the client add one).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use eddy_pipeline::event::{Partition, Record, Source};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};

use super::access::Access;
use super::begin::Beginnings;
use super::events::{ConsumerEvents, ConsumerStatistics};
use super::lists::check_each;
use super::{fault, group, native};
use crate::settings::Settings;
use crate::{BrokerError, Fault, Inputs, Polled, Reach};

/// How long a position or a committed offset may take.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long a look at the end of a partition may take: nothing depends on it.
const LOOK_WITHIN: Duration = Duration::from_secs(1);

pub(super) struct Intake {
    pub(super) consumer: Arc<BaseConsumer<ConsumerEvents>>,
    /// Their names by their numbers, as far as this lane has heard of them.
    pub(super) inputs: Vec<Arc<str>>,
    /// The same the other way round.
    numbers: HashMap<Arc<str>, u16>,
    /// The number of the record before, which the next one nearly always has too.
    last: u16,
    pub(super) names: Inputs,
    /// What is subscribed to, where it is no list of names.
    pub(super) pattern: Option<String>,
    pub(super) group: String,
    /// Sorted.
    pub(super) assigned: Vec<Partition>,
    is_paused: bool,
    /// The rebalance that the lane was told of and has not answered yet.
    unanswered: Option<Polled>,
    /// What is put beside the offsets of partitions.
    notes: BTreeMap<Partition, String>,
    pub(super) beginnings: Beginnings,
    is_closed: bool,
}

impl Intake {
    /// Makes the consumer, looks for its topics and joins the group.
    pub(super) fn open(settings: &Settings, lane: u16, inputs: &Inputs) -> Result<Self, BrokerError> {
        let mut intake = Self::outside(settings, lane, inputs)?;
        intake.find_inputs(settings)?;
        group::may_be_read(&intake.consumer, settings.a_topic(), &intake.group)?;
        intake.look_for_beginnings(settings)?;
        intake.join()?;
        Ok(intake)
    }

    /// A new consumer in the place of this one, which leaves the group first. Asks no broker, so that an outage does not
    /// matter. Returns the partitions that the old one held.
    pub(super) fn renew(&mut self, settings: &Settings, lane: u16) -> Result<Vec<Partition>, BrokerError> {
        let mut successor = Self::outside(settings, lane, &self.names)?;
        successor.beginnings.clone_from(&self.beginnings);
        for topic in 0..self.inputs.len() {
            let count = self.consumer.context().partitions_of(topic as u16);
            successor.consumer.context().set_partitions_of(topic, count);
        }
        if let Err(error) = self.close() {
            tracing::warn!(%error, "the old consumer is left behind");
        }
        successor.join()?;
        let old = std::mem::replace(self, successor);
        Ok(old.assigned.clone())
    }

    /// A consumer that has not joined its group.
    fn outside(settings: &Settings, lane: u16, inputs: &Inputs) -> Result<Self, BrokerError> {
        let events = ConsumerEvents::new(format!("consumer of lane {lane}"), inputs.clone(), Access::of(settings));
        let config = settings
            .consumer_config(lane)
            .map_err(|message| super::refused("making a consumer", message))?;
        let consumer: BaseConsumer<ConsumerEvents> = super::create(&config, events, "making a consumer")?;
        let consumer = Arc::new(consumer);
        let group = settings.group();
        let mut intake = Self {
            consumer,
            inputs: Vec::new(),
            numbers: HashMap::new(),
            last: 0,
            names: inputs.clone(),
            pattern: settings
                .topics
                .events
                .matching()
                .map(|matching| matching.pattern.clone()),
            group,
            assigned: vec![],
            is_paused: false,
            unanswered: None,
            notes: BTreeMap::new(),
            beginnings: Beginnings::none(settings.kafka.start),
            is_closed: false,
        };
        intake.learn();
        // Serves the first token refresh, without which no connection is made.
        intake.poll_events_only();
        Ok(intake)
    }

    fn join(&self) -> Result<(), BrokerError> {
        let topics: Vec<&str> = match &self.pattern {
            Some(pattern) => vec![pattern],
            None => self.inputs.iter().map(|name| &**name).collect(),
        };
        let subscribed = self.consumer.subscribe(&topics);
        subscribed.map_err(|error| fault::failed(format!("joining group `{}`", self.group), &error))
    }

    pub(super) fn poll(
        &mut self,
        timeout: Duration,
        on_record: &mut dyn FnMut(&Record<'_>),
    ) -> Result<Polled, BrokerError> {
        if let Some(rebalance) = self.next_rebalance()? {
            return Ok(rebalance);
        }
        let consumer = Arc::clone(&self.consumer);
        match consumer.poll(whole_milliseconds(timeout)) {
            Some(Ok(message)) => Ok(self.hand_over(&message, on_record)),
            Some(Err(error)) => self.interpret(&error),
            None => match self.next_rebalance()? {
                Some(rebalance) => Ok(rebalance),
                // The client says it once, and is merely idle from then on.
                None => self.fatal().map_or(Ok(Polled::Idle), Err),
            },
        }
    }

    fn hand_over(&mut self, message: &BorrowedMessage<'_>, on_record: &mut dyn FnMut(&Record<'_>)) -> Polled {
        let partition = self.number_of(message).map(|topic| Partition {
            topic,
            number: message.partition(),
        });
        let ours = partition.filter(|partition| self.assigned.binary_search(partition).is_ok());
        let Some(partition) = ours else { return Polled::Idle };
        native::with_headers(message, |headers| {
            on_record(&Record {
                source: Source {
                    partition,
                    offset: message.offset(),
                },
                topic: self.topic(partition),
                timestamp_ms: message.timestamp().to_millis(),
                key: message.key(),
                value: message.payload(),
                headers,
            });
        });
        Polled::Record
    }

    /// The number of a record's topic.
    fn number_of(&mut self, message: &BorrowedMessage<'_>) -> Option<u16> {
        if self.inputs.len() == 1 {
            return Some(0);
        }
        let name = message.topic();
        if self
            .inputs
            .get(usize::from(self.last))
            .is_none_or(|last| **last != *name)
        {
            self.last = *self.numbers.get(name)?;
        }
        Some(self.last)
    }

    /// Takes up the names of topics that have come to be known.
    pub(super) fn learn(&mut self) {
        self.inputs = self.names.names();
        self.numbers = (0..)
            .zip(&self.inputs)
            .map(|(number, name)| (Arc::clone(name), number))
            .collect();
    }

    /// The next rebalance for the lane. Cooperative ones may be empty: those are answered here.
    pub(super) fn next_rebalance(&mut self) -> Result<Option<Polled>, BrokerError> {
        while let Some(rebalance) = self.taken_rebalance()? {
            self.learn();
            match &rebalance {
                Polled::Assigned(partitions) if partitions.is_empty() => self.accept(&[])?,
                Polled::Revoked { partitions, .. } if partitions.is_empty() => self.release(&[])?,
                _ => {
                    self.unanswered = Some(rebalance.clone());
                    return Ok(Some(rebalance));
                }
            }
        }
        Ok(None)
    }

    fn taken_rebalance(&self) -> Result<Option<Polled>, BrokerError> {
        let taken = self.consumer.context().take_rebalance();
        taken.map_err(|why| super::refused(&self.reading(), why))
    }

    pub(super) fn accept(&mut self, partitions: &[Partition]) -> Result<(), BrokerError> {
        let fresh = self.fresh(partitions)?;
        if let Err(error) = self.settle_beginnings(&fresh) {
            // Until it is answered the client hears nothing of the group: not that it has gone on, nor that this is no member.
            if matches!(self.unanswered, Some(Polled::Assigned(_))) {
                self.take(&[], &[])?;
                self.unanswered = None;
            }
            return Err(error);
        }
        self.take(partitions, &fresh)?;
        self.unanswered
            .take_if(|rebalance| matches!(rebalance, Polled::Assigned(_)));
        self.assigned.extend_from_slice(partitions);
        self.assigned.sort_unstable();
        self.assigned.dedup();
        if self.is_paused && !partitions.is_empty() {
            self.pause_these(&self.list(partitions))?;
        }
        Ok(())
    }

    /// Those of these partitions that the client does not hold yet.
    fn fresh(&self, partitions: &[Partition]) -> Result<Vec<Partition>, BrokerError> {
        let held = self.held(|| format!("taking {}", self.names(partitions)))?;
        Ok(partitions.iter().filter(|one| !held.contains(one)).copied().collect())
    }

    /// Answers an assignment of `partitions`, of which the client does not hold the `fresh` ones yet.
    fn take(&self, partitions: &[Partition], fresh: &[Partition]) -> Result<(), BrokerError> {
        // With nothing new and something named, it is a second try of a call that was answered.
        if fresh.is_empty() && !partitions.is_empty() {
            return Ok(());
        }
        let assigned = self.consumer.incremental_assign(&self.list(fresh));
        assigned.map_err(|error| self.failed(format!("taking {}", self.names(partitions)), &error))
    }

    pub(super) fn release(&mut self, partitions: &[Partition]) -> Result<(), BrokerError> {
        // Whatever fails below: nothing of them is handed over any more.
        self.assigned.retain(|partition| !partitions.contains(partition));
        self.notes.retain(|partition, _| !partitions.contains(partition));
        let doing = || format!("letting go of {}", self.names(partitions));
        let held = self.held(doing)?;
        let leaving: Vec<Partition> = partitions.iter().filter(|one| held.contains(one)).copied().collect();
        let is_asked = matches!(self.unanswered, Some(Polled::Revoked { .. }));
        if leaving.is_empty() && !partitions.is_empty() && !is_asked {
            // A consumer before this one held them.
            return Ok(());
        }
        let list = self.list(&leaving);
        if self.is_paused && !leaving.is_empty() {
            // The client would remember the pause and fetch nothing when the partition comes back.
            let resumed = self.consumer.resume(&list);
            resumed.map_err(|error| self.failed(doing(), &error))?;
        }
        let released = self.consumer.incremental_unassign(&self.list(&leaving));
        released.map_err(|error| self.failed(doing(), &error))?;
        self.unanswered = None;
        Ok(())
    }

    /// What the client holds, which is not what the lane holds after a call that failed half-way.
    fn held(&self, doing: impl Fn() -> String) -> Result<Vec<Partition>, BrokerError> {
        let list = self.consumer.assignment();
        let list = list.map_err(|error| self.failed(doing(), &error))?;
        let elements = list.elements();
        let partition = |topic: &str, number| self.consumer.context().partition(topic, number);
        let held = elements
            .iter()
            .filter_map(|one| partition(one.topic(), one.partition()));
        Ok(held.collect())
    }

    pub(super) fn pause(&mut self, paused: bool) -> Result<(), BrokerError> {
        // Resuming what was not paused has handed records over twice.
        if paused == self.is_paused {
            return Ok(());
        }
        let list = self.list(&self.assigned);
        if paused {
            self.pause_these(&list)?;
        } else {
            self.consumer
                .resume(&list)
                .map_err(|error| self.failed("resuming the partitions", &error))?;
            check_each(&list, "resuming")?;
        }
        self.is_paused = paused;
        Ok(())
    }

    fn pause_these(&self, list: &TopicPartitionList) -> Result<(), BrokerError> {
        self.consumer
            .pause(list)
            .map_err(|error| self.failed("pausing the partitions", &error))?;
        check_each(list, "pausing")
    }

    pub(super) fn annotate(&mut self, partition: Partition, note: String) {
        self.notes.insert(partition, note);
    }

    pub(super) fn partitions_of_inputs(&self) -> i32 {
        self.consumer.context().partitions_of_all()
    }

    pub(super) fn ends(&self) -> Vec<(Partition, i64)> {
        let events = self.consumer.context();
        let end = |partition: &Partition| Some((*partition, events.end_of(*partition)?));
        self.assigned.iter().filter_map(end).collect()
    }

    pub(super) fn store_offsets(&self, offsets: &[(Partition, i64)], wait: bool) -> Result<(), BrokerError> {
        let ours = |(partition, _): &&(Partition, i64)| self.assigned.binary_search(partition).is_ok();
        let ours: Vec<(Partition, i64)> = offsets.iter().filter(ours).copied().collect();
        if ours.is_empty() {
            return Ok(());
        }
        let gone = [
            Code::State,
            Code::UnknownPartition,
            Code::AssignmentLost,
            Code::NoOffset,
        ];
        let is_gone = |error: &KafkaError| error.rdkafka_error_code().is_some_and(|code| gone.contains(&code));
        match self.consumer.store_offsets(&self.list_with_offsets(&ours)?) {
            Err(error) if !is_gone(&error) => return Err(self.failed("noting offsets for the group", &error)),
            _ => {}
        }
        if !wait {
            return Ok(());
        }
        match native::commit_within(self.consumer.client(), &self.list_with_offsets(&ours)?, ANSWER_WITHIN) {
            Err(error) if !is_gone(&error) => {
                let mut failed = self.failed(format!("committing offsets to group `{}`", self.group), &error);
                if error.rdkafka_error_code() == Some(Code::IllegalGeneration) {
                    // It met a rebalance. Once the client has heard of the new generation, the same offsets are taken.
                    failed.fault = Fault::Retriable;
                }
                Err(self.explained(failed))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn group_metadata(&self) -> Result<ConsumerGroupMetadata, BrokerError> {
        let metadata = self.consumer.group_metadata();
        // Asked afterwards: a membership that is lost stays lost until the lane has answered the rebalance that follows.
        let is_member = native::is_member(self.consumer.client());
        metadata.filter(|_| is_member).ok_or_else(|| BrokerError {
            fault: Fault::Abortable,
            doing: format!("asking the client for its membership in group `{}`", self.group),
            message:
                "it is not a member at present, so Kafka could not refuse the offsets if the partitions have a new \
                      owner; abort, and poll until it has joined again"
                    .into(),
        })
    }

    pub(super) fn reach(&self, partition: Partition) -> Option<Reach> {
        let fetched = self.consumer.context().fetched(partition)?;
        // With this consumer's isolation, the end is the last stable offset.
        let topic = self.topic(partition);
        let range = self.consumer.fetch_watermarks(topic, partition.number, LOOK_WITHIN);
        let (_, end) = range.ok()?;
        Some(Reach { fetched, end })
    }

    pub(super) fn silent_for(&self) -> Option<Duration> {
        self.consumer.context().silent_for()
    }

    pub(super) fn statistics(&self) -> Option<ConsumerStatistics> {
        self.consumer.context().statistics()
    }

    pub(super) fn topic(&self, partition: Partition) -> &str {
        self.inputs.get(usize::from(partition.topic)).map_or("", |name| &**name)
    }

    pub(super) fn list_with_offsets(&self, offsets: &[(Partition, i64)]) -> Result<TopicPartitionList, BrokerError> {
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (partition, offset) in offsets {
            let mut element = list.add_partition(self.topic(*partition), partition.number);
            element
                .set_offset(Offset::Offset(*offset))
                .map_err(|error| fault::failed(format!("setting {} to {offset}", self.names(&[*partition])), &error))?;
            if let Some(note) = self.notes.get(partition) {
                element.set_metadata(note.as_str());
            }
        }
        Ok(list)
    }

    pub(super) fn list(&self, partitions: &[Partition]) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            list.add_partition(self.topic(*partition), partition.number);
        }
        list
    }

    pub(super) fn names(&self, partitions: &[Partition]) -> String {
        let names: Vec<String> = partitions
            .iter()
            .map(|partition| format!("`{}` [{}]", self.topic(*partition), partition.number))
            .collect();
        names.join(", ")
    }

    /// Serves logs and errors before the group is joined. Afterwards a record could come out, and would be lost.
    pub(super) fn poll_events_only(&self) {
        if self.assigned.is_empty() {
            group::serve(&self.consumer);
        }
    }

    /// Leaves the group. Whatever was not answered is answered, or the client would wait for it for ever.
    pub(super) fn close(&mut self) -> Result<(), BrokerError> {
        if std::mem::replace(&mut self.is_closed, true) {
            return Ok(());
        }
        self.consumer.context().start_closing();
        let mut unanswered = self.unanswered.take();
        while let Some(rebalance) = unanswered {
            let answered = match rebalance {
                // Nothing of it is read, so that it does not matter where it begins, which Kafka would have to be asked.
                Polled::Assigned(partitions) => {
                    self.fresh(&partitions).and_then(|fresh| self.take(&partitions, &fresh))
                }
                Polled::Revoked { partitions, .. } => self.release(&partitions),
                Polled::Record | Polled::Idle => Ok(()),
            };
            if let Err(error) = answered {
                tracing::warn!(%error, "a rebalance was not answered before closing");
            }
            unanswered = self.consumer.context().take_rebalance().unwrap_or_default();
        }
        group::leave(&self.consumer).map_err(|message| {
            std::mem::forget(Arc::clone(&self.consumer));
            BrokerError {
                fault: Fault::TimedOut,
                doing: format!("leaving group `{}`", self.group),
                message: format!("{message}; end the process"),
            }
        })
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(%error, "a consumer was dropped before it was closed");
        }
    }
}

/// The client counts in milliseconds and would spin for the rest.
fn whole_milliseconds(timeout: Duration) -> Duration {
    Duration::from_millis(timeout.as_nanos().div_ceil(1_000_000).min(u128::from(u32::MAX)) as u64)
}
