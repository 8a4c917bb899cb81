//! A model without a file: its outputs come from a data set.

use eddy_pipeline::head::{Head, HeadSettings, Predictions, compile};
use eddy_pipeline::signal::{Evidence, Matrix, Measure};
use eddy_pipeline::tensor::{DType, Data, TensorSpec, View};
use serde_json::{Value, json};

/// A head and what it made of a data set's outputs.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) head: Box<dyn Head>,
    pub(crate) predictions: Predictions,
}

impl Model {
    /// A binary head that reads the probability of the second class of each row.
    pub(crate) fn binary(probabilities: &[f32]) -> Self {
        Self::new(
            json!({"type": "binary", "from": "probabilities", "threshold": 0.5}),
            probabilities,
            1,
        )
    }

    /// A head that reads the probabilities of the classes of one row.
    pub(crate) fn classes(probabilities: &[f32]) -> Self {
        let settings = json!({"type": "classification", "from": "probabilities"});
        Self::new(settings, probabilities, probabilities.len())
    }

    fn new(settings: Value, outputs: &[f32], width: usize) -> Self {
        let settings: HeadSettings = serde_json::from_value(settings).expect("the settings are right");
        let spec = TensorSpec {
            name: "out".to_owned(),
            dtype: DType::Float32,
            row_shape: vec![Some(width)],
        };
        let head = compile(&settings, &[spec], None).expect("the head fits");
        let view = View {
            width,
            data: Data::Float32(outputs),
        };
        let rows = outputs.len() / width;
        let mut predictions = Predictions::new();
        predictions.reset(rows);
        head.read(&[view], 0..rows, &mut predictions)
            .expect("the outputs can be read");
        Self { head, predictions }
    }

    /// A signal of every row, with these features.
    pub(crate) fn measured(&self, measure: &dyn Measure, features: Matrix<'_>) -> Vec<f32> {
        let evidence = Evidence {
            predictions: &self.predictions,
            peers: &[],
            features,
        };
        let mut out = vec![f32::NAN; self.predictions.rows()];
        measure.measure(&evidence, &mut out);
        out
    }
}
