//! What every test needs: topics of its own, and a lane that copies events to predictions step by step.

use std::ops::Range;
use std::time::{Duration, Instant};

use eddy_broker::kafka::KafkaBroker;
use eddy_broker::settings::{Guarantee, Kafka as KafkaSettings, PropertyValue, Settings, Start, Topics};
use eddy_broker::{Broker, BrokerError, Fault, Polled};
use eddy_pipeline::event::{Destination, Output, Partition};
use eddy_pipeline::settings::Span;
use eddy_tests::kafka::{Isolation, Kafka};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A test's own topics in a broker that others use too, and settings for them.
pub(crate) fn stage(kafka: &Kafka, name: &str, partitions: i32, guarantee: Guarantee) -> Settings {
    let topic = |role: &str| format!("{name}-{role}");
    let topics = Topics {
        events: topic("events"),
        predictions: topic("predictions"),
        retraining: topic("retraining"),
        dead_letters: topic("dead-letters"),
    };
    for (key, topic) in topics.all() {
        let configs: &[(&str, &str)] = if key == "topics.retraining" {
            &[("max.message.bytes", "2000")]
        } else {
            &[]
        };
        kafka.create_topic(topic, if key == "topics.events" { partitions } else { 1 }, configs);
    }
    let kafka = KafkaSettings {
        brokers: kafka.bootstrap(),
        preset: None,
        group: None,
        instance: Some("test".into()),
        guarantee,
        start: Start::Earliest,
        lanes: 1,
        membership: Default::default(),
        session_timeout: Some(Span::seconds(6)),
        transaction_timeout: Span::seconds(10),
        linger: Span::ms(0),
        compression: Default::default(),
        max_output_bytes: eddy_pipeline::settings::Bytes(1_000_000),
        tls: None,
        sasl: None,
        properties: [
            ("reconnect.backoff.ms".to_owned(), PropertyValue::Integer(20)),
            ("reconnect.backoff.max.ms".to_owned(), PropertyValue::Integer(200)),
        ]
        .into(),
        consumer: [("statistics.interval.ms".to_owned(), PropertyValue::Integer(100))].into(),
        producer: Default::default(),
    };
    Settings {
        pipeline: name.into(),
        kafka,
        topics,
    }
}

pub(crate) fn write_events(kafka: &Kafka, settings: &Settings, partition: i32, values: Range<i64>) {
    let producer: BaseProducer = kafka.client().create().unwrap();
    for value in values {
        let value = value.to_string();
        let record: BaseRecord<'_, str, str> = BaseRecord::to(&settings.topics.events)
            .partition(partition)
            .payload(&value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

pub(crate) fn visible(kafka: &Kafka, topic: &str) -> Vec<String> {
    let messages = kafka.read_all(topic, Isolation::ReadCommitted);
    messages
        .into_iter()
        .map(|message| String::from_utf8(message.value.unwrap()).unwrap())
        .collect()
}

pub(crate) fn numbers(values: Range<i64>) -> Vec<String> {
    values.map(|value| value.to_string()).collect()
}

pub(crate) fn partition(number: i32) -> Partition {
    Partition { topic: 0, number }
}

pub(crate) fn until<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = attempt() {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "never came true: {what}");
    }
}

/// A lane that copies events to predictions, step by step.
pub(crate) struct Copier {
    pub(crate) broker: KafkaBroker,
    /// Partition, offset and value of what was read and not yet copied.
    pub(crate) read: Vec<(i32, i64, Vec<u8>)>,
}

impl Copier {
    pub(crate) fn open(settings: &Settings, lane: u16) -> Self {
        Self {
            broker: KafkaBroker::open(settings, lane).unwrap(),
            read: Vec::new(),
        }
    }

    pub(crate) fn with_everything(settings: &Settings) -> Self {
        let mut copier = Self::open(settings, 0);
        let partitions = until("partitions are assigned", || match copier.poll() {
            Polled::Assigned(partitions) => Some(partitions),
            _ => None,
        });
        copier.broker.accept(&partitions).unwrap();
        copier
    }

    pub(crate) fn poll(&mut self) -> Polled {
        self.try_poll().unwrap()
    }

    pub(crate) fn try_poll(&mut self) -> Result<Polled, BrokerError> {
        let read = &mut self.read;
        self.broker.poll(Duration::from_millis(20), &mut |record| {
            read.push((
                record.source.partition.number,
                record.source.offset,
                record.value.unwrap().to_vec(),
            ));
        })
    }

    pub(crate) fn read(&mut self, count: usize) {
        until("events arrive", || {
            self.poll();
            (self.read.len() >= count).then_some(())
        });
    }

    pub(crate) fn begin_copy(&mut self) {
        self.broker.begin().unwrap();
        self.send();
        self.drain();
    }

    pub(crate) fn send(&mut self) {
        for (row, (_, _, value)) in self.read.iter().enumerate() {
            let (to, headers) = (Destination::Predictions, &[]);
            let output = Output {
                to,
                partition: 0,
                key: None,
                value: Some(value),
                headers,
            };
            self.broker.send(&output, 1, row as u32).unwrap();
        }
    }

    pub(crate) fn drain(&mut self) {
        until("outputs are delivered", || {
            self.broker.serve(Duration::from_millis(20));
            (self.broker.in_flight() == 0).then_some(())
        });
    }

    /// The next offset of each partition that something was read of.
    pub(crate) fn next_offsets(&self) -> Vec<(Partition, i64)> {
        let mut next = std::collections::BTreeMap::new();
        for (number, offset, _) in &self.read {
            next.insert(partition(*number), offset + 1);
        }
        next.into_iter().collect()
    }

    pub(crate) fn copy(&mut self) {
        self.try_copy().unwrap();
    }

    fn try_copy(&mut self) -> Result<(), BrokerError> {
        if self.read.is_empty() {
            return Ok(());
        }
        self.begin_copy();
        self.broker.send_offsets(&self.next_offsets())?;
        self.broker.commit()?;
        self.read.clear();
        Ok(())
    }

    /// Copies what was read. Where a rebalance that was not heard of yet forbids it, undoes it, to read it again.
    pub(crate) fn copy_or_undo(&mut self) {
        let Err(error) = self.try_copy() else { return };
        assert_eq!(error.fault, Fault::Abortable, "{error:?}");
        self.broker.abort().unwrap();
        let mut first = std::collections::BTreeMap::new();
        for (number, offset, _) in self.read.drain(..) {
            first.entry(partition(number)).or_insert(offset);
        }
        self.broker.rewind(&first.into_iter().collect::<Vec<_>>()).unwrap();
    }

    /// One step of a lane that shares its group: what the group asks for is done, what was read is copied.
    pub(crate) fn step(&mut self) {
        let rebalance = self.poll();
        self.copy_or_undo();
        match rebalance {
            Polled::Assigned(partitions) => self.broker.accept(&partitions).unwrap(),
            Polled::Revoked { partitions, .. } => self.broker.release(&partitions).unwrap(),
            Polled::Record | Polled::Idle => {}
        }
    }
}
