//! Which format a data set has: its name says it, its content must agree.

use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::error::Error;

/// What a data set can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// A table of texts with a header line, separated by commas, semicolons or tabs.
    Csv,
    /// JSON objects, one on each line or in one list.
    Json,
    /// Apache Parquet.
    Parquet,
    /// A folder with a sub-folder of images for each class.
    Images,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Csv => "CSV",
            Self::Json => "JSON",
            Self::Parquet => "Parquet",
            Self::Images => "an image folder",
        })
    }
}

const WANTED: &str = "a data set is a file called .csv, .tsv, .parquet, .jsonl, .ndjson or .json, or a folder with a sub-folder \
                      of images for each class";

/// Tells the format by the name, and refuses a content that cannot be it.
pub(crate) fn tell(path: &Path) -> Result<Format, Error> {
    let metadata = std::fs::metadata(path).map_err(|source| Error::read(path, source))?;
    if metadata.is_dir() {
        return Ok(Format::Images);
    }
    if !metadata.is_file() {
        return Err(Error::file(path, format!("is neither a file nor a folder; {WANTED}")));
    }
    let extension = path
        .extension()
        .map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    let format = match extension.as_deref() {
        Some("csv" | "tsv") => Format::Csv,
        Some("json" | "jsonl" | "ndjson") => Format::Json,
        Some("parquet") => Format::Parquet,
        _ => return Err(Error::file(path, format!("the name does not say what it is; {WANTED}"))),
    };
    let content = Content::of(path)?;
    match content.contradiction(format) {
        Some(found) => Err(Error::file(path, format!("is called {format} and is {found}"))),
        None => Ok(format),
    }
}

/// The first and the last bytes of a file.
struct Content {
    first: Vec<u8>,
    last: Vec<u8>,
}

impl Content {
    fn of(path: &Path) -> Result<Self, Error> {
        let read = || {
            let mut file = File::open(path)?;
            let mut first = Vec::new();
            Read::by_ref(&mut file).take(512).read_to_end(&mut first)?;
            let length = file.seek(SeekFrom::End(0))?;
            file.seek(SeekFrom::Start(length.saturating_sub(4)))?;
            let mut last = Vec::new();
            file.take(4).read_to_end(&mut last)?;
            Ok(Self { first, last })
        };
        read().map_err(|source| Error::read(path, source))
    }

    /// What the content is instead, and what to do.
    fn contradiction(&self, format: Format) -> Option<&'static str> {
        let begins = |magic: &[u8]| self.first.starts_with(magic);
        if begins(b"PAR1") && format != Format::Parquet {
            return Some("Parquet; rename it to .parquet");
        }
        if begins(&[0x1f, 0x8b]) || begins(&[0x28, 0xb5, 0x2f, 0xfd]) || begins(b"BZh") || begins(b"\xfd7zXZ") {
            return Some("compressed as a whole; unpack it first");
        }
        if begins(b"PK\x03\x04") {
            return Some("a ZIP archive or a spreadsheet; unpack it, or save the sheet as CSV");
        }
        if begins(b"\xff\xfe") || begins(b"\xfe\xff") {
            return Some("UTF-16; save it as UTF-8");
        }
        match format {
            Format::Parquet if begins(b"PARE") || self.last == b"PARE" => {
                Some("encrypted; write it without encryption")
            }
            Format::Parquet if !begins(b"PAR1") => {
                Some("not: it does not begin like Parquet; name it after what it is")
            }
            Format::Parquet if self.last != b"PAR1" => {
                Some("cut off: it does not end like Parquet; write or copy it again as a whole")
            }
            Format::Csv if self.is_json_object() => Some("JSON; rename it to .jsonl"),
            _ => None,
        }
    }

    /// Whether the first line is a JSON object or the beginning of one. No header of a CSV file is.
    fn is_json_object(&self) -> bool {
        let line = self.first.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let mut objects = serde_json::Deserializer::from_slice(line).into_iter::<serde_json::Value>();
        line.trim_ascii_start().starts_with(b"{")
            && match objects.next() {
                Some(Ok(_)) => true,
                Some(Err(error)) => error.is_eof(),
                None => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, content: &[u8]) -> Result<Format, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        tell(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn the_name_says_the_format_whatever_its_case() {
        assert_eq!(told("a.csv", b"x,y\n1,2\n"), Ok(Format::Csv));
        assert_eq!(told("a.TSV", b"x\ty\n"), Ok(Format::Csv));
        assert_eq!(told("a.ndjson", b"{}"), Ok(Format::Json));
        assert_eq!(told("a.Parquet", b"PAR1....PAR1"), Ok(Format::Parquet));
        assert!(told("a.xlsx", b"").unwrap_err().contains("the name does not say"));
        assert!(told("csv", b"").is_err());
    }

    #[test]
    fn a_content_that_is_something_else_is_refused_with_what_to_do() {
        let refused: [(&str, &[u8], &str); 8] = [
            ("a.csv", b"PAR1....PAR1", "rename it to .parquet"),
            ("a.csv", b"\x1f\x8b\x08", "unpack it first"),
            ("a.csv", b"PK\x03\x04", "save the sheet as CSV"),
            ("a.csv", b"\xff\xfea\0", "save it as UTF-8"),
            ("a.csv", b"{\"a\": 1, \"b\": {\n", "rename it to .jsonl"),
            ("a.parquet", b"a,b\n", "does not begin like Parquet"),
            ("a.parquet", b"PAR1....", "write or copy it again"),
            ("a.parquet", b"PARE....PARE", "without encryption"),
        ];
        for (name, content, expected) in refused {
            let error = told(name, content).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_header_in_braces_is_no_json() {
        assert_eq!(told("a.csv", b"{a},{b}\n1,2\n"), Ok(Format::Csv));
    }
}
