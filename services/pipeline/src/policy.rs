//! The policy: what may change while the service runs.
//!
//! Owns: the policy file's settings: selection, and the operating points of heads with two classes.
//! Never does: read the file, or decide when a change is taken up.
//!
//! Invariant: a policy that was checked against a pipeline can be put in the place of any other.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fields::{Feature, FeatureKind};
use crate::head::{Holds, Values};
use crate::select::{MAX_SEGMENTS, SelectSettings};
use crate::settings::{Problem, nearest};

/// Where a head decides that has no threshold of its own.
const MORE_PROBABLE: f32 = 0.5;

/// The policy file: what all replicas take up between batches, without a restart. What it does not say is as in the
/// pipeline file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Eddy's policy file")]
pub struct PolicyFile {
    /// Format of this file: 1. Default: 1.
    #[serde(default = "first")]
    #[schemars(range(min = 1, max = 1))]
    pub format: u32,
    /// Selection, in the place of the pipeline file's whole table `[select]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<SelectSettings>,
    /// Operating points by the name of the model, for heads with two classes.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub models: IndexMap<String, OperatingPoint>,
}

/// `[models.NAME]`: where a head with two classes decides for the second one. Uncertainty is the distance to that threshold.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OperatingPoint {
    /// Probability from which on the second class is decided for, where no segment has a threshold of its own. Default: the
    /// head's, or 0.5.
    #[schemars(range(min = 0.0, max = 1.0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// A field of type `category` whose values have thresholds of their own. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The thresholds of its values, at most 32.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub thresholds: IndexMap<String, f32>,
}

const fn first() -> u32 {
    1
}

/// An operating point that fits a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    /// Where no segment has one.
    pub default: f32,
    /// The feature that segments are told by.
    pub feature: Option<usize>,
    /// By the position of the word among the field's categories.
    pub by_category: Vec<f32>,
}

impl Thresholds {
    /// The threshold of an event with these features.
    pub fn of(&self, features: &[f32]) -> f32 {
        let value = self.feature.and_then(|feature| features.get(feature));
        let position = value.filter(|value| **value >= 0.0).map(|value| *value as usize);
        let own = position.and_then(|position| self.by_category.get(position));
        own.copied().unwrap_or(self.default)
    }
}

impl PolicyFile {
    /// What is wrong with the file by itself.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = self.select.as_ref().map(SelectSettings::check).unwrap_or_default();
        for (model, point) in &self.models {
            problems.extend(point.check(&format!("models.{model}")));
        }
        problems
    }
}

impl OperatingPoint {
    fn check(&self, key: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        let all = self
            .thresholds
            .iter()
            .map(|(word, value)| (format!("thresholds.{word}"), *value));
        for (name, value) in all.chain(self.threshold.map(|value| ("threshold".to_owned(), value))) {
            if !(0.0..=1.0).contains(&value) {
                let message =
                    format!("a probability lies between 0 and 1, and {value} does not; write a number such as 0.5");
                problems.push(Problem::new(format!("{key}.{name}"), message));
            }
        }
        if self.field.is_none() && !self.thresholds.is_empty() {
            problems.push(Problem::new(
                format!("{key}.field"),
                "the thresholds are of the values of a field; name it",
            ));
        }
        if self.thresholds.len() > MAX_SEGMENTS {
            let message = format!(
                "has {} values, and at most {MAX_SEGMENTS} may have a threshold of their own",
                self.thresholds.len()
            );
            problems.push(Problem::new(format!("{key}.thresholds"), message));
        }
        problems
    }

    /// Matches the operating point with a model and the features of its events.
    ///
    /// # Errors
    /// What does not fit, below `key`.
    pub fn fit(&self, key: &str, holds: Holds, features: &[Feature]) -> Result<Thresholds, Vec<Problem>> {
        let Values::Classes(2) = holds.values else {
            let message = "has no threshold: only a head with two classes has one; remove the table";
            return Err(vec![Problem::new(key, message)]);
        };
        let default = self.threshold.or(holds.threshold).unwrap_or(MORE_PROBABLE);
        let Some(field) = &self.field else {
            return Ok(Thresholds {
                default,
                feature: None,
                by_category: Vec::new(),
            });
        };
        let words_of = |feature: &Feature| match &feature.kind {
            FeatureKind::Category(words) if feature.name == *field => Some(words.clone()),
            _ => None,
        };
        let found = features
            .iter()
            .enumerate()
            .find_map(|(at, feature)| Some((at, words_of(feature)?)));
        let Some((feature, words)) = found else {
            let message = format!("`{field}` is no field of type category with `categories`; name one that is");
            return Err(vec![Problem::new(format!("{key}.field"), message)]);
        };
        let unknown = self.thresholds.keys().filter(|word| !words.contains(word));
        let problems: Vec<Problem> = unknown
            .map(|word| {
                let advice = nearest(word, words.iter().map(String::as_str));
                let advice = advice.map_or_else(|| "correct it".to_owned(), |near| format!("did you mean {near:?}?"));
                Problem::new(
                    format!("{key}.thresholds.{word}"),
                    format!("{word:?} is no category of `{field}`; {advice}"),
                )
            })
            .collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        let threshold = |word: &String| self.thresholds.get(word).copied().unwrap_or(default);
        Ok(Thresholds {
            default,
            feature: Some(feature),
            by_category: words.iter().map(threshold).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn features() -> Vec<Feature> {
        vec![
            Feature {
                name: "age".into(),
                kind: FeatureKind::Number,
            },
            Feature {
                name: "region".into(),
                kind: FeatureKind::Category(vec!["north".into(), "south".into()]),
            },
        ]
    }

    fn binary() -> Holds {
        Holds {
            threshold: Some(0.5),
            ..Holds::only(Values::Classes(2))
        }
    }

    fn point(json: serde_json::Value) -> OperatingPoint {
        serde_json::from_value(json).expect("the settings can be read")
    }

    #[test]
    fn each_segment_has_its_own_threshold_and_all_others_the_default() {
        let point = point(json!({"threshold": 0.4, "field": "region", "thresholds": {"south": 0.2}}));
        assert_eq!(point.check("models.m"), []);
        let thresholds = point.fit("models.m", binary(), &features()).expect("it fits");
        let of = |region: f32| thresholds.of(&[31.0, region]);
        assert_eq!(
            [of(0.0), of(1.0), of(7.0), of(f32::NAN), of(-1.0)],
            [0.4, 0.2, 0.4, 0.4, 0.4]
        );
    }

    #[test]
    fn without_a_field_the_threshold_is_the_same_for_all() {
        let fit = |json, holds| {
            point(json)
                .fit("models.m", holds, &features())
                .expect("it fits")
                .of(&[])
        };
        let own = Holds {
            threshold: Some(0.3),
            ..binary()
        };
        assert_eq!((fit(json!({}), own), fit(json!({"threshold": 0.9}), own)), (0.3, 0.9));
        assert_eq!(fit(json!({}), Holds::only(Values::Classes(2))), 0.5);
    }

    #[test]
    fn what_does_not_fit_is_a_problem_at_its_key() {
        let problem = |json, holds: Holds| {
            let point = point(json);
            let mut problems = point.check("models.m");
            problems.extend(point.fit("models.m", holds, &features()).err().unwrap_or_default());
            problems[0].to_string()
        };
        let three = Holds::only(Values::Classes(3));
        assert!(problem(json!({"threshold": 0.4}), three).contains("only a head with two classes"));
        assert!(problem(json!({"threshold": 1.4}), binary()).starts_with("models.m.threshold:"));
        assert!(problem(json!({"field": "age"}), binary()).starts_with("models.m.field:"));
        let misspelt = json!({"field": "region", "thresholds": {"nort": 0.2}});
        assert!(problem(misspelt, binary()).contains("did you mean \"north\"?"));
        assert!(problem(json!({"thresholds": {"north": 0.2}}), binary()).contains("name it"));
    }
}
