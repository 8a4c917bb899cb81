//! What becomes of the process that asks, when the one that rehearses does not come to its end. The actor here is a shell
//! that ends as the name of the model tells it to; the real one is tested with the program.

mod common;

use std::time::Duration;

use common::{fixtures, load_runtime, settings};
use eddy_model::{
    BatchCaps, Error, Model, Program, Provider, RehearsalSettings, Runtime, RuntimeSettings, rehearse_with,
};
use eddy_pipeline::settings::Span;

/// Its last argument is the order. What reads its input never ends, for the input has no end.
const ACTOR: &str = r#"
case "$1" in
    *'"name":"segfault"'*) kill -SEGV $$ ;;
    *'"name":"abort"'*) echo "terminate called
    without an active exception" >&2; kill -ABRT $$ ;;
    *'"name":"killed"'*) kill -KILL $$ ;;
    *'"name":"busy"'*) kill -XCPU $$ ;;
    *'"name":"exit"'*) exit 3 ;;
    *'"name":"mute"'*) exec /usr/bin/tr -d '\000-\377' ;;
    *'"name":"turned"'*) exec /bin/cat > /dev/null ;;
    *'"name":"chatter"'*) exec /usr/bin/tr '\0' x < /dev/zero >&2 ;;
    *'"name":"deaf"'*) exec /bin/sleep 1000 ;;
    *'"name":"babble"'*) echo "good morning" ;;
    *'"name":"flood"'*) exec /usr/bin/tr '\0' x < /dev/zero ;;
    *'"name":"environment"'*) echo $(env) ;;
    *'"name":"refused"'*) echo '{"outcome":"does_not_load","reason":"bad allocation"}' ;;
    *'"name":"sound"'*) echo '{"outcome":"sound"}' ;;
    *) echo "unknown name" >&2; exit 99 ;;
esac
"#;

fn runtime(limits: RehearsalSettings) -> Runtime {
    rehearse_with(Program::new("/bin/sh", ["-c", ACTOR, "actor"]));
    load_runtime(&RuntimeSettings {
        calibration: Span::ms(0),
        rehearsal: limits,
        ..RuntimeSettings::default()
    })
}

fn named(name: &str) -> eddy_model::Settings {
    let mut settings = settings("mlp32.onnx");
    settings.name = name.into();
    settings
}

fn load(runtime: &Runtime, settings: &eddy_model::Settings) -> Result<Model, Error> {
    Model::load(runtime, settings, &fixtures(), BatchCaps::default())
}

fn refused(runtime: &Runtime, name: &str) -> String {
    let error = load(runtime, &named(name)).expect_err("it must not load");
    assert!(matches!(error, Error::Rehearsal { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("mlp32.onnx") && !text.contains('\n'), "{text}");
    text
}

#[test]
fn whatever_ends_a_rehearsal_is_an_error_that_says_so_and_leaves_no_process() {
    let patient = runtime(RehearsalSettings::default());
    let cases = [
        ("segfault", "crashed ONNX Runtime", "signal 11, SIGSEGV"),
        (
            "abort",
            "signal 6, SIGABRT",
            "saying `terminate called without an active exception`",
        ),
        ("killed", "that something killed", "memory"),
        (
            "busy",
            "took more than 1m of processor time",
            "`runtime.rehearsal.processor_time`",
        ),
        ("exit", "crashed ONNX Runtime", "exit code 3"),
        (
            "babble",
            "it answers `good morning`",
            "`runtime.rehearsal.enabled = false`",
        ),
        ("flood", "it answers `…xxx", "cannot be rehearsed"),
    ];
    for (name, what, detail) in cases {
        let text = refused(&patient, name);
        assert!(text.contains(what) && text.contains(detail), "{name}: {text}");
    }

    let impatient = runtime(RehearsalSettings {
        deadline: Span(Duration::from_secs(1)),
        ..RehearsalSettings::default()
    });
    for name in ["mute", "turned", "deaf", "chatter"] {
        let text = refused(&impatient, name);
        assert!(
            text.contains("did not load and run within 1s") && text.contains("`runtime.rehearsal.deadline`"),
            "{name}: {text}"
        );
    }

    // Running or dead, those that this thread has started.
    assert_eq!(
        std::fs::read_to_string("/proc/thread-self/children").unwrap(),
        "",
        "a child is left"
    );
}

#[test]
fn nothing_of_the_environment_is_passed_on_but_where_libraries_lie() {
    let text = refused(&runtime(RehearsalSettings::default()), "environment");
    let (_, variables) = text.split_once("it answers `").unwrap();
    assert!(variables.contains("ORT_DISABLE_TELEMETRY="), "{text}");
    // Cargo gives every test a dozen variables, and the shell makes some of its own.
    for absent in ["CARGO", "HOME=", "USER="] {
        assert!(!variables.contains(absent), "{text}");
    }
}

#[test]
fn a_verdict_counts_where_the_model_is_for_the_processor() {
    let runtime = runtime(RehearsalSettings::default());
    load(&runtime, &named("sound")).unwrap();
    let error = load(&runtime, &named("refused")).unwrap_err();
    assert!(matches!(error, Error::Load { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("(a rehearsal has 16 GiB: `runtime.rehearsal.memory`)"),
        "{error}"
    );

    let mut elsewhere = named("refused");
    elsewhere.providers = vec![Provider::Cuda];
    elsewhere.fallback = eddy_model::Fallback::Cpu;
    load(&runtime, &elsewhere).unwrap();
    elsewhere.name = "segfault".into();
    assert!(matches!(load(&runtime, &elsewhere), Err(Error::Rehearsal { .. })));
}

#[test]
fn without_rehearsals_a_model_is_loaded_at_once() {
    let off = runtime(RehearsalSettings {
        enabled: false,
        ..RehearsalSettings::default()
    });
    load(&off, &named("segfault")).unwrap();
}
