//! The service on a real Kafka, one promise a test: what a user sees on the topics, on the pages and as exit codes.
//!
//! The tests share one broker; each has topics and a group of its own.

#[path = "service/budgets.rs"]
mod budgets;
#[path = "service/consumers.rs"]
mod consumers;
#[path = "service/consumers_odd.rs"]
mod consumers_odd;
#[path = "service/faults.rs"]
mod faults;
#[path = "service/frozen.rs"]
mod frozen;
#[path = "service/inputs.rs"]
mod inputs;
#[path = "service/large.rs"]
mod large;
#[path = "service/logs.rs"]
mod logs;
#[path = "service/looks.rs"]
mod looks;
#[path = "service/masking.rs"]
mod masking;
#[path = "service/onboarding.rs"]
mod onboarding;
#[path = "service/oncall.rs"]
mod oncall;
#[path = "service/outputs.rs"]
mod outputs;
#[path = "service/pages.rs"]
mod pages;
#[path = "service/panels.rs"]
mod panels;
#[path = "service/partitions.rs"]
mod partitions;
#[path = "service/poison.rs"]
mod poison;
#[path = "service/prometheus.rs"]
mod prometheus;
#[path = "service/readme.rs"]
mod readme;
#[path = "service/recall.rs"]
mod recall;
#[path = "service/refused.rs"]
mod refused;
#[path = "service/score.rs"]
mod score;
#[path = "service/traces.rs"]
mod traces;

use eddy_tests::stage::{AT_LEAST_ONCE, EXACTLY_ONCE, MLP, PICK, Plan, Stage};

const BINARY: &str = env!("CARGO_BIN_EXE_eddy-under-test");

/// A model of 32 features whose every prediction is worth a label.
fn all_unsure() -> String {
    format!("{MLP}\n[select]\nconfidence_below = 1.0\n")
}

fn stage(name: &str, guarantee: &str, text: &str) -> Stage {
    Stage::new(&Plan {
        name,
        guarantee,
        partitions: 1,
        limits: &[],
        text,
    })
}
