//! The faults themselves, each from the blow to the moment when the way is clear again.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fleet::{self, MOST};
use crate::nemesis::{BrokerFault, Kind, Nemesis, NetworkFault};
use crate::scene::{PARTITIONS, SESSION_SECONDS};
use crate::state::{PATIENCE, locked};

/// Bytes a second of a slow connection.
const SLOW: u64 = 30_000;
const A_MOMENT: Duration = Duration::from_millis(20);
/// The watch looks more often than this.
const A_LOOK: Duration = Duration::from_secs(1);

impl Nemesis<'_> {
    /// Strikes, and notes what was committed at that moment.
    pub(crate) fn strike(&mut self, kind: Kind) {
        self.struck_at = self.state.committed();
        match kind {
            Kind::Kill => self.kill("kills", PATIENCE),
            Kind::Zombie => self.zombie(),
            Kind::Terminate => self.terminate(true),
            Kind::Add => self.add(),
            Kind::Remove => self.terminate(false),
            Kind::Broker(fault) => self.broker(fault),
            Kind::Network(fault) => self.network(fault),
            Kind::Outage => self.outage(),
        }
    }

    /// A replica that is at work, once there is one.
    fn victim(&mut self) -> Option<usize> {
        self.victim_within(PATIENCE)
    }

    fn victim_within(&mut self, patience: Duration) -> Option<usize> {
        let started = Instant::now();
        while started.elapsed() < patience && !self.state.is_broken() {
            let busy = locked(self.fleet).at_work();
            if !busy.is_empty() {
                return Some(busy[self.random.usize(..busy.len())]);
            }
            std::thread::sleep(A_MOMENT);
        }
        None
    }

    /// The same; now and then any replica, since a start can be hit as well. Says whether it is at work.
    fn any_victim(&mut self, patience: Duration) -> Option<(usize, bool)> {
        if self.random.u8(..6) > 0 {
            return self.victim_within(patience).map(|slot| (slot, true));
        }
        let (running, busy) = {
            let fleet = locked(self.fleet);
            (fleet.running(), fleet.at_work())
        };
        let slot = *running.get(self.random.usize(..running.len().max(1)))?;
        Some((slot, busy.contains(&slot)))
    }

    /// SIGKILL, and a new process under the same name. It counts if the victim had made something durable.
    fn kill(&mut self, counter: &'static str, patience: Duration) {
        let Some((slot, counts)) = self.any_victim(patience) else {
            return;
        };
        let mut fleet = locked(self.fleet);
        fleet.kill(slot);
        let name = fleet.name(slot).to_owned();
        fleet.launch(slot);
        drop(fleet);
        if counts {
            self.state.count(counter);
        }
        self.state.count("kills_total");
        self.state.note("kill", &name, json!({"at_work": counts}));
    }

    /// SIGSTOP for longer than the group waits, so that others take over what it holds; then SIGCONT.
    fn zombie(&mut self) {
        let Some(slot) = self.victim() else { return };
        let time = Duration::from_millis(SESSION_SECONDS * 1000 + self.random.u64(1000..6000));
        let name = locked(self.fleet).name(slot).to_owned();
        self.state.note("freeze", &name, json!({"seconds": time.as_secs_f64()}));
        locked(self.fleet).freeze(slot);
        std::thread::sleep(time);
        locked(self.fleet).thaw(slot);
        self.struck_at = self.state.committed();
        self.state.count("zombies");
        self.state.note("thaw", &name, Value::Null);
    }

    /// SIGTERM; `again` starts a new process under the same name.
    fn terminate(&mut self, again: bool) {
        // One replica always stays.
        if !again && locked(self.fleet).running().len() < 2 {
            return self.add();
        }
        let Some(slot) = self.victim() else { return };
        let name = locked(self.fleet).name(slot).to_owned();
        self.state
            .note(if again { "terminate" } else { "remove" }, &name, Value::Null);
        fleet::drain(self.fleet, slot, self.state);
        if again {
            locked(self.fleet).launch(slot);
        }
    }

    fn add(&mut self) {
        let mut fleet = locked(self.fleet);
        let Some(slot) = fleet.absent().first().copied() else {
            drop(fleet);
            return self.terminate(false);
        };
        fleet.launch(slot);
        let name = fleet.name(slot).to_owned();
        drop(fleet);
        self.state.count("adds");
        self.state.note("add", &name, Value::Null);
    }

    /// One broker is away for some seconds.
    fn broker(&mut self, fault: BrokerFault) {
        let (node, role) = self.chase();
        let time = Duration::from_millis(self.random.u64(1000..12_000));
        let (action, counter) = match fault {
            BrokerFault::Kill => ("kill-broker", "broker_kills"),
            BrokerFault::Shutdown => ("shutdown-broker", "broker_shutdowns"),
            BrokerFault::Freeze => ("freeze-broker", "broker_freezes"),
        };
        self.state.note(
            action,
            &format!("broker-{node}"),
            json!({"as": role, "seconds": time.as_secs_f64()}),
        );
        self.state.is_disturbed.store(true, Ordering::SeqCst);
        match fault {
            BrokerFault::Kill => self.cluster.kill(node),
            BrokerFault::Shutdown => self.cluster.shutdown(node),
            BrokerFault::Freeze => self.cluster.stop(node),
        }
        self.meanwhile(time);
        match fault {
            BrokerFault::Freeze => self.cluster.cont(node),
            BrokerFault::Kill | BrokerFault::Shutdown => self.cluster.restart(node),
        }
        self.cluster.wait_until_whole();
        self.state.count("broker_faults");
        self.state.count(counter);
        self.recover("slowest_recovery_ms");
    }

    /// A broker, and what for: any one, the leader of some events, a coordinator.
    fn chase(&mut self) -> (usize, &'static str) {
        let names: Vec<_> = {
            let fleet = locked(self.fleet);
            fleet
                .running()
                .into_iter()
                .map(|slot| fleet.name(slot).to_owned())
                .collect()
        };
        let (node, role) = match self.random.usize(..4) {
            0 => (None, "any"),
            1 => {
                let partition = self.random.i32(0..PARTITIONS);
                (self.cluster.leader(&self.scene.events(), partition), "leader")
            }
            2 => (self.cluster.group_coordinator(&self.scene.group()), "group coordinator"),
            _ => {
                let id = self.scene.transactional_id(&names[self.random.usize(..names.len())]);
                (self.cluster.transaction_coordinator(&id), "transaction coordinator")
            }
        };
        node.map_or_else(
            || (self.random.usize(..self.cluster.nodes()), "any"),
            |node| (node, role),
        )
    }

    /// While something is away; now and then a replica dies as well.
    fn meanwhile(&mut self, time: Duration) {
        let until = Instant::now() + time;
        if self.random.u8(..4) == 0 {
            std::thread::sleep(time / 2);
            // While nothing is committed, nobody is at work.
            self.kill("kills_in_faults", time / 4);
        }
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
    }

    /// The way to one broker, or to all of them, is disturbed for some seconds.
    fn network(&mut self, fault: NetworkFault) {
        let all: Vec<usize> = (0..self.cluster.nodes()).collect();
        let nodes = if self.random.bool() {
            all
        } else {
            vec![self.random.usize(..all.len())]
        };
        let time = Duration::from_millis(self.random.u64(500..15_000));
        let (action, counter) = match fault {
            NetworkFault::Cut => ("cut", "network_cuts"),
            NetworkFault::Stall => ("stall", "network_stalls"),
            NetworkFault::HalfOpen => ("half-open", "network_half_opens"),
            NetworkFault::Reset => ("reset", "network_resets"),
            NetworkFault::Slow => ("slow", "network_slows"),
        };
        self.state.note(
            action,
            &format!("brokers {nodes:?}"),
            json!({"seconds": time.as_secs_f64()}),
        );
        self.state.is_disturbed.store(true, Ordering::SeqCst);
        for node in &nodes {
            let proxy = self.cluster.proxy(*node);
            match fault {
                NetworkFault::Cut => proxy.cut(),
                NetworkFault::Stall => proxy.stall(),
                NetworkFault::HalfOpen => proxy.stall_one_way(),
                NetworkFault::Reset => proxy.reset(),
                NetworkFault::Slow => proxy.slow(SLOW),
            }
        }
        self.meanwhile(time);
        nodes.iter().for_each(|node| self.cluster.proxy(*node).pass());
        self.state.count("network_faults");
        self.state.count(counter);
        self.recover("slowest_recovery_ms");
    }

    /// All brokers are away, in one of three ways. No replica may end; the watch sees to that.
    fn outage(&mut self) {
        let nodes: Vec<usize> = (0..self.cluster.nodes()).collect();
        let way = ["kill", "cut", "stall"][self.random.usize(..3)];
        self.state
            .note("outage", way, json!({"seconds": self.outage.as_secs_f64()}));
        for node in &nodes {
            match way {
                "kill" => self.cluster.kill(*node),
                "cut" => self.cluster.proxy(*node).cut(),
                _ => self.cluster.proxy(*node).stall(),
            }
        }
        self.state.is_outage.store(true, Ordering::SeqCst);
        std::thread::sleep(self.outage);
        self.state.is_outage.store(false, Ordering::SeqCst);
        std::thread::sleep(A_LOOK);
        if way == "kill" {
            nodes.iter().for_each(|node| self.cluster.restart(*node));
            self.cluster.wait_until_whole();
        }
        nodes.iter().for_each(|node| self.cluster.proxy(*node).pass());
        self.state.count("outages");
        self.recover("slowest_return_ms");
    }

    /// The way is clear: measures how long it takes until something is committed.
    fn recover(&mut self, measure: &'static str) {
        let cleared = Instant::now();
        self.struck_at = self.state.committed();
        if self.state.wait_for_commit(self.struck_at, PATIENCE) {
            let took = cleared.elapsed().as_millis() as u64;
            self.state.highest(measure, took);
            self.state.note("recovered", "", json!({"ms": took}));
        }
        self.state.is_disturbed.store(false, Ordering::SeqCst);
    }
}

const _: () = assert!(MOST > 2, "replicas can be added and removed");
