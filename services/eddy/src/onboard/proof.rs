//! Whether predictions and labels have anything to do with each other.
//!
//! Owns: accuracy against the most frequent class, AUC (also of anomaly scores), R² and the line between chance and skill.
//! Never does: run a model.
//!
//! Invariant: what is at chance level is refused; what cannot be judged says so.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use eddy_pipeline::head::{Head, Predictions, Values};

use super::Error;
use crate::replay::{Batch, class_of};

/// Where the order of the classes came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// The model, or numbers.
    Known,
    /// The labels themselves: the order that agrees best.
    Agreed,
}

impl Order {
    /// So many standard errors are chance. An order that was chosen by the labels agrees with them by more than chance
    /// already, however little they mean.
    const fn errors(self) -> f64 {
        match self {
            Self::Known => 2.0,
            Self::Agreed => 3.0,
        }
    }
}

/// What is compared.
#[derive(Debug)]
enum Kind {
    Classes(Vec<String>),
    Target,
    Score,
    Nothing,
}

/// Predictions beside their labels.
#[derive(Debug)]
pub(crate) struct Proof {
    kind: Kind,
    order: Order,
    /// Class that was right, class that was decided for, probability of the second class.
    decided: Vec<(usize, usize, f32)>,
    /// What was measured, and what was predicted.
    measured: Vec<(f64, f64)>,
    /// Anomaly scores by label.
    scores: BTreeMap<String, Vec<f32>>,
}

impl Proof {
    /// Without rows.
    pub(crate) fn new(head: &dyn Head, order: Order) -> Self {
        let kind = match head.holds().values {
            Values::Classes(_) => Kind::Classes(head.classes().to_vec()),
            Values::Targets => Kind::Target,
            Values::Score | Values::Reconstruction => Kind::Score,
            Values::Labels(_) | Values::Vector => Kind::Nothing,
        };
        Self {
            kind,
            order,
            decided: Vec::new(),
            measured: Vec::new(),
            scores: BTreeMap::new(),
        }
    }

    /// Takes in the rows that were scored and have a label.
    ///
    /// # Errors
    /// A label that is no class, or no number.
    pub(crate) fn take(&mut self, batch: &Batch<'_>, predictions: &Predictions) -> Result<(), Error> {
        for row in batch.rows() {
            let (Some(scored), Some(label)) = (row.scored, row.label) else {
                continue;
            };
            let stray = |expected: String| Error::Label {
                at: row.at.to_string(),
                label: label.to_owned(),
                expected,
            };
            match &self.kind {
                Kind::Classes(classes) => {
                    let right = class_of(classes, label)
                        .ok_or_else(|| stray(format!("none of the model's classes ({})", classes.join(", "))))?;
                    let Some(class) = predictions.class(scored) else {
                        continue;
                    };
                    let second = predictions.values(scored).get(1).copied().unwrap_or(f32::NAN);
                    self.decided.push((right, class, second));
                }
                Kind::Target => {
                    let number = label.parse().map_err(|_| stray("no number".to_owned()))?;
                    self.measured.push((
                        number,
                        f64::from(predictions.values(scored).first().copied().unwrap_or(f32::NAN)),
                    ));
                }
                Kind::Score => {
                    let score = predictions.anomaly(scored);
                    // One more than two words is enough to know that they do not tell anomalies.
                    if self.scores.len() <= 2 || self.scores.contains_key(label) {
                        self.scores.entry(label.to_owned()).or_default().extend(score);
                    }
                }
                Kind::Nothing => {}
            }
        }
        Ok(())
    }

    /// The sentences for people.
    ///
    /// # Errors
    /// [`Error::Chance`].
    pub(crate) fn verdict(&self) -> Result<String, Error> {
        match &self.kind {
            Kind::Classes(classes) if !self.decided.is_empty() => self.of_classes(classes),
            Kind::Target if !self.measured.is_empty() => self.of_target(),
            Kind::Score if !self.scores.is_empty() => self.of_scores(),
            Kind::Nothing => Ok("proof        none: the head gives no class, no target and no score\n".to_owned()),
            _ => Ok("proof        none: no row that was scored has a label\n".to_owned()),
        }
    }

    fn of_classes(&self, classes: &[String]) -> Result<String, Error> {
        let rows = self.decided.len() as f64;
        let right = self.decided.iter().filter(|(label, class, _)| label == class).count();
        let mut counts = vec![0usize; classes.len()];
        self.decided.iter().for_each(|(label, ..)| counts[*label] += 1);
        let (frequent, most) = counts
            .iter()
            .enumerate()
            .max_by_key(|(_, count)| **count)
            .unwrap_or((0, &0));
        let (accuracy, base) = (right as f64 / rows, *most as f64 / rows);
        let mut text = format!(
            "accuracy     {accuracy:.4} on {rows} rows; always `{}`: {base:.4}\n",
            classes[frequent]
        );
        if *most == self.decided.len() {
            let message = format!(
                "every label is `{}`, so nothing can be told from them",
                classes[frequent]
            );
            return Err(Error::Chance { found: text, message });
        }
        let errors = self.order.errors();
        let is_better = accuracy > base + errors * (base * (1.0 - base) / rows).sqrt();
        let auc = (classes.len() == 2).then(|| self.auc()).flatten();
        if let Some((auc, error)) = auc {
            writeln!(
                text,
                "AUC          {auc:.4}, that of chance is 0.5 ± {:.4}",
                errors * error
            )
            .expect("writing to a String cannot fail");
        }
        let (is_ranked, is_turned) = match auc {
            Some((auc, error)) => (auc > 0.5 + errors * error, auc < 0.5 - errors * error),
            None => (false, false),
        };
        if is_turned {
            let message = format!(
                "the predictions are the labels turned round: `{}` is the model's other class; check the order of the \
                 classes in the model and in the data",
                classes[1]
            );
            return Err(Error::Chance { found: text, message });
        }
        if is_better || is_ranked {
            return Ok(text);
        }
        Err(chance(text))
    }

    /// Anomaly scores against a label of two words, the rarer of which is taken for the anomalies.
    fn of_scores(&self) -> Result<String, Error> {
        let words: Vec<(&String, &Vec<f32>)> = self.scores.iter().collect();
        let [(one, of_one), (other, of_other)] = words[..] else {
            let words = if words.len() > 2 { "more than two" } else { "only one" };
            return Ok(format!(
                "proof        none: the label has {words} words, and anomalies are told by one of two\n"
            ));
        };
        let (rare, of_rare, of_rest) = match of_one.len() <= of_other.len() {
            true => (one, of_one, of_other),
            false => (other, of_other, of_one),
        };
        let scores = of_rare.iter().map(|score| (*score, true));
        let scores = scores.chain(of_rest.iter().map(|score| (*score, false)));
        let Some((auc, error)) = auc(scores.collect()) else {
            return Ok("proof        none: a score is not a number\n".to_owned());
        };
        let errors = self.order.errors();
        let text = format!(
            "AUC          {auc:.4} of the score for `{rare}`, the rarer word ({} of {} rows); that of chance is 0.5 ± {:.4}\n",
            of_rare.len(),
            of_rare.len() + of_rest.len(),
            errors * error
        );
        if auc < 0.5 - errors * error {
            let message = format!(
                "the score is lower for `{rare}` than for the others; turn `higher_is` in the head round, or \
                 name another label"
            );
            return Err(Error::Chance { found: text, message });
        }
        if auc > 0.5 + errors * error {
            return Ok(text);
        }
        Err(chance(text))
    }

    fn auc(&self) -> Option<(f64, f64)> {
        let scores = self.decided.iter().map(|(label, _, second)| (*second, *label == 1));
        auc(scores.collect())
    }

    fn of_target(&self) -> Result<String, Error> {
        let rows = self.measured.len() as f64;
        let mean = self.measured.iter().map(|(label, _)| label).sum::<f64>() / rows;
        let squares = |of: fn(f64, f64, f64) -> f64| -> f64 {
            let terms = self
                .measured
                .iter()
                .map(|(label, value)| of(*label, *value, mean).powi(2));
            terms.sum()
        };
        let left = squares(|label, value, _| label - value);
        let all = squares(|label, _, mean| label - mean);
        let text = format!(
            "R²           {:.4} on {rows} rows\nRMSE         {:.4}; always the mean: {:.4}\n",
            1.0 - left / all,
            (left / rows).sqrt(),
            (all / rows).sqrt()
        );
        if all == 0.0 {
            let message = "every label is the same number, so nothing can be told from them".to_owned();
            return Err(Error::Chance { found: text, message });
        }
        // A prediction that is not a number never got here; this is false for NaN all the same.
        if left < all { Ok(text) } else { Err(chance(text)) }
    }
}

/// Area under the ROC curve of scores, ties counted half, and its standard error under the null hypothesis (Mann & Whitney
/// 1947); `None` where a score is not a number or all are of one kind.
fn auc(mut scores: Vec<(f32, bool)>) -> Option<(f64, f64)> {
    if scores.iter().any(|(score, _)| score.is_nan()) {
        return None;
    }
    scores.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let ones = scores.iter().filter(|(_, is_one)| *is_one).count() as f64;
    let zeros = scores.len() as f64 - ones;
    if ones == 0.0 || zeros == 0.0 {
        return None;
    }
    let (mut below, mut pairs) = (0.0, 0.0);
    for tied in scores.chunk_by(|(one, _), (other, _)| one == other) {
        let ones = tied.iter().filter(|(_, is_one)| *is_one).count() as f64;
        let zeros = tied.len() as f64 - ones;
        pairs += ones * (below + zeros / 2.0);
        below += zeros;
    }
    let error = ((ones + zeros + 1.0) / (12.0 * ones * zeros)).sqrt();
    Some((pairs / (ones * zeros), error))
}

/// The sentence on what is likely wrong.
pub(crate) fn chance(found: String) -> Error {
    let message =
        "the predictions are no better than chance. Likely the columns are not in the order of training, the \
                   label is another column than the one that was trained on or among the inputs, the rows are labelled \
                   wrongly, or the model wants scaled numbers and gets raw ones"
            .to_owned();
    Error::Chance { found, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(decided: Vec<(usize, usize, f32)>) -> Result<String, Error> {
        let proof = Proof {
            kind: Kind::Classes(vec!["a".to_owned(), "b".to_owned()]),
            order: Order::Known,
            decided,
            measured: Vec::new(),
            scores: BTreeMap::new(),
        };
        proof.verdict()
    }

    #[test]
    fn the_area_under_the_curve_counts_ties_half() {
        // scikit-learn's own example: y = 0 0 1 1, scores 0.1 0.4 0.35 0.8 have 0.75.
        let text = classes(vec![(0, 0, 0.1), (0, 0, 0.4), (1, 0, 0.35), (1, 1, 0.8)]);
        let Err(Error::Chance { found, .. }) = text else {
            panic!("four rows prove nothing");
        };
        assert!(found.contains("AUC          0.7500"), "{found}");
        let Err(Error::Chance { found, .. }) = classes(vec![(0, 0, 0.5), (1, 0, 0.5)]) else {
            panic!("ties prove nothing");
        };
        assert!(found.contains("AUC          0.5000"), "{found}");
    }

    #[test]
    fn a_model_that_ranks_well_but_never_decides_for_the_rare_class_passes() {
        let rows = (0..200).map(|i| (usize::from(i % 10 == 0), 0, if i % 10 == 0 { 0.4 } else { 0.1 }));
        let text = classes(rows.collect()).unwrap();
        assert!(
            text.contains("accuracy     0.9000 on 200 rows; always `a`: 0.9000"),
            "{text}"
        );
        assert!(text.contains("AUC          1.0000"), "{text}");
    }

    #[test]
    fn labels_that_are_turned_round_and_labels_that_are_all_the_same_are_told_as_such() {
        let turned = classes((0..100).map(|i| (i % 2, 1 - i % 2, (1 - i % 2) as f32)).collect()).unwrap_err();
        assert!(turned.to_string().contains("turned round"), "{turned}");
        let same = classes((0..100).map(|_| (0, 0, 0.1)).collect()).unwrap_err();
        assert!(same.to_string().contains("every label is `a`"), "{same}");
    }

    fn scores(anomalous: &[f32], normal: &[f32], more: &[&str]) -> Result<String, Error> {
        let mut scores = BTreeMap::from([
            ("bad".to_owned(), anomalous.to_vec()),
            ("good".to_owned(), normal.to_vec()),
        ]);
        scores.extend(more.iter().map(|word| ((*word).to_owned(), vec![0.0])));
        let proof = Proof {
            kind: Kind::Score,
            order: Order::Known,
            decided: Vec::new(),
            measured: Vec::new(),
            scores,
        };
        proof.verdict()
    }

    #[test]
    fn an_anomaly_score_is_proved_by_the_rarer_of_two_words() {
        let normal: Vec<f32> = (0..100).map(|at| at as f32 / 100.0).collect();
        let high: Vec<f32> = (0..20).map(|at| 0.9 + at as f32 / 100.0).collect();
        let text = scores(&high, &normal, &[]).unwrap();
        assert!(
            text.contains("of the score for `bad`, the rarer word (20 of 120 rows)"),
            "{text}"
        );
        let low: Vec<f32> = high.iter().map(|score| -score).collect();
        let turned = scores(&low, &normal, &[]).unwrap_err().to_string();
        assert!(turned.contains("turn `higher_is` in the head round"), "{turned}");
        let chance = scores(&normal[..20], &normal[..20], &[]).unwrap_err().to_string();
        assert!(chance.contains("no better than chance"), "{chance}");
        let three = scores(&high, &normal, &["ugly"]).unwrap();
        assert!(three.contains("none: the label has more than two words"), "{three}");
    }
}
