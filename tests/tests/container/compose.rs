//! The compose file, read by the loader of Docker's own plug-in.

use std::path::Path;
use std::process::Command;

use eddy_tests::rules::{files, passes, promtool, root};
use serde_json::{Map, Value};

use super::manifests;

fn services() -> Map<String, Value> {
    let mut loader = Command::new(manifests("compose"));
    // Paths in the file are relative to its folder; this loader takes the one that it is started in.
    loader
        .args(["-format", "json", "compose.yaml"])
        .current_dir(root().join("docker"));
    // Of a profile that is not chosen there is nothing to see.
    let output = loader.env("COMPOSE_PROFILES", "gpu").output().expect("the loader runs");
    passes(&output);
    let model: Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    model["services"].as_object().expect("services").clone()
}

fn list<'a>(service: &'a Value, key: &str) -> &'a [Value] {
    service[key].as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn every_service_has_a_pinned_image_and_no_port_is_open_to_others_than_this_machine() {
    let services = services();
    for name in [
        "kafka",
        "topics",
        "eddy",
        "load",
        "prometheus",
        "alertmanager",
        "grafana",
    ] {
        assert!(services.contains_key(name), "{name}");
    }
    let mut ports = 0;
    for (name, service) in &services {
        let image = service["image"].as_str().expect("an image");
        let (_, tag) = image.rsplit_once(':').expect("a tag");
        let is_own = image.starts_with("eddy");
        let is_exact = tag.trim_start_matches('v').split('.').count() == 3;
        assert!(is_own || is_exact, "{name}: {image}");
        for port in list(service, "ports") {
            assert_eq!(port["host_ip"], "127.0.0.1", "{name}");
            ports += 1;
        }
    }
    assert!(ports >= 6, "{ports}");
}

#[test]
fn whatever_a_service_mounts_from_the_project_is_there_and_cannot_be_written() {
    let mut mounts = 0;
    for (name, service) in services() {
        for volume in list(&service, "volumes")
            .iter()
            .filter(|volume| volume["type"] == "bind")
        {
            let source = volume["source"].as_str().expect("a path");
            assert!(Path::new(source).exists(), "{name}: {source}");
            assert_eq!(volume["read_only"], true, "{name}: {source}");
            mounts += 1;
        }
    }
    assert!(mounts >= 7, "{mounts}");
}

#[test]
fn eddy_runs_with_nothing_to_write_to_and_starts_when_its_topics_are_there() {
    let services = services();
    for name in ["topics", "eddy", "load"] {
        let service = &services[name];
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(service["cap_drop"][0], "ALL", "{name}");
        assert_eq!(service["security_opt"][0], "no-new-privileges:true", "{name}");
    }
    assert_eq!(
        services["topics"]["depends_on"]["kafka"]["condition"],
        "service_healthy"
    );
    for name in ["eddy", "load"] {
        let condition = &services[name]["depends_on"]["topics"]["condition"];
        assert_eq!(condition, "service_completed_successfully", "{name}");
    }
    for name in ["kafka", "prometheus", "alertmanager", "grafana"] {
        assert!(services[name]["healthcheck"]["test"].is_array(), "{name}");
    }
    // After a fault, and when the machine starts again. The topics are made once.
    for (name, service) in services.iter().filter(|(name, _)| *name != "topics") {
        assert_eq!(service["restart"], "unless-stopped", "{name}");
    }
}

#[test]
fn what_is_not_pulled_is_built_here_and_the_image_for_a_gpu_has_the_program_of_that_for_the_cpu() {
    let services = services();
    let file = |name: &str| {
        let build = &services[name]["build"];
        let context = Path::new(build["context"].as_str().expect("a folder"));
        let file = context.join(build["dockerfile"].as_str().expect("a file"));
        std::fs::canonicalize(&file).unwrap_or_else(|error| panic!("{name}: {}: {error}", file.display()))
    };
    for (name, path) in [
        ("topics", "docker/Dockerfile"),
        ("eddy-gpu", "docker/Dockerfile.cuda"),
        ("load", "docker/load/Dockerfile"),
    ] {
        assert_eq!(file(name), root().join(path), "{name}");
    }
    assert_eq!(services["eddy"]["image"], services["topics"]["image"]);
    let text = std::fs::read_to_string(file("eddy-gpu")).expect("it is there");
    // By this name the file takes the program, and by the same one it is given it.
    assert!(text.contains("\nFROM ${EDDY} AS eddy\n"));
    assert_eq!(
        services["eddy-gpu"]["build"]["additional_contexts"]["eddy"],
        "service:topics"
    );
}

#[test]
fn its_prometheus_reads_the_rules_of_the_project() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = std::fs::read_to_string(root().join("docker/prometheus/prometheus.yml")).expect("it is there");
    let rules = root().join("dashboards/prometheus").display().to_string();
    let here = text.replace("/etc/prometheus/rules", &rules);
    assert_ne!(here, text);
    let path = folder.path().join("prometheus.yml");
    std::fs::write(&path, here).expect("the folder takes a file");
    let output = promtool(&["check", "config", &path.display().to_string()]);
    passes(&output);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains(&format!("{} rule files found", files().len())), "{said}");
    let mounted = &services()["prometheus"]["volumes"];
    let mounted = mounted.as_array().expect("volumes").iter();
    let targets: Vec<_> = mounted.filter_map(|volume| volume["target"].as_str()).collect();
    assert!(targets.contains(&"/etc/prometheus/rules"), "{targets:?}");
}
