//! librdkafka writes the records that the service wrote: the same values, headers and partitions.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::sleep;
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, DeliveryResult, Header, Headers as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::util::Timeout;
use rdkafka::{Message as _, Offset, TopicPartitionList};

use super::Job;
use crate::common::clients::{self, Guarantee};
use crate::common::setting::EVENTS;

/// The pause between two looks at the delivery reports.
const PAUSE: Duration = Duration::from_micros(200);

/// The records that the service wrote, in one arena.
#[derive(Default)]
pub(super) struct Outputs {
    bytes: Vec<u8>,
    names: Vec<String>,
    headers: Vec<(usize, Range<usize>)>,
    records: Vec<Output>,
    /// Timestamps of the first and the last record, in milliseconds.
    written: Option<(i64, i64)>,
}

struct Output {
    partition: i32,
    value: Range<usize>,
    headers: Range<usize>,
}

/// Reads the service's predictions.
pub(super) fn read_back(job: &Job) -> Outputs {
    let group = format!("{}-bare-out", job.name);
    let config = clients::consumer(&job.brokers, &group, job.guarantee);
    let consumer: BaseConsumer = config.create().expect("a consumer can be made");
    let topic = format!("{}-predictions", job.name);
    consumer.subscribe(&[&topic]).expect("a topic can be subscribed to");
    let mut outputs = Outputs::default();
    while outputs.records.len() < job.events {
        if let Some(record) = consumer.poll(Duration::from_millis(100)) {
            outputs.take(&record.expect("the predictions can be read"));
        }
    }
    outputs
}

impl Outputs {
    /// How long the service wrote.
    pub(super) fn written_for(&self) -> Duration {
        let (first, last) = self.written.expect("there are events");
        Duration::from_millis((last - first).max(1) as u64)
    }

    fn take(&mut self, record: &BorrowedMessage<'_>) {
        assert_eq!(record.key(), None, "events without a key have predictions without one");
        let first_header = self.headers.len();
        for header in record.headers().into_iter().flat_map(|headers| headers.iter()) {
            let known = self.names.iter().position(|name| name == header.key);
            let name = known.unwrap_or_else(|| {
                self.names.push(header.key.to_owned());
                self.names.len() - 1
            });
            let value = self.store(header.value.expect("the headers of a prediction have values"));
            self.headers.push((name, value));
        }
        let value = self.store(record.payload().expect("a prediction has a value"));
        self.records.push(Output {
            partition: record.partition(),
            value,
            headers: first_header..self.headers.len(),
        });
        if let Some(at) = record.timestamp().to_millis() {
            let (first, last) = self.written.unwrap_or((at, at));
            self.written = Some((first.min(at), last.max(at)));
        }
    }

    fn store(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    fn headers_of(&self, output: &Output) -> OwnedHeaders {
        let headers = &self.headers[output.headers.clone()];
        let add = |owned: OwnedHeaders, (name, value): &(usize, Range<usize>)| {
            owned.insert(Header {
                key: &self.names[*name],
                value: Some(&self.bytes[value.clone()]),
            })
        };
        headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len()), add)
    }
}

/// Counts what was delivered.
#[derive(Default)]
struct Delivered(AtomicUsize);

impl ClientContext for Delivered {}

impl ProducerContext for Delivered {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        assert!(result.is_ok(), "the records arrive");
        self.0.fetch_add(1, Relaxed);
    }
}

/// Writes all records: at least once in one go, exactly once in transactions.
pub(super) fn all(job: &Job, outputs: &Outputs) {
    let config = clients::producer(&job.brokers, &format!("{}-bare-0", job.name), job.guarantee);
    let producer = config.create_with_context(Delivered::default());
    let writer = Writer {
        producer: producer.expect("a producer can be made"),
        topic: format!("{}-bare", job.name),
        batch_rows: job.batch_rows,
        outputs,
    };
    match job.guarantee {
        Guarantee::AtLeastOnce => {
            writer.write(0..outputs.records.len());
            writer.drain(outputs.records.len());
        }
        Guarantee::ExactlyOnce => writer.write_in_transactions(job),
    }
}

struct Writer<'a> {
    producer: BaseProducer<Delivered>,
    topic: String,
    batch_rows: usize,
    outputs: &'a Outputs,
}

impl Writer<'_> {
    fn write_in_transactions(&self, job: &Job) {
        let group = format!("{}-bare-offsets", job.name);
        let config = clients::consumer(&job.brokers, &group, job.guarantee);
        let consumer: BaseConsumer = config.create().expect("a consumer can be made");
        let member = consumer.group_metadata().expect("a consumer with a group has metadata");
        self.producer
            .init_transactions(Duration::from_secs(30))
            .expect("the transactional id is free");
        let all = self.outputs.records.len();
        for first in (0..all).step_by(job.transaction_rows) {
            let last = all.min(first + job.transaction_rows);
            self.producer.begin_transaction().expect("a transaction can be begun");
            self.write(first..last);
            self.drain(last);
            let mut offsets = TopicPartitionList::new();
            let offset = Offset::Offset(last as i64);
            offsets
                .add_partition_offset(EVENTS, 0, offset)
                .expect("an offset is a number");
            let sent = self
                .producer
                .send_offsets_to_transaction(&offsets, &member, Timeout::Never);
            sent.expect("the offsets are taken");
            self.producer
                .commit_transaction(Timeout::Never)
                .expect("the transaction is committed");
        }
    }

    /// Writes records, and takes the delivery reports after each batch, as the service does.
    fn write(&self, records: Range<usize>) {
        for batch in self.outputs.records[records].chunks(self.batch_rows) {
            for output in batch {
                self.send(output);
            }
            self.producer.poll(Duration::ZERO);
        }
    }

    fn send(&self, output: &Output) {
        let mut record = BaseRecord::<[u8], [u8]>::to(&self.topic)
            .partition(output.partition)
            .headers(self.outputs.headers_of(output))
            .payload(&self.outputs.bytes[output.value.clone()]);
        while let Err((error, unsent)) = self.producer.send(record) {
            assert_eq!(
                error,
                KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull),
                "Kafka takes records"
            );
            self.producer.poll(Duration::ZERO);
            sleep(PAUSE);
            record = unsent;
        }
    }

    /// Waits until so many records are delivered. A waiting poll of the wrapper would spin.
    fn drain(&self, records: usize) {
        while self.producer.context().0.load(Relaxed) < records {
            self.producer.poll(Duration::ZERO);
            sleep(PAUSE);
        }
    }
}
