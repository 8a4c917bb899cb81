//! SIGTERM under load, twenty times: each time everything that was taken is finished, committed and given back.
//!
//! That a drain keeps its deadline is for the service itself to say: it ends with 76 when it does not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use eddy_tests::oracle::{self, Event, Keys};
use eddy_tests::service::{PATIENCE, Replica, wait_for};
use eddy_tests::stage::{EXACTLY_ONCE, MLP, Plan, Stage};

const BINARY: &str = env!("CARGO_BIN_EXE_eddy-under-test");
const DRAINS: usize = 20;
const SEED: u64 = 22;
/// Events that are sent at once, and most that wait at any time.
const CHUNK: usize = 500;
const BACKLOG: usize = 6 * CHUNK;
/// So long that a replica that did not leave the group would be missed by every wait of this test.
const SESSION: (&str, &str) = ("EDDY__KAFKA__SESSION_TIMEOUT", "5m");
const _: () = assert!(PATIENCE.as_secs() < 300);

const MORE: &str = "\n[select]\nconfidence_below = 0.3\n[batch]\nrows = 64\n";

/// What a replica says of itself when it has drained.
struct Books {
    settled: i64,
    in_flight: i64,
}

fn final_books(replica: &Replica) -> Books {
    let log = replica.log();
    let line = log.lines().find(|line| line.contains("final balance"));
    let line = line.unwrap_or_else(|| panic!("no final balance in {log}"));
    assert!(line.contains("holds=true"), "{line}");
    let number = |name: &str| -> i64 {
        let (_, rest) = line
            .split_once(&format!("{name}: "))
            .unwrap_or_else(|| panic!("no {name}: {line}"));
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap();
        digits.parse().unwrap()
    };
    Books {
        settled: number("predicted") + number("dead_lettered"),
        in_flight: number("in_flight"),
    }
}

/// Keeps a backlog until it is told to stop; gives everything that was sent.
fn produce(stage: &Stage, stop: &AtomicBool) -> Vec<Event> {
    let mut all = Vec::new();
    loop {
        while stage.lag() as usize > BACKLOG - CHUNK && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(20));
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let next = all.len() as u64;
        let mut events = oracle::numbered(SEED, next..next + CHUNK as u64, Keys::Distinct(100));
        oracle::send(&stage.kafka().client(), &stage.topic("events"), &events);
        all.append(&mut events);
    }
    all
}

/// Starts a replica, ends it amid its work, and looks at what it left.
fn work_and_drain(stage: &Stage, at_least: u64) {
    let before = stage.committed();
    let mut replica = stage.start(BINARY, &[SESSION]);
    wait_for("events to flow", || {
        assert!(replica.is_running(), "the replica ended by itself: {}", replica.log());
        let predicted = replica.status()?["events"]["predicted"].as_u64()?;
        (predicted >= at_least).then_some(())
    });
    let status = replica.terminate();
    let log = replica.log();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("drained") && !log.contains("panicked"), "{log}");
    assert_eq!(stage.kafka().members(&stage.group()), 0, "it left the group: {log}");
    let books = final_books(&replica);
    assert_eq!(books.in_flight, 0, "{log}");
    assert_eq!(
        stage.committed() - before,
        books.settled,
        "what it settled is committed, and nothing else"
    );
}

#[test]
fn twenty_times_sigterm_under_load_drains_commits_and_leaves_and_nothing_is_lost_or_repeated() {
    let stage = Stage::new(&Plan {
        name: "drains",
        guarantee: EXACTLY_ONCE,
        partitions: 3,
        limits: &[],
        text: &format!("{MLP}{MORE}"),
    });
    let stop = AtomicBool::new(false);
    let mut random = fastrand::Rng::with_seed(SEED);
    let events = std::thread::scope(|scope| {
        let producer = scope.spawn(|| produce(&stage, &stop));
        // Also when an assertion fails, or the producer would go on for ever.
        let _stopped = OnDrop(&stop);
        for _ in 0..DRAINS {
            work_and_drain(&stage, random.u64(1..2000));
        }
        stop.store(true, Ordering::Relaxed);
        producer.join().expect("Kafka takes the events")
    });
    let outputs = stage.run(BINARY, &[SESSION]);
    let counts = oracle::check(&events, &outputs, 0);
    oracle::check_order(&outputs);
    assert_eq!(counts.predictions + counts.dead_letters, events.len());
    eprintln!("{DRAINS} drains, {} events: {counts:?}", events.len());
}

/// Sets a flag when it goes.
struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
