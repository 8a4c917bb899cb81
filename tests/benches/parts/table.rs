//! The table.
//!
//! Owns: medians and layout. Never does: hide a figure; what was measured with only a few rounds says so.

use std::time::Duration;

use crate::bare::{Part, Report};
use crate::clients::Guarantee;
use crate::whole::Whole;

/// What one round of one guarantee found.
pub(crate) struct Round {
    pub(crate) whole: Whole,
    pub(crate) parts: [(Part, Report); Part::ALL.len()],
}

impl Round {
    fn part(&self, part: Part) -> Duration {
        let found = self.parts.iter().find(|(known, _)| *known == part);
        found.expect("every round has every part").1.cpu
    }

    fn parts(&self) -> Duration {
        self.parts.iter().map(|(_, report)| report.cpu).sum()
    }

    fn wrote_for(&self) -> Duration {
        let known = self.parts.iter().find_map(|(_, report)| report.service_wrote_for);
        known.expect("one of the parts reads what the service wrote")
    }
}

/// Prints medians over the rounds, one column for each guarantee.
pub(crate) fn print(events: usize, event_bytes: usize, rounds: &[(Guarantee, Round)]) {
    let per_million = 1e6 / events as f64;
    let of = |guarantee: Guarantee, figure: &dyn Fn(&Round) -> f64| {
        let of_this = rounds.iter().filter(|(known, _)| *known == guarantee);
        median(of_this.map(|(_, round)| figure(round)).collect())
    };
    let line = |title: &str, digits: usize, figure: &dyn Fn(&Round) -> f64| {
        let [left, right] = Guarantee::ALL.map(|guarantee| of(guarantee, figure));
        println!("{title:<34} {left:>14.digits$} {right:>14.digits$}");
    };
    println!(
        "\n{events} events of {event_bytes} bytes, median of {} rounds",
        rounds.len() / Guarantee::ALL.len()
    );
    println!("{}\n", machine());
    let [left, right] = Guarantee::ALL.map(Guarantee::as_str);
    println!("{:<34} {left:>14} {right:>14}", "CPU seconds per million events");
    for part in Part::ALL {
        line(part.title(), 3, &|round| round.part(part).as_secs_f64() * per_million);
    }
    line("sum of the parts", 3, &|round| {
        round.parts().as_secs_f64() * per_million
    });
    line("the whole service", 3, &|round| {
        round.whole.cpu.as_secs_f64() * per_million
    });
    line("whole / parts", 3, &|round| {
        round.whole.cpu.as_secs_f64() / round.parts().as_secs_f64()
    });
    println!();
    line("events per second of the service", 0, &|round| {
        events as f64 / round.wrote_for().as_secs_f64()
    });
    line("mean rows of a batch", 1, &|round| round.whole.batch_rows);
    line("mean events of a checkpoint", 0, &|round| round.whole.transaction_rows);
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    if figures.len() % 2 == 1 {
        figures[middle]
    } else {
        (figures[middle - 1] + figures[middle]) / 2.0
    }
}

/// Processor, cores and kernel.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    format!(
        "{model}, {cores} cores, Linux {}, load {load}",
        read("/proc/sys/kernel/osrelease").trim()
    )
}
