//! A look at the latest events: what names them, where their outputs go, which segments they fall into.
//!
//! Owns: how many events are looked at, and what is unwise about them.
//! Never does: run a model, join a group, keep an event.

use std::collections::BTreeMap;
use std::fmt;

use eddy_broker::kafka::{Stretch, TopicReader};
use eddy_pipeline::event::Record;
use eddy_pipeline::partition::partition_for;
use eddy_storage::table::Cell;

use crate::file::PipelineFile;
use crate::plain::clipped;
use crate::recall::fields::Fields;
use crate::recall::{Error, counted, place_of};

/// Events that are looked at, over all partitions.
const LOOKED_AT: i64 = 200;
/// Those that are shown.
const SHOWN: usize = 5;
/// Longest id, key or segment that is shown whole.
const WIDEST: usize = 32;

/// The latest events of a topic, as the pipeline sees them.
#[derive(Debug, Default)]
pub(super) struct Sightings {
    segments: Vec<String>,
    shown: Vec<Sighting>,
    looked_at: u64,
    /// Where each id was met, for those that were met twice.
    repeated: BTreeMap<String, Vec<String>>,
    has_ids: bool,
    keyed: u64,
    /// With a key, and where Kafka's default partitioner would not put it; one of them.
    elsewhere: Option<(u64, String)>,
    /// That cannot be scored, and why not; the first of them.
    refused: Option<(u64, String)>,
}

#[derive(Debug)]
struct Sighting {
    source: String,
    id: String,
    key: String,
    goes_to: i32,
    segments: Vec<String>,
}

/// What is known beforehand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings<'a> {
    pub(super) file: &'a PipelineFile,
    /// Partitions of the predictions topic.
    pub(super) predictions: i32,
    /// The fields whose words are segments.
    pub(super) segments: &'a [String],
}

impl Sightings {
    /// Reads the latest events.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn of(reader: &TopicReader, around: Surroundings<'_>, mut fields: Fields) -> Result<Self, Error> {
        let all = reader.all()?;
        let each = (LOOKED_AT / i64::try_from(all.len().max(1)).unwrap_or(1)).max(1);
        let latest: Vec<Stretch> = all.iter().map(|stretch| latest(stretch, each)).collect();
        let mut seen = Self {
            segments: around.segments.to_vec(),
            has_ids: around.file.events.id_field.is_some() || around.file.events.id_header.is_some(),
            ..Self::default()
        };
        let mut sources: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let partitions = i32::try_from(all.len()).unwrap_or(i32::MAX);
        reader.read(&latest, &mut |record: &Record<'_>| {
            fields.prepare(record)?;
            let id = seen.take(record, &mut fields, (around, partitions));
            sources.entry(id).or_default().push(place_of(record));
            Ok::<_, Error>(())
        })?;
        sources.retain(|_, places| places.len() > 1);
        seen.repeated = sources;
        Ok(seen)
    }

    /// Looks at one event; returns what it is called.
    fn take(
        &mut self,
        record: &Record<'_>,
        fields: &mut Fields,
        (around, partitions): (Surroundings<'_>, i32),
    ) -> String {
        self.looked_at += 1;
        let source = place_of(record);
        let id = fields.id(record).map_or_else(|| source.clone(), str::to_owned);
        let read = fields.read(record);
        if let Err(rejection) = &read {
            let first = || (0, format!("{source}: {rejection}"));
            self.refused.get_or_insert_with(first).0 += 1;
        }
        let own = record.source.partition.number;
        if let Some(key) = record.key {
            self.keyed += 1;
            if partition_for(Some(key), own, partitions) != own {
                self.elsewhere.get_or_insert_with(|| (0, source.clone())).0 += 1;
            }
        }
        if self.shown.len() < SHOWN {
            let cells = read.unwrap_or_default();
            let words = self.segments.iter().map(|segment| {
                let column = fields.columns().position(|column| column.name == *segment);
                column.and_then(|column| cells.get(column)).map_or_else(dash, word)
            });
            self.shown.push(Sighting {
                segments: words.collect(),
                id: clipped(&id, WIDEST),
                key: record.key.map_or_else(dash, readable),
                goes_to: partition_for(record.key, own, around.predictions),
                source,
            });
        }
        id
    }

    /// What works and is unwise, one sentence each.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let of = counted(self.looked_at, "event");
        if let Some((id, places)) = self.repeated.iter().max_by_key(|(_, places)| places.len()) {
            let count = self.repeated.len() as u64;
            warnings.push(format!(
                "ids repeat among the latest {of}: {} came more than once, such as `{}` as {} and {}. Labels are joined and \
                 samples drawn by id, so events with one id share their fate; point `events.id_field` or `events.id_header` at \
                 what is unique, unless these are the same events sent again",
                counted(count, "id"),
                clipped(id, WIDEST),
                places[0],
                places[1]
            ));
        }
        if !self.has_ids && self.looked_at > 0 {
            warnings.push(
                "events are named after their topic, partition and offset, so one that is sent again gets another name and its \
                 label cannot be joined by a name that its producer knows; `events.id_field` or `events.id_header` says where an \
                 id is"
                    .into(),
            );
        }
        if let Some((count, example)) = &self.elsewhere {
            warnings.push(format!(
                "{count} of {} with a key stand not where Kafka's default partitioner (murmur2) puts it, such as {example}: \
                 outputs are put by it, so they are in order by key and not in the partition of their event",
                counted(self.keyed, "event")
            ));
        }
        if let Some((count, example)) = &self.refused {
            warnings.push(format!(
                "{count} of the latest {of} would become dead letters before any model ran, the first {example}"
            ));
        }
        warnings
    }
}

/// The last `count` offsets.
fn latest(stretch: &Stretch, count: i64) -> Stretch {
    let (low, end) = (stretch.offsets.start, stretch.offsets.end);
    Stretch {
        partition: stretch.partition,
        offsets: low.max(end - count)..end,
    }
}

fn dash() -> String {
    "-".to_owned()
}

fn word(cell: &Cell<'_>) -> String {
    match cell {
        Cell::Text(text) => clipped(text, WIDEST),
        _ => dash(),
    }
}

/// A key as text, or its first bytes.
fn readable(key: &[u8]) -> String {
    match str::from_utf8(key) {
        Ok("") => "\"\"".to_owned(),
        Ok(text) if !text.chars().any(char::is_control) => clipped(text, WIDEST),
        _ => {
            let bytes: String = key.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            format!("0x{bytes}{}", if key.len() > 8 { "…" } else { "" })
        }
    }
}

impl fmt::Display for Sightings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.shown.is_empty() {
            return writeln!(f, "  no event is there to look at");
        }
        let titles = ["event", "id", "key", "prediction in"].into_iter().map(str::to_owned);
        let segments = self.segments.iter().map(|field| format!("segment `{field}`"));
        let mut rows = vec![titles.chain(segments).collect::<Vec<_>>()];
        rows.extend(self.shown.iter().map(|one| {
            let own = [&one.source, &one.id, &one.key].into_iter().cloned();
            own.chain([format!("partition {}", one.goes_to)])
                .chain(one.segments.iter().cloned())
                .collect()
        }));
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
        for row in &rows {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            writeln!(f, "  {}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}
