//! `eddy init`: from a model and a data set to a pipeline file that has proved itself.
//!
//! Owns: the order of the steps, and which files are left behind.
//! Never does: decide what a field or a head is ([`crate::init`]), or reach Kafka for more than the size of a backlog.
//!
//! Invariant: files are written only after the pipeline that they describe has scored the data and was found better than
//! chance; what is there already is replaced only when that is asked for.
//!
//! ```text
//! label ─▶ survey ─▶ plan_fields ─▶ gaps, looks ─▶ plan ─▶ (order of classes) ─▶ replay: proof, --expect, profile ─▶ files
//! ```

mod expect;
mod files;
mod gaps;
mod label;
mod looks;
mod proof;

use std::io;
use std::path::{Path, PathBuf};

use eddy_broker::kafka::TopicReader;
use eddy_broker::settings::Start;
use eddy_host::ExitCode;
use eddy_inference::settings::BatchSettings;
use eddy_model::{BatchCaps, Model, Runtime, RuntimeSettings, Settings};
use eddy_pipeline::head::{EmbeddingSettings, HeadSettings};
use eddy_pipeline::profile::{self as document, Error as ProfileError};
use eddy_pipeline::settings::Problem;
use eddy_storage::data::DataSet;
use eddy_storage::survey::{Limits, Survey};

use self::expect::Expected;
use self::proof::{Order, Proof};
use crate::assemble::{Assembly, assemble};
use crate::backlog::Backlog;
use crate::cli::InitArguments;
use crate::file::{self, Pipeline};
use crate::init::{self, ModelFacts, OutputFacts, Plan, class_order};
use crate::profile::{self, Recorder};
use crate::program;
use crate::replay::{self, Feed, Replay};
use crate::settings::Source;
use crate::settings::problems::Problems;

/// Why there is no pipeline file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Files are there.
    #[error("{}: is there already; pass --force to replace it, or another folder as --out", .0.display())]
    Exists(PathBuf),
    /// Several columns may be the label.
    #[error("it is not clear which column is the label; say which:\n{0}")]
    WhichLabel(String),
    /// The model, or the runtime.
    #[error(transparent)]
    Model(#[from] eddy_model::Error),
    /// The model refuses every row.
    #[error("the model refuses every row: {0}; is this the data that it was trained on?")]
    Refuses(String),
    /// The data set.
    #[error(transparent)]
    Data(#[from] eddy_storage::Error),
    /// No plan.
    #[error("{}", .0.iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>().join("\n"))]
    Plan(Vec<Problem>),
    /// The planned file is not sound.
    #[error("the planned pipeline file does not load; this is a fault of Eddy's, please report it:\n{0}")]
    Unsound(Problems),
    /// The way of the data through the pipeline.
    #[error(transparent)]
    Replay(#[from] replay::Error),
    /// A label does not fit.
    #[error("{at}: the label `{label}` is {expected}; is this the column that the model was trained on (--label)?")]
    Label {
        /// Where the row stands.
        at: String,
        /// Its label.
        label: String,
        /// What it is instead.
        expected: String,
    },
    /// It cannot be told from chance.
    #[error("{found}{message}")]
    Chance {
        /// The figures.
        found: String,
        /// What is likely wrong.
        message: String,
    },
    /// The trainer's predictions are others.
    #[error("--expect: {0}")]
    Expect(String),
    /// The profile.
    #[error(transparent)]
    Profile(#[from] profile::Error),
    /// A path that a pipeline file cannot hold.
    #[error(
        "{}: the way to the model is not UTF-8, and a pipeline file can only hold text; rename what is not, or copy the model",
        .0.display()
    )]
    NotText(PathBuf),
    /// A file cannot be written.
    #[error("{}: cannot be written: {source}; name another folder as --out", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Error {
    /// The code to end with: a question is for the command line to answer.
    pub const fn exit_code(&self) -> ExitCode {
        match self {
            Self::WhichLabel(_) | Self::Exists(_) => ExitCode::Usage,
            _ => ExitCode::Configuration,
        }
    }
}

/// Carries the command out: the report goes to standard output, what is wrong to standard error.
pub fn init(arguments: &InitArguments, variables: Vec<(String, String)>) -> ExitCode {
    program::answer(run(arguments, variables), Error::exit_code)
}

/// Plans, proves and writes; the report is for people.
///
/// # Errors
/// [`Error`]; nothing is then left behind.
pub fn run(arguments: &InitArguments, variables: Vec<(String, String)>) -> Result<String, Error> {
    let place = files::Place::of(arguments)?;
    let mut shop = Shop::open(arguments, &place, variables)?;
    let mut plan = shop.plan()?;
    if let Some(agreed) = shop.agreed_classes(&plan)? {
        shop.facts.agreed_classes = Some(agreed);
        plan = shop.plan()?;
    }
    let (proved, profile) = shop.prove(&plan, arguments)?;
    plan.profile = profile.as_ref().ok().map(|_| PathBuf::from(profile::FILE));
    let text = |model: &Path| {
        plan.path = model.to_owned();
        plan.to_toml()
    };
    let document = profile.as_ref().ok().map(document::Profile::to_json);
    let written = files::write(&place, text, document.as_deref(), |text, folder| {
        shop.assemble_as_written(text, folder).map(drop)
    })?;
    let mut report = format!("label        {}\n{proved}", shop.found);
    match &profile {
        Ok(profile) => report.push_str(&profile::summary(profile)),
        Err(why) => report.push_str(&format!("profile      none: {why}\n")),
    }
    for remark in plan.remarks() {
        report.push_str(&format!("look at      {remark}\n"));
    }
    report.push_str(&format!("written      {}\n", written.join(", ")));
    report.push_str(&shop.start(&plan, &place)?);
    report.push_str(&format!("\nrun it:      eddy run {}\n", place.pipeline().display()));
    Ok(report)
}

/// The names of classes that a model carries. Numbers are no names for words: a trainer that encoded them has them in an
/// order of its own.
fn names_of(model: &Model, survey: &Survey) -> Option<Vec<String>> {
    let is_number = |text: &String| text.parse::<f64>().is_ok();
    let words = survey.label.iter().flat_map(|label| label.words.iter().flatten());
    let has_words = words.map(|(word, _)| word).any(|word| !is_number(word));
    let names = model.class_names()?;
    let are_numbers = names.iter().all(is_number);
    (!(has_words && are_numbers)).then(|| names.to_vec())
}

/// What all steps work on.
struct Shop {
    model: Model,
    facts: ModelFacts,
    data: DataSet,
    survey: Survey,
    fields: init::FieldPlan,
    /// How the label was found.
    found: String,
    /// Brokers, the events topic and the start that were asked for.
    kafka: (Option<String>, Option<String>, Option<Start>),
    variables: Vec<(String, String)>,
}

impl Shop {
    /// Loads the model, finds the label, surveys the data and runs the model over it once.
    fn open(arguments: &InitArguments, place: &files::Place, variables: Vec<(String, String)>) -> Result<Self, Error> {
        let runtime = Runtime::load(&RuntimeSettings::default(), Path::new("."))?;
        // Its head is not known yet, and is not looked at when a model loads.
        let head = HeadSettings::Embedding(EmbeddingSettings { output: None });
        let batch = BatchSettings::default();
        let caps = BatchCaps {
            rows: batch.rows,
            time: batch.time.0,
        };
        let model = Model::load(
            &runtime,
            &Settings::new("model", &place.model, head),
            Path::new(""),
            caps,
        )?;
        let data = DataSet::open(&arguments.data)?;
        let (data, found) = label::find(data, arguments.label.as_deref(), model.inputs())?;
        let survey = Survey::of(&data, Limits::default())?;
        let fields = init::plan_fields(&survey, model.inputs()).map_err(Error::Plan)?;
        let fields = gaps::settle(fields, &model, &data)?;
        let seen = looks::of(&model, &fields, &data)?;
        let outputs = model.outputs().iter().cloned().zip(seen.looks);
        let facts = ModelFacts {
            name: place.name.clone(),
            path: place.relative_model.clone(),
            inputs: model.inputs().to_vec(),
            outputs: outputs.map(|(spec, looks)| OutputFacts { spec, looks }).collect(),
            class_names: names_of(&model, &survey),
            agreed_classes: None,
        };
        Ok(Self {
            model,
            facts,
            data,
            survey,
            fields,
            found,
            kafka: (arguments.brokers.clone(), arguments.events.clone(), arguments.start),
            variables,
        })
    }

    /// The plan, with what is known of the classes.
    fn plan(&self) -> Result<Plan, Error> {
        let head = init::plan_head(&self.facts, self.survey.label.as_ref()).map_err(Error::Plan)?;
        let mut plan = init::Plan::of(&self.survey, &self.facts, self.fields.clone(), head);
        let (brokers, events, start) = &self.kafka;
        if let Some(brokers) = brokers {
            plan.brokers.clone_from(brokers);
        }
        plan.events.clone_from(events);
        plan.start = start.unwrap_or(plan.start);
        Ok(plan)
    }

    /// Where a new group begins, and what that means for the events that are there, if the brokers are known and say so.
    fn start(&self, plan: &Plan, place: &files::Place) -> Result<String, Error> {
        let begins = match plan.start {
            Start::Earliest => "with the oldest event (--start latest skips what is there)",
            Start::Latest => "with what comes next (--start earliest reads what is there first)",
            Start::At(_) => "with the first event that is not older",
            Start::Error => "nowhere; the group needs committed offsets",
        };
        let mut lines = format!("start        {}: {begins}\n", plan.start);
        let found = match &self.kafka.0 {
            None => "not asked; `eddy check` says how large it is, as does --brokers here".to_owned(),
            Some(_) => {
                let folder = &place.folder;
                let settings = self.read(&plan.to_toml(), folder)?.file.broker(folder);
                let backlog = TopicReader::open(&settings, settings.topics.events.stand_in())
                    .and_then(|reader| Backlog::of(&reader, plan.start, false));
                backlog.map_or_else(|error| format!("not known: {error}"), |backlog| backlog.to_string())
            }
        };
        lines.push_str(&format!("backlog      {found}\n"));
        Ok(lines)
    }

    /// Loads a text as the pipeline file of `folder`, with the model from where it is.
    fn assemble(&self, text: &str, folder: &Path) -> Result<Assembly, Error> {
        let mut pipeline = self.read(text, folder)?;
        for model in &mut pipeline.file.models {
            model.path = self.model.path().to_owned();
        }
        assemble(&pipeline).map_err(Error::Unsound)
    }

    /// The same, with the model from where the text says that it is.
    fn assemble_as_written(&self, text: &str, folder: &Path) -> Result<Assembly, Error> {
        assemble(&self.read(text, folder)?).map_err(Error::Unsound)
    }

    fn read(&self, text: &str, folder: &Path) -> Result<Pipeline, Error> {
        let source = Source {
            name: files::PIPELINE,
            text,
        };
        let loaded = file::read(source, self.variables.clone()).map_err(Error::Unsound)?;
        Ok(Pipeline {
            file: loaded.settings,
            folder: folder.to_owned(),
            document: loaded.document,
        })
    }

    /// The words of the label in the order of the model's classes, where nothing but its predictions says it.
    fn agreed_classes(&self, plan: &Plan) -> Result<Option<Vec<String>>, Error> {
        let words = self.survey.label.as_ref().and_then(|label| label.words.as_ref());
        let Some(words) = words.filter(|_| self.facts.class_names.is_none()) else {
            return Ok(None);
        };
        let words: Vec<String> = words.iter().map(|(word, _)| word.clone()).collect();
        let is_decided = |settings: &HeadSettings| {
            matches!(
                settings,
                HeadSettings::Binary(_) | HeadSettings::Sklearn(_) | HeadSettings::Classification(_)
            )
        };
        if words.iter().all(|word| word.parse::<f64>().is_ok()) || !is_decided(&plan.head.settings) {
            return Ok(None);
        }
        let assembly = self.assemble(&plan.to_toml(), Path::new("."))?;
        let classes = assembly.heads()[0].classes();
        if classes.len() != words.len() {
            return Err(Error::Plan(vec![Problem::new(
                "models[0].head",
                format!(
                    "the model has {} classes, and the label has the {} words {}; name the label that it was trained on",
                    classes.len(),
                    words.len(),
                    words.join(", ")
                ),
            )]));
        }
        let mut counts = vec![vec![0; classes.len()]; words.len()];
        Replay::new(&assembly, Feed::Data)?.run::<Error>(&self.data, u64::MAX, |batch| {
            let Some((_, predictions)) = batch.scoring.models().next() else {
                return Ok(());
            };
            for row in batch.rows() {
                let class = row.scored.and_then(|scored| predictions.class(scored));
                let word = row.label.and_then(|label| words.iter().position(|word| word == label));
                if let (Some(class), Some(word)) = (class, word) {
                    counts[word][class] += 1;
                }
            }
            Ok(())
        })?;
        match class_order(&counts) {
            Some(order) => Ok(Some(order.into_iter().map(|word| words[word].clone()).collect())),
            None => Err(proof::chance(format!(
                "classes      no order of {} agrees with the predictions\n",
                words.join(", ")
            ))),
        }
    }

    /// Scores the data through the pipeline's own path: the report, and the profile or why there is none.
    fn prove(
        &self,
        plan: &Plan,
        arguments: &InitArguments,
    ) -> Result<(String, Result<document::Profile, ProfileError>), Error> {
        let assembly = self.assemble(&plan.to_toml(), Path::new("."))?;
        let head = assembly.heads()[0].as_ref();
        let mut replay = Replay::new(&assembly, Feed::Data)?;
        let order = match self.facts.agreed_classes {
            Some(_) => Order::Agreed,
            None => Order::Known,
        };
        let (mut proof, mut recorder) = (Proof::new(head, order), Recorder::new(0, head, replay.features()));
        let column = arguments.expect_column.as_deref();
        let mut expected = match &arguments.expect {
            Some(path) => Some(Expected::read(path, column, head)?),
            None => None,
        };
        let tally = replay.run::<Error>(&self.data, u64::MAX, |batch| {
            let Some((_, predictions)) = batch.scoring.models().next() else {
                return Ok(());
            };
            if let Some(expected) = &mut expected {
                expected.take(batch, predictions);
            }
            proof.take(batch, predictions)?;
            Ok(recorder.take(batch)?)
        })?;
        tally.check()?;
        let mut report = format!("rows         {} scored of {}\n", tally.scored(), tally.rows);
        if tally.rejected() > 0 {
            report.push_str(&format!("{tally}\n"));
        }
        report.push_str(&proof.verdict()?);
        if let Some(expected) = &expected {
            report.push_str(&expected.verdict()?);
        }
        Ok((report, recorder.finish(&assembly.models()[0], document::Source::Data)))
    }
}
