//! The laws that every signal keeps. They run over the specimens of each signal's file, so a new signal inherits them with
//! its first line.

use proptest::prelude::*;

use super::{Evidence, Matrix, Measure, Range, Reference, Scale, Signal, Subject};
use crate::head::{Head, HeadSettings, Predictions, compile};
use crate::tensor::{DType, Data, Inputs, TensorSpec, View};

/// A model with a few events, of which the first is worth a label least and the last most.
#[derive(Debug, Clone)]
pub(super) struct Specimen {
    settings: serde_json::Value,
    outputs: Vec<Output>,
    peers: Vec<Vec<Output>>,
    temperature: f32,
    scales: Vec<Scale>,
    features: Vec<Vec<f32>>,
    reference: Option<Reference>,
}

/// Name, numbers of a row, and the numbers of all rows.
type Output = (String, usize, Vec<f32>);

fn output(rows: &[&[f32]]) -> Output {
    ("out".to_owned(), rows[0].len(), rows.concat())
}

impl Specimen {
    /// A head with several outputs: name, numbers of a row, and the numbers of all rows.
    pub(super) fn outputs(settings: serde_json::Value, outputs: &[(&str, usize, &[f32])]) -> Self {
        let outputs = outputs
            .iter()
            .map(|(name, width, data)| ((*name).to_owned(), *width, data.to_vec()));
        Self {
            settings,
            outputs: outputs.collect(),
            peers: Vec::new(),
            temperature: 1.0,
            scales: Vec::new(),
            features: Vec::new(),
            reference: None,
        }
    }

    /// A head with one output.
    pub(super) fn head(settings: serde_json::Value, rows: &[&[f32]]) -> Self {
        let (name, width, data) = output(rows);
        Self::outputs(settings, &[(&name, width, &data)])
    }

    pub(super) fn classes(from: &str, rows: &[&[f32]]) -> Self {
        Self::head(serde_json::json!({"type": "classification", "from": from}), rows)
    }

    pub(super) fn labels(from: &str, rows: &[&[f32]]) -> Self {
        Self::head(serde_json::json!({"type": "multi-label", "from": from}), rows)
    }

    /// Features, and any prediction.
    pub(super) fn features(rows: &[&[f32]], reference: Reference) -> Self {
        let embedding: Vec<&[f32]> = rows.iter().map(|_| &[1.0f32][..]).collect();
        Self {
            features: rows.iter().map(|row| row.to_vec()).collect(),
            reference: Some(reference),
            ..Self::head(serde_json::json!({"type": "embedding"}), &embedding)
        }
    }

    pub(super) fn at_temperature(self, temperature: f32) -> Self {
        Self { temperature, ..self }
    }

    pub(super) fn with_scales(self, scales: &[Scale]) -> Self {
        let scales = scales.to_vec();
        Self { scales, ..self }
    }

    pub(super) fn with_peer(mut self, rows: &[&[f32]]) -> Self {
        self.peers.push(vec![output(rows)]);
        self
    }

    pub(super) fn reference(&self) -> Reference {
        self.reference
            .clone()
            .expect("a specimen with features has a reference")
    }

    pub(super) fn rows(&self) -> &[Vec<f32>] {
        &self.features
    }

    fn model(&self) -> Box<dyn Head> {
        let settings: HeadSettings = serde_json::from_value(self.settings.clone()).expect("the settings are right");
        let spec = |(name, width, _): &Output| TensorSpec {
            name: name.clone(),
            dtype: DType::Float32,
            row_shape: vec![Some(*width)],
        };
        let specs: Vec<TensorSpec> = self.outputs.iter().map(spec).collect();
        compile(&settings, &specs, None).expect("the head fits")
    }

    fn measure(&self, signal: Signal) -> Box<dyn Measure> {
        let holds = self.model().holds();
        let peers = vec![holds; self.peers.len()];
        let subject = Subject {
            holds,
            peers: &peers,
            temperature: self.temperature,
            scales: &self.scales,
            reference: self.reference.as_ref(),
        };
        let measure = signal.measure(&subject).expect("a specimen can serve its signal");
        assert_eq!(measure.signal(), signal);
        measure
    }

    /// A batch of the given rows; those in `spoilt` come out of the models as NaN.
    fn batch(&self, rows: &[usize], spoilt: &[usize]) -> Batch {
        let predictions = |outputs: &[Output]| {
            let picked: Vec<(usize, Vec<f32>)> = outputs
                .iter()
                .map(|(_, width, data)| {
                    let of = |row: &usize| data[row * width..][..*width].to_vec();
                    let mut picked: Vec<Vec<f32>> = rows.iter().map(of).collect();
                    spoilt.iter().for_each(|row| picked[*row].fill(f32::NAN));
                    (*width, picked.concat())
                })
                .collect();
            let views: Vec<View<'_>> = picked
                .iter()
                .map(|(width, data)| View {
                    width: *width,
                    data: Data::Float32(data),
                })
                .collect();
            let mut predictions = Predictions::new();
            predictions.reset(rows.len());
            self.model()
                .read(&views, 0..rows.len(), &mut predictions)
                .expect("a specimen's outputs can be read");
            // What went in was zeros.
            let inputs = Inputs::with_capacity(&[self.input()], rows.len());
            self.model()
                .compare(&inputs, 0..rows.len(), &mut predictions)
                .expect("a specimen's outputs fit its input");
            predictions
        };
        let features = rows.iter().filter_map(|row| self.features.get(*row));
        Batch {
            predictions: predictions(&self.outputs),
            peers: self.peers.iter().map(|outputs| predictions(outputs)).collect(),
            width: self.features.first().map_or(0, Vec::len),
            features: features.flatten().copied().collect(),
        }
    }

    fn input(&self) -> TensorSpec {
        TensorSpec {
            name: "in".to_owned(),
            dtype: DType::Float32,
            row_shape: vec![Some(self.outputs[0].1)],
        }
    }

    fn len(&self) -> usize {
        let (_, width, data) = &self.outputs[0];
        data.len() / width
    }

    fn all(&self) -> Vec<usize> {
        (0..self.len()).collect()
    }
}

struct Batch {
    predictions: Predictions,
    peers: Vec<Predictions>,
    width: usize,
    features: Vec<f32>,
}

impl Batch {
    fn measured(&self, measure: &dyn Measure) -> Vec<f32> {
        let peers: Vec<&Predictions> = self.peers.iter().collect();
        let evidence = Evidence {
            predictions: &self.predictions,
            peers: &peers,
            features: Matrix::new(&self.features, self.predictions.rows(), self.width),
        };
        // Whatever was there before must not shine through.
        let mut out = vec![7.7e7; self.predictions.rows()];
        measure.measure(&evidence, &mut out);
        for (row, out) in out.iter().enumerate() {
            let alone = measure.measure_row(&evidence, row);
            assert_eq!(
                alone.to_bits(),
                out.to_bits(),
                "{measure:?}: {alone} alone, {out} in a batch"
            );
        }
        out
    }
}

fn specimens() -> impl Iterator<Item = (Signal, Specimen)> {
    Signal::ALL.into_iter().flat_map(|signal| {
        let specimens = (signal.kind().specimens)();
        assert!(!specimens.is_empty(), "{signal} has a specimen");
        specimens.into_iter().map(move |specimen| (signal, specimen))
    })
}

#[test]
fn a_row_that_is_worth_more_measures_higher() {
    for (signal, specimen) in specimens() {
        let out = specimen
            .batch(&specimen.all(), &[])
            .measured(&*specimen.measure(signal));
        let (least, most) = (out[0], out[out.len() - 1]);
        assert!(least < most, "{signal:?}: {least} and {most} of {specimen:?}");
    }
}

#[test]
fn what_is_measured_is_finite_and_within_its_range() {
    for (signal, specimen) in specimens() {
        let out = specimen
            .batch(&specimen.all(), &[])
            .measured(&*specimen.measure(signal));
        for value in out {
            assert!(value.is_finite(), "{signal:?}: {value} of {specimen:?}");
            let within = signal.range() == Range::Open || (0.0..=1.0).contains(&value);
            assert!(within, "{signal:?}: {value} of {specimen:?}");
        }
    }
}

#[test]
fn a_row_without_an_output_has_no_signal_and_spoils_no_other() {
    for (signal, specimen) in specimens() {
        let measure = specimen.measure(signal);
        let rows: Vec<usize> = (0..37).map(|row| row % specimen.len()).collect();
        let clean = specimen.batch(&rows, &[]).measured(&*measure);
        let spoilt = specimen.batch(&rows, &[3, 17, 36]).measured(&*measure);
        for row in 0..rows.len() {
            if [3, 17, 36].contains(&row) {
                assert!(spoilt[row].is_nan(), "{signal:?}: {}", spoilt[row]);
            } else {
                assert_eq!(spoilt[row].to_bits(), clean[row].to_bits(), "{signal:?}");
            }
        }
    }
}

#[test]
fn property_a_row_does_not_depend_on_its_batch() {
    for (signal, specimen) in specimens() {
        let measure = specimen.measure(signal);
        let alone: Vec<f32> = (0..specimen.len())
            .map(|row| specimen.batch(&[row], &[]).measured(&*measure)[0])
            .collect();
        proptest!(ProptestConfig::with_cases(16), |(picks in prop::collection::vec(any::<usize>(), 1..40))| {
            let rows: Vec<usize> = picks.iter().map(|pick| pick % specimen.len()).collect();
            let out = specimen.batch(&rows, &[]).measured(&*measure);
            for (row, out) in rows.iter().zip(out) {
                prop_assert_eq!(alone[*row].to_bits(), out.to_bits(), "{:?}", signal);
            }
        });
    }
}

#[test]
fn an_empty_batch_measures_nothing() {
    for (signal, specimen) in specimens() {
        let measured = specimen.batch(&[], &[]).measured(&*specimen.measure(signal));
        assert!(measured.is_empty(), "{signal:?}");
    }
}

#[test]
fn words_are_distinct_and_read_back() {
    for signal in Signal::ALL {
        let word = serde_json::to_value(signal).expect("a signal is a word");
        assert_eq!(word, signal.as_str());
        assert_eq!(serde_json::from_value::<Signal>(word).ok(), Some(signal));
        let namesakes = Signal::ALL.iter().filter(|other| other.as_str() == signal.as_str());
        assert_eq!(namesakes.count(), 1, "{signal}");
    }
}

#[test]
fn a_model_of_which_nothing_is_known_serves_only_what_its_predictions_hold() {
    let served = |specimen: Specimen| -> Vec<&'static str> {
        super::measures(&Subject::bare(specimen.model().holds()))
            .iter()
            .map(|measure| measure.signal().as_str())
            .collect()
    };
    let rows: &[&[f32]] = &[&[0.4, 0.6]];
    assert_eq!(
        served(Specimen::classes("logits", rows)),
        [
            "confidence",
            "least_confidence",
            "margin",
            "entropy",
            "energy",
            "max_logit",
            "gen"
        ]
    );
    assert_eq!(
        served(Specimen::classes("probabilities", rows)),
        ["confidence", "least_confidence", "margin", "entropy", "gen"]
    );
    assert_eq!(
        served(Specimen::labels("logits", rows)),
        ["confidence", "label_entropy"]
    );
    assert_eq!(
        served(Specimen::head(serde_json::json!({"type": "regression"}), rows)),
        [""; 0]
    );
}
