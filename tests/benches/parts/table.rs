//! The table.
//!
//! Owns: medians and layout. Never does: hide how many rounds there were, or how busy the machine was.

use crate::bare::{Part, Report};
use crate::common::clients::Guarantee;
use crate::common::whole::Whole;

/// What one round of one guarantee found.
pub(crate) struct Round {
    pub(crate) whole: Whole,
    pub(crate) parts: [(Part, Report); Part::ALL.len()],
}

impl Round {
    fn part(&self, part: Part) -> f64 {
        let found = self.parts.iter().find(|(known, _)| *known == part);
        found.expect("every round has every part").1.cpu.as_secs_f64()
    }

    fn wrote_for(&self) -> f64 {
        let known = self.parts.iter().find_map(|(_, report)| report.service_wrote_for);
        known
            .expect("one of the parts reads what the service wrote")
            .as_secs_f64()
    }
}

/// How the figures of several rounds become one.
#[derive(Debug, Clone, Copy)]
enum Statistic {
    Median,
    /// Whatever else the machine does only ever adds processor time, so where it was busy this says more.
    Least,
}

/// One column: the rounds of a guarantee, seen through a statistic.
struct Column<'a> {
    guarantee: Guarantee,
    statistic: Statistic,
    rounds: Vec<&'a Round>,
    events: f64,
}

impl Column<'_> {
    fn of(&self, figure: impl Fn(&Round) -> f64) -> f64 {
        let mut figures: Vec<f64> = self.rounds.iter().map(|round| figure(round)).collect();
        figures.sort_by(f64::total_cmp);
        let middle = figures.len() / 2;
        match self.statistic {
            Statistic::Least => figures[0],
            Statistic::Median if figures.len() % 2 == 1 => figures[middle],
            Statistic::Median => (figures[middle - 1] + figures[middle]) / 2.0,
        }
    }

    fn part(&self, part: Part) -> f64 {
        self.of(|round| round.part(part)) / self.events * 1e6
    }

    fn parts(&self) -> f64 {
        Part::ALL.iter().map(|part| self.part(*part)).sum()
    }

    fn whole(&self) -> f64 {
        self.of(|round| round.whole.cpu.as_secs_f64()) / self.events * 1e6
    }

    /// Events per second: of the quickest round where the least is asked for.
    fn rate(&self) -> f64 {
        self.events / self.of(Round::wrote_for)
    }
}

/// Prints two columns for each guarantee: the median and the least of its rounds.
pub(crate) fn print(events: usize, event_bytes: usize, rounds: &[(Guarantee, Round)]) {
    let column = |guarantee: Guarantee, statistic: Statistic| Column {
        guarantee,
        statistic,
        rounds: of_guarantee(rounds, guarantee),
        events: events as f64,
    };
    let columns = Guarantee::ALL.map(|guarantee| [Statistic::Median, Statistic::Least].map(|s| column(guarantee, s)));
    let columns = columns.as_flattened();
    let head = |title: &str, text: &dyn Fn(&Column<'_>) -> String| {
        let cells = columns.iter().map(|column| format!("{:>15}", text(column)));
        println!("{title:<32}{}", cells.collect::<String>());
    };
    let line = |title: &str, digits: usize, figure: &dyn Fn(&Column<'_>) -> f64| {
        head(title, &|column| format!("{:.digits$}", figure(column)));
    };
    let count = rounds.len() / Guarantee::ALL.len();
    println!(
        "\n{events} events of {event_bytes} bytes, {count} rounds\n{}\n",
        machine()
    );
    head("", &|column| column.guarantee.as_str().to_owned());
    head("CPU seconds per million events", &|column| {
        format!("{:?}", column.statistic).to_lowercase()
    });
    for part in Part::ALL {
        line(part.title(), 3, &|column| column.part(part));
    }
    line("sum of the parts", 3, &|column| column.parts());
    line("the whole service", 3, &|column| column.whole());
    line("whole / parts", 3, &|column| column.whole() / column.parts());
    println!();
    line("events per second of the service", 0, &|column| column.rate());
    line("mean rows of a batch", 1, &|column| {
        column.of(|round| round.whole.batch_rows)
    });
    line("mean events of a checkpoint", 0, &|column| {
        column.of(|round| round.whole.transaction_rows)
    });
}

fn of_guarantee(rounds: &[(Guarantee, Round)], guarantee: Guarantee) -> Vec<&Round> {
    let of_this = rounds.iter().filter(|(known, _)| *known == guarantee);
    of_this.map(|(_, round)| round).collect()
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
