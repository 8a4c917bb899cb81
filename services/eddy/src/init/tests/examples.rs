//! The examples of `config`, planned from their events.

use std::path::Path;

use eddy_pipeline::tensor::Buffer;

use super::*;

fn config(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config").join(name)
}

fn numbers(json: &serde_json::Value) -> Vec<f64> {
    match json {
        serde_json::Value::Array(items) => items.iter().flat_map(numbers).collect(),
        serde_json::Value::String(text) => vec![text.parse().unwrap_or(f64::NAN)],
        number => vec![number.as_f64().unwrap_or(f64::NAN)],
    }
}

/// One example of `config`: what its model takes and gives, its column of the label, and the head that was written by hand.
struct Example {
    name: &'static str,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    class_names: Option<&'static [&'static str]>,
    label: Option<&'static str>,
    without: &'static [&'static str],
    head: serde_json::Value,
}

fn examples() -> Vec<Example> {
    let example = |name, inputs, outputs, label, head| Example {
        name,
        inputs,
        outputs,
        class_names: None,
        label,
        without: &[],
        head,
    };
    let scalars = [
        ("sex", DType::String),
        ("embarked", DType::String),
        ("pclass", DType::Int64),
        ("sibsp", DType::Int64),
        ("parch", DType::Int64),
        ("age", DType::Float32),
        ("fare", DType::Float32),
    ];
    vec![
        Example {
            class_names: Some(&["died", "survived"]),
            ..example(
                "titanic",
                scalars.map(|(name, dtype)| spec(name, dtype, &[1])).to_vec(),
                vec![
                    spec("output_label", DType::String, &[]),
                    floats("output_probability", &[2]),
                ],
                Some("label"),
                serde_json::json!({ "type": "sklearn" }),
            )
        },
        example(
            "cancer",
            vec![floats("features", &[30])],
            vec![
                spec("output_label", DType::Int64, &[]),
                floats("output_probability", &[2]),
            ],
            Some("label"),
            serde_json::json!({ "type": "sklearn", "classes": ["malignant", "benign"] }),
        ),
        example(
            "shuttle",
            vec![floats("features", &[9])],
            vec![spec("label", DType::Int64, &[]), floats("probabilities", &[2])],
            Some("label"),
            serde_json::json!({ "type": "sklearn" }),
        ),
        example(
            "diabetes",
            vec![floats("features", &[10])],
            vec![floats("progression", &[1])],
            Some("label"),
            serde_json::json!({ "type": "regression" }),
        ),
        example(
            "wine-anomaly",
            vec![floats("features", &[13])],
            vec![spec("label", DType::Int64, &[1]), floats("scores", &[1])],
            Some("label"),
            serde_json::json!({ "type": "anomaly", "higher_is": "normal" }),
        ),
        example(
            "yeast",
            vec![floats("expression", &[103])],
            vec![spec("label", DType::Int64, &[14]), floats("probabilities", &[14])],
            None,
            serde_json::json!({ "type": "multi-label", "from": "probabilities", "output": "probabilities", "threshold": 0.5 }),
        ),
        Example {
            without: &["label"],
            ..example(
                "embedding",
                vec![floats("pixels", &[64])],
                vec![floats("embedding", &[16])],
                None,
                serde_json::json!({ "type": "embedding" }),
            )
        },
    ]
}

/// The words of an example's label in the order of its model's classes, by its events and the expected predictions.
fn agreed(folder: &Path, words: &[(String, u64)]) -> Option<Vec<String>> {
    let lines = |name: &str| -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let mut counts = vec![vec![0; words.len()]; words.len()];
    for (event, expected) in lines("events.jsonl").iter().zip(lines("expected.jsonl")) {
        let word = words
            .iter()
            .position(|(word, _)| Some(word.as_str()) == event["label"].as_str())?;
        let model = expected["models"].as_object().unwrap().values().next().unwrap();
        let probabilities = numbers(model.get("probabilities")?);
        let most = |one: &usize, other: &usize| probabilities[*one].total_cmp(&probabilities[*other]);
        *counts[word].get_mut((0..probabilities.len()).max_by(most)?)? += 1;
    }
    let order = class_order(&counts)?;
    Some(order.into_iter().map(|word| words[word].0.clone()).collect())
}

/// Every example's golden rows, which its training script wrote, are among the rows that the planned file decodes; and the
/// head that is planned is the one that a person wrote, but for names that a person gave to numbers.
#[test]
fn every_example_is_planned_as_it_was_trained() {
    for example in examples() {
        let folder = config(example.name);
        let golden = std::fs::read_to_string(folder.join("golden.json")).unwrap();
        let golden: serde_json::Value = serde_json::from_str(&golden).unwrap();
        let outputs = example.outputs.iter().map(|spec| {
            let mut observer = Observer::default();
            for row in golden["outputs"][&spec.name].as_array().unwrap() {
                observer.observe(numbers(row));
            }
            OutputFacts {
                looks: observer.looks(),
                spec: spec.clone(),
            }
        });
        let set = DataSet::open(folder.join("events.jsonl"))
            .and_then(|set| set.without(example.without))
            .unwrap();
        let set = match example.label {
            Some(label) => set.with_label(label).unwrap(),
            None => set,
        };
        let survey = survey(&set);
        let words = survey.label.as_ref().and_then(|label| label.words.as_deref());
        // Where the model itself names its classes, nothing has to be agreed on.
        let words = words.filter(|_| example.class_names.is_none());
        let facts = ModelFacts {
            agreed_classes: words.and_then(|words| agreed(&folder, words)),
            class_names: example
                .class_names
                .map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
            ..model(example.inputs.clone(), outputs.collect())
        };
        let (plan, file, inputs) = planned(&set, &facts);
        let head = serde_json::to_value(&file.models[0].head).unwrap();
        assert_eq!(head, example.head, "{}", example.name);
        assert_eq!(plan.label.as_deref(), example.label);
        for input in &inputs.inputs {
            let found: Vec<Vec<f64>> = match &input.data {
                Buffer::Float32(data) => data
                    .chunks(input.width)
                    .map(|row| row.iter().map(|x| f64::from(*x)).collect())
                    .collect(),
                Buffer::Int64(data) => data
                    .chunks(input.width)
                    .map(|row| row.iter().map(|x| *x as f64).collect())
                    .collect(),
                _ => continue,
            };
            for row in golden["inputs"][&input.name].as_array().unwrap() {
                let row: Vec<f64> = numbers(row).into_iter().map(|x| f64::from(x as f32)).collect();
                // A gap is filled with the median, and the Titanic's model was trained on gaps.
                let is_gap = row.iter().any(|x| x.is_nan());
                assert!(
                    is_gap || found[..survey.rows as usize].contains(&row),
                    "{}, {}: {row:?}",
                    example.name,
                    input.name
                );
            }
        }
    }
}

#[test]
fn images_of_the_example_are_planned_from_their_folders() {
    let labels = std::fs::read_to_string(config("digits/events/labels.json")).unwrap();
    let labels: serde_json::Value = serde_json::from_str(&labels).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (name, class) in labels.as_object().unwrap() {
        let class = folder.path().join(class.to_string());
        std::fs::create_dir_all(&class).unwrap();
        std::fs::copy(
            config("digits/events").join(format!("{name}.png")),
            class.join(format!("{name}.png")),
        )
        .unwrap();
    }
    let set = DataSet::open(folder.path()).unwrap();
    for (input, layout) in [
        (floats("image", &[1, 8, 8]), "chw"),
        (floats("image", &[8, 8, 1]), "hwc"),
        (floats("x", &[64]), "chw"),
    ] {
        let facts = model(vec![input], vec![output(floats("logits", &[10]), Looks::Numbers)]);
        let (plan, file, _) = planned(&set, &facts);
        let image = serde_json::to_value(file.fields["image"].image.as_ref().unwrap()).unwrap();
        assert_eq!((&image["width"], &image["channels"]), (&8.into(), &"grey".into()));
        assert_eq!(image["layout"], layout);
        assert_eq!(plan.remarks().count(), 1);
        // The folders are called 0 to 9, as classes are called anyway.
        let expected = serde_json::json!({ "type": "classification", "from": "logits" });
        assert_eq!(serde_json::to_value(&file.models[0].head).unwrap(), expected);
    }
    let rgb = model(vec![floats("x", &[3, 32, 48])], probabilities(10));
    let (_, file, _) = planned(&set, &rgb);
    let image = file.fields["image"].image.clone().unwrap();
    assert_eq!((image.width, image.height, image.channels.count()), (48, 32, 3));
    for shape in [&[2, 8, 8][..], &[63]] {
        assert!(problems(&set, &model(vec![floats("x", shape)], probabilities(10))).contains("does not say how large"));
    }
}
