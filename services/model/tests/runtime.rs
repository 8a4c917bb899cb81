//! Finding and loading the library. One test, because a process loads it once: the steps build on each other.

mod common;

use std::path::PathBuf;

use eddy_model::{Error, Runtime, RuntimeSettings};

#[test]
#[expect(clippy::disallowed_methods, reason = "the test is about these variables")]
fn a_library_that_cannot_be_used_is_an_error_and_a_good_one_still_loads_afterwards() {
    // A variable of the machine would take precedence over what this test names.
    const VARIABLES: [&str; 2] = ["EDDY_ONNXRUNTIME", "ORT_DYLIB_PATH"];
    if VARIABLES.into_iter().any(|name| std::env::var_os(name).is_some()) {
        let mut without = std::process::Command::new(std::env::current_exe().unwrap());
        VARIABLES.into_iter().for_each(|name| {
            without.env_remove(name);
        });
        assert!(without.status().unwrap().success());
        return;
    }

    eddy_model::disable_runtime_telemetry();
    let named = |path: &str| RuntimeSettings {
        library: Some(PathBuf::from(path)),
        ..RuntimeSettings::default()
    };

    let missing = Runtime::load(&named("nowhere/libonnxruntime.so"), &common::root()).unwrap_err();
    assert!(matches!(missing, Error::Library { .. }));
    let text = missing.to_string();
    for part in [
        "nowhere/libonnxruntime.so",
        "`runtime.library`",
        "no such file",
        "make test",
        "PyPI",
    ] {
        assert!(text.contains(part), "{text}");
    }

    let other = Runtime::load(&named("Cargo.toml"), &common::root())
        .unwrap_err()
        .to_string();
    assert!(
        other.contains("Cargo.toml") && !other.contains("no such file"),
        "{other}"
    );

    let runtime = common::load_runtime(&RuntimeSettings::default());
    assert!(runtime.library().exists());
    assert!(runtime.version().starts_with("1."), "{}", runtime.version());

    let same = named(runtime.library().to_str().unwrap());
    Runtime::load(&same, &common::root()).unwrap();
    let another = Runtime::load(&named("Cargo.toml"), &common::root()).unwrap_err();
    assert!(matches!(another, Error::OtherLibrary { .. }), "{another}");
}
