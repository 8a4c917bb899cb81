//! Binding fields to model inputs: which field lands in which column, and what the open dimensions turn out to be.
//!
//! Invariant: after a binding without problems every element of every input has exactly one field that writes it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;

use super::rule::{ElementRule, Field, Kind};
use super::store::Target;
use crate::decode::Binding;
use crate::settings::{Problem, nearest};
use crate::tensor::{DType, TensorSpec};

/// Names that a message lists before it only counts the rest.
const LISTED: usize = 12;

/// Adds the targets of one binding to the fields and says what the model's inputs are, all dimensions known.
pub(crate) fn bind(
    fields: &mut [Field],
    position: usize,
    binding: &Binding<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<TensorSpec> {
    let key = format!("models[{position}].inputs");
    for input in binding.fields.keys() {
        if !binding.inputs.iter().any(|spec| spec.name == *input) {
            problems.push(Problem::new(format!("{key}.{input}"), unknown_input(binding, input)));
        }
    }
    let positions: HashMap<String, usize> = fields.iter().enumerate().map(|(i, f)| (f.name.clone(), i)).collect();
    let mut resolved = Vec::with_capacity(binding.inputs.len());
    for (number, spec) in binding.inputs.iter().enumerate() {
        let before = problems.len();
        let key = format!("{key}.{}", spec.name);
        let Some(names) = names_for(fields, binding, spec) else {
            problems.push(Problem::new(&key, unbound(binding, spec)));
            continue;
        };
        let mut bound = Vec::with_capacity(names.len());
        for (at, name) in names.iter().enumerate() {
            match positions.get(name) {
                Some(index) => bound.push(*index),
                None => problems.push(Problem::new(format!("{key}[{at}]"), unknown_field(fields, name))),
            }
        }
        for index in &bound {
            if let Some(why) = unfit(&fields[*index], spec.dtype) {
                problems.push(Problem::new(
                    &key,
                    format!("model `{}` takes {spec}; {why}", binding.model),
                ));
            }
        }
        if problems.len() > before {
            continue;
        }
        match resolve(spec, fields, &bound) {
            Ok(spec) => resolved.push(spec),
            Err(why) => problems.push(Problem::new(&key, format!("model `{}` {why}", binding.model))),
        }
        aim(fields, &bound, (position, number), spec.dtype);
    }
    resolved
}

/// Lays the fields side by side in an input's row.
fn aim(fields: &mut [Field], bound: &[usize], (model, input): (usize, usize), dtype: DType) {
    let mut column = 0;
    for index in bound {
        let field = &mut fields[*index];
        field.targets.push(Target {
            model,
            input,
            column,
            is_string: dtype == DType::String,
            is_feature: false,
        });
        column += field.width();
    }
}

/// The names of an input's fields: those of the pipeline file, or the obvious ones where it says nothing.
fn names_for<'b>(fields: &[Field], binding: &'b Binding<'_>, spec: &TensorSpec) -> Option<Cow<'b, [String]>> {
    if !binding.fields.is_empty() {
        let names = binding.fields.get(&spec.name).filter(|names| !names.is_empty());
        return names.map(|names| Cow::Borrowed(names.as_slice()));
    }
    if binding.inputs.len() == 1 {
        return Some(fields.iter().map(|field| field.name.clone()).collect());
    }
    fields
        .iter()
        .any(|field| field.name == spec.name)
        .then(|| Cow::Owned(vec![spec.name.clone()]))
}

fn unknown_input(binding: &Binding<'_>, input: &str) -> String {
    let names = binding.inputs.iter().map(|spec| spec.name.as_str());
    match nearest(input, names) {
        Some(near) => format!("model `{}` has no such input; did you mean `{near}`?", binding.model),
        None => {
            let specs: Vec<String> = binding.inputs.iter().map(ToString::to_string).collect();
            format!(
                "model `{}` has no such input; it takes {}",
                binding.model,
                specs.join(", ")
            )
        }
    }
}

fn unbound(binding: &Binding<'_>, spec: &TensorSpec) -> String {
    format!(
        "model `{}` takes {spec}, and no field feeds it; write `inputs.{} = [\"field\", …]`",
        binding.model, spec.name
    )
}

fn unknown_field(fields: &[Field], name: &str) -> String {
    match nearest(name, fields.iter().map(|field| field.name.as_str())) {
        Some(near) => format!("there is no field `{name}`; did you mean `{near}`?"),
        None => format!("there is no field `{name}`; describe it in [fields.{name}]"),
    }
}

/// Why a field cannot feed an element type.
fn unfit(field: &Field, dtype: DType) -> Option<String> {
    use DType::{Bool, Float16, Float32, Float64, Int32, Int64, String};
    let is_float = matches!(dtype, Float32 | Float64 | Float16);
    let is_number = is_float || matches!(dtype, Int32 | Int64);
    let fits = match &field.kind {
        Kind::Float(_) | Kind::Image(_) => is_float,
        Kind::Integer(_) | Kind::Timestamp(_) => is_number,
        Kind::Boolean(_) => is_number || dtype == Bool,
        Kind::Category(rule) => dtype == String || (is_number && rule.has_indices()),
        Kind::Text(_) => dtype == String,
        Kind::Vector(rule) => match rule.elements {
            ElementRule::Float(_) => is_float,
            ElementRule::Integer(_) => is_number || dtype == Bool,
        },
    };
    if fits {
        return None;
    }
    let mut why = format!(
        "field `{}` is a {} and cannot become {dtype}",
        field.name,
        field.type_name()
    );
    match &field.kind {
        Kind::Category(_) if is_number => why.push_str("; list its `categories` so that each has an index"),
        Kind::Float(_) if is_number => why.push_str("; make it an integer"),
        Kind::Vector(_) if is_number => why.push_str("; write `elements = \"integer\"`"),
        Kind::Text(_) if is_number => why.push_str("; make it a category with `categories`"),
        _ => {}
    }
    Some(why)
}

/// The input with its open dimension filled in, or what does not fit.
fn resolve(spec: &TensorSpec, fields: &[Field], bound: &[usize]) -> Result<TensorSpec, String> {
    if let [only] = bound
        && let Kind::Image(picture) = &fields[*only].kind
        && spec.row_shape.len() == 3
    {
        let shape = picture.shape();
        let fits = spec
            .row_shape
            .iter()
            .zip(shape)
            .all(|(dim, have)| dim.is_none_or(|dim| dim == have));
        return if fits {
            Ok(with_shape(spec, shape.map(Some).to_vec()))
        } else {
            Err(format!(
                "takes {spec}, and image `{}` gives [N,{},{},{}]; mend its width, height, channels or layout",
                fields[*only].name, shape[0], shape[1], shape[2]
            ))
        };
    }
    let given: usize = bound.iter().map(|index| fields[*index].width()).sum();
    let open = spec.row_shape.iter().filter(|dim| dim.is_none()).count();
    let known = spec
        .row_shape
        .iter()
        .flatten()
        .try_fold(1usize, |product, dim| product.checked_mul(*dim));
    let Some(known) = known.filter(|known| *known > 0) else {
        return Err(format!("takes {spec}, which is no shape that a row can have"));
    };
    match open {
        0 if known == given => Ok(spec.clone()),
        1 if given > 0 && given.is_multiple_of(known) => {
            let shape = spec
                .row_shape
                .iter()
                .map(|dim| Some(dim.unwrap_or(given / known)))
                .collect();
            Ok(with_shape(spec, shape))
        }
        0 | 1 => Err(format!(
            "takes {spec}, {}{known} values a row, and the fields give {given}: {}; bind other fields, or mend their \
             lengths",
            if open == 1 { "a multiple of " } else { "" },
            list(fields, bound)
        )),
        _ => Err(format!(
            "takes {spec}, which leaves {open} dimensions open where one can be worked out from the fields; export the \
             model with fixed dimensions"
        )),
    }
}

fn with_shape(spec: &TensorSpec, row_shape: Vec<Option<usize>>) -> TensorSpec {
    TensorSpec {
        name: spec.name.clone(),
        dtype: spec.dtype,
        row_shape,
    }
}

/// `age`, `pixels` (64), and 3 more
fn list(fields: &[Field], bound: &[usize]) -> String {
    let mut text = String::new();
    for (at, index) in bound.iter().take(LISTED).enumerate() {
        let field = &fields[*index];
        let comma = if at == 0 { "" } else { ", " };
        write!(text, "{comma}`{}`", field.name).expect("writing to a String cannot fail");
        if field.width() != 1 {
            write!(text, " ({})", field.width()).expect("writing to a String cannot fail");
        }
    }
    if bound.len() > LISTED {
        write!(text, ", and {} more", bound.len() - LISTED).expect("writing to a String cannot fail");
    }
    text
}
