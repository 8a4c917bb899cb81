//! What goes wrong, and when: a list that a test writes or draws, so that a failing run can be repeated and shortened.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::Fault;

/// Something that a connection does and that can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// [`crate::Broker::poll`].
    Poll,
    /// [`crate::Broker::accept`].
    Accept,
    /// [`crate::Broker::release`].
    Release,
    /// [`crate::Broker::pause`].
    Pause,
    /// [`crate::Broker::rewind`].
    Rewind,
    /// [`crate::Broker::committed`].
    Committed,
    /// [`crate::Broker::renew_consumer`].
    Rejoin,
    /// [`crate::Broker::send`].
    Send,
    /// [`crate::Broker::serve`].
    Serve,
    /// One output on its way from the queue to the broker.
    Deliver,
    /// [`crate::Broker::begin`].
    Begin,
    /// [`crate::Broker::send_offsets`].
    SendOffsets,
    /// [`crate::Broker::commit`].
    Commit,
    /// [`crate::Broker::abort`].
    Abort,
    /// [`crate::Broker::renew_producer`].
    Renew,
    /// [`crate::Broker::store_offsets`].
    Store,
    /// [`crate::Broker::discard`].
    Discard,
    /// [`crate::Broker::close`].
    Close,
}

impl Op {
    /// Whether the consumer does it.
    pub(super) const fn is_the_consumers(self) -> bool {
        matches!(
            self,
            Self::Poll | Self::Accept | Self::Release | Self::Pause | Self::Rewind | Self::Committed | Self::Store
        )
    }

    /// Whether the client asks the broker for it, so that it waits while the broker is away.
    pub(super) const fn asks_the_broker(self) -> bool {
        matches!(
            self,
            Self::Committed | Self::SendOffsets | Self::Commit | Self::Abort | Self::Renew
        )
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What makes a partition that sticks go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Going back to any offset.
    Rewound,
    /// A new consumer.
    Rejoined,
    /// Nothing.
    Never,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// The call has no effect and returns this. [`Fault::ConsumerLost`] goes on until the consumer is renewed.
    Fails(Fault),
    /// The call takes effect and returns this all the same.
    FailsAfterwards(Fault),
    /// [`Op::Commit`] times out; the request lands later: when the producer is renewed, or by itself after a while.
    CommitsLate,
    /// The connection dies before the call takes effect.
    CrashBefore,
    /// The connection dies after the call took effect.
    CrashAfter,
    /// The group declares the member lost before the call. It learns so a little later.
    Kick,
    /// The group deals the partitions anew before the call.
    Rebalance,
    /// The brokers are away from now on, for so long.
    Outage(Duration),
    /// [`Op::Deliver`]: this output, and all that wait behind it, is given up. It is on the broker or not, as `written`
    /// says.
    Undelivered {
        /// Whether the broker has it all the same.
        written: bool,
    },
    /// [`Op::Deliver`]: the topic refuses this output as too large.
    TooLarge,
    /// [`Op::Send`]: the queue is full.
    Full,
    /// [`Op::Accept`]: the first partition of the client delivers nothing from now on, and nobody says so.
    Sticks(Until),
    /// [`Op::Serve`]: nothing is delivered for so many further calls.
    Stall(u32),
}

/// When something goes wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum When {
    /// At the nth such operation on the cluster, counted from 1 over all connections.
    Nth(u32),
    /// At each such operation with this probability.
    Chance(f64),
}

/// One entry of the script.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Planned {
    /// Which operation.
    pub op: Op,
    /// Which of them.
    pub when: When,
    /// What happens to it.
    pub mishap: Mishap,
}

/// The script of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Faults(pub Vec<Planned>);

impl Faults {
    /// A run in which nothing goes wrong.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds a mishap at the nth operation of a kind, counted from 1.
    #[must_use]
    pub fn at(mut self, op: Op, nth: u32, mishap: Mishap) -> Self {
        self.0.push(Planned {
            op,
            when: When::Nth(nth),
            mishap,
        });
        self
    }

    /// Adds a mishap that befalls each operation of a kind with a probability.
    #[must_use]
    pub fn with_chance(mut self, op: Op, chance: f64, mishap: Mishap) -> Self {
        self.0.push(Planned {
            op,
            when: When::Chance(chance),
            mishap,
        });
        self
    }
}

/// Counts operations and says what befalls each.
#[derive(Debug)]
pub(super) struct Fate {
    script: Faults,
    counts: BTreeMap<Op, u32>,
}

impl Fate {
    pub(super) fn new(script: Faults) -> Self {
        Self {
            script,
            counts: BTreeMap::new(),
        }
    }

    /// What befalls the operation that happens now; the first entry that applies.
    pub(super) fn of(&mut self, op: Op, rng: &mut fastrand::Rng) -> Option<Mishap> {
        let count = self.counts.entry(op).or_default();
        *count += 1;
        let count = *count;
        let applies = |planned: &&Planned| {
            planned.op == op
                && match planned.when {
                    When::Nth(nth) => nth == count,
                    When::Chance(chance) => rng.f64() < chance,
                }
        };
        self.script.0.iter().find(applies).map(|planned| planned.mishap)
    }
}
