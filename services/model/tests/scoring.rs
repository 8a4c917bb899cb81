//! What comes out of a scorer, against what numpy computes.

mod common;

use std::time::Duration;

use common::{expected, fixture, float, inputs, leaves, run, scorer};
use eddy_pipeline::score::{RunFault, Scorer};
use eddy_pipeline::tensor::TensorSpec;
use serde_json::json;

#[test]
fn every_type_and_shape_gives_what_numpy_gives() {
    let names = [
        "identity_float32",
        "identity_float64",
        "identity_float16",
        "identity_int32",
        "identity_int64",
        "identity_bool",
        "identity_string",
        "mlp32",
        "mlp32_batch1",
        "mlp32_batch4",
        "backbone",
        "head",
        "two_inputs",
        "two_outputs",
        "divide",
        "pick",
        "slow",
        "unusual",
    ];
    for name in names {
        let case = expected(name);
        let mut scorer = scorer(&fixture(name));
        let rows = inputs(scorer.inputs(), &case["inputs"]);
        let outputs = run(&mut scorer, &rows, 0..rows.rows).unwrap();
        for (spec, output) in scorer.outputs().iter().zip(&outputs) {
            let wanted = leaves(&case["outputs"][&spec.name]);
            output.assert_near(&wanted, float(&case["tolerance"]), &format!("{name} {spec}"));
        }
    }
}

#[test]
fn a_fixed_batch_takes_any_number_of_rows() {
    let case = expected("mlp32");
    for name in ["mlp32_batch1", "mlp32_batch4"] {
        let model = fixture(name);
        let mut scorer = scorer(&model);
        let rows = inputs(scorer.inputs(), &case["inputs"]);
        let wanted = leaves(&case["outputs"]["logits"]);
        for range in [0..8, 0..1, 1..6, 3..8, 7..8] {
            let outputs = run(&mut scorer, &rows, range.clone()).unwrap();
            let wanted = &wanted[range.start * 10..range.end * 10];
            outputs[0].assert_near(wanted, 1e-5, &format!("{name} rows {range:?}"));
        }
        assert_eq!(scorer.max_rows() % model.fixed_batch().unwrap(), 0);
    }
}

#[test]
fn a_part_of_a_batch_gives_the_same_rows_as_the_whole() {
    let case = expected("mlp32");
    let mut scorer = scorer(&fixture("mlp32"));
    let rows = inputs(scorer.inputs(), &case["inputs"]);
    let whole = run(&mut scorer, &rows, 0..8).unwrap();
    for range in [0..1, 2..7, 7..8] {
        let part = run(&mut scorer, &rows, range.clone()).unwrap();
        assert_eq!(part[0].data, whole[0].data[range.start * 10..range.end * 10]);
    }
    let none = run(&mut scorer, &rows, 3..3).unwrap();
    assert_eq!((none[0].width, none[0].data.len()), (10, 0));
}

#[test]
fn a_row_that_the_model_refuses_fails_the_run_and_the_probe_does_not() {
    let mut scorer = scorer(&fixture("pick"));
    let rows = inputs(scorer.inputs(), &json!({"features": [[1, 1], [10, 1], [2, 1]]}));
    for _ in 0..3 {
        assert_eq!(run(&mut scorer, &rows, 0..3).unwrap_err().fault, RunFault::Refused);
        scorer.probe().unwrap();
        let alone = run(&mut scorer, &rows, 2..3).unwrap();
        alone[0].assert_near(&leaves(&json!([8, 9, 10, 11])), 0.0, "pick");
    }
}

#[test]
fn a_text_with_a_zero_byte_is_refused_alone() {
    let mut scorer = scorer(&fixture("identity_string"));
    let rows = inputs(scorer.inputs(), &json!({"x": [["a", "b", "c"], ["a", "\u{0}", "c"]]}));
    assert_eq!(run(&mut scorer, &rows, 0..2).unwrap_err().fault, RunFault::Refused);
    assert_eq!(
        run(&mut scorer, &rows, 0..1).unwrap()[0].data,
        leaves(&json!(["a", "b", "c"]))
    );
}

#[test]
fn rows_beyond_the_buffers_are_refused() {
    let mut scorer = scorer(&fixture("mlp32"));
    let rows = inputs(scorer.inputs(), &expected("mlp32")["inputs"]);
    assert_eq!(run(&mut scorer, &rows, 4..9).unwrap_err().fault, RunFault::Refused);
}

/// Far more work than any machine does in the limit of the test.
const ENDLESS: f64 = 1e9;

#[test]
fn a_run_over_its_limit_is_ended_and_the_next_one_is_not() {
    let mut scorer = scorer(&fixture("slow"));
    let rows = inputs(scorer.inputs(), &json!({"features": [[0, 5], [ENDLESS, 6], [0, 7]]}));
    for _ in 0..3 {
        scorer.set_time_limit(Duration::from_millis(20));
        assert_eq!(run(&mut scorer, &rows, 0..3).unwrap_err().fault, RunFault::TimedOut);
        scorer.set_time_limit(Duration::ZERO);
        run(&mut scorer, &rows, 2..3).unwrap()[0].assert_near(&[json!(7)], 1e-5, "the row after");
        scorer.probe().unwrap();
    }
}

#[test]
fn a_limit_that_strikes_at_any_moment_leaves_the_next_run_alone() {
    let mut scorer = scorer(&fixture("slow"));
    let rows = inputs(scorer.inputs(), &json!({"features": [[2, 5]]}));
    for nanoseconds in (1..400).map(|step| step * 10_000) {
        scorer.set_time_limit(Duration::from_nanos(nanoseconds));
        if let Err(error) = run(&mut scorer, &rows, 0..1) {
            assert_eq!(error.fault, RunFault::TimedOut, "{}", error.message);
        }
        scorer.set_time_limit(Duration::ZERO);
        run(&mut scorer, &rows, 0..1).unwrap();
    }
}

#[test]
fn a_rebuilt_session_gives_the_same_and_keeps_its_limit() {
    let mut scorer = scorer(&fixture("slow"));
    let rows = inputs(scorer.inputs(), &json!({"features": [[1, 5], [ENDLESS, 6]]}));
    let before = run(&mut scorer, &rows, 0..1).unwrap();
    scorer.set_time_limit(Duration::from_millis(20));
    scorer.rebuild().unwrap();
    assert_eq!(run(&mut scorer, &rows, 1..2).unwrap_err().fault, RunFault::TimedOut);
    scorer.set_time_limit(Duration::ZERO);
    assert_eq!(run(&mut scorer, &rows, 0..1).unwrap(), before);
}

#[test]
fn two_lanes_with_a_session_each_get_the_very_same_numbers() {
    let model = fixture("mlp32");
    let case = expected("mlp32");
    let work = |mut scorer: eddy_model::OrtScorer| {
        let rows = inputs(scorer.inputs(), &case["inputs"]);
        (0..200)
            .map(|_| run(&mut scorer, &rows, 0..8).unwrap())
            .collect::<Vec<_>>()
    };
    let (first, second) = (scorer(&model), scorer(&model));
    std::thread::scope(|scope| {
        let first = scope.spawn(|| work(first));
        let second = scope.spawn(|| work(second));
        let (first, second) = (first.join().unwrap(), second.join().unwrap());
        assert!(first.iter().chain(&second).all(|outputs| *outputs == first[0]));
    });
}

#[test]
fn inputs_that_do_not_fit_the_model_are_an_error() {
    let model = fixture("two_inputs");
    let right = model.inputs().to_vec();
    let swapped = vec![right[1].clone(), right[0].clone()];
    let wider = TensorSpec {
        row_shape: vec![Some(4)],
        ..right[0].clone()
    };
    for wrong in [vec![], swapped, vec![wider, right[1].clone()]] {
        let error = model.scorer(&wrong).unwrap_err().to_string();
        assert!(error.contains("`test`"), "{error}");
    }
}
