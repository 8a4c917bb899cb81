//! `eddy samples`: what flowed back, as a table of typed columns.
//!
//! Owns: the two passes over the retraining topic, and the account of what was found.
//! Never does: write to Kafka, or leave half a table behind.
//!
//! Invariant: one row for each event, that of its latest sample; every record that was read is a row or is counted.
//!
//! The first pass notes which sample of each event is the latest and what the models say; the second writes. Between them
//! stand fingerprints of the events' ids and nothing of their bytes.

mod columns;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::path::Path;

use eddy_broker::kafka::{Stretch, TopicReader};
use eddy_broker::settings::Reads;
use eddy_host::ExitCode;
use eddy_pipeline::event::Record;
use eddy_storage::table::{Existing, Options, TableWriter, Written};

use self::columns::{Seen, Table};
use crate::cli::SamplesArguments;
use crate::file::Pipeline;
use crate::program;
use crate::recall::fields::Fields;
use crate::recall::moment::{self, utc};
use crate::recall::output::{Body, Sample, Stranger, fingerprint};
use crate::recall::{self, Error, counted, now_ms, place_of};
use crate::schemas::Shelf;

/// Which of several samples of one event counts: the latest, and of those of one moment the last.
type Rank = (i64, i32, i64);

/// What was found.
#[derive(Debug, Default)]
struct Account {
    /// Rows by arm; an event that two arms selected counts in both.
    arms: BTreeMap<String, u64>,
    records: u64,
    older: u64,
    omitted: u64,
    odd_times: u64,
    undecodable: u64,
    first_undecodable: Option<String>,
    other_pipeline: u64,
    foreign: u64,
    first_foreign: Option<String>,
}

/// Writes the table that the arguments ask for.
pub(crate) fn samples(arguments: &SamplesArguments) -> ExitCode {
    program::answer(write(arguments), Error::exit_code)
}

fn write(arguments: &SamplesArguments) -> Result<String, Error> {
    let pipeline = recall::load(&arguments.pipeline)?;
    let span = moment::span(arguments.since, arguments.until, now_ms()).map_err(Error::Usage)?;
    let fields = Shelf::open(&pipeline.file, &pipeline.folder).and_then(|shelf| Fields::of(&pipeline.file, shelf));
    let mut fields = fields.map_err(|problems| Error::Pipeline(pipeline.document.locate(problems)))?;
    columns::check(pipeline.file.fields.keys())
        .map_err(|problems| Error::Pipeline(pipeline.document.locate(problems)))?;
    let topic = &pipeline.file.topics.retraining;
    let reader = TopicReader::open(&pipeline.file.broker(&pipeline.folder), topic)?;
    // Records whose timestamps are out of order lie elsewhere; each is judged by its own.
    let stretches = reader.between(Some(span.start), None)?;
    let mut account = Account::default();
    let events = &pipeline.file.topics.events.reads();
    let first = first_pass(&reader, &stretches, (events, span.clone()), &mut account)?;
    let table = Table::new(&fields, &first.seen);
    let options = options(&pipeline, arguments, span.clone());
    let mut writer = TableWriter::create(&arguments.out, table.columns(), &options)?;
    reader.read(&stretches, &mut |record| {
        let Some(sample) = within(record, &span).and_then(|()| Sample::of(record, events).ok()) else {
            return Ok(());
        };
        if first.latest.get(&fingerprint(sample.id)) != Some(&rank(record)) {
            return Ok(());
        }
        if sample.body != Body::Omitted {
            fields.prepare(record)?;
        }
        let decoded = match sample.body {
            Body::Omitted => {
                account.omitted += 1;
                None
            }
            Body::Original | Body::Masked => match fields.read(record) {
                Ok(cells) => Some(cells),
                Err(rejection) => {
                    account.undecodable += 1;
                    let first = || format!("{}: {}", place_of(record), rejection.detail);
                    account.first_undecodable.get_or_insert_with(first);
                    None
                }
            },
        };
        for arm in sample.arms() {
            *account.arms.entry(arm.to_owned()).or_default() += 1;
        }
        let (row, has_odd_time) = table.row(record, &sample, decoded.as_deref());
        account.odd_times += u64::from(has_odd_time);
        writer.append(&row)?;
        Ok::<_, Error>(())
    })?;
    let written = writer.finish()?;
    Ok(account.report(&written, topic, span))
}

/// What the first pass leaves.
#[derive(Debug, Default)]
struct First {
    /// By the fingerprints of ids: there may be millions.
    latest: HashMap<u128, Rank>,
    seen: Seen,
}

impl First {
    /// Takes a sample; counts the one that it is newer or older than.
    fn take(&mut self, record: &Record<'_>, sample: &Sample<'_>) -> u64 {
        self.seen.see(sample);
        match self.latest.entry(fingerprint(sample.id)) {
            Entry::Vacant(entry) => {
                entry.insert(rank(record));
                0
            }
            Entry::Occupied(mut entry) => {
                let latest = rank(record).max(*entry.get());
                entry.insert(latest);
                1
            }
        }
    }
}

fn first_pass(
    reader: &TopicReader,
    stretches: &[Stretch],
    (events, span): (&Reads, std::ops::Range<i64>),
    account: &mut Account,
) -> Result<First, Error> {
    let mut first = First::default();
    reader.read(stretches, &mut |record| {
        if within(record, &span).is_none() {
            return Ok(());
        }
        account.records += 1;
        match Sample::of(record, events) {
            Ok(sample) => account.older += first.take(record, &sample),
            Err(stranger) => account.pass_over(record, stranger)?,
        }
        Ok::<_, Error>(())
    })?;
    Ok(first)
}

/// Whether a record is of these times; one without a timestamp is of all.
fn within(record: &Record<'_>, span: &std::ops::Range<i64>) -> Option<()> {
    record.timestamp_ms.is_none_or(|ms| span.contains(&ms)).then_some(())
}

fn rank(record: &Record<'_>) -> Rank {
    let time = record.timestamp_ms.unwrap_or(i64::MIN);
    (time, record.source.partition.number, record.source.offset)
}

fn options(pipeline: &Pipeline, arguments: &SamplesArguments, span: std::ops::Range<i64>) -> Options {
    let entry = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    Options {
        existing: if arguments.force {
            Existing::Replace
        } else {
            Existing::Refuse
        },
        metadata: vec![
            entry("eddy.pipeline", &pipeline.file.name),
            entry("eddy.topic", &pipeline.file.topics.retraining),
            entry("eddy.since", &utc(span.start)),
            entry("eddy.until", &utc(span.end)),
        ],
        ..Options::default()
    }
}

impl Account {
    /// Counts a record that is no sample of this pipeline.
    ///
    /// # Errors
    /// When a newer release wrote it.
    fn pass_over(&mut self, record: &Record<'_>, stranger: Stranger) -> Result<(), Error> {
        match stranger {
            Stranger::OtherPipeline(_) => self.other_pipeline += 1,
            Stranger::Foreign(why) => {
                self.foreign += 1;
                let first = || format!("{} {why}", place_of(record));
                self.first_foreign.get_or_insert_with(first);
            }
            Stranger::Newer(why) => return Err(Error::newer(record, why)),
        }
        Ok(())
    }

    fn report(&self, written: &Written, topic: &str, span: std::ops::Range<i64>) -> String {
        let mut text = format!(
            "{}: {} of {} bytes, from {} on `{topic}` between {} and {}\n",
            written.path.display(),
            counted(written.rows, "row"),
            written.bytes,
            counted(self.records, "record"),
            utc(span.start),
            utc(span.end)
        );
        let mut line = |count: u64, what: String| {
            if count > 0 {
                writeln!(text, "{count:>9}  {what}").expect("writing to a String cannot fail");
            }
        };
        for (arm, count) in &self.arms {
            line(*count, arm.clone());
        }
        line(self.older, "older samples of the same events, left out".into());
        line(
            self.omitted,
            "without their body (it was too large): their fields are null".into(),
        );
        line(
            self.odd_times,
            "with a time beyond what a calendar holds (another unit?): it is null".into(),
        );
        line(self.other_pipeline, "of another pipeline, left out".into());
        let first = |first: &Option<String>| first.clone().unwrap_or_default();
        line(
            self.undecodable,
            format!(
                "that this pipeline file does not take: their fields are null; the first, {}",
                first(&self.first_undecodable)
            ),
        );
        line(
            self.foreign,
            format!(
                "that are no samples, left out; the first, {}",
                first(&self.first_foreign)
            ),
        );
        text
    }
}

/// Whether a table can be called so, before anything is read.
pub(crate) fn table_name(text: &str) -> Result<std::path::PathBuf, String> {
    let path = Path::new(text);
    let extension = path.extension().map(|one| one.to_string_lossy().to_ascii_lowercase());
    match extension.as_deref() {
        Some("parquet" | "csv") => Ok(path.to_owned()),
        _ => Err("the name does not say how to write it; call it .parquet or .csv".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_names_every_record_that_is_no_row_as_it_was() {
        let account = Account {
            arms: BTreeMap::from([("explore".into(), 2), ("uncertainty".into(), 1)]),
            records: 9,
            older: 1,
            omitted: 1,
            odd_times: 1,
            undecodable: 1,
            other_pipeline: 2,
            first_undecodable: Some("retraining/0/3: field `x` is missing".into()),
            foreign: 4,
            first_foreign: Some("retraining/0/1 has no header `eddy.format`".into()),
        };
        let written = Written {
            path: "w.csv".into(),
            rows: 2,
            bytes: 90,
        };
        let text = account.report(&written, "retraining", 0..1_777_593_600_000);
        assert!(
            text.starts_with("w.csv: 2 rows of 90 bytes, from 9 records on `retraining`"),
            "{text}"
        );
        for part in [
            "2  explore",
            "1  older",
            "1  without",
            "1  with a time beyond",
            "2  of another pipeline",
            "field `x` is missing",
            "no header `eddy.format`",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let nothing = Account::default().report(&written, "retraining", 0..1);
        assert_eq!(nothing.lines().count(), 1, "{nothing}");
    }

    #[test]
    fn a_table_says_by_its_name_how_it_is_written() {
        assert!(table_name("week.parquet").is_ok() && table_name("a/week.CSV").is_ok());
        assert!(table_name("week.xlsx").is_err() && table_name("week").is_err());
    }
}
