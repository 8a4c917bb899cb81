//! Carries one schedule out: real lanes on the twin, step by step, until everything is done or nothing moves any more.

use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use eddy_broker::Broker as _;
use eddy_broker::settings::Start;
use eddy_broker::twin::{Cluster, ClusterSettings, Faults, Saboteur, TwinSettings};
use eddy_inference::LaneReport;
use eddy_inference::lane::{Lane, LaneSettings, Turn};
use eddy_inference::settings::{BatchSettings, CheckpointSettings, DeadLetterSettings};
use eddy_pipeline::checkpoint::{Budget, Checkpoint, Guarantee};
use eddy_pipeline::outcome::Accounts;
use eddy_pipeline::settings::{Bytes, Span};
use eddy_telemetry::catalogue::PauseCause;
use eddy_telemetry::{Metrics, Told, Traces};

use crate::checker;
use crate::inputs::{self, Input};
use crate::interleave::Interleaved;
use crate::plan::{Happening, Plan};
use crate::stub::{self, Shelf};

pub(crate) const GROUP: &str = "schedules";
/// Partitions of the output topics.
pub(crate) const OUTPUT_PARTITIONS: [(&str, i32); 3] = [("predictions", 3), ("retraining", 2), ("dead-letters", 2)];
const MOST_TURNS: u32 = 6000;
/// More events than lanes publish in one turn.
const MOST_TOLD: usize = 1 << 10;
/// A lane that worked or was restarted lately may still have something to do.
const QUIET_TURNS: u32 = 12;
/// Lanes that are in the middle of a turn at once.
const DEEPEST: u32 = 3;

type TestedLane = Lane<Interleaved>;

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Aftermath {
    pub(crate) cluster: Cluster,
    pub(crate) inputs: Vec<Input>,
    /// What the books of all lanes say was predicted and dead-lettered.
    pub(crate) published: (u64, u64),
    /// What they told of traced events.
    pub(crate) told: Vec<Told>,
    /// Lanes that died or stopped before they had drained.
    pub(crate) deaths: u32,
}

/// A broken promise.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) what: String,
    pub(crate) trace: Vec<String>,
}

/// Carries a schedule out and checks it. Returns the trace, if one was asked for.
pub(crate) fn run(plan: &Plan, trace: bool) -> Result<Vec<String>, Broken> {
    let world = World::new(plan, trace);
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| {
        world.play()?;
        checker::check(plan, &world.aftermath())
    }));
    let result = outcome.unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().cloned();
        let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()));
        Err(format!("a panic: {}", words.unwrap_or_default()))
    });
    if let Some(shelf) = &world.shelf {
        WAITS.fetch_add(shelf.waits.load(Ordering::Relaxed).into(), Ordering::Relaxed);
    }
    let trace = world.cluster.trace();
    match result {
        Ok(()) => Ok(trace),
        Err(what) => Err(Broken { what, trace }),
    }
}

struct Seat {
    lane: Option<TestedLane>,
    /// In the middle of a turn: the lane is with whoever runs it.
    busy: bool,
    back_at: u32,
    transactional_id: String,
    quiet: u32,
}

struct Stage {
    seats: Vec<Seat>,
    rng: fastrand::Rng,
    turn: u32,
    /// Lanes in the middle of a turn.
    depth: u32,
    ids: u32,
    published: (u64, u64),
    told: Vec<Told>,
    deaths: u32,
    broken: Option<String>,
}

struct World {
    plan: Plan,
    cluster: Cluster,
    inputs: RefCell<Vec<Input>>,
    metrics: Metrics,
    traces: (Traces, Receiver<Told>),
    shelf: Option<Arc<Shelf>>,
    /// Borrowed for moments only, never while a lane runs: lanes run inside of each other's calls.
    stage: RefCell<Stage>,
}

impl World {
    fn new(plan: &Plan, trace: bool) -> Rc<Self> {
        let cluster = Cluster::new(ClusterSettings {
            seed: plan.seed,
            protocol: plan.protocol,
            faults: Faults(plan.faults.clone()),
            trace,
            session_timeout: Duration::from_secs(2),
            rebalance_timeout: Duration::from_secs(5),
            checks_generation: plan.checks_generation,
            ..ClusterSettings::default()
        });
        cluster.create_topic("events", plan.partitions);
        for (topic, partitions) in OUTPUT_PARTITIONS {
            cluster.create_topic(topic, partitions);
        }
        if plan.start == Start::Latest {
            let mut first = cluster.connect(TwinSettings {
                start: plan.start,
                ..TwinSettings::at_least_once(GROUP)
            });
            // It may meet a fault of the plan; what it came for is done.
            drop(first.close());
        }
        let seat = |number| Seat {
            lane: None,
            busy: false,
            back_at: number as u32,
            transactional_id: format!("lane-{number}"),
            quiet: 0,
        };
        let stage = Stage {
            seats: (0..plan.lanes).map(seat).collect(),
            rng: fastrand::Rng::with_seed(plan.seed ^ 0x5eed),
            turn: 0,
            depth: 0,
            ids: 0,
            published: (0, 0),
            told: Vec::new(),
            deaths: 0,
            broken: None,
        };
        Rc::new(Self {
            plan: plan.clone(),
            shelf: plan.framed.map(|from| {
                Arc::new(Shelf {
                    from,
                    ..Shelf::default()
                })
            }),
            inputs: RefCell::new(inputs::produce(&cluster, plan, 0, &plan.events)),
            cluster,
            metrics: metrics(),
            traces: Traces::bounded(MOST_TOLD, metrics().traces()),
            stage: RefCell::new(stage),
        })
    }

    fn aftermath(&self) -> Aftermath {
        let stage = self.stage.borrow();
        Aftermath {
            cluster: self.cluster.clone(),
            inputs: self.inputs.borrow().clone(),
            published: stage.published,
            told: stage.told.clone(),
            deaths: stage.deaths,
        }
    }

    /// Everything, in turns; then the drain of every lane.
    fn play(self: &Rc<Self>) -> Result<(), String> {
        while !self.is_done() {
            let turn = self.stage.borrow().turn;
            if turn >= MOST_TURNS {
                return Err(format!("still not done after {MOST_TURNS} turns: {}", self.standing()));
            }
            self.happen(turn);
            self.next_turn(None)?;
        }
        for seat in 0..self.plan.lanes {
            self.drain(seat);
        }
        // A drain that failed at the last moment leaves work for whoever comes next.
        if !self.is_committed() {
            self.finish()?;
        }
        self.cluster.advance(Duration::from_secs(30));
        self.stage.borrow_mut().broken.take().map_or(Ok(()), Err)
    }

    /// One lane alone does what is left.
    fn finish(self: &Rc<Self>) -> Result<(), String> {
        for seat in &mut self.stage.borrow_mut().seats[1..] {
            seat.back_at = u32::MAX;
        }
        for _ in 0..MOST_TURNS {
            self.next_turn(Some(0))?;
            if self.is_committed() {
                self.drain(0);
            }
            if self.is_committed() && self.stage.borrow().seats[0].lane.is_none() {
                return Ok(());
            }
        }
        Err(format!("never finished: {}", self.standing()))
    }

    fn next_turn(self: &Rc<Self>, seat: Option<usize>) -> Result<(), String> {
        self.take_seats();
        let seat = seat.unwrap_or_else(|| self.stage.borrow_mut().rng.usize(..self.plan.lanes));
        self.take_turn(seat);
        let mut stage = self.stage.borrow_mut();
        stage.turn += 1;
        if let Some(shelf) = &self.shelf {
            shelf.turn.store(stage.turn, Ordering::Relaxed);
        }
        stage.broken.take().map_or(Ok(()), Err)
    }

    fn is_done(&self) -> bool {
        let stage = self.stage.borrow();
        let has_grown = self.plan.later.is_empty() || self.plan.grows_at < stage.turn;
        let happened = has_grown && self.plan.happenings.iter().all(|(turn, _)| *turn < stage.turn);
        let quiet = stage
            .seats
            .iter()
            .all(|seat| seat.lane.is_some() && seat.quiet >= QUIET_TURNS);
        happened && quiet && self.is_committed()
    }

    fn is_committed(&self) -> bool {
        let committed = |partition| self.cluster.committed(GROUP, "events", partition);
        inputs::ends(&self.inputs.borrow())
            .into_iter()
            .all(|(partition, end)| committed(partition) >= Some(end))
    }

    fn standing(&self) -> String {
        let committed = |partition| self.cluster.committed(GROUP, "events", partition);
        let committed: Vec<_> = (0..self.plan.partitions).map(committed).collect();
        format!(
            "committed {committed:?}, wanted {:?}",
            inputs::ends(&self.inputs.borrow())
        )
    }

    fn happen(self: &Rc<Self>, turn: u32) {
        if self.plan.grows_at == turn && !self.plan.later.is_empty() {
            self.cluster.add_partitions("events", 1);
            let later = inputs::produce(&self.cluster, &self.plan, self.plan.events.len(), &self.plan.later);
            self.inputs.borrow_mut().extend(later);
        }
        for (_, happening) in self.plan.happenings.iter().filter(|(at, _)| *at == turn) {
            match *happening {
                Happening::Crash { lane, new_id } => {
                    let lost = self.stage.borrow_mut().seats[lane].lane.take();
                    if let Some(lost) = lost {
                        self.bury(lane, lost, new_id);
                    }
                }
                Happening::Stop { lane } => self.drain(lane),
                Happening::Kick { lane } => {
                    if let Some(lane) = &mut self.stage.borrow_mut().seats[lane].lane {
                        self.cluster.kick(lane.broker().twin().id());
                    }
                }
                Happening::Rebalance => self.cluster.rebalance(GROUP),
                Happening::Outage(length) => self.cluster.outage(length),
                Happening::Pass(time) => self.cluster.advance(time),
            }
        }
    }

    /// Lanes whose time has come connect.
    fn take_seats(self: &Rc<Self>) {
        for seat in &mut self.stage.borrow_mut().seats {
            if seat.lane.is_none() && !seat.busy {
                seat.back_at = seat.back_at.saturating_sub(1);
                if seat.back_at == 0 {
                    seat.quiet = 0;
                    seat.lane = Some(self.lane(&seat.transactional_id));
                }
            }
        }
    }

    fn lane(self: &Rc<Self>, transactional_id: &str) -> TestedLane {
        let plan = &self.plan;
        let settings = match plan.guarantee {
            Guarantee::ExactlyOnce => TwinSettings::exactly_once(GROUP, transactional_id),
            Guarantee::AtLeastOnce => TwinSettings::at_least_once(GROUP),
        };
        let twin = self.cluster.connect(TwinSettings {
            start: plan.start,
            queue_records: plan.queue_records,
            fresh_membership: plan.fresh_membership,
            ..settings
        });
        let others = self.others();
        let settings = lane_settings(plan);
        let scoring = stub::scoring_from(self.shelf.clone(), &settings.batch);
        let clock = Arc::new(self.cluster.clock());
        let metrics = self.metrics.lane(0, &["stub"]).tracing(Some(self.traces.0.clone()));
        Lane::new(
            Interleaved::new(Saboteur::new(twin, plan.sabotage), others),
            scoring,
            Checkpoint::new(plan.guarantee, Budget::default()),
            settings,
            (clock, metrics, Arc::new(LaneReport::default())),
        )
    }

    /// What happens between the calls of a lane: now and then, another lane takes a turn.
    fn others(self: &Rc<Self>) -> Box<dyn Fn()> {
        let world: Weak<Self> = Rc::downgrade(self);
        Box::new(move || {
            let Some(world) = world.upgrade() else { return };
            let chosen = world.stage.try_borrow_mut().ok().and_then(|mut stage| {
                let now = stage.depth < DEEPEST && stage.rng.u8(..) < world.plan.interleaving;
                now.then(|| stage.rng.usize(..world.plan.lanes))
            });
            if let Some(seat) = chosen {
                world.take_turn(seat);
            }
        })
    }

    fn take_turn(self: &Rc<Self>, seat: usize) {
        let Some(mut lane) = self.take_lane(seat) else { return };
        let id = lane.broker().twin().id();
        let turn = lane.turn();
        self.give_back(seat);
        let has_crashed = self.cluster.has_crashed(id);
        if !has_crashed {
            self.expect_balance(lane.accounts());
        }
        let mut stage = self.stage.borrow_mut();
        match turn {
            Ok(Turn::Worked) => stage.seats[seat].quiet = 0,
            Ok(Turn::Idle) => stage.seats[seat].quiet += 1,
            Ok(Turn::Paused(PauseCause::Schema)) if self.shelf.is_some() => stage.seats[seat].quiet = 0,
            Ok(Turn::Paused(cause)) => stage.broken = Some(format!("the lane paused: {cause:?}")),
            Err(_) => {}
        }
        // A lane that stops ends its process, and is started again.
        if turn.is_err() || has_crashed {
            let new_id = stage.rng.bool();
            drop(stage);
            self.bury(seat, lane, new_id);
        } else {
            stage.seats[seat].lane = Some(lane);
        }
    }

    fn take_lane(&self, seat: usize) -> Option<TestedLane> {
        let mut stage = self.stage.borrow_mut();
        let lane = stage.seats[seat].lane.take()?;
        stage.seats[seat].busy = true;
        stage.depth += 1;
        Some(lane)
    }

    fn give_back(&self, seat: usize) {
        let mut stage = self.stage.borrow_mut();
        stage.told.extend(self.traces.1.try_iter());
        stage.seats[seat].busy = false;
        stage.depth -= 1;
    }

    /// A lane is gone without having drained.
    fn bury(&self, seat: usize, lane: TestedLane, new_id: bool) {
        self.keep_books(lane.accounts());
        drop(lane);
        self.come_back(seat);
        let mut stage = self.stage.borrow_mut();
        stage.deaths += 1;
        if new_id {
            stage.ids += 1;
            stage.seats[seat].transactional_id = format!("lane-{seat}-{}", stage.ids);
        }
    }

    fn drain(self: &Rc<Self>, seat: usize) {
        let Some(lane) = self.take_lane(seat) else { return };
        let before = lane.accounts().clone();
        let drained = lane.drain();
        self.give_back(seat);
        match drained {
            Ok(accounts) => {
                self.expect_balance(&accounts);
                self.keep_books(&accounts);
            }
            Err(_) => {
                self.keep_books(&before);
                self.stage.borrow_mut().deaths += 1;
            }
        }
        self.come_back(seat);
    }

    fn come_back(&self, seat: usize) {
        let mut stage = self.stage.borrow_mut();
        stage.seats[seat].back_at = stage.rng.u32(1..60);
    }

    fn expect_balance(&self, accounts: &Accounts) {
        let balance = accounts.balance();
        if !balance.holds() {
            self.stage.borrow_mut().broken = Some(format!("the books do not balance: {balance:?}"));
        }
    }

    fn keep_books(&self, accounts: &Accounts) {
        let mut stage = self.stage.borrow_mut();
        stage.published.0 += accounts.published().predicted();
        stage.published.1 += accounts.published().dead_lettered();
    }
}

thread_local! {
    static METRICS: Metrics = Metrics::new("schedules", "0");
}

/// One registry for each thread: making one takes longer than a schedule.
fn metrics() -> Metrics {
    METRICS.with(Metrics::clone)
}

/// How often lanes asked for schemas that were not there yet.
static WAITS: AtomicU64 = AtomicU64::new(0);

/// See [`WAITS`].
pub(crate) fn waits() -> u64 {
    WAITS.load(Ordering::Relaxed)
}

/// Whether a lane of this thread has sent the outputs of an aborted transaction again.
pub(crate) fn has_replayed() -> bool {
    let text = metrics().gather();
    let replays = |line: &str| line.starts_with("eddy_transactions_replayed_total") && !line.ends_with(" 0");
    text.lines().any(replays)
}

fn lane_settings(plan: &Plan) -> LaneSettings {
    LaneSettings {
        batch: BatchSettings {
            rows: plan.batch_rows,
            ..BatchSettings::default()
        },
        checkpoint: CheckpointSettings {
            records: plan.checkpoint_records,
            delivery_timeout: Span::seconds(2),
            held_bytes: Bytes(plan.held_bytes),
            ..CheckpointSettings::default()
        },
        dead_letters: DeadLetterSettings {
            flood_share: 1.0,
            ..DeadLetterSettings::default()
        },
    }
}
