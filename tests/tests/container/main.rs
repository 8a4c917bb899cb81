//! Eddy as it is deployed: the image of `docker/Dockerfile`, built here and run with nothing that it does not need; the chart, the
//! compose file and the systemd unit, by what reads them.
//!
//! `tests/setup/docker` and `tests/setup/manifests` bring what is needed.

mod bill;
mod chart;
mod compose;
mod docker;
mod image;
mod life;
mod load;
mod rolling;
mod teams;
mod unit;
mod versions;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use eddy_tests::rules::root;
use eddy_tests::stage::{EXACTLY_ONCE, MLP, Plan, Stage};
use serde_json::Value;

const SEED: u64 = 24;
const PARTITIONS: i32 = 4;
/// Some events are selected, and batches are small, so that a test finds the work half done.
const MORE: &str = "\n[select]\nconfidence_below = 0.3\n[batch]\nrows = 64\n[checkpoint]\nrecords = 500\n";

fn stage(name: &str) -> Stage {
    Stage::new(&Plan {
        name,
        guarantee: EXACTLY_ONCE,
        partitions: PARTITIONS,
        limits: &[],
        text: &format!("{MLP}{MORE}"),
    })
}

/// A file or program of `.eddy/manifests`.
fn manifests(name: &str) -> PathBuf {
    let path = root().join(".eddy/manifests").join(name);
    assert!(path.exists(), "no {}; run tests/setup/manifests", path.display());
    path
}

/// What `judge.py` makes of a text.
fn judged(words: &[&str], text: &str) -> Result<Value, String> {
    let mut judge = Command::new(manifests("python/bin/python"));
    judge.arg(root().join("tests/tests/container/judge.py")).args(words);
    let text = text.to_owned();
    judge
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut judge = judge.spawn().expect("Python runs");
    let mut input = judge.stdin.take().expect("it was asked for");
    // While it answers: neither side waits for room.
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut input, text.as_bytes()));
    let output = judge.wait_with_output().expect("Python ends");
    writer.join().expect("no panic").expect("the judge reads all of it");
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout).expect("it prints JSON"))
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}
