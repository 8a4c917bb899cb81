//! The whole service: `eddy run` in a process of its own, from ready to the last committed offset.
//!
//! Owns: the watch over it. Never does: ask it for anything while it works; its progress is read from Kafka.

use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use eddy_tests::kafka::Kafka;
use eddy_tests::service::{Replica, wait_for};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::clients::Guarantee;
use super::setting::{EVENTS, PARTITIONS, Setting};
use super::{BINARY, cpu, metrics};

/// What the service did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whole {
    pub(crate) cpu: Duration,
    /// From ready to the last committed offset, to a tenth of a second.
    pub(crate) took: Duration,
    /// Mean rows of a batch.
    pub(crate) batch_rows: f64,
    /// Mean events of a transaction; all of them where there are none.
    pub(crate) transaction_rows: f64,
}

impl Whole {
    /// Runs the service over all events, with `settings` laid over the file.
    pub(crate) fn run(
        setting: &Setting,
        name: &str,
        guarantee: Guarantee,
        (profile, settings): (Option<&str>, &[(&str, &str)]),
    ) -> Self {
        let pipeline = setting.pipeline(name, guarantee);
        let progress = Progress::of(&setting.kafka, &format!("eddy-{name}"));
        let mut replica = Replica::start(BINARY, &pipeline, "bench", settings);
        let before = cpu_when_ready(&replica);
        let started = Instant::now();
        let profiler = profile.map(|folder| Profiler::start(replica.pid(), folder, name));
        wait_for("the service to be done", || progress.is_done().then_some(()));
        let took = started.elapsed();
        let cpu = cpu::of_process(replica.pid()) - before;
        let page = replica.get("/metrics").expect("a running service shows its metrics");
        if let Some(profiler) = profiler {
            profiler.stop();
        }
        assert!(replica.terminate().success(), "{}", replica.log());

        let events = metrics::sum(&page, "eddy_events_predicted_total", "");
        assert_eq!(events, progress.events() as f64, "every event is predicted once");
        let checkpoints = metrics::sum(&page, "eddy_checkpoint_seconds_count", "outcome=\"committed\"");
        let batches = metrics::sum(&page, "eddy_batch_rows_count", "");
        Self {
            cpu,
            took,
            batch_rows: metrics::sum(&page, "eddy_batch_rows_sum", "") / batches,
            transaction_rows: events / checkpoints,
        }
    }
}

/// The time that it had used when it became ready. It works from that moment on, so this looks often.
fn cpu_when_ready(replica: &Replica) -> Duration {
    loop {
        let used = cpu::of_process(replica.pid());
        if replica.code("/ready") == Some(200) {
            return used;
        }
        sleep(Duration::from_millis(5));
    }
}

/// What a group has committed, against the end of the events.
struct Progress {
    consumer: BaseConsumer,
    ends: Vec<i64>,
}

impl Progress {
    fn of(kafka: &Kafka, group: &str) -> Self {
        let mut config = kafka.client();
        config.set("group.id", group).set("isolation.level", "read_uncommitted");
        Self {
            consumer: config.create().expect("a consumer can be made"),
            ends: kafka.end_offsets(EVENTS),
        }
    }

    fn events(&self) -> i64 {
        self.ends.iter().sum()
    }

    fn is_done(&self) -> bool {
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_range(EVENTS, 0, PARTITIONS - 1);
        let Ok(committed) = self.consumer.committed_offsets(partitions, Duration::from_secs(5)) else {
            return false;
        };
        let offsets = committed
            .elements()
            .into_iter()
            .map(|element| element.offset().to_raw());
        offsets.eq(self.ends.iter().map(|end| Some(*end)))
    }
}

/// `perf record` on the service.
struct Profiler(Child);

impl Profiler {
    fn start(pid: u32, folder: &str, name: &str) -> Self {
        let perf = Command::new("perf")
            .args([
                "record",
                "-q",
                "--call-graph",
                "dwarf,8192",
                "-F",
                "297",
                "-p",
                &pid.to_string(),
                "-o",
            ])
            .arg(format!("{folder}/{name}.perf"))
            .stdout(Stdio::null())
            .spawn();
        Self(perf.expect("`perf` is installed (Debian package linux-perf)"))
    }

    /// Ends it in a way in which it still writes its file.
    fn stop(mut self) {
        let interrupted = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status();
        assert!(
            interrupted.is_ok_and(|status| status.success()),
            "`kill` is part of any system"
        );
        self.0.wait().expect("a child can be waited for");
    }
}
