//! The headers of Eddy's outputs, read back.
//!
//! Owns: what is a sample and what is not, and which outputs are this pipeline's. Never does: fail on a foreign record; it
//! says why it is none of ours.
//!
//! Invariant: members that are not known are ignored, so that outputs of newer releases can be read.

use std::collections::BTreeMap;

use eddy_pipeline::event::{
    BODY_MASKED, BODY_OMITTED, BODY_ORIGINAL, FORMAT, HEADER_BODY, HEADER_CONFIG, HEADER_FORMAT, HEADER_ID,
    HEADER_POLICY, HEADER_PROBABILITY, HEADER_REASON, HEADER_SELECTION, HEADER_SOURCE, HEADER_TIME, Header, Record,
    place,
};
use eddy_pipeline::hash::xxh3_128;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The text of a header; of several with one name the first.
pub(crate) fn header<'a>(headers: &[Header<'a>], name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|header| header.name == name)?;
    str::from_utf8(found.value?).ok()
}

/// Stands for an event's id where there are too many to keep.
pub(crate) fn fingerprint(id: &str) -> u128 {
    xxh3_128(id.as_bytes())
}

/// Why a record of an output topic is not one of this pipeline's outputs: the rest of a sentence that begins with the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stranger {
    /// It is no such output, or none of Eddy's.
    Foreign(String),
    /// Its event came in on another topic than this pipeline reads.
    OtherPipeline(String),
    /// A newer release wrote it, so that nothing can be said of it.
    Newer(String),
}

/// The `eddy.source` of an output of the pipeline that reads the topic `events`.
///
/// # Errors
/// Why it is none.
pub(crate) fn source<'a>(headers: &[Header<'a>], events: &str) -> Result<&'a str, Stranger> {
    let foreign = |why: &str| Stranger::Foreign(why.to_owned());
    let format = header(headers, HEADER_FORMAT).ok_or_else(|| foreign("has no header `eddy.format`"))?;
    let source = header(headers, HEADER_SOURCE);
    let at = source.map(place);
    // Before the format: what another pipeline writes does not concern this one, whatever release it is on.
    if let Some(Ok((topic, ..))) = at
        && topic != events
    {
        let why = format!("is of another pipeline: its event came in on `{topic}`, and this one reads `{events}`");
        return Err(Stranger::OtherPipeline(why));
    }
    refuse_newer(headers).map_err(Stranger::Newer)?;
    if format != FORMAT.to_string() {
        return Err(Stranger::Foreign(format!(
            "has an odd header `eddy.format`: {format:?}"
        )));
    }
    let source = source.ok_or_else(|| foreign("has no header `eddy.source`"))?;
    match at {
        Some(Ok(_)) => Ok(source),
        _ => Err(Stranger::Foreign(format!(
            "has an odd header `eddy.source`: {source:?}"
        ))),
    }
}

/// # Errors
/// When a newer release wrote the output, as the rest of a sentence that begins with the record.
pub(crate) fn refuse_newer(headers: &[Header<'_>]) -> Result<(), String> {
    let format: Option<u32> = header(headers, HEADER_FORMAT).and_then(|format| format.parse().ok());
    match format.filter(|format| *format > FORMAT) {
        Some(format) => Err(format!(
            "is of format {format}, and this release of Eddy reads format {FORMAT}; use the release that wrote it"
        )),
        None => Ok(()),
    }
}

/// The reciprocal of an inclusion probability: what a sample counts for.
pub(crate) fn weight(probability: Option<f64>) -> Option<f64> {
    probability.filter(|p| *p > 0.0).map(|p| 1.0 / p)
}

/// What one model said about a selected event: an entry of `eddy.selection`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Selected {
    /// The model's name.
    pub(crate) model: String,
    /// Its version.
    #[serde(default)]
    pub(crate) version: String,
    /// The digest of its file.
    #[serde(default)]
    pub(crate) sha256: String,
    /// The id of its reference profile.
    #[serde(default)]
    pub(crate) profile: Option<String>,
    /// Its prediction, by member.
    #[serde(default)]
    pub(crate) prediction: Map<String, Value>,
    /// The arms that selected the event.
    #[serde(default)]
    pub(crate) arms: Vec<String>,
    /// Signals and scores.
    #[serde(default)]
    pub(crate) scores: BTreeMap<String, Option<f64>>,
    /// Probability of each arm.
    #[serde(default)]
    pub(crate) probabilities: BTreeMap<String, Option<f64>>,
    /// The features that make the event anomalous, with their parts.
    #[serde(default)]
    pub(crate) features: Map<String, Value>,
}

/// What stands in an output's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// The event's own bytes.
    Original,
    /// The event's bytes with some of them changed.
    Masked,
    /// Nothing.
    Omitted,
}

impl Body {
    /// What the header says; `None` where it says nothing that is known.
    pub(crate) fn of(headers: &[Header<'_>]) -> Option<Self> {
        match header(headers, HEADER_BODY)? {
            BODY_ORIGINAL => Some(Self::Original),
            BODY_MASKED => Some(Self::Masked),
            BODY_OMITTED => Some(Self::Omitted),
            _ => None,
        }
    }

    /// The word of the header.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Original => BODY_ORIGINAL,
            Self::Masked => BODY_MASKED,
            Self::Omitted => BODY_OMITTED,
        }
    }
}

/// A retraining sample without its bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample<'a> {
    /// `eddy.id`.
    pub(crate) id: &'a str,
    /// `eddy.source`.
    pub(crate) source: &'a str,
    /// Event time, if known.
    pub(crate) time_ms: Option<i64>,
    /// Inclusion probability of the event.
    pub(crate) probability: Option<f64>,
    /// Hash of the configuration.
    pub(crate) config: Option<&'a str>,
    /// Hash of the policy file.
    pub(crate) policy: Option<&'a str>,
    /// What the value is.
    pub(crate) body: Body,
    /// The models that selected it.
    pub(crate) models: Vec<Selected>,
}

impl<'a> Sample<'a> {
    /// Reads the headers of a record of the retraining topic of the pipeline that reads the topic `events`.
    ///
    /// # Errors
    /// Why it is none of its samples.
    pub(crate) fn of(record: &Record<'a>, events: &str) -> Result<Self, Stranger> {
        let text = |name: &str| header(record.headers, name);
        let needed = |name: &str| text(name).ok_or_else(|| Stranger::Foreign(format!("has no header `{name}`")));
        let source = source(record.headers, events)?;
        let models = serde_json::from_str(needed(HEADER_SELECTION)?)
            .map_err(|error| Stranger::Foreign(format!("has an odd header `eddy.selection`: {error}")))?;
        Ok(Self {
            id: needed(HEADER_ID)?,
            source,
            time_ms: text(HEADER_TIME).and_then(|time| time.parse().ok()),
            probability: text(HEADER_PROBABILITY).and_then(|probability| probability.parse().ok()),
            config: text(HEADER_CONFIG),
            policy: text(HEADER_POLICY),
            body: Body::of(record.headers)
                .ok_or_else(|| Stranger::Foreign("has no header `eddy.body` that is known".into()))?,
            models,
        })
    }

    /// What it counts for: 1 by its inclusion probability.
    pub(crate) fn weight(&self) -> Option<f64> {
        weight(self.probability)
    }

    /// The arms that selected it, whichever model it was for.
    pub(crate) fn arms(&self) -> Vec<&str> {
        let mut arms: Vec<&str> = Vec::new();
        for arm in self.models.iter().flat_map(|model| &model.arms) {
            if !arms.contains(&arm.as_str()) {
                arms.push(arm);
            }
        }
        arms
    }
}

/// Why an event became a dead letter; `None` for a record that is none.
pub(crate) fn dead_letter_reason<'a>(headers: &[Header<'a>]) -> Option<&'a str> {
    header(headers, HEADER_REASON)
}

#[cfg(test)]
pub(crate) mod tests {
    use eddy_pipeline::event::{Partition, Source};

    use super::*;

    /// A record of these headers, for the tests of what reads it.
    pub(crate) fn with_record<R>(headers: &[(&str, &str)], value: &[u8], see: impl FnOnce(&Record<'_>) -> R) -> R {
        let headers: Vec<Header<'_>> = headers
            .iter()
            .map(|(name, value)| Header {
                name,
                value: Some(value.as_bytes()),
            })
            .collect();
        see(&Record {
            source: Source {
                partition: Partition { topic: 0, number: 1 },
                offset: 7,
            },
            topic: "retraining",
            timestamp_ms: Some(1_777_593_600_500),
            key: None,
            value: Some(value),
            headers: &headers,
        })
    }

    /// The headers of a sound sample.
    pub(crate) const SAMPLE: [(&str, &str); 8] = [
        ("eddy.format", "1"),
        ("eddy.id", "a"),
        ("eddy.source", "events/0/3"),
        (
            "eddy.selection",
            r#"[{"model":"m","version":"2","sha256":"00ff","prediction":{"label":"x","confidence":0.5},
                "arms":["explore","uncertainty"],"scores":{"margin":0.25},"probabilities":{"explore":0.5},"new":1},
               {"model":"n","arms":["explore"]}]"#,
        ),
        ("eddy.probability", "0.5"),
        ("eddy.time", "1777593600000"),
        ("eddy.config", "c0"),
        ("eddy.body", "original"),
    ];

    #[test]
    fn a_sample_is_read_from_its_headers_and_what_is_new_is_ignored() {
        with_record(&SAMPLE, b"{}", |record| {
            let sample = Sample::of(record, "events").expect("a sound sample");
            assert_eq!(
                (sample.id, sample.source, sample.config),
                ("a", "events/0/3", Some("c0"))
            );
            assert_eq!(
                (sample.time_ms, sample.probability, sample.weight()),
                (Some(1_777_593_600_000), Some(0.5), Some(2.0))
            );
            assert_eq!(
                (sample.body, sample.arms()),
                (Body::Original, vec!["explore", "uncertainty"])
            );
            let [m, n] = sample.models.as_slice() else {
                panic!("{:?}", sample.models)
            };
            assert_eq!((m.version.as_str(), &m.prediction["label"]), ("2", &Value::from("x")));
            assert_eq!(m.scores["margin"], Some(0.25));
            assert_eq!((n.model.as_str(), n.prediction.len()), ("n", 0));
        });
    }

    #[test]
    fn a_foreign_record_is_no_sample_and_says_why() {
        for (left_out, name) in SAMPLE.iter().enumerate().map(|(at, (name, _))| (at, *name)) {
            let mut headers = SAMPLE.to_vec();
            headers.remove(left_out);
            let is_needed = !["eddy.probability", "eddy.time", "eddy.config"].contains(&name);
            match with_record(&headers, b"", |record| Sample::of(record, "events").err()) {
                Some(Stranger::Foreign(why)) => assert!(is_needed && why.contains(name), "{name}: {why}"),
                other => assert!(other.is_none() && !is_needed, "{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_sample_of_another_pipeline_is_told_by_the_topic_of_its_event_whatever_its_format() {
        for format in ["1", "2"] {
            let headers = SAMPLE.map(|(name, value)| (name, if name == "eddy.format" { format } else { value }));
            match with_record(&headers, b"", |record| Sample::of(record, "others").unwrap_err()) {
                Stranger::OtherPipeline(why) => assert!(why.contains("`events`") && why.contains("`others`"), "{why}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_sample_of_a_newer_release_is_told_apart_from_what_is_none() {
        let of_format = |format: &str| {
            let headers = SAMPLE.map(|(name, value)| (name, if name == "eddy.format" { format } else { value }));
            with_record(&headers, b"", |record| Sample::of(record, "events").unwrap_err())
        };
        assert!(matches!(of_format("2"), Stranger::Newer(why) if why.contains("format 2") && why.contains("release")));
        assert!(matches!(of_format("two"), Stranger::Foreign(_)));
    }
}
