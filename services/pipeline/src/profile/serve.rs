//! What is read out of a profile: the document itself, measures of signals, thresholds.

use serde_json::Value;

use super::{Calibrator, Distances, Error, Feature, Profile};
use crate::calibration::Isotonic;
use crate::conformal::Conformal;
use crate::fields::is_look;
use crate::format::PROFILE;
use crate::hash::{canonical, xxh3_hex};
use crate::head::{Holds, Values};
use crate::settings::{Problem, nearest};
use crate::signal::{
    Centre, Column, Hbos, Knn, Mahalanobis, Matrix, Measure, Reference, Signal, Standard, Subject, ZMax, measures,
};
use crate::simhash::SimHash;

/// Which neighbour's distance is the signal `knn`.
const NEIGHBOUR: usize = 5;

/// The setting that problems with a profile are about; the caller puts the model's key in front.
const KEY: &str = "profile";

impl Profile {
    /// The document: canonical JSON, keys sorted, no white space.
    pub fn to_json(&self) -> Vec<u8> {
        // By way of text, which gives 32-bit numbers as few digits as read back as themselves.
        let text = serde_json::to_string(self).expect("a profile holds nothing that JSON lacks");
        let value: Value = serde_json::from_str(&text).expect("what was written is JSON");
        canonical(&value)
    }

    /// What names the profile: xxh3-64 of [`Self::to_json`], as 16 hexadecimal digits.
    pub fn id(&self) -> String {
        xxh3_hex(&self.to_json())
    }

    /// Reads a document.
    ///
    /// # Errors
    /// [`Error::NotJson`], [`Error::Format`] and [`Error::Damaged`].
    pub fn from_json(text: &[u8]) -> Result<Self, Error> {
        let value: Value = serde_json::from_slice(text).map_err(|e| Error::NotJson(e.to_string()))?;
        let found = value.get("format").and_then(Value::as_i64);
        let found = found.ok_or_else(|| Error::NotJson("it has no `format`".to_owned()))?;
        PROFILE.judge(found).map_err(Error::Format)?;
        let profile: Self = serde_json::from_value(value).map_err(|e| Error::NotJson(e.to_string()))?;
        profile.check().map_err(Error::Damaged)?;
        Ok(profile)
    }

    /// The measures of every signal that a model can serve with this profile. `features` are the names in the order in
    /// which the pipeline gives them; where the profile has no statistics of features, any will do and none is used.
    ///
    /// # Errors
    /// A [`Problem`] for each feature that only one of both has, and where the model has other classes.
    pub fn measures(
        &self,
        holds: Holds,
        peers: &[Holds],
        features: &[&str],
    ) -> Result<Vec<Box<dyn Measure>>, Vec<Problem>> {
        let mut problems: Vec<Problem> = self.misfit(holds).into_iter().collect();
        problems.extend(self.unlike(features));
        if !problems.is_empty() {
            return Err(problems);
        }
        let reference = self.reference_for(features);
        Ok(measures(&self.subject(holds, peers, &reference)))
    }

    /// Hashes events for near duplicates; `None` where no number varies. `features` as for [`Self::measures`].
    ///
    /// # Errors
    /// As [`Self::measures`].
    pub fn simhash(&self, features: &[&str]) -> Result<Option<SimHash>, Vec<Problem>> {
        let problems = self.unlike(features);
        if !problems.is_empty() {
            return Err(problems);
        }
        let hash = |distances: &Distances| SimHash::new(distances.standards(features), distances.seed());
        Ok(self.distances.as_ref().map(hash))
    }

    /// The scores of a signal on the rows that were held out: p-values, thresholds and what they are worth.
    ///
    /// # Errors
    /// [`Error::NoSignal`].
    pub fn conformal(&self, signal: Signal) -> Result<Conformal, Error> {
        let tail = self.conformal.get(&signal).ok_or(Error::NoSignal(signal))?;
        Conformal::from_parts(tail.rows, tail.highest.0.clone())
            .ok_or_else(|| Error::Damaged(format!("the scores of {signal} do not rise")))
    }

    /// The threshold of a signal at a rate of false alarms; see [`Conformal::threshold`].
    ///
    /// # Errors
    /// [`Error::NoSignal`] and [`Error::Conformal`].
    pub fn threshold(&self, signal: Signal, rate: f64) -> Result<f32, Error> {
        Ok(self.conformal(signal)?.threshold(rate)?)
    }

    /// What signals compare with, for features in the profile's own order.
    pub(super) fn reference(&self) -> Reference {
        let names: Vec<&str> = self.features.iter().map(Feature::name).collect();
        self.reference_for(&names)
    }

    pub(super) fn subject<'a>(&'a self, holds: Holds, peers: &'a [Holds], reference: &'a Reference) -> Subject<'a> {
        Subject {
            holds,
            peers,
            temperature: self.outputs.temperature,
            scales: &self.outputs.scales,
            reference: Some(reference),
        }
    }

    /// The same for features that are the profile's in any order.
    fn reference_for(&self, names: &[&str]) -> Reference {
        let mut reference = Reference {
            width: names.len(),
            ..Reference::default()
        };
        if self.features.is_empty() {
            return reference;
        }
        let columns: Vec<Column<'_>> = names
            .iter()
            .enumerate()
            .filter_map(|(position, name)| self.feature(name)?.column(position))
            .collect();
        if !columns.is_empty() {
            reference.hbos = Some(Hbos::new(names.len(), &columns));
        }
        if let Some(distances) = &self.distances {
            let standards = distances.standards(names);
            let deviation = |s: &Standard| (s.position, f64::from(s.mean), f64::from(s.std));
            reference.z_max = Some(ZMax::new(names.len(), standards.iter().map(deviation)));
            let centre = |s: &Standard| Centre {
                position: s.position,
                mean: s.mean,
                median: s.median,
            };
            reference.mahalanobis = distances.whitener.as_ref().map(|whitener| {
                let centres = standards.iter().map(centre).collect();
                Mahalanobis::new(names.len(), centres, whitener.0.clone())
            });
            let points: Vec<f32> = distances.coreset.0.iter().map(|value| value.to_f32()).collect();
            let points = Matrix::new(&points, points.len() / standards.len(), standards.len());
            reference.knn = Some(Knn::new(names.len(), standards, points, NEIGHBOUR));
        }
        reference
    }

    fn feature(&self, name: &str) -> Option<&Feature> {
        self.features.iter().find(|feature| feature.name() == name)
    }

    /// Features that only one of both has.
    fn unlike(&self, features: &[&str]) -> Vec<Problem> {
        if self.features.is_empty() {
            return Vec::new();
        }
        // What images look like is watched where the profile has it; a profile of an earlier release has not.
        let is_unknown = |name: &&&str| self.feature(name).is_none() && !is_look(name);
        let unknown = features.iter().filter(is_unknown).map(|name| {
            let near = nearest(name, self.features.iter().map(Feature::name));
            let meant = near.map_or(String::new(), |near| format!(" (it has `{near}`)"));
            format!("the profile does not know the feature `{name}`{meant}; build it anew from data that have it")
        });
        let absent = self
            .features
            .iter()
            .filter(|feature| !features.contains(&feature.name()));
        let absent = absent.map(|feature| {
            let name = feature.name();
            format!(
                "the profile knows a feature `{name}`, and the pipeline gives none, as it would not if `events.mask` named it; \
                 build the profile anew without it"
            )
        });
        unknown
            .chain(absent)
            .map(|message| Problem::new(KEY, message))
            .collect()
    }

    /// What a model's predictions and the profile of another would not share.
    fn misfit(&self, holds: Holds) -> Option<Problem> {
        let classes = match holds.values {
            Values::Classes(classes) | Values::Labels(classes) => classes,
            _ => 0,
        };
        let known = self.outputs.classes.len();
        let differs = known != classes;
        differs.then(|| {
            let message = format!(
                "the profile is of a model with {known} classes, and this one has {classes}; build it anew for this model"
            );
            Problem::new(KEY, message)
        })
    }
}

impl Feature {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Number(number) => &number.name,
            Self::Category(category) => &category.name,
        }
    }

    /// What the signal `hbos` needs of it.
    fn column(&self, position: usize) -> Option<Column<'_>> {
        match self {
            Self::Number(number) => {
                let hbos = number.hbos.as_ref()?;
                Some(Column {
                    position,
                    range: Some((hbos.low.into(), hbos.high.into())),
                    counts: &hbos.counts,
                    missing: hbos.missing,
                })
            }
            Self::Category(category) => Some(Column {
                position,
                range: None,
                counts: &category.hbos_counts,
                missing: category.hbos_missing,
            }),
        }
    }
}

impl Distances {
    /// How each column is standardised, where these names stand for the features.
    fn standards(&self, names: &[&str]) -> Vec<Standard> {
        let numbers = self.mean.0.iter().zip(&self.std.0).zip(&self.median.0);
        let standards = self
            .columns
            .iter()
            .zip(numbers)
            .filter_map(|(column, ((mean, std), median))| {
                Some(Standard {
                    position: names.iter().position(|name| name == column)?,
                    mean: *mean,
                    std: *std,
                    median: *median,
                })
            });
        standards.collect()
    }

    fn seed(&self) -> u64 {
        u64::from_str_radix(&self.simhash_seed, 16).unwrap_or(0)
    }
}

impl Calibrator {
    /// The function that makes probabilities fit.
    pub fn isotonic(&self) -> Option<Isotonic> {
        let wide = |numbers: &[f32]| numbers.iter().map(|number| f64::from(*number)).collect();
        Isotonic::from_corners(wide(&self.x), wide(&self.y))
    }
}
