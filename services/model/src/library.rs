//! Where ONNX Runtime may lie.
//!
//! Owns: the list of places and their order. Never does: load anything.
//! Invariant: a place that somebody named is the only one; the others are tried in order.

use std::path::{Path, PathBuf};

use crate::environment::variable;
use crate::settings::RuntimeSettings;

/// The library's name, to be found by the system's loader or in a folder.
const FILE: &str = if cfg!(target_os = "macos") {
    "libonnxruntime.dylib"
} else {
    "libonnxruntime.so"
};
/// Where `tests/setup/onnxruntime` puts it, below the project.
const PROJECT_PLACE: &str = ".eddy/onnxruntime";
const VARIABLES: [&str; 2] = ["EDDY_ONNXRUNTIME", "ORT_DYLIB_PATH"];

/// One place to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) path: PathBuf,
    /// Who says so.
    pub(crate) origin: String,
    pub(crate) kind: Kind,
}

/// How a candidate is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Somebody named it: it must work.
    Named,
    /// It may be there.
    Usual,
    /// A bare name that the system's loader resolves.
    System,
}

/// Everything that decides the order.
#[derive(Debug, Default)]
pub(crate) struct Surroundings {
    /// The first of the variables that is set, with its value.
    pub(crate) variable: Option<(&'static str, PathBuf)>,
    pub(crate) configured: Option<PathBuf>,
    /// Folder of the program.
    pub(crate) program: Option<PathBuf>,
    /// Folder of the pipeline file, absolute.
    pub(crate) project: Option<PathBuf>,
    pub(crate) working: Option<PathBuf>,
}

impl Surroundings {
    /// Those of this process, for a pipeline file in `project`.
    pub(crate) fn of_process(settings: &RuntimeSettings, project: &Path) -> Self {
        Self {
            variable: VARIABLES
                .into_iter()
                .find_map(|name| Some((name, variable(name)?.into()))),
            configured: settings.library.as_ref().map(|path| project.join(path)),
            program: std::env::current_exe()
                .ok()
                .and_then(|exe| exe.parent().map(Path::to_owned)),
            project: std::path::absolute(project).ok(),
            working: std::env::current_dir().ok(),
        }
    }

    /// The places, in order.
    pub(crate) fn candidates(&self) -> Vec<Candidate> {
        let named = |path: &Path, origin: String| Candidate {
            path: path.into(),
            origin,
            kind: Kind::Named,
        };
        if let Some((name, path)) = &self.variable {
            return vec![named(path, format!("the variable {name}"))];
        }
        if let Some(path) = &self.configured {
            return vec![named(path, "`runtime.library`".into())];
        }
        let mut found: Vec<Candidate> = Vec::new();
        let mut add = |path: PathBuf, origin: &str| {
            if !found.iter().any(|known| known.path == path) {
                found.push(Candidate {
                    path,
                    origin: origin.into(),
                    kind: Kind::Usual,
                });
            }
        };
        if let Some(program) = &self.program {
            add(program.join(FILE), "beside the program");
            if let Some(prefix) = program.parent() {
                add(prefix.join("lib").join(FILE), "beside the program");
            }
        }
        for (start, origin) in [(&self.project, "the project"), (&self.working, "the working folder")] {
            for folder in start.iter().flat_map(|start| start.ancestors()) {
                add(folder.join(PROJECT_PLACE).join(FILE), origin);
            }
        }
        found.push(Candidate {
            path: FILE.into(),
            origin: "the system's loader".into(),
            kind: Kind::System,
        });
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surroundings() -> Surroundings {
        Surroundings {
            variable: None,
            configured: None,
            program: Some("/opt/eddy/bin".into()),
            project: Some("/srv/p".into()),
            working: Some("/srv".into()),
        }
    }

    #[test]
    fn places_come_in_the_documented_order_and_once_each() {
        let paths: Vec<_> = surroundings().candidates().into_iter().map(|c| c.path).collect();
        let expected = [
            "/opt/eddy/bin/libonnxruntime.so",
            "/opt/eddy/lib/libonnxruntime.so",
            "/srv/p/.eddy/onnxruntime/libonnxruntime.so",
            "/srv/.eddy/onnxruntime/libonnxruntime.so",
            "/.eddy/onnxruntime/libonnxruntime.so",
            "libonnxruntime.so",
        ];
        assert_eq!(
            paths,
            expected.map(|p| PathBuf::from(p.replace("libonnxruntime.so", FILE)))
        );
    }

    #[test]
    fn a_named_library_is_the_only_candidate_and_the_environment_comes_first() {
        let mut named = surroundings();
        named.configured = Some("/configured.so".into());
        let kinds = |s: &Surroundings| s.candidates().into_iter().map(|c| (c.path, c.kind)).collect::<Vec<_>>();
        assert_eq!(kinds(&named), [("/configured.so".into(), Kind::Named)]);
        named.variable = Some(("EDDY_ONNXRUNTIME", "/variable.so".into()));
        assert_eq!(kinds(&named), [("/variable.so".into(), Kind::Named)]);
    }
}
