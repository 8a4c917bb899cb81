//! Raw events: the little-endian elements of one vector and nothing else.

use half::f16;

use super::format::{Event, Format, Sources, refuse_pointers};
use super::settings::RawSettings;
use crate::fields::{ElementRule, Kind};
use crate::rejection::{Reason, Rejection};
use crate::settings::{Problem, nearest};
use crate::tensor::DType;

#[derive(Debug)]
struct Raw {
    dtype: DType,
    width_bytes: usize,
    field: usize,
    length: usize,
}

const fn width_bytes(dtype: DType) -> Option<usize> {
    match dtype {
        DType::Bool => Some(1),
        DType::Float16 => Some(2),
        DType::Float32 | DType::Int32 => Some(4),
        DType::Float64 | DType::Int64 => Some(8),
        DType::String => None,
    }
}

pub(crate) fn compile(sources: &Sources<'_>) -> Result<Box<dyn Format>, Vec<Problem>> {
    let mut problems = Vec::new();
    refuse_pointers(sources.events, &mut problems);
    let Some(settings) = &sources.events.raw else {
        problems.push(Problem::new(
            "events.raw",
            "raw events need the type of their elements; write `raw = { dtype = \"float32\" }`",
        ));
        return Err(problems);
    };
    let width = width_bytes(settings.dtype);
    if width.is_none() {
        problems.push(Problem::new(
            "events.raw.dtype",
            "text has no fixed number of bytes; use a number type, or JSON events",
        ));
    }
    let field = field(sources, settings, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    let (Some(width_bytes), Some((field, length))) = (width, field) else {
        return Err(problems);
    };
    Ok(Box::new(Raw {
        dtype: settings.dtype,
        width_bytes,
        field,
        length,
    }))
}

/// The one vector that the bytes fill, and its length.
fn field(sources: &Sources<'_>, settings: &RawSettings, problems: &mut Vec<Problem>) -> Option<(usize, usize)> {
    let mut wrong = |key: &str, message: String| {
        problems.push(Problem::new(key, message));
        None
    };
    let names = || sources.fields.iter().map(|field| field.name.as_str());
    if let Some(name) = &settings.field
        && !names().any(|known| known == name)
    {
        let hint = match nearest(name, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "name the vector field that the bytes fill".to_owned(),
        };
        return wrong("events.raw.field", format!("there is no field `{name}`; {hint}"));
    }
    let [field] = sources.fields else {
        return wrong(
            "fields",
            format!(
                "a raw event fills exactly one field, and {} are described; keep the vector only",
                sources.fields.len()
            ),
        );
    };
    let Kind::Vector(rule) = &field.kind else {
        return wrong(
            &format!("fields.{}.type", field.name),
            format!(
                "a raw event fills a vector, not a {}; write type = \"vector\"",
                field.type_name()
            ),
        );
    };
    let is_float = matches!(settings.dtype, DType::Float16 | DType::Float32 | DType::Float64);
    if is_float && matches!(rule.elements, ElementRule::Integer(_)) {
        return wrong(
            &format!("fields.{}.elements", field.name),
            format!(
                "the event holds {} elements; write elements = \"float\"",
                settings.dtype
            ),
        );
    }
    Some((0, rule.length))
}

impl Format for Raw {
    fn read(&mut self, value: &[u8], event: &mut Event<'_>) -> Result<(), Rejection> {
        let wanted = self.length * self.width_bytes;
        if value.len() != wanted {
            let place = event.row.fields[self.field].place();
            return Err(place.reject(
                Reason::Malformed,
                format_args!(
                    "is {} bytes, not the {wanted} of {} {} elements",
                    value.len(),
                    self.length,
                    self.dtype
                ),
            ));
        }
        let (row, field) = (&mut event.row, self.field);
        match self.dtype {
            DType::Float32 => each(
                value,
                |bytes: [u8; 4]| f64::from(f32::from_le_bytes(bytes)),
                |at, x| row.element_float(field, at, x),
            )?,
            DType::Float64 => each(value, f64::from_le_bytes, |at, x| row.element_float(field, at, x))?,
            DType::Float16 => each(
                value,
                |bytes| f16::from_le_bytes(bytes).to_f64(),
                |at, x| row.element_float(field, at, x),
            )?,
            DType::Int32 => each(
                value,
                |bytes| i64::from(i32::from_le_bytes(bytes)),
                |at, i| row.element_integer(field, at, i),
            )?,
            DType::Int64 => each(value, i64::from_le_bytes, |at, i| row.element_integer(field, at, i))?,
            DType::Bool => each(
                value,
                |[byte]: [u8; 1]| byte,
                |at, byte| match byte {
                    0 | 1 => row.element_integer(field, at, i64::from(byte)),
                    _ => Err(row.element_mismatch(field, at, "a byte other than 0 and 1")),
                },
            )?,
            DType::String => unreachable!("text was refused when the format was compiled"),
        }
        row.end_vector(field, self.length)
    }
}

/// Reads elements of `N` bytes one after the other.
fn each<T, const N: usize>(
    bytes: &[u8],
    read: impl Fn([u8; N]) -> T,
    mut write: impl FnMut(usize, T) -> Result<(), Rejection>,
) -> Result<(), Rejection> {
    let (elements, _) = bytes.as_chunks::<N>();
    elements
        .iter()
        .enumerate()
        .try_for_each(|(at, element)| write(at, read(*element)))
}
