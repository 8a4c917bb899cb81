//! Which head reads the model's outputs: by their types and shapes, by what they look like, and by the label.

use eddy_pipeline::head::{
    AnomalySettings, BinarySettings, ClassificationSettings, EmbeddingSettings, HeadSettings, Higher,
    MultiLabelSettings, RegressionSettings, Scale, SklearnSettings, Threshold,
};
use eddy_pipeline::settings::Problem;
use eddy_pipeline::tensor::DType;
use eddy_storage::survey::Column;

use super::classes::{Label, Names};
use super::{HeadPlan, Looks, ModelFacts, OutputFacts};

const HEAD: &str = "models[0].head";

pub(crate) fn plan(model: &ModelFacts, label: Option<&Column>) -> Result<HeadPlan, Problem> {
    let label = Label::of(label);
    let (floats, labels) = (of_floats(model), of_labels(model));
    let names = Names::of(model, &label);
    match (floats.as_slice(), labels.as_slice()) {
        ([], _) => Err(refuse(model, "gives no floating-point output")),
        ([scores], [verdict]) => beside_labels(model, scores, verdict, names),
        ([output], []) => alone(model, output, &label, names),
        ([one, other], []) if label.is_number() => with_spread(model, one, other),
        _ => Err(refuse(model, "gives more outputs than can be told apart")),
    }
}

fn of_floats(model: &ModelFacts) -> Vec<&OutputFacts> {
    let is_float = |dtype: DType| matches!(dtype, DType::Float32 | DType::Float64 | DType::Float16);
    model
        .outputs
        .iter()
        .filter(|output| is_float(output.spec.dtype))
        .collect()
}

fn of_labels(model: &ModelFacts) -> Vec<&OutputFacts> {
    let is_label = |dtype: DType| matches!(dtype, DType::Int64 | DType::String);
    model
        .outputs
        .iter()
        .filter(|output| is_label(output.spec.dtype))
        .collect()
}

fn refuse(model: &ModelFacts, why: &str) -> Problem {
    let outputs: Vec<String> = model.outputs.iter().map(|output| output.spec.to_string()).collect();
    let message = format!(
        "the model {why}: {}; write `head` by hand, or export one output",
        outputs.join(", ")
    );
    Problem::new(HEAD, message)
}

/// A classifier of scikit-learn gives labels beside its probabilities, an outlier detector verdicts beside its score.
fn beside_labels(
    model: &ModelFacts,
    scores: &OutputFacts,
    verdict: &OutputFacts,
    names: Names,
) -> Result<HeadPlan, Problem> {
    let (width, labels) = (scores.spec.row_width(), verdict.spec.row_width());
    if labels.is_some_and(|labels| labels > 1) {
        return match (labels == width, scores.looks) {
            (true, Some(Looks::Probabilities | Looks::Distributions)) => Ok(HeadPlan {
                settings: HeadSettings::MultiLabel(MultiLabelSettings {
                    from: Scale::Probabilities,
                    output: Some(scores.spec.name.clone()),
                    classes: None,
                    threshold: Threshold::default(),
                }),
                about: format!(
                    "{} has a verdict for each of its numbers beside it, {}",
                    scores.spec, verdict.spec
                ),
                notes: Vec::new(),
                remarks: vec!["the names of the labels are not known; list them as `classes` of the head".to_owned()],
            }),
            _ => Err(refuse(
                model,
                "gives several labels a row, and no probabilities for them",
            )),
        };
    }
    if width.is_none_or(|width| width >= 2) {
        let classes = names.for_width(width);
        return Ok(HeadPlan {
            about: format!("{} beside {}: a classifier of scikit-learn", verdict.spec, scores.spec),
            notes: names.notes(classes.as_ref()),
            settings: HeadSettings::Sklearn(SklearnSettings {
                label: None,
                probabilities: None,
                classes,
            }),
            remarks: names.remarks,
        });
    }
    if verdict.looks != Some(Looks::Verdicts) {
        return Err(refuse(
            model,
            "gives a label and one number a row, and the labels are not the -1 and 1 of an outlier detector",
        ));
    }
    Ok(HeadPlan {
        settings: HeadSettings::Anomaly(AnomalySettings {
            higher_is: Higher::Normal,
            output: None,
        }),
        about: format!(
            "{} holds -1 and 1 beside {}: an outlier detector of scikit-learn",
            verdict.spec, scores.spec
        ),
        notes: vec![("higher_is", "as scikit-learn's detectors score".to_owned())],
        remarks: Vec::new(),
    })
}

/// One output of floats and nothing else.
fn alone(model: &ModelFacts, output: &OutputFacts, label: &Label, names: Names) -> Result<HeadPlan, Problem> {
    let width = output.spec.row_width();
    if label.is_number() {
        return Ok(regression(output, "the label is a number", Vec::new()));
    }
    let Some(looks) = output.looks else {
        return Err(refuse(
            model,
            "was not run, so that nothing tells logits from probabilities",
        ));
    };
    let from = if looks == Looks::Numbers || looks == Looks::Verdicts {
        Scale::Logits
    } else {
        Scale::Probabilities
    };
    match (width, label.count()) {
        (Some(1), Some(2)) | (Some(2), None | Some(2)) => Ok(binary(output, from, &names)),
        (Some(1), None) => {
            let remark = "there is no label, so nothing says what the number is; for a probability write \
                          head = { type = \"binary\", from = \"probabilities\" }";
            Ok(regression(output, "one number a row", vec![remark.to_owned()]))
        }
        (Some(width), Some(count)) if width != count => {
            let message = format!(
                "the model gives {}, and the label has {count} distinct values; name the label that it was trained on",
                output.spec
            );
            Err(Problem::new(HEAD, message))
        }
        (_, Some(_)) => Ok(classification(output, from, &names)),
        (_, None) => Ok(without_label(output, looks, &names)),
    }
}

fn without_label(output: &OutputFacts, looks: Looks, names: &Names) -> HeadPlan {
    match looks {
        Looks::Distributions => classification(output, Scale::Probabilities, names),
        Looks::Probabilities => HeadPlan {
            settings: HeadSettings::MultiLabel(MultiLabelSettings {
                from: Scale::Probabilities,
                output: None,
                classes: None,
                threshold: Threshold::default(),
            }),
            about: format!("{} holds numbers between 0 and 1 that do not sum to 1", output.spec),
            notes: vec![("from", looks_like(looks).to_owned())],
            remarks: vec!["the names of the labels are not known; list them as `classes` of the head".to_owned()],
        },
        Looks::Numbers | Looks::Verdicts => HeadPlan {
            settings: HeadSettings::Embedding(EmbeddingSettings { output: None }),
            about: format!("{} holds any numbers, and there is no label", output.spec),
            notes: Vec::new(),
            remarks: vec![
                "there is no label, so the numbers are taken for an embedding; for the logits of a classifier write \
                 head = { type = \"classification\", from = \"logits\" }"
                    .to_owned(),
            ],
        },
    }
}

fn binary(output: &OutputFacts, from: Scale, names: &Names) -> HeadPlan {
    let classes = names.for_width(Some(2));
    let mut notes = vec![("from", looks_of(output))];
    notes.extend(names.notes(classes.as_ref()));
    let mut remarks = names.remarks.clone();
    if output.spec.row_width() == Some(1) {
        remarks.push(
            "the model's number is taken for that of the second class; if it is the first, turn `classes` round"
                .to_owned(),
        );
    }
    HeadPlan {
        settings: HeadSettings::Binary(BinarySettings {
            from,
            output: None,
            classes,
            threshold: 0.5,
        }),
        about: format!("{} for two classes", output.spec),
        notes,
        remarks,
    }
}

fn classification(output: &OutputFacts, from: Scale, names: &Names) -> HeadPlan {
    let classes = names.for_width(output.spec.row_width());
    let mut notes = vec![("from", looks_of(output))];
    notes.extend(names.notes(classes.as_ref()));
    HeadPlan {
        settings: HeadSettings::Classification(ClassificationSettings {
            from,
            output: None,
            classes,
        }),
        about: format!("{} with a number for each class", output.spec),
        notes,
        remarks: names.remarks.clone(),
    }
}

fn regression(output: &OutputFacts, why: &str, remarks: Vec<String>) -> HeadPlan {
    HeadPlan {
        settings: HeadSettings::Regression(RegressionSettings {
            output: None,
            spread: None,
            lower: None,
            upper: None,
        }),
        about: format!("{}: {why}", output.spec),
        notes: Vec::new(),
        remarks,
    }
}

/// Two outputs of a regression, where one is called like a standard deviation.
fn with_spread(model: &ModelFacts, one: &OutputFacts, other: &OutputFacts) -> Result<HeadPlan, Problem> {
    let is_spread = |output: &OutputFacts| {
        let name = output.spec.name.to_ascii_lowercase();
        ["std", "spread", "sigma", "stddev"]
            .iter()
            .any(|word| name.contains(word))
    };
    let (value, spread) = match (is_spread(one), is_spread(other)) {
        (false, true) => (one, other),
        (true, false) => (other, one),
        _ => {
            return Err(refuse(
                model,
                "gives two outputs, neither of which is called like a standard deviation",
            ));
        }
    };
    let mut plan = regression(value, "the label is a number", Vec::new());
    plan.settings = HeadSettings::Regression(RegressionSettings {
        output: Some(value.spec.name.clone()),
        spread: Some(spread.spec.name.clone()),
        lower: None,
        upper: None,
    });
    plan.notes = vec![("spread", "by its name; it must be a standard deviation".to_owned())];
    Ok(plan)
}

fn looks_of(output: &OutputFacts) -> String {
    looks_like(output.looks.unwrap_or(Looks::Numbers)).to_owned()
}

const fn looks_like(looks: Looks) -> &'static str {
    match looks {
        Looks::Distributions => "over the data, every row is between 0 and 1 and sums to 1",
        Looks::Probabilities => "over the data, every number is between 0 and 1",
        Looks::Verdicts | Looks::Numbers => "over the data, numbers lie outside 0 to 1",
    }
}
