//! The command line of the benchmark.
//!
//! Owns: its few flags. Never does: read anything else than the arguments.

use std::process::ExitCode;

use crate::bare::Job;
use crate::common::read_flags;

/// What the process is asked to do.
pub(crate) enum Asked {
    /// Measure.
    Rounds(Arguments),
    /// Be a bare part: the benchmark starts itself with this.
    Part(Box<Job>),
}

/// What to measure.
pub(crate) struct Arguments {
    /// Events on the topic.
    pub(crate) events: usize,
    /// Rounds; medians are shown.
    pub(crate) rounds: usize,
    /// Where `perf record` puts a profile of the whole service, one file a round. It makes the whole look dearer.
    pub(crate) profile: Option<String>,
}

const USAGE: &str = "usage: parts [--events N] [--rounds N] [--profile FOLDER]";

/// The flag before a bare part's job.
pub(crate) const PART: &str = "--part";

/// Reads the arguments.
///
/// # Errors
/// The code to end with; what is wrong was said.
pub(crate) fn read() -> Result<Asked, ExitCode> {
    let (mut events, mut rounds, mut profile, mut part) = (1_000_000, 3, None, None);
    let numbers = &mut [("--events", &mut events), ("--rounds", &mut rounds)];
    read_flags(USAGE, numbers, &mut [("--profile", &mut profile), (PART, &mut part)])?;
    match part {
        Some(job) => Ok(Asked::Part(
            serde_json::from_str(&job).expect("the benchmark starts itself with a job"),
        )),
        None => Ok(Asked::Rounds(Arguments {
            events,
            rounds,
            profile,
        })),
    }
}
