//! Reading a topic back: a stretch of each partition, once, from outside of any group.
//!
//! Owns: where a stretch begins and ends, and noticing that an end was passed. Never does: join a group, commit, or wait for
//! records that are yet to come.
//!
//! Invariant: only committed records are handed over, those of a partition in their order, none beyond the ends as they were
//! when they were asked for.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eddy_pipeline::event::{Partition, Record, Source};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};

use super::access::Access;
use super::events::ConsumerEvents;
use super::group::Committed;
use super::lists::check_each;
use super::metadata::{self, Ear};
use super::{fault, group, native};
use crate::settings::Settings;
use crate::{BrokerError, Fault, Inputs};

/// How long the ends of a partition or its offsets at a time may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// How long one poll waits; what else is looked at meanwhile is looked at this often.
const LOOK: Duration = Duration::from_millis(200);
/// How long no broker may answer.
const SILENCE: Duration = Duration::from_secs(45);
/// How long brokers may answer and give nothing: skipping aborted records takes less.
const STANDSTILL: Duration = Duration::from_secs(300);

/// A part of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// The partition's number.
    pub partition: i32,
    /// Its offsets: the first that is read, and the one behind the last.
    pub offsets: Range<i64>,
}

/// A reader of one topic.
pub struct TopicReader {
    pub(super) consumer: BaseConsumer<ConsumerEvents>,
    topic: String,
    partitions: i32,
    group: String,
}

impl std::fmt::Debug for TopicReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TopicReader")
            .field("topic", &self.topic)
            .field("partitions", &self.partitions)
            .finish_non_exhaustive()
    }
}

impl TopicReader {
    /// Reaches the brokers as a pipeline with these settings does, and finds a topic, which need not be one of theirs.
    ///
    /// # Errors
    /// [`Fault::Retriable`] when no broker answers in time, [`Fault::Refused`] when the topic is missing, a permission is
    /// lacking or a setting is wrong; the message says which.
    pub fn open(settings: &Settings, topic: &str) -> Result<Self, BrokerError> {
        let doing = "making a reader";
        // So that a refusal names the permission to read this topic.
        let mut settings = settings.clone();
        settings.topics.events = topic.into();
        let access = Access::of(&settings);
        access.prepared(doing)?;
        let events = ConsumerEvents::new(
            format!("reader of `{topic}`"),
            Inputs::of(&settings.topics),
            Arc::clone(&access),
        );
        let config = settings
            .reader_config()
            .map_err(|message| super::refused(doing, message))?;
        let consumer: BaseConsumer<ConsumerEvents> = super::create(&config, events, doing)?;
        // Serves the first token refresh, without which no connection is made.
        group::serve(&consumer);
        let ear = Ear {
            words: &consumer.context().words,
            listen: &|| group::serve(&consumer),
        };
        let partitions = metadata::partitions(consumer.client(), topic, &ear)?;
        Ok(Self {
            partitions,
            topic: topic.to_owned(),
            group: settings.group(),
            consumer,
        })
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// What is there now, of each partition: up to its end, or to the first record of a transaction that is still open.
    ///
    /// # Errors
    /// When a partition cannot be asked; names it.
    pub fn all(&self) -> Result<Vec<Stretch>, BrokerError> {
        (0..self.partitions).map(|partition| self.whole(partition)).collect()
    }

    fn whole(&self, partition: i32) -> Result<Stretch, BrokerError> {
        let (low, end) = self
            .consumer
            .fetch_watermarks(&self.topic, partition, ANSWER_WITHIN)
            .map_err(|error| self.failed(format!("asking for the ends of {}", self.name(partition)), &error))?;
        Ok(Stretch {
            partition,
            offsets: low..end,
        })
    }

    /// What is there now, of each partition, from the first record at or after `since` to before the first one at or after
    /// `until`, both in milliseconds since the Unix epoch, by the timestamps of the records. Where these are not in order, a
    /// stretch holds records from outside of the times.
    ///
    /// # Errors
    /// When a partition cannot be asked; names it.
    pub fn between(&self, since: Option<i64>, until: Option<i64>) -> Result<Vec<Stretch>, BrokerError> {
        let mut stretches = self.all()?;
        if let Some(since) = since {
            for (stretch, offset) in stretches.iter_mut().zip(self.offsets_at(since)?) {
                let Range { start, end } = stretch.offsets;
                stretch.offsets.start = within(offset, start, end);
            }
        }
        if let Some(until) = until {
            for (stretch, offset) in stretches.iter_mut().zip(self.offsets_at(until)?) {
                let Range { start, end } = stretch.offsets;
                stretch.offsets.end = within(offset, start, end);
            }
        }
        Ok(stretches)
    }

    /// Of each partition the offset of the first record at or after a time; `None` where there is none.
    fn offsets_at(&self, time_ms: i64) -> Result<Vec<Option<i64>>, BrokerError> {
        let doing = || format!("asking for the offsets of `{}` at a time", self.topic);
        let mut wanted = TopicPartitionList::with_capacity(self.partitions as usize);
        for partition in 0..self.partitions {
            wanted
                .add_partition_offset(&self.topic, partition, Offset::Offset(time_ms.max(0)))
                .map_err(|error| self.failed(doing(), &error))?;
        }
        let found = self
            .consumer
            .offsets_for_times(wanted, ANSWER_WITHIN)
            .map_err(|error| self.failed(doing(), &error))?;
        check_each(&found, "asking for the offset at a time of")?;
        let of = |partition| match found.find_partition(&self.topic, partition)?.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        };
        Ok((0..self.partitions).map(of).collect())
    }

    /// What the group of the settings has committed of each partition; `None` where it has nothing.
    ///
    /// # Errors
    /// When the group cannot be asked, or may not be seen.
    pub fn committed(&self) -> Result<Vec<Option<Committed>>, BrokerError> {
        let topics = [(self.topic.clone(), self.partitions)];
        let committed = group::committed(&self.consumer, &self.group, &topics)?;
        Ok(committed.concat())
    }

    /// Hands over every committed record of these stretches, those of a partition in their order. Returns how many there
    /// were. May be called again. Memory is bounded by the client's queue (`queued.max.messages.kbytes`).
    ///
    /// # Errors
    /// The callback's own, at once; or that Kafka gives no more: an outage of less than a minute is waited out.
    pub fn read<E: From<BrokerError>>(
        &self,
        stretches: &[Stretch],
        on_record: &mut dyn FnMut(&Record<'_>) -> Result<(), E>,
    ) -> Result<u64, E> {
        let mut left = Vec::new();
        let read = self.read_on(stretches, &mut left, on_record);
        let stopped = self.stop(&left);
        let records = read?;
        stopped?;
        Ok(records)
    }

    /// Reads to the ends; partitions whose end was passed are in `left`.
    fn read_on<E: From<BrokerError>>(
        &self,
        stretches: &[Stretch],
        left: &mut Vec<i32>,
        on_record: &mut dyn FnMut(&Record<'_>) -> Result<(), E>,
    ) -> Result<u64, E> {
        let mut ends: BTreeMap<i32, i64> = self.start(stretches)?;
        let mut records = 0;
        let mut moved = Instant::now();
        while !ends.is_empty() {
            match self.consumer.poll(LOOK) {
                Some(Ok(message)) => {
                    let Some(end) = ends.get(&message.partition()).copied() else {
                        continue;
                    };
                    if message.offset() < end {
                        records += 1;
                        self.hand_over(&message, on_record)?;
                    }
                    if message.offset() + 1 >= end {
                        ends.remove(&message.partition());
                        self.leave(message.partition())?;
                        left.push(message.partition());
                    }
                    moved = Instant::now();
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    moved = Instant::now();
                    ends.remove(&partition);
                }
                Some(Err(error)) => self.judge(&error)?,
                None => {}
            }
            self.check_moving(moved)?;
        }
        Ok(records)
    }

    /// Begins to read; returns the ends of what is not empty.
    fn start(&self, stretches: &[Stretch]) -> Result<BTreeMap<i32, i64>, BrokerError> {
        let doing = || format!("beginning to read `{}`", self.topic);
        let filled = || stretches.iter().filter(|stretch| !stretch.offsets.is_empty());
        let mut list = TopicPartitionList::new();
        for Stretch { partition, offsets } in filled() {
            list.add_partition_offset(&self.topic, *partition, Offset::Offset(offsets.start))
                .map_err(|error| self.failed(doing(), &error))?;
        }
        let ends: BTreeMap<i32, i64> = filled()
            .map(|stretch| (stretch.partition, stretch.offsets.end))
            .collect();
        if !ends.is_empty() {
            let assigned = self.consumer.assign(&list);
            assigned.map_err(|error| self.failed(doing(), &error))?;
        }
        Ok(ends)
    }

    /// Stops fetching a partition whose end was passed, while others are still read.
    fn leave(&self, partition: i32) -> Result<(), BrokerError> {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(&self.topic, partition);
        let paused = self.consumer.pause(&list);
        paused.map_err(|error| self.failed(format!("leaving {}", self.name(partition)), &error))?;
        check_each(&list, "leaving")
    }

    /// Ends a reading. The client would remember the pause of a partition and fetch nothing of it the next time; and
    /// resuming what was not paused has handed records over twice.
    fn stop(&self, left: &[i32]) -> Result<(), BrokerError> {
        let doing = || format!("leaving `{}`", self.topic);
        let mut list = TopicPartitionList::new();
        for partition in left {
            list.add_partition(&self.topic, *partition);
        }
        if !left.is_empty() {
            let resumed = self.consumer.resume(&list);
            resumed.map_err(|error| self.failed(doing(), &error))?;
        }
        let unassigned = self.consumer.unassign();
        unassigned.map_err(|error| self.failed(doing(), &error))
    }

    fn hand_over<E>(
        &self,
        message: &BorrowedMessage<'_>,
        on_record: &mut dyn FnMut(&Record<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        native::with_headers(message, |headers| {
            on_record(&Record {
                source: Source {
                    partition: Partition {
                        topic: 0,
                        number: message.partition(),
                    },
                    offset: message.offset(),
                },
                topic: &self.topic,
                timestamp_ms: message.timestamp().to_millis(),
                key: message.key(),
                value: message.payload(),
                headers,
            })
        })
    }

    /// Lets pass what may heal, and what concerns the group, of which this is no member.
    fn judge(&self, error: &KafkaError) -> Result<(), BrokerError> {
        let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
        if code == Code::GroupAuthorizationFailed {
            return Ok(());
        }
        match fault::of_code(code) {
            Fault::Refused | Fault::Fatal => Err(self.failed(format!("reading `{}`", self.topic), error)),
            _ => Ok(()),
        }
    }

    fn check_moving(&self, moved: Instant) -> Result<(), BrokerError> {
        let silent = self.consumer.context().silent_for().unwrap_or_default();
        let still = moved.elapsed();
        let message = if silent >= SILENCE && still >= SILENCE {
            format!(
                "no broker has answered for {} s; try again when they do",
                silent.as_secs()
            )
        } else if still >= STANDSTILL {
            format!(
                "brokers answer and have given nothing for {} s; see that each partition has a leader, and try again",
                still.as_secs()
            )
        } else {
            return Ok(());
        };
        Err(self.consumer.context().words.explain(BrokerError {
            fault: Fault::Retriable,
            doing: format!("reading `{}`", self.topic),
            message,
        }))
    }

    fn failed(&self, doing: String, error: &KafkaError) -> BrokerError {
        let mut failed = fault::failed(doing, error);
        let words = &self.consumer.context().words;
        let step = error
            .rdkafka_error_code()
            .and_then(|code| words.access().next_step(code, Some(&self.topic)));
        match step {
            Some(step) => failed.message = format!("{}; {step}", failed.message),
            None => failed = words.explain(failed),
        }
        failed
    }

    fn name(&self, partition: i32) -> String {
        format!("`{}` [{partition}]", self.topic)
    }
}

/// An offset between two others; the second where there is none.
fn within(offset: Option<i64>, start: i64, end: i64) -> i64 {
    offset.map_or(end, |offset| offset.clamp(start, end.max(start)))
}
