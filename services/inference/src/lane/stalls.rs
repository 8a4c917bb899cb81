//! Partitions that stand still although there is something to read.
//!
//! Owns: looking for them while the lane has nothing to do, and carrying out what [`Stalls`] decides.
//! Never does: look while the stream is paused or nobody answers.
//!
//! [`Stalls`]: eddy_pipeline::stall::Stalls

use std::time::Duration;

use eddy_broker::{Broker, BrokerError, Fault};
use eddy_pipeline::checkpoint::Stop;
use eddy_pipeline::event::Partition;
use eddy_pipeline::stall::Cure;

use super::{LAG_INTERVAL, Lane};
use crate::ledger::Stopped;

/// How often the group is asked where it stands in partitions from which nothing came yet.
const LEARN_EVERY: Duration = Duration::from_secs(10);

impl<B: Broker> Lane<B> {
    /// Looks for partitions that stand still, about once a second while there is nothing else to do.
    pub(super) fn look_for_stalls(&mut self) -> Result<(), Stopped> {
        let now = self.clock.now().monotonic;
        if now < self.stalls.look_at || self.link.broker.silence().is_some() {
            return Ok(());
        }
        self.stalls.look_at = now + LAG_INTERVAL;
        self.learn_positions(now);
        let Some(partition) = self.stalls.watch.look(self.ledger.positions(), now) else {
            return Ok(());
        };
        let reach = self.link.broker.reach(partition);
        match self.stalls.watch.told(partition, reach, self.clock.now().monotonic) {
            Some(cure) => self.cure(partition, cure),
            None => Ok(()),
        }
    }

    fn cure(&mut self, partition: Partition, cure: Cure) -> Result<(), Stopped> {
        let position = self.ledger.positions().find(|(one, _)| *one == partition);
        let Some((_, position)) = position else { return Ok(()) };
        let after = self.settings.checkpoint.stall_after;
        let name = format!("`{}` [{}]", self.link.broker.topic(partition), partition.number);
        let what = format!(
            "{name} has events from offset {position} on, and none has come for {after} (`checkpoint.stall_after`)"
        );
        self.ledger.metrics().stalled();
        match cure {
            Cure::Rewind => {
                tracing::warn!("{what}; reading from there anew");
                match self.link.broker.rewind(&[(partition, position)]) {
                    Ok(()) => Ok(()),
                    Err(error) => self.undo(Some(error)),
                }
            }
            Cure::Rejoin => self.undo(Some(BrokerError {
                fault: Fault::ConsumerLost,
                doing: format!("reading {name}"),
                message: format!("{what}; going back to it did not help, so the client is replaced"),
            })),
            Cure::Stop => Err(Stopped {
                stop: Stop::GuaranteeLost,
                message: format!(
                    "{what}; neither going back to it nor a new client helped, so the process ends; what is committed is \
                     right"
                ),
            }),
        }
    }

    /// Where the group stands in partitions from which nothing came since they were taken: for the lag, for skips that
    /// are past, and as the place to go back to.
    fn learn_positions(&mut self, now: Duration) {
        if now < self.stalls.learn_at {
            return;
        }
        let held = self.report.partitions();
        let unknown: Vec<Partition> = held.into_iter().filter(|one| !self.ledger.knows(*one)).collect();
        if unknown.is_empty() {
            return;
        }
        self.stalls.learn_at = now + LEARN_EVERY;
        match self.link.broker.committed(&unknown) {
            Ok(committed) => {
                for (partition, offset) in unknown.into_iter().zip(committed) {
                    // A group that has committed nothing begins where the client says.
                    let begin = || self.link.broker.reach(partition).map(|reach| reach.fetched);
                    let offset = offset.or_else(begin);
                    self.ledger.know(partition, offset);
                }
            }
            Err(error) => tracing::debug!(%error, "where the group stands could not be asked"),
        }
    }
}
