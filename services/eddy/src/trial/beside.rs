//! The tests that stand beside a pipeline file: `events.jsonl`, or the folder `events`, and `expected.jsonl`.
//!
//! Owns: what these files are called, how they are read, and how much of them.
//! Never does: understand an event; its bytes are handed on as they are.
//!
//! Invariant: events are in a fixed order: that of the lines, or that of the names of the files.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use eddy_pipeline::decode::{EventFormat, EventSettings};
use eddy_pipeline::event::{HEADER_ID, Header, Partition, Record, Source};
use eddy_pipeline::settings::Bytes;
use serde_json::{Map, Value};

use super::diff::{Expected, ID};
use crate::replay::Feed;

/// Events, one JSON document a line.
pub(crate) const EVENTS: &str = "events.jsonl";
/// Events, one file each.
pub(crate) const FOLDER: &str = "events";
/// What is expected of them.
pub(crate) const EXPECTED: &str = "expected.jsonl";

/// One event as a producer would write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// Where it stands: `events.jsonl:3`, or `events/a.png`.
    pub(crate) at: String,
    /// Its bytes.
    pub(crate) value: Vec<u8>,
    /// The header that names it, for events that cannot hold their id.
    pub(crate) id: Option<(String, String)>,
}

impl Event {
    /// The record that it would be, at this offset of a topic.
    pub(crate) fn with<R>(&self, topic: &str, offset: i64, see: impl FnOnce(&Record<'_>) -> R) -> R {
        let header = self.id.as_ref().map(|(name, id)| Header {
            name,
            value: Some(id.as_bytes()),
        });
        see(&Record {
            source: Source {
                partition: Partition { topic: 0, number: 0 },
                offset,
            },
            topic,
            // The time of sending is no property of an event.
            timestamp_ms: None,
            key: None,
            value: Some(&self.value),
            headers: header.as_slice(),
        })
    }
}

/// How much is read at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Events, and as many expectations.
    pub(crate) events: usize,
    /// Bytes of all files together.
    pub(crate) bytes: Bytes,
}

/// Why the tests cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unread {
    /// A file or folder.
    #[error("{path}: {message}")]
    File {
        /// Which one, with the line where there is one.
        path: String,
        /// What is wrong and what to do.
        message: String,
    },
    /// There is nothing to run.
    #[error(
        "{0} has no tests: put events beside the pipeline file, as `{EVENTS}` (one JSON document a line) or as the folder \
         `{FOLDER}` (one file each), and let `eddy test --update` write `{EXPECTED}`"
    )]
    NoEvents(String),
}

impl Unread {
    fn file(path: impl ToString, message: impl ToString) -> Self {
        Self::File {
            path: path.to_string(),
            message: message.to_string(),
        }
    }
}

/// Reads the tests beside one pipeline file.
#[derive(Debug)]
pub(crate) struct Beside<'a> {
    folder: &'a Path,
    limits: Limits,
    left: u64,
    /// What was left out, one sentence each.
    pub(crate) notes: Vec<String>,
}

impl<'a> Beside<'a> {
    /// Those in this folder.
    pub(crate) fn of(folder: &'a Path, limits: Limits) -> Self {
        Self {
            folder,
            limits,
            left: limits.bytes.0,
            notes: Vec::new(),
        }
    }

    /// Where the expectations are, or will be.
    pub(crate) fn expected_path(&self) -> PathBuf {
        self.folder.join(EXPECTED)
    }

    /// The events, at least one, and what they are: lines are JSON, also where the stream's events are in the framing of a
    /// registry; files are events as they are.
    ///
    /// # Errors
    /// [`Unread`].
    pub(crate) fn events(&mut self, settings: &EventSettings) -> Result<(Vec<Event>, Feed), Unread> {
        let (lines, folder) = (self.folder.join(EVENTS), self.folder.join(FOLDER));
        let events = match (lines.is_file(), folder.is_dir()) {
            (true, true) => {
                let message =
                    format!("stands beside the folder `{FOLDER}`, and only one of them can hold the events; move one");
                return Err(Unread::file(lines.display(), message));
            }
            (true, false) if !(settings.format == EventFormat::Json || settings.format.has_schemas()) => {
                let format = settings.format.as_str();
                let message =
                    format!("holds JSON, and events are `{format}`; put one file for each into the folder `{FOLDER}`");
                return Err(Unread::file(lines.display(), message));
            }
            (true, false) => self.read_lines(&lines, settings)?,
            (false, true) => self.read_folder(&folder, settings)?,
            (false, false) => Vec::new(),
        };
        if events.is_empty() {
            return Err(Unread::NoEvents(self.folder.display().to_string()));
        }
        let is_data = lines.is_file() && settings.format.has_schemas();
        if is_data {
            self.notes.push(format!(
                "events of the stream are {}; those of `{EVENTS}` are read as JSON with the same members, and no registry is asked",
                settings.format.as_str()
            ));
        }
        let feed = if is_data { Feed::Data } else { Feed::Topic };
        Ok((events, feed))
    }

    /// The expectations; `None` where there is no file of them.
    ///
    /// # Errors
    /// [`Unread`].
    pub(crate) fn expected(&mut self) -> Result<Option<Vec<Expected>>, Unread> {
        let path = self.expected_path();
        if !path.exists() {
            return Ok(None);
        }
        let text = self.text(&path)?;
        let mut expected = Vec::new();
        for (line, text) in lines(&text) {
            self.has_room(&path, expected.len())?;
            let wrong = |message: String| Unread::file(format!("{}:{line}", path.display()), message);
            let document: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
                wrong(format!(
                    "is no JSON object: {error}; write one such as {{\"id\":\"a\",\"models\":{{\"m\":{{\"label\":\"x\"}}}}}}"
                ))
            })?;
            let Some(id) = document.get(ID).and_then(Value::as_str) else {
                return Err(wrong(format!("has no `{ID}`; write the text that names the event")));
            };
            expected.push(Expected {
                id: id.to_owned(),
                line,
                text: text.to_owned(),
                document,
            });
        }
        Ok(Some(expected))
    }

    fn read_lines(&mut self, path: &Path, settings: &EventSettings) -> Result<Vec<Event>, Unread> {
        let text = self.text(path)?;
        // A line cannot hold a header; where only that would name the event, its place does.
        let header = settings.id_header.as_ref().filter(|_| settings.id_field.is_none());
        let mut events = Vec::new();
        for (line, text) in lines(&text) {
            self.has_room(path, events.len())?;
            let at = format!("{EVENTS}:{line}");
            events.push(Event {
                value: text.as_bytes().to_vec(),
                id: header.map(|header| (header.clone(), at.clone())),
                at,
            });
        }
        Ok(events)
    }

    fn read_folder(&mut self, folder: &Path, settings: &EventSettings) -> Result<Vec<Event>, Unread> {
        let wrong = |error: io::Error| Unread::file(folder.display(), format!("cannot be read: {error}"));
        let mut names = Vec::new();
        for entry in fs::read_dir(folder).map_err(wrong)? {
            let path = entry.map_err(wrong)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
            names.push(name.ok_or_else(|| Unread::file(path.display(), "has a name that is not UTF-8; rename it"))?);
        }
        names.sort();
        let endings = endings(settings.format);
        let is_event = |name: &String| {
            let ending = Path::new(name).extension().and_then(|ending| ending.to_str());
            ending.is_some_and(|ending| endings.iter().any(|known| known.eq_ignore_ascii_case(ending)))
        };
        let (names, others): (Vec<String>, Vec<String>) = names.into_iter().partition(is_event);
        if let Some(first) = others.first() {
            self.notes.push(format!(
                "{} of `{FOLDER}` is no event, for its name does not end in .{}: {first}",
                crate::recall::counted(others.len() as u64, "file"),
                endings.join(" or ."),
            ));
        }
        let mut events = Vec::new();
        for name in names {
            let path = folder.join(&name);
            self.has_room(folder, events.len())?;
            let stem = Path::new(&name)
                .file_stem()
                .and_then(|stem| stem.to_str())
                .unwrap_or(&name);
            let header = settings.id_header.as_deref().unwrap_or(HEADER_ID);
            events.push(Event {
                at: format!("{FOLDER}/{name}"),
                value: self.bytes(&path)?,
                // What holds its own id is named by that.
                id: settings
                    .id_field
                    .is_none()
                    .then(|| (header.to_owned(), stem.to_owned())),
            });
        }
        Ok(events)
    }

    fn has_room(&self, path: &Path, count: usize) -> Result<(), Unread> {
        if count < self.limits.events {
            return Ok(());
        }
        let message =
            format!("has more than {count} of them, the most that `--events` allows; leave some out, or allow more",);
        Err(Unread::file(path.display(), message))
    }

    fn text(&mut self, path: &Path) -> Result<String, Unread> {
        let bytes = self.bytes(path)?;
        String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Unread::file(
                path.display(),
                format!("is not UTF-8 from byte {at} on; save it as UTF-8"),
            )
        })
    }

    /// A whole file, if it fits into what is left.
    fn bytes(&mut self, path: &Path) -> Result<Vec<u8>, Unread> {
        let mut bytes = Vec::new();
        let read = fs::File::open(path).and_then(|file| file.take(self.left.saturating_add(1)).read_to_end(&mut bytes));
        read.map_err(|error| Unread::file(path.display(), format!("cannot be read: {error}")))?;
        match self.left.checked_sub(bytes.len() as u64) {
            Some(left) => self.left = left,
            None => {
                let message = format!(
                    "with it the tests have more than {}, the most that `--bytes` allows; leave events out, or allow more",
                    self.limits.bytes
                );
                return Err(Unread::file(path.display(), message));
            }
        }
        Ok(bytes)
    }
}

/// What the names of the files end in.
const fn endings(format: EventFormat) -> &'static [&'static str] {
    match format {
        EventFormat::Json => &["json"],
        EventFormat::Raw | EventFormat::Avro | EventFormat::Protobuf | EventFormat::JsonSchema => &["bin"],
        EventFormat::Image => &["png", "jpg", "jpeg"],
    }
}

/// The lines that hold something, each with its number from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    lines.filter(|(_, line)| !line.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(events: usize, bytes: u64) -> Limits {
        Limits {
            events,
            bytes: Bytes(bytes),
        }
    }

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder can be made");
        for (name, content) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder can be made");
            fs::write(path, content).expect("a file can be written");
        }
        folder
    }

    fn events(files: &[(&str, &str)], limits: Limits, settings: &EventSettings) -> Result<Vec<Event>, String> {
        let folder = folder(files);
        let events = Beside::of(folder.path(), limits)
            .events(settings)
            .map(|(events, _)| events);
        events.map_err(|error| error.to_string())
    }

    fn refused(files: &[(&str, &str)], limits: Limits) -> String {
        events(files, limits, &EventSettings::default()).expect_err("it is refused")
    }

    #[test]
    fn lines_are_events_as_they_stand_and_empty_ones_are_none() {
        let found = events(
            &[(EVENTS, "{\"a\": 1}\n\n {broken\n")],
            limits(2, 100),
            &EventSettings::default(),
        );
        let found = found.expect("two events");
        let places: Vec<_> = found
            .iter()
            .map(|event| (event.at.as_str(), event.value.as_slice()))
            .collect();
        assert_eq!(
            places,
            [
                ("events.jsonl:1", &b"{\"a\": 1}"[..]),
                ("events.jsonl:3", &b" {broken"[..])
            ]
        );
    }

    #[test]
    fn lines_are_named_by_their_places_only_where_a_header_would_name_them() {
        let ids = |id_header: Option<&str>, id_field: Option<&str>| {
            let settings = EventSettings {
                id_header: id_header.map(str::to_owned),
                id_field: id_field.map(str::to_owned),
                ..EventSettings::default()
            };
            let found = events(&[(EVENTS, "{}\n\n{}\n")], limits(2, 100), &settings).expect("two events");
            found.into_iter().map(|event| event.id).collect::<Vec<_>>()
        };
        let named = |line: &str| Some(("name".to_owned(), format!("events.jsonl:{line}")));
        assert_eq!(ids(Some("name"), None), [named("1"), named("3")]);
        assert_eq!(ids(Some("name"), Some("/id")), [None, None]);
        assert_eq!(ids(None, None), [None, None]);
    }

    #[test]
    fn files_are_events_by_their_names_and_what_is_none_is_said() {
        let folder = folder(&[
            ("events/b.png", "2"),
            ("events/a.PNG", "1"),
            ("events/labels.json", "{}"),
        ]);
        let settings = EventSettings {
            format: EventFormat::Image,
            id_header: Some("name".into()),
            ..EventSettings::default()
        };
        let mut beside = Beside::of(folder.path(), limits(2, 100));
        let (found, _) = beside.events(&settings).expect("two events");
        let ids: Vec<_> = found.into_iter().filter_map(|event| event.id).collect();
        assert_eq!(ids, [("name".into(), "a".into()), ("name".to_owned(), "b".to_owned())]);
        let [note] = &beside.notes[..] else {
            panic!("{:?}", beside.notes)
        };
        assert!(note.contains("1 file of") && note.contains("labels.json"), "{note}");
    }

    #[test]
    fn what_is_too_much_is_refused_by_the_option_that_allows_it() {
        let two = [(EVENTS, "{}\n{}\n")];
        assert!(refused(&two, limits(1, 100)).contains("more than 1 of them, the most that `--events` allows"));
        assert!(refused(&two, limits(2, 5)).contains("more than 5 B, the most that `--bytes` allows"));
        let folder = folder(&[(EVENTS, "{}\n"), (EXPECTED, "{\"id\":\"a\"}\n")]);
        let mut beside = Beside::of(folder.path(), limits(1, 10));
        assert!(beside.events(&EventSettings::default()).is_ok());
        let error = beside.expected().expect_err("both files count").to_string();
        assert!(error.contains("expected.jsonl") && error.contains("--bytes"), "{error}");
    }

    #[test]
    fn a_folder_without_events_or_with_two_kinds_of_them_is_told_what_to_do() {
        assert!(refused(&[], limits(1, 1)).contains("eddy test --update"));
        assert!(refused(&[(EVENTS, "\n")], limits(1, 10)).contains("has no tests"));
        let both = [(EVENTS, "{}"), ("events/a.json", "{}")];
        assert!(refused(&both, limits(1, 10)).contains("only one of them"));
        let image = EventSettings {
            format: EventFormat::Image,
            ..EventSettings::default()
        };
        let error = events(&[(EVENTS, "{}")], limits(1, 10), &image).expect_err("lines are no images");
        assert!(error.contains("folder `events`"), "{error}");
    }

    #[test]
    fn a_line_that_expects_nothing_sensible_is_named() {
        for (line, words) in [
            ("[1]", "no JSON object"),
            ("{\"id\":1}", "has no `id`"),
            ("{", "no JSON object"),
        ] {
            let folder = folder(&[(EXPECTED, &format!("{{\"id\":\"a\"}}\n{line}\n"))]);
            let error = Beside::of(folder.path(), limits(9, 100)).expected();
            let error = error.expect_err("it is refused").to_string();
            assert!(error.contains("expected.jsonl:2") && error.contains(words), "{error}");
        }
        let nothing = folder(&[]);
        let mut beside = Beside::of(nothing.path(), limits(1, 1));
        assert!(matches!(beside.expected(), Ok(None)));
    }
}
