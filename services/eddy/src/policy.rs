//! The policy file: read at the start, watched while the service runs.
//!
//! Owns: when the file is looked at, and what becomes of a change. Never does: decide on an event.
//!
//! Invariant: only a policy that fits the pipeline comes into force; on any error the one before stays. Half of a file can be
//! a policy that fits, so what is found is judged only when the look before has found the same.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use eddy_host::{Failure, OnDrain, OnExit, Policy, Tasks};
use eddy_inference::judge::InForce;
use eddy_pipeline::format::POLICY;
use eddy_pipeline::hash::config_hash;
use eddy_pipeline::policy::PolicyFile;
use eddy_pipeline::settings::{Problem, Span, nearest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::assemble::Assembly;
use crate::settings::history::History;
use crate::settings::problems::Problems;
use crate::settings::{self, Document, Source};

/// Larger than any policy file.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// What policy files were like before: as they are.
pub(crate) const HISTORY: History = History::of(&POLICY);

/// `[policy]`: a file with thresholds and budgets that replicas take up between batches, without a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PolicySettings {
    /// The policy file (TOML), relative to the pipeline file. A change is taken up when two looks in a row find it the same;
    /// write the new file beside it and rename it over the old one, so that nobody reads half of it. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// How often the file is looked at. Between 1s and 1h. Default 5s.
    pub every: Span,
}

impl Default for PolicySettings {
    fn default() -> Self {
        Self {
            path: None,
            every: Span::seconds(5),
        }
    }
}

impl PolicySettings {
    /// What is wrong beyond types.
    pub fn check(&self) -> Vec<Problem> {
        if (Span::seconds(1)..=Span::seconds(3600)).contains(&self.every) {
            return Vec::new();
        }
        vec![Problem::new(
            "policy.every",
            "not between 1s and 1h; write a span that is",
        )]
    }
}

/// A policy file that was read.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) file: PolicyFile,
    /// Where each setting stands.
    pub(crate) document: Document,
    /// Hash of what it says.
    pub(crate) hash: String,
}

impl Loaded {
    /// # Errors
    /// A model that the policy names and the pipeline has not.
    pub(crate) fn refuse_unknown_models<'a>(
        &self,
        named: impl Iterator<Item = &'a String>,
        known: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<(), Problems> {
        let unknown = named.filter(|name| !known.clone().any(|model| model == name.as_str()));
        let problems: Vec<Problem> = unknown
            .map(|name| {
                let advice = nearest(name, known.clone());
                let advice = advice.map_or_else(|| "remove it".to_owned(), |near| format!("did you mean `{near}`?"));
                Problem::new(
                    format!("models.{name}"),
                    format!("there is no model `{name}` in the pipeline; {advice}"),
                )
            })
            .collect();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(self.document.locate(problems))
        }
    }
}

/// Reads a policy file.
///
/// # Errors
/// Everything that is wrong with the file by itself.
pub(crate) fn load(path: &Path) -> Result<Loaded, Problems> {
    let name = path.display().to_string();
    let text = text_of(path).map_err(|message| Problems::whole(name.clone(), message))?;
    let source = Source {
        name: &name,
        text: &text,
    };
    let loaded = settings::read(source, [], &HISTORY, PolicyFile::check)?;
    let value = serde_json::to_value(&loaded.settings).expect("settings are plain values");
    Ok(Loaded {
        hash: config_hash(&value),
        file: loaded.settings,
        document: loaded.document,
    })
}

fn text_of(path: &Path) -> Result<String, String> {
    let next = "write a policy file (TOML) there, or remove `policy.path`";
    let size = std::fs::metadata(path).map_err(|error| format!("cannot be read: {error}; {next}"))?;
    if size.len() > MAX_FILE_BYTES {
        return Err(format!(
            "has {} bytes, more than the {MAX_FILE_BYTES} of any policy file; {next}",
            size.len()
        ));
    }
    std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}; {next}"))
}

/// Watches the file for as long as the service runs.
///
/// # Errors
/// When no thread can be started.
pub(crate) fn watch(
    tasks: &Tasks,
    assembly: Arc<Assembly>,
    path: PathBuf,
    every: Duration,
) -> Result<(), eddy_host::Error> {
    let policy = Policy {
        on_exit: OnExit::Log,
        on_drain: OnDrain::Finish,
    };
    tasks.spawn_thread("policy", policy, move |shutdown| {
        let mut watched = Watched::new(assembly, path);
        while !shutdown.wait_for(every) {
            watched.look();
        }
        Ok::<(), Failure>(())
    })
}

struct Watched {
    assembly: Arc<Assembly>,
    path: PathBuf,
    in_force: Arc<InForce>,
    /// What was wrong the last time: said once.
    refused: Option<String>,
    steady: Steady,
}

/// Whether what is found is what was found the time before.
#[derive(Debug, Default)]
struct Steady(Option<String>);

impl Steady {
    fn is(&mut self, found: String) -> bool {
        let is_same = self.0.as_ref() == Some(&found);
        self.0 = Some(found);
        is_same
    }
}

impl Watched {
    fn new(assembly: Arc<Assembly>, path: PathBuf) -> Self {
        Self {
            in_force: assembly.in_force(),
            refused: None,
            steady: Steady::default(),
            assembly,
            path,
        }
    }

    fn look(&mut self) {
        let before = self.in_force.current().1.policy;
        let read = load(&self.path);
        let found = match &read {
            Ok(loaded) => loaded.hash.clone(),
            Err(problems) => problems.to_string(),
        };
        if !self.steady.is(found) {
            return;
        }
        let judged = read.and_then(|loaded| {
            if Some(&loaded.hash) == before.as_ref() {
                return Ok(None);
            }
            self.assembly.judge_by(Some(&loaded)).map(Some)
        });
        match judged {
            Ok(None) => self.refused = None,
            Ok(Some((judgement, provenance))) => {
                tracing::info!(
                    policy = provenance.policy,
                    before,
                    config = provenance.config,
                    "the policy has changed; lanes follow from their next batch on"
                );
                self.in_force.replace(judgement, provenance);
                self.refused = None;
            }
            Err(problems) => {
                let message = problems.to_string();
                if self.refused.as_ref() != Some(&message) {
                    tracing::error!(
                        policy = before,
                        problems = message,
                        "the policy file is not taken up; the policy before stays in force"
                    );
                    self.refused = Some(message);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assemble::assemble;
    use crate::file;

    #[test]
    fn half_a_file_is_not_taken_up_though_it_is_a_policy_and_the_whole_is_at_the_second_look() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("policy.toml");
        let write = |text: &str| std::fs::write(&path, text).expect("there is room");
        write("format = 1\n");
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/shuttle/pipeline.toml");
        let variable = ("EDDY__POLICY__PATH".to_owned(), path.display().to_string());
        let pipeline = file::load(&example, [variable]).unwrap_or_else(|problems| panic!("{problems}"));
        let assembly = assemble(&pipeline).unwrap_or_else(|problems| panic!("{problems}"));
        let mut watched = Watched::new(Arc::new(assembly), path.clone());
        let hash = |watched: &Watched| watched.in_force.current().1.policy;
        let before = hash(&watched);
        watched.look();
        let whole = "format = 1\n[select]\nconfidence_below = 0.55\n";
        write(whole.strip_suffix("5\n").expect("its end"));
        watched.look();
        assert_eq!(hash(&watched), before, "what was found once may be half of it");
        write(whole);
        watched.look();
        assert_eq!(hash(&watched), before);
        watched.look();
        assert_eq!(hash(&watched), Some(load(&path).expect("it is whole").hash));
        write("format = 1\n[select]\nconfidence_below = ");
        watched.look();
        assert_eq!(
            watched.refused, None,
            "a file that is being written is no reason for an alarm"
        );
        watched.look();
        assert!(watched.refused.is_some());
    }
}
