//! The bill of materials in the image, against what is in it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use eddy_tests::rules::root;
use serde_json::Value;

use super::docker::{present, said};
use super::judged;

/// The text of a file of the image.
pub(crate) fn taken(path: &str, folder: &Path) -> String {
    let container = said(["create", present()]);
    let to = folder.join("taken");
    let copied = super::docker::docker(["cp", &format!("{container}:{path}"), &to.display().to_string()]);
    said(["rm", &container]);
    assert!(copied.status.success(), "{path}: {copied:?}");
    std::fs::read_to_string(to).expect("it is a text")
}

fn version<'a>(bill: &'a Value, name: &str) -> Option<&'a str> {
    let components = bill["components"].as_array().expect("components");
    components.iter().find(|component| component["name"] == name)?["version"].as_str()
}

#[test]
fn the_bill_of_materials_is_cyclonedx_and_names_every_crate_and_library_in_the_version_that_is_there() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = taken("/usr/share/doc/eddy/sbom.cdx.json", folder.path());
    let bill = judged(&["bom"], &text).expect("the document is as its schema says");

    // Crates that are linked for certain, in the versions of the lock file.
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).expect("it is there");
    for name in ["tokio", "rdkafka-sys", "ort", "openssl-sys", "parquet"] {
        let (_, after) = lock
            .split_once(&format!("name = \"{name}\"\nversion = \""))
            .expect(name);
        assert_eq!(version(&bill, name), after.split('"').next(), "{name}");
    }
    // What only tests, builds and macros use is not in the program.
    for name in ["proptest", "jsonschema", "pkg-config", "syn"] {
        assert_eq!(version(&bill, name), None, "{name}");
    }

    let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
    assert_eq!(version(&bill, "librdkafka"), Some(librdkafka.as_str()));
    for name in ["lz4", "zlib", "zstd"] {
        assert!(version(&bill, name).is_some(), "{name}");
    }
    for name in [
        "base-files",
        "ca-certificates",
        "libc6",
        "libgcc-s1",
        "libssl3",
        "libstdc++6",
    ] {
        let status = taken(&format!("/var/lib/dpkg/status.d/{name}"), folder.path());
        let there = status.lines().find_map(|line| line.strip_prefix("Version: "));
        assert_eq!(version(&bill, name), there, "{name}");
    }
    let digest = Command::new("sha256sum")
        .arg(root().join(".eddy/onnxruntime/libonnxruntime.so"))
        .output()
        .expect("sha256sum runs");
    let digest = String::from_utf8_lossy(&digest.stdout);
    let components = bill["components"].as_array().expect("components");
    let runtime = components.iter().find(|component| component["name"] == "onnxruntime");
    let recorded = &runtime.expect("it is there")["hashes"][0]["content"];
    assert_eq!(digest.split(' ').next(), recorded.as_str());
}

#[test]
fn every_library_that_the_program_asks_the_system_for_is_one_of_the_packages_in_the_bill() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let container = said(["create", present()]);
    for path in ["/usr/local/bin/eddy", "/usr/local/lib/libonnxruntime.so"] {
        said([
            "cp",
            &format!("{container}:{path}"),
            &folder.path().display().to_string(),
        ]);
    }
    said(["rm", &container]);
    let mut needed = BTreeSet::new();
    for name in ["eddy", "libonnxruntime.so"] {
        let output = Command::new("readelf").arg("-d").arg(folder.path().join(name)).output();
        let output = output.expect("readelf is part of what a C compiler needs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines = text.lines().filter(|line| line.contains("(NEEDED)"));
        needed.extend(lines.filter_map(|line| Some(line.split_once('[')?.1.trim_end_matches(']').to_owned())));
    }
    let known = [
        "ld-linux-x86-64.so.2",
        "ld-linux-aarch64.so.1",
        "libc.so.6",
        "libcrypto.so.3",
        "libdl.so.2",
        "libgcc_s.so.1",
        "libm.so.6",
        "libpthread.so.0",
        "librt.so.1",
        "libssl.so.3",
        "libstdc++.so.6",
    ];
    let unknown: Vec<_> = needed.iter().filter(|name| !known.contains(&name.as_str())).collect();
    assert!(needed.contains("libssl.so.3") && unknown.is_empty(), "{needed:?}");
}
