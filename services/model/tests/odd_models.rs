//! Models of unusual shape, written by hand with as much of the ONNX format as they need.

mod common;

use common::{inputs, load, run, scorer, settings};
use eddy_model::{Error, Model};
use eddy_pipeline::score::Scorer;
use eddy_pipeline::tensor::TensorSpec;
use serde_json::json;
use tempfile::TempDir;

/// A message of Protocol Buffers, field by field.
#[derive(Default, Clone)]
struct Message(Vec<u8>);

impl Message {
    fn number(mut self, field: u8, number: u8) -> Self {
        assert!(number < 128, "one byte is enough here");
        self.0.extend([field << 3, number]);
        self
    }

    fn bytes(mut self, field: u8, bytes: impl AsRef<[u8]>) -> Self {
        let (bytes, len) = (bytes.as_ref(), bytes.as_ref().len());
        self.0.extend([field << 3 | 2, len as u8 | 0x80, (len >> 7) as u8]);
        self.0.extend(bytes);
        self
    }
}

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn message() -> Message {
    Message::default()
}

/// A named float tensor; `None` is a shape that is left out, `Some(0)` an open dimension.
fn value(name: &str, shape: Option<&[u8]>) -> Message {
    let mut tensor = message().number(1, 1);
    if let Some(dims) = shape {
        let dim = |dim: &u8| {
            if *dim == 0 {
                message()
            } else {
                message().number(1, *dim)
            }
        };
        tensor = tensor.bytes(2, dims.iter().fold(message(), |shape, d| shape.bytes(1, dim(d))));
    }
    message().bytes(1, name).bytes(2, message().bytes(1, tensor))
}

fn node(op: &str, domain: &str, input: &str, output: &str) -> Message {
    message().bytes(1, input).bytes(2, output).bytes(4, op).bytes(7, domain)
}

fn opset(domain: &str, version: u8) -> Message {
    message().bytes(1, domain).number(2, version)
}

fn model(graph: Message, opsets: &[Message]) -> Message {
    let graph = graph.bytes(2, "graph");
    opsets
        .iter()
        .fold(message().number(1, 8).bytes(7, graph), |model, opset| {
            model.bytes(8, opset)
        })
}

fn load_bytes(model: &Message) -> Result<Model, Error> {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("odd.onnx"), &model.0).unwrap();
    load(&settings("odd.onnx"), folder.path())
}

fn identity(input: Option<&[u8]>, output: Option<&[u8]>) -> Message {
    let graph = message()
        .bytes(1, node("Identity", "", "x", "y"))
        .bytes(11, value("x", input))
        .bytes(12, value("y", output));
    model(graph, &[opset("", 13)])
}

#[test]
fn an_output_without_a_shape_gets_the_one_that_a_trial_shows() {
    for output in [None, Some(&[0, 0][..])] {
        let loaded = load_bytes(&identity(Some(&[0, 3]), output)).unwrap();
        assert_eq!(loaded.outputs()[0].row_shape, [Some(3)]);
    }
}

#[test]
fn open_dimensions_are_filled_by_the_scorer_and_refused_without() {
    let loaded = load_bytes(&identity(Some(&[0, 0]), Some(&[0, 0]))).unwrap();
    assert_eq!(loaded.inputs()[0].row_shape, [None]);
    assert!(loaded.calibration().is_none());
    assert!(matches!(loaded.scorer(loaded.inputs()), Err(Error::Inputs { .. })));

    for width in [2, 5] {
        let resolved = [TensorSpec {
            row_shape: vec![Some(width)],
            ..loaded.inputs()[0].clone()
        }];
        let mut scorer = loaded.scorer(&resolved).unwrap();
        assert_eq!(scorer.outputs()[0].row_shape, [Some(width)]);
        let rows = inputs(scorer.inputs(), &json!({"x": vec![vec![1.5; width]; 3]}));
        assert_eq!(run(&mut scorer, &rows, 0..3).unwrap()[0].data.len(), 3 * width);
        scorer.probe().unwrap();
    }
}

#[test]
fn an_input_without_a_batch_dimension_is_refused() {
    let error = load_bytes(&identity(Some(&[]), Some(&[]))).unwrap_err();
    assert!(matches!(error, Error::Signature { .. }), "{error}");
    assert!(error.to_string().contains("batch dimension"), "{error}");
}

#[test]
fn an_output_that_does_not_grow_with_the_rows_is_refused() {
    let mean = message().bytes(1, "keepdims").number(3, 1).number(20 & 0x7f, 2);
    // Field 20 needs a tag of two bytes, which the builder above does not write: AttributeProto.type, INT.
    let mean = Message([&mean.0[..mean.0.len() - 2], &[0xa0, 0x01, 2]].concat());
    let graph = message()
        .bytes(1, node("ReduceMean", "", "x", "y").bytes(5, mean))
        .bytes(11, value("x", Some(&[0, 3])))
        .bytes(12, value("y", None));
    let error = load_bytes(&model(graph, &[opset("", 13)])).unwrap_err();
    assert!(matches!(error, Error::Trial { .. }), "{error}");
    assert!(error.to_string().contains("for 2 rows"), "{error}");
}

/// A `ZipMap` of whole numbers as classes, the way that converters write it which only know the operators of
/// scikit-learn: without an import of the standard ones.
fn zipped(labels: &[u8], outputs: &[Message]) -> Message {
    let labels = labels
        .iter()
        .fold(message().bytes(1, "classlabels_int64s"), |a, label| a.number(8, *label));
    let labels = Message([labels.as_ref(), &[0xa0, 0x01, 7]].concat());
    let norm = message().bytes(1, "norm").bytes(4, "L1");
    let norm = Message([norm.as_ref(), &[0xa0, 0x01, 3]].concat());
    let graph = message()
        .bytes(1, node("Normalizer", "ai.onnx.ml", "x", "table").bytes(5, norm))
        .bytes(
            1,
            node("ZipMap", "ai.onnx.ml", "table", "probabilities").bytes(5, labels),
        )
        .bytes(11, value("x", Some(&[0, 3])));
    let graph = outputs.iter().fold(graph, |graph, output| graph.bytes(12, output));
    model(graph, &[opset("ai.onnx.ml", 1)])
}

/// A list of maps from whole numbers to floats.
fn maps(name: &str) -> Message {
    let float = message().bytes(1, message().number(1, 1));
    let map = message().bytes(5, message().number(1, 7).bytes(2, float));
    message()
        .bytes(1, name)
        .bytes(2, message().bytes(4, message().bytes(1, map)))
}

#[test]
fn a_zipmap_without_the_standard_operators_is_taken_out_too() {
    let loaded = load_bytes(&zipped(&[4, 5, 9], &[maps("probabilities")])).unwrap();
    assert_eq!(loaded.class_names().unwrap(), ["4", "5", "9"]);
    let mut scorer = scorer(&loaded);
    assert_eq!(scorer.outputs()[0].row_shape, [Some(3)]);
    let rows = inputs(scorer.inputs(), &json!({"x": [[1, 1, 2], [3, 0, 1]]}));
    let outputs = run(&mut scorer, &rows, 0..2).unwrap();
    let wanted = json!([0.25, 0.25, 0.5, 0.75, 0.0, 0.25]);
    outputs[0].assert_near(wanted.as_array().unwrap(), 1e-6, "probabilities");
}

#[test]
fn fewer_classes_than_columns_are_an_error() {
    let error = load_bytes(&zipped(&[4, 5], &[maps("probabilities")])).unwrap_err();
    assert!(matches!(error, Error::Load { .. } | Error::Trial { .. }), "{error}");
}

#[test]
fn rows_too_large_for_any_memory_are_refused_before_they_are_made() {
    for shape in [
        &[0, 127, 127, 127, 127][..],
        &[0, 127, 127, 127, 127, 127, 127, 127, 127, 127, 127],
        &[127; 5],
    ] {
        let error = load_bytes(&identity(Some(shape), None)).unwrap_err();
        assert!(matches!(error, Error::Signature { .. }), "{error}");
    }
}

#[test]
fn golden_rows_of_another_shape_than_the_events_check_the_model_and_no_more() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("odd.onnx"), identity(Some(&[0, 0]), Some(&[0, 0]))).unwrap();
    let golden = json!({"format": 1, "inputs": {"x": [[1, 2, 3]]}, "outputs": {"y": [[1, 2, 3]]}});
    std::fs::write(folder.path().join("golden.json"), golden.to_string()).unwrap();
    let mut settings = settings("odd.onnx");
    settings.golden = Some("golden.json".into());
    let loaded = load(&settings, folder.path()).unwrap();
    for width in [5, 3, 2] {
        let resolved = [TensorSpec {
            row_shape: vec![Some(width)],
            ..loaded.inputs()[0].clone()
        }];
        let mut scorer = loaded.scorer(&resolved).unwrap();
        assert_eq!(scorer.outputs()[0].row_shape, [Some(width)]);
        scorer.probe().unwrap();
        let rows = inputs(scorer.inputs(), &json!({"x": vec![vec![1.5; width]; 3]}));
        assert_eq!(run(&mut scorer, &rows, 0..3).unwrap()[0].data.len(), 3 * width);
    }
}

/// A model that adds three numbers to each row, which lie in `weights.bin` behind four bytes of something else.
struct KeptElsewhere {
    folder: TempDir,
    settings: eddy_model::Settings,
}

const NUMBERS: [f32; 4] = [99.0, 0.5, 1.0, 2.0];

impl KeptElsewhere {
    fn new() -> Self {
        let entry = |key: &str, value: &str| message().bytes(1, key).bytes(2, value);
        let weights = message()
            .number(1, 3)
            .number(2, 1)
            .bytes(8, "weights")
            .bytes(13, entry("location", "weights.bin"))
            .bytes(13, entry("offset", "4"))
            .bytes(13, entry("length", "12"))
            .number(14, 1);
        let graph = message()
            .bytes(1, node("Add", "", "x", "y").bytes(1, "weights"))
            .bytes(5, weights)
            .bytes(11, value("x", Some(&[0, 3])))
            .bytes(12, value("y", Some(&[0, 3])));
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("odd.onnx"), model(graph, &[opset("", 13)]).0).unwrap();
        let kept = Self {
            folder,
            settings: settings("odd.onnx"),
        };
        kept.write(&NUMBERS);
        kept
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("weights.bin")
    }

    fn write(&self, numbers: &[f32]) {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        std::fs::write(self.file(), bytes).unwrap();
    }

    fn allow(&mut self, sha256: &str) {
        self.settings.external_data = [("weights.bin".into(), sha256.into())].into();
    }

    /// What is wrong, and the first SHA-256 that the message shows, if it shows one.
    fn refused(&self) -> (String, Option<String>) {
        let error = load(&self.settings, self.folder.path()).expect_err("it must not load");
        assert!(matches!(error, Error::ExternalData { .. }), "{error}");
        let text = error.to_string();
        let is_digest = |word: &&str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let digest = text.split(['"', ' ', ',']).find(is_digest).map(str::to_owned);
        (text, digest)
    }
}

#[test]
fn data_in_another_file_is_refused_until_it_is_allowed_by_name_and_digest() {
    let mut kept = KeptElsewhere::new();
    let (text, digest) = kept.refused();
    assert!(
        text.contains("initializer `weights` of graph `graph`")
            && text.contains("external_data = { \"weights.bin\" = "),
        "{text}"
    );
    kept.allow(&digest.expect("the message holds the line to add"));
    let loaded = load(&kept.settings, kept.folder.path()).unwrap();
    let (file, digest) = loaded.external_data().next().unwrap();
    assert_eq!(
        (file, digest),
        ("weights.bin", kept.settings.external_data["weights.bin"].as_str())
    );

    // Whatever becomes of the file, every session of the model has the data that was checked.
    std::fs::remove_file(kept.file()).unwrap();
    for _ in 0..2 {
        let mut scorer = scorer(&loaded);
        let rows = inputs(scorer.inputs(), &json!({"x": [[1, 1, 1]]}));
        let outputs = run(&mut scorer, &rows, 0..1).unwrap();
        outputs[0].assert_near(&[json!(1.5), json!(2.0), json!(3.0)], 0.0, "y");
    }
}

#[test]
fn another_file_in_the_place_of_the_allowed_one_is_refused() {
    let mut kept = KeptElsewhere::new();
    kept.allow(&"0".repeat(64));
    let (text, digest) = kept.refused();
    kept.allow(&digest.expect("the message holds the digest that was found"));
    load(&kept.settings, kept.folder.path()).unwrap();
    assert!(text.contains("asks for 0000"), "{text}");

    kept.write(&[1.0; 4]);
    assert!(kept.refused().0.contains("SHA-256"));
    kept.write(&[1.0; 2]);
    let (_, digest) = kept.refused();
    kept.allow(&digest.unwrap());
    let (text, _) = kept.refused();
    assert!(
        text.contains("takes 12 bytes from 4 of `weights.bin`, which has 8"),
        "{text}"
    );
}

#[test]
fn a_name_that_leads_out_of_the_folder_is_refused() {
    let elsewhere = TempDir::new().unwrap();
    let secret = elsewhere.path().join("secret");
    std::fs::write(&secret, [0; 16]).unwrap();
    let kept = KeptElsewhere::new();
    let replace = |make: &dyn Fn()| {
        std::fs::remove_file(kept.file()).unwrap();
        make();
        kept.refused().0
    };
    let symbolic = replace(&|| std::os::unix::fs::symlink(&secret, kept.file()).unwrap());
    assert!(symbolic.contains("symbolic link"), "{symbolic}");
    let hard = replace(&|| std::fs::hard_link(&secret, kept.file()).unwrap());
    assert!(hard.contains("hard link"), "{hard}");
    let pipe = replace(&|| {
        let made = std::process::Command::new("mkfifo").arg(kept.file()).status().unwrap();
        assert!(made.success());
    });
    assert!(pipe.contains("it is not a file"), "{pipe}");
}

#[test]
fn an_allowed_file_that_the_model_does_not_use_is_an_error() {
    let mut plain = settings("odd.onnx");
    plain.external_data = [("weights.bin".into(), "0".repeat(64))].into();
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("odd.onnx"), identity(Some(&[0, 3]), Some(&[0, 3])).0).unwrap();
    let error = load(&plain, folder.path()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("`weights.bin`, in which the model keeps nothing"),
        "{error}"
    );
}
