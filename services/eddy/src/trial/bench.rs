//! Events through a pipeline's own path, away from any stream: decoder, models, heads, signals, and selection as far as it
//! needs no budget.
//!
//! Owns: a scoring of its own, and the documents that come out of it.
//! Never does: reach Kafka, count an event, or spend from a budget.
//!
//! Invariant: what it says of an event is what a stream says that has not selected anything yet.

use std::sync::Arc;

use eddy_host::SystemClock;
use eddy_inference::judge::{InForce, Provenance};
use eddy_inference::scoring::{Scoring, Sick};
use eddy_inference::{Emitter, Fate, Row};
use eddy_pipeline::outcome::Remembers as _;
use eddy_pipeline::select::{Plan, Selection};
use eddy_pipeline::time::Clock as _;
use serde_json::{Map, Value, json};

use super::beside::Event;
use super::diff::{DEAD_LETTER, ID, Outcome};
use crate::assemble::Assembly;
use crate::replay::Feed;
use crate::schemas::{NoSchema, Shelf};
use crate::settings::problems::Problems;

/// Why events cannot be scored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The pipeline.
    #[error("{0}")]
    Pipeline(Problems),
    /// A model.
    #[error(transparent)]
    Sick(#[from] Sick),
    /// The schema registry.
    #[error(transparent)]
    Schema(#[from] NoSchema),
}

/// What scores events.
#[derive(Debug)]
pub(crate) struct Bench {
    scoring: Scoring,
    shelf: Shelf,
    emitter: Emitter,
    selection: Selection,
    topic: String,
    clock: SystemClock,
    in_force: Arc<InForce>,
    /// The judgement that was taken up last, and whose word it is.
    judged_by: u64,
    provenance: Provenance,
}

impl Bench {
    /// Sessions and buffers of its own.
    ///
    /// # Errors
    /// What does not fit, or a session that cannot be made.
    pub(crate) fn of(assembly: &Assembly, feed: Feed) -> Result<Self, Error> {
        let scoring = assembly.scoring_of(feed);
        Ok(Self {
            shelf: Shelf::of(assembly.registry()),
            scoring: scoring.map_err(|problems| Error::Pipeline(assembly.located(problems)))?,
            emitter: assembly.emitter(),
            selection: assembly.selection(),
            topic: assembly.file().topics.events.stand_in().to_owned(),
            clock: SystemClock::start(),
            in_force: assembly.in_force(),
            judged_by: 0,
            provenance: Provenance::default(),
        })
    }

    /// Takes up the policy that is in force, as lanes do between batches; says whether it is another than before.
    pub(crate) fn follow(&mut self) -> bool {
        let Some((judgement, provenance)) = self.in_force.news(&mut self.judged_by) else {
            return false;
        };
        self.scoring.set_signals(judgement.signals);
        self.selection.set_plan(judgement.plan);
        self.emitter.set_provenance(provenance.clone());
        self.provenance = provenance;
        true
    }

    /// Whose word outputs are, as it was taken up last.
    pub(crate) fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    /// What becomes of one event, and what else `look` sees of it where it is scored.
    ///
    /// # Errors
    /// A model that is sick.
    pub(crate) fn one<T>(
        &mut self,
        event: &Event,
        look: impl FnOnce(&Scoring, u32, &Plan) -> T,
    ) -> Result<(Outcome, Option<T>), Error> {
        self.scoring.clear();
        self.push(0, event)?;
        let mut outcomes = Vec::with_capacity(1);
        self.score(std::slice::from_ref(event), &mut outcomes)?;
        let outcome = outcomes.pop().expect("one event has one outcome");
        let tensor_row = self.scoring.batch().rows().first().and_then(Row::tensor_row);
        let seen = tensor_row.map(|row| look(&self.scoring, row, self.selection.plan()));
        self.scoring.clear();
        Ok((outcome, seen))
    }

    /// Whether arms share a budget; what they select then depends on what they selected before.
    pub(crate) fn has_budget(&self) -> bool {
        self.selection.has_budget()
    }

    /// What becomes of these events, in their order.
    ///
    /// # Errors
    /// A model that is sick.
    pub(crate) fn run(&mut self, events: &[Event]) -> Result<Vec<Outcome>, Error> {
        let mut outcomes = Vec::with_capacity(events.len());
        let mut begun = 0;
        for (number, event) in events.iter().enumerate() {
            self.push(number, event)?;
            if self.scoring.is_full() {
                self.score(&events[begun..=number], &mut outcomes)?;
                self.scoring.clear();
                begun = number + 1;
            }
        }
        self.score(&events[begun..], &mut outcomes)?;
        self.scoring.clear();
        Ok(outcomes)
    }

    /// Takes in one event as the record that it would be, the first of its topic at offset 0.
    fn push(&mut self, number: usize, event: &Event) -> Result<(), Error> {
        let Self { shelf, scoring, .. } = self;
        event.with(&self.topic, number as i64, |record| {
            shelf.wait(|| scoring.prepare(record))?;
            scoring.push(record);
            Ok(())
        })
    }

    /// Scores the batch, which holds these events.
    fn score(&mut self, events: &[Event], outcomes: &mut Vec<Outcome>) -> Result<(), Error> {
        if events.is_empty() {
            return Ok(());
        }
        self.scoring.score(&self.clock)?;
        self.scoring.select(&mut self.selection, self.clock.now());
        // Nothing that was decided here is ever handed over.
        self.selection.rollback();
        let has_budget = self.selection.has_budget();
        for (event, row) in events.iter().zip(self.scoring.batch().rows()) {
            outcomes.push(Outcome {
                id: self.scoring.batch().id(row).to_owned(),
                at: event.at.clone(),
                document: document(&self.scoring, &mut self.emitter, row, has_budget),
            });
        }
        Ok(())
    }
}

/// What came out of an event, without what differs from run to run.
fn document(scoring: &Scoring, emitter: &mut Emitter, row: &Row, has_budget: bool) -> Map<String, Value> {
    let id = scoring.batch().id(row);
    let mut document = match &row.fate {
        Fate::Rejected(rejection) => {
            let dead_letter = json!({
                "stage": rejection.reason.stage().as_str(),
                "reason": rejection.reason.as_str(),
                "detail": rejection.detail,
            });
            return [(ID.to_owned(), id.into()), (DEAD_LETTER.to_owned(), dead_letter)]
                .into_iter()
                .collect();
        }
        Fate::Scored(tensor_row) => {
            let read = |value: &[u8]| serde_json::from_slice::<Map<String, Value>>(value);
            let document = emitter.prediction(scoring, row, *tensor_row, |output| {
                read(output.value.unwrap_or_default())
            });
            document.expect("a prediction is a JSON object")
        }
    };
    document.retain(|member, value| match member.as_str() {
        "format" | "source" | "draws" => false,
        "time" => !value.is_null(),
        _ => true,
    });
    if has_budget {
        without_flags(&mut document);
    }
    document
}

/// Leaves out what depends on a budget.
pub(crate) fn without_flags(document: &mut Map<String, Value>) {
    let models = document.get_mut("models").and_then(Value::as_object_mut);
    for model in models.into_iter().flat_map(Map::values_mut) {
        if let Some(members) = model.as_object_mut() {
            members.remove("flags");
        }
    }
}
