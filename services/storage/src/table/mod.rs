//! Tables: typed columns, written row by row to a Parquet or CSV file.
//!
//! Owns: the types a column can have, the check of every row against them, and that a file is whole or not there.
//! Never does: guess a type; the caller's schema says it, and a cell of another type is an error.
//!
//! Invariant: the file has its name only when all of it is written and durable. Until then it lies beside it under a hidden
//! name, and goes when the writer is dropped.

mod cell;
mod csv;
mod file;
mod parquet;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

pub use self::cell::Cell;
pub use self::file::WholeFile;
use crate::error::{At, Error};
use crate::limits::{COLUMNS, NAME_BYTES};
use crate::text::clip;

/// What a column holds. Every column also holds nulls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// Whole numbers of 64 bits.
    Integer,
    /// 64-bit floats.
    Float,
    /// Truth values.
    Boolean,
    /// Texts.
    Text,
    /// Points in time in UTC, to the millisecond.
    Timestamp,
    /// Lists of texts.
    Texts,
    /// Lists of 64-bit floats.
    Floats,
    /// Lists of 32-bit floats.
    Floats32,
}

impl ColumnType {
    /// The word used in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Integer => "whole numbers",
            Self::Float => "numbers",
            Self::Boolean => "truth values",
            Self::Text => "texts",
            Self::Timestamp => "times",
            Self::Texts => "lists of texts",
            Self::Floats | Self::Floats32 => "lists of numbers",
        }
    }
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name, which no other column has.
    pub name: String,
    /// What it holds.
    pub kind: ColumnType,
}

impl Column {
    /// A column of this name and type.
    pub fn new(name: impl Into<String>, kind: ColumnType) -> Self {
        Self {
            name: name.into(),
            kind,
        }
    }
}

/// How a Parquet file is compressed. CSV is not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compression {
    /// Zstandard, level 3: small.
    #[default]
    Zstd,
    /// Snappy: for readers that know nothing newer.
    Snappy,
}

/// What to do with a file that has the name already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and the new one is an error.
    #[default]
    Refuse,
    /// The new one takes its place, at once and as a whole.
    Replace,
}

/// How a table is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// How a Parquet file is compressed. Default: Zstandard.
    pub compression: Compression,
    /// What to do with a file that has the name already. Default: refuse.
    pub existing: Existing,
    /// Keys and values that a Parquet file carries in its footer, such as where its rows come from. CSV has no place for
    /// them.
    pub metadata: Vec<(String, String)>,
}

/// A table that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The file.
    pub path: PathBuf,
    /// Its rows.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
}

/// Writes the rows of one format. Called in this order: `append` for each row, `finish` once.
trait Encoder {
    /// Takes a row whose cells fit the columns.
    fn append(&mut self, row: &[Cell<'_>]) -> Result<(), Error>;
    /// Writes what is left, and gives the file back.
    fn finish(self: Box<Self>) -> Result<WholeFile, Error>;
}

/// A table that is being written.
pub struct TableWriter {
    path: PathBuf,
    columns: Vec<Column>,
    /// `None` after it failed: what it wrote so far may have holes.
    encoder: Option<Box<dyn Encoder>>,
    rows: u64,
}

impl std::fmt::Debug for TableWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rows = &self.rows;
        f.debug_struct("TableWriter")
            .field("path", &self.path)
            .field("rows", rows)
            .finish_non_exhaustive()
    }
}

impl TableWriter {
    /// Begins a table; the name says whether it is `.parquet` or `.csv`.
    ///
    /// # Errors
    /// When the name says neither, two columns have one name, the file is there already, or its folder cannot be written.
    pub fn create(path: impl AsRef<Path>, columns: Vec<Column>, options: &Options) -> Result<Self, Error> {
        let path = path.as_ref().to_owned();
        check_columns(&path, &columns)?;
        let extension = path
            .extension()
            .map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        let encoder: Box<dyn Encoder> = match extension.as_deref() {
            Some("parquet") => Box::new(parquet::Encoder::new(
                WholeFile::create(&path, options.existing)?,
                &columns,
                options,
            )?),
            Some("csv") => Box::new(csv::Encoder::new(
                WholeFile::create(&path, options.existing)?,
                &columns,
            )?),
            _ => {
                return Err(Error::file(
                    &path,
                    "the name does not say how to write it; call it .parquet or .csv",
                ));
            }
        };
        Ok(Self {
            path,
            columns,
            encoder: Some(encoder),
            rows: 0,
        })
    }

    /// The columns, in their order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Appends a row: one cell for each column, in their order.
    ///
    /// # Errors
    /// When there are more or fewer, or one is not of its column's type, and then the row was not taken; or when the file
    /// cannot be written, and then nothing more can be.
    pub fn append(&mut self, row: &[Cell<'_>]) -> Result<(), Error> {
        let at = || At::Row(self.rows + 1);
        if row.len() != self.columns.len() {
            let message = format!(
                "has {} cells for {} columns; give one for each",
                row.len(),
                self.columns.len()
            );
            return Err(Error::row(&self.path, at(), message));
        }
        for (column, cell) in self.columns.iter().zip(row) {
            if let Some(message) = misfit(column.kind, cell) {
                return Err(Error::cell(&self.path, at(), clip(&column.name), message));
            }
        }
        let Some(mut encoder) = self.encoder.take() else {
            return Err(unfinished(&self.path));
        };
        encoder.append(row)?;
        self.encoder = Some(encoder);
        self.rows += 1;
        Ok(())
    }

    /// Writes what is left, makes it durable and gives the file its name.
    ///
    /// # Errors
    /// When that cannot be done, and then no file of the name is there, or the one that was there before.
    pub fn finish(self) -> Result<Written, Error> {
        let encoder = self.encoder.ok_or_else(|| unfinished(&self.path))?;
        let bytes = encoder.finish()?.finish()?;
        Ok(Written {
            path: self.path,
            rows: self.rows,
            bytes,
        })
    }
}

/// Why a cell cannot stand in a column of this type.
fn misfit(kind: ColumnType, cell: &Cell<'_>) -> Option<String> {
    if let Some(found) = cell.kind().filter(|found| *found != kind) {
        return Some(format!(
            "holds {} and is given {}; convert it first",
            kind.as_str(),
            found.as_str()
        ));
    }
    match cell {
        Cell::TimestampMs(ms) if Timestamp::from_millisecond(*ms).is_err() => Some(format!(
            "is given {ms} ms after 1970, which lies beyond the year 9999; was it in another unit?"
        )),
        _ => None,
    }
}

fn unfinished(path: &Path) -> Error {
    Error::file(
        path,
        "an earlier row could not be written, so the table has a hole; begin it anew",
    )
}

fn check_columns(path: &Path, columns: &[Column]) -> Result<(), Error> {
    if columns.is_empty() || columns.len() > COLUMNS {
        let message = format!(
            "a table has 1 to {COLUMNS} columns, and this one would have {}; choose some",
            columns.len()
        );
        return Err(Error::file(path, message));
    }
    let mut seen = HashSet::new();
    for Column { name, .. } in columns {
        if name.is_empty() || name.len() > NAME_BYTES {
            let message = format!("a name has 1 to {NAME_BYTES} bytes; choose another");
            return Err(Error::column(path, clip(name), message));
        }
        if !seen.insert(name) {
            return Err(Error::column(
                path,
                clip(name),
                "two columns have this name; give each its own",
            ));
        }
    }
    Ok(())
}
