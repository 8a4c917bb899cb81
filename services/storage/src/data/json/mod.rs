//! JSON files: one object on each line, or one list of objects.
//!
//! Owns: where a row begins and ends. Never does: hold more than one row, or change a value; an object without members that
//! are taken out stays as it is to the byte.

pub(crate) mod object;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::choice::{Fates, Taken};
use super::csv::BYTE_ORDER_MARK;
use super::{Event, Reader, Row};
use crate::error::{At, Error};
use crate::limits::ROW_BYTES;

const BUFFER_BYTES: usize = 64 << 10;

/// How rows follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// One object on each line; empty lines count for nothing.
    Lines,
    /// One list, whose elements are the objects.
    List,
}

impl Framing {
    /// Looks at the first character.
    pub(crate) fn tell(path: &Path) -> Result<Self, Error> {
        let mut input = open(path)?;
        loop {
            let bytes = input.fill_buf().map_err(|source| Error::read(path, source))?;
            let blank = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            match bytes.get(blank) {
                Some(b'{') => return Ok(Self::Lines),
                Some(b'[') => return Ok(Self::List),
                Some(_) => break,
                None if bytes.is_empty() => break,
                None => input.consume(blank),
            }
        }
        let message = "holds no JSON objects; write one object on each line, or one list of objects \
                       (pandas: to_json(…, orient=\"records\", lines=True))";
        Err(Error::file(path, message))
    }
}

/// The rows of a file.
#[derive(Debug)]
pub(crate) struct Rows {
    path: PathBuf,
    input: BufReader<File>,
    framing: Framing,
    fates: Fates,
    /// The name of the label's column until a row had it.
    unseen_label: Option<String>,
    /// The text of the row at hand.
    text: Vec<u8>,
    /// Line of the next byte, counted from 1.
    line: u64,
    rows: u64,
}

impl Rows {
    /// Begins at the first row.
    pub(crate) fn open(path: &Path, framing: Framing, fates: Fates, label: Option<String>) -> Result<Self, Error> {
        Ok(Self {
            path: path.to_owned(),
            input: open(path)?,
            framing,
            unseen_label: label,
            fates,
            text: Vec::new(),
            line: 1,
            rows: 0,
        })
    }
}

impl Reader for Rows {
    fn next_row(&mut self) -> Result<Option<Row>, Error> {
        self.text.clear();
        let begins = match self.framing {
            Framing::Lines => self.next_line()?,
            Framing::List => self.next_element()?,
        };
        let Some(line) = begins else {
            return self.end();
        };
        self.rows += 1;
        let refuse = |line: u64, message: String| Error::row(&self.path, At::Line(line), message);
        let text = std::str::from_utf8(&self.text)
            .map_err(|_| refuse(line, "is not UTF-8; save the file as UTF-8".to_owned()))?
            .trim();
        object::check(text).map_err(|error| {
            let (line, message) = (line + error.line().saturating_sub(1) as u64, self.sentence(&error));
            refuse(line, message)
        })?;
        let mut taken = Taken::Nothing;
        let json = if self.fates.is_empty() {
            text.to_owned()
        } else {
            object::take(text, &self.fates, &mut taken).map_err(|why| refuse(line, format!("the label {why}")))?
        };
        let label = match taken {
            Taken::Nothing => None,
            Taken::Label(label) => {
                self.unseen_label = None;
                label
            }
        };
        Ok(Some(Row {
            event: Event::Json(json),
            label,
            at: At::Line(line),
        }))
    }
}

impl Rows {
    fn end(&self) -> Result<Option<Row>, Error> {
        match &self.unseen_label {
            Some(label) if self.rows > 0 => {
                let message = "no row has this column, which was to be the label; name another";
                Err(Error::column(&self.path, label, message))
            }
            _ => Ok(None),
        }
    }

    fn sentence(&self, error: &serde_json::Error) -> String {
        let words = error.to_string();
        let why = words.rsplit_once(" at line ").map_or(words.as_str(), |(why, _)| why);
        let next = match self.framing {
            Framing::Lines => "every line must be one whole JSON object",
            Framing::List => "every element of the list must be one JSON object",
        };
        format!("{why} at column {}; {next}", error.column())
    }

    /// Reads a line that is not empty; gives its number.
    fn next_line(&mut self) -> Result<Option<u64>, Error> {
        loop {
            let bytes = self
                .input
                .fill_buf()
                .map_err(|source| Error::read(&self.path, source))?;
            if bytes.is_empty() {
                let is_blank = self.text.trim_ascii().is_empty();
                return Ok((!is_blank).then_some(self.line));
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let part = &bytes[..end.unwrap_or(bytes.len())];
            self.text.extend_from_slice(part);
            let consumed = part.len() + usize::from(end.is_some());
            self.input.consume(consumed);
            self.within_limit(self.line)?;
            if end.is_some() {
                self.line += 1;
                if !self.text.trim_ascii().is_empty() {
                    return Ok(Some(self.line - 1));
                }
                self.text.clear();
            }
        }
    }

    /// Reads the next element of the list; gives the number of the line in which it begins.
    fn next_element(&mut self) -> Result<Option<u64>, Error> {
        let mut element = Element::default();
        if self.rows == 0 {
            // The bracket that opens the list was seen when the file was opened.
            self.skip_blanks()?;
            self.input.consume(1);
        } else {
            element.before = Before::Comma;
        }
        loop {
            let bytes = self
                .input
                .fill_buf()
                .map_err(|source| Error::read(&self.path, source))?;
            if bytes.is_empty() {
                let message = "the file ends within the list; write it again as a whole";
                return Err(Error::row(&self.path, At::Line(self.line), message));
            }
            for (at, byte) in bytes.iter().enumerate() {
                self.line += u64::from(*byte == b'\n');
                match element.step(*byte, self.line) {
                    Step::Skip => {}
                    Step::Keep => self.text.push(*byte),
                    Step::End => {
                        self.text.push(*byte);
                        self.input.consume(at + 1);
                        return Ok(Some(element.line));
                    }
                    Step::EndOfList => {
                        self.input.consume(at + 1);
                        return self.nothing_more().map(|()| None);
                    }
                    Step::Misplaced => {
                        let message = format!(
                            "{:?} stands where an object should begin; a list of objects is read, separated by commas",
                            char::from(*byte)
                        );
                        return Err(Error::row(&self.path, At::Line(self.line), message));
                    }
                }
            }
            let consumed = bytes.len();
            self.input.consume(consumed);
            self.within_limit(element.line)?;
        }
    }

    /// Goes to the next byte that is no white space; `false` at the end of the file.
    fn skip_blanks(&mut self) -> Result<bool, Error> {
        loop {
            let bytes = self
                .input
                .fill_buf()
                .map_err(|source| Error::read(&self.path, source))?;
            if bytes.is_empty() {
                return Ok(false);
            }
            let blank = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let is_over = blank < bytes.len();
            self.line += bytes[..blank].iter().filter(|byte| **byte == b'\n').count() as u64;
            self.input.consume(blank);
            if is_over {
                return Ok(true);
            }
        }
    }

    /// After the list nothing may follow.
    fn nothing_more(&mut self) -> Result<(), Error> {
        if !self.skip_blanks()? {
            return Ok(());
        }
        let message = "something follows the list; write one list, or one object on each line";
        Err(Error::row(&self.path, At::Line(self.line), message))
    }

    fn within_limit(&self, line: u64) -> Result<(), Error> {
        if self.text.len() <= ROW_BYTES {
            return Ok(());
        }
        let message =
            format!("the row that begins here has more than {ROW_BYTES} bytes; is a brace or a quote never closed?");
        Err(Error::row(&self.path, At::Line(line), message))
    }
}

/// Where the scan of a list's element is.
#[derive(Debug, Default)]
struct Element {
    /// The line in which it begins; 0 before that.
    line: u64,
    /// Objects and lists that are open.
    depth: usize,
    text: Text,
    before: Before,
}

/// What must come before an element begins.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// Nothing: it is the first. The list may also end.
    #[default]
    Nothing,
    /// A comma. The list may also end.
    Comma,
    /// The comma was there.
    Element,
}

/// Where the scan is with regard to texts in quotes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Text {
    #[default]
    Outside,
    Inside,
    /// After a backslash.
    Escaped,
}

/// What to do with a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Skip,
    Keep,
    /// It is the last of the element.
    End,
    EndOfList,
    Misplaced,
}

impl Element {
    fn step(&mut self, byte: u8, line: u64) -> Step {
        if self.line == 0 {
            return match (byte, self.before) {
                (b'{', Before::Nothing | Before::Element) => {
                    (self.line, self.depth) = (line, 1);
                    Step::Keep
                }
                (b',', Before::Comma) => {
                    self.before = Before::Element;
                    Step::Skip
                }
                (b']', Before::Nothing | Before::Comma) => Step::EndOfList,
                _ if byte.is_ascii_whitespace() => Step::Skip,
                _ => Step::Misplaced,
            };
        }
        match (self.text, byte) {
            (Text::Outside, b'"') => self.text = Text::Inside,
            (Text::Outside, b'{' | b'[') => self.depth += 1,
            (Text::Outside, b'}' | b']') => self.depth -= 1,
            (Text::Inside, b'"') | (Text::Outside, _) => self.text = Text::Outside,
            (Text::Inside, b'\\') => self.text = Text::Escaped,
            (Text::Inside | Text::Escaped, _) => self.text = Text::Inside,
        }
        if self.depth == 0 { Step::End } else { Step::Keep }
    }
}

fn open(path: &Path) -> Result<BufReader<File>, Error> {
    let file = File::open(path).map_err(|source| Error::read(path, source))?;
    let mut input = BufReader::with_capacity(BUFFER_BYTES, file);
    let bytes = input.fill_buf().map_err(|source| Error::read(path, source))?;
    if bytes.starts_with(BYTE_ORDER_MARK) {
        input.consume(BYTE_ORDER_MARK.len());
    }
    Ok(input)
}

#[cfg(test)]
mod tests;
