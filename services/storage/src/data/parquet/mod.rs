//! Parquet files: batches of rows as JSON objects.
//!
//! Owns: which columns are read, and how many rows at once. Never does: hold more than one batch.
//!
//! What counts as what is said in [`value`]: by the file's types, not by its values.

mod value;

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use self::value::Writer;
use super::choice::{Fate, Fates, Taken, steps};
use super::{Event, Reader, Row};
use crate::error::{At, Error};
use crate::limits::{COLUMNS, NAME_BYTES, ROW_BYTES};
use crate::text::clip;

/// Most rows of a batch.
const BATCH_ROWS: usize = 1024;
/// Bytes that a batch may have, by the mean size of the file's rows.
const BATCH_BYTES: u64 = 32 << 20;

/// What the footer of the file says.
pub(crate) struct Layout {
    metadata: ArrowReaderMetadata,
    /// Names of the columns at the top, each one once.
    pub(crate) names: Vec<String>,
    /// The columns at the top whose times have no zone and are taken for UTC.
    pub(crate) assumed_utc: Vec<String>,
}

impl std::fmt::Debug for Layout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Layout")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

impl Layout {
    /// Reads the footer.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|source| Error::read(path, source))?;
        let metadata = guarded(path, || ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()))?;
        let fields = metadata.schema().fields();
        if fields.is_empty() {
            return Err(Error::file(path, "has no columns; write it again with some"));
        }
        if fields.len() > COLUMNS {
            let message = format!("has {} columns, and {COLUMNS} are read; leave some out", fields.len());
            return Err(Error::file(path, message));
        }
        let mut names: Vec<String> = Vec::with_capacity(fields.len());
        for field in fields {
            if field.name().len() > NAME_BYTES {
                return Err(Error::column(
                    path,
                    clip(field.name()),
                    format!("the name has more than {NAME_BYTES} bytes; shorten it"),
                ));
            }
            names.push(field.name().clone());
        }
        let mut sorted: Vec<&String> = names.iter().collect();
        sorted.sort_unstable();
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::column(
                path,
                clip(twice[0]),
                "two columns have this name; give each its own",
            ));
        }
        let zoneless = fields
            .iter()
            .filter(|field| matches!(field.data_type(), DataType::Timestamp(_, None)));
        Ok(Self {
            assumed_utc: zoneless.map(|field| field.name().clone()).collect(),
            names,
            metadata,
        })
    }

    /// The field that a name or pointer leads to.
    fn find(&self, steps: &[String]) -> Option<&Field> {
        let (first, rest) = steps.split_first()?;
        let mut field = self.metadata.schema().field_with_name(first).ok()?;
        for step in rest {
            let DataType::Struct(fields) = field.data_type() else {
                return None;
            };
            field = fields.iter().find(|field| field.name() == step)?;
        }
        Some(field)
    }

    /// Whether there is such a column, or a member of such a pointer.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.iter().any(|column| column == name) || self.find(&steps(name)).is_some()
    }

    /// Rows that are read at once.
    fn batch_rows(&self) -> usize {
        let widest = self.metadata.metadata().row_groups().iter().map(|group| {
            let rows = group.num_rows().max(1).unsigned_abs();
            group.total_byte_size().max(1).unsigned_abs() / rows
        });
        let rows = BATCH_BYTES / widest.max().unwrap_or(1).max(1);
        (rows as usize).clamp(1, BATCH_ROWS)
    }
}

/// The rows of a file.
pub(crate) struct Rows {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
    fates: Fates,
    batch: Option<RecordBatch>,
    /// The row within the batch that comes next.
    next: usize,
    /// Rows that were given.
    rows: u64,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows")
            .field("path", &self.path)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl Rows {
    /// Begins at the first row. Columns that are left out are not even read.
    pub(crate) fn open(path: &Path, layout: &Layout, fates: Fates) -> Result<Self, Error> {
        let stays = |field: &Field| fates.of_member(field.name()) != Some(&Fate::Out);
        let fields = layout.metadata.schema().fields();
        for field in fields.iter().filter(|field| stays(field)) {
            if let Some(message) = value::unsupported(field.data_type()) {
                return Err(Error::column(path, clip(field.name()), message));
            }
        }
        let kept = fields
            .iter()
            .enumerate()
            .filter(|(_, field)| stays(field))
            .map(|(at, _)| at);
        let mask = ProjectionMask::roots(layout.metadata.parquet_schema(), kept);
        let file = File::open(path).map_err(|source| Error::read(path, source))?;
        let reader = guarded(path, || {
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, layout.metadata.clone())
                .with_projection(mask)
                .with_batch_size(layout.batch_rows())
                .build()
        })?;
        Ok(Self {
            path: path.to_owned(),
            reader,
            fates,
            batch: None,
            next: 0,
            rows: 0,
        })
    }
}

impl Reader for Rows {
    fn next_row(&mut self) -> Result<Option<Row>, Error> {
        while self.batch.as_ref().is_none_or(|batch| self.next >= batch.num_rows()) {
            self.batch = guarded(&self.path, || self.reader.next().transpose())?;
            self.next = 0;
            if self.batch.is_none() {
                return Ok(None);
            }
        }
        let Some(batch) = &self.batch else { return Ok(None) };
        self.rows += 1;
        let at = At::Row(self.rows);
        let mut writer = Writer {
            json: String::with_capacity(256),
            taken: Taken::Nothing,
        };
        let fields = batch.schema_ref().fields();
        let members = fields
            .iter()
            .map(AsRef::as_ref)
            .zip(batch.columns().iter().map(AsRef::as_ref));
        writer
            .object(members, self.next, Some(&self.fates))
            .map_err(|fault| Error::Cell {
                path: self.path.clone(),
                at: at.clone(),
                column: fault.column,
                message: fault.message,
            })?;
        self.next += 1;
        if writer.json.len() > ROW_BYTES {
            let message = format!("the row has more than {ROW_BYTES} bytes as JSON; leave out columns");
            return Err(Error::row(&self.path, at, message));
        }
        let label = match writer.taken {
            Taken::Nothing => None,
            Taken::Label(label) => label,
        };
        Ok(Some(Row {
            event: Event::Json(writer.json),
            label,
            at,
        }))
    }
}

/// Calls the Parquet reader, which panics over some damaged files. What panicked is not used again: [`super::Rows`] end
/// after an error.
fn guarded<T, E: std::fmt::Display>(path: &Path, call: impl FnOnce() -> Result<T, E>) -> Result<T, Error> {
    let refuse = |why: String| {
        let message = format!("cannot be read as Parquet: {why}; write it again, or write it as CSV");
        Error::file(path, message)
    };
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|error| refuse(error.to_string())),
        Err(_) => Err(refuse("it is damaged".to_owned())),
    }
}
