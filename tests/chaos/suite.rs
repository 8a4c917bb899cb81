//! Lists of runs under one name.

use clap::Parser as _;

use crate::arguments::{Arguments, Suite};

/// What every change must pass, within ten minutes on two processors. The last run is one that must fail.
const CI: [&str; 6] = [
    "--profile kills --kills 50 --nodes 1 --membership static",
    "--profile kills --kills 20 --nodes 1 --membership static --guarantee at-least-once",
    "--profile rebalances --rebalances 20 --terminates 20 --nodes 1",
    "--profile zombies --zombies 1 --nodes 1",
    "--profile mixed --broker-faults 1 --zombies 1",
    "--profile kills --kills 50 --nodes 1 --membership static --planted",
];

/// The runs of a suite, each with the seed, the log and the folder that were asked for.
pub(crate) fn runs(suite: Suite, asked: &Arguments) -> Vec<Arguments> {
    let list = match suite {
        Suite::Ci => CI,
    };
    let run = |line: &&str| {
        let mut arguments = Arguments::parse_from(["chaos"].into_iter().chain(line.split(' ')));
        arguments.seed = asked.seed;
        arguments.log.clone_from(&asked.log);
        arguments
    };
    list.iter().map(run).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Guarantee;

    #[test]
    fn every_change_meets_the_faults_that_the_promise_names() {
        let runs = runs(Suite::Ci, &Arguments::parse_from(["chaos", "--seed", "7"]));
        let sum = |number: fn(&Arguments) -> Option<u64>, guarantee| -> u64 {
            let honest = runs.iter().filter(|run| !run.planted && run.guarantee == guarantee);
            honest.filter_map(number).sum()
        };
        assert!(sum(|run| run.kills, Guarantee::ExactlyOnce) >= 50);
        assert!(sum(|run| run.kills, Guarantee::AtLeastOnce) >= 20);
        assert!(sum(|run| run.rebalances, Guarantee::ExactlyOnce) >= 20);
        assert!(sum(|run| run.terminates, Guarantee::ExactlyOnce) >= 20);
        assert!(sum(|run| run.zombies, Guarantee::ExactlyOnce) >= 1);
        let of_three = |run: &&Arguments| run.nodes == 3 && run.broker_faults >= Some(1);
        assert!(runs.iter().any(|run| of_three(&run)), "a broker of three is killed");
        assert!(runs.iter().any(|run| run.planted), "a run that must fail");
        assert!(runs.iter().all(|run| run.seed == Some(7)));
    }
}
