//! Rehearsals by the program itself: models that would take a process with them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use eddy_model::rehearsal::{Failure, Order, Outcome, Stage};
use eddy_model::{Program, RehearsalSettings, Runtime, RuntimeSettings, Settings};
use eddy_pipeline::settings::Span;
use eddy_tests::service::wait_for;

const PROGRAM: &str = env!("CARGO_BIN_EXE_eddy-under-test");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn fixture(name: &str) -> PathBuf {
    root().join("tests/fixtures/models").join(name)
}

fn stage(limits: RehearsalSettings, run_limit: Span) -> Stage {
    eddy_model::disable_runtime_telemetry();
    let runtime = Runtime::load(&RuntimeSettings::default(), &root()).unwrap_or_else(|error| panic!("{error}"));
    let head = serde_json::from_str(r#"{"type": "regression"}"#).unwrap();
    let order = Order {
        library: Some(runtime.library().to_owned()),
        limits,
        run_limit,
        model: Settings::new("rehearsed", "rehearsed.onnx", head),
    };
    Stage::set(&Program::new(PROGRAM, ["rehearse"]), &order).unwrap_or_else(|failure| panic!("a model {failure}"))
}

fn rehearse(stage: &mut Stage, model: &str) -> Result<Outcome, Failure> {
    stage.rehearse(&std::fs::read(fixture(model)).unwrap())
}

#[test]
fn one_process_rehearses_models_one_after_another_and_says_what_became_of_each() {
    let mut stage = stage(RehearsalSettings::default(), Span::seconds(60));
    for model in [
        "mlp32.onnx",
        "mlp32_batch4.onnx",
        "slow.onnx",
        "two_inputs.onnx",
        "pick.onnx",
        "identity_string.onnx",
    ] {
        assert_eq!(rehearse(&mut stage, model).unwrap(), Outcome::Sound, "{model}");
    }
    let refused = rehearse(&mut stage, "broken/wrong_rank.onnx").unwrap();
    assert!(
        matches!(&refused, Outcome::DoesNotLoad { reason } if reason.contains("Gemm")),
        "{refused:?}"
    );
    let odd = rehearse(&mut stage, "identity_uint8.onnx").unwrap();
    assert!(
        matches!(&odd, Outcome::DoesNotFit { signature, .. } if signature.contains("u8")),
        "{odd:?}"
    );
    assert_eq!(rehearse(&mut stage, "mlp32.onnx").unwrap(), Outcome::Sound);
}

#[test]
fn a_model_that_never_ends_is_ended_by_each_of_the_limits() {
    let run = rehearse(
        &mut stage(RehearsalSettings::default(), Span::seconds(1)),
        "hostile/endless.onnx",
    )
    .unwrap();
    assert!(
        matches!(&run, Outcome::DoesNotRun { reason } if reason.contains("longer than its limit")),
        "{run:?}"
    );

    let little = RehearsalSettings {
        processor_time: Span::seconds(1),
        ..RehearsalSettings::default()
    };
    let busy = rehearse(&mut stage(little, Span::seconds(60)), "hostile/endless.onnx");
    assert!(matches!(busy, Err(Failure::Busy { .. })), "{busy:?}");

    let soon = RehearsalSettings {
        deadline: Span::seconds(1),
        ..RehearsalSettings::default()
    };
    let late = rehearse(&mut stage(soon, Span::seconds(60)), "hostile/endless.onnx");
    assert!(matches!(late, Err(Failure::Late { .. })), "{late:?}");
}

#[test]
fn a_model_that_makes_the_runtime_abort_takes_nothing_but_its_rehearsal() {
    let mut first = stage(RehearsalSettings::default(), Span::seconds(60));
    let died = rehearse(&mut first, "hostile/aborts.onnx");
    assert!(
        matches!(&died, Err(Failure::Died { how, .. }) if how == "signal 6, SIGABRT"),
        "{died:?}"
    );
    let gone = rehearse(&mut first, "mlp32.onnx");
    assert!(matches!(gone, Err(Failure::Died { .. })), "{gone:?}");
}

#[test]
fn a_model_that_wants_more_memory_than_a_rehearsal_has_does_not_run() {
    let mut stage = stage(RehearsalSettings::default(), Span::seconds(60));
    let outcome = rehearse(&mut stage, "hostile/greedy.onnx").unwrap();
    assert!(
        matches!(&outcome, Outcome::DoesNotRun { reason } if reason.contains("alloc")),
        "{outcome:?}"
    );
    assert_eq!(
        rehearse(&mut stage, "mlp32.onnx").unwrap(),
        Outcome::Sound,
        "it goes on"
    );
}

/// `eddy check` of the digits example with another model in it. Port 1 is nobody's.
fn check(model: &str, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .arg("check")
        .arg(root().join("config/digits/pipeline.toml"))
        .env("EDDY__KAFKA__BROKERS", "127.0.0.1:1")
        .env("EDDY__MODELS__0__PATH", std::path::absolute(fixture(model)).unwrap())
        .envs(variables.iter().copied())
        .stdout(Stdio::null());
    command
}

#[test]
fn check_says_of_each_hostile_model_why_it_is_not_loaded() {
    let cases = [
        // A newer runtime may refuse it; another one that it stumbles over is due then (see the mutants).
        (
            "hostile/aborts.onnx",
            "crashed ONNX Runtime when it was rehearsed in a process of its own (signal 6, SIGABRT",
        ),
        ("hostile/circle.onnx", "took more than 1s of processor time"),
        ("hostile/endless.onnx", "took more than 1s of processor time"),
        ("hostile/greedy.onnx", "`runtime.rehearsal.memory`"),
        ("hostile/password_in_sparse.onnx", "keeps its data in `/etc/passwd`"),
        (
            "hostile/address_in_constant.onnx",
            "points at the memory of the process",
        ),
        ("hostile/twice.onnx", "`limits.nodes`"),
    ];
    // At once, because each of them also looks for brokers, in vain.
    let start = |(model, part)| {
        let mut command = check(model, &[("EDDY__RUNTIME__REHEARSAL__PROCESSOR_TIME", "1s")]);
        (model, part, command.stderr(Stdio::piped()).spawn().unwrap())
    };
    for (model, part, checking) in cases.map(start) {
        let output = checking.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{model}: {text}");
        let line = text
            .lines()
            .find(|line| line.contains("`models[0].path`"))
            .unwrap_or_default();
        assert!(line.contains(part) && line.contains(model), "{model}: {text}");
    }
}

#[test]
fn a_rehearsal_ends_with_the_process_that_asked_for_it() {
    let mut asking = check("hostile/endless.onnx", &[])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let children = format!("/proc/{0}/task/{0}/children", asking.id());
    let rehearsal = wait_for("a rehearsal", || {
        let pid = std::fs::read_to_string(&children).ok()?;
        let pid = pid.split_whitespace().next()?.to_owned();
        // Its limits are set before the runtime is loaded; by then it is bound to the one that asked.
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
        maps.contains("onnxruntime").then_some(pid)
    });
    asking.kill().unwrap();
    asking.wait().unwrap();
    wait_for("the rehearsal to end", || {
        // Where nobody waits for orphans, it stays in the table as a zombie.
        let state = std::fs::read_to_string(format!("/proc/{rehearsal}/stat")).unwrap_or_default();
        (state.is_empty() || state.contains(") Z ")).then_some(())
    });
}
