//! What a schedule is made of. Everything is drawn from one seed, and everything but the seed can be left out again.

use std::time::Duration;

use eddy_broker::Fault;
use eddy_broker::settings::Start;
use eddy_broker::twin::{Mishap, Op, Planned, Protocol, Sabotage, When};
use eddy_pipeline::checkpoint::Guarantee;

/// What an event is, and so what must become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sure,
    Unsure,
    Refused,
    NotANumber,
    Malformed,
    Incomplete,
    Tombstone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) partition: i32,
    pub(crate) kind: Kind,
    /// One of a few keys, or none.
    pub(crate) key: Option<u8>,
    /// What stands in front of it in the log.
    pub(crate) before: Gap,
}

/// Offsets that no reader sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gap {
    None,
    Compacted,
    Aborted,
}

/// Something that happens between two turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Happening {
    /// A lane dies; it comes back later, under its old transactional id or under a new one.
    Crash { lane: usize, new_id: bool },
    /// A lane drains and comes back later.
    Stop { lane: usize },
    /// The group takes a lane for lost.
    Kick { lane: usize },
    /// The group deals its partitions anew.
    Rebalance,
    /// The brokers are away.
    Outage(Duration),
    /// A long time passes.
    Pass(Duration),
}

impl Happening {
    /// The lane that it happens to.
    pub(crate) fn lane(self) -> Option<usize> {
        match self {
            Self::Crash { lane, .. } | Self::Stop { lane } | Self::Kick { lane } => Some(lane),
            Self::Rebalance | Self::Outage(_) | Self::Pass(_) => None,
        }
    }
}

/// One schedule.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) guarantee: Guarantee,
    pub(crate) protocol: Protocol,
    pub(crate) partitions: i32,
    pub(crate) lanes: usize,
    pub(crate) batch_rows: usize,
    pub(crate) checkpoint_records: usize,
    pub(crate) queue_records: usize,
    /// Bytes of outputs that a lane keeps for a replay.
    pub(crate) held_bytes: u64,
    /// How often, out of 256, another lane takes a turn in the middle of one.
    pub(crate) interleaving: u8,
    pub(crate) events: Vec<Event>,
    pub(crate) faults: Vec<Planned>,
    /// Each with the turn before which it happens.
    pub(crate) happenings: Vec<(u32, Happening)>,
    /// Where the group begins. Before the first event, somebody was in it for a moment.
    pub(crate) start: Start,
    /// Events in one more partition, which comes with them.
    pub(crate) later: Vec<Event>,
    /// The turn before which they come.
    pub(crate) grows_at: u32,
    pub(crate) sabotage: Sabotage,
    /// Whether the group refuses commits of another generation; `false` is a planted bug.
    pub(crate) checks_generation: bool,
    /// Whether a client reads its membership anew for each transaction; `false` is a planted bug.
    pub(crate) fresh_membership: bool,
    /// Where events are in the framing of a schema registry: the turns from which each schema is known.
    pub(crate) framed: Option<[u32; SCHEMAS]>,
}

/// Schemas of a schedule whose events are framed; they take turns.
pub(crate) const SCHEMAS: usize = 3;

impl Plan {
    pub(crate) fn draw(seed: u64, guarantee: Guarantee) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let partitions = rng.i32(2..=3);
        let lanes = rng.usize(1..=3);
        let mut plan = Self {
            seed,
            guarantee,
            protocol: if rng.bool() {
                Protocol::Cooperative
            } else {
                Protocol::Eager
            },
            partitions,
            lanes,
            batch_rows: rng.usize(1..=16),
            checkpoint_records: rng.usize(1..=40),
            queue_records: rng.usize(3..=60),
            held_bytes: pick(&mut rng, &[0, 1_000, 1_000_000, 1_000_000]),
            interleaving: rng.u8(0..=12),
            events: (0..rng.usize(20..=60)).map(|_| event(&mut rng, partitions)).collect(),
            faults: (0..rng.usize(0..=6)).map(|_| fault(&mut rng, guarantee)).collect(),
            happenings: (0..rng.usize(0..=4))
                .map(|_| (rng.u32(0..60), happening(&mut rng, lanes)))
                .collect(),
            start: Start::Earliest,
            later: Vec::new(),
            grows_at: 0,
            sabotage: Sabotage::Nothing,
            checks_generation: true,
            fresh_membership: true,
            framed: None,
        };
        plan.start = pick(&mut rng, &[Start::Earliest, Start::Latest]);
        if rng.bool() {
            plan.grows_at = rng.u32(0..60);
            let later = (0..rng.usize(1..=10)).map(|_| Event {
                partition: partitions,
                ..event(&mut rng, partitions)
            });
            plan.later = later.collect();
        }
        plan
    }

    /// The same with framed events whose schemas come in the course of the schedule.
    pub(crate) fn draw_framed(seed: u64, guarantee: Guarantee) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x5c4e);
        Self {
            framed: Some(std::array::from_fn(|_| rng.u32(0..120))),
            ..Self::draw(seed, guarantee)
        }
    }

    /// A measure that shrinking makes smaller.
    pub(crate) fn size(&self) -> usize {
        let rest = self.lanes + usize::from(self.interleaving);
        self.events.len() + self.later.len() + self.faults.len() + self.happenings.len() + rest
    }

    /// Whether offsets may have been committed by a call that failed, so that the next one goes back behind them.
    pub(crate) fn may_go_back(&self) -> bool {
        let fails = |planned: &Planned| planned.op == Op::Store || matches!(planned.mishap, Mishap::Outage(_));
        let is_away = |(_, happening): &(u32, Happening)| matches!(happening, Happening::Outage(_));
        self.guarantee == Guarantee::AtLeastOnce
            && (self.faults.iter().any(fails) || self.happenings.iter().any(is_away))
    }

    /// Whether an output may fail after it was taken.
    pub(crate) fn has_failed_deliveries(&self) -> bool {
        self.faults.iter().any(|planned| planned.op == Op::Deliver)
    }

    /// Whether an output may be called too large, so that its event goes another way.
    pub(crate) fn has_too_large(&self) -> bool {
        self.faults.iter().any(|planned| planned.mishap == Mishap::TooLarge)
    }
}

fn event(rng: &mut fastrand::Rng, partitions: i32) -> Event {
    let kind = match rng.u8(0..20) {
        0..10 => Kind::Sure,
        10..13 => Kind::Unsure,
        13..15 => Kind::Refused,
        15 => Kind::NotANumber,
        16..18 => Kind::Malformed,
        18 => Kind::Incomplete,
        _ => Kind::Tombstone,
    };
    Event {
        partition: rng.i32(0..partitions),
        kind,
        key: rng.bool().then(|| rng.u8(0..5)),
        before: match rng.u8(0..20) {
            0 => Gap::Compacted,
            1 => Gap::Aborted,
            _ => Gap::None,
        },
    }
}

fn happening(rng: &mut fastrand::Rng, lanes: usize) -> Happening {
    let lane = rng.usize(0..lanes);
    match rng.u8(0..12) {
        0..3 => Happening::Crash {
            lane,
            new_id: rng.bool(),
        },
        3..5 => Happening::Stop { lane },
        5..7 => Happening::Kick { lane },
        7..10 => Happening::Rebalance,
        10 => Happening::Outage(Duration::from_millis(rng.u64(1..4000))),
        _ => Happening::Pass(Duration::from_millis(rng.u64(1..20_000))),
    }
}

fn fault(rng: &mut fastrand::Rng, guarantee: Guarantee) -> Planned {
    let (op, mishap) = match rng.u8(0..10) {
        0..3 => anywhere(rng, guarantee),
        3..6 => delivery(rng),
        6 => assignment(rng),
        _ => match guarantee {
            Guarantee::ExactlyOnce => transactional(rng),
            Guarantee::AtLeastOnce => plain(rng),
        },
    };
    let often = matches!(op, Op::Poll | Op::Serve | Op::Send | Op::Deliver);
    let nth = if often { rng.u32(1..=120) } else { rng.u32(1..=8) };
    Planned {
        op,
        when: When::Nth(nth),
        mishap,
    }
}

fn anywhere(rng: &mut fastrand::Rng, guarantee: Guarantee) -> (Op, Mishap) {
    let shared = [Op::Poll, Op::Send, Op::Serve, Op::Release, Op::Rewind, Op::Close];
    let own = match guarantee {
        Guarantee::ExactlyOnce => [
            Op::Begin,
            Op::SendOffsets,
            Op::Commit,
            Op::Abort,
            Op::Renew,
            Op::Committed,
        ],
        Guarantee::AtLeastOnce => [Op::Store, Op::Store, Op::Store, Op::Store, Op::Discard, Op::Discard],
    };
    let op = pick(rng, &[shared, own].concat());
    let mishap = match rng.u8(0..8) {
        0 => Mishap::CrashBefore,
        1 => Mishap::CrashAfter,
        2..5 => Mishap::Kick,
        5..7 => Mishap::Rebalance,
        _ => Mishap::Outage(Duration::from_millis(rng.u64(1..4000))),
    };
    (op, mishap)
}

/// The client does not do what was asked of it, and would if it were asked again.
fn assignment(rng: &mut fastrand::Rng) -> (Op, Mishap) {
    let op = pick(
        rng,
        &[
            Op::Accept,
            Op::Release,
            Op::Pause,
            Op::Rewind,
            Op::Poll,
            Op::Committed,
            Op::Store,
        ],
    );
    let again = matches!(op, Op::Accept | Op::Release | Op::Pause | Op::Rewind) && rng.bool();
    let fault = if again { Fault::Retriable } else { Fault::ConsumerLost };
    (op, Mishap::Fails(fault))
}

fn delivery(rng: &mut fastrand::Rng) -> (Op, Mishap) {
    match rng.u8(0..10) {
        0..2 => (Op::Deliver, Mishap::Undelivered { written: false }),
        2..4 => (Op::Deliver, Mishap::Undelivered { written: true }),
        4..6 => (Op::Deliver, Mishap::TooLarge),
        6..8 => (Op::Send, Mishap::Full),
        _ => (Op::Serve, Mishap::Stall(rng.u32(1..400))),
    }
}

fn transactional(rng: &mut fastrand::Rng) -> (Op, Mishap) {
    use Fault::{Abortable, Fatal, Fenced, Refused, Retriable, TimedOut};
    let op = pick(
        rng,
        &[
            Op::Commit,
            Op::Commit,
            Op::SendOffsets,
            Op::SendOffsets,
            Op::Begin,
            Op::Abort,
            Op::Renew,
            Op::Committed,
        ],
    );
    let mishaps: &[Mishap] = match op {
        Op::Commit => &[
            Mishap::Fails(Retriable),
            Mishap::Fails(Abortable),
            Mishap::Fails(TimedOut),
            Mishap::Fails(Fenced),
            Mishap::Fails(Fatal),
            Mishap::FailsAfterwards(Retriable),
            Mishap::FailsAfterwards(TimedOut),
            Mishap::FailsAfterwards(Fatal),
            Mishap::CommitsLate,
            Mishap::CommitsLate,
        ],
        Op::SendOffsets => &[
            Mishap::Fails(Retriable),
            Mishap::Fails(Abortable),
            Mishap::Fails(TimedOut),
            Mishap::Fails(Fenced),
            Mishap::Fails(Fatal),
            Mishap::Fails(Refused),
            Mishap::FailsAfterwards(Retriable),
            Mishap::FailsAfterwards(TimedOut),
        ],
        Op::Abort => &[
            Mishap::Fails(Retriable),
            Mishap::Fails(TimedOut),
            Mishap::Fails(Fatal),
            Mishap::FailsAfterwards(Retriable),
            Mishap::FailsAfterwards(TimedOut),
        ],
        Op::Begin => &[Mishap::Fails(Retriable), Mishap::Fails(Fatal), Mishap::Fails(Fenced)],
        _ => &[
            Mishap::Fails(Retriable),
            Mishap::Fails(TimedOut),
            Mishap::FailsAfterwards(Retriable),
        ],
    };
    (op, pick(rng, mishaps))
}

fn plain(rng: &mut fastrand::Rng) -> (Op, Mishap) {
    use Fault::{Abortable, Fatal, Retriable, TimedOut};
    let op = pick(rng, &[Op::Store, Op::Store, Op::Store, Op::Discard]);
    let fault = pick(rng, &[Retriable, Abortable, TimedOut, Fatal]);
    let mishap = if rng.bool() {
        Mishap::Fails(fault)
    } else {
        Mishap::FailsAfterwards(fault)
    };
    (op, mishap)
}

fn pick<T: Copy>(rng: &mut fastrand::Rng, among: &[T]) -> T {
    among[rng.usize(..among.len())]
}
