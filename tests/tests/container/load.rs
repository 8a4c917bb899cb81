//! Events while something else goes on; and the program that makes them in `docker/compose.yaml`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use eddy_tests::oracle::{self, Event, Keys};
use eddy_tests::rules::root;
use eddy_tests::stage::{self, AT_LEAST_ONCE, Plan, Stage, by_id};

use super::SEED;
use super::docker::{Container, build_file};

/// Events that are sent at once, and most that wait at any time.
const CHUNK: usize = 500;
const BACKLOG: usize = 6 * CHUNK;

/// Keeps a backlog of events while `work` is done. What that gives is kept until all were sent; gives what was sent.
pub(crate) fn under_load<T>(stage: &Stage, work: impl FnOnce() -> T) -> (Vec<Event>, T) {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let producer = scope.spawn(|| produce(stage, &is_over));
        // Also when an assertion fails, or the producer would go on for ever.
        let over = OnDrop(&is_over);
        let result = work();
        drop(over);
        (producer.join().expect("Kafka takes the events"), result)
    })
}

fn produce(stage: &Stage, is_over: &AtomicBool) -> Vec<Event> {
    let mut all = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        if stage.lag() as usize > BACKLOG - CHUNK {
            std::thread::sleep(Duration::from_millis(20));
            continue;
        }
        let next = all.len() as u64;
        let mut events = oracle::numbered(SEED, next..next + CHUNK as u64, Keys::Distinct(100));
        oracle::send(&stage.kafka().client(), &stage.topic("events"), &events);
        all.append(&mut events);
    }
    all
}

/// Sets a flag when it goes.
struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn the_events_of_the_compose_file_are_those_that_its_pipeline_scores() {
    const EVENTS: usize = 1000;
    let example = stage::examples().join("digits");
    let text = std::fs::read_to_string(example.join("pipeline.toml")).expect("the example is there");
    let (_, from_events) = text.split_once("[events]").expect("it has this table");
    let beside = |name: &str| format!("{:?}", example.join(name));
    let text = ["model.onnx", "golden.json", "profile.json"]
        .iter()
        .fold(format!("[events]{from_events}"), |text, name| {
            text.replace(&format!("{name:?}"), &beside(name))
        });
    let stage = Stage::new(&Plan {
        name: "compose-load",
        guarantee: AT_LEAST_ONCE,
        partitions: 2,
        limits: &[],
        text: &text,
    });
    const TAG: &str = "eddy-tests:load";
    let folder = root().join("docker/load");
    build_file(TAG, &folder.join("Dockerfile"), &folder, &[]);
    let mount = format!("--volume={}:/heldout.bin:ro", example.join("heldout.bin").display());
    let (brokers, topic, count) = (stage.kafka().bootstrap(), stage.topic("events"), EVENTS.to_string());
    let options = ["--network=host".to_owned(), mount];
    let words = [
        "--brokers",
        &brokers,
        "--topic",
        &topic,
        "--rate",
        "100000",
        "--count",
        &count,
        "/heldout.bin",
    ];
    assert_eq!(Container::run_to_end(TAG, &options, &words), (0, String::new()));
    let outputs = stage.run(env!("CARGO_BIN_EXE_eddy-under-test"), &[]);
    assert_eq!(by_id(&outputs.predictions).len(), EVENTS);
    assert!(outputs.dead_letters.is_empty());
}
