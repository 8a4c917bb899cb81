//! The bill of materials in the image, against what is in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use eddy_tests::rules::{passes, root};
use serde_json::Value;

use super::docker::{VERSION, present, said};
use super::{judged, manifests};

/// Copies a file or folder out of the image.
#[track_caller]
fn copy(path: &str, to: &Path) {
    let container = said(["create", present()]);
    let copied = super::docker::docker(["cp", &format!("{container}:{path}"), &to.display().to_string()]);
    said(["rm", &container]);
    assert!(copied.status.success(), "{path}: {copied:?}");
}

/// The text of a file of the image.
pub(crate) fn taken(path: &str, folder: &Path) -> String {
    let to = folder.join("taken");
    copy(path, &to);
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

/// The crates in a bill beside the program itself, each as NAME-VERSION with its licences.
fn crates(bill: &Value) -> BTreeMap<String, String> {
    let components = bill["components"].as_array().expect("components").iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let crates = components.filter(|component| text(&component["purl"]).starts_with("pkg:cargo/"));
    crates
        .map(|one| {
            let name = format!("{}-{}", text(&one["name"]), text(&one["version"]));
            (name, text(&one["licenses"][0]["expression"]))
        })
        .collect()
}

/// The crates that are linked into the program beside its own, by Cargo's tree: macros run when it is built, with all that only
/// they need.
fn linked() -> BTreeSet<String> {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let words = "tree -p eddy --edges normal --locked --offline --prefix depth --no-dedupe --format |{p} --target";
    let mut cargo = Command::new("cargo");
    cargo.args(words.split(' ')).arg(target).current_dir(root());
    let output = cargo.output().expect("cargo runs");
    passes(&output);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let (mut linked, mut macros) = (BTreeSet::new(), usize::MAX);
    for line in text.lines() {
        let (depth, package) = line.split_once('|').expect("as it was asked for");
        let depth: usize = depth.parse().expect("a number");
        if depth > macros {
            continue;
        }
        macros = if package.contains(" (proc-macro)") {
            depth
        } else {
            usize::MAX
        };
        if depth > 0 && macros == usize::MAX {
            let mut words = package.split(' ');
            let (name, version) = (words.next().expect("a name"), words.next().expect("a version"));
            linked.insert(format!("{name}-{}", version.trim_start_matches('v')));
        }
    }
    linked
}

/// The crates that a program names, where it tells of places in its source.
fn named(program: &Path) -> BTreeSet<String> {
    let mut grep = Command::new("grep");
    // A registry's folder ends in a number of its own.
    let place = "-[0-9a-f]{16}/[A-Za-z0-9_-]+-[0-9]+[.][0-9A-Za-z.+-]+/";
    let output = grep.args(["-aoE", "-e", place]).arg(program).output();
    let text = String::from_utf8(output.expect("grep runs").stdout).expect("UTF-8");
    let names = text.lines().filter_map(|line| line.split('/').nth(1));
    names.map(str::to_owned).collect()
}

#[test]
fn the_bill_of_materials_is_cyclonedx_and_names_every_crate_and_library_in_the_version_that_is_there() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bill = bill(folder.path());

    assert_eq!(bill["metadata"]["component"]["version"], VERSION);
    let listed: BTreeSet<String> = crates(&bill).into_keys().collect();
    let linked = linked();
    let differing: Vec<_> = listed.symmetric_difference(&linked).collect();
    assert!(
        differing.is_empty(),
        "either in the bill or in Cargo's tree: {differing:?}"
    );
    let program = folder.path().join("eddy");
    copy("/usr/local/bin/eddy", &program);
    let named = named(&program);
    let missing: Vec<_> = named.difference(&listed).collect();
    assert!(missing.is_empty(), "in the program, not in the bill: {missing:?}");
    assert!(named.len() > 100, "the program names few crates: {named:?}");

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

/// Whether a folder has a text of some length.
fn has_text(folder: &Path) -> bool {
    let files = std::fs::read_dir(folder).into_iter().flatten();
    let mut files = files.map(|file| file.expect("it can be read").path());
    files.any(|file| file.is_file() && file.metadata().expect("it is there").len() > 100)
}

#[test]
fn each_crate_of_the_bill_has_its_licence_in_the_image_or_stands_with_its_name_among_those_that_come_without_a_text() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let licenses = folder.path().join("licenses");
    copy("/usr/share/doc/eddy/licenses", &licenses);
    let list = std::fs::read_to_string(licenses.join("without-a-text.txt")).expect("it is there");
    let without: BTreeMap<&str, &str> = list.lines().filter_map(|line| line.split_once(": ")).collect();
    let crates = crates(&bill(folder.path()));
    for (name, expression) in &crates {
        match without.get(name.as_str()) {
            Some(licence) => assert_eq!(licence, expression, "{name}"),
            None => assert!(
                has_text(&licenses.join(name)),
                "{name} has neither a text nor a line in the list"
            ),
        }
    }
    assert!(without.len() < crates.len() / 10, "{without:?}");
    // Of C code, the text lies where the code does.
    for (name, inside) in [
        ("libz-sys", "src/zlib"),
        ("rdkafka-sys", "librdkafka"),
        ("zstd-sys", "zstd"),
    ] {
        let name = crates
            .keys()
            .find(|one| one.starts_with(&format!("{name}-")))
            .expect(name);
        assert!(has_text(&licenses.join(name).join(inside)), "{name}");
    }
    // That of the project's own crates, and of most that come without one.
    let own = std::fs::read_to_string(root().join("LICENSE")).expect("it is there");
    assert_eq!(taken("/usr/share/doc/eddy/LICENSE", folder.path()), own);
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
    for path in ["/usr/local/bin/eddy", "/usr/local/lib/libonnxruntime.so"] {
        copy(path, folder.path());
    }
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
