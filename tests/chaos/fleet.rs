//! The replicas: started under stable names, signalled, watched, and started again.
//!
//! Owns: every process of the program under test, its log, and how it ended.
//!
//! Invariant: a replica that ends without having been told to is a broken promise, whatever its exit code.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use eddy_tests::service::Replica;
use serde_json::{Value, json};

use crate::arguments::Membership;
use crate::scene::Scene;
use crate::state::{PATIENCE, State, locked};

/// Replicas that always run.
pub(crate) const BASE: usize = 3;
/// Replicas at most.
pub(crate) const MOST: usize = 5;
/// Exit code of a start without brokers.
const UNREACHABLE: i32 = 69;
/// Lines of a log that go into the message about it.
const TAIL: usize = 15;

/// What a slot's process is meant to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meant {
    Run,
    /// It was frozen; it cannot answer.
    Freeze,
    /// It was told to end.
    End,
    /// There is none.
    Absent,
}

#[derive(Debug)]
struct Slot {
    name: String,
    replica: Option<Replica>,
    meant: Meant,
    life: u32,
    /// What it held when something of its work had become durable for the first time in this life.
    at_work: Option<Held>,
}

/// A replica that runs.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Its instance name.
    pub name: String,
    /// As the group knows it.
    pub member: String,
    /// Of its admin pages.
    pub port: u16,
    pub pid: u32,
    /// What it held when it had begun to work.
    pub at_work: Option<Held>,
}

/// What a process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    pub files: u64,
    pub threads: u64,
    pub rss_mib: u64,
}

impl Held {
    pub(crate) fn shown(self) -> Value {
        json!({"files": self.files, "threads": self.threads, "rss_mib": self.rss_mib})
    }
}

/// The replicas.
#[derive(Debug)]
pub(crate) struct Fleet {
    scene: Scene,
    membership: Membership,
    slots: Vec<Slot>,
    logs: Vec<PathBuf>,
}

impl Fleet {
    pub(crate) fn start(scene: &Scene, membership: Membership) -> Self {
        let slot = |number| Slot {
            name: format!("replica-{number}"),
            replica: None,
            meant: Meant::Absent,
            life: 0,
            at_work: None,
        };
        let mut fleet = Self {
            scene: scene.clone(),
            membership,
            slots: (0..MOST).map(slot).collect(),
            logs: Vec::new(),
        };
        (0..BASE).for_each(|slot| fleet.launch(slot));
        fleet
    }

    /// Starts the process of a slot that has none.
    pub(crate) fn launch(&mut self, slot: usize) {
        let slot = &mut self.slots[slot];
        let binary = self.scene.binary.to_str().expect("a path that is text");
        let replica = Replica::start(binary, &self.scene.pipeline, &slot.name, &[]);
        self.logs.push(replica.log_path().to_owned());
        slot.replica = Some(replica);
        slot.meant = Meant::Run;
        slot.life += 1;
        slot.at_work = None;
    }

    /// Something of this replica's work became durable.
    pub(crate) fn worked(&mut self, seen: &Seen) {
        let holds = |slot: &&mut Slot| slot.replica.as_ref().is_some_and(|replica| replica.pid() == seen.pid);
        if let Some(slot) = self.slots.iter_mut().find(holds) {
            slot.at_work = slot.at_work.or_else(|| held(seen.pid));
        }
    }

    /// Slots whose process runs, and some of whose work is durable.
    pub(crate) fn at_work(&self) -> Vec<usize> {
        self.running()
            .into_iter()
            .filter(|slot| self.slots[*slot].at_work.is_some())
            .collect()
    }

    /// Slots whose process runs.
    pub(crate) fn running(&self) -> Vec<usize> {
        (0..MOST).filter(|slot| self.slots[*slot].meant == Meant::Run).collect()
    }

    /// Slots without a process.
    pub(crate) fn absent(&self) -> Vec<usize> {
        (0..MOST)
            .filter(|slot| self.slots[*slot].meant == Meant::Absent)
            .collect()
    }

    pub(crate) fn name(&self, slot: usize) -> &str {
        &self.slots[slot].name
    }

    pub(crate) fn kill(&mut self, slot: usize) {
        let slot = &mut self.slots[slot];
        if let Some(mut replica) = slot.replica.take() {
            replica.kill();
        }
        slot.meant = Meant::Absent;
    }

    pub(crate) fn freeze(&mut self, slot: usize) {
        self.signal(slot, "STOP", Meant::Freeze);
    }

    pub(crate) fn thaw(&mut self, slot: usize) {
        self.signal(slot, "CONT", Meant::Run);
    }

    fn signal(&mut self, slot: usize, name: &str, meant: Meant) {
        let slot = &mut self.slots[slot];
        slot.meant = meant;
        if let Some(replica) = &slot.replica
            && !replica.signal(name)
        {
            eprintln!("{} had ended before SIG{name}", slot.name);
        }
    }

    /// Looks after the processes: one that ended by itself is a broken promise, and is started again. Gives those that run.
    pub(crate) fn look_after(&mut self, state: &State) -> Vec<Seen> {
        for number in 0..MOST {
            let slot = &mut self.slots[number];
            if slot.meant != Meant::Run {
                continue;
            }
            let Some(replica) = &mut slot.replica else { continue };
            let Some(status) = replica.ended() else { continue };
            let code = status.code();
            let tail = tail(&replica.log());
            let name = slot.name.clone();
            slot.replica = None;
            if code == Some(UNREACHABLE) && state.is_disturbed.load(Ordering::SeqCst) {
                state.count("starts_without_brokers");
            } else {
                let what = format!("{name} ended by itself, {status}; the end of its log:\n{tail}");
                state.violated("I9", what);
            }
            self.launch(number);
            state.count("starts_again");
            state.note("start-again", &name, json!({"code": code}));
        }
        self.seen()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        let seen = |slot: &Slot| {
            let replica = slot.replica.as_ref().filter(|_| slot.meant == Meant::Run)?;
            let member = match self.membership {
                Membership::Static => slot.name.clone(),
                Membership::Dynamic => format!("{}#{}", slot.name, slot.life),
            };
            Some(Seen {
                name: slot.name.clone(),
                member,
                port: replica.port(),
                pid: replica.pid(),
                at_work: slot.at_work,
            })
        };
        self.slots.iter().filter_map(seen).collect()
    }

    /// Copies the logs of all replicas that ever ran to a folder.
    pub(crate) fn keep_logs(&self, folder: &Path) {
        fs::create_dir_all(folder).expect("the folder of the verdict");
        for (number, log) in self.logs.iter().enumerate() {
            let name = log
                .file_name()
                .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            // A log that cannot be kept must not hide what it was to be kept for.
            if let Err(error) = fs::copy(log, folder.join(format!("{number:04}.{name}"))) {
                eprintln!("{} is not kept: {error}", log.display());
            }
        }
    }
}

/// Drains a replica with SIGTERM: it must end with 0. The fleet is not locked meanwhile.
pub(crate) fn drain(fleet: &Mutex<Fleet>, slot: usize, state: &State) {
    locked(fleet).signal(slot, "TERM", Meant::End);
    let started = Instant::now();
    loop {
        let mut fleet = locked(fleet);
        let slot = &mut fleet.slots[slot];
        let Some(replica) = &mut slot.replica else {
            return;
        };
        let ended = replica.ended();
        if ended.is_none() && started.elapsed() < PATIENCE {
            drop(fleet);
            std::thread::sleep(Duration::from_millis(20));
            continue;
        }
        let log = replica.log();
        add_final_balance(&log, state);
        let code = ended.and_then(|status| status.code());
        state.count("terminates");
        state.highest("slowest_drain_ms", started.elapsed().as_millis() as u64);
        if code == Some(0) {
            state.count("terminates_with_0");
        } else {
            let (name, tail) = (&slot.name, tail(&log));
            state.violated(
                "I9",
                format!("{name} was told to drain and ended with {ended:?}; its log:\n{tail}"),
            );
        }
        slot.replica = None;
        slot.meant = Meant::Absent;
        return;
    }
}

/// Adds what a replica says at its end to what others have said.
fn add_final_balance(log: &str, state: &State) {
    let Some((_, balance)) = log.rsplit_once("final balance") else {
        return;
    };
    let number = |key: &str| -> Option<u64> {
        let (_, rest) = balance.split_once(&format!("{key}: "))?;
        rest.split([',', ' ', '}']).next()?.parse().ok()
    };
    state.add("drained_predicted", number("predicted").unwrap_or(0));
    state.add("drained_dead_lettered", number("dead_lettered").unwrap_or(0));
}

/// What a process holds, if it still runs.
pub(crate) fn held(pid: u32) -> Option<Held> {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let number = |key: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some(Held {
        files,
        threads: number("Threads:")?,
        rss_mib: number("VmRSS:")? / 1024,
    })
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}
