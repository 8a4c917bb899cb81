//! `serde_json` makes a row of each event, through a struct that knows the fields.

use std::hint::black_box;

use super::Job;
use crate::common::events::{Event, WIDTH};

/// Decodes as many events as there are, into one batch of rows after the other.
pub(super) fn all(job: &Job, events: &[String]) {
    let mut rows = vec![0_f32; job.batch_rows * WIDTH];
    for (number, text) in events.iter().cycle().take(job.events).enumerate() {
        let event: Event = serde_json::from_slice(text.as_bytes()).expect("the events are sound");
        let at = number % job.batch_rows * WIDTH;
        rows[at..at + WIDTH].copy_from_slice(&event.row());
        black_box(&mut rows);
    }
}
