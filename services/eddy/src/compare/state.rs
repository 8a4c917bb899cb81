//! The state of a replay: what was counted so far, of which events, by which pipelines.
//!
//! Owns: its file's format, and whether it belongs to what is asked for now.
//! Never does: mix two runs: another span, other pipelines or other data are refused.
//!
//! The file is two lines of JSON: a [`Head`] with the format and a checksum, and the [`State`].

use std::collections::BTreeMap;
use std::path::Path;
use std::time::UNIX_EPOCH;

use eddy_broker::kafka::Stretch;
use eddy_pipeline::compare::Comparison;
use eddy_pipeline::event::Source;
use eddy_pipeline::format::REPLAY_STATE;
use eddy_pipeline::hash::xxh3_hex;
use serde::{Deserialize, Serialize};

use super::Error;
use super::side::Side;
use crate::cli::ReplayArguments;
use crate::recall;
use crate::recall::moment::{self, Moment};

/// Larger than any state: sketches of 16 numbers and of their changes, each as large as one gets, take 500 MB.
const MAX_BYTES: u64 = 1 << 30;

/// What a run is about: another run of this may go on from its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct What {
    pipelines: Vec<Whose>,
    source: Origin,
    rows: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Whose {
    /// Hash of the settings.
    config: String,
    model: String,
    /// The digests of all models.
    sha256: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Origin {
    Topic {
        brokers: String,
        topic: String,
        /// As it was asked for, so that a span back from now stays that of the first run.
        from: String,
        to: Option<String>,
    },
    Data {
        path: String,
        bytes: u64,
        /// Milliseconds since the Unix epoch.
        modified: u128,
    },
}

/// A span of a topic: the offsets of each partition, and how far each was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Span {
    /// Milliseconds since the Unix epoch.
    pub(super) times: (i64, i64),
    /// Of each partition the first offset, the next one to be read, and the one behind the last.
    partitions: BTreeMap<i32, (i64, i64, i64)>,
}

/// The first line of the file.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    format: u32,
    /// xxh3-64 of the second line.
    #[serde(default)]
    xxh3: String,
}

/// Everything that a run goes on from: the second line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) what: What,
    pub(super) span: Option<Span>,
    pub(super) comparison: Comparison,
    /// Counts of each side against its profile.
    pub(super) tallies: Vec<Vec<u64>>,
}

impl What {
    pub(super) fn of(sides: &[Side], arguments: &ReplayArguments) -> Result<Self, Error> {
        let whose = |side: &Side| Whose {
            config: side.config(),
            model: side.model().to_owned(),
            sha256: side.digests(),
        };
        Ok(Self {
            pipelines: sides.iter().map(whose).collect(),
            source: match &arguments.data {
                Some(path) => of_data(path)?,
                None => of_topic(&sides[0], arguments)?,
            },
            rows: arguments.rows,
        })
    }

    /// The topic that it is about, if it is one.
    pub(super) fn topic(&self) -> Option<&str> {
        match &self.source {
            Origin::Topic { topic, .. } => Some(topic),
            Origin::Data { .. } => None,
        }
    }

    /// What of it is another than that of a state.
    fn difference(&self, other: &Self) -> Option<&'static str> {
        if self.source != other.source {
            Some("another span of events, or data that has changed since")
        } else if self.pipelines != other.pipelines {
            Some("other pipelines or models")
        } else if self.rows != other.rows {
            Some("another --rows")
        } else {
            None
        }
    }
}

fn of_data(path: &Path) -> Result<Origin, Error> {
    let wrong = |error: std::io::Error| {
        let path = path.display();
        Error::Usage(format!(
            "{path} cannot be read: {error}; pass the path of the data as --data"
        ))
    };
    let about = std::fs::metadata(path).map_err(wrong)?;
    // A file system without times leaves the size to tell.
    let modified = about
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Ok(Origin::Data {
        path: path.display().to_string(),
        bytes: about.len(),
        modified: modified.map_or(0, |time| time.as_millis()),
    })
}

fn of_topic(side: &Side, arguments: &ReplayArguments) -> Result<Origin, Error> {
    let settings = side.broker();
    let words = |moment: Moment| match moment {
        Moment::Ago(span) => format!("{span} ago"),
        Moment::At(ms) => moment::utc(ms),
    };
    let topic = recall::one_topic(&settings.topics.events, arguments.topic.as_deref());
    Ok(Origin::Topic {
        brokers: settings.kafka.brokers,
        topic: topic.map_err(Error::Usage)?,
        from: arguments.from.map(words).unwrap_or_default(),
        to: arguments.to.map(words),
    })
}

impl Span {
    pub(super) fn new(times: (i64, i64), stretches: &[Stretch]) -> Self {
        let part = |stretch: &Stretch| {
            let (start, end) = (stretch.offsets.start, stretch.offsets.end);
            (stretch.partition, (start, start, end.max(start)))
        };
        Self {
            times,
            partitions: stretches.iter().map(part).collect(),
        }
    }

    /// What is to be read yet.
    pub(super) fn left(&self) -> Vec<Stretch> {
        self.parts(|(_, at, end)| at..end)
    }

    /// All of it.
    pub(super) fn stretches(&self) -> Vec<Stretch> {
        self.parts(|(start, _, end)| start..end)
    }

    fn parts(&self, range: impl Fn((i64, i64, i64)) -> std::ops::Range<i64>) -> Vec<Stretch> {
        let parts = self.partitions.iter();
        parts
            .map(|(partition, part)| Stretch {
                partition: *partition,
                offsets: range(*part),
            })
            .collect()
    }

    /// A record was counted.
    pub(super) fn pass(&mut self, source: Source) {
        if let Some((_, at, _)) = self.partitions.get_mut(&source.partition.number) {
            *at = source.offset + 1;
        }
    }
}

impl State {
    pub(super) fn new(what: What) -> Self {
        Self {
            what,
            span: None,
            comparison: Comparison::default(),
            tallies: Vec::new(),
        }
    }

    /// Reads the state of a run about `what`; `None` where there is no file yet.
    pub(super) fn read(path: &Path, what: &What) -> Result<Option<Self>, Error> {
        let wrong = |message: String| Error::State {
            path: path.to_owned(),
            message,
        };
        let size = match std::fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(wrong(format!("cannot be read: {error}; name another file as --resume"))),
            Ok(about) => about.len(),
        };
        if size > MAX_BYTES {
            return Err(wrong(format!(
                "has {size} bytes, more than any state of a replay; {NEXT}"
            )));
        }
        let text = std::fs::read(path).map_err(|error| wrong(format!("cannot be read: {error}; {NEXT}")))?;
        let state = Self::parse(&text).map_err(wrong)?;
        match what.difference(&state.what) {
            Some(difference) => Err(wrong(format!(
                "belongs to a run over {difference}; repeat that command, or {NEXT}"
            ))),
            None => Ok(Some(state)),
        }
    }

    /// That a state which was read contradicts itself.
    pub(super) fn broken(&self, path: Option<&Path>, message: String) -> Error {
        Error::State {
            path: path.map(Path::to_owned).unwrap_or_default(),
            message: format!("is broken: {message}; {NEXT}"),
        }
    }

    fn parse(text: &[u8]) -> Result<Self, String> {
        let broken = |why: &str| format!("is no state of a replay, or it is broken ({why}); {NEXT}");
        let mut lines = text.splitn(2, |byte| *byte == b'\n');
        let (first, second) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        let head: Head = serde_json::from_slice(first).map_err(|error| broken(&error.to_string()))?;
        let judged = REPLAY_STATE.judge(head.format.into());
        judged.map_err(|why| format!("{why}; or {NEXT}"))?;
        if head.xxh3 != xxh3_hex(second) {
            return Err(broken("its checksum does not match"));
        }
        serde_json::from_slice(second).map_err(|error| broken(&error.to_string()))
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        let body = serde_json::to_vec(self).expect("a state holds nothing that JSON lacks");
        let head = Head {
            format: REPLAY_STATE.written,
            xxh3: xxh3_hex(&body),
        };
        let mut text = serde_json::to_vec(&head).expect("so does its head");
        text.push(b'\n');
        text.extend(body);
        text
    }
}

const NEXT: &str = "remove the file or name another one as --resume to begin anew";
