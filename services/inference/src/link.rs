//! The lane's broker, and the rebalances that came while the lane was busy.
//!
//! Owns: waiting. A short wait only serves the producer; a longer one pauses the partitions and goes on polling, so that
//! the lane keeps its place in the group through an outage of any length.
//!
//! Invariant: no record is taken while paused, and no rebalance is lost.

use std::collections::VecDeque;
use std::time::Duration;

use eddy_broker::{Broker, BrokerError, Polled};
use eddy_pipeline::event::Partition;

/// A wait longer than this pauses the partitions.
const MOMENT: Duration = Duration::from_millis(250);

/// A broker with what it said out of turn.
#[derive(Debug)]
pub(crate) struct Link<B> {
    /// The broker itself, for everything but polling.
    pub(crate) broker: B,
    rebalances: VecDeque<Polled>,
    waited: Duration,
    paused: bool,
    /// Partitions may have come since they were paused.
    is_outdated: bool,
}

impl<B: Broker> Link<B> {
    pub(crate) fn new(broker: B) -> Self {
        Self {
            broker,
            rebalances: VecDeque::new(),
            waited: Duration::ZERO,
            paused: false,
            is_outdated: false,
        }
    }

    /// The oldest rebalance that waits to be taken up. It stays until [`Link::drop_first_rebalance`], so that a rewind
    /// on the way knows which partitions are leaving.
    pub(crate) fn first_rebalance(&self) -> Option<&Polled> {
        self.rebalances.front()
    }

    /// Forgets the oldest rebalance: it was taken up.
    pub(crate) fn drop_first_rebalance(&mut self) {
        self.rebalances.pop_front();
    }

    /// Keeps a rebalance for later.
    pub(crate) fn keep(&mut self, rebalance: Polled) {
        self.rebalances.push_back(rebalance);
    }

    /// Whether a rebalance waits to be taken up.
    pub(crate) fn has_rebalance(&self) -> bool {
        !self.rebalances.is_empty()
    }

    /// Whether the group already asks this partition back.
    pub(crate) fn is_leaving(&self, partition: Partition) -> bool {
        self.rebalances
            .iter()
            .any(|polled| matches!(polled, Polled::Revoked { partitions, .. } if partitions.contains(&partition)))
    }

    /// Waits for the producer or the cluster for about `time`. Call it again and again until what was waited for is
    /// there, then [`Link::go_on`].
    pub(crate) fn wait(&mut self, time: Duration) -> Result<(), BrokerError> {
        self.waited += time;
        if self.waited <= MOMENT {
            self.broker.serve(time);
            return Ok(());
        }
        self.hold()?;
        self.broker.serve(Duration::ZERO);
        self.poll_group(time)
    }

    /// Whether the partitions are paused for a wait.
    pub(crate) fn is_held(&self) -> bool {
        self.paused
    }

    /// Pauses all partitions until [`Link::go_on`].
    pub(crate) fn hold(&mut self) -> Result<(), BrokerError> {
        if !self.paused || self.is_outdated {
            self.broker.pause(true)?;
            self.paused = true;
            self.is_outdated = false;
        }
        Ok(())
    }

    /// Serves the group while the partitions are paused. A record that comes all the same is put back.
    pub(crate) fn poll_group(&mut self, time: Duration) -> Result<(), BrokerError> {
        let mut stray = None;
        match self.broker.poll(time, &mut |record| stray = Some(record.source))? {
            Polled::Record | Polled::Idle => {}
            rebalance => self.rebalances.push_back(rebalance),
        }
        match stray {
            Some(source) => self.broker.rewind(&[(source.partition, source.offset)]),
            None => Ok(()),
        }
    }

    /// Makes the next [`Link::hold`] pause again: partitions that have come since are not paused yet. What is paused
    /// stays so until [`Link::go_on`].
    pub(crate) fn forget_hold(&mut self) {
        self.is_outdated = true;
    }

    /// Ends a wait: partitions flow again.
    pub(crate) fn go_on(&mut self) -> Result<(), BrokerError> {
        self.waited = Duration::ZERO;
        if self.paused {
            self.broker.pause(false)?;
            self.paused = false;
        }
        Ok(())
    }
}
