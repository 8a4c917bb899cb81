//! The scene of a run: topics, the pipeline file, names, and the settings that bound what a crash may repeat.

use std::path::{Path, PathBuf};

use eddy_pipeline::event::Destination;
use eddy_tests::cluster::Cluster;
use eddy_tests::oracle::{For, Keys, Recipe};

use crate::arguments::{Arguments, Guarantee};

/// Partitions of each topic.
pub(crate) const PARTITIONS: i32 = 4;
/// `kafka.session_timeout` in seconds: a replica that is silent for longer loses its partitions.
pub(crate) const SESSION_SECONDS: u64 = 6;
/// `kafka.transaction_timeout` in seconds.
const TRANSACTION_SECONDS: u64 = 5;
/// `checkpoint.records` and `batch.rows`.
const RECORDS: u64 = 200;
const ROWS: u64 = 32;
const NAME: &str = "chaos";

/// At least once, the duplicates that one fault may make of one replica: what was in flight, and what was stored and not
/// committed, each up to a checkpoint and a batch; an event has two outputs at most.
pub(crate) const DUPLICATES_PER_FAULT: u64 = 2 * (RECORDS + ROWS) * 2;

/// Where a run takes place.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    /// The program under test.
    pub binary: PathBuf,
    /// The pipeline file; logs lie beside it.
    pub pipeline: PathBuf,
    /// `bootstrap.servers` that no fault but the death of a broker disturbs.
    pub direct: String,
    pub recipe: Recipe,
    /// What the outputs are judged by.
    pub guarantee: Guarantee,
}

impl Scene {
    /// Creates the topics and writes the pipeline file.
    pub(crate) fn set(arguments: &Arguments, seed: u64, cluster: &Cluster, folder: &Path) -> Self {
        for topic in ["events", "predictions", "retraining", "dead-letters"] {
            cluster.create_topic(&format!("{NAME}-{topic}"), PARTITIONS, &[]);
        }
        let pipeline = folder.join("pipeline.toml");
        let text = text(arguments, &cluster.proxied());
        std::fs::write(&pipeline, text).expect("the folder of the run takes a file");
        Self {
            binary: beside_this_program("eddy-under-test"),
            pipeline,
            direct: cluster.direct(),
            recipe: Recipe {
                seed,
                keys: Keys::Mixed(50),
                model: For::Doubled,
            },
            guarantee: arguments.judged(),
        }
    }

    pub(crate) fn events(&self) -> String {
        format!("{NAME}-events")
    }

    pub(crate) fn output(&self, to: Destination) -> String {
        let topic = match to {
            Destination::Predictions => "predictions",
            Destination::Retraining => "retraining",
            Destination::DeadLetters => "dead-letters",
        };
        format!("{NAME}-{topic}")
    }

    pub(crate) fn group(&self) -> String {
        format!("eddy-{NAME}")
    }

    /// Transactional id of the one lane of a replica.
    pub(crate) fn transactional_id(&self, instance: &str) -> String {
        format!("{}-{instance}-0", self.group())
    }
}

fn text(arguments: &Arguments, brokers: &str) -> String {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models/two_outputs.onnx");
    format!(
        r#"format = 2
name = "{NAME}"

[kafka]
brokers = "{brokers}"
start = "earliest"
guarantee = "{guarantee}"
membership = "{membership}"
session_timeout = "{SESSION_SECONDS}s"
transaction_timeout = "{TRANSACTION_SECONDS}s"

# Lets a checker without privileges count what a replica holds.
[process]
core_dumps = true

[topics]
events = "{NAME}-events"
predictions = "{NAME}-predictions"
retraining = "{NAME}-retraining"
dead_letters = "{NAME}-dead-letters"

[fields.features]
type = "vector"
length = 3

[[models]]
name = "mlp"
path = "{model}"
head = {{ type = "classification", from = "logits", output = "doubled" }}

[batch]
rows = {ROWS}

[checkpoint]
records = {RECORDS}

[select]
confidence_below = 0.6
"#,
        guarantee = Arguments::word(arguments.kept()),
        membership = Arguments::word(arguments.membership),
        model = model.display(),
    )
}

/// A program that Cargo built into the same folder.
fn beside_this_program(name: &str) -> PathBuf {
    let this = std::env::current_exe().expect("a program has a path");
    let path = this.with_file_name(name);
    assert!(path.exists(), "{} is missing: `make chaos` builds it", path.display());
    path
}
