//! The service on a real Kafka, one promise a test: what a user sees on the topics, on the pages and as exit codes.
//!
//! The tests share one broker; each has topics and a group of its own.

#[path = "service/budgets.rs"]
mod budgets;
#[path = "service/faults.rs"]
mod faults;
#[path = "service/large.rs"]
mod large;
#[path = "service/onboarding.rs"]
mod onboarding;
#[path = "service/oncall.rs"]
mod oncall;
#[path = "service/outputs.rs"]
mod outputs;
#[path = "service/pages.rs"]
mod pages;
#[path = "service/poison.rs"]
mod poison;
#[path = "service/recall.rs"]
mod recall;
#[path = "service/refused.rs"]
mod refused;

use eddy_tests::stage::{AT_LEAST_ONCE, EXACTLY_ONCE, PICK, Plan, Stage};

const BINARY: &str = env!("CARGO_BIN_EXE_eddy-under-test");

/// A model of 32 features whose every prediction is worth a label.
const ALL_UNSURE: &str = r#"
[fields.features]
type = "vector"
length = 32

[[models]]
name = "mlp"
path = "{models}/mlp32.onnx"
head = { type = "classification", from = "logits" }

[select]
confidence_below = 1.0
"#;

fn stage(name: &str, guarantee: &str, text: &str) -> Stage {
    Stage::new(&Plan {
        name,
        guarantee,
        partitions: 1,
        limits: &[],
        text,
    })
}
