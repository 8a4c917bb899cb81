//! The generated reference and schema are those of the code. `UPDATE_REFERENCE=1 cargo test -p eddy --test reference`
//! rewrites them.

use std::path::Path;

use eddy::file::PipelineFile;
use eddy::settings::reference::{json_schema, markdown};

const INTRODUCTION: &str = "\
# The pipeline file

Every key of a pipeline file, generated from the code (`UPDATE_REFERENCE=1 cargo test -p eddy --test reference`). Small
complete files stand in the folders beside this one, such as `config/digits/pipeline.toml`; `eddy schema` prints the JSON
schema for editors.

* Spans of time carry their unit: `\"250ms\"`, `\"5s\"`, `\"1m 30s\"`. Sizes too, or they are plain numbers of bytes:
  `\"64 KiB\"`, `65536`.
* Paths are relative to the file's folder.
* A secret is never written in the file: `{ file = \"path\" }` or `{ env = \"NAME\" }`.
* Every key can be overridden by a variable of the environment, steps separated by two underscores, list items counted
  from 0: `EDDY__KAFKA__BROKERS`, `EDDY__MODELS__0__PATH`. Lists and tables are written as in TOML or JSON.
* An unknown key, a wrong value or a contradiction is an error that names the line; `eddy check` lists all of them.

";

#[track_caller]
#[expect(
    clippy::disallowed_methods,
    reason = "asks whether to rewrite; no setting of the service"
)]
fn is_fresh(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config").join(path);
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::create_dir_all(path.parent().expect("a file has a folder")).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "{} is stale; run UPDATE_REFERENCE=1 cargo test -p eddy --test reference",
        path.display()
    );
}

#[test]
fn the_schema_is_that_of_the_code() {
    is_fresh("schema/pipeline.schema.json", &json_schema::<PipelineFile>());
}

#[test]
fn the_reference_is_that_of_the_code() {
    is_fresh(
        "reference/pipeline.md",
        &format!("{INTRODUCTION}{}", markdown::<PipelineFile>()),
    );
}

#[test]
fn every_key_says_what_it_means() {
    let reference = markdown::<PipelineFile>();
    let silent: Vec<&str> = reference
        .lines()
        .filter(|line| line.starts_with("| `") && line.ends_with("|  |"))
        .collect();
    assert!(silent.is_empty(), "keys without a doc comment: {silent:#?}");
}
