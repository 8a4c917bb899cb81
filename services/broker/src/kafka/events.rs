//! What the two clients call back: rebalances, deliveries, statistics, tokens.
//!
//! Owns: noting it for the lane. Never does: act on it, with one exception: while closing, a rebalance is answered at
//! once, because nobody will ask for it any more and the client would wait for ever.
//!
//! Invariant: callbacks run on the lane's thread, inside `poll` and `serve`, and never block.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use eddy_pipeline::event::{Destination, Partition};
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Message, TopicPartitionList};

use super::access::Access;
use super::deliveries::{Deliveries, Waybill};
use super::fault;
use super::words::Words;
use crate::{BrokerError, Inputs, Polled, Undelivered};

/// A consumer that reads hears something several times a second, and one that does not hears the answers to its
/// heartbeats. Silence of this length is an outage, even if connections stand.
const SILENT_AFTER: Duration = Duration::from_secs(15);

/// What the client calls the end of a session that it has not heard of for too long.
const SESSION_RAN_OUT: &str = "SESSTMOUT";

/// A snapshot of the consumer's own statistics, a few seconds old at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConsumerStatistics {
    /// Rebalances since the start.
    pub rebalances: u64,
    /// Longest average round trip to a broker, in microseconds.
    pub round_trip_us: u64,
    /// Records that were fetched ahead.
    pub fetched_ahead_records: u64,
    /// Bytes that were fetched ahead.
    pub fetched_ahead_bytes: u64,
}

#[derive(Debug)]
pub(super) struct ConsumerEvents {
    pub(super) words: Words,
    inputs: Inputs,
    closing: AtomicBool,
    /// Whether there is a rebalance to take, or something that cannot be read: looked at with every poll.
    has_news: AtomicBool,
    noted: Mutex<Noted>,
}

#[derive(Debug, Default)]
struct Noted {
    rebalances: VecDeque<Polled>,
    ends: BTreeMap<Partition, i64>,
    /// The offset of the next record that was neither handed over nor is on its way to be.
    fetched: BTreeMap<Partition, i64>,
    /// Partitions of each input topic, assigned or not.
    partitions: Vec<i32>,
    statistics: Option<ConsumerStatistics>,
    heard: Heard,
    /// Whether the group's coordinator was not heard for a whole session, and nothing was assigned since.
    session_ran_out: bool,
    /// Why something that the group gave us cannot be read.
    unreadable: Option<String>,
}

impl Noted {
    /// A client that has not learnt of the topic yet knows of none.
    fn set_partitions_of(&mut self, topic: usize, count: i32) {
        if count > 0 {
            self.partitions.resize(self.partitions.len().max(topic + 1), 0);
            self.partitions[topic] = count;
        }
    }
}

/// Whether brokers answer, as the statistics tell it.
#[derive(Debug)]
struct Heard {
    /// Answers of all brokers so far.
    answers: u64,
    /// When a snapshot had more of them than the one before.
    at: Instant,
    /// When the last snapshot was made.
    looked: Instant,
    /// Whether the client has said since then that no connection stands.
    all_down: bool,
}

impl Default for Heard {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            answers: 0,
            at: now,
            looked: now,
            all_down: false,
        }
    }
}

impl Heard {
    fn look(&mut self, answers: u64, now: Instant) {
        self.looked = now;
        if answers > self.answers {
            (self.at, self.all_down) = (now, false);
        }
        // Fewer than before: a broker is gone from the cluster, with its count.
        self.answers = answers;
    }

    /// Judged by the last snapshot: a lane that was busy has not looked, which is no silence.
    fn silent_for(&self, now: Instant) -> Option<Duration> {
        let is_silent = self.all_down || self.looked - self.at >= SILENT_AFTER;
        is_silent.then(|| now - self.at)
    }
}

impl ConsumerEvents {
    pub(super) fn new(client: String, inputs: Inputs, access: Arc<Access>) -> Self {
        Self {
            words: Words::of(client, access),
            inputs,
            closing: AtomicBool::new(false),
            has_news: AtomicBool::new(false),
            noted: Mutex::default(),
        }
    }

    /// From now on rebalances are answered at once.
    pub(super) fn start_closing(&self) {
        self.closing.store(true, Relaxed);
    }

    /// The oldest rebalance that was not taken yet.
    ///
    /// # Errors
    /// After the last one: why something that the group gave us cannot be read.
    pub(super) fn take_rebalance(&self) -> Result<Option<Polled>, String> {
        if !self.has_news.load(Relaxed) {
            return Ok(None);
        }
        let mut noted = self.noted();
        let rebalance = noted.rebalances.pop_front();
        if let (None, Some(why)) = (&rebalance, &noted.unreadable) {
            return Err(why.clone());
        }
        self.has_news.store(rebalance.is_some(), Relaxed);
        Ok(rebalance)
    }

    pub(super) fn end_of(&self, partition: Partition) -> Option<i64> {
        self.noted().ends.get(&partition).copied()
    }

    /// Partitions of all input topics that are known of.
    pub(super) fn partitions_of_all(&self) -> i32 {
        self.noted().partitions.iter().sum()
    }

    /// Partitions of an input topic; 0 where that is not known.
    pub(super) fn partitions_of(&self, topic: u16) -> i32 {
        self.noted().partitions.get(usize::from(topic)).copied().unwrap_or(0)
    }

    pub(super) fn set_partitions_of(&self, topic: usize, count: i32) {
        self.noted().set_partitions_of(topic, count);
    }

    /// How far a partition was fetched and handed over, as of the last snapshot.
    pub(super) fn fetched(&self, partition: Partition) -> Option<i64> {
        self.noted().fetched.get(&partition).copied()
    }

    pub(super) fn statistics(&self) -> Option<ConsumerStatistics> {
        self.noted().statistics
    }

    /// How long no broker has answered, if none does.
    pub(super) fn silent_for(&self) -> Option<Duration> {
        self.noted().heard.silent_for(Instant::now())
    }

    /// Whether the client has lost its membership because it heard nothing, and has not come back yet.
    pub(super) fn session_ran_out(&self) -> bool {
        self.noted().session_ran_out
    }

    /// One of our inputs, by its name.
    pub(super) fn partition(&self, topic: &str, number: i32) -> Option<Partition> {
        let topic = self.inputs.number(topic)?;
        Some(Partition { topic, number })
    }

    /// One that the group gives us. A topic may be new; one that cannot be read is noted.
    fn given(&self, topic: &str, number: i32) -> Option<Partition> {
        match self.inputs.admit(topic) {
            Ok(topic) => Some(Partition { topic, number }),
            Err(why) => {
                self.noted().unreadable.get_or_insert(why);
                None
            }
        }
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().expect("no code panics under this lock")
    }
}

impl ClientContext for ConsumerEvents {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        // The client says this nowhere else.
        if facility == SESSION_RAN_OUT {
            self.noted().session_ran_out = true;
        }
        self.words.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(Code::AllBrokersDown) {
            self.noted().heard.all_down = true;
        }
        self.words.error(&error, reason);
    }

    fn stats(&self, statistics: rdkafka::Statistics) {
        let mut sum = ConsumerStatistics::default();
        let mut noted = self.noted();
        let answers = statistics.brokers.values().map(|broker| broker.rx);
        noted.heard.look(answers.sum(), Instant::now());
        sum.rebalances = statistics.cgrp.map_or(0, |group| group.rebalance_cnt.max(0) as u64);
        let round_trips = statistics.brokers.values().filter_map(|broker| broker.rtt.as_ref());
        sum.round_trip_us = round_trips.map(|window| window.avg.max(0) as u64).max().unwrap_or(0);
        for (topic, of_topic) in &statistics.topics {
            let input = self.inputs.number(topic);
            if let Some(input) = input {
                noted.set_partitions_of(input.into(), partitions_in(of_topic));
            }
            for (number, of_partition) in &of_topic.partitions {
                sum.fetched_ahead_records += of_partition.fetchq_cnt.max(0) as u64;
                sum.fetched_ahead_bytes += of_partition.fetchq_size;
                let Some(topic) = input else { continue };
                let partition = Partition { topic, number: *number };
                // What waits in the client's own queue has not come either.
                let fetched = of_partition.next_offset - of_partition.fetchq_cnt.max(0);
                noted.fetched.insert(partition, fetched.max(0));
                // The last stable offset is where we stop reading; brokers without transactions do not tell it.
                let end = if of_partition.ls_offset >= 0 {
                    of_partition.ls_offset
                } else {
                    of_partition.hi_offset
                };
                if end >= 0 {
                    noted.ends.insert(partition, end);
                }
            }
        }
        noted.statistics = Some(sum);
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        Ok(self.words.access().token()?)
    }
}

impl ConsumerContext for ConsumerEvents {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, error: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let is_assigned = error == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Relaxed) {
            let answered = if is_assigned {
                consumer.incremental_assign(list)
            } else {
                consumer.incremental_unassign(list)
            };
            if let Err(error) = answered {
                tracing::warn!(%error, "the last rebalance of a closing consumer was not taken");
            }
            return;
        }
        let elements = list.elements();
        let partitions = elements.iter().filter_map(|element| match is_assigned {
            true => self.given(element.topic(), element.partition()),
            false => self.partition(element.topic(), element.partition()),
        });
        let partitions = partitions.collect();
        let rebalance = if is_assigned {
            Polled::Assigned(partitions)
        } else {
            Polled::Revoked {
                partitions,
                lost: consumer.assignment_lost(),
            }
        };
        let mut noted = self.noted();
        // An assignment that comes before the client fails is no return.
        noted.session_ran_out &= !is_assigned || consumer.client().fatal_error().is_some();
        noted.rebalances.push_back(rebalance);
        drop(noted);
        self.has_news.store(true, Relaxed);
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        let quiet = [Code::NoOffset, Code::State, Code::AssignmentLost];
        match result {
            Err(error) if error.rdkafka_error_code().is_none_or(|code| !quiet.contains(&code)) => {
                self.words
                    .error(&error, &format!("offsets were not committed: {error}"));
            }
            _ => {}
        }
    }
}

#[derive(Debug)]
pub(super) struct ProducerEvents {
    pub(super) words: Words,
    pub(super) deliveries: Deliveries,
    outputs: [String; 3],
    partitions: [AtomicI32; 3],
    is_discarding: AtomicBool,
}

impl ProducerEvents {
    pub(super) fn new(client: String, outputs: [String; 3], access: Arc<Access>) -> Self {
        let partitions = Default::default();
        Self {
            words: Words::of(client, access),
            deliveries: Deliveries::new(),
            outputs,
            partitions,
            is_discarding: AtomicBool::new(false),
        }
    }

    /// From now on the lane itself drops what is queued, so that what is reported as purged is no news.
    pub(super) fn start_discarding(&self) {
        self.is_discarding.store(true, Relaxed);
    }

    /// From now on what is reported as purged was dropped by the client, because of a failure of its own.
    pub(super) fn stop_discarding(&self) {
        self.is_discarding.store(false, Relaxed);
    }

    pub(super) fn partitions_of(&self, to: Destination) -> i32 {
        self.partitions[to as usize].load(Relaxed)
    }

    pub(super) fn set_partitions_of(&self, to: Destination, count: i32) {
        self.partitions[to as usize].store(count, Relaxed);
    }
}

/// How many partitions of a topic the client knows; it refreshes its metadata by itself.
fn partitions_in(topic: &rdkafka::statistics::Topic) -> i32 {
    let known = topic.partitions.iter();
    known
        .filter(|(number, partition)| **number >= 0 && !partition.unknown)
        .count() as i32
}

impl ClientContext for ProducerEvents {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.words.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.words.error(&error, reason);
    }

    fn stats(&self, statistics: rdkafka::Statistics) {
        // The client refreshes its metadata anyway, so new partitions are learnt without asking.
        for to in Destination::ALL {
            let Some(topic) = statistics.topics.get(&self.outputs[to as usize]) else {
                continue;
            };
            let count = partitions_in(topic);
            if count > 0 {
                self.set_partitions_of(to, count);
            }
        }
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        Ok(self.words.access().token()?)
    }
}

impl ProducerContext for ProducerEvents {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, word: usize) {
        let Waybill { ticket, row, to } = Waybill::unpack(word);
        let Err((error, message)) = result else {
            return self.deliveries.settle(ticket);
        };
        let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
        let is_purged = matches!(code, Code::PurgeQueue | Code::PurgeInflight);
        if is_purged && self.is_discarding.load(Relaxed) {
            return self.deliveries.settle(ticket);
        }
        let topic = &self.outputs[to as usize];
        let message_text = match self.words.access().next_step(code, Some(topic)) {
            Some(step) => format!("{error}; {step}"),
            None => error.to_string(),
        };
        let doing = format!("delivering an output to `{topic}` [{}]", message.partition());
        let error = BrokerError {
            fault: fault::of_code(code),
            doing,
            message: message_text,
        };
        let too_large = code == Code::MessageSizeTooLarge;
        let undelivered = Undelivered {
            ticket,
            row,
            to,
            too_large,
            error,
        };
        if is_purged {
            self.deliveries.purge(undelivered);
        } else {
            self.deliveries.fail(undelivered);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_that_stop_answering_are_silent_since_the_last_answer() {
        let mut heard = Heard::default();
        let at = |seconds| heard.at + Duration::from_secs(seconds);
        let [start, five, ten, twenty, thirty] = [0, 5, 10, 20, 30].map(at);
        heard.look(7, start);
        heard.look(8, five);
        heard.look(8, ten);
        assert_eq!(heard.silent_for(ten), None);
        heard.look(8, twenty);
        assert_eq!(heard.silent_for(thirty), Some(Duration::from_secs(25)));
        heard.look(9, thirty);
        assert_eq!(heard.silent_for(thirty), None);
    }

    #[test]
    fn a_lane_that_did_not_look_has_not_heard_silence() {
        let heard = Heard::default();
        assert_eq!(heard.silent_for(heard.at + Duration::from_secs(600)), None);
    }

    #[test]
    fn that_no_connection_stands_is_known_at_once_and_forgotten_with_the_next_answer() {
        let mut heard = Heard {
            all_down: true,
            ..Heard::default()
        };
        let now = heard.at + Duration::from_secs(1);
        assert_eq!(heard.silent_for(now), Some(Duration::from_secs(1)));
        heard.look(1, now);
        assert_eq!(heard.silent_for(now), None);
    }
}
