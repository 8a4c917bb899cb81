//! The bill of materials in the image, against what is in it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use eddy_tests::rules::{passes, root};
use serde_json::Value;

use super::docker::{present, said};
use super::{judged, manifests};

/// The text of a file of the image.
pub(crate) fn taken(path: &str, folder: &Path) -> String {
    let container = said(["create", present()]);
    let to = folder.join("taken");
    let copied = super::docker::docker(["cp", &format!("{container}:{path}"), &to.display().to_string()]);
    said(["rm", &container]);
    assert!(copied.status.success(), "{path}: {copied:?}");
    std::fs::read_to_string(to).expect("it is a text")
}

/// The bill in the image.
fn bill(folder: &Path) -> Value {
    let text = taken("/usr/share/doc/eddy/sbom.cdx.json", folder);
    judged(&["bom"], &text).expect("the document is as its schema says")
}

fn version<'a>(bill: &'a Value, name: &str) -> Option<&'a str> {
    let components = bill["components"].as_array().expect("components");
    components.iter().find(|component| component["name"] == name)?["version"].as_str()
}

#[test]
fn the_bill_of_materials_is_cyclonedx_and_names_every_crate_and_library_in_the_version_that_is_there() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bill = bill(folder.path());

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
    for name in ["lz4", "cjson", "nanopb", "zlib", "zstd"] {
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

/// Debian's package that a library is in.
fn package_of(library: &str) -> Option<&'static str> {
    match library {
        "ld-linux-x86-64.so.2"
        | "ld-linux-aarch64.so.1"
        | "libc.so.6"
        | "libdl.so.2"
        | "libm.so.6"
        | "libpthread.so.0"
        | "librt.so.1" => Some("libc6"),
        "libcrypto.so.3" | "libssl.so.3" => Some("libssl3"),
        "libgcc_s.so.1" => Some("libgcc-s1"),
        "libstdc++.so.6" => Some("libstdc++6"),
        _ => None,
    }
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
    let bill = bill(folder.path());
    assert!(needed.contains("libssl.so.3"), "{needed:?}");
    for library in needed {
        let package = package_of(&library).unwrap_or_else(|| panic!("nobody has told this test whose {library} is"));
        assert!(version(&bill, package).is_some(), "{library} of {package}");
    }
}

/// What librdkafka has a licence for, and is not in the program: macros of a header, what stands in for the system's regular
/// expressions where it has none, and options for Windows.
const NOT_COMPILED: [&str; 3] = ["queue", "regexp", "wingetopt"];

#[test]
fn whatever_code_of_others_librdkafka_has_a_licence_for_is_listed_or_not_compiled() {
    let folder = root().join("docker");
    let script = r#"
import json, pathlib, sbom
metadata = json.loads(sbom.cargo("metadata", "--locked", "--offline", "--format-version", "1"))
package = next(package for package in metadata["packages"] if package["links"] == "rdkafka")
files = (pathlib.Path(package["manifest_path"]).parent / "librdkafka").glob("LICENSE.*")
print(json.dumps([list(sbom.LINKED["rdkafka"]), [file.suffix[1:] for file in files]]))
"#;
    let mut python = Command::new(manifests("python/bin/python"));
    python.args(["-B", "-c", script]).current_dir(&folder);
    python.env("PYTHONPATH", &folder);
    let output = python.output().expect("Python runs");
    passes(&output);
    let [listed, licensed]: [Vec<String>; 2] = serde_json::from_slice(&output.stdout).expect("two lists");
    let is_known = |name: &String| {
        NOT_COMPILED.contains(&name.as_str()) || listed.iter().any(|listed| listed.starts_with(name.as_str()))
    };
    let unknown: Vec<_> = licensed.iter().filter(|name| !is_known(name)).collect();
    assert!(unknown.is_empty(), "add to LINKED of docker/sbom.py: {unknown:?}");
    assert!(licensed.iter().any(|name| name == "cjson"), "{licensed:?}");
}
