//! Topics and groups of a Kafka, seen from outside.

use std::collections::BTreeSet;
use std::iter;
use std::time::Instant;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Headers, Message as _};
use rdkafka::metadata::Metadata;
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::wait::{DEADLINE, REQUEST_TIMEOUT, block_on, eventually};

/// Partitions of the topics behind groups and transactions, as in `server_properties`.
const INTERNAL_PARTITIONS: i32 = 5;

/// What a test asks a Kafka, of one node or of three.
#[derive(Clone, Debug)]
pub struct Topics {
    bootstrap: String,
    nodes: usize,
}

/// Which records [`Topics::read_all`] sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Only records outside of transactions and of committed ones, up to the last stable offset.
    ReadCommitted,
    /// Every record, also of transactions that are open or were aborted.
    ReadUncommitted,
}

/// A record as [`Topics::read_all`] found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The partition that it lies in.
    pub partition: i32,
    /// Its place in the partition.
    pub offset: i64,
    /// The key, if it has one.
    pub key: Option<Vec<u8>>,
    /// The value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// The headers in the order in which they were written.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Milliseconds since 1970.
    pub timestamp: Option<i64>,
}

impl Message {
    /// The last header of that name as text; `None` if there is none, or it is null or no UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().rev().find(|(key, _)| key == name)?;
        str::from_utf8(value.as_deref()?).ok()
    }
}

impl From<&BorrowedMessage<'_>> for Message {
    fn from(record: &BorrowedMessage<'_>) -> Self {
        let headers = record.headers().map(|headers| {
            headers
                .iter()
                .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
                .collect()
        });
        Self {
            partition: record.partition(),
            offset: record.offset(),
            key: record.key().map(<[u8]>::to_vec),
            value: record.payload().map(<[u8]>::to_vec),
            headers: headers.unwrap_or_default(),
            timestamp: record.timestamp().to_millis(),
        }
    }
}

impl Topics {
    pub(crate) fn new(bootstrap: String, nodes: usize) -> Self {
        Self { bootstrap, nodes }
    }

    /// The address or addresses for `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        self.bootstrap.clone()
    }

    /// A client configuration with the addresses and short reconnects in it.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("reconnect.backoff.ms", "20")
            .set("reconnect.backoff.max.ms", "200");
        config
    }

    /// Creates a topic and returns when each of its partitions has a leader.
    pub fn create_topic(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().expect("admin client");
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(self.nodes as i32));
        let topic = configs.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
        let options = AdminOptions::new()
            .request_timeout(Some(DEADLINE))
            .operation_timeout(Some(DEADLINE));
        let results = block_on(admin.create_topics([&topic], &options)).expect("create topics");
        for result in results {
            result.unwrap_or_else(|(topic, code)| panic!("topic {topic} was not created: {code}"));
        }
        self.wait_for_topic(name, partitions);
    }

    pub(crate) fn wait_for_topic(&self, name: &str, partitions: i32) {
        let consumer = self.reader(Isolation::ReadUncommitted);
        eventually(
            &format!("topic {name} has {partitions} partitions with leaders"),
            || {
                let known = partition_count(&consumer, name)?;
                if known == partitions {
                    Ok(())
                } else {
                    Err(format!("{known} partitions"))
                }
            },
        );
    }

    /// Per partition the offset after its last record (the high watermark; markers of transactions count).
    pub fn end_offsets(&self, topic: &str) -> Vec<i64> {
        self.watermarks(topic).into_iter().map(|(_, high)| high).collect()
    }

    /// Per partition what the group has committed durably; offsets of open transactions are not in it.
    pub fn committed(&self, group: &str, topic: &str) -> Vec<Option<i64>> {
        // With `read_committed` the answer would wait for open transactions.
        let mut config = self.client();
        config.set("group.id", group).set("isolation.level", "read_uncommitted");
        let consumer: BaseConsumer = config.create().expect("consumer");
        eventually(&format!("group {group} has offsets for topic {topic}"), || {
            let mut wanted = TopicPartitionList::new();
            wanted.add_partition_range(topic, 0, partition_count(&consumer, topic)? - 1);
            let found = consumer
                .committed_offsets(wanted, REQUEST_TIMEOUT)
                .map_err(|e| e.to_string())?;
            found
                .elements()
                .iter()
                .map(|element| {
                    element.error().map_err(|e| e.to_string())?;
                    Ok(element.offset().to_raw().filter(|offset| *offset >= 0))
                })
                .collect::<Result<Vec<_>, String>>()
        })
    }

    /// How many offsets the group is behind the end of the topic; a partition without a commit counts from its start.
    ///
    /// A marker of a transaction is an offset too: behind a transactional producer a group can be done and lag by one.
    pub fn lag(&self, group: &str, topic: &str) -> i64 {
        let committed = self.committed(group, topic);
        let watermarks = self.watermarks(topic);
        iter::zip(committed, watermarks)
            .map(|(done, (low, high))| high - done.unwrap_or(low))
            .sum()
    }

    /// Every record from the start of the topic up to its end at the time of the call, by partition and offset.
    pub fn read_all(&self, topic: &str, isolation: Isolation) -> Vec<Message> {
        let watermarks = self.watermarks(topic);
        let consumer = self.reader(isolation);
        let mut assignment = TopicPartitionList::new();
        for (partition, (low, _)) in (0..).zip(&watermarks) {
            assignment
                .add_partition_offset(topic, partition, Offset::Offset(*low))
                .expect("a valid offset");
        }
        consumer.assign(&assignment).expect("assign");

        // The last offsets may be markers, aborted or not yet stable, so that no record ever comes with them: then it is
        // the end-of-partition event that says that all was seen.
        let mut unfinished: BTreeSet<i32> = (0..watermarks.len() as i32).collect();
        let mut messages = Vec::new();
        let mut last_error = None;
        let deadline = Instant::now() + DEADLINE;
        while !unfinished.is_empty() {
            match consumer.poll(REQUEST_TIMEOUT) {
                None => {}
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    unfinished.remove(&partition);
                }
                Some(Err(error)) => last_error = Some(error),
                Some(Ok(record)) => {
                    let (_, end) = watermarks[record.partition() as usize];
                    if record.offset() + 1 >= end {
                        unfinished.remove(&record.partition());
                    }
                    if record.offset() < end {
                        messages.push(Message::from(&record));
                    }
                }
            }
            assert!(
                Instant::now() < deadline,
                "topic {topic}: partitions {unfinished:?} were not read to their end; last error: {last_error:?}"
            );
        }
        messages.sort_by_key(|message| (message.partition, message.offset));
        messages
    }

    /// The node that leads a partition, counted from 0; `None` while there is none.
    pub fn leader(&self, topic: &str, partition: i32) -> Option<usize> {
        let metadata = eventually(&format!("topic {topic} has metadata"), || self.metadata(Some(topic)));
        let partitions = metadata.topics().first().map_or(&[][..], |topic| topic.partitions());
        let found = partitions.iter().find(|found| found.id() == partition);
        let leader = found
            .unwrap_or_else(|| panic!("topic {topic} has no partition {partition}"))
            .leader();
        // Node 0 is broker 1.
        usize::try_from(leader - 1).ok()
    }

    /// The node that coordinates a consumer group; `None` while there is none.
    pub fn group_coordinator(&self, group: &str) -> Option<usize> {
        self.leader("__consumer_offsets", coordinating_partition(group))
    }

    /// The node that coordinates the transactions of an id; `None` while there is none.
    pub fn transaction_coordinator(&self, transactional_id: &str) -> Option<usize> {
        self.leader("__transaction_state", coordinating_partition(transactional_id))
    }

    /// Fails unless every node is known, and every partition has a leader and all its replicas in sync.
    ///
    /// Asked is a client that knows no node but those of `bootstrap`, so one address asks for one node's own view.
    pub(crate) fn whole(&self) -> Result<(), String> {
        let metadata = self.metadata(None)?;
        if metadata.brokers().len() != self.nodes {
            return Err(format!("{} of {} nodes", metadata.brokers().len(), self.nodes));
        }
        for topic in metadata.topics() {
            for partition in topic.partitions() {
                let place = || format!("{}/{}", topic.name(), partition.id());
                if partition.leader() < 0 {
                    return Err(format!("{} has no leader", place()));
                }
                if partition.isr().len() != partition.replicas().len() {
                    let (isr, replicas) = (partition.isr(), partition.replicas());
                    return Err(format!("{}: in sync are {isr:?} of {replicas:?}", place()));
                }
            }
        }
        Ok(())
    }

    /// The nodes that are up, as the one of `bootstrap` knows them.
    pub(crate) fn nodes_up(&self) -> Result<Vec<usize>, String> {
        let metadata = self.metadata(None)?;
        Ok(metadata.brokers().iter().map(|node| node.id() as usize - 1).collect())
    }

    /// Fails until transactions are served. The topic behind them is created by the first attempt.
    pub(crate) fn transactions_probe(&self) -> impl FnMut() -> Result<(), String> + use<> {
        let mut config = self.client();
        config.set("transactional.id", "eddy-tests-readiness");
        let producer: BaseProducer = config.create().expect("producer");
        move || producer.init_transactions(REQUEST_TIMEOUT).map_err(|e| e.to_string())
    }

    /// Fails until groups are served. The topic behind them is created by the first attempt.
    pub(crate) fn groups_probe(&self) -> impl FnMut() -> Result<(), String> + use<> {
        let consumer = self.reader(Isolation::ReadUncommitted);
        move || {
            let mut wanted = TopicPartitionList::new();
            wanted.add_partition("eddy-tests-readiness", 0);
            let found = consumer.committed_offsets(wanted, REQUEST_TIMEOUT);
            found.map(drop).map_err(|e| e.to_string())
        }
    }

    fn metadata(&self, topic: Option<&str>) -> Result<Metadata, String> {
        let client: BaseConsumer = self.client().create().expect("consumer");
        client.fetch_metadata(topic, REQUEST_TIMEOUT).map_err(|e| e.to_string())
    }

    fn watermarks(&self, topic: &str) -> Vec<(i64, i64)> {
        let consumer = self.reader(Isolation::ReadUncommitted);
        eventually(&format!("topic {topic} has end offsets"), || {
            let partitions = 0..partition_count(&consumer, topic)?;
            let watermarks = partitions.map(|partition| consumer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT));
            watermarks.collect::<KafkaResult<Vec<_>>>().map_err(|e| e.to_string())
        })
    }

    pub(super) fn reader(&self, isolation: Isolation) -> BaseConsumer {
        let isolation = match isolation {
            Isolation::ReadCommitted => "read_committed",
            Isolation::ReadUncommitted => "read_uncommitted",
        };
        let mut config = self.client();
        // librdkafka wants a group to assign partitions; it is neither joined nor committed to.
        config
            .set("group.id", "eddy-tests-reader")
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "50")
            .set("isolation.level", isolation);
        config.create().expect("consumer")
    }
}

/// Fails as long as a partition has no leader.
fn partition_count(consumer: &BaseConsumer, topic: &str) -> Result<i32, String> {
    let metadata = consumer
        .fetch_metadata(Some(topic), REQUEST_TIMEOUT)
        .map_err(|e| e.to_string())?;
    let topic = metadata.topics().first().ok_or("not in the metadata")?;
    if let Some(error) = topic.error() {
        return Err(format!("{error:?}"));
    }
    if topic.partitions().is_empty() || topic.partitions().iter().any(|partition| partition.leader() < 0) {
        return Err("a partition has no leader".into());
    }
    Ok(topic.partitions().len() as i32)
}

/// Partition of the internal topic that a group or a transactional id belongs to: the hash that Java gives a text, over its partitions.
pub fn coordinating_partition(id: &str) -> i32 {
    let hash = id
        .encode_utf16()
        .fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    hash.checked_abs().unwrap_or(0) % INTERNAL_PARTITIONS
}
