//! ONNX Runtime, loaded once for the whole process.
//!
//! Owns: the library, its environment and the watchdog. Never does: know a model.
//! Invariant: one library and one environment per process; telemetry is off in it.

use std::error::Error as _;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ort::LoadDynamicError;
use ort::environment::Environment;
use ort::logging::LogLevel;

use crate::environment::{TELEMETRY_VARIABLE, variable};
use crate::error::Error;
use crate::library::{Candidate, Kind, Surroundings};
use crate::logger;
use crate::settings::RuntimeSettings;
use crate::watchdog::Watchdog;

/// The first minor version that looks at every path and address in a model before it follows it. What our own scan lets
/// through shall meet a loader that looks as well.
const MINIMUM: u32 = 27;

/// What a process has of ONNX Runtime. It stays until the process ends: the runtime cannot be set up twice.
static PROCESS: Mutex<Option<Arc<Process>>> = Mutex::new(None);

#[derive(Debug)]
struct Process {
    library: PathBuf,
    version: String,
    environment: Environment,
    watchdog: Watchdog,
}

/// A handle to ONNX Runtime; cheap to clone.
#[derive(Debug, Clone)]
pub struct Runtime {
    process: Arc<Process>,
    settings: RuntimeSettings,
}

impl Runtime {
    /// Loads the library, or takes the one that the process has already. `project_folder` is the folder of the
    /// pipeline file.
    ///
    /// # Errors
    /// [`Error::Library`] where none can be used, [`Error::OtherLibrary`] where the process uses another than the
    /// one that is named, and [`Error::Environment`].
    pub fn load(settings: &RuntimeSettings, project_folder: &Path) -> Result<Self, Error> {
        let candidates = Surroundings::of_process(settings, project_folder).candidates();
        // A panic while this was held has left either nothing or a whole process in it.
        let mut current = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
        let process = match &*current {
            Some(process) => {
                process.refuse_another(&candidates)?;
                Arc::clone(process)
            }
            None => Arc::clone(current.insert(Arc::new(Process::start(&candidates)?))),
        };
        Ok(Self {
            process,
            settings: settings.clone(),
        })
    }

    /// The library in use.
    pub fn library(&self) -> &Path {
        &self.process.library
    }

    /// Its version, major and minor: `1.31`.
    pub fn version(&self) -> &str {
        &self.process.version
    }

    /// The library, as another process finds it; `None` where the system's loader found it by its name.
    pub(crate) fn library_for_another_process(&self) -> Option<PathBuf> {
        let library = self.library();
        let is_name = library.parent().is_none_or(|folder| folder.as_os_str().is_empty());
        (!is_name).then(|| std::path::absolute(library).unwrap_or_else(|_| library.into()))
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.process.environment
    }

    pub(crate) fn watchdog(&self) -> &Watchdog {
        &self.process.watchdog
    }

    pub(crate) fn settings(&self) -> &RuntimeSettings {
        &self.settings
    }
}

impl Process {
    fn start(candidates: &[Candidate]) -> Result<Self, Error> {
        if variable(TELEMETRY_VARIABLE).is_none() {
            tracing::warn!(
                "{TELEMETRY_VARIABLE} is not set, so ONNX Runtime may collect telemetry; call \
                 `disable_runtime_telemetry` first thing in `main`"
            );
        }
        let (library, builder) = open(candidates)?;
        let fault = |reason: String| Error::Environment {
            library: library.clone(),
            reason,
        };
        let environment = builder
            .with_name("eddy")
            .with_telemetry(false)
            .with_logger(logger::forward())
            .build()
            .map_err(|error| fault(error.to_string()))?;
        environment.set_log_level(LogLevel::Warning);
        let watchdog = Watchdog::start().map_err(|error| fault(format!("its watchdog does not start: {error}")))?;
        let version = ort::util::probe(&library).map_or_else(|| "unknown".into(), |minor| format!("1.{minor}"));
        tracing::info!(library = %library.display(), version, "ONNX Runtime is loaded");
        Ok(Self {
            library,
            version,
            environment,
            watchdog,
        })
    }

    fn refuse_another(&self, candidates: &[Candidate]) -> Result<(), Error> {
        let Some(named) = candidates.iter().find(|candidate| candidate.kind == Kind::Named) else {
            return Ok(());
        };
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if real(&named.path) == real(&self.library) {
            return Ok(());
        }
        Err(Error::OtherLibrary {
            loaded: self.library.clone(),
            asked: named.path.clone(),
        })
    }
}

/// Opens the first library that can be used.
fn open(candidates: &[Candidate]) -> Result<(PathBuf, ort::environment::EnvironmentBuilder), Error> {
    let mut looked = String::new();
    for candidate in candidates {
        let outcome = if candidate.kind != Kind::System && !candidate.path.exists() {
            Err("no such file".to_owned())
        } else {
            // Never `ort::init`, which panics where this gives an error.
            refuse_an_old_one(ort::util::probe(&candidate.path))
                .and_then(|()| ort::init_from(&candidate.path).map_err(reason))
        };
        match outcome {
            Ok(builder) => return Ok((candidate.path.clone(), builder)),
            Err(reason) => {
                writeln!(
                    looked,
                    "  {} ({}): {reason}",
                    candidate.path.display(),
                    candidate.origin
                )
                .expect("writing to a String cannot fail");
            }
        }
    }
    Err(Error::Library {
        looked,
        minimum: MINIMUM,
    })
}

/// What cannot be probed is left to be refused by the attempt to load it.
fn refuse_an_old_one(minor: Option<u32>) -> Result<(), String> {
    match minor {
        Some(minor) if minor < MINIMUM => Err(format!("it is version 1.{minor}, which is too old")),
        _ => Ok(()),
    }
}

fn reason(error: LoadDynamicError) -> String {
    match error {
        // Its own words leave out what the loader said.
        LoadDynamicError::Dlopen { error, .. } => error.source().map_or_else(|| error.to_string(), ToString::to_string),
        LoadDynamicError::MissingApi { .. } => "it is not ONNX Runtime (no `OrtGetApiBase`)".into(),
        LoadDynamicError::InvalidVersionString => "it does not say its version".into(),
        LoadDynamicError::BadVersion { version_str, .. } => format!("it is version {version_str}, which is too old"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_that_follows_any_path_in_a_model_is_too_old() {
        // 1.26 does, by the demonstrations of others; 1.27 is the first release that looks at each.
        assert_eq!(
            refuse_an_old_one(Some(26)),
            Err("it is version 1.26, which is too old".into())
        );
        assert_eq!(refuse_an_old_one(Some(27)), Ok(()));
        assert_eq!(refuse_an_old_one(None), Ok(()));
    }
}
