//! Settings of the stream itself: batches, checkpoints, the flood limit.

use eddy_pipeline::settings::{Bytes, Problem, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[batch]`: how much is scored at once. A batch is whatever has arrived, up to these limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BatchSettings {
    /// Most rows in a batch. The model's calibrated batch size may make it smaller. Default 256.
    #[schemars(range(min = 1, max = 65536))]
    pub rows: usize,
    /// Most bytes of events in a batch. A single larger event is a batch of its own. Between 1 KiB and 1 GiB. Default
    /// 16 MiB.
    pub bytes: Bytes,
    /// How long the first event of a batch waits for company. Zero scores at once: the lowest latency at low load, at
    /// up to ten times the processor time. Default 1ms.
    pub wait: Span,
    /// Longest run of the models on a batch that calibration may choose. Default 250ms.
    pub time: Span,
    /// A run that takes longer is terminated and its batch halved; a lone row over it becomes a dead letter
    /// (`model_timeout`). Default 10s.
    pub run_limit: Span,
}

impl Default for BatchSettings {
    fn default() -> Self {
        Self {
            rows: 256,
            bytes: Bytes::mib(16),
            wait: Span::ms(1),
            time: Span::ms(250),
            run_limit: Span::seconds(10),
        }
    }
}

impl BatchSettings {
    /// What is wrong beyond types.
    pub fn check(&self) -> Vec<Problem> {
        if (Bytes::kib(1)..=Bytes::mib(1024)).contains(&self.bytes) {
            return Vec::new();
        }
        let message = "not between 1 KiB and 1 GiB; write a size that is";
        vec![Problem::new("batch.bytes", message)]
    }
}

/// `[checkpoint]`: how often what was done becomes durable. Whichever limit is met first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointSettings {
    /// Longest time between checkpoints while there is work. Exactly once, a reader of committed outputs waits up to
    /// this long; a longer interval costs less. Default 100ms.
    pub interval: Span,
    /// Most events in one checkpoint. Default 5000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub records: usize,
    /// Longest wait for the delivery of the outputs, before the checkpoint is given up and its work done again.
    /// Default 30s.
    pub delivery_timeout: Span,
    /// Most bytes of outputs that a lane keeps until their transaction is committed. When one is aborted and the
    /// partitions are still its own, it sends them again instead of reading and scoring the events a second time; with
    /// more outputs than this, it does that. Exactly once only; zero keeps none. Default 16 MiB.
    pub held_bytes: Bytes,
    /// Longest pause before a client that broke down is replaced once more, in an outage for example. The first
    /// replacement is immediate; then pauses begin at 100ms, double, and are jittered, so that replicas do not come back in
    /// step. Between 100ms and 30s. Default 10s.
    pub renewal_pause: Span,
    /// A partition in which there are events, and from which none came for so long although there was nothing else to do,
    /// is read from anew; if that does not help, the client is replaced, and then the process ends with exit code 70.
    /// Between 10s and 1h. Default 60s.
    pub stall_after: Span,
}

impl Default for CheckpointSettings {
    fn default() -> Self {
        Self {
            interval: Span::ms(100),
            records: 5000,
            delivery_timeout: Span::seconds(30),
            held_bytes: Bytes::mib(16),
            renewal_pause: Span::seconds(10),
            stall_after: Span::seconds(60),
        }
    }
}

impl CheckpointSettings {
    /// What is wrong beyond types.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !(Span::ms(100)..=Span::seconds(30)).contains(&self.renewal_pause) {
            let message = "not between 100ms and 30s; write a span that is";
            problems.push(Problem::new("checkpoint.renewal_pause", message));
        }
        if !(Span::seconds(10)..=Span::seconds(3600)).contains(&self.stall_after) {
            let message = "not between 10s and 1h; write a span that is";
            problems.push(Problem::new("checkpoint.stall_after", message));
        }
        problems
    }

    /// What is wrong exactly once: a transaction must outlive the interval.
    pub fn problems(&self, transaction_timeout: Span) -> Vec<Problem> {
        if self.interval.0 * 2 <= transaction_timeout.0 {
            return Vec::new();
        }
        vec![Problem::new(
            "checkpoint.interval",
            format!(
                "{} is more than half of `kafka.transaction_timeout` ({transaction_timeout}): the broker would abort the \
                 transaction; make the interval shorter or the timeout longer",
                self.interval
            ),
        )]
    }
}

/// `[dead_letters]`: the flood limit. A bad deployment must stop, not reroute the stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeadLetterSettings {
    /// Share of dead letters over `window_events` at which the stream pauses, offsets untouched. 1.0 switches the limit off.
    /// Default 0.5.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub flood_share: f64,
    /// Latest events that the share is taken over. Default 1000.
    #[schemars(range(min = 10, max = 1_000_000))]
    pub window_events: usize,
    /// While paused, a batch is tried this often; it goes through only if it is below the limit. Default 30s.
    pub retry: Span,
}

impl Default for DeadLetterSettings {
    fn default() -> Self {
        Self {
            flood_share: 0.5,
            window_events: 1000,
            retry: Span::seconds(30),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_must_outlast_two_checkpoint_intervals() {
        let settings = CheckpointSettings {
            interval: Span::seconds(5),
            ..CheckpointSettings::default()
        };
        assert_eq!(settings.problems(Span::seconds(10)), []);
        let problems = settings.problems(Span::seconds(9));
        assert_eq!(problems[0].key, "checkpoint.interval");
        assert!(
            problems[0].message.contains("kafka.transaction_timeout"),
            "{}",
            problems[0]
        );
    }
}
