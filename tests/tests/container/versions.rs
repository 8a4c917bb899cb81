//! Versions that are written in more than one place.

use eddy_tests::rules::root;

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What stands behind `before` in a file, up to the end of its line, without quotes.
#[track_caller]
fn value(path: &str, before: &str) -> String {
    let text = text(path);
    let line = text.lines().find_map(|line| line.strip_prefix(before));
    line.unwrap_or_else(|| panic!("no {before} in {path}"))
        .trim_matches('"')
        .to_owned()
}

#[test]
fn images_are_built_with_the_rust_of_the_project() {
    let wanted = value("rust-toolchain.toml", "channel = ");
    assert_eq!(
        value("docker/Dockerfile", "ARG RUST="),
        format!("rust:{wanted}-slim-bookworm")
    );
}

#[test]
fn all_images_have_the_same_debian_and_the_same_onnx_runtime() {
    let debian = value("docker/Dockerfile", "ARG DEBIAN=");
    assert_eq!(value("docker/load/Dockerfile", "ARG DEBIAN="), debian);
    let runtime = value("tests/setup/onnxruntime", "version=");
    assert_eq!(value("docker/Dockerfile.cuda", "ARG ONNXRUNTIME="), runtime);
}

#[test]
fn the_chart_and_images_that_are_told_no_version_are_of_that_of_the_project() {
    let version = value("Cargo.toml", "version = ");
    for file in ["docker/Dockerfile", "docker/Dockerfile.cuda"] {
        assert_eq!(value(file, "ARG VERSION="), version);
    }
    for key in ["version: ", "appVersion: "] {
        assert_eq!(value("docker/helm/eddy/Chart.yaml", key), version);
    }
}

#[test]
fn the_kafka_of_the_compose_file_is_the_one_that_everything_is_tested_with() {
    let pom = text("tests/setup/kafka-pom.xml");
    let (_, after) = pom.split_once("<kafka.version>").expect("a version");
    let version = after.split('<').next().expect("a version");
    assert!(text("docker/compose.yaml").contains(&format!("image: apache/kafka:{version}\n")));
}
