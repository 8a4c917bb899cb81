//! The broker of the demo: librdkafka's mock cluster, in this process.
//!
//! Owns: the cluster, and a generator that never runs ahead of its reader. Never does: transactions (it accepts the
//! calls and keeps none of their promises), so it is for at least once only.
//!
//! Invariant: nothing that the generator wrote is dropped unread. The cluster keeps 5 MiB of each partition and drops
//! the oldest silently; the generator stops at 2 MiB that the group has not committed.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use eddy_pipeline::event::Header;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer, ProducerContext};
use rdkafka::{ClientConfig, ClientContext, Message, Offset, TopicPartitionList};

use crate::{BrokerError, Fault};

/// Bytes of a partition that may be unread before the generator waits.
pub const UNREAD_MAX_BYTES: u64 = 2 << 20;
/// What a record costs beyond its own bytes, when it is alone in its batch.
const RECORD_OVERHEAD_BYTES: u64 = 128;
/// The group's offsets are asked for at most this often.
const ASK_EVERY: Duration = Duration::from_millis(100);
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A broker in this process, on a loopback port of its own. It stays on the thread that started it.
pub struct EmbeddedBroker {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl EmbeddedBroker {
    /// Starts it.
    ///
    /// # Errors
    /// When no port can be opened on loopback.
    pub fn start() -> Result<Self, BrokerError> {
        let cluster = MockCluster::new(1).map_err(|error| failed("starting the embedded broker", &error))?;
        Ok(Self { cluster })
    }

    /// Creates a topic.
    ///
    /// # Errors
    /// When it is there already.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<(), BrokerError> {
        let created = self.cluster.create_topic(name, partitions, 1);
        created.map_err(|error| failed(format!("creating topic `{name}` in the embedded broker"), &error))
    }

    /// The address for `kafka.brokers`.
    pub fn bootstrap(&self) -> String {
        self.cluster.bootstrap_servers()
    }

    /// A generator for a topic with so many partitions, read by `group`.
    ///
    /// # Errors
    /// When its clients cannot be made.
    pub fn generator(&self, topic: &str, partitions: i32, group: &str) -> Result<Generator, BrokerError> {
        Generator::new(&self.bootstrap(), topic, partitions, group)
    }
}

impl std::fmt::Debug for EmbeddedBroker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedBroker")
            .field("bootstrap", &self.bootstrap())
            .finish_non_exhaustive()
    }
}

/// What became of a record that was offered to a [`Generator`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// It is on its way.
    Taken,
    /// Too much of its partition is unread: offer it again a little later.
    Wait,
}

/// Writes records to one topic as fast as its group reads them. It may move to another thread.
pub struct Generator {
    topic: String,
    producer: BaseProducer<Written>,
    group: BaseConsumer,
    asked_at: Option<Instant>,
}

impl Generator {
    /// A generator for a topic of the broker at `bootstrap`.
    ///
    /// # Errors
    /// When its clients cannot be made.
    pub fn new(bootstrap: &str, topic: &str, partitions: i32, group: &str) -> Result<Self, BrokerError> {
        let doing = || format!("making a generator for topic `{topic}`");
        let partitions = (0..partitions.max(0)).map(|_| Backlog::default()).collect();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", bootstrap);
        let mut of_group = config.clone();
        // It only asks for the group's offsets: it neither joins nor commits.
        of_group.set("group.id", group).set("enable.auto.commit", "false");
        config.set("enable.idempotence", "true").set("linger.ms", "1");
        Ok(Self {
            topic: topic.to_owned(),
            producer: config
                .create_with_context(Written {
                    partitions: Mutex::new(partitions),
                })
                .map_err(|error| failed(doing(), &error))?,
            group: of_group.create().map_err(|error| failed(doing(), &error))?,
            asked_at: None,
        })
    }

    /// Offers a record for a partition.
    ///
    /// # Errors
    /// When there is no such partition, the record is too large, or the broker is gone.
    pub fn offer(
        &mut self,
        partition: i32,
        key: Option<&[u8]>,
        value: &[u8],
        headers: &[Header<'_>],
    ) -> Result<Offered, BrokerError> {
        let doing = || format!("writing to topic `{}` [{partition}]", self.topic);
        let of_headers: usize = headers
            .iter()
            .map(|header| header.name.len() + header.value.map_or(0, <[u8]>::len))
            .sum();
        let bytes = (key.map_or(0, <[u8]>::len) + value.len() + of_headers) as u64 + RECORD_OVERHEAD_BYTES;
        self.producer.poll(Duration::ZERO);
        match self.unread_bytes(partition) {
            None => return Err(failed(doing(), &KafkaError::MessageProduction(Code::UnknownPartition))),
            Some(0) => {}
            Some(unread) if unread + bytes <= UNREAD_MAX_BYTES => {}
            Some(_) => {
                self.ask()?;
                return Ok(Offered::Wait);
            }
        }
        let mut record: BaseRecord<'_, [u8], [u8], usize> = BaseRecord::with_opaque_to(&self.topic, bytes as usize)
            .partition(partition)
            .payload(value);
        record.key = key;
        if !headers.is_empty() {
            let add = |owned: OwnedHeaders, header: &Header<'_>| {
                owned.insert(rdkafka::message::Header {
                    key: header.name,
                    value: header.value,
                })
            };
            record.headers = Some(headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len()), add));
        }
        match self.producer.send(record) {
            Ok(()) => {
                let mut partitions = self.producer.context().partitions();
                partitions[partition as usize].on_its_way_bytes += bytes;
                Ok(Offered::Taken)
            }
            Err((KafkaError::MessageProduction(Code::QueueFull), _)) => Ok(Offered::Wait),
            Err((error, _)) => Err(failed(doing(), &error)),
        }
    }

    /// Bytes of a partition that were written, or are about to be, and that the group has not committed as far as is
    /// known. `None` when there is no such partition.
    pub fn unread_bytes(&self, partition: i32) -> Option<u64> {
        let partitions = self.producer.context().partitions();
        let backlog = partitions.get(usize::try_from(partition).ok()?)?;
        Some(backlog.on_its_way_bytes + backlog.unread_bytes)
    }

    /// Asks for the group's offsets, unless that was done a moment ago.
    fn ask(&mut self) -> Result<(), BrokerError> {
        let now = Instant::now();
        if self
            .asked_at
            .is_some_and(|asked_at| now.duration_since(asked_at) < ASK_EVERY)
        {
            return Ok(());
        }
        self.asked_at = Some(now);
        let count = self.producer.context().partitions().len();
        let mut list = TopicPartitionList::with_capacity(count);
        for number in 0..count {
            list.add_partition(&self.topic, number as i32);
        }
        let committed = self.group.committed_offsets(list, ANSWER_WITHIN);
        let committed =
            committed.map_err(|error| failed("asking the embedded broker for a group's offsets", &error))?;
        let mut partitions = self.producer.context().partitions();
        for element in committed.elements() {
            if let (Ok(number), Offset::Offset(offset)) = (usize::try_from(element.partition()), element.offset()) {
                partitions[number].read_to(offset);
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Generator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generator")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

/// What is known of one partition.
#[derive(Debug, Default)]
struct Backlog {
    /// Offset and bytes of each unread record, in order.
    unread: VecDeque<(i64, u64)>,
    unread_bytes: u64,
    on_its_way_bytes: u64,
}

impl Backlog {
    fn read_to(&mut self, next: i64) {
        while let Some((_, bytes)) = self.unread.pop_front_if(|(offset, _)| *offset < next) {
            self.unread_bytes -= bytes;
        }
    }
}

struct Written {
    partitions: Mutex<Vec<Backlog>>,
}

impl Written {
    fn partitions(&self) -> MutexGuard<'_, Vec<Backlog>> {
        self.partitions.lock().expect("no code panics under this lock")
    }
}

impl ClientContext for Written {}

impl ProducerContext for Written {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, bytes: usize) {
        let (message, is_written) = match result {
            Ok(message) => (message, true),
            Err((error, message)) => {
                tracing::warn!(%error, "the embedded broker lost a record");
                (message, false)
            }
        };
        let mut partitions = self.partitions();
        let Some(backlog) = usize::try_from(message.partition())
            .ok()
            .and_then(|number| partitions.get_mut(number))
        else {
            return;
        };
        backlog.on_its_way_bytes -= bytes as u64;
        if is_written {
            backlog.unread.push_back((message.offset(), bytes as u64));
            backlog.unread_bytes += bytes as u64;
        }
    }
}

fn failed(doing: impl Into<String>, error: &KafkaError) -> BrokerError {
    BrokerError {
        fault: Fault::Fatal,
        doing: doing.into(),
        message: error.to_string(),
    }
}
