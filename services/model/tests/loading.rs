//! What happens to files that are not what they should be.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use common::{fixture, fixtures, inputs, load, run, runtime, scorer, settings};
use eddy_model::{BatchCaps, Error, Model, Provider};
use eddy_pipeline::score::Scorer;
use eddy_pipeline::settings::Bytes;
use serde_json::json;
use tempfile::TempDir;

fn refuse(settings: &eddy_model::Settings, folder: &Path) -> (Error, String) {
    let error = load(settings, folder).expect_err("it must not load");
    let text = error.to_string();
    let name = settings.path.file_name().unwrap().to_string_lossy().into_owned();
    assert!(text.contains(&name), "the error names the file: {text}");
    (error, text)
}

#[test]
fn every_broken_file_is_an_error_that_names_it() {
    let folder = fixtures().join("broken");
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name();
        let (_, text) = refuse(&settings(&name), &folder);
        assert!(!text.contains('\n'), "one line: {text}");
        count += 1;
    }
    assert!(count >= 9, "only {count} broken files were found");
}

#[test]
fn files_that_are_something_else_say_what_to_do() {
    let folder = fixtures().join("broken");
    let cases = [
        ("empty", "empty"),
        ("html", "web page"),
        ("lfs_pointer", "git lfs pull"),
        ("truncated", "middle"),
    ];
    for (name, hint) in cases {
        let (error, text) = refuse(&settings(format!("{name}.onnx")), &folder);
        assert!(matches!(error, Error::NotOnnx { .. }), "{name}: {text}");
        assert!(text.contains(hint), "{name}: {text}");
    }
}

#[test]
fn a_missing_a_too_large_and_another_file_are_errors() {
    let (error, _) = refuse(&settings("nowhere.onnx"), &fixtures());
    assert!(matches!(error, Error::Read { .. }));

    let mut small = settings("mlp32.onnx");
    small.max_file_bytes = Bytes(1000);
    let (error, text) = refuse(&small, &fixtures());
    assert!(matches!(error, Error::TooLarge { .. }), "{text}");

    let mut other = settings("mlp32.onnx");
    other.sha256 = Some("0".repeat(64));
    let (error, text) = refuse(&other, &fixtures());
    assert!(
        matches!(error, Error::Sha256 { .. }) && text.contains(fixture("mlp32").sha256()),
        "{text}"
    );
}

#[test]
fn the_right_sha256_is_accepted_in_either_case() {
    // What `sha256sum` prints for three bytes that everybody knows: the digest itself is not ours.
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("abc.onnx"), "abc").unwrap();
    let mut abc = settings("abc.onnx");
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    abc.sha256 = Some(digest.to_uppercase());
    let (error, text) = refuse(&abc, folder.path());
    assert!(
        matches!(error, Error::NotOnnx { .. }),
        "the digest is right, the file is not: {text}"
    );
}

#[test]
fn a_type_that_cannot_be_handled_is_shown_with_all_that_the_model_has() {
    let (error, text) = refuse(&settings("identity_uint8.onnx"), &fixtures());
    assert!(matches!(error, Error::Signature { .. }), "{text}");
    assert!(
        text.contains("`x` u8[?,3]") && text.contains("`y` u8[?,3]") && text.contains("cast"),
        "{text}"
    );
}

#[test]
fn golden_rows_that_differ_refuse_the_model_and_say_where() {
    let folder = TempDir::new().unwrap();
    std::fs::copy(fixtures().join("divide.onnx"), folder.path().join("divide.onnx")).unwrap();
    let mut golden = settings("divide.onnx");
    golden.golden = Some("golden.json".into());
    let write = |outputs: serde_json::Value| {
        let text = json!({
            "format": 1, "tolerance": 1e-4,
            "inputs": {"features": [[1, 4], [0, 0], [1, 0]]},
            "outputs": {"ratio": outputs},
        });
        std::fs::write(folder.path().join("golden.json"), text.to_string()).unwrap();
    };

    write(json!([[0.25], ["NaN"], ["Infinity"]]));
    load(&golden, folder.path()).unwrap();

    for (outputs, row) in [
        (json!([[0.26], ["NaN"], ["Infinity"]]), 0),
        (json!([[0.25], [0.0], ["Infinity"]]), 1),
        (json!([[0.25], ["NaN"], ["NaN"]]), 2),
    ] {
        write(outputs);
        let (error, text) = refuse(&golden, folder.path());
        let Error::GoldenMismatch(found) = error else {
            panic!("{text}")
        };
        assert_eq!(found.row, row, "{text}");
        assert!(text.contains("golden.json") && text.contains("`ratio`"), "{text}");
    }

    golden.tolerance = Some(0.1);
    write(json!([[0.26], ["NaN"], ["Infinity"]]));
    load(&golden, folder.path()).unwrap();
}

#[test]
fn a_golden_file_that_the_model_does_not_take_is_an_error() {
    let folder = TempDir::new().unwrap();
    std::fs::copy(fixtures().join("pick.onnx"), folder.path().join("pick.onnx")).unwrap();
    let mut golden = settings("pick.onnx");
    golden.golden = Some("golden.json".into());
    let refused_row = r#"{"format":1,"inputs":{"features":[[10,1]]},"outputs":{"picked":[[0,0,0,0]]}}"#;
    for text in ["", "[]", refused_row] {
        std::fs::write(folder.path().join("golden.json"), text).unwrap();
        let error = load(&golden, folder.path()).unwrap_err();
        assert!(matches!(error, Error::Golden { .. }), "{error}");
    }
}

#[test]
fn a_provider_that_is_not_there_is_refused_or_replaced_as_the_settings_say() {
    let mut cuda = settings("mlp32.onnx");
    cuda.providers = vec![Provider::TensorRt, Provider::Cuda];
    match load(&cuda, &fixtures()) {
        // A machine that has one.
        Ok(model) => assert_ne!(model.provider(), Provider::Cpu),
        Err(error) => {
            assert!(matches!(error, Error::Providers { .. }), "{error}");
            let text = error.to_string();
            assert!(
                text.contains("tensorrt:") && text.contains("cuda:") && text.contains("fallback"),
                "{text}"
            );

            cuda.fallback = eddy_model::Fallback::Cpu;
            let model = load(&cuda, &fixtures()).unwrap();
            assert_eq!(model.provider(), Provider::Cpu);
            assert!(model.fell_back().unwrap().contains("cuda:"));
        }
    }
    assert_eq!(fixture("mlp32").fell_back(), None);
}

#[test]
fn a_damaged_model_is_an_error_or_a_model_but_never_a_panic() {
    let whole = std::fs::read(fixtures().join("mlp32.onnx")).unwrap();
    let folder = TempDir::new().unwrap();
    let mut random = fastrand::Rng::with_seed(31);
    let mut next = |below: usize| random.usize(..below);
    let (mut loaded, mut refused) = (0, 0);
    for _ in 0..400 {
        let mut damaged = whole.clone();
        for _ in 0..1 + next(4) {
            // Weights are most of the file and forgive anything, so half the flips go to its ends.
            let place = if next(2) == 0 {
                next(whole.len())
            } else {
                (whole.len() - 300 + next(600)) % whole.len()
            };
            damaged[place] ^= 1 << next(8);
        }
        std::fs::write(folder.path().join("damaged.onnx"), &damaged).unwrap();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let model = Model::load(
                runtime(),
                &settings("damaged.onnx"),
                folder.path(),
                BatchCaps::default(),
            )?;
            if model.inputs().len() == 1 && model.inputs()[0].row_width() == Some(32) {
                let mut scorer = model.scorer(model.inputs())?;
                let rows = common::expected("mlp32")["inputs"].clone();
                let rows = serde_json::json!({ scorer.inputs()[0].name.clone(): rows["features"] });
                if scorer.inputs()[0].dtype == eddy_pipeline::tensor::DType::Float32 {
                    let rows = inputs(scorer.inputs(), &rows);
                    drop(run(&mut scorer, &rows, 0..rows.rows));
                }
            }
            Ok::<_, Error>(())
        }));
        match outcome.expect("no panic") {
            Ok(()) => loaded += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(loaded > 0 && refused > 0, "{loaded} loaded and {refused} were refused");
}

#[test]
fn every_prefix_of_a_model_is_an_error_or_a_model_but_never_a_panic() {
    let whole = std::fs::read(common::root().join("config/titanic/model.onnx")).unwrap();
    let folder = TempDir::new().unwrap();
    for len in (0..whole.len()).step_by(7) {
        std::fs::write(folder.path().join("cut.onnx"), &whole[..len]).unwrap();
        drop(load(&settings("cut.onnx"), folder.path()));
    }
}

#[test]
fn calibration_measures_and_a_stated_number_of_rows_wins() {
    let measuring = common::load_runtime(&eddy_model::RuntimeSettings::default());
    let caps = BatchCaps {
        rows: 64,
        ..BatchCaps::default()
    };
    let mut mlp = settings("mlp32.onnx");
    let model = Model::load(&measuring, &mlp, &fixtures(), caps).unwrap();
    let calibration = model.calibration().unwrap();
    assert!(!calibration.points().is_empty());
    assert!(calibration.points().iter().all(|(rows, _)| *rows <= 64));
    assert!((1..=64).contains(&scorer(&model).max_rows()));
    assert!(scorer(&model).expected_time(64) > std::time::Duration::ZERO);

    mlp.max_rows = Some(7);
    let model = Model::load(&measuring, &mlp, &fixtures(), caps).unwrap();
    assert_eq!(scorer(&model).max_rows(), 7);
}
