//! Records of a CSV file, one at a time, in bounded memory, each with the line in which it begins.
//!
//! Owns: the limits on a record, and the count of lines. Never does: look into a cell.
//!
//! What counts as what: a cell may be in double quotes, within which delimiters and line breaks are text and two quotes
//! are one; lines end in LF, CR LF or CR; empty lines are no records; a byte order mark at the beginning is skipped.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use csv_core::ReadRecordResult;

use crate::error::{At, Error};
use crate::limits::{COLUMNS, ROW_BYTES};

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 64 << 10;
/// What Windows programs put before UTF-8.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Room for a record at first; it doubles up to [`ROW_BYTES`].
const FIRST_ROOM: usize = 8 << 10;

/// Reads records.
#[derive(Debug)]
pub(crate) struct Records<R> {
    path: PathBuf,
    input: BufReader<R>,
    core: csv_core::Reader,
    output: Vec<u8>,
    /// The end of each cell in `output`.
    ends: Vec<usize>,
    cells: usize,
    /// The line that comes next, counted from 1.
    next_line: u64,
    /// The line in which the record begins; 0 before the first.
    line: u64,
}

impl<R: Read> Records<R> {
    /// `path` is for messages.
    pub(crate) fn new(path: &Path, input: R, delimiter: u8) -> Self {
        Self {
            path: path.to_owned(),
            input: BufReader::with_capacity(BUFFER_BYTES, input),
            core: csv_core::ReaderBuilder::new().delimiter(delimiter).build(),
            output: vec![0; FIRST_ROOM],
            ends: vec![0; 64],
            cells: 0,
            next_line: 1,
            line: 0,
        }
    }

    /// Where the last record begins.
    pub(crate) fn at(&self) -> At {
        At::Line(self.line)
    }

    /// Cells of the last record.
    pub(crate) fn len(&self) -> usize {
        self.cells
    }

    /// A cell of the last record.
    pub(crate) fn cell(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.output[start..self.ends[index]]
    }

    /// Reads the next record; `false` at the end.
    ///
    /// # Errors
    /// When the file cannot be read, or the record is over a limit or ends within quotes.
    pub(crate) fn advance(&mut self) -> Result<bool, Error> {
        self.cells = 0;
        if self.line == 0 {
            self.skip_byte_order_mark()?;
        }
        self.skip_line_ends()?;
        self.line = self.next_line;
        let (mut bytes, mut is_begun) = (0, false);
        loop {
            let input = self
                .input
                .fill_buf()
                .map_err(|source| Error::read(&self.path, source))?;
            let is_end = input.is_empty();
            if is_end && !is_begun {
                return Ok(false);
            }
            // At the end of the file a line end closes every record but one that is within quotes.
            let fed = if is_end { b"\n".as_slice() } else { input };
            let (result, read, written, ended) =
                self.core
                    .read_record(fed, &mut self.output[bytes..], &mut self.ends[self.cells..]);
            is_begun = true;
            self.next_line += fed[..read].iter().filter(|byte| **byte == b'\n').count() as u64;
            if !is_end {
                self.input.consume(read);
            }
            bytes += written;
            self.cells += ended;
            match result {
                ReadRecordResult::Record => return Ok(true),
                ReadRecordResult::OutputFull => self.more_room()?,
                ReadRecordResult::OutputEndsFull => self.more_cells()?,
                ReadRecordResult::InputEmpty if is_end => return Err(self.open_quote()),
                ReadRecordResult::InputEmpty | ReadRecordResult::End => {}
            }
        }
    }

    fn skip_byte_order_mark(&mut self) -> Result<(), Error> {
        let input = self
            .input
            .fill_buf()
            .map_err(|source| Error::read(&self.path, source))?;
        if input.starts_with(BYTE_ORDER_MARK) {
            self.input.consume(BYTE_ORDER_MARK.len());
        }
        Ok(())
    }

    /// What ends a line stands before a record, and so does every empty line.
    fn skip_line_ends(&mut self) -> Result<(), Error> {
        loop {
            let input = self
                .input
                .fill_buf()
                .map_err(|source| Error::read(&self.path, source))?;
            let skipped = input.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
            self.next_line += input[..skipped].iter().filter(|byte| **byte == b'\n').count() as u64;
            self.input.consume(skipped);
            if skipped == 0 {
                return Ok(());
            }
        }
    }

    fn more_room(&mut self) -> Result<(), Error> {
        if self.output.len() >= ROW_BYTES {
            return Err(self.refuse(format!(
                "the row that begins here has more than {ROW_BYTES} bytes; if that is not meant, a quote is opened and \
                 never closed"
            )));
        }
        self.output.resize((self.output.len() * 2).min(ROW_BYTES), 0);
        Ok(())
    }

    fn more_cells(&mut self) -> Result<(), Error> {
        if self.ends.len() > COLUMNS {
            return Err(self.refuse(format!(
                "the row has more than {COLUMNS} cells; leave out columns before this file is read"
            )));
        }
        // One more than is allowed, so that a row of exactly so many is not taken for a longer one.
        self.ends.resize((self.ends.len() * 2).min(COLUMNS + 1), 0);
        Ok(())
    }

    fn open_quote(&self) -> Error {
        self.refuse(
            "a quote is opened in the row that begins here and never closed; close it, or double it where it is text",
        )
    }

    fn refuse(&self, message: impl Into<String>) -> Error {
        Error::row(&self.path, self.at(), message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(u64, Vec<String>)>, Error> {
        let mut records = Records::new(Path::new("t.csv"), text.as_bytes(), b',');
        let mut all = Vec::new();
        while records.advance()? {
            let cells = (0..records.len()).map(|i| String::from_utf8_lossy(records.cell(i)).into_owned());
            all.push((records.line, cells.collect()));
        }
        Ok(all)
    }

    fn rows(text: &str) -> Vec<(u64, Vec<String>)> {
        read(text).expect("sound CSV")
    }

    fn row(line: u64, cells: &[&str]) -> (u64, Vec<String>) {
        (line, cells.iter().map(|cell| (*cell).to_owned()).collect())
    }

    #[test]
    fn a_record_is_named_by_the_line_in_which_it_begins_however_lines_end() {
        let text = "a,b\n1,2\n\n\n3,4\n5,\"x\ny\"\n6,7";
        let expected = [
            row(1, &["a", "b"]),
            row(2, &["1", "2"]),
            row(5, &["3", "4"]),
            row(6, &["5", "x\ny"]),
            row(8, &["6", "7"]),
        ];
        assert_eq!(rows(text), expected);
        let crlf: Vec<_> = rows(&text.replace('\n', "\r\n"))
            .into_iter()
            .map(|(line, _)| line)
            .collect();
        assert_eq!(crlf, [1, 2, 5, 6, 8]);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_name() {
        assert_eq!(rows("\u{feff}\"a\",b\n"), [row(1, &["a", "b"])]);
        assert_eq!(rows("\u{feff}"), []);
        assert_eq!(rows("\u{feff}\r\n"), []);
    }

    #[test]
    fn an_open_quote_is_told_with_the_line_that_opens_it() {
        let error = read("a,b\n1,2\n3,\"x\n4,5\n").unwrap_err().to_string();
        assert!(error.starts_with("t.csv, line 3: a quote is opened"), "{error}");
    }

    #[test]
    fn a_file_without_a_line_end_ends_its_last_record() {
        assert_eq!(rows("a\n1"), [row(1, &["a"]), row(2, &["1"])]);
        assert_eq!(rows("a,b\n1,"), [row(1, &["a", "b"]), row(2, &["1", ""])]);
        assert_eq!(rows("a\n\"\""), [row(1, &["a"]), row(2, &[""])]);
        assert_eq!(rows(""), []);
        assert_eq!(rows("\n\r\n"), []);
    }

    #[test]
    fn a_row_over_a_limit_is_refused_and_one_at_the_limit_is_read() {
        let widest = vec!["x"; COLUMNS].join(",");
        assert_eq!(rows(&widest)[0].1.len(), COLUMNS);
        let error = read(&format!("a\n{widest},x,x")).unwrap_err().to_string();
        assert!(
            error.starts_with("t.csv, line 2: the row has more than 16384 cells"),
            "{error}"
        );
        let error = read(&format!("a\n\"{}", "x".repeat(ROW_BYTES)))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("t.csv, line 2: the row that begins here has more than"),
            "{error}"
        );
    }
}
