//! Lists of runs under one name.

use clap::Parser as _;

use crate::arguments::{Arguments, Suite};

/// What every change must pass, within ten minutes on two processors.
const CI: [&[&str]; 4] = [
    &[
        "--profile",
        "kills",
        "--kills",
        "50",
        "--nodes",
        "1",
        "--membership",
        "static",
    ],
    &[
        "--profile",
        "kills",
        "--kills",
        "20",
        "--nodes",
        "1",
        "--membership",
        "static",
        "--guarantee",
        "at-least-once",
    ],
    &[
        "--profile",
        "rebalances",
        "--rebalances",
        "20",
        "--terminates",
        "20",
        "--nodes",
        "1",
    ],
    &["--profile", "mixed", "--broker-faults", "1", "--zombies", "1"],
];

/// The runs of a suite, each with the seed, the log and the folder that were asked for.
pub(crate) fn runs(suite: Suite, asked: &Arguments) -> Vec<Arguments> {
    let list = match suite {
        Suite::Ci => CI,
    };
    let run = |line: &&[&str]| {
        let mut arguments = Arguments::parse_from([&["chaos"], *line].concat());
        arguments.seed = asked.seed;
        arguments.log.clone_from(&asked.log);
        arguments
    };
    list.iter().map(run).collect()
}
