//! The image itself.

use eddy_tests::service::wait_for;
use serde_json::json;

use super::docker::{CREATED, Container, REVISION, VERSION, docker, inspect, present};

const MOST_BYTES: u64 = 200_000_000;

#[test]
fn the_image_is_below_200_mb_and_runs_as_a_user_that_is_a_number_and_not_root() {
    let image = inspect(present());
    let size = image["Size"].as_u64().expect("a size");
    eprintln!("the image has {} MB", size / 1_000_000);
    assert!(size < MOST_BYTES, "{size}");
    let config = &image["Config"];
    let user = config["User"].as_str().expect("a user");
    let number: u32 = user.split(':').next().and_then(|id| id.parse().ok()).expect("a number");
    assert_ne!(number, 0);
    assert_eq!(config["StopSignal"], "SIGTERM");
    let health = &config["Healthcheck"]["Test"];
    assert_eq!(
        (&health[0], &health[1]),
        (&json!("CMD"), &json!("/usr/local/bin/eddy")),
        "it needs no shell"
    );
}

#[test]
fn the_labels_of_the_image_say_what_it_is_and_what_it_was_built_of() {
    let labels = &inspect(present())["Config"]["Labels"];
    for (label, value) in [
        ("created", CREATED),
        (
            "description",
            "Streaming inference over Kafka with an active-learning loop",
        ),
        ("licenses", "Apache-2.0"),
        ("revision", REVISION),
        ("title", "eddy"),
        ("version", VERSION),
    ] {
        assert_eq!(labels[format!("org.opencontainers.image.{label}")], value, "{label}");
    }
}

#[test]
fn there_is_no_shell_in_the_image() {
    for shell in ["/bin/sh", "/bin/bash", "/bin/busybox"] {
        let output = docker(["run", "--rm", "--entrypoint", shell, present(), "-c", ":"]);
        // The engine's own code for a program that is not there.
        assert_eq!(output.status.code(), Some(127), "{shell}: {output:?}");
    }
}

#[test]
fn with_no_network_at_all_the_demo_runs_and_the_health_check_of_the_image_finds_it_healthy() {
    let demo = Container::alone(present(), &["demo", "--for", "10m", "--summary", "json"]);
    wait_for("the engine to find it healthy", || {
        assert!(demo.is_running(), "it ended by itself: {}", demo.log());
        (demo.health() == "healthy").then_some(())
    });
    assert_eq!(demo.terminate(), 0, "{}", demo.log());
}

#[test]
fn the_public_authorities_are_in_the_image() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = super::bill::taken("/etc/ssl/certs/ca-certificates.crt", folder.path());
    let authorities = openssl::x509::X509::stack_from_pem(file.as_bytes()).expect("certificates");
    assert!(authorities.len() > 100, "{}", authorities.len());
}
