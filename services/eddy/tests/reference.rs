//! The generated reference and schema are those of the code. `UPDATE_REFERENCE=1 cargo test -p eddy --test reference`
//! rewrites them.

use std::path::Path;

use eddy::file::PipelineFile;
use eddy::settings::reference::{json_schema, markdown};
use eddy_broker::settings::{Permission, Resource, Settings, Topics};
use eddy_pipeline::event::Destination;
use eddy_pipeline::schema;

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

const ACLS: &str = "\
# What a pipeline must be allowed

Where the brokers have an authorizer, a pipeline's principal needs this, and nothing more; generated from the code
(`UPDATE_REFERENCE=1 cargo test -p eddy --test reference`) with the default names of topics and group, for a pipeline
called `NAME`. Without any one of them the pipeline does not start, or ends with exit code 70 when it is taken back later;
the message names the one, and the command that grants it. [`acls.sh`](../acls.sh) grants all of them, or takes them back:

```
config/acls.sh --bootstrap-server HOST:PORT --principal User:NAME --group eddy-NAME --dry-run
```

| operation | on | what for | arguments of `kafka-acls.sh` |
|---|---|---|---|
";

const AFTER_ACLS: &str = "
* Reading and writing include describing, so that it need not be granted.
* Transactional ids are `GROUP-INSTANCE-LANE`, so one grant with a prefix covers all replicas and lanes. The dash at its end
  keeps it from covering the group `eddy-NAME2`.
* With `guarantee = \"at-least-once\"`, brokers before 2.8 also want `--operation IdempotentWrite --cluster`
  (`acls.sh --guarantee at-least-once --brokers-before-2.8`).
* Eddy creates no topic and changes no configuration; it needs no permission on the cluster.

Who the principal is:

| `[kafka]` | principal |
|---|---|
| `sasl` with a name and a password | `User:` and `kafka.sasl.username` |
| `sasl` with a token | `User:` and the token's `sub` |
| `tls` with a certificate, no `sasl` | `User:` and the certificate's subject, as in `User:CN=eddy,O=Example`, unless the brokers map it (`ssl.principal.mapping.rules`) |
| neither | `User:ANONYMOUS` |
";

const RECALL: &str = "
## What a person must be allowed

`eddy why`, `eddy samples`, `eddy replay`, `eddy redrive` and `eddy profile --since` read topics back, as whoever the pipeline
file that they are given says. A principal of a person's own needs this, and `acls.sh --recall` grants it; whoever sends nothing
again needs only what is read and described:

| operation | on | what for | arguments of `kafka-acls.sh` |
|---|---|---|---|
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
fn the_schemas_of_what_is_written_are_those_of_the_code() {
    let value = schema::prediction(None);
    is_fresh("schema/prediction.schema.json", &eddy::schema::text(&value));
    let headers = [
        (Destination::Predictions, "prediction-headers"),
        (Destination::Retraining, "sample-headers"),
        (Destination::DeadLetters, "dead-letter-headers"),
    ];
    for (to, name) in headers {
        let path = format!("schema/{name}.schema.json");
        is_fresh(&path, &eddy::schema::text(&schema::headers(None, to)));
    }
}

#[test]
fn the_reference_is_that_of_the_code() {
    is_fresh(
        "reference/pipeline.md",
        &format!("{INTRODUCTION}{}", markdown::<PipelineFile>()),
    );
}

#[test]
fn the_table_of_permissions_is_that_of_the_code() {
    let kafka = r#"{ "brokers": "localhost:9092", "start": "earliest" }"#;
    let settings = Settings {
        pipeline: "NAME".into(),
        kafka: serde_json::from_str(kafka).unwrap(),
        topics: Topics::default(),
    };
    let row = |permission: Permission| {
        let on = match permission.resource {
            Resource::Topic => format!("topic `{}`", permission.name),
            Resource::Group => format!("group `{}`", permission.name),
            Resource::Groups => format!("groups that begin with `{}`", permission.name),
            Resource::TransactionalIds => format!("transactional ids that begin with `{}`", permission.name),
        };
        let (operation, why) = (permission.operation, permission.why);
        format!("| {operation} | {on} | {why} | `{}` |\n", permission.arguments())
    };
    let pipeline: String = settings.permissions().into_iter().map(row).collect();
    let person: String = settings.recall_permissions().into_iter().map(row).collect();
    is_fresh(
        "reference/acls.md",
        &format!("{ACLS}{pipeline}{AFTER_ACLS}{RECALL}{person}"),
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
