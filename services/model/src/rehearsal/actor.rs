//! The side that rehearses: a process that may die of it.
//!
//! Owns: its limits, and one answer for each model. Never does: read a file of the user or a variable of the environment.
//! Invariant: limits come first, before ONNX Runtime is in the process.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::path::Path;
use std::process::ExitCode;

use eddy_pipeline::settings::Span;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{Order, Outcome, RehearsalSettings, Scene};
use crate::intake::Weights;
use crate::runtime::Runtime;
use crate::session::Source;
use crate::settings::RuntimeSettings;
use crate::tensors::one_line;

/// Longest line that says what follows.
const MAX_SCENE_BYTES: u64 = 1 << 20;

/// Rehearses what comes in on standard input until it ends, and answers on standard output. `order` is an [`Order`] as
/// JSON. Call it in a process of its own, before it has threads.
pub fn act(order: &str) -> ExitCode {
    let runtime = prepare(order);
    let mut input = BufReader::new(io::stdin().lock());
    loop {
        let outcome = match (read_scene(&mut input), &runtime) {
            (Ok(None), _) => return ExitCode::SUCCESS,
            (Ok(Some((bytes, weights))), Ok((runtime, order))) => rehearse(runtime, order, bytes, weights),
            (Ok(Some(_)), Err(reason)) => Outcome::NotHeld { reason: reason.clone() },
            (Err(error), _) => Outcome::NotHeld {
                reason: format!("the model does not arrive: {error}"),
            },
        };
        let answered = serde_json::to_string(&outcome)
            .map_err(io::Error::from)
            .and_then(|mut line| {
                line.push('\n');
                let mut output = io::stdout().lock();
                output.write_all(line.as_bytes())?;
                output.flush()
            });
        // Nobody listens any more.
        if answered.is_err() {
            return ExitCode::FAILURE;
        }
    }
}

fn prepare(order: &str) -> Result<(Runtime, Order), String> {
    let order: Order = serde_json::from_str(order).map_err(|error| format!("its order is not understood: {error}"))?;
    limit_this_process(&order.limits).map_err(|error| format!("its limits cannot be set: {error}"))?;
    let settings = RuntimeSettings {
        library: order.library.clone(),
        calibration: Span::ms(0),
        trial_limit: order.run_limit,
        rehearsal: order.limits.clone(),
    };
    let runtime = Runtime::load(&settings, Path::new("")).map_err(|error| one_line(&error.to_string()))?;
    Ok((runtime, order))
}

/// Gives up for ever what a rehearsal does not need.
fn limit_this_process(limits: &RehearsalSettings) -> io::Result<()> {
    // A rehearsal that nobody waits for would go on until its time is over.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let processor_seconds = limits.processor_time.0.as_secs();
    let resources = [
        (Resource::As, limits.memory.0, 0),
        // The first second past the limit sends a signal that says why, the next one ends it.
        (Resource::Cpu, processor_seconds, 1),
        (Resource::Nofile, limits.open_files, 0),
        (Resource::Core, 0, 0),
        (Resource::Fsize, 0, 0),
    ];
    for (resource, soft, grace) in resources {
        let ceiling = getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let limit = Rlimit {
            current: Some(soft.min(ceiling)),
            maximum: Some(soft.saturating_add(grace).min(ceiling)),
        };
        setrlimit(resource, limit)?;
    }
    Ok(())
}

type Files = (Vec<u8>, Vec<Weights>);

/// The next model, or `None` at the end.
fn read_scene(input: &mut impl io::BufRead) -> io::Result<Option<Files>> {
    let mut line = Vec::new();
    input.take(MAX_SCENE_BYTES).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    let scene: Scene = serde_json::from_slice(&line)?;
    let bytes = read_bytes(input, scene.model)?;
    let mut weights = Vec::new();
    for (name, size) in scene.weights {
        weights.push(Weights {
            name,
            sha256: String::new(),
            bytes: read_bytes(input, size)?.into(),
        });
    }
    Ok(Some((bytes, weights)))
}

fn read_bytes(input: &mut impl Read, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let room = usize::try_from(size).map_err(io::Error::other)?;
    bytes.try_reserve_exact(room).map_err(io::Error::other)?;
    input.take(size).read_to_end(&mut bytes)?;
    match bytes.len() == room {
        true => Ok(bytes),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn rehearse(runtime: &Runtime, order: &Order, bytes: Vec<u8>, weights: Vec<Weights>) -> Outcome {
    let source = Source {
        runtime: runtime.clone(),
        settings: order.model.clone(),
        path: order.model.path.clone(),
        bytes,
        weights,
    };
    match source.try_out() {
        Ok(()) => Outcome::Sound,
        Err(outcome) => outcome,
    }
}
