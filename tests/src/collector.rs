//! What a collector of traces is sent, as OpenTelemetry's own messages read it.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::rules::root;

/// The spans in the bodies of requests, one object each: see `tests/src/collector.py`.
///
/// # Panics
/// When a body is none.
pub fn spans(bodies: &[Vec<u8>]) -> Vec<Value> {
    let folder = TempDir::new().expect("a temporary folder");
    let paths = bodies.iter().enumerate().map(|(at, body)| {
        let path = folder.path().join(at.to_string());
        std::fs::write(&path, body).expect("the folder takes a file");
        path
    });
    let python = root().join(".eddy/registry/python/bin/python");
    let mut read = Command::new(python);
    read.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/collector.py"))
        .args(paths);
    let output = read.output().expect("Python can be run");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"))
}
