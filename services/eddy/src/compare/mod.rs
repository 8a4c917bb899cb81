//! `eddy replay`: a span of the stream or a file once more, through one pipeline or two, and what would change.
//!
//! Owns: the order of things in a run, what it may be compared with, when its state is written down.
//! Never does: join the live group, write to Kafka, or count anything itself; see [`eddy_pipeline::compare`].
//!
//! Invariant: a state holds what was counted of exactly the events before its positions.

mod document;
mod html;
mod side;
mod state;
mod text;
mod view;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use eddy_broker::BrokerError;
use eddy_broker::kafka::{Stretch, TopicReader};
use eddy_host::ExitCode;
use eddy_pipeline::compare::{Event, Terms, Unlike};
use eddy_storage::data::DataSet;
use eddy_storage::table::{Existing, WholeFile};

use self::document::Document;
use self::side::{Scores, Side};
use self::state::{Span, State, What};
use crate::cli::ReplayArguments;
use crate::profile::shorten;
use crate::program;
use crate::recall::progress::Progress;
use crate::recall::{exit_code, moment, now_ms};
use crate::replay::{self, Feed, Held, as_record};
use crate::settings::problems::Problems;

/// Records that are scored at a time are as many full batches as make these, and at most so many bytes.
const CHUNK_RECORDS: usize = 512;
const CHUNK_BYTES: usize = 8 << 20;
/// How often the state is written down.
const KEEP_EVERY: Duration = Duration::from_secs(10);

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A pipeline file, or something that it names.
    #[error("{0}")]
    Pipeline(Problems),
    /// What was asked for makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The two models do not answer the same question.
    #[error("model `{first}` of the one and model `{second}` of the other: {why}")]
    Unlike {
        /// Of the first pipeline.
        first: String,
        /// Of the second.
        second: String,
        /// Why.
        why: Unlike,
    },
    /// The data, or a model.
    #[error(transparent)]
    Replay(#[from] replay::Error),
    /// Kafka.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The state.
    #[error("{}: {message}", path.display())]
    State {
        /// Its file.
        path: PathBuf,
        /// What is wrong, and what to do.
        message: String,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Write(eddy_storage::Error),
    /// The system refuses the handlers of signals.
    #[error(transparent)]
    Host(#[from] eddy_host::Error),
    /// It was asked to stop.
    #[error("stopped after {read} events; {next}")]
    Stopped {
        /// Events that were read.
        read: u64,
        /// How to go on.
        next: String,
    },
}

impl Error {
    /// The code to end with.
    pub const fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::Usage,
            Self::Broker(error) => exit_code(error),
            Self::Replay(replay::Error::Schema(error)) => error.exit_code(),
            Self::Stopped { .. } => ExitCode::DrainMissed,
            _ => ExitCode::Configuration,
        }
    }
}

/// Carries the command out: the report goes to standard output, what is wrong to standard error.
pub fn replay(arguments: &ReplayArguments, variables: impl IntoIterator<Item = (String, String)>) -> ExitCode {
    let done = eddy_host::stop_on_signals()
        .map_err(Error::from)
        .and_then(|stop| run(arguments, variables, &stop));
    program::answer(done, Error::exit_code)
}

/// Scores the events and says what was found, until `stop` is set.
///
/// # Errors
/// [`Error`]. What was done by then is in the state, where one is kept.
pub fn run(
    arguments: &ReplayArguments,
    variables: impl IntoIterator<Item = (String, String)>,
    stop: &AtomicBool,
) -> Result<String, Error> {
    let variables: Vec<(String, String)> = variables.into_iter().collect();
    let files = [Some(&arguments.pipeline), arguments.against.as_ref()];
    let feed = match arguments.data {
        Some(_) => Feed::Data,
        None => Feed::Topic,
    };
    let mut sides = Vec::new();
    for path in files.into_iter().flatten() {
        sides.push(Side::open(path, arguments.model.as_deref(), feed, &variables)?);
    }
    let terms = terms(&sides)?;
    let what = What::of(&sides, arguments)?;
    let state = match &arguments.resume {
        Some(path) => State::read(path, &what)?,
        None => None,
    };
    let is_new = state.is_none();
    // Before the work is done: it would be a pity to find only then that its page has no place.
    let page = arguments.html.as_ref();
    let page = page
        .map(|path| WholeFile::create(path, Existing::Replace))
        .transpose()
        .map_err(Error::Write)?;
    let mut run = Run {
        state: state.unwrap_or_else(|| State::new(what)),
        path: arguments.resume.clone(),
        kept: Instant::now(),
        chunk: Vec::new(),
        chunk_records: chunk_records(&sides),
        bytes: 0,
        sides,
        terms,
        stop,
    };
    run.take_up_tallies()?;
    let source = match &arguments.data {
        Some(path) => run.data(path, arguments.rows)?,
        None => run.topic(arguments, is_new)?,
    };
    let document = Document::of(&run.sides, &run.terms, &run.state.comparison, source);
    if let Some(file) = page {
        put(file, &html::page(&view::sections(&document), &document.title())).map_err(Error::Write)?;
    }
    Ok(match arguments.json {
        true => document.json(),
        false => text::render(&view::sections(&document), &document.title()),
    })
}

/// Writes a page into its file.
fn put(mut file: WholeFile, page: &str) -> Result<(), eddy_storage::Error> {
    let written = file.write_all(page.as_bytes());
    written.map_err(|source| eddy_storage::Error::Write {
        path: file.path().to_owned(),
        source,
    })?;
    file.finish().map(drop)
}

/// Full batches of whichever side takes the larger ones.
fn chunk_records(sides: &[Side]) -> usize {
    let batch = sides.iter().map(Side::max_rows).max().unwrap_or(1).max(1);
    batch * CHUNK_RECORDS.div_ceil(batch)
}

fn terms(sides: &[Side]) -> Result<Terms, Error> {
    let second = sides.get(1);
    Terms::of(sides[0].head(), second.map(Side::head)).map_err(|why| unlike(sides, why))
}

fn unlike(sides: &[Side], why: Unlike) -> Error {
    let name = |at: usize| sides.get(at).map_or_else(String::new, |side| side.model().to_owned());
    Error::Unlike {
        first: name(0),
        second: name(1),
        why,
    }
}

/// A run under way.
struct Run<'a> {
    sides: Vec<Side>,
    terms: Terms,
    state: State,
    /// Where the state is kept.
    path: Option<PathBuf>,
    kept: Instant,
    /// Records that were read and are not scored yet.
    chunk: Vec<Held>,
    chunk_records: usize,
    bytes: usize,
    stop: &'a AtomicBool,
}

impl Run<'_> {
    fn take_up_tallies(&mut self) -> Result<(), Error> {
        for (side, counts) in self.sides.iter_mut().zip(&self.state.tallies) {
            let fits = side.take_up(counts);
            fits.map_err(|message| self.state.broken(self.path.as_deref(), message))?;
        }
        Ok(())
    }

    /// The rows of a file.
    fn data(&mut self, path: &Path, most: Option<u64>) -> Result<String, Error> {
        let data = DataSet::open(path).map_err(replay::Error::from)?;
        let topic: Arc<str> = "data".into();
        let mut progress = Progress::new("replay".into(), None);
        let mut number = 0;
        for row in data.rows().map_err(replay::Error::from)? {
            if most.is_some_and(|most| number >= most) {
                break;
            }
            let row = row.map_err(replay::Error::from)?;
            if number >= self.state.comparison.read() {
                let mut held = as_record(number, row.event.as_bytes(), now_ms(), |record| {
                    Held::of(record, &topic)
                });
                held.place = row.at.to_string();
                self.push(held)?;
                self.show(&mut progress, number + 1);
            }
            number += 1;
        }
        self.finish()?;
        if number == 0 {
            return Err(replay::Error::NoRows.into());
        }
        Ok(format!("{}", path.display()))
    }

    /// The events of a span of time.
    fn topic(&mut self, arguments: &ReplayArguments, is_new: bool) -> Result<String, Error> {
        let Some(topic) = self.state.what.topic() else {
            return Err(self
                .state
                .broken(self.path.as_deref(), "it is not of a topic".to_owned()));
        };
        let reader = TopicReader::open(&self.sides[0].broker(), topic)?;
        if is_new {
            self.state.span = Some(new_span(&reader, arguments)?);
        }
        let no_span = || "it has no span of a topic".to_owned();
        let Some(span) = self.state.span.clone() else {
            return Err(self.state.broken(self.path.as_deref(), no_span()));
        };
        if !is_new {
            self.expect_there(&reader, &span)?;
        }
        let left: Vec<Stretch> = span.left();
        let total = span.stretches();
        let mut progress = Progress::new("replay".into(), Some(&total));
        let topic: Arc<str> = reader.topic().into();
        reader.read(&left, &mut |record| {
            self.push(Held::of(record, &topic))?;
            self.show(&mut progress, self.state.comparison.read() + self.chunk.len() as u64);
            Ok::<_, Error>(())
        })?;
        self.finish()?;
        let said = format!(
            "`{topic}` from {} to {}",
            moment::utc(span.times.0),
            moment::utc(span.times.1)
        );
        if self.state.comparison.read() == 0 {
            return Err(Error::Usage(format!(
                "there are no events on {said}; name another span"
            )));
        }
        Ok(said)
    }

    /// What is left of the span must still be on the topic.
    fn expect_there(&self, reader: &TopicReader, span: &Span) -> Result<(), Error> {
        let there = reader.all()?;
        for left in span.left().iter().filter(|left| !left.offsets.is_empty()) {
            let first = there.iter().find(|part| part.partition == left.partition);
            if first.is_none_or(|part| part.offsets.start > left.offsets.start) {
                return Err(Error::Usage(format!(
                    "records of `{}` [{}] from offset {} on have been removed from the topic since the run began; begin anew \
                     without --resume, or with another file",
                    reader.topic(),
                    left.partition,
                    left.offsets.start
                )));
            }
        }
        Ok(())
    }

    fn show(&self, progress: &mut Progress, read: u64) {
        progress.at(read, format_args!("{} scored", self.state.comparison.read()));
    }

    fn push(&mut self, held: Held) -> Result<(), Error> {
        self.bytes += held.bytes();
        self.chunk.push(held);
        if self.chunk.len() < self.chunk_records && self.bytes < CHUNK_BYTES {
            return Ok(());
        }
        self.score()?;
        let is_stopped = self.stop.load(Ordering::Relaxed);
        if is_stopped || self.kept.elapsed() >= KEEP_EVERY {
            self.keep()?;
        }
        if is_stopped { Err(self.stopped()) } else { Ok(()) }
    }

    fn stopped(&self) -> Error {
        Error::Stopped {
            read: self.state.comparison.read(),
            next: match &self.path {
                Some(path) => format!("the same command with --resume {} goes on from there", path.display()),
                None => "pass --resume FILE from the start to be able to go on".into(),
            },
        }
    }

    fn finish(&mut self) -> Result<(), Error> {
        if !self.chunk.is_empty() {
            self.score()?;
        }
        self.keep()
    }

    /// Writes the state down, where it is kept.
    fn keep(&mut self) -> Result<(), Error> {
        self.kept = Instant::now();
        let Some(path) = &self.path else { return Ok(()) };
        self.state.tallies = self.sides.iter().map(Side::counts).collect();
        let file = WholeFile::holding(path, Existing::Replace, &self.state.to_json());
        file.and_then(WholeFile::finish).map_err(Error::Write)?;
        Ok(())
    }

    /// Scores what was read on every side, each on a thread of its own, and compares.
    fn score(&mut self) -> Result<(), Error> {
        let chunk = std::mem::take(&mut self.chunk);
        let mut scores = score_all(&mut self.sides, &chunk)?.into_iter();
        let first = scores.next().expect("there is a first side");
        let second = scores.next();
        for (position, held) in chunk.iter().enumerate() {
            let event = Event {
                order: (held.source.partition.number, held.source.offset),
                place: &held.place,
                id: first.id(position),
            };
            let of_second = second.as_ref().map(|second| second.fate(position));
            let taken = self
                .state
                .comparison
                .take(&self.terms, event, &first.fate(position), of_second.as_ref());
            taken.map_err(|why| unlike(&self.sides, why))?;
        }
        if let Some(span) = &mut self.state.span {
            chunk.iter().for_each(|held| span.pass(held.source));
        }
        // Its memory serves the next one.
        self.chunk = chunk;
        self.chunk.clear();
        self.bytes = 0;
        Ok(())
    }
}

fn score_all(sides: &mut [Side], chunk: &[Held]) -> Result<Vec<Scores>, Error> {
    let (first, others) = sides.split_first_mut().expect("there is a first side");
    std::thread::scope(|scope| {
        let mut running = Vec::new();
        for other in others {
            let named = std::thread::Builder::new().name("eddy-replay".into());
            let thread = named.spawn_scoped(scope, move || other.score(chunk));
            running
                .push(thread.map_err(|error| Error::Usage(format!("a thread cannot be started: {error}; try again")))?);
        }
        let mut scores = vec![first.score(chunk)?];
        for thread in running {
            scores.push(thread.join().expect("a side does not panic")?);
        }
        Ok(scores)
    })
}

fn new_span(reader: &TopicReader, arguments: &ReplayArguments) -> Result<Span, Error> {
    let from = arguments
        .from
        .ok_or_else(|| Error::Usage("name what to replay: --from TIME, or --data FILE".into()))?;
    let times = moment::span(from, arguments.to, now_ms()).map_err(|said| {
        let said = said.replace("--since", "--from").replace("--until", "--to");
        Error::Usage(said)
    })?;
    let mut stretches = reader.between(Some(times.start), Some(times.end))?;
    if let Some(most) = arguments.rows {
        shorten(&mut stretches, most);
    }
    Ok(Span::new((times.start, times.end), &stretches))
}
