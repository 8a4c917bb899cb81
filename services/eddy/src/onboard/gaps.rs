//! Whether a model knows missing numbers: it is asked.
//!
//! Never does: decide in silence; what was found stands in the file and in the report.

use eddy_model::Model;
use eddy_pipeline::fields::{DefaultValue, FieldType, Scalar};
use eddy_storage::data::DataSet;

use super::{Error, looks};
use crate::init::FieldPlan;

/// The plan with NaN for numbers that are missing, if the model then gives numbers for every row; else the plan as it is,
/// with medians.
pub(crate) fn settle(plan: FieldPlan, model: &Model, data: &DataSet) -> Result<FieldPlan, Error> {
    let mut trial = plan.clone();
    let mut names = Vec::new();
    for field in &mut trial.fields {
        let settings = &mut field.settings;
        if settings.kind != FieldType::Float || settings.default.is_none() {
            continue;
        }
        settings.default = Some(DefaultValue::One(Scalar::Text("nan".to_owned())));
        for (_, note) in field.notes.iter_mut().filter(|(key, _)| *key == "default") {
            "the model gives numbers for rows with gaps, so it knows what to do with them".clone_into(note);
        }
        names.push(format!("`{}`", field.name));
    }
    if names.is_empty() || looks::of(model, &trial, data)?.failed > 0 {
        return Ok(plan);
    }
    trial.remarks.push(format!(
        "rows without {} reach the model as NaN; if gaps were filled before training, write what with as `default`",
        names.join(", ")
    ));
    Ok(trial)
}
