//! What the pipeline file says about models and about the runtime.
//!
//! Owns: `[[models]]` and `[runtime]`, their defaults and what may be wrong with them. Never does: touch a file.
//! Invariant: settings without problems can be loaded, as far as that can be known without looking at the model.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use eddy_pipeline::head::HeadSettings;
use eddy_pipeline::settings::{Bytes, Problem, Span};
use eddy_pipeline::signal::Signal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rehearsal::RehearsalSettings;
use crate::scan::{Limits, is_plain_file_name};

/// Longest name or version of a model, in characters: both become labels of metrics.
const MAX_NAME: usize = 64;
/// More threads in one run than this is a slip of the keyboard.
const MAX_THREADS: usize = 256;

/// One `[[models]]` entry: an ONNX file and how it is run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Name of the model in predictions, metrics and logs: letters, digits, `.`, `_` and `-`, 64 at most. Required;
    /// no two models share one.
    pub name: String,
    /// Version of the model, carried by every prediction and sample. Same characters as `name`. Default `"1"`.
    #[serde(default = "default_version")]
    pub version: String,
    /// The ONNX file, relative to the pipeline file. Required.
    pub path: PathBuf,
    /// SHA-256 that the ONNX file must have, 64 hexadecimal digits. Default: not checked, but always computed and
    /// reported. Covers this file only; `external_data` covers those beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Files beside the ONNX file that it keeps data in, each with its SHA-256: `{ "model.onnx.data" = "…" }`. They
    /// are read once, by plain name and through no link, and handed to ONNX Runtime from memory. Default: none, so that
    /// a model with such files is refused; the message holds the line to add.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub external_data: BTreeMap<String, String>,
    /// Rows with known results (`golden.json`), relative to the pipeline file, run when the model loads; a difference
    /// refuses the model. Default: none, so that only the model's shape is checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub golden: Option<PathBuf>,
    /// How far a golden number may be off: this much, or this share of it where it is larger than one. Zero asks for
    /// the very same number. Default: what the golden file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
    /// For each input of the model, the fields that fill it, in their order. May be left out where every input has the
    /// name of a field.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, Vec<String>>,
    /// How the model's outputs become predictions. Required.
    pub head: HeadSettings,
    /// Reference profile of this version, relative to the pipeline file, as `eddy profile` writes it. Signals compare with it,
    /// and it certifies rates of false alarms. Default: none, so that only signals of the outputs themselves are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<PathBuf>,
    /// Signals that are measured, exported and written into the predictions. Default: where events compete for a budget
    /// (`[select]`), the usual ones of those that the head and the reference profile allow; else none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signals: Option<Vec<Signal>>,
    /// Most rows of one run. Default: found when the model loads, by timing growing batches. At least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rows: Option<usize>,
    /// Threads that share the work of one run. Default 1, which scales best, because every lane runs a session of its
    /// own; more helps a single heavy model. 1 to 256.
    #[serde(default = "default_intra_threads")]
    pub intra_threads: usize,
    /// What computes, in order of preference: `"tensorrt"`, `"cuda"`, `"cpu"`. Default `["cpu"]`. One that is named
    /// and cannot be used is logged, and `fallback` decides when none can.
    #[serde(default = "default_providers")]
    pub providers: Vec<Provider>,
    /// What happens when no provider can be used: `"refuse"` the model (default), or run it on the `"cpu"`, which is
    /// logged and exported.
    #[serde(default)]
    pub fallback: Fallback,
    /// Which device, where there are several. Default 0. Without effect on the CPU.
    #[serde(default)]
    pub device: u16,
    /// Largest file that is read: the ONNX file, and each in `external_data`. Default 2 GiB, which is also the most that
    /// the format can hold in one ONNX file.
    #[serde(default = "default_max_file_bytes")]
    pub max_file_bytes: Bytes,
    /// How much the model may hold. Past these, it is refused before ONNX Runtime sees it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: Limits,
}

/// What computes a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// NVIDIA TensorRT, with CUDA for what it cannot do.
    TensorRt,
    /// NVIDIA CUDA.
    Cuda,
    /// The processor.
    Cpu,
}

impl Provider {
    /// The word used in settings, labels and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TensorRt => "tensorrt",
            Self::Cuda => "cuda",
            Self::Cpu => "cpu",
        }
    }
}

impl std::fmt::Display for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What happens when none of the providers can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fallback {
    /// The model does not load.
    #[default]
    Refuse,
    /// The model runs on the processor, and says so.
    Cpu,
}

/// `[runtime]`: ONNX Runtime itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RuntimeSettings {
    /// The library (`libonnxruntime.so`), relative to the pipeline file. Default: looked for beside the program, in
    /// `.eddy/onnxruntime` of the project and by the system. The variables `EDDY_ONNXRUNTIME` and `ORT_DYLIB_PATH`
    /// come before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub library: Option<PathBuf>,
    /// Time that is spent, per model, on finding its best number of rows. Default `"200ms"`. `"0s"` leaves it out: 32
    /// rows are then taken, unless the model says otherwise.
    pub calibration: Span,
    /// Longest that a model's trial runs may take when it loads, each. Default `"2m"`, because the first run on a
    /// device may compile the model.
    pub trial_limit: Span,
    /// Models are first loaded and run by a process of its own.
    pub rehearsal: RehearsalSettings,
}

impl Default for RuntimeSettings {
    fn default() -> Self {
        Self {
            library: None,
            calibration: Span::ms(200),
            trial_limit: Span::seconds(120),
            rehearsal: RehearsalSettings::default(),
        }
    }
}

impl RuntimeSettings {
    /// What is wrong with them, with keys below `key` (`runtime`).
    pub fn problems(&self, key: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.trial_limit.0 == Duration::ZERO {
            problems.push(Problem::new(
                format!("{key}.trial_limit"),
                "no model can run in no time; write a span such as \"2m\"",
            ));
        }
        problems.extend(self.rehearsal.problems(&format!("{key}.rehearsal")));
        problems
    }
}

impl Settings {
    /// An entry with this name, file and head, and defaults for all else.
    pub fn new(name: impl Into<String>, path: impl Into<PathBuf>, head: HeadSettings) -> Self {
        Self {
            name: name.into(),
            version: default_version(),
            path: path.into(),
            sha256: None,
            external_data: BTreeMap::new(),
            golden: None,
            tolerance: None,
            inputs: BTreeMap::new(),
            profile: None,
            signals: None,
            head,
            max_rows: None,
            intra_threads: default_intra_threads(),
            providers: default_providers(),
            fallback: Fallback::default(),
            device: 0,
            max_file_bytes: default_max_file_bytes(),
            limits: Limits::default(),
        }
    }

    /// What is wrong with the entry, with keys below `key` (`models[0]`).
    pub fn problems(&self, key: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut problem = |field: &str, message: String| problems.push(Problem::new(format!("{key}.{field}"), message));
        for (field, value) in [("name", &self.name), ("version", &self.version)] {
            if !is_label(value) {
                problem(
                    field,
                    format!("`{value}` cannot be used; write 1 to {MAX_NAME} letters, digits, `.`, `_` or `-`"),
                );
            }
        }
        if self.path.as_os_str().is_empty() {
            problem("path", "is empty; write the path of the ONNX file".into());
        }
        let not_a_digest =
            |text: &str| format!("`{text}` is not a SHA-256; write the 64 hexadecimal digits that `sha256sum` prints");
        if let Some(sha256) = self.sha256.as_ref().filter(|sha256| !is_digest(sha256)) {
            problem("sha256", not_a_digest(sha256));
        }
        for (name, sha256) in &self.external_data {
            if !is_plain_file_name(name) {
                problem(
                    "external_data",
                    format!("`{name}` is not the plain name of a file; name files that lie beside the model"),
                );
            } else if !is_digest(sha256) {
                problem("external_data", not_a_digest(sha256));
            }
        }
        if self
            .tolerance
            .is_some_and(|tolerance| !tolerance.is_finite() || tolerance < 0.0)
        {
            problem("tolerance", "must be a number of at least 0, such as 1e-4".into());
        }
        for (input, fields) in &self.inputs {
            if fields.is_empty() {
                problem(
                    &format!("inputs.{input}"),
                    "names no field; name the fields that fill this input".into(),
                );
            }
        }
        if self.max_rows == Some(0) {
            problem(
                "max_rows",
                "a batch has at least 1 row; leave it out to have it measured".into(),
            );
        }
        if !(1..=MAX_THREADS).contains(&self.intra_threads) {
            problem("intra_threads", format!("must be 1 to {MAX_THREADS}"));
        }
        if self.providers.is_empty() {
            problem("providers", "names none; write [\"cpu\"]".into());
        }
        let twice = |i: usize| self.providers[..i].contains(&self.providers[i]);
        if let Some(i) = (0..self.providers.len()).find(|i| twice(*i)) {
            problem("providers", format!("names {} twice; keep one", self.providers[i]));
        }
        problems.extend(self.limits.problems(&format!("{key}.limits")));
        problems
    }
}

fn is_label(text: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !text.is_empty() && text.len() <= MAX_NAME && text.chars().all(is_allowed)
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn is_default(limits: &Limits) -> bool {
    *limits == Limits::default()
}

fn default_version() -> String {
    "1".into()
}

const fn default_intra_threads() -> usize {
    1
}

fn default_providers() -> Vec<Provider> {
    vec![Provider::Cpu]
}

const fn default_max_file_bytes() -> Bytes {
    Bytes::mib(2048)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> HeadSettings {
        serde_json::from_str(r#"{"type": "sklearn"}"#).unwrap()
    }

    fn keys(settings: &Settings) -> Vec<String> {
        settings.problems("models[0]").into_iter().map(|p| p.key).collect()
    }

    #[test]
    fn a_name_and_a_path_are_enough() {
        let settings: Settings =
            serde_json::from_str(r#"{"name": "digits", "path": "model.onnx", "head": {"type": "sklearn"}}"#).unwrap();
        assert_eq!(settings, Settings::new("digits", "model.onnx", head()));
        assert!(settings.problems("models[0]").is_empty());
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let text = r#"{"name": "digits", "path": "model.onnx", "head": {"type": "sklearn"}, "threads": 2}"#;
        let error = serde_json::from_str::<Settings>(text).unwrap_err().to_string();
        assert!(error.contains("threads"), "{error}");
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let mut settings = Settings::new("two words", "", head());
        settings.version = String::new();
        settings.sha256 = Some("abc".into());
        settings.external_data.insert("../weights".into(), "0".repeat(64));
        settings.external_data.insert("weights".into(), "abc".into());
        settings.tolerance = Some(f64::NAN);
        settings.inputs.insert("x".into(), Vec::new());
        settings.max_rows = Some(0);
        settings.intra_threads = 0;
        settings.providers = vec![Provider::Cpu, Provider::Cpu];
        settings.limits.depth = 0;
        let expected = [
            "models[0].name",
            "models[0].version",
            "models[0].path",
            "models[0].sha256",
            "models[0].external_data",
            "models[0].external_data",
            "models[0].tolerance",
            "models[0].inputs.x",
            "models[0].max_rows",
            "models[0].intra_threads",
            "models[0].providers",
            "models[0].limits.depth",
        ];
        assert_eq!(keys(&settings), expected);
    }

    #[test]
    fn an_empty_runtime_section_means_the_defaults() {
        assert_eq!(
            serde_json::from_str::<RuntimeSettings>("{}").unwrap(),
            RuntimeSettings::default()
        );
    }
}
