//! What a daily number comes to while replicas come and go.

use std::sync::Arc;

use eddy_pipeline::outcome::Remembers as _;
use eddy_pipeline::partition::partition_for;
use eddy_pipeline::seed::uniform;
use eddy_pipeline::select::{Note, Plan, Selection, Served};
use eddy_pipeline::signal::Signal;
use serde_json::json;

use crate::report::Report;
use crate::stream::{self, Event, at, partition};

const PER_DAY: u64 = 2_400;
const PARTITIONS: i32 = 20;
/// Events a second.
const RATE: u64 = 4;
/// Seconds between two batches of every lane.
const BATCH: u64 = 30;
const DAY: u64 = 86_400;
/// From when on there are how many replicas, in thirds of the day.
const FLEETS: [(u64, usize); 3] = [(0, 2), (1, 10), (2, 1)];

/// Where events come from.
#[derive(Debug, Clone, Copy)]
enum Keys {
    /// All different.
    Unlike,
    /// A hundred of them.
    Hundred,
    /// None: a producer sends runs of 16 events to one partition after the other.
    Null,
}

impl Keys {
    const ALL: [(Self, &str); 3] = [
        (Self::Unlike, "all different"),
        (Self::Hundred, "100 keys"),
        (Self::Null, "all null"),
    ];

    fn partition(self, number: u64) -> i32 {
        let keyed = |key: u64| partition_for(Some(format!("key-{key}").as_bytes()), 0, PARTITIONS);
        match self {
            Self::Unlike => keyed(number),
            Self::Hundred => keyed(number % 100),
            Self::Null => (number / 16 % PARTITIONS.cast_unsigned() as u64) as i32,
        }
    }
}

/// A replica with one lane.
struct Replica {
    selection: Selection,
    partitions: Vec<i32>,
}

/// Adds the table.
pub(crate) fn report(report: &mut Report) {
    report.section(
        "Replicas",
        &format!(
            "A day of {} events on {PARTITIONS} partitions, and a budget of {PER_DAY} a day for the arms explore and \
             uncertainty. Each change of the replicas moves partitions with what their last owner wrote down beside the \
             offset. Spent in each third of the day and in all, and as a part of the budget; 1 in 24 of it can be saved up, \
             so what is earned in a day that begins with nothing is 0.958 of it.",
            RATE * DAY
        ),
    );
    let steady: &[(u64, usize)] = &[(0, 1)];
    let mut rows = Vec::new();
    for (keys, name) in Keys::ALL {
        for (fleets, words) in [(&FLEETS[..], "2, then 10, then 1"), (steady, "1 all day")] {
            let spent = day(keys, fleets);
            let all: u64 = spent.iter().sum();
            let thirds = spent.iter().map(u64::to_string);
            let part = format!("{:.3}", all as f64 / PER_DAY as f64);
            let row = [name.to_owned(), words.to_owned()].into_iter().chain(thirds);
            rows.push(row.chain([all.to_string(), part]).collect());
        }
    }
    report.table(
        &[
            "keys",
            "replicas",
            "1st third",
            "2nd third",
            "3rd third",
            "day",
            "part of the budget",
        ],
        &rows,
    );
}

/// What was selected in each third of a day.
fn day(keys: Keys, fleets: &[(u64, usize)]) -> [u64; 3] {
    let served = Served {
        model: "model".to_owned(),
        signals: vec![(Signal::Margin, None)],
        classes: 2,
    };
    let plan = stream::plan(json!({"per_day": PER_DAY, "duplicates": {"suppress": false}}), served);
    let mut notes: Vec<Option<Note>> = (0..PARTITIONS).map(|_| None).collect();
    let (mut replicas, mut spent, mut number) = (Vec::new(), [0; 3], 0);
    for second in (0..DAY).step_by(BATCH as usize) {
        let third = (second * 3 / DAY) as usize;
        let change = fleets.iter().find(|(from, _)| from * DAY / 3 == second);
        if let Some((_, count)) = change {
            replicas = fleet(&plan, *count, &notes, second);
        }
        let events: Vec<Event> = (number..number + RATE * BATCH)
            .map(|number| event(keys, number))
            .collect();
        number += RATE * BATCH;
        for replica in &mut replicas {
            let own = |event: &&Event| replica.partitions.contains(&event.partition);
            let events: Vec<Event> = events.iter().filter(own).cloned().collect();
            stream::decide(&mut replica.selection, &events, at(second), |_, pick| {
                spent[third] += u64::from(!pick.all_arms().is_empty());
            });
            replica.selection.mark();
            replica.selection.commit();
            for number in &replica.partitions {
                notes[*number as usize] = replica.selection.note(partition(*number), 0);
            }
        }
    }
    spent
}

/// Replicas that take the partitions up, in turn.
fn fleet(plan: &Arc<Plan>, count: usize, notes: &[Option<Note>], second: u64) -> Vec<Replica> {
    let replica = |at_fleet: usize| {
        let partitions: Vec<i32> = (0..PARTITIONS)
            .filter(|number| *number as usize % count == at_fleet)
            .collect();
        let taken: Vec<_> = partitions
            .iter()
            .map(|number| (partition(*number), notes[*number as usize].clone()))
            .collect();
        let mut selection = Selection::new(plan.clone());
        selection.take(&taken, PARTITIONS.cast_unsigned(), at(second));
        Replica { selection, partitions }
    };
    (0..count).map(replica).collect()
}

fn event(keys: Keys, number: u64) -> Event {
    Event {
        id: format!("event-{number}"),
        partition: keys.partition(number),
        margin: uniform(5, number).powi(3) as f32,
        anomaly: f32::NAN,
    }
}
