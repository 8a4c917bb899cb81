//! What the commands share that read topics back: times, errors, the headers of outputs, fields as decoded.
//!
//! Owns: the meaning of `--since` and `--until`, and what a failure means for the exit code.
//! Never does: write to Kafka, or run a model.

pub(crate) mod fields;
pub(crate) mod moment;
pub(crate) mod output;
pub(crate) mod progress;

use std::path::Path;

use eddy_broker::settings::Events;
use eddy_broker::{BrokerError, Fault};
use eddy_host::{ExitCode, SystemClock};
use eddy_pipeline::event::Record;
use eddy_pipeline::time::Clock as _;

use crate::file::{self, Pipeline};
use crate::schemas::NoSchema;
use crate::settings::environment;
use crate::settings::problems::Problems;

/// The topic of events that a command is about: the one that is asked for, or the only one.
///
/// # Errors
/// A sentence, when it is not the pipeline's, or several can be meant.
pub(crate) fn one_topic(events: &Events, asked: Option<&str>) -> Result<String, String> {
    match (asked, events.only()) {
        (Some(topic), _) if events.reads().has(topic) => Ok(topic.to_owned()),
        (Some(topic), _) => Err(format!(
            "--topic: the pipeline does not read `{topic}`; it reads {events}"
        )),
        (None, Some(only)) => Ok(only.to_owned()),
        (None, None) => Err(format!("the pipeline reads {events}; name one of them as --topic")),
    }
}

/// Why a command that reads topics back did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The pipeline file.
    #[error("{0}")]
    Pipeline(Problems),
    /// The request makes no sense for this pipeline.
    #[error("{0}")]
    Usage(String),
    /// Kafka.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The table that was to be written.
    #[error(transparent)]
    Table(#[from] eddy_storage::Error),
    /// The schema registry.
    #[error(transparent)]
    Schema(#[from] NoSchema),
    /// An output that this release cannot read.
    #[error("{place} {why}")]
    Newer {
        /// `topic/partition/offset`.
        place: String,
        /// The rest of the sentence.
        why: String,
    },
}

impl Error {
    /// An output that a newer release wrote.
    pub(crate) fn newer(record: &Record<'_>, why: String) -> Self {
        Self::Newer {
            place: place_of(record),
            why,
        }
    }

    /// The code to end with.
    pub(crate) const fn exit_code(&self) -> ExitCode {
        match self {
            // A name that was given is wrong; all else that befalls a table is no matter of the command line.
            Self::Usage(_) | Self::Table(eddy_storage::Error::File { .. }) => ExitCode::Usage,
            Self::Pipeline(_) | Self::Table(_) | Self::Newer { .. } => ExitCode::Configuration,
            Self::Broker(error) => exit_code(error),
            Self::Schema(error) => error.exit_code(),
        }
    }
}

/// The code to end with after trouble with Kafka.
pub(crate) const fn exit_code(error: &BrokerError) -> ExitCode {
    match error.fault {
        Fault::Refused => ExitCode::Configuration,
        Fault::Retriable | Fault::TimedOut => ExitCode::Unreachable,
        Fault::Fenced | Fault::ConsumerFenced => ExitCode::Fenced,
        _ => ExitCode::GuaranteeLost,
    }
}

/// Reads the pipeline file.
pub(crate) fn load(path: &Path) -> Result<Pipeline, Error> {
    file::load(path, environment::of_process()).map_err(Error::Pipeline)
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    SystemClock::start().now().unix_ms
}

/// Where a record stands, as `eddy.source` would say it.
pub(crate) fn place_of(record: &Record<'_>) -> String {
    let mut text = String::new();
    record.source.write(record.topic, &mut text);
    text
}

/// `1 sample`, `2 samples`.
pub(crate) fn counted(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_full_disk_is_no_fault_of_the_command_line_and_a_name_that_is_taken_is() {
        let path = PathBuf::from("week.csv");
        let full = eddy_storage::Error::Write {
            path: path.clone(),
            source: io::ErrorKind::StorageFull.into(),
        };
        let taken = eddy_storage::Error::File {
            path,
            message: "is there already".into(),
        };
        assert_eq!(Error::Table(full).exit_code(), ExitCode::Configuration);
        assert_eq!(Error::Table(taken).exit_code(), ExitCode::Usage);
    }
}
