//! One side of a replay: a pipeline, the model that is looked at, and what both said of a chunk of records.
//!
//! Invariant: scores have one fate for each record of the chunk, in its order.

use std::path::Path;
use std::sync::Arc;

use eddy_broker::settings::Settings;
use eddy_inference::Fate as RowFate;
use eddy_inference::scoring::Scoring;
use eddy_pipeline::compare::{Answer, Fate, Psi, Said};
use eddy_pipeline::drift::monitor::{Monitor, Of, Tally};
use eddy_pipeline::head::Head;
use eddy_pipeline::rejection::Reason;

use super::Error;
use crate::assemble::{Assembly, assemble};
use crate::file::{self, Pipeline};
use crate::replay::{Feed, Held, Replay};

/// A pipeline that scores the events.
pub(super) struct Side {
    path: String,
    pipeline: Pipeline,
    assembly: Assembly,
    replay: Replay,
    /// Position of the model that is looked at.
    position: usize,
    keeps_values: bool,
    monitor: Arc<Monitor>,
    tally: Tally,
}

/// What one side said of a chunk.
#[derive(Debug, Default)]
pub(super) struct Scores {
    ids: Vec<String>,
    rows: Vec<Row>,
    width: usize,
    values: Vec<f32>,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    rejected: Option<Reason>,
    class: Option<usize>,
    confidence: Option<f32>,
    anomaly: Option<f32>,
    /// Position among the rows with values.
    at: usize,
    selected: Option<bool>,
}

impl Side {
    /// Loads a pipeline and its models. `name` is that of the model that is looked at; a pipeline with one model needs none.
    pub(super) fn open(
        path: &Path,
        name: Option<&str>,
        feed: Feed,
        variables: &[(String, String)],
    ) -> Result<Self, Error> {
        let pipeline = file::load(path, variables.iter().cloned()).map_err(Error::Pipeline)?;
        let assembly = assemble(&pipeline).map_err(Error::Pipeline)?;
        let position = assembly.position_of(name);
        let position = position.map_err(|why| Error::Usage(format!("{}: {why}", path.display())))?;
        let replay = Replay::judging(&assembly, feed)?;
        let monitor = assembly.in_force().current().0.monitor;
        Ok(Self {
            path: path.display().to_string(),
            keeps_values: !matches!(Answer::of(assembly.heads()[position].as_ref()), Answer::Score),
            tally: monitor.tally(),
            monitor,
            pipeline,
            assembly,
            replay,
            position,
        })
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn head(&self) -> &dyn Head {
        self.assembly.heads()[self.position].as_ref()
    }

    /// Name of the model that is looked at.
    pub(super) fn model(&self) -> &str {
        self.assembly.models()[self.position].name()
    }

    pub(super) fn version(&self) -> &str {
        self.assembly.models()[self.position].version()
    }

    pub(super) fn sha256(&self) -> &str {
        self.assembly.models()[self.position].sha256()
    }

    /// The digests of all models of the pipeline.
    pub(super) fn digests(&self) -> Vec<String> {
        let models = self.assembly.models().iter();
        models.map(|model| model.sha256().to_owned()).collect()
    }

    /// Hash of the settings.
    pub(super) fn config(&self) -> String {
        self.assembly.config()
    }

    pub(super) fn broker(&self) -> Settings {
        self.pipeline.file.broker(&self.pipeline.folder)
    }

    /// Most records of a batch.
    pub(super) fn max_rows(&self) -> usize {
        self.replay.max_rows()
    }

    /// Whether it is known which events are selected.
    pub(super) fn selects(&self) -> bool {
        self.replay.selects()
    }

    /// Whether the model has a reference profile.
    pub(super) fn has_profile(&self) -> bool {
        self.monitor.profile(self.position).is_some()
    }

    /// What was counted against the profile so far.
    pub(super) fn counts(&self) -> Vec<u64> {
        self.tally.counts.clone()
    }

    /// Goes on from what was counted before.
    pub(super) fn take_up(&mut self, counts: &[u64]) -> Result<(), String> {
        if counts.len() != self.tally.counts.len() {
            return Err(format!(
                "it has {} counts against a profile, and {} are needed",
                counts.len(),
                self.tally.counts.len()
            ));
        }
        self.tally.counts.copy_from_slice(counts);
        Ok(())
    }

    /// Scores a chunk.
    pub(super) fn score(&mut self, chunk: &[Held]) -> Result<Scores, Error> {
        let mut scores = Scores::default();
        let Self {
            replay,
            position,
            keeps_values,
            monitor,
            tally,
            ..
        } = self;
        let (selects, mut valued) = (replay.selects(), 0);
        replay.run_held(chunk, |scoring| {
            let mut counted = Vec::new();
            let Some((_, predictions)) = scoring.models().nth(*position) else {
                return Ok(());
            };
            for row in scoring.batch().rows() {
                scores.ids.push(scoring.batch().id(row).to_owned());
                let at = match &row.fate {
                    RowFate::Scored(at) => *at,
                    RowFate::Rejected(rejection) => {
                        scores.rows.push(Row::rejected(rejection.reason));
                        continue;
                    }
                };
                counted.push(at);

                let scored = at as usize;
                scores.rows.push(Row {
                    rejected: None,
                    class: predictions.class(scored),
                    confidence: predictions.confidence(scored),
                    anomaly: predictions.anomaly(scored),
                    at: valued,
                    selected: selects.then(|| is_selected(scoring, at)),
                });
                valued += 1;
                if *keeps_values {
                    scores.width = predictions.width();
                    scores.values.extend_from_slice(predictions.values(scored));
                }
            }
            monitor.count(scoring, &counted, tally);
            Ok::<_, Error>(())
        })?;
        Ok(scores)
    }

    /// PSI of features and of the model's outputs against the reference profile, the largest first.
    pub(super) fn against_profile(&self) -> Vec<Psi> {
        let mut found = Vec::new();
        for subject in self
            .monitor
            .subjects()
            .iter()
            .filter(|subject| subject.segment.is_none())
        {
            let name = match &subject.of {
                Of::Feature(name) => format!("feature {name}"),
                Of::Output { model, output } if *model == self.position => format!("output {output}"),
                Of::Output { .. } => continue,
            };
            let bins = subject.bins.clone();
            let reference: Vec<u64> = self.monitor.series()[bins.clone()]
                .iter()
                .map(|series| series.reference.count)
                .collect();
            found.push(Psi::of(name, &reference, &self.tally.counts[bins], subject.is_ordered));
        }
        let size = |psi: &Psi| psi.psi.unwrap_or(-1.0);
        found.sort_by(|one, other| {
            size(other)
                .total_cmp(&size(one))
                .then_with(|| one.name.cmp(&other.name))
        });
        found
    }
}

fn is_selected(scoring: &Scoring, row: u32) -> bool {
    !scoring.pick(row).all_arms().is_empty()
}

impl Row {
    const fn rejected(reason: Reason) -> Self {
        Self {
            rejected: Some(reason),
            class: None,
            confidence: None,
            anomaly: None,
            at: 0,
            selected: None,
        }
    }
}

impl Scores {
    /// The id of a record of the chunk.
    pub(super) fn id(&self, position: usize) -> &str {
        &self.ids[position]
    }

    /// What became of a record of the chunk.
    pub(super) fn fate(&self, position: usize) -> Fate<'_> {
        let row = &self.rows[position];
        match row.rejected {
            Some(reason) => Fate::Rejected(reason),
            None => Fate::Scored {
                said: Said {
                    class: row.class,
                    confidence: row.confidence,
                    anomaly: row.anomaly,
                    values: &self.values[row.at * self.width..][..self.width],
                },
                selected: row.selected,
            },
        }
    }
}
