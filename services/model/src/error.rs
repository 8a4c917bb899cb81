//! What can go wrong when the runtime or a model is loaded.
//!
//! Owns: the sentences. Never does: run-time faults, which are [`eddy_pipeline::score::RunError`].
//! Invariant: each names the file, the fault and the next step.

use std::path::PathBuf;

use crate::rehearsal::Failure;
use crate::scan::Refusal;

/// What errors call the golden file.
pub(crate) const GOLDEN_FILE: &str = "golden file";

/// Why the runtime or a model cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No ONNX Runtime that can be used was found.
    #[error(
        "no ONNX Runtime (1.{minimum} or newer) can be used; looked for it here:\n{looked}get it with `make test` or \
         `tests/setup/onnxruntime`, or take `libonnxruntime.so` out of the `onnxruntime` wheel of PyPI and name it in \
         `runtime.library` or in the variable EDDY_ONNXRUNTIME"
    )]
    Library {
        /// One line for each place, with what was wrong there.
        looked: String,
        /// Lowest minor version that will do.
        minimum: u32,
    },
    /// The process has loaded another library already.
    #[error(
        "ONNX Runtime is loaded from `{loaded}` and cannot be loaded from `{asked}` as well; name the same library \
         everywhere, or restart",
        loaded = loaded.display(),
        asked = asked.display()
    )]
    OtherLibrary {
        /// What is in use.
        loaded: PathBuf,
        /// What was asked for.
        asked: PathBuf,
    },
    /// The library is there, but cannot be set up.
    #[error("ONNX Runtime in `{library}` cannot be set up: {reason}; try another version of it", library = library.display())]
    Environment {
        /// The library.
        library: PathBuf,
        /// The runtime's words.
        reason: String,
    },
    /// A file cannot be read.
    #[error("{what} `{path}` cannot be read: {source}; correct the path or the permissions", path = path.display())]
    Read {
        /// What the file is.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is larger than what is read.
    #[error(
        "{what} `{path}` has {bytes} bytes and the limit is {limit}; check the path, or raise {setting}",
        path = path.display()
    )]
    TooLarge {
        /// What the file is.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
        /// How to raise it.
        setting: &'static str,
    },
    /// The file is not the one that the settings name.
    #[error(
        "model file `{path}` has the SHA-256 {found}, and `sha256` asks for {wanted}; put the right file there, or \
         correct `sha256`",
        path = path.display()
    )]
    Sha256 {
        /// The file.
        path: PathBuf,
        /// What it has.
        found: String,
        /// What it should have.
        wanted: String,
    },
    /// The file is no ONNX model.
    #[error("model file `{path}` is not an ONNX model: {reason}; {hint}", path = path.display())]
    NotOnnx {
        /// The file.
        path: PathBuf,
        /// What was met instead.
        reason: String,
        /// What to do.
        hint: &'static str,
    },
    /// The file holds what no model needs and the runtime shall not see.
    #[error("model file `{path}` is refused: {refusal}", path = path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What it holds, and where.
        refusal: Box<Refusal>,
    },
    /// Something is wrong with files beside the model that hold its data.
    #[error("model file `{path}` is refused: {fault}", path = path.display())]
    ExternalData {
        /// The model file.
        path: PathBuf,
        /// What is wrong, and what to do.
        fault: String,
    },
    /// The model could not be rehearsed, or its rehearsal did not come to its end.
    #[error("model file `{path}` {failure}", path = path.display())]
    Rehearsal {
        /// The file.
        path: PathBuf,
        /// What became of the rehearsal.
        failure: Box<Failure>,
    },
    /// The runtime refuses the model.
    #[error(
        "model file `{path}` does not load: {reason}; check the file with the `onnx.checker` of Python, or export it \
         again",
        path = path.display()
    )]
    Load {
        /// The file.
        path: PathBuf,
        /// The runtime's words.
        reason: String,
    },
    /// None of the providers can be used.
    #[error(
        "model file `{path}` cannot run on what `providers` names:\n{reasons}install what is missing, or allow the \
         processor with `fallback = \"cpu\"`",
        path = path.display()
    )]
    Providers {
        /// The file.
        path: PathBuf,
        /// One line for each provider.
        reasons: String,
    },
    /// The model takes or gives something that cannot be handled.
    #[error("model file `{path}` cannot be used: {fault}; it has {signature}", path = path.display())]
    Signature {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        fault: String,
        /// All inputs and outputs.
        signature: String,
    },
    /// The golden file is not what it should be.
    #[error("golden file `{path}` cannot be used: {fault}", path = path.display())]
    Golden {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        fault: String,
    },
    /// The model does not compute what the golden file says.
    #[error("{0}")]
    GoldenMismatch(Box<GoldenMismatch>),
    /// A trial run failed in a way that no row explains.
    #[error("model file `{path}` loads, but a trial run fails: {reason}", path = path.display())]
    Trial {
        /// The file.
        path: PathBuf,
        /// What happened, and what to do.
        reason: String,
    },
    /// The inputs that were resolved do not fit the model.
    #[error("the inputs for model `{model}` do not fit: {fault}")]
    Inputs {
        /// The model's name.
        model: String,
        /// What is wrong.
        fault: String,
    },
}

impl Error {
    /// Whether it is about the golden file and not about the model itself.
    pub fn is_about_golden_file(&self) -> bool {
        match self {
            Self::Golden { .. } | Self::GoldenMismatch(_) => true,
            Self::Read { what, .. } | Self::TooLarge { what, .. } => *what == GOLDEN_FILE,
            _ => false,
        }
    }
}

/// Where a model and its golden file part.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "model file `{model}` does not compute what `{golden}` says: row {row} of output `{output}` is {got} where \
     {expected} is expected (tolerance {tolerance}); it is another model, or the rows must be made again",
    model = model.display(),
    golden = golden.display()
)]
pub struct GoldenMismatch {
    /// The model file.
    pub model: PathBuf,
    /// The golden file.
    pub golden: PathBuf,
    /// The output.
    pub output: String,
    /// The row, counted from 0.
    pub row: usize,
    /// What the golden file says, with the place in the row where it has several elements.
    pub expected: String,
    /// What the model gave.
    pub got: String,
    /// What was allowed.
    pub tolerance: f64,
}
