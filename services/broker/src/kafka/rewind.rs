//! Going back to earlier positions.
//!
//! Owns: waiting until the client has begun to read what it was just given. Never does: wait for what the lane does not hold.

use std::time::{Duration, Instant};

use eddy_pipeline::event::Partition;
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode as Code;

use super::intake::{ANSWER_WITHIN, Intake};
use super::lists::{check_each, check_each_but};
use crate::{BrokerError, Fault};

/// A partition that was just taken has no position yet; it is asked again after this.
const POSITION_PAUSE: Duration = Duration::from_millis(5);
/// What the client answers to a seek while a partition is being started.
const EARLY: [Code; 2] = [Code::State, Code::Outdated];

impl Intake {
    pub(super) fn rewind(&mut self, positions: &[(Partition, i64)]) -> Result<(), BrokerError> {
        let deadline = Instant::now() + ANSWER_WITHIN;
        let mut left: Vec<(Partition, i64)> = positions.to_vec();
        while !left.is_empty() {
            let list = self.list_with_offsets(&left)?;
            let list = self
                .consumer
                .seek_partitions(list, ANSWER_WITHIN)
                .map_err(|error| BrokerError {
                    fault: Fault::Retriable,
                    doing: "going back".into(),
                    message: error.to_string(),
                })?;
            let is_late = Instant::now() >= deadline;
            let is_early = |(partition, _): &(Partition, i64)| {
                let element = list.find_partition(self.topic(*partition), partition.number);
                let code = element.and_then(|element| element.error().err()?.rdkafka_error_code());
                code.is_some_and(|code| EARLY.contains(&code)) && self.assigned.contains(partition)
            };
            left.retain(is_early);
            if is_late && !left.is_empty() {
                return Err(BrokerError {
                    fault: Fault::Retriable,
                    doing: format!("going back in {}", self.names(&partitions_of(&left))),
                    message: "the client has not begun to read there yet".into(),
                });
            }
            if left.is_empty() {
                return check_each(&list, "going back in");
            }
            check_each_but(&list, "going back in", &EARLY)?;
            std::thread::sleep(POSITION_PAUSE);
        }
        Ok(())
    }
}

fn partitions_of(positions: &[(Partition, i64)]) -> Vec<Partition> {
    positions.iter().map(|(partition, _)| *partition).collect()
}
