//! Rehearsals: a model is first loaded and run by a process of its own, with limits.
//!
//! Owns: that process, what is said to it and what it says. Never does: decide what a model is good for.
//! Invariant: whatever a model does to the process that rehearses it, the one that asked goes on, and knows why.
//!
//! ONNX Runtime is a large program in another language: a file that makes it run wild would take the service with it. In
//! a rehearsal it takes a child instead, which has no secrets, few rights to memory and time, and nobody to miss it.
//!
//! ```text
//! who asks (stage.rs)                          who rehearses (actor.rs), the same program
//!   starts it with an Order as its argument ──▶ lowers its limits, loads ONNX Runtime
//!   a line of JSON, then the bytes          ──▶ loads the model, runs a row of zeros
//!   what became of it                       ◀── a line of JSON, or an end that nobody wished for
//! ```

mod actor;
mod stage;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use eddy_pipeline::settings::{Bytes, Problem, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::actor::act;
pub use self::stage::{Failure, Stage};
use crate::settings::Settings;

/// Least memory that lets ONNX Runtime itself be loaded.
const MIN_MEMORY: Bytes = Bytes::mib(256);
/// Fewest files that a program on this runtime needs.
const MIN_FILES: u64 = 16;

/// `[runtime.rehearsal]`: models are first loaded and run by a process of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RehearsalSettings {
    /// Whether a model is rehearsed before it is loaded. Default true: a model that makes ONNX Runtime crash or hang is
    /// then an error message. Costs about the time of one more load.
    pub enabled: bool,
    /// Address space that a rehearsal may take, for ONNX Runtime, the model and its run together. Default 16 GiB; 256
    /// MiB at least.
    pub memory: Bytes,
    /// Processor time that a rehearsal may take, over all threads; counted in whole seconds. Default `"1m"`.
    pub processor_time: Span,
    /// Longest that a rehearsal may take. Default `"2m"`.
    pub deadline: Span,
    /// Files that a rehearsal may have open. Default 256; 16 at least.
    pub open_files: u64,
}

impl Default for RehearsalSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            memory: Bytes::mib(16 << 10),
            processor_time: Span::seconds(60),
            deadline: Span::seconds(120),
            open_files: 256,
        }
    }
}

impl RehearsalSettings {
    /// What is wrong with them, with keys below `key` (`runtime.rehearsal`).
    pub(crate) fn problems(&self, key: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut problem = |field: &str, message: String| problems.push(Problem::new(format!("{key}.{field}"), message));
        if self.memory < MIN_MEMORY {
            problem(
                "memory",
                format!("ONNX Runtime takes {MIN_MEMORY} at least; write more"),
            );
        }
        for (field, span) in [("processor_time", self.processor_time), ("deadline", self.deadline)] {
            if span.0 < Duration::from_secs(1) {
                problem(
                    field,
                    "no model can be rehearsed so fast; write a second or more".into(),
                );
            }
        }
        if self.open_files < MIN_FILES {
            problem("open_files", format!("must be {MIN_FILES} at least"));
        }
        problems
    }
}

/// A program that can [`act`], and how it is asked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
}

impl Program {
    /// The program at `path`, with these arguments before the order.
    pub fn new(path: impl Into<PathBuf>, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self {
            path: path.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
        }
    }

    /// The program that runs here: also when its file was replaced since.
    pub fn this(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        let path = if cfg!(target_os = "linux") {
            "/proc/self/exe".into()
        } else {
            std::env::current_exe().unwrap_or_default()
        };
        Self::new(path, arguments)
    }
}

/// What this process rehearses with. It is said once, by `main`: whether a program can be asked to rehearse is a fact
/// about the program.
static PROGRAM: OnceLock<Program> = OnceLock::new();

/// Rehearses models with this program from now on. Without it, as in tests of a library, models are loaded at once. The
/// first call counts.
pub fn rehearse_with(program: Program) {
    PROGRAM.get_or_init(|| program);
}

/// What this process rehearses with.
pub(crate) fn program() -> Option<&'static Program> {
    PROGRAM.get()
}

/// What a rehearsal is told when it starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// ONNX Runtime's library; without it, the usual places are looked at.
    pub library: Option<PathBuf>,
    /// What the rehearsal may take.
    pub limits: RehearsalSettings,
    /// Longest that one run may take.
    pub run_limit: Span,
    /// The model's settings.
    pub model: Settings,
}

/// The sizes of what follows: the model, and each file that it keeps data in.
#[derive(Debug, Serialize, Deserialize)]
struct Scene {
    model: u64,
    weights: Vec<(String, u64)>,
}

/// How a rehearsal went that came to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The model loads, and runs as far as that can be tried without knowing its rows.
    Sound,
    /// ONNX Runtime refuses it.
    DoesNotLoad {
        /// In its words.
        reason: String,
    },
    /// It takes or gives something that cannot be handled.
    DoesNotFit {
        /// What is wrong, and what to do.
        fault: String,
        /// All inputs and outputs.
        signature: String,
    },
    /// It fails on a row of zeros in a way that no other row would mend.
    DoesNotRun {
        /// What happened, and what to do.
        reason: String,
    },
    /// The rehearsal itself could not be held.
    NotHeld {
        /// Why.
        reason: String,
    },
}
