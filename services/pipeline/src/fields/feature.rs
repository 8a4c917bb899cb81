//! Features: the numbers of an event that monitoring and selection look at, side by side in one row.
//!
//! Owns: which fields give features, their names and kinds, and that a missing value is seen as missing.
//! Never does: change what a model gets.
//!
//! Invariant: features are written by the same conversions as a model's input, but never refuse an event: what is missing
//! is NaN, whatever default the models get instead, and what a 32-bit float cannot hold is infinite.

use super::image::LOOKS;
use super::rule::{Field, Kind};
use super::store::Target;
use crate::tensor::{DType, TensorSpec};

/// Longest vector whose elements are features.
const MAX_VECTOR: usize = 1024;
/// Name of the input that stands for the features, for messages that are never shown.
const NAME: &str = "features";

/// One feature.
#[derive(Debug, Clone, PartialEq)]
pub struct Feature {
    /// Name of its field, with the element or part where the field has several: `age`, `pixels[3]`, `at.hour`; of an
    /// image what it looks like: `photo.brightness`.
    pub name: String,
    /// What its numbers are.
    pub kind: FeatureKind,
}

/// What a feature's numbers are.
#[derive(Debug, Clone, PartialEq)]
pub enum FeatureKind {
    /// Numbers on a scale. Truth values are 0 and 1.
    Number,
    /// Positions in this list of words; other numbers stand for words outside of it.
    Category(Vec<String>),
}

/// The features of these fields in the order of the file.
pub(crate) fn features(fields: &[Field]) -> Vec<Feature> {
    fields
        .iter()
        .filter(|field| is_feature(field))
        .flat_map(of_field)
        .collect()
}

/// Whether a feature is called as what an image looks like is.
pub(crate) fn is_look(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, look)| LOOKS.contains(&look))
}

fn is_feature(field: &Field) -> bool {
    match &field.kind {
        _ if field.is_masked => false,
        Kind::Float(_) | Kind::Integer(_) | Kind::Boolean(_) | Kind::Timestamp(_) => true,
        Kind::Category(rule) => rule.has_indices(),
        Kind::Vector(rule) => rule.length <= MAX_VECTOR,
        Kind::Image(_) => true,
        Kind::Text(_) => false,
    }
}

fn of_field(field: &Field) -> Vec<Feature> {
    let number = |name: String| Feature {
        name,
        kind: FeatureKind::Number,
    };
    let name = &field.name;
    match &field.kind {
        Kind::Vector(rule) => (0..rule.length).map(|at| number(format!("{name}[{at}]"))).collect(),
        Kind::Timestamp(rule) => {
            let parts = rule.parts.iter();
            parts.map(|part| number(format!("{name}.{}", part.as_str()))).collect()
        }
        Kind::Image(_) => LOOKS.iter().map(|look| number(format!("{name}.{look}"))).collect(),
        Kind::Category(rule) => vec![Feature {
            name: name.clone(),
            kind: FeatureKind::Category(rule.words()),
        }],
        _ => vec![number(name.clone())],
    }
}

/// Lets every field that gives features write them into the only input of one more "model" at `position`; returns what that
/// input is like.
pub(crate) fn aim(fields: &mut [Field], position: usize) -> TensorSpec {
    let mut column = 0;
    for field in fields.iter_mut().filter(|field| is_feature(field)) {
        field.targets.push(Target {
            model: position,
            input: 0,
            column,
            is_string: false,
            is_feature: true,
        });
        column += field.features();
    }
    TensorSpec {
        name: NAME.to_owned(),
        dtype: DType::Float32,
        row_shape: vec![Some(column)],
    }
}
