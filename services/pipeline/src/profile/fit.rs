//! The fitting of a profile to the rows that were kept.

use std::collections::BTreeMap;

use half::f16;

use super::builder::{Kept, Plan};
use super::features::{self, Values, mean_and_std, median, sorted};
use super::{
    Calibrator, Counts, Distances, Embedding, Feature, Floats, Halves, Histogram, Note, Number, Outputs, Profile,
    Quality, Segments, Tail,
};
use crate::calibration::{Isotonic, Reliability, TEMPERATURES, brier, log_loss, temperature};
use crate::conformal::Conformal;
use crate::coreset::k_center;
use crate::covariance::{Moments, ledoit_wolf, whitener};
use crate::fields::FeatureKind;
use crate::head;
use crate::histogram::counts;
use crate::seed;
use crate::signal::{
    Evidence, KNN_FEATURES, MAHALANOBIS_FEATURES, Matrix, Measure, Range, Scale, Signal, Standard, measures,
};

/// Rates of false alarms up to this can be asked for: the scores that higher ones take are not kept.
const HIGHEST_RATE: f64 = 0.1;

/// Bins of a signal's histogram.
const SIGNAL_BINS: usize = 20;

/// Points of the coreset.
const CORESET: usize = 512;

/// Rows that the coreset is chosen from.
const CORESET_ROWS: usize = 20_000;

/// Logits that the temperature is fitted to.
const TEMPERATURE_LOGITS: usize = 4 << 20;

/// More classes than these get no calibrators.
const CALIBRATED_CLASSES: usize = 100;

/// Rows that are measured at once.
const BATCH: usize = 1_024;

/// Rows that a segment needs to be watched apart.
const LEAST_SEGMENT: usize = 100;

/// Draws that must not depend on each other.
const HOLD_OUT: u64 = 0x686F_6C64;
const CORESET_DRAW: u64 = 0x636F_7265;
const SIMHASH_DRAW: u64 = 0x7369_6D68;

/// Fills in what a profile says about these rows.
pub(super) fn fit(mut profile: Profile, plan: &Plan, kept: &Kept) -> Profile {
    let is_held_out = |row: &usize| seed::hash(plan.seed ^ HOLD_OUT, kept.position(*row)).is_multiple_of(3);
    let (held_out, fitting): (Vec<usize>, Vec<usize>) = (0..kept.len()).partition(is_held_out);
    let rows = Rows {
        plan,
        kept,
        fitting: &fitting,
        held_out: &held_out,
    };
    profile.features = rows.features();
    profile.notes.extend(profile.features.iter().filter_map(features::note));
    let (distances, note) = rows.distances(&profile.features);
    profile.distances = distances;
    profile.notes.extend(note);
    rows.describe_outputs(&mut profile.outputs, &mut profile.notes);
    let scores = rows.measure(&mut profile);
    if let Some(field) = &plan.segment {
        rows.segments(field, &scores, &mut profile);
    }
    profile
}

/// The scores of the rows that were held out, of each signal.
type Scores = BTreeMap<Signal, Vec<f32>>;

/// The rows that were kept: for fitting, and for judging what was fitted.
struct Rows<'a> {
    plan: &'a Plan,
    kept: &'a Kept,
    fitting: &'a [usize],
    held_out: &'a [usize],
}

impl Rows<'_> {
    fn features(&self) -> Vec<Feature> {
        let specs = self.plan.features.iter().enumerate();
        specs
            .map(|(column, spec)| {
                let value = |row: usize| self.kept.features(row)[column];
                let all: Vec<f32> = (0..self.kept.len()).map(value).collect();
                let fitting: Vec<f32> = self.fitting.iter().map(|row| value(*row)).collect();
                let values = Values {
                    all: &all,
                    fitting: &fitting,
                };
                match &spec.kind {
                    FeatureKind::Category(words) => Feature::Category(features::category(&spec.name, words, values)),
                    FeatureKind::Number => Feature::Number(features::number(&spec.name, values, self.plan.bins)),
                }
            })
            .collect()
    }

    /// What distances are measured with, over the numbers that vary.
    fn distances(&self, features: &[Feature]) -> (Option<Distances>, Option<Note>) {
        let (mut names, mut standards) = (Vec::new(), Vec::new());
        for (position, feature) in features.iter().enumerate() {
            let Feature::Number(number) = feature else { continue };
            let values: Vec<f32> = self
                .fitting
                .iter()
                .map(|row| self.kept.features(*row)[position])
                .collect();
            let sorted = sorted(&values);
            let (mean, std) = mean_and_std(&sorted);
            if let Some(median) = median(&sorted).filter(|_| std as f32 > 0.0 && (std as f32).is_finite()) {
                names.push(number.name.clone());
                standards.push(Standard {
                    position,
                    mean: mean as f32,
                    std: std as f32,
                    median: median as f32,
                });
            }
        }
        if standards.is_empty() {
            return (None, None);
        }
        if standards.len() > KNN_FEATURES {
            return (None, Some(Note::NoMahalanobis(standards.len())));
        }
        let fitted = (standards.len() <= MAHALANOBIS_FEATURES)
            .then(|| self.whitener(&standards))
            .flatten();
        let note = fitted.is_none().then_some(Note::NoMahalanobis(standards.len()));
        let (whitener, shrinkage) = fitted.map_or((None, 0.0), |(w, shrinkage)| (Some(Floats(w)), shrinkage));
        let column = |of: fn(&Standard) -> f32| Floats(standards.iter().map(of).collect());
        let distances = Distances {
            columns: names,
            mean: column(|standard| standard.mean),
            std: column(|standard| standard.std),
            median: column(|standard| standard.median),
            whitener,
            shrinkage: shrinkage as f32,
            coreset: self.coreset(&standards),
            simhash_seed: format!("{:016x}", seed::hash(self.plan.seed ^ SIMHASH_DRAW, 0)),
        };
        (Some(distances), note)
    }

    /// W of the shrunk covariance of the standardised features, over the features as they are; and how far it was shrunk.
    fn whitener(&self, standards: &[Standard]) -> Option<(Vec<f32>, f64)> {
        let standardised = |row: &usize| -> Vec<f64> {
            let features = self.kept.features(*row);
            standards
                .iter()
                .map(|standard| f64::from(standard.of(features)))
                .collect()
        };
        let mut moments = Moments::new(standards.len());
        self.fitting.iter().for_each(|row| moments.push(&standardised(row)));
        let fourth_powers = self
            .fitting
            .iter()
            .map(|row| moments.fourth_power(&standardised(row)))
            .sum();
        let shrunk = ledoit_wolf(&moments, fourth_powers).ok()?;
        let mut packed = whitener(&shrunk.covariance).ok()?.into_iter();
        let mut whitener = Vec::new();
        for row in 1..=standards.len() {
            let weights = packed.by_ref().take(row).zip(standards);
            whitener.extend(weights.map(|(weight, standard)| (weight / f64::from(standard.std)) as f32));
        }
        whitener
            .iter()
            .all(|weight| weight.is_finite())
            .then_some((whitener, shrunk.shrinkage))
    }

    fn coreset(&self, standards: &[Standard]) -> Halves {
        let every = self.fitting.len().div_ceil(CORESET_ROWS).max(1);
        let mut points = Vec::new();
        for row in self.fitting.iter().step_by(every) {
            let features = self.kept.features(*row);
            let point = standards.iter().map(|standard| standard.of(features));
            // What 16 bits cannot hold is far from everything either way.
            points.extend(point.map(|value| value.clamp(f16::MIN.to_f32(), f16::MAX.to_f32())));
        }
        let matrix = Matrix::new(&points, points.len() / standards.len(), standards.len());
        let chosen = k_center(matrix, CORESET, self.plan.seed ^ CORESET_DRAW);
        let numbers = chosen.into_iter().flat_map(|row| matrix.row(row));
        Halves(numbers.map(|value| f16::from_f32(*value)).collect())
    }

    fn describe_outputs(&self, outputs: &mut Outputs, notes: &mut Vec<Note>) {
        match self.plan.holds.values {
            head::Values::Classes(classes) => {
                outputs.class_counts = vec![0; classes];
                for class in (0..self.kept.len()).filter_map(|row| self.kept.class(row)) {
                    outputs.class_counts[class] += 1;
                }
                self.calibrate(classes, outputs, notes);
            }
            head::Values::Targets => {
                let targets = self.kept.values(0).len();
                outputs.targets = (0..targets).map(|target| self.target(target)).collect();
                outputs.scales = (0..targets).map(|target| self.scale(target)).collect();
            }
            head::Values::Vector => {
                let of = |rows: &[usize]| -> Vec<&[f32]> { rows.iter().map(|row| self.kept.values(*row)).collect() };
                let (fitting, held_out) = (of(self.fitting), of(self.held_out));
                outputs.embedding = Embedding::fit(&fitting, &held_out, (self.plan.bins, self.plan.seed));
                if outputs.embedding.is_none() {
                    notes.push(Note::NoEmbedding);
                }
            }
            _ => {}
        }
    }

    fn target(&self, target: usize) -> Number {
        let value = |row: usize| self.kept.values(row)[target];
        let all: Vec<f32> = (0..self.kept.len()).map(value).collect();
        let fitting: Vec<f32> = self.fitting.iter().map(|row| value(*row)).collect();
        let values = Values {
            all: &all,
            fitting: &fitting,
        };
        Number {
            hbos: None,
            ..features::number(&target.to_string(), values, self.plan.bins)
        }
    }

    fn scale(&self, target: usize) -> Scale {
        let values = self.fitting.iter().map(|row| self.kept.values(*row)[target]);
        let (_, std) = mean_and_std(&sorted(&values.collect::<Vec<f32>>()));
        let widths = self.fitting.iter().filter_map(|row| {
            let ends = self.kept.interval(*row).get(2 * target..2 * target + 2)?;
            Some((ends[1] - ends[0]).abs())
        });
        let width = median(&sorted(&widths.collect::<Vec<f32>>()));
        Scale {
            std: (std as f32).min(f32::MAX),
            width: width.unwrap_or(0.0) as f32,
        }
    }

    /// What labels say: the temperature of the rows for fitting, all else of those that were held out.
    fn calibrate(&self, classes: usize, outputs: &mut Outputs, notes: &mut Vec<Note>) {
        let labelled = |rows: &[usize]| -> Vec<(usize, usize)> {
            let label = |row: &usize| Some((*row, self.kept.label(*row)?));
            rows.iter().filter_map(label).collect()
        };
        let fitting = labelled(self.fitting);
        let most = (TEMPERATURE_LOGITS / classes).max(1);
        if self.plan.holds.logits && !fitting.is_empty() {
            match self.temperature(&fitting[..fitting.len().min(most)], classes) {
                Some(temperature) => outputs.temperature = temperature,
                None => notes.push(Note::NoTemperature),
            }
        }
        let held_out = labelled(self.held_out);
        if held_out.is_empty() {
            return;
        }
        outputs.quality = Some(self.quality(&held_out));
        if classes > CALIBRATED_CLASSES {
            notes.push(Note::NoCalibrators(classes));
            return;
        }
        let first = if classes == 2 { 1 } else { 0 };
        outputs.calibrators = (first..classes)
            .filter_map(|class| self.calibrator(&held_out, class))
            .collect();
    }

    fn temperature(&self, labelled: &[(usize, usize)], classes: usize) -> Option<f32> {
        let logits: Vec<f32> = labelled
            .iter()
            .flat_map(|(row, _)| self.kept.logits(*row))
            .copied()
            .collect();
        let labels: Vec<usize> = labelled.iter().map(|(_, label)| *label).collect();
        let found = temperature(&logits, classes, &labels).ok()?;
        let is_inside = found > TEMPERATURES.start() * 1.01 && found < TEMPERATURES.end() * 0.99;
        is_inside.then_some(found as f32)
    }

    fn quality(&self, labelled: &[(usize, usize)]) -> Quality {
        let mut reliability = Reliability::new();
        let (mut brier_sum, mut loss_sum) = (0.0, 0.0);
        for (row, label) in labelled {
            let probabilities: Vec<f64> = self.kept.values(*row).iter().map(|p| f64::from(*p)).collect();
            let decided = self.kept.class(*row).unwrap_or(usize::MAX);
            let confidence = probabilities.get(decided).copied().unwrap_or(0.0);
            reliability.push(confidence, decided, *label);
            brier_sum += brier(&probabilities, *label);
            loss_sum += log_loss(&probabilities, *label);
        }
        let rows = labelled.len() as u64;
        Quality {
            rows,
            accuracy: reliability.accuracy() as f32,
            ece: reliability.expected_error() as f32,
            ece_noise: reliability.noise() as f32,
            over_confidence: reliability.over_confidence() as f32,
            brier: (brier_sum / rows as f64) as f32,
            log_loss: (loss_sum / rows as f64) as f32,
        }
    }

    fn calibrator(&self, labelled: &[(usize, usize)], class: usize) -> Option<Calibrator> {
        let points = labelled.iter().map(|(row, label)| {
            let right = f64::from(u8::from(*label == class));
            (f64::from(self.kept.values(*row)[class]), right)
        });
        let fitted = Isotonic::fit(points).ok()?;
        let short = |numbers: &[f64]| numbers.iter().map(|number| *number as f32).collect();
        Some(Calibrator {
            class,
            x: short(fitted.x()),
            y: short(fitted.y()),
        })
    }

    /// Histograms and the highest scores of every signal, of the rows that were held out.
    fn measure(&self, profile: &mut Profile) -> Scores {
        let mut by_signal = Scores::new();
        let reference = profile.reference();
        let all = measures(&profile.subject(self.plan.holds, &[], &reference));
        for measure in all {
            let signal = measure.signal();
            let all = self.scores(&*measure);
            let scores: Vec<f32> = all.iter().copied().filter(|score| !score.is_nan()).collect();
            by_signal.insert(signal, all);
            profile.outputs.signals.insert(signal, histogram(signal, &scores));
            if let Some(conformal) = signal.is_utility().then(|| Conformal::new(scores).ok()).flatten() {
                let kept = conformal.kept_up_to(HIGHEST_RATE);
                let tail = Tail {
                    rows: kept.rows(),
                    highest: Floats(kept.highest().to_vec()),
                };
                profile.conformal.insert(signal, tail);
            }
        }
        by_signal
    }

    /// Counts the rows of each word of a category once more, apart.
    fn segments(&self, field: &str, scores: &Scores, profile: &mut Profile) {
        let column = self.plan.features.iter().position(|feature| feature.name == field);
        let Some((column, FeatureKind::Category(words))) = column.map(|at| (at, &self.plan.features[at].kind)) else {
            return;
        };
        let mut segments = Segments::new(field);
        for (code, word) in words.iter().enumerate() {
            let is_of_it = |row: &usize| self.kept.features(*row)[column] == code as f32;
            let rows: Vec<usize> = (0..self.kept.len()).filter(is_of_it).collect();
            if rows.len() < LEAST_SEGMENT {
                profile.notes.push(Note::SmallSegment(word.clone()));
                continue;
            }
            let counted = segments.add(word, rows.len() as u64);
            for (position, feature) in profile.features.iter().enumerate() {
                let values = rows.iter().map(|row| self.kept.features(*row)[position]);
                counted.features.push(Counts::of_feature(feature, values));
            }
            for (position, target) in profile.outputs.targets.iter().enumerate() {
                let values = rows.iter().map(|row| self.kept.values(*row)[position]);
                counted.targets.push(Counts::of_number(target, values));
            }
            counted.class_counts = vec![0; profile.outputs.class_counts.len()];
            for class in rows.iter().filter_map(|row| self.kept.class(*row)) {
                counted.class_counts[class] += 1;
            }
            for (signal, histogram) in &profile.outputs.signals {
                let all = scores.get(signal).into_iter().flatten().zip(self.held_out);
                let of_it = all.filter(|(_, row)| is_of_it(row)).map(|(score, _)| *score);
                counted.signals.insert(*signal, histogram.of(of_it));
            }
        }
        profile.segments = Some(segments);
    }

    fn scores(&self, measure: &dyn Measure) -> Vec<f32> {
        let mut scores = vec![f32::NAN; self.held_out.len()];
        for (rows, scores) in self.held_out.chunks(BATCH).zip(scores.chunks_mut(BATCH)) {
            let (predictions, features) = self.kept.batch(rows);
            let evidence = Evidence {
                predictions: &predictions,
                peers: &[],
                features: Matrix::new(&features, rows.len(), self.plan.features.len()),
            };
            measure.measure(&evidence, scores);
        }
        scores
    }
}

/// Bins of equal width from 0 to 1, or of equal mass where a signal has no range. Confidences crowd below 1, so that last
/// bin is cut twice more.
fn histogram(signal: Signal, scores: &[f32]) -> Histogram {
    let edges: Vec<f64> = match signal.range() {
        Range::Open => features::edges(&sorted(scores), SIGNAL_BINS),
        Range::Unit => {
            let equal = (1..SIGNAL_BINS).map(|k| k as f64 / SIGNAL_BINS as f64);
            let extra: &[f64] = if signal == Signal::Confidence {
                &[0.99, 0.999]
            } else {
                &[]
            };
            equal.chain(extra.iter().copied()).collect()
        }
    };
    // As they are written: what is counted here is what is counted later.
    let edges: Vec<f32> = edges.into_iter().map(|edge| edge as f32).collect();
    let wide: Vec<f64> = edges.iter().map(|edge| f64::from(*edge)).collect();
    let (mean, _) = mean_and_std(&scores.iter().map(|score| f64::from(*score)).collect::<Vec<f64>>());
    Histogram {
        counts: counts(&wide, scores.iter().map(|score| f64::from(*score))),
        edges,
        mean: mean.is_finite().then_some(mean as f32),
    }
}
