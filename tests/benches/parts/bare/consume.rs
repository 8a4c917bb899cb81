//! librdkafka reads all events.

use std::hint::black_box;
use std::time::Duration;

use rdkafka::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::Job;
use crate::common::clients;
use crate::common::setting::EVENTS;

/// Joins a group of its own and reads every event, looking at each byte.
pub(super) fn all(job: &Job) {
    let group = format!("{}-bare-in", job.name);
    let config = clients::consumer(&job.brokers, &group, job.guarantee);
    let consumer: BaseConsumer = config.create().expect("a consumer can be made");
    consumer.subscribe(&[EVENTS]).expect("a topic can be subscribed to");
    let mut seen = 0;
    let mut sum = 0_u64;
    while seen < job.events {
        let Some(polled) = consumer.poll(Duration::from_millis(100)) else {
            continue;
        };
        let record = polled.expect("the events can be read");
        let payload = record.payload().expect("every event has a value");
        sum += payload.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        seen += 1;
    }
    black_box(sum);
}
