//! A replica dies, or freezes, at each step of a checkpoint and of a rebalance, in the middle of a stream that flows; what
//! comes after it must make the outputs whole.
//!
//! Each case has topics and a group of its own on one shared Kafka. The points are those of `eddy/src/failpoints.rs`.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use eddy_tests::cluster::Cluster;
use eddy_tests::kafka::{Kafka, Topics};
use eddy_tests::oracle::{self, Event, Expected, Keys};
use eddy_tests::service::{Replica, wait_for};
use eddy_tests::stage::{AT_LEAST_ONCE, EXACTLY_ONCE, MLP, Plan, Stage};
use rdkafka::producer::{BaseProducer, Producer as _};

const BINARY: &str = env!("CARGO_BIN_EXE_eddy-under-test");

/// Cases at work at the same time.
const WORKERS: usize = 5;
/// Most events of a case, and least: what comes after the death is work too.
const EVENTS: usize = 20_000;
const LEAST_EVENTS: usize = 500;
/// Events per instalment of the stream, and the time between two.
const INSTALMENT: usize = 10;
const PACE: Duration = Duration::from_millis(20);
/// One event in so many has a prediction that is too large for its topic, where a case wants that.
const LARGE_EVERY: usize = 60;
const ROWS: usize = 16;
const RECORDS: usize = 64;
/// What a death may repeat at least once: what was in flight and what was stored and not committed, each up to a checkpoint
/// and a batch; an event has two outputs at most.
const REPEATED: usize = 2 * (RECORDS + ROWS) * 2;

const SETTINGS: [(&str, &str); 6] = [
    ("EDDY__KAFKA__SESSION_TIMEOUT", "2s"),
    ("EDDY__KAFKA__TRANSACTION_TIMEOUT", "3s"),
    ("EDDY__CHECKPOINT__INTERVAL", "50ms"),
    ("EDDY__CHECKPOINT__RECORDS", "64"),
    ("EDDY__BATCH__ROWS", "16"),
    ("EDDY__DEAD_LETTERS__FLOOD_SHARE", "1.0"),
];

/// Where what replicas hear can be held back. One case at a time uses it.
static PROXIED: LazyLock<Cluster> = LazyLock::new(|| Cluster::start(1));

const LARGE: &str = "[events]\npass_through = [\"/large\"]\n";

/// What brings the replica to its point, where the stream alone does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    None,
    /// Some predictions are too large for their topic, which is known only when Kafka refuses them.
    LargeOutputs,
    /// A second replica wants its share of the partitions.
    Company,
    /// It is asked to drain.
    Drain,
    /// Frozen at the first of its points, it is fenced by a twin, and goes on.
    Twin,
    /// Frozen at the first of its points, it goes on without hearing an answer, until it gives up waiting.
    Silence,
}

struct Case {
    guarantee: &'static str,
    failpoint: &'static str,
    trouble: Trouble,
}

impl Case {
    fn stage(&self) -> Stage {
        let words: Vec<_> = self.failpoint.split(|c: char| !c.is_alphanumeric()).collect();
        let limits: &[_] = match self.trouble {
            Trouble::LargeOutputs => &[("predictions", "2048")],
            _ => &[],
        };
        // At least once, a sample may be written before the prediction of its event turns out to be too large.
        let selects = self.guarantee == EXACTLY_ONCE || self.trouble != Trouble::LargeOutputs;
        let select = if selects {
            "[select]\nconfidence_below = 0.3\n"
        } else {
            ""
        };
        let kafka: &Topics = match self.trouble {
            Trouble::Silence => &PROXIED,
            _ => Kafka::shared(),
        };
        let plan = Plan {
            name: &format!("{}-{:?}-{}", self.guarantee, self.trouble, words.join("-")).to_lowercase(),
            guarantee: self.guarantee,
            partitions: 3,
            limits,
            text: &format!("{LARGE}{MLP}{select}"),
        };
        Stage::on(kafka, &plan)
    }

    fn start(&self, stage: &Stage, failpoint: Option<&str>) -> Replica {
        let proxied;
        let mut settings = SETTINGS.to_vec();
        settings.extend(failpoint.map(|points| ("EDDY_FAILPOINT", points)));
        if self.guarantee == AT_LEAST_ONCE {
            // Whenever something happens, outputs are on their way.
            settings.push(("EDDY__KAFKA__LINGER", "200ms"));
        }
        if self.trouble == Trouble::Silence {
            proxied = PROXIED.proxied();
            settings.push(("EDDY__KAFKA__BROKERS", &proxied));
            // Longer than the wait, so that the replica keeps its partitions and must find out by itself.
            settings.push(("EDDY__KAFKA__SESSION_TIMEOUT", "6s"));
        }
        stage.start(BINARY, &settings)
    }

    fn events(&self) -> &'static [Event] {
        static PLAIN: LazyLock<Vec<Event>> = LazyLock::new(|| oracle::events(11, EVENTS, Keys::Distinct(50)));
        static SOME_LARGE: LazyLock<Vec<Event>> = LazyLock::new(|| {
            let mut events = PLAIN.clone();
            events
                .iter_mut()
                .skip(LARGE_EVERY)
                .step_by(LARGE_EVERY)
                .for_each(enlarge);
            events
        });
        match self.trouble {
            Trouble::LargeOutputs => &SOME_LARGE,
            _ => &PLAIN,
        }
    }

    /// Runs a replica to its death, and another one to the end of the stream.
    fn dies(&self) {
        let stage = self.stage();
        let stream = Stream::start(&stage, self.events());
        let mut replica = self.start(&stage, Some(self.failpoint));
        let company = self.make_trouble(&stage, &mut replica);
        assert_killed(replica.wait(), &replica);
        let sent = stream.stop();

        let mut heir = self.start(&stage, None);
        // Company can bring the stream to its end alone, before this one has started.
        wait_for("the heir's share", || heir.log().contains("rebalanced").then_some(()));
        stage.wait_for_end(&mut heir);
        for mut survivor in company.into_iter().chain([heir]) {
            assert_eq!(survivor.terminate().code(), Some(0), "{}", survivor.log());
        }
        self.check(&stage, sent);
    }

    /// Runs a replica through its trouble to the end of the stream.
    fn survives(&self) {
        let stage = self.stage();
        let stream = Stream::start(&stage, self.events());
        let mut replica = self.start(&stage, Some(self.failpoint));
        self.make_trouble(&stage, &mut replica);
        let sent = stream.stop();
        stage.wait_for_end(&mut replica);
        assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());
        self.check(&stage, sent);
    }

    /// Gives the second replica, if there is one.
    fn make_trouble(&self, stage: &Stage, replica: &mut Replica) -> Option<Replica> {
        match self.trouble {
            Trouble::None | Trouble::LargeOutputs => {}
            Trouble::Company => {
                wait_for_progress(stage);
                return Some(join(stage));
            }
            Trouble::Drain => {
                wait_for_progress(stage);
                assert!(replica.signal("TERM"), "it had ended: {}", replica.log());
            }
            Trouble::Twin => {
                replica.wait_until_frozen();
                fence(stage);
                assert!(replica.signal("CONT"), "it had ended: {}", replica.log());
            }
            Trouble::Silence => {
                replica.wait_until_frozen();
                PROXIED.proxy(0).stall_one_way();
                assert!(replica.signal("CONT"), "it had ended: {}", replica.log());
                wait_for("it to give up waiting", || {
                    replica.log().contains("TimedOut").then_some(())
                });
                PROXIED.proxy(0).reset();
            }
        }
        None
    }

    /// Freezes a replica, lets another one finish the stream, and wakes the first, which still believes in its partitions.
    fn freezes(&self) {
        let stage = self.stage();
        let stream = Stream::start(&stage, self.events());
        let mut sleeper = self.start(&stage, Some(self.failpoint));
        sleeper.wait_until_frozen();
        let mut heir = join(&stage);
        let slept_through = stream.stop();
        stage.wait_for_end(&mut heir);
        assert!(sleeper.signal("CONT"), "it had ended: {}", sleeper.log());

        let more = &self.events()[slept_through..][..LEAST_EVENTS];
        oracle::send(&stage.kafka().client(), &stage.topic("events"), more);
        stage.wait_for_end(&mut heir);
        for mut replica in [sleeper, heir] {
            assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());
        }
        self.check(&stage, slept_through + more.len());
    }

    fn check(&self, stage: &Stage, sent: usize) {
        let outputs = stage.outputs();
        let is_exact = self.guarantee == EXACTLY_ONCE;
        let allowed = match self.trouble {
            _ if is_exact => 0,
            // Each of these is a fault of its own, after which work is repeated.
            Trouble::LargeOutputs => (1 + sent / LARGE_EVERY) * REPEATED,
            _ => REPEATED,
        };
        let events = &self.events()[..sent];
        let counts = oracle::check(events, &outputs, allowed);
        assert_eq!(counts.predictions + counts.dead_letters, sent);
        if is_exact {
            oracle::check_order(&outputs);
        }
        eprintln!(
            "{} {} with {:?}: {counts:?}",
            self.guarantee, self.failpoint, self.trouble
        );
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{} {} with {:?}: failed", self.guarantee, self.failpoint, self.trouble);
        }
    }
}

/// A stream of events that flows until it is stopped.
struct Stream {
    is_stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<usize>>,
}

impl Stream {
    fn start(stage: &Stage, events: &'static [Event]) -> Self {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&is_stopped);
        let (client, topic) = (stage.kafka().client(), stage.topic("events"));
        let thread = thread::spawn(move || {
            let producer = oracle::producer(&client);
            let mut sent = 0;
            for instalment in events.chunks(INSTALMENT) {
                if sent >= LEAST_EVENTS && stopped.load(Ordering::Relaxed) {
                    break;
                }
                oracle::send_through(&producer, &topic, instalment);
                sent += instalment.len();
                thread::sleep(PACE);
            }
            sent
        });
        Self {
            is_stopped,
            thread: Some(thread),
        }
    }

    /// Ends it, and says how many events it had.
    fn stop(mut self) -> usize {
        self.is_stopped.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it is stopped once");
        let sent = thread.join().expect("the events arrive");
        assert!(sent < EVENTS, "the stream dried up before anything happened");
        sent
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }
}

/// Gives an event a prediction that no topic of two kilobytes takes.
fn enlarge(event: &mut Event) {
    let mut random = fastrand::Rng::with_seed(event.id.len() as u64);
    let noise: String = std::iter::repeat_with(|| random.alphanumeric()).take(4000).collect();
    event.value = Some(format!(r#"{{"large":"{noise}","features":{:?}}}"#, [0.25; 32]).into_bytes());
    event.expected = Expected::DeadLetter("output_too_large");
}

fn join(stage: &Stage) -> Replica {
    Replica::start(BINARY, &stage.file(), "replica-1", &SETTINGS)
}

fn wait_for_progress(stage: &Stage) {
    wait_for("the first events to be committed", || {
        (stage.committed() > 0).then_some(())
    });
}

/// Does what a twin of replica 0 does at its start.
fn fence(stage: &Stage) {
    let mut config = stage.kafka().client();
    config.set("transactional.id", format!("{}-replica-0-0", stage.group()));
    let twin: BaseProducer = config.create().expect("a producer can be made");
    twin.init_transactions(Duration::from_secs(60)).expect("it takes over");
}

#[track_caller]
fn assert_killed(status: ExitStatus, replica: &Replica) {
    let log = replica.log();
    assert_eq!(status.signal(), Some(9), "{status}: {log}");
    assert!(log.contains("the failpoint is met"), "somebody else killed it: {log}");
}

/// Runs cases side by side: most of their time is waiting for the group to give up a dead member.
fn all(guarantee: &'static str, trouble: Trouble, failpoints: &[&'static str], run: fn(&Case)) {
    let cases = Mutex::new(failpoints.iter());
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let next = cases.lock().expect("no case panics while it holds this").next();
                    let Some(failpoint) = next else { return };
                    run(&Case {
                        guarantee,
                        failpoint,
                        trouble,
                    });
                }
            });
        }
    });
}

#[test]
fn exactly_once_survives_a_death_at_any_step_of_the_start_and_of_a_checkpoint() {
    let points = [
        "open:before",
        "open:during:50",
        "open:after",
        "accept:before",
        "accept:after",
        "poll:before:400",
        "poll:after:400",
        "begin:before:3",
        "begin:after:3",
        "send:before:150",
        "send:after:150",
        "drain:before:3",
        "drain:during:1:3",
        "drain:after:3",
        "send_offsets:before:3",
        "send_offsets:during:1:3",
        "send_offsets:after:3",
        "commit:before:3",
        "commit:during:1:3",
        "commit:during:3:3",
        "commit:after:3",
    ];
    all(EXACTLY_ONCE, Trouble::None, &points, Case::dies);
}

#[test]
fn exactly_once_survives_a_death_while_work_is_undone() {
    let points = [
        "abort:before",
        "abort:during:1",
        "abort:after",
        "rewind:before",
        "rewind:after",
    ];
    all(EXACTLY_ONCE, Trouble::LargeOutputs, &points, Case::dies);
}

#[test]
fn exactly_once_survives_a_twin_and_a_death_while_the_fenced_producer_is_replaced() {
    let points = [
        "commit:before:3:stop,renew_producer:before",
        "commit:before:3:stop,renew_producer:during:5",
        "commit:before:3:stop,renew_producer:after",
        "commit:before:3:stop,committed:before",
        "commit:before:3:stop,committed:after",
    ];
    all(EXACTLY_ONCE, Trouble::Twin, &points, Case::dies);
    all(EXACTLY_ONCE, Trouble::Twin, &["commit:before:3:stop"], Case::survives);
}

#[test]
fn exactly_once_survives_a_commit_whose_answer_is_lost_and_a_death_after_it() {
    for point in [
        "commit:before:3:stop,renew_producer:before",
        "commit:before:3:stop,committed:before",
        "commit:before:3:stop,committed:after",
    ] {
        all(EXACTLY_ONCE, Trouble::Silence, &[point], Case::dies);
    }
    all(
        EXACTLY_ONCE,
        Trouble::Silence,
        &["commit:before:3:stop"],
        Case::survives,
    );
}

#[test]
fn exactly_once_survives_a_death_while_partitions_are_let_go() {
    let points = ["release:before", "release:during:1", "release:after"];
    all(EXACTLY_ONCE, Trouble::Company, &points, Case::dies);
    let points = ["close:before", "close:during:5", "close:after"];
    all(EXACTLY_ONCE, Trouble::Drain, &points, Case::dies);
}

#[test]
fn exactly_once_survives_a_replica_that_sleeps_at_a_step_until_another_has_done_its_work() {
    let points = [
        "poll:after:400:stop",
        "send:after:150:stop",
        "drain:after:3:stop",
        "send_offsets:before:3:stop",
        "send_offsets:after:3:stop",
        "commit:after:3:stop",
    ];
    all(EXACTLY_ONCE, Trouble::None, &points, Case::freezes);
}

#[test]
fn at_least_once_loses_nothing_at_any_step_and_repeats_no_more_than_two_checkpoints() {
    let points = [
        "accept:before",
        "accept:after",
        "poll:after:400",
        "send:before:150",
        "send:after:150",
        "store_offsets:before:3",
        "store_offsets:during:1:3",
        "store_offsets:after:3",
        "commit_offsets:before:2",
        "commit_offsets:during:1:2",
        "commit_offsets:after:2",
    ];
    all(AT_LEAST_ONCE, Trouble::None, &points, Case::dies);
    let points = ["send:after:150:stop", "store_offsets:before:3:stop"];
    all(AT_LEAST_ONCE, Trouble::None, &points, Case::freezes);
}

#[test]
fn at_least_once_loses_nothing_while_work_is_undone_and_partitions_are_let_go() {
    let points = [
        "discard:before",
        "discard:during:1",
        "discard:after",
        "rewind:before",
        "rewind:after",
    ];
    all(AT_LEAST_ONCE, Trouble::LargeOutputs, &points, Case::dies);
    all(
        AT_LEAST_ONCE,
        Trouble::Company,
        &["release:before", "release:after"],
        Case::dies,
    );
    let points = ["drain:before", "drain:after", "close:before", "close:after"];
    all(AT_LEAST_ONCE, Trouble::Drain, &points, Case::dies);
}
