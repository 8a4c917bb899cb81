//! The bins of one model's outputs: its classes, its signals, its targets.

use super::bins::{Binned, Edges, of_feature};
use super::{NO_CLASS, Of, Series, Watched, edge_labels};
use crate::head::Predictions;
use crate::profile::Feature;
use crate::signal::Signal;

/// Signals of which the distribution is watched; the others say the same once more, or only of the features.
const WATCHED: [Signal; 5] = [
    Signal::Confidence,
    Signal::Margin,
    Signal::Entropy,
    Signal::Anomaly,
    Signal::Reconstruction,
];

/// How the outputs of one model are counted.
#[derive(Debug)]
pub(super) struct OutputBins {
    /// Id of the profile.
    pub(super) profile: String,
    /// Place of the first class, and how many there are.
    classes: (usize, usize),
    signals: Vec<(Signal, usize, Edges)>,
    targets: Vec<Binned>,
    series: Vec<(String, Series)>,
}

impl OutputBins {
    pub(super) fn new(model: &Watched<'_>, first: usize) -> Self {
        let outputs = &model.profile.outputs;
        let mut all: Vec<(String, Series)> = Vec::new();
        let mut add =
            |output: &str, series: Vec<Series>| all.extend(series.into_iter().map(|one| (output.to_owned(), one)));
        let of = Of::Feature(String::new());
        let names = match outputs.classes.is_empty() {
            true => model.classes,
            false => &outputs.classes,
        };
        let classes = (first, outputs.class_counts.len());
        add("class", Series::bins(&of, names.iter().cloned(), &outputs.class_counts));
        let mut place = first + classes.1;
        let mut signals = Vec::new();
        for signal in WATCHED {
            let Some(histogram) = outputs.signals.get(&signal) else {
                continue;
            };
            add(
                signal.as_str(),
                Series::bins(&of, edge_labels(&histogram.edges), &histogram.counts),
            );
            signals.push((signal, place, Edges::new(&histogram.edges)));
            place += histogram.counts.len();
        }
        let mut targets = Vec::new();
        for target in &outputs.targets {
            if let Some((binned, series)) = of_feature(&Feature::Number(target.clone()), place) {
                place += series.len();
                add(&format!("target/{}", target.name), series);
                targets.push(binned);
            }
        }
        Self {
            profile: model.profile.id(),
            classes,
            signals,
            targets,
            series: all,
        }
    }

    /// Its series, as those of the model at this position.
    pub(super) fn series(&self, model: usize) -> impl Iterator<Item = Series> {
        self.series.iter().map(move |(output, series)| Series {
            of: Of::Output {
                model,
                output: output.clone(),
            },
            ..series.clone()
        })
    }

    pub(super) fn signals(&self) -> impl Iterator<Item = Signal> {
        self.signals.iter().map(|(signal, ..)| *signal)
    }

    pub(super) fn count<'a>(
        &self,
        predictions: &Predictions,
        signal: impl Fn(Signal) -> Option<&'a [f32]>,
        rows: &[u32],
        counts: &mut [u64],
    ) {
        let (first, classes) = self.classes;
        for row in rows {
            let class = predictions.class(*row as usize).unwrap_or(NO_CLASS);
            if class < classes {
                counts[first + class] += 1;
            }
        }
        for (of, first, edges) in &self.signals {
            let counts = &mut counts[*first..][..edges.bins()];
            let mut count = |value: f32| {
                if value.is_finite() {
                    counts[edges.bin(value)] += 1;
                }
            };
            match (of, signal(*of)) {
                (_, Some(column)) => rows.iter().for_each(|row| count(column[*row as usize])),
                (Signal::Confidence | Signal::Anomaly, None) => rows
                    .iter()
                    .filter_map(|row| predictions.signal(*of, *row as usize))
                    .for_each(count),
                (_, None) => {}
            }
        }
        let Some(first) = rows.first() else { return };
        let width = predictions.values(*first as usize).len();
        if self.targets.len() == width {
            for (target, binned) in self.targets.iter().enumerate() {
                binned.count(predictions.matrix(), target, rows, counts);
            }
        }
    }
}
