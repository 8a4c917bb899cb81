//! Which records a job sends.
//!
//! Owns: the filters, and what is said of records that they leave out. Never does: remember what was sent.

use std::fmt;

use eddy_broker::settings::Reads;
use eddy_pipeline::event::{HEADER_ID, Record, place};
use eddy_pipeline::rejection::Reason;
use eddy_pipeline::select::Arm;
use eddy_pipeline::settings::nearest;

use crate::cli::{RedriveArguments, RedriveFrom};
use crate::recall::Error;
use crate::recall::output::{self, Body, Sample, Stranger, dead_letter_reason, header};

/// What is decided on one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict<'a> {
    /// It is to be sent.
    Send {
        id: &'a str,
        source: &'a str,
        /// What it is counted under: reason or arms, and models.
        words: Vec<String>,
    },
    /// It is none of Eddy's.
    Foreign,
    /// Its event came in on a topic that the pipeline does not read.
    OtherPipeline,
    /// Its event came in on another topic than the one that was asked for.
    OtherTopic,
    /// It has another reason, or no arm that was asked for.
    OtherReason,
    /// The model that was asked for did not select it.
    OtherModel,
    /// Its body is not the event's own.
    NotOriginal(&'static str),
}

/// Which records.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    from: RedriveFrom,
    /// The topics that the pipeline reads: only what came from there is its own.
    events: Reads,
    /// The one of them that was asked for.
    topic: Option<String>,
    /// Reasons of dead letters, or arms of samples; any of them. Empty: all.
    reasons: Vec<String>,
    /// Models that selected a sample; any of them. Empty: all.
    models: Vec<String>,
}

impl Filter {
    /// The filter that the arguments ask for.
    ///
    /// # Errors
    /// A word that is none, with the one that it was most likely meant to be.
    pub(super) fn of<'a>(
        arguments: &RedriveArguments,
        events: Reads,
        models: impl Iterator<Item = &'a str>,
    ) -> Result<Self, String> {
        let (what, known): (&str, Vec<&str>) = match arguments.from {
            RedriveFrom::Retraining => ("arm", Arm::ALL.map(Arm::as_str).to_vec()),
            RedriveFrom::DeadLetters => ("reason", Reason::ALL.iter().map(|reason| reason.as_str()).collect()),
        };
        for word in &arguments.reason {
            check("--reason", what, word, &known)?;
        }
        if arguments.from == RedriveFrom::DeadLetters && !arguments.model.is_empty() {
            return Err("--model: a dead letter is no model's; leave it out, or say --from retraining".into());
        }
        let models: Vec<&str> = models.collect();
        for word in &arguments.model {
            check("--model", "model", word, &models)?;
        }
        // In one order, whatever the order on the command line.
        let sorted = |words: &[String]| {
            let mut words = words.to_vec();
            words.sort();
            words.dedup();
            words
        };
        Ok(Self {
            from: arguments.from,
            events,
            topic: arguments.topic.clone(),
            reasons: sorted(&arguments.reason),
            models: sorted(&arguments.model),
        })
    }

    /// Decides on a record by its headers.
    ///
    /// # Errors
    /// When a newer release wrote it.
    pub(super) fn judge<'a>(&self, record: &Record<'a>) -> Result<Verdict<'a>, Error> {
        match self.verdict(record) {
            Ok(verdict) => Ok(verdict),
            Err(Stranger::Foreign(_)) => Ok(Verdict::Foreign),
            Err(Stranger::OtherPipeline(_)) => Ok(Verdict::OtherPipeline),
            Err(Stranger::Newer(why)) => Err(Error::newer(record, why)),
        }
    }

    /// Whether an event is of the topic that was asked for.
    fn is_wanted(&self, source: &str) -> bool {
        let is_of = |wanted: &String| place(source).is_ok_and(|(topic, ..)| topic == wanted);
        self.topic.as_ref().is_none_or(is_of)
    }

    fn verdict<'a>(&self, record: &Record<'a>) -> Result<Verdict<'a>, Stranger> {
        let (source, words) = match self.from {
            RedriveFrom::Retraining => {
                let sample = Sample::of(record, &self.events)?;
                if !self.is_wanted(sample.source) {
                    return Ok(Verdict::OtherTopic);
                }
                let arms = sample.arms();
                if !self.reasons.is_empty() && !arms.iter().any(|arm| self.reasons.iter().any(|one| one == arm)) {
                    return Ok(Verdict::OtherReason);
                }
                let models = || sample.models.iter().map(|model| &model.model);
                if !self.models.is_empty() && !models().any(|model| self.models.contains(model)) {
                    return Ok(Verdict::OtherModel);
                }
                let arms = arms.iter().map(|arm| format!("arm {arm}"));
                let models = models().map(|model| format!("model {model}"));
                (sample.source, arms.chain(models).collect())
            }
            RedriveFrom::DeadLetters => {
                let source = output::source(record.headers, &self.events)?;
                let Some(reason) = dead_letter_reason(record.headers) else {
                    return Ok(Verdict::Foreign);
                };
                if !self.is_wanted(source) {
                    return Ok(Verdict::OtherTopic);
                }
                if !self.reasons.is_empty() && !self.reasons.iter().any(|one| one == reason) {
                    return Ok(Verdict::OtherReason);
                }
                (source, vec![format!("reason {reason}")])
            }
        };
        let Some(id) = header(record.headers, HEADER_ID) else {
            return Ok(Verdict::Foreign);
        };
        Ok(match Body::of(record.headers) {
            Some(Body::Original) => Verdict::Send { id, source, words },
            Some(other) => Verdict::NotOriginal(other.as_str()),
            None => Verdict::Foreign,
        })
    }
}

impl fmt::Display for Filter {
    /// Two filters that let the same records through read the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let any = |words: &[String]| {
            if words.is_empty() {
                "any".to_owned()
            } else {
                words.join(",")
            }
        };
        write!(f, "reason {} model {}", any(&self.reasons), any(&self.models))?;
        match &self.topic {
            Some(topic) => write!(f, " topic {topic}"),
            None => Ok(()),
        }
    }
}

fn check(option: &str, what: &str, word: &str, known: &[&str]) -> Result<(), String> {
    if known.contains(&word) {
        return Ok(());
    }
    let advice = match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("write one of {}", known.join(", ")),
    };
    Err(format!("{option}: there is no {what} `{word}`; {advice}"))
}
