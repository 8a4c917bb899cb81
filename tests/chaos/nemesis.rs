//! The nemesis: which fault comes next, and when it has been enough.
//!
//! Owns: the seeded choice, the pace, the goal. Never does: judge; it only demands that the service goes on.
//!
//! Invariant: between any two faults at least one checkpoint is committed, so every fault meets a service at work.

use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use eddy_tests::cluster::Cluster;

use crate::arguments::{Arguments, Goal, Profile};
use crate::fleet::{BASE, Fleet};
use crate::scene::Scene;
use crate::state::{PATIENCE, State, locked};

/// What can be done to the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Kill,
    Zombie,
    Terminate,
    Add,
    Remove,
    Broker(BrokerFault),
    Network(NetworkFault),
    Outage,
}

/// What can be done to a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BrokerFault {
    Kill,
    Shutdown,
    Freeze,
}

/// What can be done to the way between replicas and brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NetworkFault {
    Cut,
    Stall,
    HalfOpen,
    Reset,
    Slow,
}

const BROKERS: [(Kind, usize); 3] = [
    (Kind::Broker(BrokerFault::Kill), 3),
    (Kind::Broker(BrokerFault::Shutdown), 2),
    (Kind::Broker(BrokerFault::Freeze), 2),
];
const NETWORK: [(Kind, usize); 5] = [
    (Kind::Network(NetworkFault::Cut), 2),
    (Kind::Network(NetworkFault::Stall), 2),
    (Kind::Network(NetworkFault::HalfOpen), 2),
    (Kind::Network(NetworkFault::Reset), 2),
    (Kind::Network(NetworkFault::Slow), 1),
];
const REBALANCES: [(Kind, usize); 3] = [(Kind::Add, 2), (Kind::Remove, 2), (Kind::Terminate, 3)];

impl Profile {
    /// Kinds of faults, each with its weight.
    fn kinds(self) -> Vec<(Kind, usize)> {
        let with_kills = |kinds: &[(Kind, usize)]| [kinds, &[(Kind::Kill, 2)]].concat();
        match self {
            Self::Kills => vec![(Kind::Kill, 1)],
            Self::Zombies => vec![(Kind::Zombie, 1)],
            Self::Terminates => vec![(Kind::Terminate, 1)],
            Self::Rebalances => REBALANCES.to_vec(),
            Self::Brokers => with_kills(&BROKERS),
            Self::Network => with_kills(&NETWORK),
            Self::Outage => vec![(Kind::Outage, 1)],
            Self::Mixed => [
                &BROKERS[..],
                &NETWORK,
                &REBALANCES,
                &[(Kind::Kill, 10), (Kind::Zombie, 2)],
            ]
            .concat(),
        }
    }
}

impl Goal {
    /// The number that this kind of fault brings nearer, with its name.
    fn of(&self, kind: Kind) -> Option<(&'static str, u64)> {
        let rebalances = || self.rebalances.map(|goal| ("rebalances", goal));
        match kind {
            Kind::Kill => self.kills.map(|goal| ("kills", goal)),
            Kind::Zombie => self.zombies.map(|goal| ("zombies", goal)),
            Kind::Terminate => self.terminates.map(|goal| ("terminates", goal)).or_else(rebalances),
            Kind::Add | Kind::Remove => rebalances(),
            Kind::Broker(_) => self.broker_faults.map(|goal| ("broker_faults", goal)),
            Kind::Outage => self.outages.map(|goal| ("outages", goal)),
            Kind::Network(_) => None,
        }
    }

    /// Every number that was asked for.
    pub(crate) fn numbers(&self) -> Vec<(&'static str, u64)> {
        let all = [
            ("kills", self.kills),
            ("rebalances", self.rebalances),
            ("broker_faults", self.broker_faults),
            ("terminates", self.terminates),
            ("zombies", self.zombies),
            ("outages", self.outages),
        ];
        all.into_iter().filter_map(|(name, goal)| Some((name, goal?))).collect()
    }
}

/// The nemesis of one run.
pub(crate) struct Nemesis<'a> {
    pub cluster: &'a mut Cluster,
    pub fleet: &'a Mutex<Fleet>,
    pub scene: &'a Scene,
    pub state: &'a State,
    pub random: fastrand::Rng,
    pub outage: Duration,
    profile: Profile,
    goal: Goal,
    started: Instant,
    /// What was committed when the last fault struck.
    pub struck_at: i64,
}

impl<'a> Nemesis<'a> {
    pub(crate) fn new(
        arguments: &Arguments,
        cluster: &'a mut Cluster,
        seed: u64,
        (fleet, scene, state): (&'a Mutex<Fleet>, &'a Scene, &'a State),
    ) -> Self {
        Self {
            cluster,
            fleet,
            scene,
            state,
            random: fastrand::Rng::with_seed(seed),
            outage: Duration::from_secs_f64(arguments.outage_minutes * 60.0),
            profile: arguments.profile,
            goal: arguments.goal(),
            started: Instant::now(),
            struck_at: 0,
        }
    }

    /// Strikes until the goal is reached or something is broken, and heals everything.
    pub(crate) fn run(&mut self) {
        while self.goes_on() && !self.is_over() {
            let pause = if self.profile == Profile::Kills { 800 } else { 2000 };
            std::thread::sleep(Duration::from_millis(self.random.u64(..pause)));
            if self.is_over() {
                break;
            }
            let kind = self.choose();
            self.strike(kind);
        }
        self.heal();
    }

    /// Waits for a checkpoint since the last fault; none is a broken promise.
    fn goes_on(&self) -> bool {
        let goes_on = self.state.wait_for_commit(self.struck_at, PATIENCE);
        if !goes_on && !self.state.is_broken() {
            let what = format!(
                "nothing was committed for {} s after the last fault",
                PATIENCE.as_secs()
            );
            self.state.violated("I7", what);
        }
        goes_on
    }

    fn is_over(&self) -> bool {
        let numbers = self.goal.numbers();
        let reached = |(name, goal): &(&'static str, u64)| self.state.counted(name) >= *goal;
        self.state.is_broken()
            || self.goal.time.is_some_and(|time| self.started.elapsed() >= time)
            || !numbers.is_empty() && numbers.iter().all(reached)
    }

    /// One of the profile's kinds; one that brings an unreached number nearer if there is any.
    fn choose(&mut self) -> Kind {
        let kinds = self.profile.kinds();
        let wanted = |(kind, _): &(Kind, usize)| {
            let number = self.goal.of(*kind);
            number.is_some_and(|(name, goal)| self.state.counted(name) < goal)
        };
        let nearer: Vec<_> = kinds.iter().copied().filter(wanted).collect();
        let kinds = if nearer.is_empty() { kinds } else { nearer };
        let weights: usize = kinds.iter().map(|(_, weight)| *weight).sum();
        let mut at = self.random.usize(..weights);
        for (kind, weight) in kinds {
            if at < weight {
                return kind;
            }
            at -= weight;
        }
        unreachable!("the weights sum up")
    }

    /// Everything runs, nothing is in the way.
    fn heal(&mut self) {
        for node in 0..self.cluster.nodes() {
            self.cluster.proxy(node).pass();
            if !self.cluster.is_running(node) {
                self.cluster.restart(node);
            }
        }
        self.cluster.wait_until_whole();
        self.state.is_outage.store(false, Ordering::SeqCst);
        self.state.is_disturbed.store(false, Ordering::SeqCst);
        let mut fleet = locked(self.fleet);
        while fleet.running().len() < BASE {
            let slot = fleet.absent()[0];
            fleet.launch(slot);
        }
        drop(fleet);
        self.state.note("healed", "", serde_json::Value::Null);
    }
}

impl std::fmt::Debug for Nemesis<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nemesis")
            .field("profile", &self.profile)
            .finish_non_exhaustive()
    }
}
