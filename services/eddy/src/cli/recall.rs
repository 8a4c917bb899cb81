//! What is read back from topics, and what is sent again.
//!
//! Owns: the options of these commands. Never does: read a topic.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Moment;

/// Arguments of `eddy why`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct WhyArguments {
    /// The pipeline file.
    #[arg(value_name = "PIPELINE")]
    pub pipeline: PathBuf,
    /// The event: its id, or the place where it came in, as `eddy.source` says it: topic/partition/offset.
    #[arg(value_name = "ID|TOPIC/PARTITION/OFFSET")]
    pub event: String,
    /// How far back to look: 7d, 12h, a date or an RFC 3339 time, in UTC.
    #[arg(long, value_name = "TIME", default_value = "7d")]
    pub since: Moment,
    /// The story as one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `eddy samples`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct SamplesArguments {
    /// The pipeline file.
    #[arg(value_name = "PIPELINE")]
    pub pipeline: PathBuf,
    /// Samples that were selected from then on: 7d, 12h, a date or an RFC 3339 time, in UTC.
    #[arg(long, value_name = "TIME", default_value = "7d")]
    pub since: Moment,
    /// Samples that were selected before then. Default: now.
    #[arg(long, value_name = "TIME")]
    pub until: Option<Moment>,
    /// Where the table goes: a name that ends in .parquet or .csv.
    #[arg(long, value_name = "FILE", value_parser = crate::samples::table_name)]
    pub out: PathBuf,
    /// Replace a file that is there.
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `eddy replay`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["from", "data"])))]
pub struct ReplayArguments {
    /// The pipeline file; its brokers and a topic of its events are read.
    #[arg(value_name = "PIPELINE")]
    pub pipeline: PathBuf,
    /// Score the events of the topic from then on: 7d, 12h, a date or an RFC 3339 time, in UTC.
    #[arg(long, value_name = "TIME")]
    pub from: Option<Moment>,
    /// Only events from before then. Default: now.
    #[arg(long, value_name = "TIME", requires = "from", conflicts_with = "data")]
    pub to: Option<Moment>,
    /// The topic of events, where the pipeline reads several.
    #[arg(long, value_name = "TOPIC", requires = "from", conflicts_with = "data")]
    pub topic: Option<String>,
    /// In the place of a span, data: CSV, Parquet, JSON lines, or a folder of images.
    #[arg(long, value_name = "FILE|FOLDER")]
    pub data: Option<PathBuf>,
    /// Another pipeline file that scores the same events; the report tells where the two differ.
    #[arg(long, value_name = "PIPELINE")]
    pub against: Option<PathBuf>,
    /// Whose predictions are looked at, where a pipeline has several models.
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// Write the report as one page, too, which needs nothing beside it. What is there is replaced.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// The report as one JSON document.
    #[arg(long)]
    pub json: bool,
    /// Most events that are read: the first ones, of a topic those of each partition. Default: all.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub rows: Option<u64>,
    /// Keep the state in this file, and go on from it where it is there: after Ctrl-C, nothing is done twice.
    #[arg(long, value_name = "FILE")]
    pub resume: Option<PathBuf>,
}

/// Arguments of `eddy redrive`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct RedriveArguments {
    /// The pipeline file.
    #[arg(value_name = "PIPELINE")]
    pub pipeline: PathBuf,
    /// Name of the job, in letters, digits, `.`, `_` and `-`. A second run of it sends only what is new.
    #[arg(long, value_name = "NAME", value_parser = job)]
    pub job: String,
    /// What is sent: samples, or dead letters.
    #[arg(long, value_name = "TOPIC", value_enum)]
    pub from: RedriveFrom,
    /// Only what came in on this topic of events. Default: what came in on any of them.
    #[arg(long, value_name = "TOPIC")]
    pub topic: Option<String>,
    /// Where it is sent. Default: the topic of events that it came in on, which `--topic` names where there are several.
    #[arg(long, value_name = "TOPIC")]
    pub to: Option<String>,
    /// Only dead letters of this reason, or samples of this arm. May be given several times.
    #[arg(long, value_name = "REASON|ARM")]
    pub reason: Vec<String>,
    /// Only samples that this model selected. May be given several times.
    #[arg(long, value_name = "NAME")]
    pub model: Vec<String>,
    /// Where the job begins: 7d, 12h, a date or an RFC 3339 time, in UTC. Default: with the oldest. A job that has begun
    /// goes on where it was.
    #[arg(long, value_name = "TIME")]
    pub since: Option<Moment>,
    /// Only what was written before then. Default: all.
    #[arg(long, value_name = "TIME")]
    pub until: Option<Moment>,
    /// Only count what would be sent, by reason, arm and model. Writes nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// Where a job's records come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum RedriveFrom {
    /// The retraining topic.
    Retraining,
    /// The topic of dead letters.
    DeadLetters,
}

fn job(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err("write 1 to 64 letters, digits, `.`, `_` and `-`".into())
    }
}
