//! What the outputs of a model look like when it runs over the data, before anything is known of its head.

use eddy_inference::settings::BatchSettings;
use eddy_model::{Model, OrtScorer};
use eddy_pipeline::decode::{Binding, Captured, Decoder, LimitSettings};
use eddy_pipeline::event::{Partition, Record, Source};
use eddy_pipeline::score::Scorer as _;
use eddy_pipeline::tensor::{Data, Inputs, View};
use eddy_storage::data::DataSet;

use super::Error;
use crate::init::{FieldPlan, Looks, Observer};

/// Rows that are run at most.
const ROWS: u64 = 10_000;

/// What came of a run over the data.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The looks of each output, in the model's order.
    pub(crate) looks: Vec<Option<Looks>>,
    /// Rows that the model refused, or for which an output is not finite.
    pub(crate) failed: u64,
}

/// Runs the model over the first rows of the data.
pub(crate) fn of(model: &Model, fields: &FieldPlan, data: &DataSet) -> Result<Seen, Error> {
    let bindings = fields.bindings();
    let binding = Binding {
        model: model.name(),
        inputs: model.inputs(),
        fields: &bindings,
    };
    let limits = LimitSettings::default();
    let mut decoder = Decoder::compile(&fields.events, &fields.settings(), &limits, &[binding]).map_err(Error::Plan)?;
    let specs = decoder.resolved_inputs(model.name()).to_vec();
    let mut scorer = model.scorer(&specs)?;
    let capacity = scorer.max_rows().min(BatchSettings::default().rows).max(1);
    let mut inputs = [Inputs::with_capacity(&specs, capacity)];
    let mut watch = Watch {
        observers: vec![Observer::default(); model.outputs().len()],
        failed: 0,
        refusal: None,
    };
    let mut captured = Captured::default();
    let mut rows = data.rows()?.take(ROWS as usize);
    loop {
        let row = rows.next().transpose()?;
        if let Some(row) = &row {
            let at = inputs[0].rows;
            let record = record(row.event.as_bytes());
            if decoder.decode(&record, &mut inputs, at, &mut captured).is_ok() {
                inputs[0].rows += 1;
            }
        }
        if inputs[0].rows == capacity || row.is_none() {
            watch.run(&mut scorer, &inputs[0]);
            inputs[0].rows = 0;
        }
        if row.is_none() {
            break;
        }
    }
    let looks: Vec<Option<Looks>> = watch.observers.iter().map(Observer::looks).collect();
    match watch.refusal {
        Some(message) if looks.iter().all(Option::is_none) => Err(Error::Refuses(message)),
        _ => Ok(Seen {
            looks,
            failed: watch.failed,
        }),
    }
}

struct Watch {
    observers: Vec<Observer>,
    failed: u64,
    refusal: Option<String>,
}

impl Watch {
    /// Runs a batch; where the model refuses it, row by row, so that one bad row does not hide the others.
    fn run(&mut self, scorer: &mut OrtScorer, inputs: &Inputs) {
        if inputs.rows == 0 {
            return;
        }
        let all = 0..inputs.rows;
        let ran = scorer.run(inputs, all.clone(), &mut |outputs| self.observe(outputs, inputs.rows));
        if ran.is_ok() {
            return;
        }
        for row in all {
            let ran = scorer.run(inputs, row..row + 1, &mut |outputs| self.observe(outputs, 1));
            if let Err(error) = ran {
                self.failed += 1;
                self.refusal.get_or_insert(error.message);
            }
        }
    }

    fn observe(&mut self, outputs: &[View<'_>], rows: usize) {
        for row in 0..rows {
            let mut is_finite = true;
            for (view, observer) in outputs.iter().zip(&mut self.observers) {
                let numbers = numbers(view, row);
                is_finite &= numbers.iter().all(|x| x.is_finite());
                if !numbers.is_empty() {
                    observer.observe(numbers);
                }
            }
            self.failed += u64::from(!is_finite);
        }
    }
}

/// The numbers of one row; none of truth values and texts, which are told by their types.
fn numbers(view: &View<'_>, row: usize) -> Vec<f64> {
    let part = row * view.width..(row + 1) * view.width;
    match view.data {
        Data::Float32(x) => x[part].iter().map(|x| f64::from(*x)).collect(),
        Data::Float64(x) => x[part].to_vec(),
        Data::Float16(x) => x[part].iter().map(|x| f64::from(x.to_f32())).collect(),
        Data::Int32(x) => x[part].iter().map(|x| f64::from(*x)).collect(),
        Data::Int64(x) => x[part].iter().map(|x| *x as f64).collect(),
        Data::Bool(_) | Data::String(_) => Vec::new(),
    }
}

fn record(value: &[u8]) -> Record<'_> {
    Record {
        source: Source {
            partition: Partition { topic: 0, number: 0 },
            offset: 0,
        },
        topic: "data",
        timestamp_ms: Some(0),
        key: None,
        value: Some(value),
        headers: &[],
    }
}
