//! The producer of a lane.
//!
//! Owns: sending, waiting for deliveries, transactions. Never does: poll from a thread of its own; the lane serves it.
//!
//! Invariant: what was sent is settled once, by a delivery report; aborting and discarding empty the queue first,
//! because an abort with reports that nobody serves never ends.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eddy_pipeline::event::{Destination, Output};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, PurgeConfig};
use rdkafka::util::Timeout;

use super::access::Access;
use super::deliveries::{Deliveries, Waybill};
use super::events::ProducerEvents;
use super::fault::{self, Call};
use super::metadata::{self, Ear};
use super::overdue::{Answer, Overdue};
use crate::settings::{Guarantee, Settings};
use crate::{BrokerError, Fault, SendError, Ticket, Undelivered};

/// How long the coordinator may take to hand out the transactional id. The first one ever makes it create its topic.
const INIT_WITHIN: Duration = Duration::from_secs(30);
/// How long offsets may take to go into a transaction; brokers that are in order take milliseconds.
const OFFSETS_WITHIN: Duration = Duration::from_secs(20);
/// How long the queue may take to become empty; then requests on their way are given up as well.
const EMPTY_WITHIN: Duration = Duration::from_secs(10);
/// How many events are served at once while there is nothing else to do: enough for all that `debug` logs in a second.
const EVENTS_AT_ONCE: usize = 2_000;
/// The pause between two looks at the queue of delivery reports, which grows up to the second figure.
const LOOK_PAUSE_US: (u64, u64) = (100, 1_000);

/// How outputs go into requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sending {
    /// As many in one request as the settings allow.
    Together,
    /// Together still; the next producer sends singly.
    TogetherForTheLastTime,
    /// Each in a request of its own, because a topic takes less than the settings say.
    Singly,
}

pub(super) struct Outflow {
    producer: Arc<BaseProducer<ProducerEvents>>,
    /// Calls that did not return, with the producers that they were made on.
    overdue: Overdue,
    outputs: [String; 3],
    max_output_bytes: u64,
    transactional_id: Option<String>,
    transaction_timeout: Duration,
    in_transaction: bool,
    sending: Sending,
    /// Failures that were looked at here and not taken by the lane yet.
    failures: Vec<Undelivered>,
}

impl Outflow {
    /// Makes the producer, looks for the output topics and takes over the transactional id.
    pub(super) fn open(settings: &Settings, lane: u16) -> Result<Self, BrokerError> {
        // Held until the client is made, so that it finds the first token.
        let access = Access::of(settings);
        access.prepared("making a producer")?;
        let outflow = Self::unready(settings, lane, Sending::Together)?;
        drop(access);
        for to in Destination::ALL {
            let topic = &outflow.outputs[to as usize];
            let ear = Ear {
                words: &outflow.events().words,
                listen: &|| outflow.serve_events(),
            };
            let count = metadata::partitions(outflow.producer.client(), topic, &ear)?;
            outflow.events().set_partitions_of(to, count);
        }
        let taken_over = outflow.init();
        taken_over.map_err(|error| {
            outflow.serve_events();
            outflow.events().words.explain_start(error)
        })?;
        Ok(outflow)
    }

    /// A new producer in the place of this one, which it fences. Failures that were kept by [`Outflow::discard`] and not
    /// taken yet go over; those of outputs that the old producer still held do not.
    pub(super) fn renew(&mut self, settings: &Settings, lane: u16) -> Result<(), BrokerError> {
        let sending = match self.sending {
            Sending::Together => Sending::Together,
            Sending::TogetherForTheLastTime | Sending::Singly => Sending::Singly,
        };
        let mut successor = Self::unready(settings, lane, sending)?;
        for to in Destination::ALL {
            successor
                .events()
                .set_partitions_of(to, self.events().partitions_of(to));
        }
        successor.init().map_err(|error| successor.explained(error))?;
        successor.failures = std::mem::take(&mut self.failures);
        successor.overdue = std::mem::take(&mut self.overdue);
        *self = successor;
        Ok(())
    }

    fn unready(settings: &Settings, lane: u16, sending: Sending) -> Result<Self, BrokerError> {
        let outputs = Destination::ALL.map(|to| settings.topics.output(to).to_owned());
        let events = ProducerEvents::new(
            format!("producer of lane {lane}"),
            outputs.clone(),
            Access::of(settings),
        );
        let mut config = settings
            .producer_config(lane)
            .map_err(|message| super::refused("making a producer", message))?;
        if sending == Sending::Singly {
            config.set("batch.num.messages", "1");
        }
        let producer: BaseProducer<ProducerEvents> = super::create(&config, events, "making a producer")?;
        // Serves the first token refresh, without which no connection is made.
        producer.poll(Duration::ZERO);
        let is_transactional = settings.kafka.guarantee == Guarantee::ExactlyOnce;
        Ok(Self {
            producer: Arc::new(producer),
            overdue: Overdue::default(),
            outputs,
            max_output_bytes: settings.kafka.max_output_bytes.0,
            transactional_id: is_transactional.then(|| settings.transactional_id(lane)),
            transaction_timeout: settings.kafka.transaction_timeout.0,
            in_transaction: false,
            sending,
            failures: Vec::new(),
        })
    }

    fn init(&self) -> Result<(), BrokerError> {
        let Some(id) = &self.transactional_id else {
            return Ok(());
        };
        let doing = || format!("taking over transactional id `{id}`");
        self.producer
            .init_transactions(INIT_WITHIN)
            .map_err(|error| self.transaction_failed(Call::Init, doing(), &error))
    }

    pub(super) fn send(&mut self, output: &Output<'_>, ticket: Ticket, row: u32) -> Result<(), SendError> {
        let Some(word) = (Waybill {
            ticket,
            row,
            to: output.to,
        })
        .pack() else {
            let message = format!("row {row} is beyond what a batch can hold; make the batches smaller");
            return Err(SendError::Failed(super::refused("sending an output", message)));
        };
        if !self.deliveries().reserve(ticket) {
            return Err(SendError::Full);
        }
        let topic = &self.outputs[output.to as usize];
        let mut record: BaseRecord<'_, [u8], [u8], usize> =
            BaseRecord::with_opaque_to(topic, word).partition(output.partition);
        record.key = output.key;
        record.payload = output.value;
        record.headers = owned(output);
        self.producer.send(record).map_err(|(error, _)| {
            self.deliveries().settle(ticket);
            self.not_sent(output, &error)
        })
    }

    fn not_sent(&self, output: &Output<'_>, error: &KafkaError) -> SendError {
        let topic = &self.outputs[output.to as usize];
        match error.rdkafka_error_code() {
            Some(Code::QueueFull) => SendError::Full,
            Some(Code::MessageSizeTooLarge) => SendError::TooLarge {
                detail: format!(
                    "an output of {} bytes for `{topic}` is larger than kafka.max_output_bytes, which is {}",
                    bytes(output),
                    self.max_output_bytes
                ),
            },
            code => {
                let (fault, message) = match self.producer.client().fatal_error() {
                    Some((fatal, reason)) => (fault::of_fatal(fatal), format!("{error}: {reason}")),
                    None => {
                        let step = code.and_then(fault::next_step);
                        let step = step.map_or_else(String::new, |step| format!("; {step}"));
                        (code.map_or(Fault::Fatal, fault::of_code), format!("{error}{step}"))
                    }
                };
                let doing = format!("sending an output to `{topic}` [{}]", output.partition);
                SendError::Failed(BrokerError { fault, doing, message })
            }
        }
    }

    /// Serves what is ready. If nothing is, and outputs are on their way, waits for the first report.
    pub(super) fn serve(&self, timeout: Duration) {
        let started = Instant::now();
        let before = self.deliveries().settled();
        let mut pause_us = LOOK_PAUSE_US.0;
        loop {
            self.serve_ready();
            let left = timeout.saturating_sub(started.elapsed());
            let is_served = self.deliveries().settled() != before || self.deliveries().in_flight() == 0;
            if is_served || left.is_zero() {
                return;
            }
            // The producer's own waiting poll never returns early and spins through its last millisecond.
            std::thread::sleep(left.min(Duration::from_micros(pause_us)));
            pause_us = (pause_us * 2).min(LOOK_PAUSE_US.1);
        }
    }

    fn serve_ready(&self) {
        loop {
            let before = self.deliveries().settled();
            self.producer.poll(Duration::ZERO);
            if self.deliveries().settled() == before {
                return;
            }
        }
    }

    /// Drops what is queued and waits until what is on its way has settled one way or the other. Deliveries that failed
    /// are kept for [`Outflow::take_failures`]: they may be why the lane discards at all.
    pub(super) fn discard(&mut self) -> Result<(), BrokerError> {
        self.events().start_discarding();
        let emptied = self.empty();
        self.events().stop_discarding();
        emptied?;
        self.deliveries().forget_purged();
        // Now, because the caller asks next whether a new producer is wanted.
        self.look_at_failures();
        Ok(())
    }

    fn empty(&self) -> Result<(), BrokerError> {
        let started = Instant::now();
        while self.deliveries().in_flight() > 0 {
            let elapsed = started.elapsed();
            let purge = PurgeConfig::default().queue();
            // A request whose connection broke comes back to the queue, so one purge is not enough.
            self.producer.purge(if elapsed > EMPTY_WITHIN {
                purge.inflight()
            } else {
                purge
            });
            self.serve(Duration::from_millis(50));
            if elapsed > EMPTY_WITHIN * 2 {
                return Err(BrokerError {
                    fault: Fault::TimedOut,
                    doing: "emptying the producer's queue".into(),
                    message: format!("{} outputs are still on their way", self.deliveries().in_flight()),
                });
            }
        }
        Ok(())
    }

    pub(super) fn begin(&mut self) -> Result<(), BrokerError> {
        let begun = self.producer.begin_transaction();
        begun.map_err(|error| self.transaction_failed(Call::Begin, "beginning a transaction".into(), &error))?;
        self.in_transaction = true;
        Ok(())
    }

    /// The client ignores its own timeout here: when the group's coordinator dies, the call waits for a connection to go
    /// up or down, and there may be none for as long as that broker is away. So the call gets a time, and after that a
    /// new producer takes over; what the old one may still send then is fenced.
    pub(super) fn send_offsets(
        &mut self,
        offsets: TopicPartitionList,
        member: ConsumerGroupMetadata,
    ) -> Result<(), BrokerError> {
        let doing = || "adding offsets to a transaction".to_owned();
        let limit = OFFSETS_WITHIN.min(self.transaction_timeout);
        let producer = Arc::clone(&self.producer);
        let call = move || producer.send_offsets_to_transaction(&offsets, &member, Timeout::Never);
        match self.overdue.wait(limit, call) {
            Ok(Answer::Given(sent)) => {
                sent.map_err(|error| self.transaction_failed(Call::SendOffsets, doing(), &error))
            }
            Ok(Answer::Panicked) => Err(BrokerError {
                fault: Fault::Fatal,
                doing: doing(),
                message: "the call panicked, as the log shows above; the producer is replaced".into(),
            }),
            Ok(Answer::Overdue) => Err(BrokerError {
                fault: Fault::TimedOut,
                doing: doing(),
                message: format!("the group's coordinator gave no answer within {} s", limit.as_secs()),
            }),
            Err(error) => Err(BrokerError {
                fault: Fault::Retriable,
                doing: doing(),
                message: format!("no thread could be started ({error}); raise the limit on threads"),
            }),
        }
    }

    /// Drained before, it costs what the brokers need. Undrained, the wrapper waits in slices of 100 ms.
    pub(super) fn commit(&mut self) -> Result<(), BrokerError> {
        self.serve_ready();
        // Without a limit the client would retry for as long as the brokers are away.
        let committed = self.producer.commit_transaction(self.transaction_timeout);
        committed.map_err(|error| self.transaction_failed(Call::Commit, "committing a transaction".into(), &error))?;
        self.in_transaction = false;
        Ok(())
    }

    pub(super) fn abort(&mut self) -> Result<(), BrokerError> {
        self.discard()?;
        if !self.in_transaction {
            return Ok(());
        }
        let aborted = self.producer.abort_transaction(self.transaction_timeout);
        aborted.map_err(|error| self.transaction_failed(Call::Abort, "aborting a transaction".into(), &error))?;
        self.in_transaction = false;
        Ok(())
    }

    pub(super) fn outstanding(&self, ticket: Ticket) -> usize {
        self.deliveries().outstanding(ticket)
    }

    pub(super) fn in_flight(&self) -> usize {
        self.deliveries().in_flight()
    }

    /// Takes the failures since the last look.
    pub(super) fn take_failures(&mut self, into: &mut Vec<Undelivered>) {
        self.look_at_failures();
        into.append(&mut self.failures);
    }

    /// Works out what the failures since the last look mean.
    fn look_at_failures(&mut self) {
        let known = self.failures.len();
        self.producer.context().deliveries.take_failures(&mut self.failures);
        if self.failures.len() == known {
            return;
        }
        if let Some((code, reason)) = self.producer.client().fatal_error() {
            blame_client(&mut self.failures[known..], fault::of_fatal(code), &reason);
        }
        if self.in_transaction {
            self.blame_transaction(known);
        }
        if self.sending != Sending::Singly {
            self.acquit_requests();
        }
    }

    /// The client drops what it holds once its transaction has failed. If that was for want of a permission, it is so for
    /// what it dropped.
    fn blame_transaction(&mut self, known: usize) {
        let is_dropped = |failed: &&mut Undelivered| failed.error.fault == Fault::Abortable && !failed.too_large;
        let mut dropped: Vec<&mut Undelivered> = self.failures[known..].iter_mut().filter(is_dropped).collect();
        if dropped.is_empty() {
            return;
        }
        // To begin another one is refused, with the reason for which the present one failed.
        let Err(error) = self.producer.begin_transaction() else {
            return;
        };
        let Some(code) = error.rdkafka_error_code().filter(|code| fault::is_authorization(*code)) else {
            return;
        };
        let topics: BTreeSet<&str> = dropped
            .iter()
            .map(|failed| self.outputs[failed.to as usize].as_str())
            .collect();
        let access = self.producer.context().words.access();
        let steps: Vec<String> = topics
            .into_iter()
            .filter_map(|topic| access.next_step(code, Some(topic)))
            .collect();
        let message = format!("{error}; {}", steps.join("; or "));
        for failed in &mut dropped {
            failed.error.fault = Fault::Refused;
            failed.error.message.clone_from(&message);
        }
    }

    /// A topic refuses a request as a whole, so several outputs that are too large at once say nothing about any of
    /// them: they are told as a failure to be tried again, and from the next producer on each output has a request of
    /// its own.
    fn acquit_requests(&mut self) {
        for to in Destination::ALL {
            let is_suspect = |failed: &&mut Undelivered| failed.too_large && failed.to == to;
            let suspects: Vec<&mut Undelivered> = self.failures.iter_mut().filter(is_suspect).collect();
            let count = suspects.len();
            if count < 2 {
                continue;
            }
            for failed in suspects {
                failed.too_large = false;
                failed.error.fault = Fault::Abortable;
            }
            self.sending = Sending::TogetherForTheLastTime;
            tracing::warn!(
                topic = self.outputs[to as usize],
                outputs = count,
                "a topic takes less in one request than kafka.max_output_bytes; sending outputs one by one from now on, \
                 which is slow: lower kafka.max_output_bytes to the topic's max.message.bytes, or raise that"
            );
        }
    }

    /// Whether a new producer is wanted, now that nothing is on its way.
    pub(super) fn wants_renewal(&self) -> bool {
        self.sending == Sending::TogetherForTheLastTime
    }

    pub(super) fn partitions_of(&self, to: Destination) -> i32 {
        self.events().partitions_of(to)
    }

    fn transaction_failed(&self, call: Call, doing: String, error: &KafkaError) -> BrokerError {
        let fatal = self.producer.client().fatal_error();
        let fault = fault::of_transaction(call, error, fatal.as_ref().map(|(code, _)| *code));
        let mut message = error.to_string();
        if let Some((_, reason)) = fatal {
            message = format!("{message}: {reason}");
        }
        let access = self.events().words.access();
        if let Some(step) = error.rdkafka_error_code().and_then(|code| access.next_step(code, None)) {
            message = format!("{message}; {step}");
        }
        if let (Fault::Fenced, Some(id)) = (fault, &self.transactional_id) {
            message = format!(
                "{message}; another process uses transactional id `{id}`, or the transaction outlasted \
                 kafka.transaction_timeout; give each replica a kafka.instance of its own"
            );
        }
        BrokerError { fault, doing, message }
    }

    /// Adds the reason that the client last gave, which says more than its code.
    fn explained(&self, error: BrokerError) -> BrokerError {
        self.serve_events();
        self.events().words.explain(error)
    }

    fn serve_events(&self) {
        for _ in 0..EVENTS_AT_ONCE {
            self.producer.poll(Duration::ZERO);
        }
    }

    fn events(&self) -> &ProducerEvents {
        self.producer.context()
    }

    fn deliveries(&self) -> &Deliveries {
        &self.events().deliveries
    }
}

/// What failed after the client itself had failed is no matter of the single output, unless Kafka refused just that.
fn blame_client(failures: &mut [Undelivered], fault: Fault, reason: &str) {
    for failed in failures
        .iter_mut()
        .filter(|failed| failed.error.fault != Fault::Refused)
    {
        failed.error.fault = fault;
        failed.error.message = format!("{}: {reason}", failed.error.message);
    }
}

fn owned(output: &Output<'_>) -> Option<OwnedHeaders> {
    if output.headers.is_empty() {
        return None;
    }
    let headers = OwnedHeaders::new_with_capacity(output.headers.len());
    let add = |headers: OwnedHeaders, header: &eddy_pipeline::event::Header<'_>| {
        headers.insert(Header {
            key: header.name,
            value: header.value,
        })
    };
    Some(output.headers.iter().fold(headers, add))
}

fn bytes(output: &Output<'_>) -> usize {
    let headers = output
        .headers
        .iter()
        .map(|header| header.name.len() + header.value.map_or(0, <[u8]>::len));
    output.key.map_or(0, <[u8]>::len) + output.value.map_or(0, <[u8]>::len) + headers.sum::<usize>()
}
