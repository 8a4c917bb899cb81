//! The process environment, where the runtime can be told things before it exists.
//!
//! Owns: the one write to the environment, and the reading of variables that concern the runtime's library: those that
//! it reads itself, and those that say where it lies. Never does: read a setting; those come from the pipeline file.
//! Invariant: the write happens before any other thread runs, which only the caller can promise.

use std::ffi::OsString;

/// What ONNX Runtime reads when its environment is made.
pub(crate) const TELEMETRY_VARIABLE: &str = "ORT_DISABLE_TELEMETRY";

/// The value of a variable that concerns the library; an empty one counts as not set.
#[allow(
    clippy::disallowed_methods,
    reason = "these are the library's own variables, not settings of Eddy"
)]
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Switches off the uploader that Microsoft's builds of ONNX Runtime contain since 1.29, unless the operator has set
/// `ORT_DISABLE_TELEMETRY` to something else. Call it as the first statement of `main`, before any thread is started.
///
/// The switch in the runtime's own interface comes too late: the uploader has then written its first event.
#[allow(unsafe_code)]
pub fn disable_runtime_telemetry() {
    if variable(TELEMETRY_VARIABLE).is_none() {
        // SAFETY: setting a variable races with threads that read the environment; the caller has started none.
        unsafe { std::env::set_var(TELEMETRY_VARIABLE, "1") };
    }
}
