//! The status page in a real browser: what it says of a service, and that eyes, keyboards and screen readers can use it.
//!
//! `tests/browser/page.py` looks; `tests/browser/mock.py` stands for services in states that a real one is hard to bring
//! into, with the page's own files and its own Content-Security-Policy.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use eddy_tests::service::{free_port, wait_for};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_eddy-under-test");

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("browser").join(name)
}

/// A process that is killed when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.try_wait().unwrap().is_none() {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }
}

/// Looks at the page, fails with what is wrong with it, and gives what was seen. Pictures of it stay in
/// `target/tmp/page/NAME`.
#[track_caller]
fn look(url: &str, name: &str, words: &[&str]) -> Value {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page").join(name);
    let output = Command::new("python3")
        .arg(script("page.py"))
        .arg(url)
        .arg(&folder)
        .args(words)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    let seen: Value = serde_json::from_str(&said)
        .unwrap_or_else(|error| panic!("{name}: {error}: {said}\n{failed}run tests/setup/browser"));
    assert_eq!(seen["findings"], json!([]), "{name}: {}", folder.display());
    assert!(
        seen["passes"].as_u64().unwrap() > 0,
        "{name}: axe-core found nothing to look at: {seen}"
    );
    seen
}

/// The same of a service that is only played.
#[track_caller]
fn look_at(state: &str, words: &[&str]) -> Value {
    let child = Command::new("python3")
        .arg(script("mock.py"))
        .arg(state)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut mock = Running(child);
    let mut url = String::new();
    BufReader::new(mock.0.stdout.take().unwrap())
        .read_line(&mut url)
        .unwrap();
    look(url.trim(), state, words)
}

#[track_caller]
fn says(state: &str, verdict: &str, headline: &str) {
    let seen = look_at(state, &["--state", verdict]);
    let said = seen["headline"].as_str().unwrap();
    assert!(said.starts_with(headline), "{state}: {seen}");
}

#[test]
fn only_a_service_that_is_ready_and_has_not_drifted_is_called_well() {
    says("calm", "quiet", "All is well");
    says("warning", "warning", "Signs of drift in 1 of 6 features");
    says("drift", "alert", "Drift in 2 of 6 features, 1 of 3 outputs");
    says("unready", "alert", "Not ready");
    says("starting", "catching_up", "Starting");
}

#[test]
fn what_is_not_known_is_not_called_well() {
    says("insufficient", "insufficient_data", "Ready; too few events yet");
    says(
        "partly",
        "insufficient_data",
        "Ready; no drift in what can be judged: 8 of 9",
    );
    says("catching_up", "catching_up", "Ready, and catching up");
    says("off", "unknown", "Ready; drift is not watched");
    says("nulls", "insufficient_data", "Ready; drift cannot be judged");
}

#[test]
fn without_a_profile_the_page_says_how_to_get_one() {
    let seen = look_at("no_profile", &["--state", "unknown"]);
    assert!(seen["notes"].as_str().unwrap().contains("eddy profile"), "{seen}");
}

#[test]
fn two_thousand_features_are_listed_worst_first_and_a_hundred_at_a_time() {
    says("many", "alert", "Drift in 3 of 2,000 features");
}

#[test]
fn names_that_look_like_markup_are_text() {
    let seen = look_at("nasty", &["--state", "alert"]);
    assert!(
        seen["notes"].as_str().unwrap().contains("<img src=x onerror=alert(1)>"),
        "{seen}"
    );
}

#[test]
fn rows_stand_still_while_one_has_the_focus() {
    says("shuffled", "alert", "Drift in 1 of 6 features");
}

#[test]
fn an_outage_is_said_and_its_end_too() {
    let headlines = ["All is well", "No answer since", "All is well"];
    let mut words: Vec<&str> = headlines
        .iter()
        .flat_map(|&headline| ["--headline", headline])
        .collect();
    words.extend(["--state", "quiet", "--may-fail"]);
    look_at("outage", &words);
    look_at(
        "end",
        &["--headline", "No answer since", "--state", "unknown", "--may-fail"],
    );
}

#[test]
fn answers_that_are_missing_or_make_no_sense_are_said_to_be() {
    let seen = look_at("no_drift_page", &["--state", "unknown", "--may-fail"]);
    assert_eq!(seen["headline"], "Ready; drift is not known", "{seen}");
    let seen = look_at("nonsense", &["--state", "unknown", "--may-fail"]);
    assert!(
        seen["headline"].as_str().unwrap().contains("does not understand"),
        "{seen}"
    );
}

#[test]
fn the_page_of_the_demo_can_be_used_at_the_start_in_the_calm_and_in_the_drift() {
    let port = free_port();
    let child = Command::new(BINARY)
        .args([
            "demo",
            "--for",
            "150s",
            "--summary",
            "json",
            "--admin",
            &format!("127.0.0.1:{port}"),
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _demo = Running(child);
    wait_for("the demo's page", || TcpStream::connect(("127.0.0.1", port)).ok());
    let url = format!("http://127.0.0.1:{port}/");
    let seen = look(
        &url,
        "demo",
        &["--state", "now", "--state", "quiet", "--state", "alert"],
    );
    assert!(seen["headline"].as_str().unwrap().starts_with("Drift in "), "{seen}");
    assert!(seen["opened"].as_u64().unwrap() >= 2, "{seen}");
}
