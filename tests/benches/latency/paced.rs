//! The service at a fixed rate: one thread sends, another reads what is committed.
//!
//! Invariant: a latency runs from the moment before an event was handed to its producer to the moment when a
//! `read_committed` consumer handed over its prediction; both moments are of one clock.

use std::thread;
use std::time::{Duration, Instant};

use eddy_tests::kafka::Kafka;
use eddy_tests::service::{Replica, wait_for};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};

use crate::common::clients::Guarantee;
use crate::common::setting::{PARTITIONS, Setting};
use crate::common::{BINARY, cpu, events};
/// Not counted: the first transactions, connections and pages of memory.
const WARM_UP: Duration = Duration::from_secs(3);
/// The producer hands over what is due this often.
const STEP: Duration = Duration::from_millis(1);

/// How fast, and how long after the warm-up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) rate: usize,
    pub(crate) time: Duration,
}

impl Pace {
    fn events_in(&self, time: Duration) -> usize {
        (self.rate as f64 * time.as_secs_f64()) as usize
    }
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Paced {
    /// Processor time of the service for each event.
    pub(crate) cpu_us: f64,
    /// Latencies, ascending.
    latencies: Vec<Duration>,
}

impl Paced {
    pub(crate) fn run(
        setting: &Setting,
        name: &str,
        guarantee: Guarantee,
        (pace, settings): (Pace, &[(&str, &str)]),
    ) -> Self {
        let topic = format!("{name}-events");
        setting.kafka.create_topic(&topic, PARTITIONS, &[]);
        let pipeline = setting.pipeline(name, guarantee);
        let settings = [settings, &[("EDDY__TOPICS__EVENTS", topic.as_str())]].concat();
        let mut replica = Replica::start(BINARY, &pipeline, "bench", &settings);
        wait_for("the service to be ready", || {
            (replica.code("/ready") == Some(200)).then_some(())
        });

        let clock = Instant::now();
        let (warm_up, counted) = (pace.events_in(WARM_UP), pace.events_in(pace.time));
        let (latencies, cpu) = thread::scope(|scope| {
            let reader = scope.spawn(|| read(&setting.kafka, name, clock, warm_up + counted));
            send(&setting.kafka, &topic, (clock, pace.rate), 0..warm_up);
            let before = cpu::of_process(replica.pid());
            send(&setting.kafka, &topic, (clock, pace.rate), warm_up..warm_up + counted);
            let cpu = cpu::of_process(replica.pid()) - before;
            (reader.join().expect("every prediction arrives"), cpu)
        });
        assert!(replica.terminate().success(), "{}", replica.log());
        let mut latencies: Vec<Duration> = latencies.into_iter().skip(warm_up).collect();
        latencies.sort_unstable();
        Self {
            cpu_us: cpu.as_secs_f64() / counted as f64 * 1e6,
            latencies,
        }
    }

    pub(crate) fn percentile_ms(&self, percent: usize) -> f64 {
        let at = (self.latencies.len() * percent / 100).min(self.latencies.len() - 1);
        self.latencies[at].as_secs_f64() * 1e3
    }
}

/// Sends these events of the schedule, each when it is due. Its id is its number and the moment.
fn send(kafka: &Kafka, topic: &str, (clock, rate): (Instant, usize), numbers: std::ops::Range<usize>) {
    let producer: BaseProducer = kafka
        .client()
        .set("linger.ms", "0")
        .create()
        .expect("a producer can be made");
    let different = events::different();
    // The schedule goes on where the last call ended, so that no pause of ours is made up for in a burst.
    let (first, started) = (numbers.start, clock.elapsed());
    for number in numbers {
        let due = started + Duration::from_secs_f64((number - first) as f64 / rate as f64);
        while clock.elapsed() < due {
            thread::sleep(STEP);
            producer.poll(Duration::ZERO);
        }
        let id = format!("{number}/{}", clock.elapsed().as_micros());
        let headers = OwnedHeaders::new().insert(Header {
            key: "eddy.id",
            value: Some(&id),
        });
        let record = BaseRecord::<str, str>::to(topic)
            .partition(number as i32 % PARTITIONS)
            .payload(&different[number % different.len()])
            .headers(headers);
        let sent = producer.send(record);
        sent.map_err(|(error, _)| error).expect("the producer's queue has room");
    }
    producer.flush(Duration::from_secs(60)).expect("the events arrive");
}

/// Reads what is committed until all predictions are there; gives their latencies by number.
fn read(kafka: &Kafka, name: &str, clock: Instant, events: usize) -> Vec<Duration> {
    let consumer: BaseConsumer = kafka
        .client()
        .set("group.id", "latency-reader")
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "100")
        .create()
        .expect("a consumer can be made");
    let mut partitions = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        partitions
            .add_partition_offset(&format!("{name}-predictions"), partition, Offset::Beginning)
            .expect("a valid offset");
    }
    consumer.assign(&partitions).expect("the partitions are there");
    let mut latencies: Vec<Option<Duration>> = vec![None; events];
    let mut missing = events;
    let patience = Duration::from_secs(120);
    let mut heard = Instant::now();
    while missing > 0 {
        assert!(heard.elapsed() < patience, "{missing} predictions never came");
        let Some(message) = consumer.poll(Duration::from_millis(100)) else {
            continue;
        };
        heard = Instant::now();
        let message = message.expect("the predictions can be read");
        let arrived = clock.elapsed();
        let id = message
            .headers()
            .and_then(|headers| headers.iter().find(|header| header.key == "eddy.id"));
        let id = id
            .and_then(|header| std::str::from_utf8(header.value?).ok())
            .expect("a prediction has an id");
        let (number, sent) = id.split_once('/').expect("the id is ours");
        let slot = &mut latencies[number.parse::<usize>().expect("the id is ours")];
        let sent = Duration::from_micros(sent.parse().expect("the id is ours"));
        // At least once, the first arrival counts.
        if slot.is_none() {
            *slot = Some(arrived - sent);
            missing -= 1;
        }
    }
    latencies.into_iter().flatten().collect()
}
