//! What every test needs: a cluster with topics, settings for it, and a lane that is polled until something is true.

use std::time::{Duration, Instant};

use eddy_broker::kafka::KafkaBroker;
use eddy_broker::settings::{Guarantee, Kafka, PropertyValue, Settings, Topics};
use eddy_broker::{Broker, Polled, Undelivered};
use eddy_pipeline::event::{Destination, Header, Output, Partition};
use eddy_pipeline::settings::Span;
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};

pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) type Cluster = MockCluster<'static, DefaultProducerContext>;

/// A cluster with the four topics; the events topic has so many partitions.
pub(crate) fn cluster(partitions: i32) -> Cluster {
    let cluster = MockCluster::new(1).unwrap();
    for (_, topic) in Topics::default().all() {
        let count = if topic == "events" { partitions } else { 2 };
        cluster.create_topic(topic, count, 1).unwrap();
    }
    cluster
}

pub(crate) fn settings(cluster: &Cluster, guarantee: Guarantee) -> Settings {
    settings_at(&cluster.bootstrap_servers(), guarantee)
}

pub(crate) fn settings_at(brokers: &str, guarantee: Guarantee) -> Settings {
    let mut kafka: Kafka = toml::from_str("brokers = \"\"\nstart = \"earliest\"").unwrap();
    kafka.brokers = brokers.into();
    kafka.guarantee = guarantee;
    kafka.instance = Some("test".into());
    kafka.session_timeout = Some(Span::seconds(6));
    kafka
        .consumer
        .insert("statistics.interval.ms".into(), PropertyValue::Integer(100));
    Settings {
        pipeline: "test".into(),
        kafka,
        topics: Topics::default(),
    }
}

pub(crate) fn produce(brokers: &str, partition: i32, values: std::ops::Range<i64>) {
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    for value in values {
        let value = value.to_string();
        let record: BaseRecord<'_, str, str> = BaseRecord::to("events").partition(partition).payload(&value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(DEADLINE).unwrap();
}

/// What a record was, after it is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) value: Vec<u8>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

/// A broker with what it has seen.
pub(crate) struct Lane {
    pub(crate) broker: KafkaBroker,
    pub(crate) seen: Vec<Seen>,
}

impl Lane {
    pub(crate) fn open(settings: &Settings, lane: u16) -> Self {
        Self {
            broker: KafkaBroker::open(settings, lane).unwrap(),
            seen: Vec::new(),
        }
    }

    /// A lane that holds every partition of the events topic.
    pub(crate) fn with_everything(settings: &Settings) -> Self {
        let mut lane = Self::open(settings, 0);
        let partitions = lane.assigned();
        lane.broker.accept(&partitions).unwrap();
        lane
    }

    pub(crate) fn poll(&mut self) -> Polled {
        self.try_poll().unwrap()
    }

    pub(crate) fn try_poll(&mut self) -> Result<Polled, eddy_broker::BrokerError> {
        let seen = &mut self.seen;
        self.broker.poll(Duration::from_millis(20), &mut |record| {
            assert_eq!(record.topic, "events");
            let headers = record
                .headers
                .iter()
                .map(|header| (header.name.to_owned(), header.value.map(<[u8]>::to_vec)));
            seen.push(Seen {
                partition: record.source.partition.number,
                offset: record.source.offset,
                value: record.value.unwrap_or_default().to_vec(),
                headers: headers.collect(),
            });
        })
    }

    pub(crate) fn assigned(&mut self) -> Vec<Partition> {
        until("partitions are assigned", || match self.poll() {
            Polled::Assigned(partitions) => Some(partitions),
            _ => None,
        })
    }

    /// Polls until so many records were seen in all.
    pub(crate) fn read(&mut self, count: usize) {
        until("the records arrive", || {
            self.poll();
            (self.seen.len() >= count).then_some(())
        });
    }

    pub(crate) fn offsets(&self) -> Vec<i64> {
        self.seen.iter().map(|seen| seen.offset).collect()
    }

    pub(crate) fn undelivered(&mut self) -> Vec<Undelivered> {
        let mut undelivered = Vec::new();
        self.broker.undelivered(&mut undelivered);
        undelivered
    }

    pub(crate) fn drain(&mut self) {
        until("everything is delivered", || {
            self.broker.serve(Duration::from_millis(20));
            (self.broker.in_flight() == 0).then_some(())
        });
    }
}

pub(crate) fn partition(number: i32) -> Partition {
    Partition { topic: 0, number }
}

pub(crate) fn output<'a>(value: &'a [u8], headers: &'a [Header<'a>]) -> Output<'a> {
    Output {
        to: Destination::Predictions,
        partition: 0,
        key: Some(b"key"),
        value: Some(value),
        headers,
    }
}

/// Repeats until there is an answer. Only a test that fails waits for the deadline.
pub(crate) fn until<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = attempt() {
            return answer;
        }
        assert!(started.elapsed() < DEADLINE, "never came true: {what}");
    }
}
