//! Every expression of every dashboard, asked of a real Prometheus that has scraped the demo and services with all that the
//! demo does not have: segments, a label budget, several replicas, embeddings.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use eddy_tests::dashboards::{Expression, expressions};
use eddy_tests::prometheus::{Prometheus, every_second};
use eddy_tests::service::{PATIENCE, ask, free_port, said, wait_for};
use eddy_tests::stage::{AT_LEAST_ONCE, Event, Plan, Stage, examples};
use serde_json::json;

use super::oncall::{TOKEN, WITH_TOKEN, succeeds, token};
use super::prometheus::Fleet;
use crate::BINARY;

/// What takes a week to have data.
const TAKES_A_WEEK: [&str; 1] = ["_week1h"];

/// A process that is killed when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The demo, with a budget for labels.
fn demo() -> (Running, u16) {
    let port = free_port();
    let child = Command::new(BINARY)
        .args([
            "demo",
            "--for",
            "10m",
            "--summary",
            "json",
            "--admin",
            &format!("127.0.0.1:{port}"),
        ])
        .env("EDDY__SELECT__PER_HOUR", "3600")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program under test was built with the tests");
    (Running(child), port)
}

/// The example whose model gives embeddings, with a profile of random pictures.
struct Encoder {
    stage: Stage,
    _folder: tempfile::TempDir,
}

impl Encoder {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| -> PathBuf { folder.path().join(name) };
        let text = |profile: &str| {
            format!(
                "[fields.pixels]\ntype = \"vector\"\nlength = 64\n\n[[models]]\nname = \"embedding\"\npath = {:?}\n{profile}\
                 head = {{ type = \"embedding\" }}\n\n[drift]\nwindow = \"30s\"\n",
                examples().join("embedding/model.onnx")
            )
        };
        let plan = |name: &str, text: &str| -> Stage {
            Stage::new(&Plan {
                name,
                guarantee: AT_LEAST_ONCE,
                partitions: 1,
                limits: &[],
                text,
            })
        };
        let lines: Vec<String> = (0..1_500).map(|number| picture(number, 1).to_string()).collect();
        std::fs::write(at("pictures.jsonl"), lines.join("\n")).expect("the folder takes a file");
        let bare = plan("encoder-bare", &text(""));
        let output = Command::new(BINARY)
            .arg("profile")
            .arg(bare.file())
            .arg("--data")
            .arg(at("pictures.jsonl"))
            .arg("--out")
            .arg(at("profile.json"))
            .output()
            .expect("the program under test was built with the tests");
        said(&output, 0);
        Self {
            stage: plan("encoder", &text(&format!("profile = {:?}\n", at("profile.json")))),
            _folder: folder,
        }
    }

    fn send(&self, seed: u64) {
        let events = (0..1_000).map(|number| Event::new(picture(number, seed).to_string()).named(&number.to_string()));
        self.stage.send(&events.collect::<Vec<_>>());
    }
}

fn picture(number: u64, seed: u64) -> serde_json::Value {
    let mut random = fastrand::Rng::with_seed(number * 1_000 + seed);
    let pixels: Vec<u8> = (0..64).map(|_| random.u8(0..=16)).collect();
    json!({ "pixels": pixels })
}

#[test]
fn every_panel_of_every_dashboard_has_data_once_the_demo_and_its_like_have_run() {
    let prometheus = Prometheus::start(every_second);
    let (_demo, demo) = demo();
    let fleet = Fleet::with_segments("panels", "sex");
    fleet.send();
    fleet.accept("age");
    let (first, second) = (fleet.start("replica-0"), fleet.start("replica-1"));
    let encoder = Encoder::new();
    let token = token(&encoder.stage, TOKEN);
    let third = encoder.stage.start(BINARY, &WITH_TOKEN);
    wait_for("the demo's metrics", || ask(demo, "/metrics"));
    wait_for("the encoder to be ready", || {
        third.get("/ready").filter(|page| page.contains("\"ready\":true"))
    });
    prometheus.scrape(&[
        (demo, "demo", "demo"),
        (first.port(), "a", "fleet"),
        (second.port(), "b", "fleet"),
        (third.port(), "c", "encoder"),
    ]);
    wait_for("all of them to be scraped", || {
        (prometheus.number("count(count by (instance) (eddy_ready == 1))") == 4.0).then_some(())
    });
    fleet.send();
    fleet.send_broken();
    encoder.send(2);
    fleet.wait_for_end();
    wait_for("the encoder's events to be committed", || {
        (encoder.stage.lag() == 0).then_some(())
    });

    let all = expressions(&[("feature", "age"), ("output", "class")]);
    let waits_for_a_week = |promql: &str| TAKES_A_WEEK.iter().any(|part| promql.contains(part));
    let mut left: Vec<_> = all
        .iter()
        .filter(|expression| !waits_for_a_week(&expression.promql))
        .collect();
    assert!(
        left.len() > 50 && all.len() - left.len() < 5,
        "{} of {}",
        left.len(),
        all.len()
    );
    let started = std::time::Instant::now();
    let is_open = |left: &[_]| {
        left.iter()
            .any(|expression: &&Expression| !expression.promql.contains("eddy_lane_paused"))
    };
    while is_open(&left) && started.elapsed() < PATIENCE {
        // What was sent is a burst; rates need a stream.
        fleet.send();
        encoder.send(3);
        left.retain(|expression| prometheus.query(&expression.promql).is_empty());
    }
    // Only what is paused is listed.
    succeeds(&["pause", "--admin", &third.admin(), "--token-file", &token], "durable");
    wait_for("what is paused to be seen", || {
        left.retain(|expression| prometheus.query(&expression.promql).is_empty());
        left.iter()
            .all(|expression| !expression.promql.contains("eddy_lane_paused"))
            .then_some(())
    });
    let without: Vec<String> = left
        .iter()
        .map(|expression| format!("{}: {}", expression.place, expression.promql))
        .collect();
    assert!(
        without.is_empty(),
        "{} without data:\n{}",
        without.len(),
        without.join("\n")
    );
}
