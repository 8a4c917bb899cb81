//! Sessions: a model's bytes made ready to run on a provider.
//!
//! Owns: the options of every session, and the choice among providers. Never does: run one.
//! Invariant: a session runs on the provider that it says; the processor never takes over in silence.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use ort::ep::{self, ExecutionProviderDispatch};
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::SessionBuilder;

use crate::error::Error;
use crate::intake::Weights;
use crate::runtime::Runtime;
use crate::settings::{Fallback, Provider, Settings};
use crate::tensors::one_line;

/// What a model's sessions are made of.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) runtime: Runtime,
    pub(crate) settings: Settings,
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
    /// What `bytes` keeps in files of their own.
    pub(crate) weights: Vec<Weights>,
}

/// What was chosen, and why nothing better.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub(crate) provider: Provider,
    /// Why the providers before it could not be used; empty where the first could.
    pub(crate) passed_over: String,
}

impl Source {
    /// A session on the first provider that can be used.
    pub(crate) fn open(&self) -> Result<(Session, Choice), Error> {
        let mut passed_over = String::new();
        let mut wanted = self.settings.providers.clone();
        if self.settings.fallback == Fallback::Cpu && !wanted.contains(&Provider::Cpu) {
            wanted.push(Provider::Cpu);
        }
        for provider in wanted {
            let reason = match self.open_on(provider) {
                Ok(session) => return Ok((session, Choice { provider, passed_over })),
                // The processor takes every model that is one.
                Err(reason) if provider == Provider::Cpu => {
                    return Err(Error::Load {
                        path: self.path.clone(),
                        reason,
                    });
                }
                Err(reason) => reason,
            };
            tracing::warn!(model = self.settings.name, %provider, reason, "a provider cannot be used");
            writeln!(passed_over, "  {provider}: {reason}").expect("writing to a String cannot fail");
        }
        Err(Error::Providers {
            path: self.path.clone(),
            reasons: passed_over,
        })
    }

    /// A session on this provider and no other.
    pub(crate) fn open_on(&self, provider: Provider) -> Result<Session, String> {
        // The wrapper gives up on some kinds of output with a panic, where a model is broken or exotic.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let mut builder = self.builder(provider)?;
            builder.commit_from_memory(&self.bytes)
        }));
        match outcome {
            Ok(session) => session.map_err(|error| one_line(&error.to_string())),
            Err(_) => Err("it has an input or output of a kind that cannot be handled".into()),
        }
    }

    fn builder(&self, provider: Provider) -> ort::Result<SessionBuilder> {
        let mut builder = Session::builder(self.runtime.environment())?
            .with_log_id(&self.settings.name)?
            .with_log_level(LogLevel::Warning)?
            .with_intra_threads(self.settings.intra_threads)?
            .with_inter_threads(1)?
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?
            .with_execution_providers(self.execution_providers(provider))?;
        for Weights { name, bytes, .. } in &self.weights {
            builder = builder.with_external_initializer_file_in_memory(name, Arc::clone(bytes))?;
        }
        Ok(builder)
    }

    fn execution_providers(&self, provider: Provider) -> Vec<ExecutionProviderDispatch> {
        let device = i32::from(self.settings.device);
        let cuda = || ep::CUDA::default().with_device_id(device).build().error_on_failure();
        match provider {
            Provider::Cpu => Vec::new(),
            Provider::Cuda => vec![cuda()],
            Provider::TensorRt => {
                vec![
                    ep::TensorRT::default()
                        .with_device_id(device)
                        .build()
                        .error_on_failure(),
                    cuda(),
                ]
            }
        }
    }
}
