//! `POST /score`: one event through the live models, with the whole explanation.
//!
//! Owns: a thread with a scoring of its own, made with the first question, and a queue of one.
//! Never does: write anything, count in the stream's books, spend from a budget, or hold up a lane.
//!
//! Invariant: a question is answered, refused because another one waits, or told why it cannot be; none ends the service.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};

use eddy_host::{OnDrain, OnExit, Policy, Promise, Promised, Refusal, Tasks, promise};
use eddy_inference::scoring::Scoring;
use eddy_pipeline::event::HEADER_ID;
use eddy_pipeline::select::{Arm, Drawn, Plan, Salt};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::assemble::Assembly;
use crate::recall::fields::Fields;
use crate::replay::Feed;
use crate::schemas::{NoSchema, Shelf};
use crate::trial::bench::{self, Bench};
use crate::trial::beside::Event;
use crate::trial::diff::DEAD_LETTER;
use crate::why::story::Arrival;
use crate::why::thresholds::Thresholds;

/// What an event is called that has no field for its id.
const UNNAMED: &str = "score";

/// Takes questions. It is there before the models are.
#[derive(Debug, Default)]
pub(crate) struct ScoreDesk {
    queue: OnceLock<SyncSender<Question>>,
}

/// An event, and whom to answer.
#[derive(Debug)]
struct Question {
    value: Vec<u8>,
    promised: Promised,
}

impl ScoreDesk {
    /// Asks what becomes of an event.
    ///
    /// # Errors
    /// [`Refusal`] when it cannot be asked now.
    pub(crate) fn ask(&self, value: &[u8]) -> Result<Promise, Refusal> {
        if value.is_empty() {
            return Err(Refusal::Malformed(
                "POST /score takes the value of one event as its body".into(),
            ));
        }
        let Some(queue) = self.queue.get() else {
            let message = "the models are still being loaded; ask again once /ready says so";
            return Err(Refusal::Impossible(message.into()));
        };
        let (promised, promise) = promise();
        let question = Question {
            value: value.to_vec(),
            promised,
        };
        match queue.try_send(question) {
            Ok(()) => Ok(promise),
            Err(TrySendError::Full(_)) => Err(Refusal::Impossible(
                "one event is being scored for /score and another one waits already; ask again in a moment".into(),
            )),
            Err(TrySendError::Disconnected(_)) => Err(Refusal::Impossible("the service ends".into())),
        }
    }

    /// Answers from now on, on a thread of its own that ends with the last handle to this.
    ///
    /// # Errors
    /// When there is no thread left.
    pub(crate) fn start(&self, tasks: &Tasks, assembly: Arc<Assembly>) -> Result<(), eddy_host::Error> {
        let (queue, questions) = sync_channel(1);
        let mut explainer = Explainer { assembly, tools: None };
        let policy = Policy {
            on_exit: OnExit::Log,
            on_drain: OnDrain::Abort,
        };
        tasks.spawn_thread("score", policy, move |_| {
            answer_all(&questions, &mut explainer);
            Ok(())
        })?;
        // A second start would be a thread without questions, which ends at once.
        drop(self.queue.set(queue));
        Ok(())
    }
}

fn answer_all(questions: &Receiver<Question>, explainer: &mut Explainer) {
    while let Ok(Question { value, promised }) = questions.recv() {
        // Nobody is to wait for the answer to a question whose asker has gone.
        if promised.is_moot() {
            continue;
        }
        // A question must not end the stream. What a panic left half done is made anew.
        let answer = catch_unwind(AssertUnwindSafe(|| explainer.explain(value))).unwrap_or_else(|_| {
            explainer.tools = None;
            let message = "this event makes the program panic, which is a bug; please report it with the log";
            Err(Refusal::Impossible(message.into()))
        });
        promised.keep(answer);
    }
}

/// Tells what becomes of events.
#[derive(Debug)]
struct Explainer {
    assembly: Arc<Assembly>,
    /// Made with the first question: sessions cost memory, and most services are never asked.
    tools: Option<Tools>,
}

#[derive(Debug)]
struct Tools {
    bench: Bench,
    fields: Fields,
    thresholds: Thresholds,
}

impl Explainer {
    fn explain(&mut self, value: Vec<u8>) -> Result<Value, Refusal> {
        let impossible = |error: bench::Error| Refusal::Impossible(error.to_string());
        let Self { assembly, tools: kept } = self;
        let file = assembly.file();
        let tools = match kept {
            Some(tools) => tools,
            None => kept.insert(Tools::of(assembly).map_err(impossible)?),
        };
        if tools.bench.follow() {
            tools.thresholds = Thresholds::in_force(assembly, tools.bench.provenance());
        }
        let is_named = file.events.id_field.is_some();
        let event = Event {
            at: "/score".into(),
            value,
            id: (!is_named).then(|| (HEADER_ID.to_owned(), UNNAMED.to_owned())),
        };
        // The event as the pipeline's decoder reads it.
        let arrival = event.with(file.topics.events.stand_in(), 0, |record| {
            tools.fields.prepare(record)?;
            Ok(Arrival::of(record, &mut tools.fields))
        });
        let arrival = arrival.map_err(|error: NoSchema| Refusal::Impossible(error.to_string()))?;
        let (mut outcome, seen) = match tools.bench.one(&event, explanation) {
            Ok(seen) => seen,
            Err(error) => {
                // A sick model is asked again in a session of its own.
                if matches!(error, bench::Error::Sick(_)) {
                    *kept = None;
                }
                return Err(impossible(error));
            }
        };
        let provenance = tools.bench.provenance();
        let mut answer = json!({
            "pipeline": file.name,
            "config": provenance.config,
            "policy": provenance.policy,
            "id": outcome.id,
            "fields": arrival.fields,
        });
        if let Some(dead_letter) = outcome.document.remove(DEAD_LETTER) {
            answer["outcome"] = "dead_letter".into();
            answer[DEAD_LETTER] = dead_letter;
            return Ok(answer);
        }
        let models = outcome.document.get("models").and_then(Value::as_object);
        let told = models.into_iter().flatten().map(|(name, output)| {
            let told = tools.thresholds.tell(name, output, std::slice::from_ref(&arrival));
            (name.clone(), Value::from(told))
        });
        answer["outcome"] = "predicted".into();
        answer["told"] = told.collect::<Map<_, _>>().into();
        answer["thresholds"] = as_written(&tools.thresholds);
        answer["signals"] = seen.as_ref().map_or(Value::Null, |seen| seen.signals.clone());
        answer["selection"] = seen.map_or(Value::Null, |seen| seen.selection);
        // Whatever the rate of the control arm is, it selects the event if that is above this.
        answer["control_draw"] = match is_named && tools.bench.has_budget() {
            true => Salt::named(Arm::Explore.as_str()).draw(&outcome.id).into(),
            false => Value::Null,
        };
        answer["prediction"] = Value::Object(outcome.document);
        Ok(answer)
    }
}

impl Tools {
    fn of(assembly: &Assembly) -> Result<Self, bench::Error> {
        let fields = Fields::of(assembly.file(), Shelf::of(assembly.registry()));
        Ok(Self {
            bench: Bench::of(assembly, Feed::Topic)?,
            fields: fields.map_err(|problems| bench::Error::Pipeline(assembly.located(problems)))?,
            thresholds: Thresholds::default(),
        })
    }
}

/// A value with the decimals that its own text has, which are those of the file: 0.6, not the number that is nearest to it.
fn as_written(value: &impl Serialize) -> Value {
    let text = serde_json::to_string(value).expect("it is JSON");
    serde_json::from_str(&text).expect("it was written just now")
}

/// What was measured of an event and decided on it.
struct Explanation {
    signals: Value,
    selection: Value,
}

fn explanation(scoring: &Scoring, row: u32, plan: &Plan) -> Explanation {
    let names: Vec<&str> = scoring
        .models()
        .map(|(model, _)| model.identity.name.as_str())
        .collect();
    let of_model = |(at, name): (usize, &&str)| {
        let shown = scoring
            .signals(at)
            .iter()
            .map(|(signal, column)| (*signal, column.as_slice()));
        // What selection reads without outputs showing it.
        let read = plan.columns().iter().filter(|column| column.model == at);
        let read = read.filter_map(|column| Some((column.signal, scoring.column(at, column.signal)?)));
        let values = shown.chain(read).filter_map(|(signal, column)| {
            let value = column.get(row as usize).filter(|value| value.is_finite())?;
            Some((signal.as_str().to_owned(), as_written(value)))
        });
        ((*name).to_owned(), Value::Object(values.collect()))
    };
    let pick = scoring.pick(row);
    let arms = plan.lotteries().iter().map(|lottery| {
        let is_selected = pick
            .chances
            .iter()
            .any(|chance| (chance.arm, chance.model, chance.drawn) == (lottery.arm, lottery.model, Drawn::Selected));
        let outcome = match (lottery.has_budget(), is_selected) {
            (true, _) => "depends_on_budget",
            (false, true) => "selected",
            (false, false) => "not_selected",
        };
        json!({
            "arm": lottery.arm.as_str(),
            "model": lottery.model.map(|model| names[model]),
            "outcome": outcome,
        })
    });
    Explanation {
        signals: Value::Object(names.iter().enumerate().map(of_model).collect()),
        selection: arms.collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::assemble::assemble;
    use crate::{file, policy};

    #[test]
    fn an_event_is_told_against_the_policy_that_is_in_force_whatever_its_file_says_by_now() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("policy.toml");
        let write = |below: f32| {
            let text = format!("format = 1\n[select]\nconfidence_below = {below}\n");
            std::fs::write(&path, text).expect("there is room");
        };
        write(0.5);
        let shuttle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/shuttle");
        let variable = ("EDDY__POLICY__PATH".to_owned(), path.display().to_string());
        let pipeline = file::load(&shuttle.join("pipeline.toml"), [variable]);
        let pipeline = pipeline.unwrap_or_else(|problems| panic!("{problems}"));
        let assembly = assemble(&pipeline).unwrap_or_else(|problems| panic!("{problems}"));
        let mut explainer = Explainer {
            assembly: Arc::new(assembly),
            tools: None,
        };
        let events = std::fs::read_to_string(shuttle.join("events.jsonl")).expect("the example has events");
        let event = events.lines().next().expect("at least one");
        let told = |explainer: &mut Explainer| {
            let answer = explainer.explain(event.into()).expect("it is scored");
            answer["thresholds"]["confidence_below"].clone()
        };
        write(0.75);
        assert_eq!(told(&mut explainer), json!(0.5));
        let loaded = policy::load(&path).expect("a policy file");
        let judged = explainer.assembly.judge_by(Some(&loaded));
        let (judgement, provenance) = judged.unwrap_or_else(|problems| panic!("{problems}"));
        explainer.assembly.in_force().replace(judgement, provenance);
        assert_eq!(told(&mut explainer), json!(0.75));
    }

    #[test]
    fn before_the_models_are_there_and_while_others_wait_a_question_is_refused_with_a_sentence() {
        let desk = ScoreDesk::default();
        let refused = |value: &[u8]| match desk.ask(value) {
            Err(Refusal::Malformed(said) | Refusal::Impossible(said)) => said,
            Ok(_) => panic!("it was taken"),
        };
        assert!(refused(b"").contains("as its body"));
        assert!(refused(b"{}").contains("/ready"));
        let (queue, questions) = sync_channel(1);
        desk.queue.set(queue).expect("it was not set");
        let _waiting = desk.ask(b"{}").expect("there is room for one");
        assert!(refused(b"{}").contains("ask again in a moment"));
        let taken = questions.try_recv().expect("one waits");
        assert_eq!(taken.value, b"{}");
        let _next = desk.ask(b"{}").expect("there is room again");
        drop(questions);
        assert!(refused(b"{}").contains("the service ends"));
    }
}
