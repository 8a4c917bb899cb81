//! CSV files: what their header and all of their cells say, and their rows as events.
//!
//! Owns: the delimiter, the names, one type for each column, the JSON of a row. Never does: hold more than one row.
//!
//! Invariant: a column has one type from the first row to the last, because a whole reading of the file settled it before
//! the first row is given. So `NA` is null among numbers and a word among words, and no column changes its type midway.
//!
//! What counts as what: [`cell`] has the grammar. An empty cell is null. In a column of texts everything else is text,
//! white space included; in the others white space around a value is dropped. A column without a name is called
//! `Unnamed: 0` after its position, as pandas calls it: it is mostly the index that pandas wrote.

mod cell;
mod column;
mod records;

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use self::cell::Cell;
pub use self::cell::MISSING_WORDS;
use self::column::{ColumnType, Observed};
pub(crate) use self::records::BYTE_ORDER_MARK;
use self::records::Records;
use super::choice::{Fate, Fates, steps};
use super::{Event, Reader, Row};
use crate::error::Error;
use crate::limits::{CELL_BYTES, COLUMNS, NAME_BYTES, ROW_BYTES};
use crate::text::{clip, push_string};

/// What separates cells.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

/// What one reading of the whole file found.
#[derive(Debug)]
pub(crate) struct Layout {
    delimiter: u8,
    /// Names of the columns, each one once.
    pub(crate) names: Vec<String>,
    types: Vec<ColumnType>,
    /// The names of columns whose times have no offset and are taken for UTC.
    pub(crate) assumed_utc: Vec<String>,
}

impl Layout {
    /// Reads the file once from its beginning to its end.
    ///
    /// # Errors
    /// When it cannot be read, has no header, or a row has not as many cells as the header.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let delimiter = delimiter(path)?;
        let mut records = open(path, delimiter)?;
        let names = header(path, &mut records)?;
        let mut observed = vec![Observed::default(); names.len()];
        while next(path, &mut records, &names)? {
            for (index, observed) in observed.iter_mut().enumerate() {
                observed.observe(&Cell::of(text(path, &records, index, &names)?));
            }
        }
        let assumed = names
            .iter()
            .zip(&observed)
            .filter(|(_, observed)| observed.assumes_utc());
        Ok(Self {
            delimiter,
            assumed_utc: assumed.map(|(name, _)| name.clone()).collect(),
            types: observed.into_iter().map(Observed::settle).collect(),
            names,
        })
    }

    /// Whether there is a column of this name or pointer.
    pub(crate) fn has(&self, name: &str) -> bool {
        let is_column = |name: &str| self.names.iter().any(|column| column == name);
        is_column(name) || matches!(steps(name).as_slice(), [only] if is_column(only))
    }
}

/// The rows of a file whose layout is known.
#[derive(Debug)]
pub(crate) struct Rows {
    path: PathBuf,
    records: Records<File>,
    names: Vec<String>,
    types: Vec<ColumnType>,
    /// For each column, what comes before its value; `None`: it is no part of the event.
    prefixes: Vec<Option<String>>,
    label: Option<usize>,
}

impl Rows {
    /// Begins at the first row.
    pub(crate) fn open(path: &Path, layout: &Layout, fates: &Fates) -> Result<Self, Error> {
        let mut records = open(path, layout.delimiter)?;
        let names = header(path, &mut records)?;
        if names != layout.names {
            return Err(changed(path, &records));
        }
        let fate = |name: &String| fates.of_member(name);
        let prefix = |name: &String| {
            let mut prefix = String::new();
            push_string(&mut prefix, name);
            prefix.push(':');
            prefix
        };
        Ok(Self {
            path: path.to_owned(),
            records,
            prefixes: names
                .iter()
                .map(|name| fate(name).is_none().then(|| prefix(name)))
                .collect(),
            label: names.iter().position(|name| fate(name) == Some(&Fate::Label)),
            types: layout.types.clone(),
            names,
        })
    }
}

impl Reader for Rows {
    fn next_row(&mut self) -> Result<Option<Row>, Error> {
        if !next(&self.path, &mut self.records, &self.names)? {
            return Ok(None);
        }
        let (mut json, mut label) = (String::from("{"), None);
        for (index, column) in self.types.iter().enumerate() {
            let is_label = self.label == Some(index);
            let prefix = self.prefixes[index].as_deref();
            if prefix.is_none() && !is_label {
                continue;
            }
            let text = text(&self.path, &self.records, index, &self.names)?;
            if is_label {
                label = column.label(text);
                continue;
            }
            if json.len() > 1 {
                json.push(',');
            }
            json.push_str(prefix.unwrap_or_default());
            if column.push_json(&mut json, text).is_err() {
                return Err(changed(&self.path, &self.records));
            }
        }
        json.push('}');
        if json.len() > ROW_BYTES {
            let message = format!("the row has more than {ROW_BYTES} bytes as JSON; leave out columns");
            return Err(Error::row(&self.path, self.records.at(), message));
        }
        Ok(Some(Row {
            event: Event::Json(json),
            label,
            at: self.records.at(),
        }))
    }
}

fn open(path: &Path, delimiter: u8) -> Result<Records<File>, Error> {
    let file = File::open(path).map_err(|source| Error::read(path, source))?;
    Ok(Records::new(path, file, delimiter))
}

/// The delimiter that stands most often in the header, outside quotes; the comma where several do as often, or none at all.
fn delimiter(path: &Path) -> Result<u8, Error> {
    let file = File::open(path).map_err(|source| Error::read(path, source))?;
    let (mut counts, mut is_quoted, mut is_begun) = ([0usize; DELIMITERS.len()], false, false);
    for byte in BufReader::new(file).take(ROW_BYTES as u64).bytes() {
        let byte = byte.map_err(|source| Error::read(path, source))?;
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\n' | b'\r' if !is_quoted && is_begun => break,
            _ => {}
        }
        is_begun |= !matches!(byte, b'\n' | b'\r');
        if !is_quoted && let Some(at) = DELIMITERS.iter().position(|delimiter| *delimiter == byte) {
            counts[at] += 1;
        }
    }
    let most = counts.iter().copied().max().unwrap_or_default();
    let at = counts.iter().position(|count| *count == most).unwrap_or_default();
    Ok(DELIMITERS[at])
}

/// The names of the columns.
fn header(path: &Path, records: &mut Records<File>) -> Result<Vec<String>, Error> {
    if !records.advance()? {
        return Err(Error::file(
            path,
            "is empty; write a header line with the names of the columns, then the rows",
        ));
    }
    let row = |message: String| Error::row(path, records.at(), message);
    if records.len() > COLUMNS {
        return Err(row(format!(
            "has {} columns, and {COLUMNS} are read; leave some out",
            records.len()
        )));
    }
    let mut names = Vec::with_capacity(records.len());
    let mut seen = HashSet::new();
    for index in 0..records.len() {
        let Ok(text) = std::str::from_utf8(records.cell(index)) else {
            return Err(row(format!(
                "the name of column {} is not UTF-8; save the file as UTF-8",
                index + 1
            )));
        };
        if text.len() > NAME_BYTES {
            let message = format!(
                "the name of column {} has more than {NAME_BYTES} bytes; is this a header line?",
                index + 1
            );
            return Err(row(message));
        }
        let name = if text.is_empty() {
            format!("Unnamed: {index}")
        } else {
            text.to_owned()
        };
        if !seen.insert(name.clone()) {
            return Err(row(format!(
                "two columns are called `{}`; give each its own name",
                clip(&name)
            )));
        }
        names.push(name);
    }
    let is_value = |name: &String| matches!(Cell::of(name), Cell::Number(_) | Cell::Infinite(_) | Cell::Time(..));
    if names.iter().all(is_value) {
        return Err(row(
            "holds values and no names; write a header line with the names of the columns before it".to_owned(),
        ));
    }
    Ok(names)
}

/// Goes to the next row, which has as many cells as there are names.
fn next(path: &Path, records: &mut Records<File>, names: &[String]) -> Result<bool, Error> {
    if !records.advance()? {
        return Ok(false);
    }
    let (cells, columns) = (records.len(), names.len());
    if cells == columns {
        return Ok(true);
    }
    let message = format!(
        "has {cells} cells, and the header names {columns} columns; put cells that hold the delimiter or a line break in \
         double quotes"
    );
    Err(Error::row(path, records.at(), message))
}

/// The text of a cell.
fn text<'r>(path: &Path, records: &'r Records<File>, index: usize, names: &[String]) -> Result<&'r str, Error> {
    let refuse = |message: String| Error::cell(path, records.at(), clip(&names[index]), message);
    let bytes = records.cell(index);
    if bytes.len() > CELL_BYTES {
        return Err(refuse(format!(
            "has {} bytes, and {CELL_BYTES} are read; shorten it, or look for a quote that is never closed",
            bytes.len()
        )));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let after = error.valid_up_to();
        refuse(format!(
            "is not UTF-8 after {after} bytes; save the file as UTF-8 (it may be Latin-1 or Windows-1252)"
        ))
    })
}

fn changed(path: &Path, records: &Records<File>) -> Error {
    Error::row(
        path,
        records.at(),
        "is not what it was when the file was opened; let nothing write to the file while it is read",
    )
}

#[cfg(test)]
mod tests;
