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
    /// Records that came while nobody could take them, and are not put back yet.
    strays: Vec<(Partition, i64)>,
}

impl<B: Broker> Link<B> {
    pub(crate) fn new(broker: B) -> Self {
        Self {
            broker,
            rebalances: VecDeque::new(),
            waited: Duration::ZERO,
            paused: false,
            strays: Vec::new(),
        }
    }

    /// The oldest rebalance that waits to be taken up. It stays until [`Link::drop_first_rebalance`], so that a rewind
    /// on the way knows which partitions are leaving.
    pub(crate) fn first_rebalance(&self) -> Option<&Polled> {
        self.rebalances.front()
    }

    /// Forgets the oldest rebalance if it is this one, which was taken up. On the way another may have taken its place:
    /// see [`Link::rejoin`].
    pub(crate) fn drop_first_rebalance(&mut self, taken_up: &Polled) {
        self.rebalances.pop_front_if(|first| first == taken_up);
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

    /// Whether these partitions are lost, as a rebalance says that waits to be taken up. What came before it about them is
    /// void: the client waits for the answer to the loss.
    pub(crate) fn has_lost(&self, partitions: &[Partition]) -> bool {
        let is_lost = |partition: &Partition| {
            self.rebalances.iter().any(
                |polled| matches!(polled, Polled::Revoked { partitions, lost: true } if partitions.contains(partition)),
            )
        };
        !partitions.is_empty() && partitions.iter().all(is_lost)
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

    /// Replaces the consumer. What the old one held is lost, which is the first rebalance of the new one; those of the old
    /// one are void.
    pub(crate) fn rejoin(&mut self) -> Result<(), BrokerError> {
        let mut partitions = self.broker.renew_consumer()?;
        // What a consumer before that one held is lost too, if the lane has not heard of it yet.
        for rebalance in self.rebalances.drain(..) {
            if let Polled::Revoked {
                partitions: earlier,
                lost: true,
            } = rebalance
            {
                partitions.extend(earlier);
            }
        }
        partitions.sort_unstable();
        partitions.dedup();
        self.strays.clear();
        self.paused = false;
        if !partitions.is_empty() {
            self.keep(Polled::Revoked { partitions, lost: true });
        }
        Ok(())
    }

    /// How long the present wait has lasted; zero when there is none.
    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }

    /// Pauses all partitions until [`Link::go_on`].
    pub(crate) fn hold(&mut self) -> Result<(), BrokerError> {
        if !self.paused {
            self.broker.pause(true)?;
            self.paused = true;
        }
        Ok(())
    }

    /// Serves the group while the partitions are paused. A record that comes all the same is put back.
    pub(crate) fn poll_group(&mut self, time: Duration) -> Result<(), BrokerError> {
        self.put_back()?;
        let strays = &mut self.strays;
        match self.broker.poll(time, &mut |record| {
            strays.push((record.source.partition, record.source.offset))
        })? {
            Polled::Record | Polled::Idle => {}
            rebalance => self.rebalances.push_back(rebalance),
        }
        self.put_back()
    }

    /// Goes back to records that came while nobody could take them. They stay noted until that has succeeded.
    fn put_back(&mut self) -> Result<(), BrokerError> {
        if !self.strays.is_empty() {
            self.broker.rewind(&self.strays)?;
            self.strays.clear();
        }
        Ok(())
    }

    /// Forgets what is known of partitions that are let go.
    pub(crate) fn forget(&mut self, partitions: &[Partition]) {
        self.strays.retain(|(partition, _)| !partitions.contains(partition));
    }

    /// Ends a wait: partitions flow again.
    pub(crate) fn go_on(&mut self) -> Result<(), BrokerError> {
        self.waited = Duration::ZERO;
        self.put_back()?;
        if self.paused {
            self.broker.pause(false)?;
            self.paused = false;
        }
        Ok(())
    }
}
