//! A model: a file that was read, checked and tried.
//!
//! Owns: the order of checks, and what was learned from them. Never does: run events.
//! Invariant: a model that loads has the bytes that its SHA-256 names, computes its golden rows, and has said what it
//! takes and gives.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use eddy_pipeline::tensor::{Inputs, TensorSpec};

use crate::calibration::{BatchCaps, Calibration};
use crate::engine::Engine;
use crate::error::{Error, GoldenMismatch};
use crate::golden::Golden;
use crate::intake::{Intake, take_in};
use crate::runtime::Runtime;
use crate::scorer::{OrtScorer, Parts};
use crate::session::{Choice, Source};
use crate::settings::{Provider, Settings};
use crate::signature::{Batch, Signature, describe};
use crate::trial::{has_shapes, repeat_rows};
use crate::zipmap::ClassNames;

/// A model that is ready to be run, by as many scorers as there are lanes. It and its scorers share the file's bytes, so
/// that another session can be made at any time.
#[derive(Debug)]
pub struct Model {
    source: Arc<Source>,
    sha256: String,
    classes: Vec<ClassNames>,
    choice: Choice,
    signature: Signature,
    caps: BatchCaps,
    /// Rows that the model is known to take; `None` where nobody knows any.
    known: Option<Inputs>,
    /// Empty until somebody has said what the open dimensions of the inputs are.
    calibration: OnceLock<Calibration>,
    /// The engine that was tried, for the first scorer.
    tried: Mutex<Option<Engine>>,
}

impl Model {
    /// Reads, checks and tries the model of one `[[models]]` entry. `folder` is the folder of the pipeline file.
    ///
    /// # Errors
    /// Any fault of the file, of its golden rows or of the providers, as an [`Error`] with its next step.
    pub fn load(runtime: &Runtime, settings: &Settings, folder: &Path, caps: BatchCaps) -> Result<Self, Error> {
        let path = folder.join(&settings.path);
        let Intake {
            bytes,
            sha256,
            classes,
            weights,
        } = take_in(settings, &path)?;
        let source = Arc::new(Source {
            runtime: runtime.clone(),
            settings: settings.clone(),
            path,
            bytes,
            weights,
        });

        source.rehearse()?;
        let (session, choice) = source.open()?;
        let refuse = |fault| Error::Signature {
            path: source.path.clone(),
            fault,
            signature: describe(&session),
        };
        let signature = Signature::read(&session).map_err(refuse)?;
        let golden = source.golden(&signature, folder)?;
        let mut engine = source.engine(session, signature)?;
        if let Some((path, golden)) = &golden {
            check_golden(&mut engine, golden, &source.path, path)?;
        }
        let golden_rows = golden.map(|(_, golden)| golden.inputs);
        let specs = engine.signature().inputs.clone();
        let calibration = OnceLock::new();
        // Where dimensions are open, a trial waits for a scorer: only its maker knows them.
        let known = if specs.iter().all(|spec| spec.row_width().is_some()) {
            let known = source.known_rows(&mut engine, &specs, golden_rows)?;
            calibration.get_or_init(|| source.calibrate(&mut engine, known.as_ref(), caps));
            known
        } else {
            golden_rows
        };
        let signature = engine.signature().clone();
        let tried = Mutex::new(Some(engine));
        let model = Self {
            source,
            sha256,
            classes,
            choice,
            signature,
            caps,
            known,
            calibration,
            tried,
        };
        model.log_load();
        Ok(model)
    }

    /// A scorer with a session of its own. `resolved_inputs` are this model's inputs in its order, with a number in
    /// the place of every open dimension.
    ///
    /// # Errors
    /// [`Error::Inputs`] where they do not fit, [`Error::Load`] and [`Error::Trial`] where another session of the same
    /// model cannot be made or fails.
    pub fn scorer(&self, resolved_inputs: &[TensorSpec]) -> Result<OrtScorer, Error> {
        self.fit(resolved_inputs).map_err(|fault| Error::Inputs {
            model: self.name().into(),
            fault,
        })?;
        let tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut engine = match tried {
            Some(engine) => engine,
            None => {
                let session = self.source.open_on(self.provider());
                let session = session.map_err(|reason| Error::Load {
                    path: self.path().into(),
                    reason,
                })?;
                self.source.engine(session, self.signature.clone())?
            }
        };
        // Another session warms up here, and a model with open dimensions is tried with those that it will meet.
        let fitting = self.known.clone().filter(|rows| has_shapes(rows, resolved_inputs));
        let known = self.source.known_rows(&mut engine, resolved_inputs, fitting)?;
        let calibrate = || self.source.calibrate(&mut engine, known.as_ref(), self.caps);
        let calibration = self.calibration.get_or_init(calibrate).clone();
        engine.set_time_limit(None);
        let probe = known.map(|rows| repeat_rows(&rows, 1));
        let parts = Parts {
            engine,
            inputs: resolved_inputs.to_vec(),
            calibration,
            probe,
        };
        Ok(OrtScorer::new(parts, Arc::clone(&self.source), self.provider()))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.source.settings.name
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.source.settings.version
    }

    /// The file that it was read from.
    pub fn path(&self) -> &Path {
        &self.source.path
    }

    /// SHA-256 of the file, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Files beside it that it keeps data in, each with its SHA-256 in hexadecimal.
    pub fn external_data(&self) -> impl Iterator<Item = (&str, &str)> {
        let weights = self.source.weights.iter();
        weights.map(|file| (file.name.as_str(), file.sha256.as_str()))
    }

    /// Its inputs, in its order.
    pub fn inputs(&self) -> &[TensorSpec] {
        &self.signature.inputs
    }

    /// Its outputs, in its order; open dimensions are filled in where a trial run could tell.
    pub fn outputs(&self) -> &[TensorSpec] {
        &self.signature.outputs
    }

    /// Rows that one call of the runtime takes, where the model insists on a number. Scorers take any number.
    pub fn fixed_batch(&self) -> Option<usize> {
        match self.signature.batch {
            Batch::Open => None,
            Batch::Fixed(rows) => Some(rows),
        }
    }

    /// Names of the classes that the model carries for its probabilities, in the order of the columns: those of the
    /// one `ZipMap` that scikit-learn's default export ends in.
    pub fn class_names(&self) -> Option<&[String]> {
        match self.classes.as_slice() {
            [only] if !only.names.is_empty() => Some(&only.names),
            _ => None,
        }
    }

    /// What computes its runs.
    pub fn provider(&self) -> Provider {
        self.choice.provider
    }

    /// Why a provider that was preferred is not the one in use; `None` where it is.
    pub fn fell_back(&self) -> Option<&str> {
        (!self.choice.passed_over.is_empty()).then_some(self.choice.passed_over.trim_end())
    }

    /// What was measured; `None` until the first scorer is made of a model with open dimensions.
    pub fn calibration(&self) -> Option<&Calibration> {
        self.calibration.get()
    }

    fn fit(&self, resolved: &[TensorSpec]) -> Result<(), String> {
        let inputs = &self.signature.inputs;
        if resolved.len() != inputs.len() {
            return Err(format!(
                "{} are given and the model has {}",
                resolved.len(),
                inputs.len()
            ));
        }
        for (given, spec) in resolved.iter().zip(inputs) {
            let is_open = |(promised, given): (&Option<usize>, &Option<usize>)| promised.is_none() || promised == given;
            let fits = given.name == spec.name
                && given.dtype == spec.dtype
                && given.row_shape.len() == spec.row_shape.len()
                && spec.row_shape.iter().zip(&given.row_shape).all(is_open);
            if !fits {
                return Err(format!("{given} is given and the model takes {spec} in its place"));
            }
            if given.row_width().is_none() {
                return Err(format!(
                    "{given} still has an open dimension; say the shape of the field that fills it"
                ));
            }
        }
        Ok(())
    }

    fn log_load(&self) {
        if self.fell_back().is_some() {
            tracing::warn!(
                model = self.name(),
                provider = %self.provider(),
                "the model runs on another provider than the one that is preferred"
            );
        }
        for (file, sha256) in self.external_data() {
            tracing::info!(
                model = self.name(),
                file,
                sha256,
                "the model keeps data in a file of its own"
            );
        }
        tracing::info!(
            model = self.name(),
            version = self.version(),
            sha256 = self.sha256(),
            provider = %self.provider(),
            max_rows = self.calibration().map(Calibration::max_rows),
            "a model is loaded"
        );
    }
}

fn check_golden(engine: &mut Engine, golden: &Golden, model: &Path, path: &Path) -> Result<(), Error> {
    let mut mismatch = None;
    let outcome = engine.run(&golden.inputs, 0..golden.inputs.rows, &mut |views| {
        mismatch = golden.compare(views)
    });
    if let Err(error) = outcome {
        let fault = format!(
            "the model does not run its rows: {}; correct the rows or the model",
            error.message
        );
        return Err(Error::Golden {
            path: path.into(),
            fault,
        });
    }
    let Some(mismatch) = mismatch else { return Ok(()) };
    Err(Error::GoldenMismatch(Box::new(GoldenMismatch {
        model: model.into(),
        golden: path.into(),
        output: engine.signature().outputs[mismatch.output].name.clone(),
        row: mismatch.row,
        expected: mismatch.expected,
        got: mismatch.got,
        tolerance: golden.tolerance(),
    })))
}
