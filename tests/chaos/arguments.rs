//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// Kills, freezes, drains and cuts off replicas and brokers while numbered events flow, and checks that nothing is lost,
/// nothing comes twice, order is kept and the books balance.
#[derive(Debug, Clone, Parser)]
#[command(name = "chaos")]
pub(crate) struct Arguments {
    /// A fixed list of runs instead of one.
    #[arg(long, value_enum)]
    pub suite: Option<Suite>,
    /// Longest time that faults are injected. Default: 10, or none where a number of faults is given.
    #[arg(long)]
    pub minutes: Option<f64>,
    /// Ends the run when so many kills of replicas have counted: those with a checkpoint since the last one.
    #[arg(long)]
    pub kills: Option<u64>,
    /// Ends the run when so many rebalances have been seen.
    #[arg(long)]
    pub rebalances: Option<u64>,
    /// Ends the run when so many faults of brokers have counted: those with a checkpoint since the last one.
    #[arg(long)]
    pub broker_faults: Option<u64>,
    /// Ends the run when so many replicas were drained by SIGTERM.
    #[arg(long)]
    pub terminates: Option<u64>,
    /// Ends the run when so many zombies were made.
    #[arg(long)]
    pub zombies: Option<u64>,
    /// Ends the run when so many outages of all brokers are over.
    #[arg(long)]
    pub outages: Option<u64>,
    /// Everything random follows from it, up to scheduling. Default: another one each time.
    #[arg(long)]
    pub seed: Option<u64>,
    /// The promise under test.
    #[arg(long, value_enum, default_value_t = Guarantee::ExactlyOnce)]
    pub guarantee: Guarantee,
    /// Which faults.
    #[arg(long, value_enum, default_value_t = Profile::Mixed)]
    pub profile: Profile,
    /// `kafka.membership` of the replicas.
    #[arg(long, value_enum, default_value_t = Membership::Dynamic)]
    pub membership: Membership,
    /// Nodes of the Kafka.
    #[arg(long, default_value_t = 3, value_parser = nodes)]
    pub nodes: usize,
    /// How long an outage of all brokers lasts.
    #[arg(long, default_value_t = 10.0)]
    pub outage_minutes: f64,
    /// Events a second.
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u64).range(1..=20_000))]
    pub rate: u64,
    /// Plants a fault: the replicas run at least once and are judged exactly once. The run passes if that is found.
    #[arg(long)]
    pub planted: bool,
    /// Keeps the replicas' logs beside the verdict, also when the run passes.
    #[arg(long)]
    pub keep_logs: bool,
    /// Where the verdict goes. Default: a folder below `target/chaos`.
    #[arg(long)]
    pub verdict: Option<PathBuf>,
    /// A file that gets one more line of JSON: the verdict without its timeline.
    #[arg(long)]
    pub log: Option<PathBuf>,
}

fn nodes(text: &str) -> Result<usize, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("a cluster has 1 node or 3".into()),
    }
}

/// A list of runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Suite {
    /// What every change must pass, within ten minutes.
    Ci,
}

/// `kafka.guarantee`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Guarantee {
    ExactlyOnce,
    AtLeastOnce,
}

/// `kafka.membership`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Membership {
    Dynamic,
    Static,
}

/// Which faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// SIGKILL of replicas, as fast as checkpoints come.
    Kills,
    /// SIGSTOP of replicas past the session timeout, then SIGCONT.
    Zombies,
    /// SIGTERM of replicas under load.
    Terminates,
    /// Replicas come and go.
    Rebalances,
    /// SIGKILL, SIGTERM and SIGSTOP of one broker at a time.
    Brokers,
    /// Connections between replicas and brokers are cut, stalled, half open, reset, slow.
    Network,
    /// All brokers away at once.
    Outage,
    /// Everything but outages.
    Mixed,
}

/// When a run has had enough faults.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Goal {
    pub time: Option<Duration>,
    pub kills: Option<u64>,
    pub rebalances: Option<u64>,
    pub broker_faults: Option<u64>,
    pub terminates: Option<u64>,
    pub zombies: Option<u64>,
    pub outages: Option<u64>,
}

/// Minutes of a run whose end nobody asked for.
const MINUTES: f64 = 10.0;

impl Arguments {
    /// What the outputs are judged by.
    pub(crate) fn judged(&self) -> Guarantee {
        if self.planted {
            Guarantee::ExactlyOnce
        } else {
            self.guarantee
        }
    }

    /// What the replicas are told to keep.
    pub(crate) fn kept(&self) -> Guarantee {
        if self.planted {
            Guarantee::AtLeastOnce
        } else {
            self.guarantee
        }
    }

    /// The word of a choice, as on the command line.
    pub(crate) fn word(choice: impl ValueEnum) -> String {
        choice
            .to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }

    pub(crate) fn goal(&self) -> Goal {
        let outages = self.outages.or((self.profile == Profile::Outage).then_some(1));
        let counted = [
            self.kills,
            self.rebalances,
            self.broker_faults,
            self.terminates,
            self.zombies,
            outages,
        ];
        let minutes = match self.minutes {
            None if counted.iter().all(Option::is_none) => Some(MINUTES),
            minutes => minutes,
        };
        Goal {
            time: minutes.map(|minutes| Duration::from_secs_f64(minutes * 60.0)),
            kills: self.kills,
            rebalances: self.rebalances,
            broker_faults: self.broker_faults,
            terminates: self.terminates,
            zombies: self.zombies,
            outages,
        }
    }
}
