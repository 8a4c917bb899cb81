//! A model of trivial arithmetic, and the scoring that is built around it: everything but the model is the real thing.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use eddy_inference::Emitter;
use eddy_inference::judge::{Judged, Provenance, judge};
use eddy_inference::scoring::{LaneModel, ModelIdentity, Scoring};
use eddy_inference::settings::BatchSettings;
use eddy_pipeline::decode::{
    Binding, Decoder, EventFormat, EventSettings, Found, LimitSettings, SchemaKind, Schemas, WriterSchema,
};
use eddy_pipeline::drift::monitor::DriftSettings;
use eddy_pipeline::head::{self, Head};
use eddy_pipeline::render::{ModelName, Renderer};
use eddy_pipeline::score::{RunError, RunFault, Scorer};
use eddy_pipeline::select::{SelectSettings, Selection};
use eddy_pipeline::tensor::{Buffer, DType, Data, Inputs, TensorSpec, View};
use eddy_pipeline::trace::Tracing;
use serde_json::json;

use crate::plan::{Kind, SCHEMAS};
use crate::world::GROUP;

/// Numbers of each kind of event lie in a range of their own.
const SPAN: usize = 1000;

/// The number that the event of this kind and position carries.
pub(crate) fn number(kind: Kind, position: usize) -> usize {
    let kind = match kind {
        Kind::Sure => 0,
        Kind::Unsure => 1,
        Kind::Refused => 2,
        Kind::NotANumber => 3,
        Kind::Malformed | Kind::Incomplete | Kind::Tombstone => 4,
    };
    kind * SPAN + position
}

/// A run with this number breaks the model: it fails on every row from then on, until it is rebuilt.
pub(crate) const POISON: usize = 9 * SPAN;

struct Stub {
    /// Fails on every row, the known-good one too.
    is_sick: Arc<AtomicBool>,
    is_broken: bool,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    max_rows: usize,
}

impl Scorer for Stub {
    fn run(&mut self, inputs: &Inputs, rows: Range<usize>, read: &mut dyn FnMut(&[View<'_>])) -> Result<(), RunError> {
        let Buffer::Float32(numbers) = &inputs.inputs[0].data else {
            unreachable!("the decoder fills what the model asked for");
        };
        self.is_broken |= numbers[rows.clone()].contains(&(POISON as f32));
        self.probe()?;
        let kind = |number: &f32| *number as usize / SPAN;
        if numbers[rows.clone()].iter().any(|number| kind(number) == 2) {
            return Err(RunError {
                fault: RunFault::Refused,
                message: "no such number, please".into(),
            });
        }
        let first = |number: &f32| match kind(number) {
            0 => 0.875,
            1 => 0.5,
            _ => f32::NAN,
        };
        let probabilities: Vec<f32> = numbers[rows]
            .iter()
            .map(first)
            .flat_map(|probability| [probability, 1.0 - probability])
            .collect();
        read(&[View {
            width: 2,
            data: Data::Float32(&probabilities),
        }]);
        Ok(())
    }

    fn probe(&mut self) -> Result<(), RunError> {
        if !self.is_sick.load(Ordering::Relaxed) && !self.is_broken {
            return Ok(());
        }
        Err(RunError {
            fault: RunFault::Refused,
            message: "the device is gone".into(),
        })
    }

    fn rebuild(&mut self) -> Result<(), RunError> {
        self.is_broken = false;
        Ok(())
    }

    fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    fn max_rows(&self) -> usize {
        self.max_rows
    }
}

fn spec(name: &str, row_shape: Vec<Option<usize>>) -> TensorSpec {
    TensorSpec {
        name: name.into(),
        dtype: DType::Float32,
        row_shape,
    }
}

/// Of framed events.
pub(crate) const SCHEMA: &str = r#"{"type":"record","name":"X","fields":[{"name":"x","type":["null","double"]}]}"#;

/// Schemas that come in the course of a schedule.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    /// The turns from which they are there.
    pub(crate) from: [u32; SCHEMAS],
    /// The turn that it is.
    pub(crate) turn: AtomicU32,
    /// How often one was asked for before that.
    pub(crate) waits: AtomicU32,
}

impl Schemas for Shelf {
    fn find(&self, id: u32) -> Found {
        let Some(from) = self.from.get(id as usize) else {
            return Found::Unknown;
        };
        if self.turn.load(Ordering::Relaxed) < *from {
            self.waits.fetch_add(1, Ordering::Relaxed);
            return Found::Awaited("the registry is away".into());
        }
        Found::Known(Arc::new(WriterSchema {
            id,
            kind: SchemaKind::Avro,
            text: SCHEMA.into(),
            references: Vec::new(),
        }))
    }
}

/// All events begin a trace.
pub(crate) fn tracing() -> Tracing {
    Tracing::new(GROUP, 1.0)
}

/// Scoring, outputs and selection of one lane, whose model is well.
pub(crate) fn scoring(limits: &BatchSettings) -> (Scoring, Emitter, Selection) {
    build(Arc::default(), None, limits)
}

/// The same for framed events, where there is a shelf.
pub(crate) fn scoring_from(shelf: Option<Arc<Shelf>>, limits: &BatchSettings) -> (Scoring, Emitter, Selection) {
    build(Arc::default(), shelf, limits)
}

/// Scoring, outputs and selection of one lane, whose model fails while `is_sick`.
pub(crate) fn scoring_while(is_sick: Arc<AtomicBool>, limits: &BatchSettings) -> (Scoring, Emitter, Selection) {
    build(is_sick, None, limits)
}

fn build(is_sick: Arc<AtomicBool>, shelf: Option<Arc<Shelf>>, limits: &BatchSettings) -> (Scoring, Emitter, Selection) {
    let inputs = vec![spec("x", vec![Some(1)])];
    let outputs = vec![spec("probabilities", vec![Some(2)])];
    let settings = serde_json::from_value(json!({"type": "classification", "from": "probabilities"}));
    let head = head::compile(&settings.expect("a head's settings"), &outputs, None);
    let head: Arc<dyn Head> = Arc::from(head.expect("the head fits the model"));
    let fields = serde_json::from_value(json!({"x": {"type": "float"}})).expect("a field's settings");
    let binding = Binding {
        model: "stub",
        inputs: &inputs,
        fields: &Default::default(),
    };
    let events = EventSettings {
        format: match shelf {
            Some(_) => EventFormat::Avro,
            None => EventFormat::Json,
        },
        ..EventSettings::default()
    };
    let decoder = Decoder::compile(&events, &fields, &LimitSettings::default(), &[binding]);
    let select = SelectSettings {
        confidence_below: Some(0.75),
        ..SelectSettings::default()
    };
    let judged = Judged::bare("stub", head.as_ref());
    let judgement =
        judge((&select, &DriftSettings::default()), &[judged], Vec::new()).expect("the head gives a confidence");
    let model = LaneModel {
        identity: ModelIdentity {
            name: "stub".into(),
            version: "1".into(),
            sha256: "0".repeat(64),
        },
        scorer: Box::new(Stub {
            is_sick,
            is_broken: false,
            inputs,
            outputs,
            max_rows: limits.rows,
        }),
        head,
    };
    let renderer = Renderer::new([ModelName {
        name: "stub",
        version: "1",
        sha256: &model.identity.sha256,
        profile: None,
    }]);
    let mut decoder = decoder.expect("the field fits the model");
    if let Some(shelf) = shelf {
        decoder = decoder.with_schemas(shelf);
    }
    let scoring = Scoring::new(decoder, vec![model], judgement.signals, limits);
    let emitter = Emitter::new(renderer, Provenance::default()).tracing(Some(tracing()));
    (scoring, emitter, Selection::new(judgement.plan))
}
