//! `--expect`: the trainer's predictions beside the pipeline's, row by row.
//!
//! Owns: which column holds them, what they are (classes or numbers), and when two agree.
//! Never does: run a model.

use eddy_pipeline::head::{Head, Predictions, Values};
use eddy_storage::data::DataSet;
use eddy_storage::survey::{Limits, Survey};

use super::Error;
use crate::replay::{Batch, class_of};

/// How far numbers may be apart: this much, or this share of them where they are larger than one. Models compute with 32
/// bits.
const TOLERANCE: f64 = 1e-4;
/// Share of the rows that must agree.
const AGREE: f64 = 0.999;
/// Rows that differ are named up to so many.
const NAMED: usize = 5;
/// Names of a column of predictions, where there are several columns.
const NAMES: [&str; 7] = [
    "prediction",
    "predictions",
    "predicted",
    "expected",
    "probability",
    "proba",
    "score",
];

/// The trainer's predictions.
#[derive(Debug)]
pub(crate) struct Expected {
    column: String,
    values: Vec<Wanted>,
    rows: usize,
    differing: u64,
    named: Vec<String>,
    largest: f64,
    classes: Vec<String>,
    is_binary: bool,
}

#[derive(Debug, Clone, Copy)]
enum Wanted {
    Class(usize),
    Number(f64),
    Nothing,
}

impl Expected {
    /// Reads them and settles what they are: classes where every text is one, else numbers.
    pub(crate) fn read(path: &std::path::Path, column: Option<&str>, head: &dyn Head) -> Result<Self, Error> {
        let data = DataSet::open(path)?;
        let column = match column {
            Some(column) => column.to_owned(),
            None => only(&data)?,
        };
        let data = data.with_label(&column)?;
        let texts = data
            .rows()?
            .map(|row| Ok(row?.label))
            .collect::<Result<Vec<_>, Error>>()?;
        let classes = match head.holds().values {
            Values::Classes(_) => head.classes().to_vec(),
            _ => Vec::new(),
        };
        let values = classes_in(&classes, &texts)
            .or_else(|| numbers_in(&texts))
            .ok_or_else(|| Error::Expect(format!("`{column}` holds neither the model's classes nor numbers")))?;
        Ok(Self {
            column,
            values,
            rows: 0,
            differing: 0,
            named: Vec::new(),
            largest: 0.0,
            is_binary: classes.len() == 2,
            classes,
        })
    }

    /// Compares a batch.
    pub(crate) fn take(&mut self, batch: &Batch<'_>, predictions: &Predictions) {
        for row in batch.rows() {
            self.rows += 1;
            let wanted = self.values.get(row.number as usize).copied().unwrap_or(Wanted::Nothing);
            let difference = match row.scored {
                Some(scored) => self.difference(wanted, predictions, scored),
                None => Some("the pipeline rejects it".to_owned()),
            };
            if let Some(difference) = difference {
                self.differing += 1;
                if self.named.len() < NAMED {
                    self.named.push(format!("  {}: {difference}", row.at));
                }
            }
        }
    }

    /// What differs, if anything does.
    fn difference(&mut self, wanted: Wanted, predictions: &Predictions, row: usize) -> Option<String> {
        match wanted {
            Wanted::Nothing => Some("the trainer has no prediction".to_owned()),
            Wanted::Class(class) => {
                let own = predictions.class(row);
                (own != Some(class)).then(|| {
                    let name = |class: usize| self.classes.get(class).map_or("none", String::as_str);
                    let own = own.map_or("none", name);
                    format!("the trainer says `{}`, the pipeline `{own}`", name(class))
                })
            }
            Wanted::Number(number) => {
                let values = predictions.values(row);
                let own = match (self.is_binary, self.classes.is_empty()) {
                    (true, _) => values.get(1).copied(),
                    (false, false) => predictions.confidence(row),
                    (false, true) => values.first().copied().or_else(|| predictions.anomaly(row)),
                };
                let own = own.map_or(f64::NAN, f64::from);
                let apart = (own - number).abs();
                self.largest = if apart.is_nan() {
                    f64::INFINITY
                } else {
                    self.largest.max(apart)
                };
                let agrees = apart <= TOLERANCE * number.abs().max(1.0);
                (!agrees).then(|| format!("the trainer says {number}, the pipeline {own}"))
            }
        }
    }

    /// The sentence for people.
    ///
    /// # Errors
    /// [`Error::Expect`] when fewer than 99.9 % agree, or there are not as many predictions as rows.
    pub(crate) fn verdict(&self) -> Result<String, Error> {
        if self.values.len() != self.rows {
            return Err(Error::Expect(format!(
                "there are {} predictions for {} rows; give one for each row of the data, in the same order",
                self.values.len(),
                self.rows
            )));
        }
        let agree = self.rows as u64 - self.differing;
        let share = agree as f64 / self.rows.max(1) as f64;
        let numbers = self.values.iter().any(|value| matches!(value, Wanted::Number(_)));
        let largest = if numbers {
            format!(", largest difference {:.3e}", self.largest)
        } else {
            String::new()
        };
        let text = format!(
            "{agree} of {} rows agree with `{}` ({:.3} %){largest}",
            self.rows,
            self.column,
            share * 100.0
        );
        if share < AGREE {
            return Err(Error::Expect(format!(
                "{text}; the first that differ:\n{}",
                self.named.join("\n")
            )));
        }
        Ok(format!("expected     {text}\n"))
    }
}

/// The only column, or the only one that is called like predictions.
fn only(data: &DataSet) -> Result<String, Error> {
    let survey = Survey::of(data, Limits::default())?;
    let names: Vec<String> = survey.columns.iter().map(eddy_storage::survey::Column::name).collect();
    if let [only] = names.as_slice() {
        return Ok(only.clone());
    }
    let called: Vec<&String> = names
        .iter()
        .filter(|name| NAMES.contains(&name.to_lowercase().as_str()))
        .collect();
    match called.as_slice() {
        [only] => Ok((*only).clone()),
        _ => Err(Error::Expect(format!(
            "its columns are {}, and it is not clear which holds the predictions; pass --expect-column",
            names.join(", ")
        ))),
    }
}

/// Texts as classes: by their names, or all of them as their positions.
fn classes_in(classes: &[String], texts: &[Option<String>]) -> Option<Vec<Wanted>> {
    let wanted = |find: &dyn Fn(&str) -> Option<usize>| -> Option<Vec<Wanted>> {
        let each = texts.iter().map(|text| match text {
            Some(text) => find(text).map(Wanted::Class),
            None => Some(Wanted::Nothing),
        });
        each.collect()
    };
    let position = |text: &str| text.parse::<usize>().ok().filter(|class| *class < classes.len());
    wanted(&|text| class_of(classes, text)).or_else(|| wanted(&position))
}

fn numbers_in(texts: &[Option<String>]) -> Option<Vec<Wanted>> {
    let each = texts.iter().map(|text| match text {
        Some(text) => text.parse().ok().map(Wanted::Number),
        None => Some(Wanted::Nothing),
    });
    each.collect()
}
