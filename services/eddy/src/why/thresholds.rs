//! The thresholds that a prediction is told against: those of the files as they stand, or those in force in a process.
//!
//! Owns: whose word counts, the policy's before the pipeline file's, and what the reference profiles certify.
//! Never does: load a model; what a profile certifies of a signal can be said without.
//!
//! Invariant: a profile or a policy that cannot be read is told as such, and the rest of the story stands.

use std::collections::BTreeMap;

use eddy_inference::judge::Provenance;
use eddy_pipeline::policy::{OperatingPoint, PolicyFile};
use eddy_pipeline::profile::Profile;
use eddy_pipeline::select::SelectSettings;
use eddy_pipeline::signal::Signal;
use serde::Serialize;
use serde_json::Value;

use super::story::Arrival;
use crate::assemble::{Assembly, profile_of};
use crate::file::{Pipeline, PipelineFile};
use crate::policy;
use crate::settings::problems::Problems;

/// What an event must be like to be selected.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Thresholds {
    /// Hash of the policy file, where there is one.
    pub(super) policy: Option<String>,
    /// `select.confidence_below`.
    pub(super) confidence_below: Option<f32>,
    /// `select.anomaly_above`.
    pub(super) anomaly_above: Option<f32>,
    /// Whether arms share a budget.
    pub(super) has_budget: bool,
    /// `select.anomaly.false_alarms`: the rate of the thresholds by profile.
    pub(super) false_alarms: f64,
    /// Those of each model by its name.
    pub(super) models: BTreeMap<String, OfModel>,
    /// What could not be read.
    pub(super) unread: Vec<String>,
}

/// The thresholds of one model.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct OfModel {
    /// Where the policy says that it decides.
    pub(super) operating_point: Option<OperatingPoint>,
    /// At most the share `false_alarms` of ordinary events has more of a signal than this, by its reference profile.
    pub(super) ordinary_up_to: BTreeMap<Signal, f32>,
}

impl Thresholds {
    /// Those that a pipeline file, its policy and its profiles hold as they stand now.
    pub(crate) fn of(pipeline: &Pipeline) -> Self {
        let mut unread = Vec::new();
        let path = pipeline.file.policy.path.as_ref();
        let policy = path.and_then(|path| {
            let loaded = policy::load(&pipeline.folder.join(path));
            let said = |problems: Problems| unread.push(problems.to_string().trim_end().to_owned());
            loaded.map_err(said).ok()
        });
        let profiles = pipeline.file.models.iter().map(|model| {
            let path = pipeline.folder.join(model.profile.as_ref()?);
            let said = |why: String| unread.push(format!("{}: {why}", path.display()));
            profile_of(model, &path).map_err(said).ok()
        });
        let profiles: Vec<Option<Profile>> = profiles.collect();
        let said = policy.as_ref().map(|policy| &policy.file);
        Self {
            policy: policy.as_ref().map(|policy| policy.hash.clone()),
            unread,
            ..Self::by(&pipeline.file, said, &profiles)
        }
    }

    /// Those that a process goes by, whatever has become of its files since.
    pub(crate) fn in_force(assembly: &Assembly, provenance: &Provenance) -> Self {
        Self {
            policy: provenance.policy.clone(),
            ..Self::by(assembly.file(), provenance.said.as_deref(), assembly.profiles())
        }
    }

    fn by(file: &PipelineFile, policy: Option<&PolicyFile>, profiles: &[Option<Profile>]) -> Self {
        let selected_by = policy.and_then(|policy| policy.select.as_ref());
        let select: &SelectSettings = selected_by.unwrap_or(&file.select);
        let false_alarms = select.anomaly.false_alarms;
        let of_model = |(model, profile): (&eddy_model::Settings, &Option<Profile>)| {
            let profile = profile.as_ref();
            let of_model = OfModel {
                operating_point: policy.and_then(|policy| policy.models.get(&model.name)).cloned(),
                ordinary_up_to: profile.map_or_else(BTreeMap::new, |profile| certified(profile, false_alarms)),
            };
            (model.name.clone(), of_model)
        };
        Self {
            policy: None,
            confidence_below: select.confidence_below,
            anomaly_above: select.anomaly_above,
            has_budget: select.has_budget(),
            false_alarms,
            models: file.models.iter().zip(profiles).map(of_model).collect(),
            unread: Vec::new(),
        }
    }

    /// Where a model's output stands to them, a sentence each.
    pub(crate) fn tell(&self, name: &str, output: &Value, events: &[Arrival]) -> Vec<String> {
        let mut told = Vec::new();
        if let (Some(confidence), Some(below)) = (output["confidence"].as_f64(), self.confidence_below.map(widened)) {
            let is = if confidence < below { "below" } else { "not below" };
            told.push(format!(
                "confidence {confidence} is {is} select.confidence_below, now {below}"
            ));
        }
        let score = output["score"].as_f64().or(output["error"].as_f64());
        if let (Some(score), Some(above)) = (score, self.anomaly_above.map(widened)) {
            let is = if score > above { "above" } else { "not above" };
            told.push(format!("its score {score} is {is} select.anomaly_above, now {above}"));
        }
        let Some(of_model) = self.models.get(name) else {
            return told;
        };
        for (signal, up_to) in &of_model.ordinary_up_to {
            let Some(value) = output["signals"][signal.as_str()].as_f64() else {
                continue;
            };
            let up_to = widened(*up_to);
            let is = if value > up_to { "above" } else { "not above" };
            told.push(format!(
                "{} {value} is {is} {up_to}, which the profile certifies for false alarms of {}",
                signal.as_str(),
                self.false_alarms
            ));
        }
        if let Some(point) = &of_model.operating_point {
            told.extend(decided_at(point, events));
        }
        told
    }
}

/// The threshold of each signal, of those that the profile can certify at this rate.
fn certified(profile: &Profile, rate: f64) -> BTreeMap<Signal, f32> {
    let threshold = |signal: Signal| profile.threshold(signal, rate).ok().map(|up_to| (signal, up_to));
    Signal::ALL.into_iter().filter_map(threshold).collect()
}

/// `it decides at 0.2, the threshold of region "south"`
fn decided_at(point: &OperatingPoint, events: &[Arrival]) -> Option<String> {
    let of_event = |field: &String| events.iter().find_map(|event| event.fields.get(field)?.as_str());
    let own = point.field.as_ref().and_then(|field| {
        let word = of_event(field)?;
        let threshold = point.thresholds.get(word)?;
        Some(format!(
            "it decides at {}, the threshold of {field} {word:?}, now",
            widened(*threshold)
        ))
    });
    own.or_else(|| {
        let default = widened(point.threshold?);
        Some(format!("it decides at {default}, now"))
    })
}

/// The number as a file writes it.
fn widened(x: f32) -> f64 {
    x.to_string().parse().unwrap_or(f64::from(x))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_prediction_is_told_against_fixed_thresholds_and_those_of_its_profile() {
        let of_model = OfModel {
            ordinary_up_to: [(Signal::Hbos, 7.5), (Signal::Energy, 1.0)].into(),
            ..OfModel::default()
        };
        let thresholds = Thresholds {
            confidence_below: Some(0.6),
            anomaly_above: Some(3.0),
            false_alarms: 0.01,
            models: [("m".to_owned(), of_model)].into(),
            ..Thresholds::default()
        };
        let output = json!({"confidence": 0.5, "score": 2.0, "signals": {"hbos": 8.25, "margin": 0.5}});
        assert_eq!(
            thresholds.tell("m", &output, &[]),
            [
                "confidence 0.5 is below select.confidence_below, now 0.6",
                "its score 2 is not above select.anomaly_above, now 3",
                "hbos 8.25 is above 7.5, which the profile certifies for false alarms of 0.01",
            ]
        );
        assert!(thresholds.tell("other", &json!({}), &[]).is_empty());
    }

    #[test]
    fn an_operating_point_is_that_of_the_events_segment() {
        let point: OperatingPoint =
            serde_json::from_value(json!({"threshold": 0.4, "field": "region", "thresholds": {"south": 0.2}}))
                .expect("an operating point");
        let in_region = |region: &str| Arrival {
            fields: [("region".to_owned(), json!(region))].into_iter().collect(),
            ..Arrival::default()
        };
        let told = |region| decided_at(&point, &[in_region(region)]);
        assert_eq!(
            told("south").as_deref(),
            Some("it decides at 0.2, the threshold of region \"south\", now")
        );
        assert_eq!(told("north").as_deref(), Some("it decides at 0.4, now"));
    }
}
