//! The headers of Eddy's outputs, read back.
//!
//! Owns: what is a sample and what is not. Never does: fail on a foreign record; it says why it is none of ours.
//!
//! Invariant: members that are not known are ignored, so that outputs of newer releases can be read.

use std::collections::BTreeMap;

use eddy_pipeline::event::{
    FORMAT, HEADER_BODY, HEADER_CONFIG, HEADER_FORMAT, HEADER_ID, HEADER_POLICY, HEADER_PROBABILITY, HEADER_REASON,
    HEADER_SELECTION, HEADER_SOURCE, HEADER_TIME, Header, Record,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The text of a header; of several with one name the first.
pub(crate) fn header<'a>(headers: &[Header<'a>], name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|header| header.name == name)?;
    str::from_utf8(found.value?).ok()
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
            "original" => Some(Self::Original),
            "masked" => Some(Self::Masked),
            "omitted" => Some(Self::Omitted),
            _ => None,
        }
    }

    /// The word of the header.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::Masked => "masked",
            Self::Omitted => "omitted",
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
    /// Reads the headers of a record of the retraining topic.
    ///
    /// # Errors
    /// Why it is no sample, as the rest of a sentence that begins with the record.
    pub(crate) fn of(record: &Record<'a>) -> Result<Self, String> {
        let text = |name: &str| header(record.headers, name);
        let format = text(HEADER_FORMAT).ok_or("has no header `eddy.format`")?;
        if format != FORMAT.to_string() {
            return Err(format!("is of format {format}; use the release of Eddy that wrote it"));
        }
        let selection = text(HEADER_SELECTION).ok_or("has no header `eddy.selection`")?;
        let models =
            serde_json::from_str(selection).map_err(|error| format!("has an odd header `eddy.selection`: {error}"))?;
        Ok(Self {
            id: text(HEADER_ID).ok_or("has no header `eddy.id`")?,
            source: text(HEADER_SOURCE).ok_or("has no header `eddy.source`")?,
            time_ms: text(HEADER_TIME).and_then(|time| time.parse().ok()),
            probability: text(HEADER_PROBABILITY).and_then(|probability| probability.parse().ok()),
            config: text(HEADER_CONFIG),
            policy: text(HEADER_POLICY),
            body: Body::of(record.headers).ok_or("has no header `eddy.body` that is known")?,
            models,
        })
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
            let sample = Sample::of(record).expect("a sound sample");
            assert_eq!(
                (sample.id, sample.source, sample.config),
                ("a", "events/0/3", Some("c0"))
            );
            assert_eq!(
                (sample.time_ms, sample.probability),
                (Some(1_777_593_600_000), Some(0.5))
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
            let why = with_record(&headers, b"", |record| Sample::of(record).err());
            assert_eq!(why.is_some(), is_needed, "{name}");
            assert!(why.is_none_or(|why| why.contains(name)), "{name}");
        }
        let newer = SAMPLE.map(|(name, value)| (name, if name == "eddy.format" { "2" } else { value }));
        let why = with_record(&newer, b"", |record| Sample::of(record).unwrap_err());
        assert!(why.contains("format 2"), "{why}");
    }
}
