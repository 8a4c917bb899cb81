//! Data sets: files of rows, read as the events that they would have been on Kafka.
//!
//! Owns: which formats there are and how they are told apart, rows in the order of the file, the label beside its event.
//! Never does: hold more of a file than the row at hand (of Parquet: the batch of rows), or judge what a row means.
//!
//! Invariant: what a row is as an event does not depend on how the file was made. A number keeps its digits, what is
//! missing is `null`, a time is RFC 3339 text in UTC, bytes are base64; so rows go through the pipeline's own decoder.

mod choice;
mod csv;
mod format;
mod images;
mod json;
mod parquet;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::choice::{Choice, Fates};
pub(crate) use self::choice::{child, steps};
pub use self::csv::MISSING_WORDS;
pub use self::format::Format;
pub(crate) use self::json::object::Members;
use crate::error::{At, Error};
use crate::text::list;

/// A file or folder of rows.
#[derive(Debug, Clone)]
pub struct DataSet {
    path: PathBuf,
    source: Source,
    choice: Choice,
}

/// What the format found when the data set was opened.
#[derive(Debug, Clone)]
enum Source {
    Csv(Arc<csv::Layout>),
    Json(json::Framing),
    Parquet(Arc<parquet::Layout>),
    Images(Arc<images::Layout>),
}

/// One row of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The row as an event.
    pub event: Event,
    /// The text of the label, where a column was named as such and this row has one; of an image, the name of its folder.
    pub label: Option<String>,
    /// Where the row stands.
    pub at: At,
}

/// What the value of a record would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// One JSON object.
    Json(String),
    /// The bytes of one PNG or JPEG file.
    Image(Vec<u8>),
}

impl Event {
    /// The value of a record that holds this event.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Json(text) => text.as_bytes(),
            Self::Image(bytes) => bytes,
        }
    }
}

impl DataSet {
    /// Opens a data set: `.csv`, `.tsv`, `.parquet`, `.json`, `.jsonl`, or a folder with a sub-folder of images for each
    /// class. The name says what it is, and the content must be that.
    ///
    /// A CSV file is read once as a whole, since only all of its cells settle what type its columns have.
    ///
    /// # Errors
    /// When it cannot be read or is not what its name says; of CSV, any row that is out of shape.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref().to_owned();
        let source = match format::tell(&path)? {
            Format::Csv => Source::Csv(Arc::new(csv::Layout::read(&path)?)),
            Format::Json => Source::Json(json::Framing::tell(&path)?),
            Format::Parquet => Source::Parquet(Arc::new(parquet::Layout::read(&path)?)),
            Format::Images => Source::Images(Arc::new(images::Layout::read(&path)?)),
        };
        Ok(Self {
            path,
            source,
            choice: Choice::default(),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is.
    pub fn format(&self) -> Format {
        match &self.source {
            Source::Csv(_) => Format::Csv,
            Source::Json(_) => Format::Json,
            Source::Parquet(_) => Format::Parquet,
            Source::Images(_) => Format::Images,
        }
    }

    /// The names of the columns in the order of the file, whether or not they were left out. `None` where only the rows
    /// know: JSON objects name their own members, and images have none.
    pub fn columns(&self) -> Option<&[String]> {
        match &self.source {
            Source::Csv(layout) => Some(&layout.names),
            Source::Parquet(layout) => Some(&layout.names),
            Source::Json(_) | Source::Images(_) => None,
        }
    }

    /// The columns of a CSV file whose times have no offset, so that they were taken for UTC.
    pub fn assumed_utc(&self) -> &[String] {
        match &self.source {
            Source::Csv(layout) => &layout.assumed_utc,
            Source::Parquet(layout) => &layout.assumed_utc,
            Source::Json(_) | Source::Images(_) => &[],
        }
    }

    /// The same data set with these columns left out of its events. A JSON pointer also names what lies within objects:
    /// `/customer/name`.
    ///
    /// # Errors
    /// When there is no such column, as far as that is known before the rows are read.
    pub fn without(mut self, columns: &[&str]) -> Result<Self, Error> {
        for column in columns {
            self.expect_column(column)?;
            self.choice.out.push((*column).to_owned());
        }
        Ok(self)
    }

    /// The same data set with this column taken out of its events and given beside them as [`Row::label`].
    ///
    /// # Errors
    /// When there is no such column, as far as that is known before the rows are read: of JSON, [`Self::rows`] ends with
    /// an error where not one row had it.
    pub fn with_label(mut self, column: &str) -> Result<Self, Error> {
        self.expect_column(column)?;
        self.choice.label = Some(column.to_owned());
        Ok(self)
    }

    /// The column of the label, where one was named.
    pub fn label(&self) -> Option<&str> {
        self.choice.label.as_deref()
    }

    /// All rows, from the first, in the order of the file; of images, by class and name.
    ///
    /// # Errors
    /// When the file is no longer what it was, or has columns that no event can hold.
    pub fn rows(&self) -> Result<Rows, Error> {
        let fates = Fates::of(&self.choice, |name| {
            self.columns()
                .is_some_and(|names| names.iter().any(|column| column == name))
        });
        let reader: Box<dyn Reader> = match &self.source {
            Source::Csv(layout) => Box::new(csv::Rows::open(&self.path, layout, &fates)?),
            Source::Json(framing) => {
                let label = self.choice.label.clone();
                Box::new(json::Rows::open(&self.path, *framing, fates, label)?)
            }
            Source::Parquet(layout) => Box::new(parquet::Rows::open(&self.path, layout, fates)?),
            Source::Images(layout) => Box::new(images::Rows::open(&self.path, Arc::clone(layout))),
        };
        Ok(Rows { reader, is_over: false })
    }

    fn expect_column(&self, column: &str) -> Result<(), Error> {
        if matches!(self.source, Source::Images(_)) {
            let message = "an image folder has no columns; its labels are the names of its sub-folders";
            return Err(Error::column(&self.path, column, message));
        }
        let is_there = match &self.source {
            Source::Csv(layout) => layout.has(column),
            Source::Parquet(layout) => layout.has(column),
            Source::Json(_) | Source::Images(_) => true,
        };
        if is_there {
            return Ok(());
        }
        let names = self.columns().unwrap_or_default();
        let message = format!(
            "there is none of this name; there are {}",
            list(names.iter().map(String::as_str))
        );
        Err(Error::column(&self.path, column, message))
    }
}

/// The rows of a data set, one at a time. Ends after the first error.
#[derive(Debug)]
pub struct Rows {
    reader: Box<dyn Reader>,
    is_over: bool,
}

/// Reads the rows of one format.
trait Reader: std::fmt::Debug {
    /// The next row; `None` after the last. Not called again after that, nor after an error.
    fn next_row(&mut self) -> Result<Option<Row>, Error>;
}

impl Iterator for Rows {
    type Item = Result<Row, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let row = self.reader.next_row();
        self.is_over = !matches!(row, Ok(Some(_)));
        row.transpose()
    }
}
