//! `eddy profile`: the reference profile of a model, from a data set or from a healthy span of the events topic.
//!
//! Owns: rows into the builder, labels as classes, the document's file, the summary.
//! Never does: compute a statistic, or change a pipeline file.
//!
//! Invariant: the file is whole or as it was before.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use eddy_broker::BrokerError;
use eddy_broker::kafka::{Stretch, TopicReader};
use eddy_host::ExitCode;
use eddy_model::Model;
use eddy_pipeline::fields::{Feature, FeatureKind};
use eddy_pipeline::head::{Head, Values};
use eddy_pipeline::profile::{About, Error as ProfileError, Plan, Profile, ProfileBuilder, Source};
use eddy_pipeline::select::SelectSettings;
use eddy_storage::data::DataSet;
use eddy_storage::table::{Existing, WholeFile};

use crate::assemble::assemble;
use crate::cli::ProfileArguments;
use crate::file::{self, Pipeline, PipelineFile};
use crate::paths;
use crate::program;
use crate::recall::moment::{self, Moment};
use crate::recall::{self, exit_code, now_ms};
use crate::replay::{self, Batch, Feed, Replay, Tally, class_of};
use crate::settings::problems::Problems;

/// What the file is called when nothing else is said.
pub(crate) const FILE: &str = "profile.json";

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The pipeline file, or something that it names.
    #[error("{0}")]
    Pipeline(Problems),
    /// No model is called so, or several can be meant.
    #[error("{0}")]
    WhichModel(String),
    /// Segments are words.
    #[error("`{field}` is no category among the fields, and only the words of one can be segments; {known}")]
    NoCategory {
        /// What was asked for.
        field: String,
        /// What there is.
        known: String,
    },
    /// No profile has the feature.
    #[error("no profile of the pipeline's models has a feature `{feature}`; {known}")]
    NoFeature {
        /// What was asked for.
        feature: String,
        /// What there is.
        known: String,
    },
    /// A profile that there is cannot be read.
    #[error("{0}")]
    Known(String),
    /// The data set, or its way through the pipeline.
    #[error(transparent)]
    Replay(#[from] replay::Error),
    /// The span of the topic.
    #[error("{0}")]
    Span(String),
    /// Kafka.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// A label is no class.
    #[error("{at}: the label `{label}` is none of the model's classes: {classes}; name another column as --label")]
    Label {
        /// Where the row stands.
        at: String,
        /// Its label.
        label: String,
        /// The classes.
        classes: String,
    },
    /// No row has a label.
    #[error("no row that was scored has a label; name another column as --label, or leave it out")]
    NoLabels,
    /// The builder refuses.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The file cannot be written.
    #[error("{0}; or name another file as --out")]
    Write(eddy_storage::Error),
}

/// Carries the command out: the summary goes to standard output, what is wrong to standard error.
pub fn profile(arguments: &ProfileArguments, variables: impl IntoIterator<Item = (String, String)>) -> ExitCode {
    program::answer(build(arguments, variables), Error::exit_code)
}

impl Error {
    /// The code to end with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Broker(error) => exit_code(error),
            Self::Replay(replay::Error::Schema(error)) => error.exit_code(),
            Self::Span(_) => ExitCode::Usage,
            _ => ExitCode::Configuration,
        }
    }
}

/// Scores the rows, writes the profile and says what is in it.
///
/// # Errors
/// [`Error`]; no file is then written.
pub fn build(
    arguments: &ProfileArguments,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<String, Error> {
    let mut pipeline = file::load(&arguments.pipeline, variables).map_err(Error::Pipeline)?;
    let segment = arguments
        .segment
        .clone()
        .or_else(|| pipeline.file.drift.segment.clone());
    let named: Vec<Option<PathBuf>> = pipeline.file.models.iter().map(|model| model.profile.clone()).collect();
    leave_bare(&mut pipeline.file);
    let assembly = assemble(&pipeline).map_err(Error::Pipeline)?;
    let position = assembly.position_of(arguments.model.as_deref());
    let position = position.map_err(Error::WhichModel)?;
    let (model, head) = (&assembly.models()[position], assembly.heads()[position].as_ref());
    let feed = match arguments.data {
        Some(_) => Feed::Data,
        None => Feed::Topic,
    };
    let mut replay = Replay::new(&assembly, feed)?;
    if let Some(field) = &segment {
        is_category(field, replay.features())?;
    }
    let mut recorder = Recorder::new(position, head, replay.features()).with_segment(segment);
    let each = |batch: &Batch<'_>| recorder.take(batch);
    let (source, tally) = match (&arguments.data, arguments.since) {
        (Some(data), _) => (Source::Data, of_data(data, arguments, &mut replay, each)?),
        (None, since) => (
            Source::Recorded,
            of_topic(
                &pipeline,
                (since, arguments.until),
                (arguments.topic.as_deref(), arguments.rows),
                &mut replay,
                each,
            )?,
        ),
    };
    tally.check()?;
    let labelled = recorder.labelled;
    if arguments.label.is_some() && labelled == 0 && recorder.decides() {
        return Err(Error::NoLabels);
    }
    let decides = recorder.decides();
    let profile = recorder.finish(model, source)?;
    let out = arguments.out.clone().unwrap_or_else(|| pipeline.folder.join(FILE));
    let file = WholeFile::holding(&out, Existing::Replace, &profile.to_json());
    file.and_then(WholeFile::finish).map_err(Error::Write)?;
    let mut text = summary(&profile);
    if tally.rejected() > 0 {
        text.push_str(&format!(
            "rejected     {} of {} rows\n{tally}\n",
            tally.rejected(),
            tally.rows
        ));
    }
    if arguments.label.is_some() && !decides {
        text.push_str("note         the head decides for no class, so the labels say nothing\n");
    }
    let path = named_in(&pipeline.folder, &out);
    writeln!(text, "written to   {}", out.display()).expect("writing to a String cannot fail");
    match &named[position] {
        Some(known) if *known == path => text.push_str("the pipeline file names it already; restart the replicas\n"),
        known => {
            let (verb, place) = match known {
                Some(_) => ("replace the line `profile = …`", "with"),
                None => ("add this line", "as"),
            };
            let (model, path) = (&profile.model, path.display().to_string());
            writeln!(
                text,
                "{verb} below [[models]] of model `{model}`, {place}:\n\nprofile = {path:?}"
            )
            .expect("writing to a String cannot fail");
        }
    }
    if let Some(segments) = &profile.segments {
        let field = &segments.field;
        writeln!(
            text,
            "segments     {} of `{field}`; to watch them: [drift] segment = {field:?}",
            segments.words.len()
        )
        .expect("writing to a String cannot fail");
    }
    Ok(text)
}

/// What a pipeline file of this folder calls a file.
fn named_in(folder: &Path, file: &Path) -> PathBuf {
    match (paths::real(folder), paths::real_file(file)) {
        (Ok(folder), Ok(file)) => paths::relative(&folder, &file),
        _ => file.to_owned(),
    }
}

/// Leaves out whatever needs a profile or a policy: the command must run where the one is missing, broken or of another
/// version, since it is the remedy, and neither changes what the models say.
pub(crate) fn leave_bare(file: &mut PipelineFile) {
    for model in &mut file.models {
        (model.profile, model.signals) = (None, None);
    }
    file.policy.path = None;
    file.select = SelectSettings::default();
    file.drift.segment = None;
}

fn is_category(field: &str, features: &[Feature]) -> Result<(), Error> {
    let named = features
        .iter()
        .filter(|feature| matches!(feature.kind, FeatureKind::Category(_)));
    let named: Vec<&str> = named.map(|feature| feature.name.as_str()).collect();
    if named.contains(&field) {
        return Ok(());
    }
    Err(Error::NoCategory {
        field: field.to_owned(),
        known: match named.as_slice() {
            [] => "there is none; give a field `type = \"category\"`".to_owned(),
            named => format!("name one as --segment: {}", named.join(", ")),
        },
    })
}

/// The rows of a data set.
fn of_data(
    path: &Path,
    arguments: &ProfileArguments,
    replay: &mut Replay,
    each: impl FnMut(&Batch<'_>) -> Result<(), Error>,
) -> Result<Tally, Error> {
    let mut data = DataSet::open(path).map_err(replay::Error::from)?;
    if let Some(label) = &arguments.label {
        data = data.with_label(label).map_err(replay::Error::from)?;
    }
    replay.run(&data, arguments.rows.unwrap_or(u64::MAX), each)
}

/// The events of a span of time.
pub(crate) fn of_topic(
    pipeline: &Pipeline,
    (since, until): (Option<Moment>, Option<Moment>),
    (topic, rows): (Option<&str>, Option<u64>),
    replay: &mut Replay,
    each: impl FnMut(&Batch<'_>) -> Result<(), Error>,
) -> Result<Tally, Error> {
    let since = since.ok_or_else(|| Error::Span("name what to profile: --data FILE, or --since TIME".into()))?;
    let span = moment::span(since, until, now_ms()).map_err(Error::Span)?;
    let settings = pipeline.file.broker(&pipeline.folder);
    let topic = recall::one_topic(&settings.topics.events, topic).map_err(Error::Span)?;
    let reader = TopicReader::open(&settings, &topic)?;
    let mut stretches = reader.between(Some(span.start), Some(span.end))?;
    if let Some(most) = rows {
        shorten(&mut stretches, most);
    }
    replay.run_topic(&reader, &stretches, each)
}

/// Leaves the first part of each partition, the same share of all to a record, so that so many records are read.
pub(crate) fn shorten(stretches: &mut [Stretch], most: u64) {
    let length = |stretch: &Stretch| (stretch.offsets.end - stretch.offsets.start).max(0) as u64;
    let all: u64 = stretches.iter().map(length).sum();
    if all <= most {
        return;
    }
    // What is rounded off of one partition is the next one's, so that even a single record is one.
    let kept_of = |passed: u64| (u128::from(passed) * u128::from(most) / u128::from(all)) as i64;
    let mut passed = 0;
    for stretch in stretches {
        let before = kept_of(passed);
        passed += length(stretch);
        stretch.offsets.end = stretch.offsets.start + kept_of(passed) - before;
    }
}

/// Takes scored batches into the profile of one model.
#[derive(Debug)]
pub(crate) struct Recorder {
    builder: ProfileBuilder,
    position: usize,
    /// The classes of a head that decides for one.
    classes: Option<Vec<String>>,
    /// Rows with a label.
    pub(crate) labelled: u64,
}

impl Recorder {
    /// A profile without rows for the model at `position`.
    pub(crate) fn new(position: usize, head: &dyn Head, features: &[Feature]) -> Self {
        let is_decided = matches!(head.holds().values, Values::Classes(_));
        Self {
            builder: ProfileBuilder::new(Plan::new(features.to_vec(), head)),
            position,
            classes: is_decided.then(|| head.classes().to_vec()),
            labelled: 0,
        }
    }

    /// Counts the words of a category apart, too.
    #[must_use]
    pub(crate) fn with_segment(mut self, segment: Option<String>) -> Self {
        self.builder.set_segment(segment);
        self
    }

    /// Whether the head decides for a class, so that labels can be compared.
    pub(crate) const fn decides(&self) -> bool {
        self.classes.is_some()
    }

    /// Takes in a batch.
    ///
    /// # Errors
    /// [`Error::Label`] and what the builder refuses.
    pub(crate) fn take(&mut self, batch: &Batch<'_>) -> Result<(), Error> {
        let features = batch.scoring.features();
        let Some((_, predictions)) = batch.scoring.models().nth(self.position) else {
            return Ok(());
        };
        for row in batch.rows() {
            let Some(scored) = row.scored else { continue };
            let label = match (&self.classes, row.label) {
                (Some(classes), Some(label)) => Some(class_of(classes, label).ok_or_else(|| Error::Label {
                    at: row.at.to_string(),
                    label: label.to_owned(),
                    classes: classes.join(", "),
                })?),
                _ => None,
            };
            self.labelled += u64::from(label.is_some());
            self.builder.push(features.row(scored), predictions, scored, label)?;
        }
        Ok(())
    }

    /// The profile.
    ///
    /// # Errors
    /// What the builder refuses.
    pub(crate) fn finish(self, model: &Model, source: Source) -> Result<Profile, ProfileError> {
        self.builder.finish(About {
            model: model.name().to_owned(),
            version: model.version().to_owned(),
            created: moment::now(),
            source,
        })
    }
}

/// What is in a profile, for people.
pub(crate) fn summary(profile: &Profile) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        writeln!(text, "{name:<12} {value}").expect("writing to a String cannot fail");
    };
    line("model", format!("{} {}", profile.model, profile.version));
    line("profile", profile.id());
    line("rows", profile.rows.to_string());
    line("features", profile.features.len().to_string());
    line("temperature", format!("{:.3}", profile.outputs.temperature));
    if let Some(quality) = &profile.outputs.quality {
        line(
            "held out",
            format!(
                "accuracy {:.4}, calibration error {:.4} (noise of so few rows: {:.4}) on {} rows",
                quality.accuracy, quality.ece, quality.ece_noise, quality.rows
            ),
        );
    }
    for note in &profile.notes {
        line("note", note.to_string());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_records_are_read_the_same_share_of_each_partition() {
        let of = |partition, offsets| Stretch { partition, offsets };
        let all = [of(0, 100..1100), of(1, 0..3000), of(2, 7..7)];
        let shortened = |most| {
            let mut stretches = all.to_vec();
            shorten(&mut stretches, most);
            stretches
        };
        assert_eq!(shortened(400), [of(0, 100..200), of(1, 0..300), of(2, 7..7)]);
        assert_eq!(shortened(2), [of(0, 100..100), of(1, 0..2), of(2, 7..7)]);
        assert_eq!(shortened(1), [of(0, 100..100), of(1, 0..1), of(2, 7..7)]);
        assert_eq!(shortened(3999), [of(0, 100..1099), of(1, 0..3000), of(2, 7..7)]);
        assert_eq!(shortened(4000), all);
    }
}
