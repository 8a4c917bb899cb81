//! Which columns feed which inputs.
//!
//! Owns: the choice of columns that are no inputs, each with its reason. Never does: change the order of the data; an input
//! of several columns gets them as the data has them, because that is how a table is trained on.

use std::collections::HashSet;

use eddy_pipeline::settings::Problem;
use eddy_pipeline::tensor::TensorSpec;
use eddy_storage::survey::{Column, Kind, Survey};

use super::field::{self, width};
use super::{FieldPlan, INPUTS, PlannedField};

/// Columns that a message lists.
const LISTED: usize = 16;

pub(crate) fn plan(survey: &Survey, inputs: &[TensorSpec]) -> Result<FieldPlan, Vec<Problem>> {
    match inputs {
        [] => Err(vec![Problem::new(
            INPUTS,
            "the model takes nothing; export it with its inputs",
        )]),
        [input] => one(survey, input).map_err(|problem| vec![problem]),
        inputs => several(survey, inputs),
    }
}

/// A column on its way to an input.
struct Bound<'a> {
    column: &'a Column,
    field: PlannedField,
}

/// The names of fields: the column's own, or of a member of objects the names that lead to it.
fn names(survey: &Survey) -> Vec<String> {
    let mut seen: HashSet<String> = HashSet::new();
    let mut name = |column: &Column| {
        let base = column.path.join("_");
        let mut name = base.clone();
        let mut number = 1;
        while !seen.insert(name.clone()) {
            number += 1;
            name = format!("{base}_{number}");
        }
        name
    };
    survey.columns.iter().map(&mut name).collect()
}

/// One input takes all columns that fit, in the order of the data. Where they are more than it has room for, those go first
/// that are seldom trained on.
fn one(survey: &Survey, input: &TensorSpec) -> Result<FieldPlan, Problem> {
    let (mut bound, mut left_out) = (Vec::new(), Vec::new());
    for (column, name) in survey.columns.iter().zip(names(survey)) {
        match field::plan(column, name, input.dtype) {
            Ok(field) => bound.push(Bound { column, field }),
            Err(why) => left_out.push((column.name(), why)),
        }
    }
    let wanted = input.row_width();
    let seldom = [
        (Kind::Identifier, "differs in every row, like an identifier"),
        (Kind::Timestamp, "is a point in time"),
        (Kind::Constant, "is the same in every row"),
    ];
    for (kind, why) in seldom {
        // Of a model that takes any number of columns, only identifiers are kept away.
        let is_over = wanted.map_or(kind == Kind::Identifier, |wanted| total(&bound) > wanted);
        if !is_over {
            continue;
        }
        let (gone, stay): (Vec<_>, Vec<_>) = bound.into_iter().partition(|bound| bound.column.kind == kind);
        bound = stay;
        left_out.extend(gone.iter().map(|bound| (bound.column.name(), why.to_owned())));
    }
    if wanted.is_some_and(|wanted| wanted != total(&bound)) || bound.is_empty() {
        return Err(misfit(input, &bound, &left_out));
    }
    let names = bound.iter().map(|bound| bound.field.name.clone()).collect();
    let mut plan = FieldPlan {
        inputs: vec![(input.name.clone(), names)],
        fields: bound.into_iter().map(|bound| bound.field).collect(),
        left_out,
        ..FieldPlan::default()
    };
    if plan.fields.len() > 1 {
        plan.remarks.push(format!(
            "`{}` gets {} fields in the order of the data; it must be the order of training",
            input.name,
            plan.fields.len()
        ));
    }
    Ok(plan)
}

fn total(bound: &[Bound<'_>]) -> usize {
    bound.iter().map(|bound| width(&bound.field)).sum()
}

fn misfit(input: &TensorSpec, bound: &[Bound<'_>], left_out: &[(String, String)]) -> Problem {
    let mut message = format!(
        "the model takes {input}, and the data has {} values a row for it",
        total(bound)
    );
    let mut fitting: Vec<String> = bound
        .iter()
        .take(LISTED)
        .map(|bound| format!("`{}`", bound.column.name()))
        .collect();
    if bound.len() > LISTED {
        fitting.push(format!("and {} more", bound.len() - LISTED));
    }
    if !fitting.is_empty() {
        message.push_str(&format!(" ({})", fitting.join(", ")));
    }
    for (column, why) in left_out.iter().take(LISTED) {
        message.push_str(&format!("; column `{column}` {why}"));
    }
    let next = if input.row_width().is_some_and(|wanted| wanted < total(bound)) {
        "; leave out the columns that it was not trained on"
    } else {
        "; pass the data that it was trained on, or export the model together with the steps that encode these columns"
    };
    message.push_str(next);
    Problem::new(format!("{INPUTS}.{}", input.name), message)
}

/// Several inputs take the columns of their names, as skl2onnx names them.
fn several(survey: &Survey, inputs: &[TensorSpec]) -> Result<FieldPlan, Vec<Problem>> {
    let names = names(survey);
    let (mut problems, mut plan) = (Vec::new(), FieldPlan::default());
    let mut planned: Vec<(usize, PlannedField)> = Vec::new();
    for input in inputs {
        let refuse = |message: String| Problem::new(format!("{INPUTS}.{}", input.name), message);
        let Some(at) = named_like(survey, &names, &input.name) else {
            problems.push(refuse(format!(
                "the model takes {input}, and no column has this name; rename the column that it is"
            )));
            continue;
        };
        if planned.iter().any(|(taken, _)| *taken == at) {
            problems.push(refuse(format!(
                "column `{}` would feed two inputs; rename one of them",
                survey.columns[at].name()
            )));
            continue;
        }
        match field::plan(&survey.columns[at], names[at].clone(), input.dtype) {
            Err(why) => problems.push(refuse(format!(
                "the model takes {input}, and column `{}` {why}; convert it as in training",
                survey.columns[at].name()
            ))),
            Ok(field) if input.row_width().is_some_and(|wanted| wanted != width(&field)) => problems.push(refuse(format!(
                "the model takes {input}, and column `{}` gives {} values a row; export it with one input for each column",
                survey.columns[at].name(),
                width(&field)
            ))),
            Ok(field) => {
                plan.inputs.push((input.name.clone(), vec![field.name.clone()]));
                planned.push((at, field));
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    // In the file, the fields stand as the data has them.
    planned.sort_by_key(|(at, _)| *at);
    for (at, column) in survey.columns.iter().enumerate() {
        if !planned.iter().any(|(taken, _)| *taken == at) {
            plan.left_out
                .push((column.name(), "is called like no input of the model".to_owned()));
        }
    }
    plan.fields = planned.into_iter().map(|(_, field)| field).collect();
    Ok(plan)
}

/// The column of an input's name; failing that, the only one whose name differs in case and separators alone.
fn named_like(survey: &Survey, names: &[String], input: &str) -> Option<usize> {
    let exact = survey.columns.iter().position(|column| column.name() == input);
    let exact = exact.or_else(|| names.iter().position(|name| name == input));
    exact.or_else(|| {
        let plain = |name: &str| -> String {
            name.chars()
                .filter(|c| c.is_alphanumeric())
                .flat_map(char::to_lowercase)
                .collect()
        };
        let mut like = (0..names.len()).filter(|at| plain(&names[*at]) == plain(input));
        let first = like.next()?;
        like.next().is_none().then_some(first)
    })
}
