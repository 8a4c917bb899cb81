//! The bare parts: each does what the service cannot do without, and nothing else, in a process of its own.
//!
//! Owns: how a part is started and how it reports. Never does: use Eddy's code.

mod consume;
mod decode;
mod infer;
mod produce;

use std::process::{Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::arguments::PART;
use crate::common::clients::Guarantee;
use crate::common::cpu;

/// A part of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Part {
    /// librdkafka reads the events, and every byte is looked at.
    Consume,
    /// `serde_json` makes rows of them.
    Decode,
    /// ONNX Runtime scores the rows in batches.
    Infer,
    /// librdkafka writes the records.
    Produce,
}

impl Part {
    pub(crate) const ALL: [Self; 4] = [Self::Consume, Self::Decode, Self::Infer, Self::Produce];

    /// As the table names it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Consume => "librdkafka in",
            Self::Decode => "JSON to rows",
            Self::Infer => "ONNX Runtime",
            Self::Produce => "librdkafka out",
        }
    }
}

/// What a part is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) part: Part,
    pub(crate) guarantee: Guarantee,
    /// Of the run of the service whose work is done again.
    pub(crate) name: String,
    pub(crate) brokers: String,
    pub(crate) events: usize,
    pub(crate) batch_rows: usize,
    pub(crate) transaction_rows: usize,
}

/// What a part found.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Processor time for all events.
    pub(crate) cpu: Duration,
    /// From the first record that the service wrote to its last; known to the part that read them.
    pub(crate) service_wrote_for: Option<Duration>,
}

/// Runs a part in a process of its own.
pub(crate) fn measure(job: &Job) -> Report {
    let job = serde_json::to_string(job).expect("a job is plain data");
    let output = Command::new(std::env::current_exe().expect("the benchmark knows where it lies"))
        .args([PART, &job])
        // As the service does; with it the runtime has a thread more.
        .env("ORT_DISABLE_TELEMETRY", "1")
        .stderr(Stdio::inherit())
        .output()
        .expect("the benchmark can start itself");
    assert!(output.status.success(), "the part failed: {job}");
    serde_json::from_slice(&output.stdout).expect("a part reports in JSON")
}

/// Is a part: does the job and reports on standard output.
pub(crate) fn serve(job: &Job) {
    let report = match job.part {
        Part::Consume => report(|| consume::all(job)),
        Part::Decode => {
            let events = crate::common::events::different();
            report(|| decode::all(job, &events))
        }
        Part::Infer => {
            let mut prepared = infer::prepare(job);
            report(|| prepared.all(job))
        }
        Part::Produce => {
            let outputs = produce::read_back(job);
            Report {
                service_wrote_for: Some(outputs.written_for()),
                ..report(|| produce::all(job, &outputs))
            }
        }
    };
    println!("{}", serde_json::to_string(&report).expect("a report is plain data"));
}

fn report(work: impl FnOnce()) -> Report {
    let before = cpu::of_this_process();
    work();
    Report {
        cpu: cpu::of_this_process() - before,
        service_wrote_for: None,
    }
}
