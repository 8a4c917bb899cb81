//! The command line: words to a [`Command`].
//!
//! Owns: the commands, their options and their help.
//! Never does: run a command, read a file, print or exit; the caller does.
//!
//! Invariant: every way to stop here says whether it is an error, so that a script can rely on exit code 64.

mod completions;
mod oncall;
mod recall;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use eddy_broker::settings::Start;
use eddy_pipeline::event::Destination;
use eddy_pipeline::settings::{Bytes, Span};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as ValueError, StrDeserializer};

pub use self::completions::CompletionsArguments;
pub(crate) use self::completions::script;
pub use self::oncall::{HealthArguments, LogArguments, OrderArguments, ReplicaArguments, SkipArguments, Url};
pub use self::recall::{RedriveArguments, RedriveFrom, ReplayArguments, SamplesArguments, WhyArguments};
pub use crate::recall::moment::Moment;

const AFTER_HELP: &str = "\
Every setting of the file can be overridden by an environment variable: EDDY__KAFKA__BROKERS sets `brokers` in [kafka].

Exit codes: 0 drained or done, 64 usage, 69 brokers unreachable at start, a schema registry that does not answer or gives a
command no schema, or a replica that does not answer, 70 a guarantee could not be kept, 75 replaced by a twin with the same
identity, 76 not drained in time, or a replay that was stopped, 78 the file, the token or a certificate is wrong, a test does
not hold, or `migrate --check` found something to do.";

const AFTER_TEST_HELP: &str = "\
Beside the pipeline file stand `events.jsonl` (one JSON document a line) or the folder `events`
(one file an event, named by its id: .json, .png, .jpg, .jpeg, or .bin for raw tensors and for
values in the frame of a schema registry), and `expected.jsonl`. A line of events that only a
header would name is named by its place, such as events.jsonl:3. A line of what is expected names
an event by its `id` and says which members of its prediction are to be so; others may be as they
like, and null stands for nothing:

  {\"id\":\"a\",\"models\":{\"m\":{\"label\":\"x\",\"probabilities\":[0.9,0.1],\"flags\":[]}}}
  {\"id\":\"b\",\"dead_letter\":{\"reason\":\"out_of_range\"}}

Exit codes: 0 all is as expected (or was written anew), 69 the schema registry is away, 78 it is not as
expected, or the tests cannot run.";

/// Streaming inference over Kafka: events in, predictions out, and the samples worth a label flow back.
#[derive(Debug, Parser)]
#[command(name = "eddy", version, after_help = AFTER_HELP, max_term_width = 100, arg_required_else_help = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

/// What the user asks for.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum Command {
    /// Run a pipeline until it is told to stop (SIGTERM or Ctrl-C); then finish what was begun.
    Run(RunArguments),
    /// Load everything, run the models once, reach the brokers, and list all problems. Changes nothing.
    Check(CheckArguments),
    /// Run the events that stand beside a pipeline file and compare what comes out with what is expected. Needs no Kafka.
    #[command(after_long_help = AFTER_TEST_HELP)]
    Test(TestArguments),
    /// Write a pipeline file from a model and a data set, once it has scored the data and proved better than chance.
    Init(InitArguments),
    /// Build the reference profile of a model from a data set, or a span of the stream, that is known to be good.
    Profile(ProfileCommand),
    /// Tell one event's whole story: its fields, what each model said, each draw, and why it was selected or not.
    Why(WhyArguments),
    /// Write what flowed back as a table of typed columns, one row an event: fields, predictions, arms, weights.
    Samples(SamplesArguments),
    /// Score a span of the stream or a file again, with one pipeline or two, and tell what would change. Writes nothing to Kafka.
    Replay(ReplayArguments),
    /// Send retraining samples or dead letters back to a topic, each event once per named job, ids kept.
    Redrive(RedriveArguments),
    /// Show it at work: real images stream through a model, drift sets in, uncertain samples flow back.
    Demo(DemoArguments),
    /// The pipeline's topics as they are and should be, with the commands for topics and permissions. `--apply` creates what
    /// is missing and alters nothing.
    Topics(TopicsArguments),
    /// Bring a pipeline file, a policy file or a profile to the newest format, comments kept. Without `--write` it shows what
    /// would change.
    Migrate(MigrateArguments),
    /// Print a JSON schema: of the pipeline file, for editors that complete and check TOML by it, or of what goes to a topic.
    Schema(SchemaArguments),
    /// Rehearse models that arrive on standard input. The program asks this of itself.
    #[command(hide = true, name = REHEARSE)]
    Rehearse {
        /// What to do, as JSON.
        order: String,
    },
    /// Pause running replicas: what was begun becomes durable, nothing more is taken, partitions are kept.
    Pause(OrderArguments),
    /// Let paused replicas go on; those that wait for a sick model or the end of a flood try again at once.
    Resume(OrderArguments),
    /// Skip one record: it becomes a dead letter instead of being scored, at whichever replica it comes by.
    Skip(SkipArguments),
    /// Log more, or less, for a while: then the level of the pipeline file comes back.
    Log(LogArguments),
    /// Ask a running replica whether it lives: exit code 0 if so, else 69. For container health checks.
    Health(HealthArguments),
    /// Print the completions of a shell, to be written where it looks for them:
    /// eddy completions bash > ~/.local/share/bash-completion/completions/eddy
    Completions(CompletionsArguments),
}

/// Arguments of `eddy topics`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct TopicsArguments {
    /// The pipeline file.
    #[arg(value_name = "PIPELINE")]
    pub pipeline: PathBuf,
    /// Create the output topics that are missing. What exists stays as it is.
    #[arg(long)]
    pub apply: bool,
    /// The events topic, too, if it is missing: usually it is its producers' to make.
    #[arg(long)]
    pub with_events: bool,
    /// Partitions of what is missing. Default: those of the events topic, else 3.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(1..=100_000))]
    pub partitions: Option<i32>,
    /// Replicas of what is missing. Default: those of the events topic, else the brokers' own default.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(1..=100))]
    pub replication: Option<i32>,
    /// How long what is missing keeps its records, such as 7d. Default: the brokers' own.
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub retention: Option<Span>,
    /// Whom the permissions are for, in the commands. Default: left open.
    #[arg(long, value_name = "User:NAME")]
    pub principal: Option<String>,
}

/// Arguments of `eddy migrate`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct MigrateArguments {
    /// The file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Exit with 78 when something is to be done, and write nothing. For a pull request.
    #[arg(long, conflicts_with = "write")]
    pub check: bool,
    /// Replace the file.
    #[arg(long)]
    pub write: bool,
}

/// Arguments of `eddy schema`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct SchemaArguments {
    /// The pipeline file whose outputs are described, with the names of its models and classes. Default: those of any.
    #[arg(value_name = "PIPELINE")]
    pub pipeline: Option<PathBuf>,
    /// Of what goes to which topic: the values of predictions, the headers of samples and dead letters, whose values are the
    /// events' own bytes. Default: `predictions` with a pipeline file; without one, the schema is that of the file itself.
    #[arg(long, value_name = "TOPIC")]
    pub topic: Option<OutputTopic>,
    /// Of predictions the headers, not the value.
    #[arg(long)]
    pub headers: bool,
}

/// A topic that Eddy writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum OutputTopic {
    /// The predictions topic.
    Predictions,
    /// The retraining topic.
    Retraining,
    /// The topic of dead letters.
    DeadLetters,
}

impl From<OutputTopic> for Destination {
    fn from(topic: OutputTopic) -> Self {
        match topic {
            OutputTopic::Predictions => Self::Predictions,
            OutputTopic::Retraining => Self::Retraining,
            OutputTopic::DeadLetters => Self::DeadLetters,
        }
    }
}

/// The command by which the program asks itself to rehearse a model.
pub const REHEARSE: &str = "rehearse";

/// Arguments of `eddy run`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct RunArguments {
    /// The pipeline file; the paths in it are relative to its folder.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// Arguments of `eddy check`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct CheckArguments {
    /// The pipeline file; the paths in it are relative to its folder.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Everything but Kafka: for a pull request, where no brokers are.
    #[arg(long)]
    pub offline: bool,
}

/// Arguments of `eddy test`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct TestArguments {
    /// The pipeline file; its tests stand beside it.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Write `expected.jsonl` anew, with what came out, and say what changed. Lines that are as expected stay, and so does
    /// the choice of members in the others.
    #[arg(long)]
    pub update: bool,
    /// By how much numbers of models may differ: absolute up to one, relative beyond. All else is compared exactly.
    #[arg(long, value_name = "NUMBER", default_value_t = 1e-4, value_parser = tolerance)]
    pub tolerance: f64,
    /// Most events, and most lines of `expected.jsonl`; more are refused.
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000)]
    pub events: usize,
    /// Most bytes of all these files together, such as 64MiB; more are refused.
    #[arg(long, value_name = "BYTES", default_value_t = Bytes::mib(64), value_parser = bytes)]
    pub bytes: Bytes,
    /// How it went as one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `eddy init`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct InitArguments {
    /// The model, an ONNX file.
    #[arg(long, value_name = "ONNX")]
    pub model: PathBuf,
    /// The data that it was trained on, or better, data like it: CSV, Parquet, JSON lines, or a folder with a sub-folder of
    /// images for each class.
    #[arg(long, value_name = "FILE|FOLDER")]
    pub data: PathBuf,
    /// The column of the label, which is no input. Default: the one that looks like it, if only one does.
    #[arg(long, value_name = "COLUMN")]
    pub label: Option<String>,
    /// A file with the trainer's predictions, one for each row of the data: classes, probabilities (of two classes, that of
    /// the second) or values.
    #[arg(long, value_name = "FILE")]
    pub expect: Option<PathBuf>,
    /// Its column. Default: the only one, or the one that is called like predictions.
    #[arg(long, value_name = "COLUMN", requires = "expect")]
    pub expect_column: Option<String>,
    /// Where `pipeline.toml` and `profile.json` go. Default: the folder of the model.
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// Brokers that the file names, as host:port,… Default: localhost:9092.
    #[arg(long, value_name = "HOST:PORT")]
    pub brokers: Option<String>,
    /// The events topic. With --brokers it is looked at: how much is there to read. Default: events.
    #[arg(long, value_name = "TOPIC")]
    pub events: Option<String>,
    /// Where a new group begins: earliest, at the oldest event; latest, at what comes next; a time in RFC 3339; or error.
    /// Default: earliest.
    #[arg(long, value_name = "START")]
    pub start: Option<Start>,
    /// Replace files that are there.
    #[arg(long)]
    pub force: bool,
}

/// `eddy profile`, and what else can be done to a profile.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct ProfileCommand {
    /// What to do to a profile that there is.
    #[command(subcommand)]
    pub action: Option<ProfileAction>,
    /// How to build one.
    #[command(flatten)]
    pub build: Option<ProfileArguments>,
}

/// What can be done to a profile that there is.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum ProfileAction {
    /// Accept what a feature is like by now as its new normal: it is measured anew over a span of the stream.
    Accept(AcceptArguments),
}

/// Arguments of `eddy profile accept`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct AcceptArguments {
    /// The pipeline file; the profiles of its models are rewritten.
    #[arg(value_name = "PIPELINE")]
    pub pipeline: PathBuf,
    /// The feature, as pages and metrics name it.
    #[arg(long, value_name = "NAME")]
    pub feature: String,
    /// From when on it is as it should be: 7d, 12h, a date or an RFC 3339 time, in UTC.
    #[arg(long, value_name = "TIME")]
    pub since: Moment,
    /// Until when. Default: now.
    #[arg(long, value_name = "TIME")]
    pub until: Option<Moment>,
    /// The topic of events, where the pipeline reads several.
    #[arg(long, value_name = "TOPIC")]
    pub topic: Option<String>,
    /// Most events that are read, of each partition the first ones. Default: all.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub rows: Option<u64>,
}

/// Arguments of `eddy profile`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ProfileArguments {
    /// The pipeline file; its models score the data.
    #[arg(value_name = "PIPELINE")]
    pub pipeline: PathBuf,
    /// The data: CSV, Parquet, JSON lines, or a folder with a sub-folder of images for each class.
    #[arg(long, value_name = "FILE|FOLDER", required_unless_present = "since")]
    pub data: Option<PathBuf>,
    /// In the place of data: the events of the topic from then on, 7d, 12h, a date or an RFC 3339 time, in UTC. Of a span
    /// that is known to have been healthy.
    #[arg(long, value_name = "TIME", conflicts_with_all = ["data", "label"])]
    pub since: Option<Moment>,
    /// Only events from before then. Default: now.
    #[arg(long, value_name = "TIME", requires = "since", conflicts_with = "data")]
    pub until: Option<Moment>,
    /// The topic of events, where the pipeline reads several.
    #[arg(long, value_name = "TOPIC", requires = "since", conflicts_with = "data")]
    pub topic: Option<String>,
    /// Whose profile it is, where the pipeline has several models.
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// The column of the label: with labels, the profile holds a temperature, calibrators and the accuracy.
    #[arg(long, value_name = "COLUMN")]
    pub label: Option<String>,
    /// A category among the fields whose words are counted apart, too. Default: `drift.segment` of the pipeline file.
    #[arg(long, value_name = "FIELD")]
    pub segment: Option<String>,
    /// Where it goes; what is there is replaced. Default: profile.json beside the pipeline file.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Most rows that are read: the first ones, of a topic those of each partition. Default: all.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub rows: Option<u64>,
}

/// Arguments of `eddy demo`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct DemoArguments {
    /// Brokers to use, as host:port,… Without it the demo brings its own broker along, in this process.
    #[arg(long, value_name = "HOST:PORT")]
    pub brokers: Option<String>,
    /// How long to run, such as 60s or 5m. Without it, until Ctrl-C.
    #[arg(long = "for", value_name = "SPAN", value_parser = span)]
    pub run_for: Option<Span>,
    /// Events a second.
    #[arg(long, value_name = "NUMBER", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate: u32,
    /// How to say at the end what happened.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Summary::Text)]
    pub summary: Summary,
    /// Where its metrics and its page are served. Port 0 takes any free port.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9180")]
    pub admin: SocketAddr,
}

/// How the demo's summary is written to standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Summary {
    /// For people.
    Text,
    /// One JSON object, for scripts.
    Json,
}

/// Why there is no command to run: help was asked for, or the words make no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// Help or the version, for standard output; exit code 0.
    Answer(String),
    /// What is wrong with the command line, for standard error; exit code 64.
    Usage(String),
}

/// Understands the words of a command line, the program's own name first.
///
/// # Errors
/// [`Stop`], with what to print.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Command, Stop> {
    let parsed = CommandLine::try_parse_from(words).map(|line| line.command);
    parsed.map_err(|error| {
        let text = error.render().to_string();
        if error.use_stderr() {
            Stop::Usage(text)
        } else {
            Stop::Answer(text)
        }
    })
}

fn span(text: &str) -> Result<Span, String> {
    let value: StrDeserializer<'_, ValueError> = text.into_deserializer();
    Span::deserialize(value).map_err(|error| error.to_string())
}

fn bytes(text: &str) -> Result<Bytes, String> {
    let value: StrDeserializer<'_, ValueError> = text.into_deserializer();
    Bytes::deserialize(value).map_err(|error| error.to_string())
}

fn tolerance(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
        _ => Err("write a number of at least 0, such as 1e-4".into()),
    }
}

#[cfg(test)]
mod tests;
