//! The monitor: what is counted of events and outputs, in bins that a reference profile fixed.
//!
//! Owns: which series there are, and the bin of every value. Never does: compare; sums over any number of lanes, replicas and
//! windows are compared elsewhere.
//!
//! Invariant: every value of a watched feature is counted in exactly one of its bins, as missing or as invalid; the number of
//! series is known before the first event and bounded by the configuration.

mod bins;
mod cloud;
mod outputs;
mod settings;
mod sheet;
mod tally;
#[cfg(test)]
pub(crate) mod tests;

use self::bins::Binned;
pub use self::cloud::{Cloud, Distance as CloudDistance};
use self::outputs::OutputBins;
pub use self::settings::{ConfidenceSettings, DriftSettings, Export};
use self::sheet::Sheet;
pub use self::sheet::{Odd, ReferenceScale, Subject};
pub use self::tally::Tally;
use crate::fields::{Feature, FeatureKind};
use crate::head::Predictions;
use crate::profile::{Feature as Known, Outputs, Profile};
use crate::signal::{Matrix, Signal};

/// The lowest number that is no number of a class, for outputs without one.
const NO_CLASS: usize = usize::MAX;

/// What one series counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Whose values.
    pub of: Of,
    /// Of the events of this segment only.
    pub segment: Option<String>,
    /// Which of them.
    pub what: What,
    /// How many of them the reference has, out of those that are in bins (of odd values: out of all).
    pub reference: Reference,
}

/// Whose values a series counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Of {
    /// Those of a feature of the events.
    Feature(String),
    /// Those of an output of a model: `class`, a signal's word, `p/SIGNAL` for its p-value, `target/NAME`, or `projection/NN`
    /// of an embedding.
    Output {
        /// Position of the model.
        model: usize,
        /// The output.
        output: String,
    },
}

/// Which values a series counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Those in this bin: its upper edge, `+Inf` for the last one, or a word; `(other)` for all other words.
    Bin(String),
    /// Rows without a value.
    Missing,
    /// Infinite values.
    Invalid,
    /// Values below the least one of the reference. They are in a bin too.
    Below,
    /// Values above the greatest one of the reference. They are in a bin too.
    Above,
}

/// What the reference has of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reference {
    /// Rows.
    pub count: u64,
    /// Of how many.
    pub of: u64,
    /// Their share as distances take it: of a bin `(count + ½) / (of + bins/2)`, else `count / of`.
    pub ratio: f64,
}

/// What is counted of one model.
#[derive(Debug, Clone, Copy)]
pub struct Watched<'a> {
    /// Its reference profile.
    pub profile: &'a Profile,
    /// What its head calls its classes.
    pub classes: &'a [String],
    /// Signals that are measured on every event whether they are watched or not.
    pub measured: &'a [Signal],
}

/// What is counted, the same for all lanes.
#[derive(Debug, Default)]
pub struct Monitor {
    /// Id of the profile that the features are binned by.
    data_profile: Option<String>,
    /// Ids of the profiles of the models.
    profiles: Vec<Option<String>>,
    whole: Part,
    segments: Option<Segments>,
    sheet: Sheet,
    left_out: Vec<String>,
    export: Export,
}

/// How a part of the events is counted.
#[derive(Debug, Default)]
struct Part {
    features: Vec<(usize, Binned)>,
    models: Vec<Option<OutputBins>>,
}

/// Parts by the word of a category.
#[derive(Debug)]
struct Segments {
    /// The column of the category.
    column: usize,
    /// Of each of its words, the first ones.
    parts: Vec<Option<Part>>,
}

/// Values of a batch, in which rows are counted.
pub trait Values {
    /// The features of events, a row each; empty where they are not captured.
    fn features(&self) -> Matrix<'_>;

    /// What a model said.
    fn predictions(&self, model: usize) -> &Predictions;

    /// A signal of a model, where it was measured on every row.
    fn signal(&self, model: usize, signal: Signal) -> Option<&[f32]>;

    /// Whether a model decides elsewhere than its head does, so that its classes and margins are others than the
    /// reference's.
    fn is_operated(&self, _model: usize) -> bool {
        false
    }
}

impl Monitor {
    /// Watches events by the first profile that there is, and each model's outputs by its own. `features` are those of the
    /// events, in the order of their columns. Outputs come first, then features, then segments; what would make the series
    /// more than `max_series` is left out.
    pub fn new(models: &[Option<Watched<'_>>], features: &[Feature], settings: &DriftSettings) -> Self {
        let mut monitor = Self {
            export: settings.export,
            ..Self::default()
        };
        if settings.export == Export::Off {
            return monitor;
        }
        monitor.profiles = models.iter().map(|model| Some(model.as_ref()?.profile.id())).collect();
        for (position, model) in models.iter().enumerate() {
            let end = monitor.sheet.end();
            let outputs = model.map(|model| {
                let tails = model
                    .measured
                    .iter()
                    .filter_map(|signal| Some((*signal, model.profile.conformal(*signal).ok()?)));
                OutputBins::new(
                    (position, &model.profile.outputs, model.classes),
                    tails,
                    &mut monitor.sheet,
                )
            });
            if monitor.sheet.series.len() > settings.max_series {
                monitor.sheet.cut(end);
                monitor.left_out.push(format!("the outputs of model {position}"));
                monitor.whole.models.push(None);
            } else {
                monitor.whole.models.push(outputs);
            }
        }
        let data = models
            .iter()
            .position(|model| model.is_some_and(|model| !model.profile.features.is_empty()));
        if let Some(data) = data.and_then(|position| models[position]) {
            monitor.data_profile = Some(data.profile.id());
            monitor.whole.features = monitor.watch_features(&data.profile.features, features, settings.max_series);
        }
        monitor.watch_segments(models, features, settings);
        monitor
    }

    fn watch_features(&mut self, known: &[Known], features: &[Feature], most: usize) -> Vec<(usize, Binned)> {
        let mut watched = Vec::new();
        for (column, feature) in features.iter().enumerate() {
            let Some(known) = known.iter().find(|known| known.name() == feature.name) else {
                continue;
            };
            let end = self.sheet.end();
            let binned = Binned::new(known, Of::Feature(feature.name.clone()), &mut self.sheet);
            if self.sheet.series.len() > most {
                self.sheet.cut(end);
                self.left_out.push(feature.name.clone());
            } else {
                watched.extend(binned.map(|binned| (column, binned)));
            }
        }
        watched
    }

    /// The parts of the events by the first words of a category, each against the same part of the references.
    fn watch_segments(&mut self, models: &[Option<Watched<'_>>], features: &[Feature], settings: &DriftSettings) {
        let Some(field) = &settings.segment else { return };
        let Some(column) = features.iter().position(|feature| feature.name == *field) else {
            return;
        };
        let FeatureKind::Category(words) = &features[column].kind else {
            return;
        };
        let words = words.iter().take(settings.max_segments);
        let parts = words
            .map(|word| self.watch_segment(word, models, features, settings))
            .collect();
        self.sheet.segment = None;
        self.segments = Some(Segments { column, parts });
    }

    /// `None` for a segment that no reference has, or for which there is no room.
    fn watch_segment(
        &mut self,
        word: &str,
        models: &[Option<Watched<'_>>],
        features: &[Feature],
        settings: &DriftSettings,
    ) -> Option<Part> {
        let (end, mut part) = (self.sheet.end(), Part::default());
        self.sheet.segment = Some(word.to_owned());
        for (position, model) in models.iter().enumerate() {
            let outputs = model.and_then(|model| {
                let (_, outputs): (_, Outputs) = model.profile.segment(settings.segment.as_deref()?, word)?;
                let of = (position, &outputs, model.classes);
                Some(OutputBins::new(of, [], &mut self.sheet))
            });
            part.models.push(outputs);
        }
        let data = models.iter().flatten().find(|model| !model.profile.features.is_empty());
        let known = data.and_then(|data| data.profile.segment(settings.segment.as_deref()?, word));
        if let Some((known, _)) = known {
            let watched = self.whole.features.iter().map(|(column, _)| features[*column].clone());
            let columns: Vec<usize> = self.whole.features.iter().map(|(column, _)| *column).collect();
            let watched: Vec<Feature> = watched.collect();
            let binned = self.watch_features(&known, &watched, usize::MAX);
            part.features = binned.into_iter().map(|(at, binned)| (columns[at], binned)).collect();
        }
        if self.sheet.series.len() > settings.max_series {
            self.sheet.cut(end);
            self.left_out.push(format!("{}={word}", settings.segment.as_deref()?));
            return None;
        }
        (self.sheet.series.len() > end.series()).then_some(part)
    }

    /// Everything that is counted, in the order of the counts.
    pub fn series(&self) -> &[Series] {
        &self.sheet.series
    }

    /// What the series and sums are of.
    pub fn subjects(&self) -> &[Subject] {
        &self.sheet.subjects
    }

    /// A tally in which nothing has been counted.
    pub fn tally(&self) -> Tally {
        Tally {
            counts: vec![0; self.sheet.series.len()],
            sums: vec![0.0; self.sheet.sums],
        }
    }

    /// What is exported.
    pub fn export(&self) -> Export {
        self.export
    }

    /// Id of the profile that the features are binned by.
    pub fn data_profile(&self) -> Option<&str> {
        self.data_profile.as_deref()
    }

    /// Id of the profile that the outputs of a model are binned by.
    pub fn profile(&self, model: usize) -> Option<&str> {
        self.profiles.get(model)?.as_deref()
    }

    /// Features that are watched, and the names of those that are not for want of series; of segments, `FIELD=WORD`.
    pub fn features(&self) -> (usize, &[String]) {
        (self.whole.features.len(), &self.left_out)
    }

    /// Whether it looks at the features of events.
    pub fn reads_features(&self) -> bool {
        !self.whole.features.is_empty() || self.segments.is_some()
    }

    /// Signals of a model that it looks at.
    pub fn signals(&self, model: usize) -> impl Iterator<Item = Signal> {
        let outputs = self.whole.models.get(model).and_then(Option::as_ref);
        outputs.into_iter().flat_map(OutputBins::signals)
    }

    /// How the embeddings of a model are compared, where it gives some.
    pub fn cloud(&self, model: usize) -> Option<&Cloud> {
        self.whole.models.get(model)?.as_ref()?.cloud.as_ref()
    }

    /// Counts these rows of a batch.
    ///
    /// # Panics
    /// When a row is not in the batch, or the tally is not one of [`Self::tally`].
    pub fn count(&self, batch: &impl Values, rows: &[u32], tally: &mut Tally) {
        self.whole.count(batch, rows, tally);
        let Some(segments) = &self.segments else { return };
        let features = batch.features();
        for (word, part) in segments.parts.iter().enumerate() {
            let Some(part) = part else { continue };
            let is_of_it = |row: &u32| features.row(*row as usize)[segments.column] == word as f32;
            let of_segment: Vec<u32> = rows.iter().copied().filter(is_of_it).collect();
            part.count(batch, &of_segment, tally);
        }
    }
}

impl Part {
    fn count(&self, batch: &impl Values, rows: &[u32], tally: &mut Tally) {
        for (column, binned) in &self.features {
            binned.count(batch.features(), *column, rows, tally);
        }
        for (model, outputs) in self.models.iter().enumerate() {
            if let Some(outputs) = outputs {
                let signal = |signal| batch.signal(model, signal);
                let measured = (signal, batch.is_operated(model));
                outputs.count(batch.predictions(model), measured, rows, tally);
            }
        }
    }
}
