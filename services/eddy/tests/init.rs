//! `eddy init` and `eddy profile` as whole commands, on the models of the examples and on real rows with the trainer's own
//! predictions (`tests/fixtures/init/make.py`).

use std::path::{Path, PathBuf};

use eddy::assemble::assemble;
use eddy::cli::{InitArguments, ProfileArguments};
use eddy::onboard::{self, Error};
use eddy::{file, profile};
use eddy_host::ExitCode;
use eddy_pipeline::profile::{Feature, Profile};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn fixture(name: &str) -> PathBuf {
    root().join("tests/fixtures/init").join(name)
}

fn example(name: &str) -> PathBuf {
    root().join("config").join(name)
}

fn json(path: PathBuf) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn expected() -> Value {
    json(fixture("expected.json"))
}

fn arguments(example_name: &str, data: PathBuf, out: &Path) -> InitArguments {
    InitArguments {
        model: example(example_name).join("model.onnx"),
        data,
        label: None,
        expect: None,
        expect_column: None,
        out: Some(out.to_owned()),
        brokers: None,
        events: None,
        start: None,
        force: false,
    }
}

#[track_caller]
fn succeeds(arguments: &InitArguments) -> String {
    onboard::run(arguments, Vec::new()).unwrap_or_else(|error| panic!("{error}"))
}

/// `eddy init` is refused with this code and leaves nothing behind.
#[track_caller]
fn refused(arguments: &InitArguments, code: ExitCode) -> String {
    let out = arguments.out.clone().unwrap();
    let before = out.exists();
    let error = onboard::run(arguments, Vec::new()).expect_err("it is wrong on purpose");
    assert_eq!(error.exit_code(), code, "{error}");
    assert_eq!(out.exists(), before);
    if before {
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 0, "nothing is left behind");
    }
    error.to_string()
}

/// What `eddy check` does with a file but for the brokers.
#[track_caller]
fn loads(folder: &Path) -> file::Pipeline {
    let pipeline = file::load(&folder.join("pipeline.toml"), []).unwrap_or_else(|problems| panic!("{problems}"));
    assemble(&pipeline).unwrap_or_else(|problems| panic!("{problems}"));
    pipeline
}

#[test]
fn a_classifier_shows_the_accuracy_that_its_trainer_measured_on_the_same_rows() {
    let out = tempfile::tempdir().unwrap();
    for name in ["cancer", "titanic"] {
        let folder = out.path().join(name);
        let report = succeeds(&arguments(name, fixture(&format!("{name}.csv")), &folder));
        let (expected, score) = (&expected()[name], json(example(name).join("score.json")));
        assert_eq!(
            format!("{:.4}", score["value"].as_f64().unwrap()),
            format!("{:.4}", expected["accuracy"].as_f64().unwrap())
        );
        let accuracy = format!(
            "accuracy     {:.4} on {} rows",
            expected["accuracy"].as_f64().unwrap(),
            expected["rows"]
        );
        assert!(report.contains(&accuracy), "`{accuracy}` is missing in:\n{report}");
        let pipeline = loads(&folder);
        assert_eq!(pipeline.file.select.fraction, Some(0.001));
        assert!(!pipeline.file.fields.contains_key("diagnosis") && !pipeline.file.fields.contains_key("survived"));
    }
}

#[test]
fn the_area_under_the_curve_is_that_of_scikit_learn() {
    let out = tempfile::tempdir().unwrap();
    let report = succeeds(&arguments("cancer", fixture("cancer.csv"), out.path()));
    let auc = format!("AUC          {:.4}", expected()["cancer"]["auc"].as_f64().unwrap());
    assert!(report.contains(&auc), "{report}");
    let base = format!(
        "always `benign`: {:.4}",
        expected()["cancer"]["most_frequent"].as_f64().unwrap()
    );
    assert!(report.contains(&base), "{report}");
}

#[test]
fn words_get_the_order_in_which_the_predictions_agree_with_them() {
    let out = tempfile::tempdir().unwrap();
    succeeds(&arguments("cancer", fixture("cancer.csv"), out.path()));
    let text = std::fs::read_to_string(out.path().join("pipeline.toml")).unwrap();
    assert!(text.contains("classes = [\"malignant\", \"benign\"]"), "{text}");
}

#[test]
fn a_regression_shows_the_r2_that_its_trainer_measured_and_agrees_row_by_row() {
    let out = tempfile::tempdir().unwrap();
    let mut arguments = arguments("diabetes", fixture("diabetes.csv"), out.path());
    arguments.expect = Some(fixture("diabetes-predicted.jsonl"));
    let report = succeeds(&arguments);
    let expected = &expected()["diabetes"];
    for line in [
        format!("R²           {:.4} on 177 rows", expected["r2"].as_f64().unwrap()),
        format!("RMSE         {:.4}", expected["rmse"].as_f64().unwrap()),
        "177 of 177 rows agree with `value` (100.000 %)".to_owned(),
    ] {
        assert!(report.contains(&line), "`{line}` is missing in:\n{report}");
    }
    loads(out.path());
}

#[test]
fn a_folder_of_images_is_data_and_its_folders_are_the_labels() {
    let folder = tempfile::tempdir().unwrap();
    let pixels = std::fs::read(example("digits/heldout.bin")).unwrap();
    let labels = std::fs::read(example("digits/heldout.labels")).unwrap();
    let images = folder.path().join("images");
    for (number, (pixels, label)) in pixels.chunks(64).zip(&labels).enumerate() {
        let class = images.join(label.to_string());
        std::fs::create_dir_all(&class).unwrap();
        let image = image::GrayImage::from_raw(8, 8, pixels.to_vec()).unwrap();
        image.save(class.join(format!("{number:03}.png"))).unwrap();
    }
    let out = folder.path().join("out");
    let report = succeeds(&arguments("digits", images, &out));
    let score = json(example("digits/score.json"))["value"].as_f64().unwrap();
    let accuracy = format!("accuracy     {score:.4} on 900 rows");
    assert!(report.contains(&accuracy), "`{accuracy}` is missing in:\n{report}");
    assert!(
        report.contains("profile      none: a profile needs 1000 rows, and 900 were usable"),
        "{report}"
    );
    loads(&out);
}

#[test]
fn labels_that_mean_nothing_are_refused_as_chance() {
    let folder = tempfile::tempdir().unwrap();
    let data = fixture("cancer-shuffled.csv");
    let message = refused(
        &arguments("cancer", data, &folder.path().join("new/out")),
        ExitCode::Configuration,
    );
    assert!(
        message.contains("no better than chance") && message.contains("order of training"),
        "{message}"
    );
    assert!(
        !folder.path().join("new").exists(),
        "folders that were made are gone again"
    );
}

#[test]
fn columns_out_of_order_are_refused_as_chance_or_worse() {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(fixture("diabetes.csv")).unwrap();
    let turned = text.lines().map(|line| {
        let mut cells: Vec<&str> = line.split(',').collect();
        cells[..10].reverse();
        cells.join(",") + "\n"
    });
    let data = folder.path().join("turned.csv");
    std::fs::write(&data, turned.collect::<String>()).unwrap();
    let message = refused(
        &arguments("diabetes", data, &folder.path().join("out")),
        ExitCode::Configuration,
    );
    assert!(
        message.contains("R²           -") && message.contains("no better than chance"),
        "{message}"
    );
}

#[test]
fn a_label_that_is_not_clear_is_asked_for_and_then_taken() {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(fixture("titanic.csv")).unwrap();
    let lines = text.lines().enumerate().map(|(number, line)| match number {
        0 => format!("target,{line}\n"),
        number => format!("{},{line}\n", number % 2),
    });
    let data = folder.path().join("two-labels.csv");
    std::fs::write(&data, lines.collect::<String>()).unwrap();
    let mut arguments = arguments("titanic", data, &folder.path().join("out"));
    let message = refused(&arguments, ExitCode::Usage);
    for candidate in ["--label target ", "--label survived "] {
        assert!(message.contains(candidate), "{message}");
    }
    arguments.label = Some("survive".into());
    let message = refused(&arguments, ExitCode::Configuration);
    assert!(message.contains("survived"), "{message}");
    arguments.label = Some("survived".into());
    let report = succeeds(&arguments);
    assert!(report.contains("label        `survived`, as you say"), "{report}");
}

#[test]
fn the_trainers_classes_and_probabilities_agree_row_by_row() {
    let folder = tempfile::tempdir().unwrap();
    for (number, (name, column)) in [
        ("cancer-predicted.csv", "predicted"),
        ("cancer-probability.parquet", "probability"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut arguments = arguments("cancer", fixture("cancer.csv"), &folder.path().join(number.to_string()));
        arguments.expect = Some(fixture(name));
        let report = succeeds(&arguments);
        let line = format!("228 of 228 rows agree with `{column}` (100.000 %)");
        assert!(report.contains(&line), "{report}");
    }
}

#[test]
fn predictions_that_slipped_by_a_row_are_caught_with_the_first_that_differ() {
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = arguments("cancer", fixture("cancer.csv"), &folder.path().join("out"));
    arguments.expect = Some(fixture("cancer-slipped.csv"));
    let message = refused(&arguments, ExitCode::Configuration);
    assert!(
        message.contains("of 228 rows agree") && message.contains("\n  line 2: the trainer says "),
        "{message}"
    );
    // One prediction too few is told as such.
    let text = std::fs::read_to_string(fixture("cancer-predicted.csv")).unwrap();
    let short = folder.path().join("short.csv");
    std::fs::write(&short, text.trim_end().rsplit_once('\n').unwrap().0).unwrap();
    arguments.expect = Some(short);
    let message = refused(&arguments, ExitCode::Configuration);
    assert!(message.contains("there are 227 predictions for 228 rows"), "{message}");
}

#[test]
fn what_is_there_is_replaced_only_by_force() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pipeline.toml");
    std::fs::write(&file, "mine").unwrap();
    let mut arguments = arguments("cancer", fixture("cancer.csv"), folder.path());
    let error = onboard::run(&arguments, Vec::new()).unwrap_err();
    assert!(matches!(error, Error::Exists(_)), "{error}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    arguments.force = true;
    arguments.brokers = Some("kafka-1:9092,kafka-2:9092".into());
    succeeds(&arguments);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("brokers = \"kafka-1:9092,kafka-2:9092\""), "{text}");
}

#[cfg(unix)]
#[test]
fn a_folder_that_is_a_link_leads_to_the_model_all_the_same() {
    let root = tempfile::tempdir().unwrap();
    let (far, near) = (root.path().join("a/b/far"), root.path().join("near"));
    std::fs::create_dir_all(&far).unwrap();
    std::os::unix::fs::symlink(&far, &near).unwrap();
    let model = root.path().join("model.onnx");
    std::fs::copy(example("cancer/model.onnx"), &model).unwrap();
    let mut arguments = arguments("cancer", fixture("cancer.csv"), &near);
    arguments.model = model;
    succeeds(&arguments);
    let text = std::fs::read_to_string(far.join("pipeline.toml")).unwrap();
    assert!(text.contains("path = \"../../../model.onnx\""), "{text}");
    loads(&near);
    loads(&far);
}

#[cfg(target_os = "linux")]
#[test]
fn a_model_that_no_pipeline_file_can_name_is_refused_with_what_to_do() {
    use std::os::unix::ffi::OsStrExt as _;
    let root = tempfile::tempdir().unwrap();
    let model = root.path().join(std::ffi::OsStr::from_bytes(b"m\xff.onnx"));
    std::fs::copy(example("cancer/model.onnx"), &model).unwrap();
    let mut arguments = arguments("cancer", fixture("cancer.csv"), &root.path().join("out"));
    arguments.model = model;
    let message = refused(&arguments, ExitCode::Configuration);
    assert!(message.contains("not UTF-8") && message.contains("rename"), "{message}");
}

/// Counts of values at most as large as each edge, by numpy, against the bins of a profile.
#[track_caller]
fn counts_as_numpy(profile: &Profile, expected: &Value) {
    assert_eq!(profile.rows, expected["rows"].as_u64().unwrap());
    assert_eq!(profile.features.len(), 9);
    for feature in &profile.features {
        let Feature::Number(number) = feature else {
            panic!("all of Shuttle's columns are numbers");
        };
        let column = &expected["columns"][&number.name];
        let mut below = 0;
        for (edge, count) in number.edges.iter().zip(&number.counts) {
            below += count;
            // numpy's answer for the largest value that is not above the edge.
            let at_most = column["at_most"].as_object().unwrap().iter();
            let numpy = at_most
                .filter(|(value, _)| value.parse::<f32>().unwrap() <= *edge)
                .map(|(_, count)| count.as_u64().unwrap())
                .max();
            assert_eq!(Some(below), numpy, "{} at {edge}", number.name);
        }
        assert_eq!(number.counts.iter().sum::<u64>(), profile.rows);
        let moments = number.moments.unwrap();
        for (name, own) in [
            ("min", moments.min),
            ("max", moments.max),
            ("mean", moments.mean),
            ("std", moments.std),
            ("median", moments.median),
        ] {
            let numpy = column[name].as_f64().unwrap();
            let apart = (f64::from(own) - numpy).abs();
            assert!(
                apart <= 1e-4 * numpy.abs().max(1.0),
                "{} {name}: {own}, {numpy}",
                number.name
            );
        }
    }
}

#[test]
fn enough_rows_leave_a_profile_whose_counts_are_those_of_numpy() {
    let out = tempfile::tempdir().unwrap();
    let report = succeeds(&arguments("shuttle", fixture("shuttle.parquet"), out.path()));
    let profile = Profile::from_json(&std::fs::read(out.path().join("profile.json")).unwrap()).unwrap();
    assert!(report.contains(&profile.id()), "{report}");
    let expected = &expected()["shuttle"];
    counts_as_numpy(&profile, expected);
    let most = (2000 - expected["anomalies"].as_u64().unwrap()) as f64 / 2000.0;
    assert!(report.contains(&format!("always `0`: {most:.4}")), "{report}");
    let pipeline = loads(out.path());
    assert_eq!(pipeline.file.models[0].profile, Some("profile.json".into()));
    assert_eq!(
        std::fs::read_dir(out.path()).unwrap().count(),
        2,
        "two files and nothing temporary"
    );
}

fn profile_arguments(folder: &Path) -> ProfileArguments {
    ProfileArguments {
        topic: None,
        pipeline: example("shuttle/pipeline.toml"),
        data: Some(fixture("shuttle.parquet")),
        since: None,
        until: None,
        model: None,
        label: None,
        segment: None,
        out: Some(folder.join("profile.json")),
        rows: None,
    }
}

#[test]
fn a_profile_of_a_pipeline_that_is_there_has_the_same_counts_with_and_without_a_budget() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = profile_arguments(folder.path());
    let summary = profile::build(&arguments, []).unwrap_or_else(|error| panic!("{error}"));
    assert!(summary.contains("\nprofile = \""), "{summary}");
    let profile = Profile::from_json(&std::fs::read(arguments.out.unwrap()).unwrap()).unwrap();
    counts_as_numpy(&profile, &expected()["shuttle"]);
    assert_eq!(profile.outputs.quality, None);
}

/// A pipeline in a folder of its own: that of Shuttle, with these lines below its model and these tables at its end.
fn shuttle(folder: &Path, below: &str, tables: &str) -> PathBuf {
    let text = std::fs::read_to_string(example("shuttle/pipeline.toml")).unwrap();
    let model = format!("path = {:?}\n{below}", example("shuttle/model.onnx"));
    let text = text.replace("path = \"model.onnx\"", &model);
    let lines = text.lines().filter(|line| !line.starts_with("golden"));
    let file = folder.join("pipeline.toml");
    std::fs::write(&file, lines.collect::<Vec<_>>().join("\n") + tables).unwrap();
    file
}

#[test]
fn a_profile_can_be_made_where_the_one_that_is_named_is_missing_broken_or_of_another_version() {
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = profile_arguments(folder.path());
    let below = "profile = \"profile.json\"\nsignals = [\"hbos\"]\n";
    arguments.pipeline = shuttle(folder.path(), below, "\n[policy]\npath = \"policy.toml\"\n");
    std::fs::write(
        folder.path().join("policy.toml"),
        "format = 1\n[select]\nanomaly = { signal = \"knn\" ",
    )
    .unwrap();
    let make = |arguments: &ProfileArguments, variables: &[(&str, &str)]| {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        profile::build(arguments, variables).unwrap_or_else(|error| panic!("{error}"))
    };
    let of_missing = make(&arguments, &[("EDDY__SELECT__ANOMALY__SIGNAL", "hbos")]);
    assert!(
        of_missing.contains("the pipeline file names it already"),
        "{of_missing}"
    );
    let next = [("EDDY__MODELS__0__VERSION", "2")];
    let of_stale = make(&arguments, &next);
    assert!(of_stale.contains("shuttle 2"), "{of_stale}");
    std::fs::write(folder.path().join("profile.json"), "{").unwrap();
    make(&arguments, &next);
    let profile = Profile::from_json(&std::fs::read(folder.path().join("profile.json")).unwrap()).unwrap();
    assert_eq!(profile.version, "2");
}

#[test]
fn the_line_to_add_names_the_profile_from_the_folder_of_the_pipeline() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("pipelines");
    std::fs::create_dir(&folder).unwrap();
    let mut arguments = profile_arguments(root.path());
    arguments.pipeline = shuttle(&folder, "", "");
    let summary = profile::build(&arguments, []).unwrap_or_else(|error| panic!("{error}"));
    assert!(summary.contains("\nprofile = \"../profile.json\"\n"), "{summary}");
}

#[test]
fn labels_of_a_profile_are_classes_by_name_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = profile_arguments(folder.path());
    arguments.label = Some("label".into());
    let error = profile::build(&arguments, []).unwrap_err().to_string();
    assert!(
        error.contains("none of the model's classes: normal, anomaly"),
        "{error}"
    );
    assert!(!folder.path().join("profile.json").exists());
    let names = [("EDDY__MODELS__0__HEAD__CLASSES".to_owned(), "[\"0\", \"1\"]".to_owned())];
    let summary = profile::build(&arguments, names).unwrap_or_else(|error| panic!("{error}"));
    assert!(summary.contains("held out     accuracy "), "{summary}");
}

#[test]
fn too_few_rows_and_rows_that_do_not_fit_make_no_profile() {
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = profile_arguments(folder.path());
    arguments.rows = Some(999);
    let error = profile::build(&arguments, []).unwrap_err().to_string();
    assert!(error.contains("needs 1000 rows, and 999 were usable"), "{error}");
    arguments.data = Some(fixture("diabetes.csv"));
    let error = profile::build(&arguments, []).unwrap_err().to_string();
    assert!(
        error.contains("rejects 177 of 177 rows") && error.contains("177 × missing_field, such as line 2: "),
        "{error}"
    );
    arguments.model = Some("other".into());
    let error = profile::build(&arguments, []).unwrap_err().to_string();
    assert!(error.contains("pass --model with one of `shuttle`"), "{error}");
}
