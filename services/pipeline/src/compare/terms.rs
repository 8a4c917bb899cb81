//! On what terms two heads are compared: which answers match, and what a change is.

use super::kept::Shown;
use super::{MOST_FOLLOWED, Said};
use crate::head::{Head, Values};

/// What a head answers, as far as answers can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// One of these classes.
    Classes(Vec<String>),
    /// Any of these labels.
    Labels(Vec<String>),
    /// Numbers.
    Targets,
    /// An embedding.
    Vector,
    /// An anomaly score, a reconstruction's error included.
    Score,
}

/// Why two heads cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unlike {
    /// Other kinds of heads.
    #[error("one gives {first} and the other {second}, which cannot be compared; compare versions of one model")]
    Kind {
        /// What the first gives.
        first: &'static str,
        /// What the second gives.
        second: &'static str,
    },
    /// Other classes.
    #[error(
        "their classes differ ({difference}), so their decisions cannot be compared; give both heads the same `classes`, or \
         replay each pipeline alone"
    )]
    Classes {
        /// Which only one of them has.
        difference: String,
    },
    /// Other numbers of numbers.
    #[error(
        "the first gives {first} numbers an event and the second {second}, which cannot be compared; replay each pipeline \
         alone"
    )]
    Width {
        /// Of the first.
        first: usize,
        /// Of the second.
        second: usize,
    },
}

/// The terms on which two heads are compared, or one is described.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    answer: Answer,
    /// For each class of the first head its position in the second; empty where the order is the same.
    columns: Vec<usize>,
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Answer {
    /// What a head answers.
    pub fn of(head: &dyn Head) -> Self {
        match head.holds().values {
            Values::Classes(_) => Self::Classes(head.classes().to_vec()),
            Values::Labels(_) => Self::Labels(head.classes().to_vec()),
            Values::Targets => Self::Targets,
            Values::Vector => Self::Vector,
            Values::Score | Values::Reconstruction => Self::Score,
        }
    }

    /// What it is, in a word or two.
    pub const fn words(&self) -> &'static str {
        match self {
            Self::Classes(_) => "one class",
            Self::Labels(_) => "any number of labels",
            Self::Targets => "numbers",
            Self::Vector => "an embedding",
            Self::Score => "an anomaly score",
        }
    }

    /// What [`Terms::moved`] measures.
    pub const fn measure(&self) -> &'static str {
        match self {
            Self::Classes(_) | Self::Labels(_) => "largest absolute change of a probability",
            Self::Targets => "largest absolute change of a target",
            Self::Vector => "cosine distance",
            Self::Score => "absolute change of the anomaly score",
        }
    }

    /// Names of the classes or labels.
    pub fn classes(&self) -> &[String] {
        match self {
            Self::Classes(names) | Self::Labels(names) => names,
            Self::Targets | Self::Vector | Self::Score => &[],
        }
    }
}

impl Terms {
    /// The terms of one head, or of two.
    ///
    /// # Errors
    /// Why they cannot be compared.
    pub fn of(first: &dyn Head, second: Option<&dyn Head>) -> Result<Self, Unlike> {
        let answer = Answer::of(first);
        let mut columns = Vec::new();
        if let Some(second) = second {
            columns = answer.columns_in(&Answer::of(second))?;
        }
        Ok(Self {
            answer,
            columns,
            first: first.thresholds().to_vec(),
            second: second.map_or_else(Vec::new, |second| second.thresholds().to_vec()),
        })
    }

    /// What is answered, classes in the order of the first head.
    pub const fn answer(&self) -> &Answer {
        &self.answer
    }

    pub(super) fn first(&self) -> &[f32] {
        &self.first
    }

    pub(super) fn second(&self) -> &[f32] {
        &self.second
    }

    /// The position in the second head of a class of the first.
    pub(super) fn column(&self, class: usize) -> usize {
        self.columns.get(class).copied().unwrap_or(class)
    }

    /// The position in the first head of a class of the second.
    pub(super) fn class_of_first(&self, class: Option<usize>) -> Option<usize> {
        let class = class?;
        match self.columns.is_empty() {
            true => Some(class),
            false => self.columns.iter().position(|column| *column == class),
        }
    }

    /// The numbers of a prediction that are followed: the confidence, the targets, or the anomaly score.
    pub(super) fn followed<'a>(&self, said: &'a Said<'_>) -> &'a [f32] {
        match &self.answer {
            Answer::Classes(_) | Answer::Labels(_) => said.confidence.as_slice(),
            Answer::Targets => &said.values[..said.values.len().min(MOST_FOLLOWED)],
            Answer::Vector => &[],
            Answer::Score => said.anomaly.as_slice(),
        }
    }

    /// What the followed number at a position is called.
    pub(super) fn name(&self, position: usize, of: usize) -> String {
        match &self.answer {
            Answer::Classes(_) | Answer::Labels(_) => "confidence".to_owned(),
            Answer::Score => "anomaly score".to_owned(),
            _ if of == 1 => "value".to_owned(),
            _ => format!("value {position}"),
        }
    }

    /// How far an event moved; see [`Answer::measure`].
    pub(super) fn moved(&self, a: &Said<'_>, b: &Said<'_>) -> f32 {
        let by = match &self.answer {
            Answer::Score => match (a.anomaly, b.anomaly) {
                (Some(first), Some(second)) => (second - first).abs(),
                _ => 0.0,
            },
            Answer::Vector => cosine_distance(a.values, b.values),
            _ => {
                let changes = a.values.iter().enumerate();
                let changes = changes.map(|(at, first)| (b.values.get(self.column(at)).unwrap_or(first) - first).abs());
                changes.fold(0.0, f32::max)
            }
        };
        // Two finite numbers may lie further apart than a number can say.
        if by.is_nan() { 0.0 } else { by.min(f32::MAX) }
    }

    /// What is shown of a prediction, classes in the order of the first head.
    pub(super) fn shown(&self, said: &Said<'_>, is_second: bool) -> Shown {
        let reorders = is_second && !self.columns.is_empty();
        let values = match reorders {
            true => {
                let in_order: Vec<f32> = self
                    .columns
                    .iter()
                    .filter_map(|column| said.values.get(*column).copied())
                    .collect();
                Shown::values_of(&in_order)
            }
            false => Shown::values_of(said.values),
        };
        let class = if reorders {
            self.class_of_first(said.class)
        } else {
            said.class
        };
        Shown {
            class: class.map(|class| class as u32),
            confidence: said.confidence,
            anomaly: said.anomaly.filter(|anomaly| anomaly.is_finite()),
            values,
            width: said.values.len(),
        }
    }
}

impl Answer {
    /// For each class its position in the other; empty where the order is the same.
    fn columns_in(&self, other: &Self) -> Result<Vec<usize>, Unlike> {
        let (mine, theirs) = match (self, other) {
            (Self::Classes(mine), Self::Classes(theirs)) | (Self::Labels(mine), Self::Labels(theirs)) => (mine, theirs),
            (Self::Targets, Self::Targets) | (Self::Vector, Self::Vector) | (Self::Score, Self::Score) => {
                return Ok(Vec::new());
            }
            _ => {
                return Err(Unlike::Kind {
                    first: self.words(),
                    second: other.words(),
                });
            }
        };
        if mine == theirs {
            return Ok(Vec::new());
        }
        let only = |these: &[String], those: &[String]| {
            let only: Vec<String> = these
                .iter()
                .filter(|name| !those.contains(name))
                .map(|name| format!("`{name}`"))
                .collect();
            match only.len() {
                0..=5 => only.join(", "),
                more => format!("{} and {} more", only[..5].join(", "), more - 5),
            }
        };
        let (missing, new) = (only(mine, theirs), only(theirs, mine));
        if !(missing.is_empty() && new.is_empty() && mine.len() == theirs.len()) {
            let part = |names: String, side: &str| (!names.is_empty()).then(|| format!("only the {side} has {names}"));
            let parts: Vec<String> = [part(missing, "first"), part(new, "second")]
                .into_iter()
                .flatten()
                .collect();
            let difference = match parts.is_empty() {
                true => format!("{} and {} of them", mine.len(), theirs.len()),
                false => parts.join(", "),
            };
            return Err(Unlike::Classes { difference });
        }
        let position = |name: &String| theirs.iter().position(|other| other == name).unwrap_or_default();
        Ok(mine.iter().map(position).collect())
    }
}

/// 1 minus the cosine of the angle between two vectors, from 0 to 2. A vector of zeros lies at right angles to any other, and
/// two of them are the same.
fn cosine_distance(a: &[f32], b: &[f32]) -> f32 {
    let dot = |one: &[f32], other: &[f32]| -> f64 {
        let products = one.iter().zip(other).map(|(x, y)| f64::from(*x) * f64::from(*y));
        products.sum()
    };
    let (aa, bb) = (dot(a, a), dot(b, b));
    if aa == 0.0 || bb == 0.0 {
        return if aa == bb { 0.0 } else { 1.0 };
    }
    (1.0 - dot(a, b) / (aa.sqrt() * bb.sqrt())).clamp(0.0, 2.0) as f32
}
