//! What it costs to decide on an event: the control arm, two budgeted lotteries, an hourly number, quotas.
#![allow(missing_docs)]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use eddy_pipeline::event::Partition;
use eddy_pipeline::outcome::Remembers as _;
use eddy_pipeline::select::{Facts, Fingerprint, Offer, Picks, Plan, Salt, Selection, Served, Sighting};
use eddy_pipeline::signal::Signal;
use eddy_pipeline::time::Now;

const ROWS: usize = 256;

struct Rows {
    values: Vec<f32>,
}

impl Facts for Rows {
    fn value(&self, _: usize, row: usize) -> f32 {
        self.values[row]
    }

    fn class(&self, _: usize, _: usize) -> Option<usize> {
        Some(1)
    }

    fn segment(&self, row: usize) -> Option<usize> {
        Some(row % 3)
    }

    fn fingerprint(&self, row: usize) -> Fingerprint {
        Fingerprint {
            exact: row as u64,
            near: Some(row as u64 * 0x9e37_79b9_7f4a_7c15),
        }
    }
}

fn selection(settings: &str) -> Selection {
    let settings = serde_json::from_str(settings).expect("the settings are right");
    let served = |model: &str, signal| Served {
        model: model.to_owned(),
        signals: vec![(signal, None)],
        classes: 2,
    };
    let offer = Offer {
        models: vec![served("one", Signal::Margin), served("two", Signal::Margin)],
        committee: None,
        categories: vec![("region".to_owned(), vec!["north".to_owned(), "south".to_owned()])],
    };
    Selection::new(Arc::new(Plan::compile(&settings, &offer).expect("the offer serves it")))
}

fn decide(c: &mut Criterion) {
    let mut group = c.benchmark_group("select");
    group.throughput(Throughput::Elements(ROWS as u64));
    let ids: Vec<String> = (0..ROWS).map(|row| format!("events/3/{}", 1_000_000 + row)).collect();
    let rows = Rows {
        values: ids.iter().map(|id| Salt::new(7).draw(id) as f32).collect(),
    };
    let tied = Rows {
        values: vec![0.0; ROWS],
    };
    for (name, settings, facts) in [
        ("no budget", "{}", &rows),
        ("one in a thousand", r#"{"fraction": 0.001}"#, &rows),
        ("one in a thousand, all tied", r#"{"fraction": 0.001}"#, &tied),
        (
            "a number an hour, quotas",
            r#"{"per_hour": 5000, "segments": {"field": "region"}}"#,
            &rows,
        ),
    ] {
        let mut selection = selection(settings);
        let mut picks = Picks::default();
        let mut ms = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                ms += 5;
                let now = Now {
                    monotonic: std::time::Duration::from_millis(ms),
                    unix_ms: ms as i64,
                };
                let partition = |row: usize| Partition {
                    topic: 0,
                    number: (row / 64) as i32,
                };
                selection.begin(ROWS, (0..ROWS).map(partition), &mut picks, now);
                for (row, id) in ids.iter().enumerate() {
                    let event = Sighting {
                        id,
                        partition: partition(row),
                        row,
                    };
                    selection.decide(event, black_box(facts), &mut picks, now);
                }
                selection.mark();
                selection.commit();
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decide);
criterion_main!(benches);
