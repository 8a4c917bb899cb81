//! A column of the data as a field of the pipeline file.
//!
//! Invariant: the field takes every value that the column has, and a missing one where the column has gaps.

use eddy_pipeline::fields::{DefaultValue, Element, FieldSettings, FieldType, NonFinite, Scalar};
use eddy_pipeline::tensor::DType;
use eddy_storage::survey::{Column, Content, Kind, Numbers};

use super::PlannedField;
use super::numbers::{EXACT, text, widened};

/// Words that a note lists.
const LISTED: usize = 6;

/// Whether a model knows missing numbers cannot be told from the data.
const NAN_HINT: &str = "; write \"nan\" if the model was trained on gaps";

/// What an input takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Floats,
    Integers,
    Booleans,
    Texts,
}

impl Takes {
    const fn of(dtype: DType) -> Self {
        match dtype {
            DType::Float32 | DType::Float64 | DType::Float16 => Self::Floats,
            DType::Int32 | DType::Int64 => Self::Integers,
            DType::Bool => Self::Booleans,
            DType::String => Self::Texts,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Floats => "numbers",
            Self::Integers => "whole numbers",
            Self::Booleans => "truth values",
            Self::Texts => "texts",
        }
    }
}

/// The field of a column that feeds an input of this type.
///
/// # Errors
/// Why the column cannot feed it, as a sentence without its subject: `holds texts, and the model takes numbers`.
pub(crate) fn plan(column: &Column, name: String, dtype: DType) -> Result<PlannedField, String> {
    let takes = Takes::of(dtype);
    let kind = kind(column, takes)?;
    within(column, dtype)?;
    let mut field = PlannedField {
        name,
        settings: FieldSettings::of(kind),
        about: about(column),
        notes: Vec::new(),
    };
    if column.path.as_slice() != [field.name.as_str()] {
        field.settings.pointer = Some(column.pointer());
    }
    match kind {
        FieldType::Float | FieldType::Integer => number(column, &mut field),
        FieldType::Vector => vector(column, &mut field),
        FieldType::Category => category(column, takes, &mut field),
        FieldType::Timestamp => {
            let parts =
                "seconds since 1970; also \"hour\", \"weekday\", \"day\", \"month\" and \"age\", one column each";
            field.settings.parts = Some(vec![eddy_pipeline::fields::TimePart::Epoch]);
            field.notes.push(("parts", parts.to_owned()));
        }
        FieldType::Boolean | FieldType::String | FieldType::Image => {}
    }
    if column.missing > 0 {
        fill(column, takes, &mut field);
    }
    Ok(field)
}

/// Columns of the input that a field fills.
pub(crate) fn width(field: &PlannedField) -> usize {
    match field.settings.kind {
        FieldType::Vector => field.settings.length.unwrap_or(1),
        FieldType::Timestamp => field.settings.parts.as_ref().map_or(1, Vec::len),
        _ => 1,
    }
}

fn kind(column: &Column, takes: Takes) -> Result<FieldType, String> {
    let is_whole = column.numbers.as_ref().is_some_and(are_whole);
    let unfit = |holds: &str| Err(format!("holds {holds}, and the model takes {}", takes.words()));
    match (column.content, takes) {
        (Content::Nothing, _) => Err("has no value in any row".to_owned()),
        (Content::Mixture, _) => Err("holds values of different types".to_owned()),
        (Content::Lists, _) => Err("holds lists that are no vectors of one length".to_owned()),
        (Content::Booleans, Takes::Texts) => unfit("truth values"),
        (Content::Booleans, _) => Ok(FieldType::Boolean),
        (Content::Integers, Takes::Floats | Takes::Integers) => Ok(FieldType::Integer),
        // Models that take texts are trained on `3` as the text "3", which is how categories read whole numbers.
        (Content::Integers, Takes::Texts) => Ok(FieldType::Category),
        (Content::Floats, Takes::Floats) => Ok(FieldType::Float),
        (Content::Floats, Takes::Integers) if is_whole => Ok(FieldType::Integer),
        (Content::Integers | Content::Floats, _) => unfit("numbers"),
        (Content::Timestamps, Takes::Floats | Takes::Integers) => Ok(FieldType::Timestamp),
        (Content::Timestamps, Takes::Booleans) => unfit("times"),
        (Content::Timestamps, Takes::Texts) => Ok(FieldType::String),
        (Content::Texts, Takes::Texts) if column.kind == Kind::Category => Ok(FieldType::Category),
        (Content::Texts, Takes::Texts) => Ok(FieldType::String),
        (Content::Texts, Takes::Floats | Takes::Integers) if is_category(column) => Ok(FieldType::Category),
        (Content::Texts, _) => unfit("texts"),
        (Content::Vectors { .. }, Takes::Floats) => Ok(FieldType::Vector),
        (Content::Vectors { .. }, Takes::Integers | Takes::Booleans) if is_whole => Ok(FieldType::Vector),
        (Content::Vectors { .. }, _) => unfit("vectors of numbers"),
    }
}

/// Whether all values can be told apart from infinity in the input's type.
fn within(column: &Column, dtype: DType) -> Result<(), String> {
    let most = match dtype {
        DType::Float16 => 65_504.0,
        DType::Float32 => f64::from(f32::MAX),
        DType::Int32 => f64::from(i32::MAX),
        DType::Float64 | DType::Int64 | DType::Bool | DType::String => return Ok(()),
    };
    let of_numbers = column.numbers.as_ref().map(largest);
    let of_times = column
        .times
        .map(|(from, to)| (from.as_second().abs().max(to.as_second().abs())) as f64);
    match of_numbers.or(of_times).filter(|largest| *largest > most) {
        Some(largest) => Err(format!(
            "holds {}, which does not fit into the model's {dtype}",
            text(largest)
        )),
        None => Ok(()),
    }
}

/// Whether the words of a column of texts have indices.
fn is_category(column: &Column) -> bool {
    column.kind == Kind::Category || (column.kind == Kind::Constant && column.words.is_some())
}

/// Whether all of them are whole, and none so large that a float stands for several integers.
fn are_whole(numbers: &Numbers) -> bool {
    numbers.is_whole && numbers.not_finite == 0 && largest(numbers) <= EXACT
}

fn largest(numbers: &Numbers) -> f64 {
    numbers.min.abs().max(numbers.max.abs())
}

/// What the data says of a column, in one line.
fn about(column: &Column) -> String {
    let mut parts = Vec::new();
    if let Some(numbers) = &column.numbers {
        let ends = format!("{} to {}", text(numbers.min), text(numbers.max));
        parts.push(match numbers.median() {
            Some(median) => format!("{ends}, median {}", text(median)),
            None => ends,
        });
    }
    if let Some((from, to)) = &column.times {
        parts.push(format!("{from} to {to}"));
    }
    if matches!(column.content, Content::Floats | Content::Timestamps) {
        // Their values are no words, however few.
    } else if let Some(words) = &column.words {
        let listed: Vec<String> = words
            .iter()
            .take(LISTED)
            .map(|(word, n)| format!("{} ({n})", clip(word)))
            .collect();
        let more = words.len().saturating_sub(LISTED);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        parts.push(format!("{}{more}", listed.join(", ")));
    } else if column.content == Content::Texts {
        parts.push(format!(
            "such as {}",
            column.examples.first().map_or("", String::as_str)
        ));
    }
    if column.kind == Kind::Constant {
        parts.push("the same in every row".to_owned());
    }
    if column.missing > 0 {
        parts.push(format!(
            "missing in {} of {} rows",
            column.missing,
            column.present + column.missing
        ));
    }
    parts.join("; ")
}

fn number(column: &Column, field: &mut PlannedField) {
    let Some(numbers) = &column.numbers else { return };
    range(field, numbers.min, numbers.max);
    if numbers.not_finite > 0 {
        field.settings.non_finite = NonFinite::Allow;
        field.notes.push((
            "non_finite",
            format!("{} rows hold an infinity or NaN", numbers.not_finite),
        ));
    }
}

fn range(field: &mut PlannedField, min: f64, max: f64) {
    let Some((low, high)) = widened(min, max) else { return };
    let zero = |end: f64, bound: f64, never: &'static str| if end == 0.0 && bound != 0.0 { never } else { "" };
    field.settings.min = Some(low);
    field.settings.max = Some(high);
    field.notes.push((
        "min",
        format!("the data: {}{}", text(min), zero(low, min, ", never below 0")),
    ));
    field.notes.push((
        "max",
        format!("the data: {}{}", text(max), zero(high, max, ", never above 0")),
    ));
}

fn vector(column: &Column, field: &mut PlannedField) {
    let Content::Vectors { length, .. } = column.content else {
        return;
    };
    field.settings.length = Some(length);
    if column.numbers.as_ref().is_some_and(are_whole) {
        field.settings.elements = Element::Integer;
        field
            .notes
            .push(("elements", "all of them are whole in the data".to_owned()));
    }
    if let Some(numbers) = &column.numbers {
        range(field, numbers.min, numbers.max);
    }
}

fn category(column: &Column, takes: Takes, field: &mut PlannedField) {
    let words = column.words.as_ref().filter(|_| column.content == Content::Texts);
    let Some(words) = words else {
        field.notes.push((
            "type",
            "the model takes texts, and whole numbers count as their digits".to_owned(),
        ));
        return;
    };
    field.settings.categories = Some(words.iter().map(|(word, _)| word.clone()).collect());
    let note = match takes {
        Takes::Texts => "every word of the data; add `other = 0` to hand the model other words as well",
        _ => {
            "the model gets a word's place in this list, from 0. Sorted, as scikit-learn's OrdinalEncoder and pandas' \
             categories number them: compare with the training script"
        }
    };
    field.notes.push(("categories", note.to_owned()));
}

/// What stands in for a value that is missing.
fn fill(column: &Column, takes: Takes, field: &mut PlannedField) {
    let gaps = format!(
        "{} of {} rows have none",
        column.missing,
        column.present + column.missing
    );
    let most = || {
        column
            .words
            .iter()
            .flatten()
            .max_by_key(|(_, count)| *count)
            .map(|(word, _)| word.clone())
    };
    let median = column.numbers.as_ref().and_then(|numbers| numbers.median());
    let (value, note) = match field.settings.kind {
        FieldType::Float => (
            Scalar::Float(median.unwrap_or(0.0)),
            format!("the median: {gaps}{NAN_HINT}"),
        ),
        FieldType::Integer => {
            let median = median.unwrap_or(0.0) as i64;
            let hint = match takes {
                Takes::Floats => "; make it a float with \"nan\" if the model was trained on gaps",
                _ => "",
            };
            let note = format!("the median: {gaps}{hint}");
            (Scalar::Integer(median), note)
        }
        FieldType::Vector if field.settings.elements == Element::Integer => (
            Scalar::Integer(nearest_to_zero(field)),
            format!("in every element: {gaps}"),
        ),
        FieldType::Vector => {
            let value = Scalar::Float(nearest_to_zero(field) as f64);
            (value, format!("in every element: {gaps}{NAN_HINT}"))
        }
        FieldType::Boolean => {
            let value = Scalar::Boolean(most().is_some_and(|word| word == "true"));
            (value, format!("the more frequent: {gaps}"))
        }
        FieldType::Category => (
            Scalar::Text(most().unwrap_or_default()),
            format!("the most frequent: {gaps}"),
        ),
        FieldType::String => (Scalar::Text(String::new()), gaps),
        FieldType::Timestamp => {
            let latest = column.times.map(|(_, to)| to.to_string()).unwrap_or_default();
            (Scalar::Text(latest), format!("the latest of the data: {gaps}"))
        }
        FieldType::Image => return,
    };
    field.settings.default = Some(DefaultValue::One(value));
    field.notes.push(("default", note));
}

/// Zero, where it lies in the range.
fn nearest_to_zero(field: &PlannedField) -> i64 {
    let (low, high) = (field.settings.min.unwrap_or(0.0), field.settings.max.unwrap_or(0.0));
    0f64.max(low).min(high) as i64
}

fn clip(word: &str) -> &str {
    let end = word.floor_char_boundary(40);
    word[..end].trim_end()
}
