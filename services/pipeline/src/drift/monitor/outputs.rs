//! The bins of one model's outputs: its classes, its signals, its targets, and p-values of its scores.

use super::bins::{Binned, Edges};
use super::cloud::Cloud;
use super::sheet::{ReferenceScale, Sheet, edge_labels};
use super::{NO_CLASS, Of, Tally};
use crate::conformal::Conformal;
use crate::head::Predictions;
use crate::profile::{Feature, Outputs};
use crate::signal::Signal;

/// Signals of which the distribution is watched; the others say the same once more, or only of the features.
const WATCHED: [Signal; 5] = [
    Signal::Confidence,
    Signal::Margin,
    Signal::Entropy,
    Signal::Anomaly,
    Signal::Reconstruction,
];
/// Values count for their sum as no larger than this: a broken one must not drown all others.
const FURTHEST: f64 = 1e9;
/// P-values that end a bin, as rates of false alarms; the last bin ends at 1.
const RATES: [f64; 6] = [0.001, 0.005, 0.01, 0.02, 0.05, 0.1];

/// How the outputs of one model are counted.
#[derive(Debug)]
pub(super) struct OutputBins {
    /// Place of the first class, and how many there are.
    classes: (usize, usize),
    signals: Vec<Counted>,
    targets: Vec<Binned>,
    pub(super) cloud: Option<Cloud>,
}

/// A signal that is counted from place `first` on.
#[derive(Debug)]
struct Counted {
    signal: Signal,
    first: usize,
    edges: Edges,
    /// Where its values are summed up.
    sum: Option<usize>,
}

impl OutputBins {
    /// Puts the outputs of the model at a position on the sheet. `tails` are the signals that are measured on every event,
    /// with what conformal thresholds come from.
    pub(super) fn new(
        (model, outputs, classes): (usize, &Outputs, &[String]),
        tails: impl IntoIterator<Item = (Signal, Conformal)>,
        sheet: &mut Sheet,
    ) -> Self {
        let of = |output: String| Of::Output { model, output };
        let names = match outputs.classes.is_empty() {
            true => classes,
            false => &outputs.classes,
        };
        let mut classes = (0, 0);
        if !outputs.class_counts.is_empty() {
            let labels = names.iter().cloned();
            let first = sheet.subject(of("class".to_owned()), false, labels, &outputs.class_counts);
            classes = (first, outputs.class_counts.len());
        }
        let mut signals = Vec::new();
        for signal in WATCHED {
            let Some(histogram) = outputs.signals.get(&signal) else {
                continue;
            };
            let labels = edge_labels(&histogram.edges);
            let first = sheet.subject(of(signal.as_str().to_owned()), true, labels, &histogram.counts);
            let sum = histogram.mean.map(|mean| {
                sheet.sum(ReferenceScale {
                    bin_means: Vec::new(),
                    mean: f64::from(mean),
                    std: 0.0,
                })
            });
            signals.push(Counted {
                signal,
                first,
                edges: Edges::new(&histogram.edges),
                sum,
            });
        }
        for (signal, tail) in tails {
            if let Some((edges, labels, counts)) = p_values(&tail) {
                let output = format!("p/{}", signal.as_str());
                let first = sheet.subject(of(output), true, labels, &counts);
                let edges = Edges::new(&edges);
                signals.push(Counted {
                    signal,
                    first,
                    edges,
                    sum: None,
                });
            }
        }
        let mut targets = Vec::new();
        for target in &outputs.targets {
            let of = of(format!("target/{}", target.name));
            targets.extend(Binned::new(&Feature::Number(target.clone()), of, sheet));
        }
        let cloud = outputs.embedding.as_ref();
        Self {
            classes,
            signals,
            targets,
            cloud: cloud.and_then(|embedding| Cloud::new(model, embedding, sheet)),
        }
    }

    pub(super) fn signals(&self) -> impl Iterator<Item = Signal> {
        self.signals.iter().map(|counted| counted.signal)
    }

    pub(super) fn count<'a>(
        &self,
        predictions: &Predictions,
        (signal, is_operated): (impl Fn(Signal) -> Option<&'a [f32]>, bool),
        rows: &[u32],
        tally: &mut Tally,
    ) {
        let (first, classes) = self.classes;
        // The reference was decided where the head decides.
        for row in rows.iter().filter(|_| !is_operated) {
            let class = predictions.class(*row as usize).unwrap_or(NO_CLASS);
            if class < classes {
                tally.counts[first + class] += 1;
            }
        }
        for counted in &self.signals {
            let of = counted.signal;
            if is_operated && of == Signal::Margin {
                continue;
            }
            match (of, signal(of)) {
                (_, Some(column)) => counted.count(rows.iter().map(|row| column[*row as usize]), tally),
                (Signal::Confidence | Signal::Anomaly, None) => {
                    let values = rows.iter().filter_map(|row| predictions.signal(of, *row as usize));
                    counted.count(values, tally);
                }
                (_, None) => {}
            }
        }
        if let Some(cloud) = &self.cloud {
            cloud.count(predictions, rows, tally);
        }
        let Some(first) = rows.first() else { return };
        let width = predictions.values(*first as usize).len();
        if self.targets.len() == width {
            for (target, binned) in self.targets.iter().enumerate() {
                binned.count(predictions.matrix(), target, rows, tally);
            }
        }
    }
}

impl Counted {
    fn count(&self, values: impl Iterator<Item = f32>, tally: &mut Tally) {
        let counts = &mut tally.counts[self.first..][..self.edges.bins()];
        let mut total = 0.0;
        for value in values.filter(|value| value.is_finite()) {
            counts[self.edges.bin(value)] += 1;
            total += f64::from(value).clamp(-FURTHEST, FURTHEST);
        }
        if let Some(sum) = self.sum {
            tally.sums[sum] += total;
        }
    }
}

/// Scores that end the bins of p-values, rising; the p-values, falling, as texts; and the held-out rows in each. P-values of
/// ordinary events are uniform, so these shares are what they are by construction, but for scores that are alike. `None`
/// where too few rows were held out for any bin.
fn p_values(tail: &Conformal) -> Option<(Vec<f32>, Vec<String>, Vec<u64>)> {
    let (mut edges, mut labels) = (Vec::new(), vec!["1".to_owned()]);
    for rate in RATES.iter().rev() {
        let Ok(edge) = tail.threshold(*rate) else { continue };
        if edge.is_finite() && edges.last() != Some(&edge) {
            edges.push(edge);
            labels.push(rate.to_string());
        }
    }
    let above = |edge: &f32| tail.highest().iter().filter(|score| *score > edge).count() as u64;
    let from_edges: Vec<u64> = [tail.rows() as u64]
        .into_iter()
        .chain(edges.iter().map(above))
        .chain([0])
        .collect();
    let counts = from_edges.windows(2).map(|pair| pair[0] - pair[1]).collect();
    (!edges.is_empty()).then_some((edges, labels, counts))
}
