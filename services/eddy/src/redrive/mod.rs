//! `eddy redrive`: samples or dead letters back to a topic, once each per named job.
//!
//! Owns: the order of things in a job. Never does: send a body that is not the event's own, or an old header of Eddy's but the
//! id.
//!
//! Invariant: a job's position moves in the transaction that holds what was sent up to it, and what the job has sent before can
//! be told from the records before that position. So each event goes once, whatever kills the job in between.

mod account;
mod filter;

use std::collections::HashSet;

use eddy_broker::BrokerError;
use eddy_broker::kafka::{Committed, JobWriter, Stretch, TopicReader};
use eddy_broker::settings::Settings;
use eddy_host::ExitCode;
use eddy_pipeline::event::{Destination, HEADER_ID, Header, Output, Record, place};
use eddy_pipeline::format::JOB_NOTE;
use eddy_pipeline::partition::partition_for;
use serde::{Deserialize, Serialize};

use self::account::Account;
use self::filter::{Filter, Verdict};
use crate::cli::{RedriveArguments, RedriveFrom};
use crate::file::Pipeline;
use crate::program;
use crate::recall::output::fingerprint;
use crate::recall::progress::Progress;
use crate::recall::{self, Error, moment, now_ms};

/// Most records of a transaction, and most bytes.
const BATCH_RECORDS: usize = 500;
const BATCH_BYTES: usize = 4 << 20;
/// Records that are passed over before the position is committed all the same.
const PASSED: u64 = 20_000;

/// Sends what the arguments ask for.
pub(crate) fn redrive(arguments: &RedriveArguments) -> ExitCode {
    program::answer(run(arguments), Error::exit_code)
}

fn run(arguments: &RedriveArguments) -> Result<String, Error> {
    let pipeline = recall::load(&arguments.pipeline)?;
    let job = Job::of(&pipeline, arguments)?;
    // Before the positions are read: from now on no other run of this job moves them.
    let writer = match arguments.dry_run {
        true => None,
        false => Some(JobWriter::open(&job.settings, &job.from, &job.to)?),
    };
    let reader = TopicReader::open(&job.settings, &job.from)?;
    let mut run = Run {
        parts: job.parts(&reader)?,
        sent: HashSet::new(),
        account: Account::default(),
        job,
    };
    run.remember(&reader)?;
    let parts = run.stretches(|part| part.at..part.end);
    let mut progress = Progress::new(format!("job `{}`", run.job.name), Some(&parts));
    match writer {
        None => {
            reader.read(&parts, &mut |record| {
                run.judge(record)?;
                progress.at(run.account.read(), format_args!("{} events", run.account.sent()));
                Ok::<_, Error>(())
            })?;
        }
        Some(writer) => run.send(&reader, writer, &parts, &mut progress)?,
    }
    let Job { name, from, to, .. } = &run.job;
    let mut report = run.account.report(name, (from, to), arguments.dry_run);
    if run.has_ignored_since() {
        report
            .push_str("--since says only where a job begins, and this one had begun before: it went on where it was\n");
    }
    Ok(report)
}

/// What is to be done.
#[derive(Debug)]
struct Job {
    name: String,
    settings: Settings,
    from: String,
    to: String,
    filter: Filter,
    /// Milliseconds since the Unix epoch.
    since: Option<i64>,
    until: Option<i64>,
}

/// What stands beside a job's position, so that the next run of it knows what this one did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    /// Format of the note: [`JOB_NOTE`].
    redrive: u32,
    /// Where to, and which.
    what: String,
    /// Where the job began in this partition.
    first: i64,
}

impl Note {
    /// # Errors
    /// Why it is none that can be gone on from, as the rest of a sentence that begins with it.
    fn read(text: &str) -> Result<Self, String> {
        /// What can be read of any format.
        #[derive(Deserialize)]
        struct Head {
            redrive: u32,
        }
        let foreign = |_| "is such that no redrive wrote it; choose another --job".to_owned();
        let head: Head = serde_json::from_str(text).map_err(foreign)?;
        JOB_NOTE.judge(head.redrive.into())?;
        serde_json::from_str(text).map_err(foreign)
    }
}

/// One partition of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    number: i32,
    /// Where the job began.
    first: i64,
    /// Where it goes on.
    at: i64,
    end: i64,
    /// Whether an earlier run has been there.
    is_known: bool,
}

impl Job {
    fn of(pipeline: &Pipeline, arguments: &RedriveArguments) -> Result<Self, Error> {
        let topics = &pipeline.file.topics;
        let from = match arguments.from {
            RedriveFrom::Retraining => topics.retraining.clone(),
            RedriveFrom::DeadLetters => topics.dead_letters.clone(),
        };
        let back = recall::one_topic(&topics.events, arguments.topic.as_deref());
        let to = match (&arguments.to, back) {
            (Some(to), Ok(_)) => to.clone(),
            // To wherever it is to go, whichever topic it came in on.
            (Some(to), Err(_)) if arguments.topic.is_none() => to.clone(),
            (None, Ok(back)) => back,
            (_, Err(why)) => return Err(Error::Usage(format!("{why}, or a topic of your own as --to"))),
        };
        if to == from {
            return Err(Error::Usage(format!(
                "--to `{to}` is where the records come from; name another topic, or leave it out for the topic of events"
            )));
        }
        let models = pipeline.file.models.iter().map(|model| model.name.as_str());
        let filter = Filter::of(arguments, topics.events.reads(), models).map_err(Error::Usage)?;
        let (since, until) = times(arguments, now_ms()).map_err(Error::Usage)?;
        let settings = pipeline.file.broker(&pipeline.folder).for_redrive(&arguments.job);
        Ok(Self {
            name: arguments.job.clone(),
            settings,
            from,
            to,
            filter,
            since,
            until,
        })
    }

    /// Which records, and where to: what a job of this name may not change.
    fn what(&self) -> String {
        format!("from {} to {} {}", self.from, self.to, self.filter)
    }

    /// Where each partition begins, goes on and ends.
    fn parts(&self, reader: &TopicReader) -> Result<Vec<Part>, Error> {
        let stretches = reader.between(self.since, self.until)?;
        let committed = reader.committed()?;
        let parts = stretches.iter().zip(&committed);
        parts
            .map(|(stretch, committed)| self.part(stretch, committed.as_ref()))
            .collect()
    }

    fn part(&self, stretch: &Stretch, committed: Option<&Committed>) -> Result<Part, Error> {
        let (number, start, end) = (stretch.partition, stretch.offsets.start, stretch.offsets.end);
        let Some(Committed { offset, note }) = committed else {
            return Ok(Part {
                number,
                first: start,
                at: start,
                end: end.max(start),
                is_known: false,
            });
        };
        let Note { what, first, .. } = Note::read(note).map_err(|why| {
            let group = self.settings.group();
            Error::Usage(format!("what stands beside an offset of group `{group}` {why}"))
        })?;
        if what != self.what() {
            return Err(Error::Usage(format!(
                "job `{}` was begun as \"{what}\", and this would be \"{}\"; give what is new a --job of its own",
                self.name,
                self.what()
            )));
        }
        // It goes on where it was: --since says only where a job begins.
        Ok(Part {
            number,
            first,
            at: *offset,
            end: end.max(*offset),
            is_known: true,
        })
    }
}

/// The times between which a job takes records, before anything of it is touched: an empty span would move its positions
/// past records that it never looked at.
fn times(arguments: &RedriveArguments, now: i64) -> Result<(Option<i64>, Option<i64>), String> {
    let until = arguments.until.map(|until| until.ms(now));
    match arguments.since {
        Some(since) => {
            let span = moment::span(since, arguments.until, now)?;
            Ok((Some(span.start), until))
        }
        None => Ok((None, until)),
    }
}

/// A record that is to be sent.
#[derive(Debug)]
struct Letter {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
    /// The partition of the event, for those without a key.
    partition: i32,
}

impl Letter {
    fn of(record: &Record<'_>, id: &str, source: &str) -> Self {
        let own = record.headers.iter().filter(|header| !header.name.starts_with("eddy."));
        let own = own.map(|header| (header.name.to_owned(), header.value.map(<[u8]>::to_vec)));
        let id = (HEADER_ID.to_owned(), Some(id.as_bytes().to_vec()));
        Self {
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: std::iter::once(id).chain(own).collect(),
            partition: place(source).map_or(record.source.partition.number, |(_, partition, _)| partition),
        }
    }

    fn bytes(&self) -> usize {
        let headers = self.headers.iter();
        let headers = headers.map(|(name, value)| name.len() + value.as_ref().map_or(0, Vec::len));
        [&self.key, &self.value]
            .into_iter()
            .flatten()
            .map(Vec::len)
            .sum::<usize>()
            + headers.sum::<usize>()
    }
}

/// What was read and is not committed yet.
#[derive(Debug, Default)]
struct Batch {
    letters: Vec<Letter>,
    bytes: usize,
    passed: u64,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.letters.len() >= BATCH_RECORDS || self.bytes >= BATCH_BYTES || self.passed >= PASSED
    }
}

/// A job under way.
#[derive(Debug)]
struct Run {
    job: Job,
    parts: Vec<Part>,
    /// Fingerprints of the ids that the job has sent: a job may have sent millions.
    sent: HashSet<u128>,
    account: Account,
}

impl Run {
    fn stretches(&self, range: impl Fn(&Part) -> std::ops::Range<i64>) -> Vec<Stretch> {
        let stretch = |part: &Part| Stretch {
            partition: part.number,
            offsets: range(part),
        };
        self.parts.iter().map(stretch).collect()
    }

    /// Finds the ids that earlier runs sent: those of the records that they had before them.
    fn remember(&mut self, reader: &TopicReader) -> Result<(), Error> {
        let before = self.stretches(|part| part.first..part.at);
        let (filter, sent) = (&self.job.filter, &mut self.sent);
        reader.read(&before, &mut |record| {
            if let Verdict::Send { id, .. } = filter.judge(record)? {
                sent.insert(fingerprint(id));
            }
            Ok::<_, Error>(())
        })?;
        Ok(())
    }

    /// Decides on a record, and counts it.
    fn judge(&mut self, record: &Record<'_>) -> Result<Option<Letter>, Error> {
        let verdict = self.job.filter.judge(record)?;
        let Verdict::Send { id, source, words } = verdict else {
            self.account.skip(&verdict);
            return Ok(None);
        };
        if !self.sent.insert(fingerprint(id)) {
            self.account.again();
            return Ok(None);
        }
        self.account.send(&words);
        Ok(Some(Letter::of(record, id, source)))
    }

    fn has_ignored_since(&self) -> bool {
        self.job.since.is_some() && self.parts.iter().any(|part| part.is_known)
    }

    fn send(
        &mut self,
        reader: &TopicReader,
        mut writer: JobWriter,
        parts: &[Stretch],
        progress: &mut Progress,
    ) -> Result<(), Error> {
        let mut batch = Batch::default();
        reader.read(parts, &mut |record| {
            match self.judge(record)? {
                Some(letter) => {
                    batch.bytes += letter.bytes();
                    batch.letters.push(letter);
                }
                None => batch.passed += 1,
            }
            self.move_to(record.source.partition.number, record.source.offset + 1);
            if batch.is_full() {
                self.flush(reader, &mut writer, &mut batch)?;
            }
            progress.at(self.account.read(), format_args!("{} events", self.account.sent()));
            Ok::<_, Error>(())
        })?;
        // What stands at the end may be no record but a marker.
        self.parts.iter_mut().for_each(|part| part.at = part.end);
        self.flush(reader, &mut writer, &mut batch)
    }

    fn move_to(&mut self, number: i32, offset: i64) {
        if let Some(part) = self.parts.iter_mut().find(|part| part.number == number) {
            part.at = offset;
        }
    }

    /// Sends a batch and commits it with the positions.
    fn flush(&self, reader: &TopicReader, writer: &mut JobWriter, batch: &mut Batch) -> Result<(), Error> {
        let letters = std::mem::take(batch).letters;
        let written = self.write(reader, writer, &letters);
        if let Err(error) = written {
            // The first failure says why; the next run of the job ends the transaction if this cannot.
            drop(writer.abort());
            return Err(Error::Broker(error));
        }
        Ok(())
    }

    fn write(&self, reader: &TopicReader, writer: &mut JobWriter, letters: &[Letter]) -> Result<(), BrokerError> {
        writer.begin()?;
        for letter in letters {
            let headers: Vec<Header<'_>> = letter
                .headers
                .iter()
                .map(|(name, value)| Header {
                    name,
                    value: value.as_deref(),
                })
                .collect();
            let key = letter.key.as_deref();
            writer.send(&Output {
                to: Destination::Predictions,
                partition: partition_for(key, letter.partition, writer.partitions()),
                key,
                value: letter.value.as_deref(),
                headers: &headers,
            })?;
        }
        let what = self.job.what();
        let position = |part: &Part| {
            let note = Note {
                redrive: JOB_NOTE.written,
                what: what.clone(),
                first: part.first,
            };
            let committed = Committed {
                offset: part.at,
                note: serde_json::to_string(&note).expect("a note is JSON"),
            };
            (part.number, committed)
        };
        let positions: Vec<(i32, Committed)> = self.parts.iter().map(position).collect();
        writer.commit(reader, &positions)
    }
}

#[cfg(test)]
mod tests;
