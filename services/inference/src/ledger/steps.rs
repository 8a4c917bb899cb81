//! The steps of a checkpoint, carried out.
//!
//! Owns: what each [`Step`] is to the broker and the books. Never does: decide which comes next.

use std::time::Duration;

use eddy_broker::{Broker, BrokerError, Fault, SendError, Ticket};
use eddy_pipeline::checkpoint::{Next, Step, Stop, Went};
use eddy_pipeline::event::{Output, Partition};
use eddy_pipeline::outcome::Remembers;
use eddy_pipeline::time::{Clock, Now};

use super::{Ledger, Settled, Stopped, TICK};
use crate::link::Link;

/// One wait before a call is made again that may succeed later.
const BACK_OFF: Duration = Duration::from_millis(100);

impl Ledger {
    pub(super) fn carry_out<B: Broker>(
        &mut self,
        mut next: Next,
        link: &mut Link<B>,
        clock: &dyn Clock,
    ) -> Result<Settled, Stopped> {
        let mut before = None;
        loop {
            let step = match next {
                Next::Do(step) => step,
                Next::Durable => {
                    self.last_error = None;
                    self.renewals.reset();
                    return Ok(Settled::Durable);
                }
                Next::RolledBack => {
                    self.last_error = None;
                    return Ok(Settled::RolledBack);
                }
                Next::Stop(stop) => return Err(self.stopped(stop)),
            };
            let pause = match step {
                Step::Renew | Step::Rejoin => self.renewals.next(clock.now()),
                _ if before == Some(step) => BACK_OFF,
                _ => Duration::ZERO,
            };
            self.pause(link, pause);
            before = Some(step);
            let went = match self.perform(step, link, clock) {
                Ok(went) => went,
                Err(error) => {
                    tracing::warn!(step = ?step, fault = ?error.fault, error = %error, "a step of the checkpoint failed");
                    let fault = error.fault;
                    self.remember(error);
                    Went::Wrong(fault)
                }
            };
            next = self.checkpoint.next(step, went, clock.now());
        }
    }

    fn perform<B: Broker>(&mut self, step: Step, link: &mut Link<B>, clock: &dyn Clock) -> Result<Went, BrokerError> {
        match step {
            Step::Drain => self.drain(link, clock)?,
            Step::SendOffsets => {
                let offsets = self.spans.offsets(usize::MAX);
                self.annotate(link, &offsets, self.spans.len());
                link.broker.send_offsets(&offsets)?;
            }
            Step::Commit => link.broker.commit()?,
            Step::StoreOffsets => self.commit_all(link, clock.now())?,
            Step::Abort => {
                link.broker.abort()?;
                self.metrics.transaction_aborted();
                self.learn_the_cause(link)?;
            }
            Step::Discard => {
                link.broker.discard()?;
                self.learn_the_cause(link)?;
            }
            Step::Renew => {
                link.broker.renew_producer()?;
                self.metrics.producer_renewed();
            }
            Step::Rejoin => {
                link.rejoin()?;
                self.metrics.consumer_renewed();
                tracing::warn!("the consumer was replaced; it joins the group anew");
            }
            Step::Inspect => return self.inspect(link),
            Step::Replay => return self.replay(link, clock.now()),
            Step::Publish => self.publish(self.spans.len(), clock.now()),
            Step::RollBack => self.roll_back(link)?,
        }
        Ok(Went::Well)
    }

    /// What brought an abort about may be known only now: a refusal stops the service, an output that was too large is
    /// remembered while its span is still there.
    fn learn_the_cause<B: Broker>(&mut self, link: &mut Link<B>) -> Result<(), BrokerError> {
        match self.look_for_failures(link) {
            Some(error) if error.fault == Fault::Refused => Err(error),
            _ => Ok(()),
        }
    }

    pub(super) fn drain<B: Broker>(&mut self, link: &mut Link<B>, clock: &dyn Clock) -> Result<(), BrokerError> {
        let started = clock.now().monotonic;
        loop {
            link.broker.serve(Duration::ZERO);
            if let Some(error) = self.look_for_failures(link) {
                let lost_for_good = error.fault == Fault::Refused || error.fault == Fault::Fatal;
                let fault = if lost_for_good { error.fault } else { Fault::Abortable };
                return Err(BrokerError { fault, ..error });
            }
            if link.broker.in_flight() == 0 {
                return Ok(());
            }
            if clock.now().monotonic.saturating_sub(started) > self.settings.delivery_timeout.0 {
                return Err(self.not_delivered());
            }
            self.wait(link, TICK)?;
        }
    }

    pub(super) fn not_delivered(&self) -> BrokerError {
        BrokerError {
            fault: Fault::Abortable,
            doing: "delivering the outputs".into(),
            message: format!(
                "not all were acknowledged within {} (`checkpoint.delivery_timeout`)",
                self.settings.delivery_timeout
            ),
        }
    }

    fn inspect<B: Broker>(&mut self, link: &mut Link<B>) -> Result<Went, BrokerError> {
        let offsets = self.spans.offsets(usize::MAX);
        let partitions: Vec<Partition> = offsets.iter().map(|(partition, _)| *partition).collect();
        let committed = link.broker.committed(&partitions)?;
        let all = offsets
            .iter()
            .zip(&committed)
            .all(|((_, ours), theirs)| theirs.is_some_and(|at| at >= *ours));
        Ok(if all { Went::Committed } else { Went::NotCommitted })
    }

    /// Hands the outputs of the span over again. Once the transaction is begun, an error can only abort it.
    fn replay<B: Broker>(&mut self, link: &mut Link<B>, now: Now) -> Result<Went, BrokerError> {
        let offsets = self.spans.offsets(usize::MAX);
        let are_ours = offsets.iter().all(|(partition, _)| !link.is_leaving(*partition));
        // What a topic found too large must take another way, so its event is read again.
        if !self.held.is_whole() || !are_ours || !self.condemned.is_empty() {
            return Ok(Went::NotHeld);
        }
        link.broker.begin()?;
        self.checkpoint.opened(now);
        let held = std::mem::take(&mut self.held);
        let replayed = held.each(|output, place| self.send_again(link, output, place));
        self.held = held;
        replayed?;
        self.metrics.transaction_replayed();
        tracing::info!(
            outputs = self.held.len(),
            "the outputs of an aborted transaction are sent again"
        );
        Ok(Went::Well)
    }

    fn send_again<B: Broker>(
        &mut self,
        link: &mut Link<B>,
        output: &Output<'_>,
        (ticket, row): (Ticket, u32),
    ) -> Result<(), BrokerError> {
        let fails = |error: BrokerError| BrokerError {
            fault: match error.fault {
                Fault::Retriable => Fault::Abortable,
                fault => fault,
            },
            ..error
        };
        loop {
            match link.broker.send(output, ticket, row) {
                Ok(()) => return Ok(()),
                Err(SendError::Failed(error)) => return Err(fails(error)),
                Err(SendError::TooLarge { detail }) => {
                    return Err(BrokerError {
                        fault: Fault::Abortable,
                        doing: format!("sending an output to {} again", output.to),
                        message: detail,
                    });
                }
                Err(SendError::Full) => {
                    self.wait(link, TICK).map_err(fails)?;
                    if let Some(error) = self.look_for_failures(link) {
                        return Err(fails(error));
                    }
                }
            }
        }
    }

    fn roll_back<B: Broker>(&mut self, link: &mut Link<B>) -> Result<(), BrokerError> {
        let back: Vec<(Partition, i64)> = self
            .progress
            .iter()
            .filter(|(partition, progress)| progress.next != progress.durable && !link.is_leaving(**partition))
            .map(|(partition, progress)| (*partition, progress.durable))
            .collect();
        if !back.is_empty() {
            link.broker.rewind(&back)?;
        }
        for (partition, progress) in &mut self.progress {
            if progress.next > progress.durable {
                let undone = self.redo.entry(*partition).or_insert(progress.next);
                *undone = progress.next.max(*undone);
            }
            progress.next = progress.durable;
        }
        self.spans.take(self.spans.len(), |_| ());
        self.accounts.rollback();
        self.metrics.rollback();
        self.selection.rollback();
        Ok(())
    }

    /// Keeps the error that a stop will name. A refusal is the cause; what fails after it is a consequence.
    pub(super) fn remember(&mut self, error: BrokerError) {
        if self
            .last_error
            .as_ref()
            .is_none_or(|known| known.fault != Fault::Refused)
        {
            self.last_error = Some(error);
        }
    }

    fn stopped(&self, stop: Stop) -> Stopped {
        let cause = self
            .last_error
            .as_ref()
            .map_or_else(|| "no cause known".to_owned(), ToString::to_string);
        let message = match stop {
            Stop::Fenced => format!(
                "another process has the same identity and took over ({cause}); give each replica its own \
                 `kafka.instance`"
            ),
            Stop::GuaranteeLost => format!("the outputs cannot be made durable together with their offsets: {cause}"),
        };
        Stopped { stop, message }
    }
}
