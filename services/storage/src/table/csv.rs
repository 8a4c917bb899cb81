//! CSV files: a header, then a line for each row, as pandas, DuckDB and spreadsheets read them.
//!
//! What counts as what: null is an empty cell, an empty text is `""`; times are RFC 3339; NaN and the infinities are `NaN`,
//! `inf` and `-inf`; lists are JSON in a cell. CSV has no types: a text such as `7` comes back as a number. Parquet has.

use std::io::Write as _;

use jiff::Timestamp;

use super::file::WholeFile;
use super::{Cell, Column};
use crate::error::Error;
use crate::text::{push_f32, push_f64, push_string};

/// Writes a CSV file.
#[derive(Debug)]
pub(crate) struct Encoder {
    file: WholeFile,
    columns: usize,
    line: String,
}

impl Encoder {
    pub(crate) fn new(file: WholeFile, columns: &[Column]) -> Result<Self, Error> {
        let mut encoder = Self {
            file,
            columns: columns.len(),
            line: String::new(),
        };
        for (at, column) in columns.iter().enumerate() {
            encoder.separate(at);
            push_cell(&mut encoder.line, &column.name);
        }
        encoder.write()?;
        Ok(encoder)
    }

    fn separate(&mut self, at: usize) {
        if at > 0 {
            self.line.push(',');
        }
    }

    fn write(&mut self) -> Result<(), Error> {
        self.line.push('\n');
        let written = self.file.write_all(self.line.as_bytes());
        self.line.clear();
        written.map_err(|source| Error::write(self.file.path(), source))
    }

    fn push(&mut self, cell: &Cell<'_>) {
        let line = &mut self.line;
        match cell {
            // A line with nothing in it would be none.
            Cell::Null if self.columns == 1 => line.push_str("\"\""),
            Cell::Null => {}
            Cell::Integer(i) => line.push_str(&i.to_string()),
            Cell::Float(x) => push_float(line, *x),
            Cell::Boolean(b) => line.push_str(if *b { "true" } else { "false" }),
            Cell::Text(text) => push_cell(line, text),
            Cell::TimestampMs(ms) => {
                let time = Timestamp::from_millisecond(*ms).expect("the table checked the range");
                line.push_str(&time.to_string());
            }
            Cell::Texts(texts) => push_cell(line, &list(texts, |json, text| push_string(json, text))),
            Cell::Floats(floats) => push_cell(line, &list(floats, |json, x| push_f64(json, *x))),
            Cell::Floats32(floats) => push_cell(line, &list(floats, |json, x| push_f32(json, *x))),
        }
    }
}

impl super::Encoder for Encoder {
    fn append(&mut self, row: &[Cell<'_>]) -> Result<(), Error> {
        for (at, cell) in row.iter().enumerate() {
            self.separate(at);
            self.push(cell);
        }
        self.write()
    }

    fn finish(self: Box<Self>) -> Result<WholeFile, Error> {
        Ok(self.file)
    }
}

fn push_float(line: &mut String, x: f64) {
    if x.is_finite() {
        push_f64(line, x);
    } else if x.is_nan() {
        line.push_str("NaN");
    } else {
        line.push_str(if x > 0.0 { "inf" } else { "-inf" });
    }
}

fn list<T>(items: &[T], push: impl Fn(&mut String, &T)) -> String {
    let mut json = String::from("[");
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            json.push(',');
        }
        push(&mut json, item);
    }
    json.push(']');
    json
}

/// Appends a text, in quotes where it must be.
fn push_cell(line: &mut String, text: &str) {
    let is_plain = !text.is_empty() && !text.contains([',', '"', '\n', '\r', ';', '\t']);
    if is_plain {
        line.push_str(text);
        return;
    }
    line.push('"');
    line.push_str(&text.replace('"', "\"\""));
    line.push('"');
}
