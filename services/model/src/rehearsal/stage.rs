//! The side that asks for a rehearsal, and outlives it.
//!
//! Owns: the child, the deadline, and the words for whatever end it finds. Never does: wait without one.
//! Invariant: no child is left behind, running or dead.

use std::collections::VecDeque;
use std::io::{self, Read, Write as _};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use eddy_pipeline::settings::Span;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
#[cfg(target_os = "linux")]
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::{Order, Outcome, Program, RehearsalSettings, Scene};
use crate::environment::{TELEMETRY_VARIABLE, variable};
use crate::intake::Weights;
use crate::tensors::one_line;

/// Longest answer.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// How much of what it says on standard error is kept: the end.
const MAX_SAID_BYTES: usize = 4 << 10;
/// How much of that is shown, in characters.
const MAX_SHOWN: usize = 300;
/// Variables of the environment that are passed on: where libraries lie, and that nothing is reported to their maker.
const VARIABLES: [&str; 2] = ["LD_LIBRARY_PATH", TELEMETRY_VARIABLE];

/// Why a rehearsal did not come to its end, as the rest of a sentence about the model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// It was not held.
    #[error(
        "cannot be rehearsed in a process of its own: {reason}; mend that, or switch it off with \
         `runtime.rehearsal.enabled = false`"
    )]
    NotHeld {
        /// Why not.
        reason: String,
    },
    /// The process died.
    #[error(
        "crashed ONNX Runtime when it was rehearsed in a process of its own ({how}{said}); export it again, or try another \
         version of ONNX Runtime"
    )]
    Died {
        /// By which signal, or with which exit code.
        how: String,
        /// What it said last.
        said: String,
    },
    /// Something outside ended the process.
    #[error(
        "was being rehearsed in a process of its own that something killed, as systems do when memory runs out{said}; give \
         the machine more memory, or export a smaller model"
    )]
    Killed {
        /// What it said last.
        said: String,
    },
    /// It took too much processor time.
    #[error(
        "took more than {limit} of processor time when it was rehearsed in a process of its own; export a smaller model, or \
         raise `runtime.rehearsal.processor_time`"
    )]
    Busy {
        /// The limit.
        limit: Span,
    },
    /// It took too long.
    #[error(
        "did not load and run within {limit} when it was rehearsed in a process of its own; export a smaller model, or raise \
         `runtime.rehearsal.deadline`"
    )]
    Late {
        /// The limit.
        limit: Span,
    },
}

/// A process that rehearses models, one after another.
#[derive(Debug)]
pub struct Stage {
    child: Child,
    limits: RehearsalSettings,
    /// `None` once it takes no more.
    input: Option<ChildStdin>,
    output: ChildStdout,
    error: Option<ChildStderr>,
    answer: Vec<u8>,
    said: Vec<u8>,
}

impl Stage {
    /// Starts a process.
    ///
    /// # Errors
    /// [`Failure::NotHeld`] where none can be started.
    pub fn set(program: &Program, order: &Order) -> Result<Self, Failure> {
        let not_held = |reason: String| Failure::NotHeld { reason };
        let order_text = serde_json::to_string(order).map_err(|error| not_held(error.to_string()))?;
        let kept = VARIABLES.into_iter().filter_map(|name| Some((name, variable(name)?)));
        let spawned = Command::new(&program.path)
            .arg0("eddy-rehearsal")
            .args(&program.arguments)
            .arg(order_text)
            .env_clear()
            .envs(kept)
            // Ctrl-C is for the one that asked.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child =
            spawned.map_err(|error| not_held(format!("`{}` does not start: {error}", program.path.display())))?;
        let output = child.stdout.take().expect("it was asked for a pipe");
        let stage = Self {
            input: child.stdin.take(),
            error: child.stderr.take(),
            output,
            child,
            limits: order.limits.clone(),
            answer: Vec::new(),
            said: Vec::new(),
        };
        stage.unblock().map_err(|error| not_held(error.to_string()))?;
        Ok(stage)
    }

    /// Rehearses a model of these bytes. After a failure the process is gone.
    ///
    /// # Errors
    /// [`Failure`], where the process did not answer.
    pub fn rehearse(&mut self, model: &[u8]) -> Result<Outcome, Failure> {
        self.rehearse_with_weights(model, &[])
    }

    /// Rehearses a model that keeps data in files of its own.
    pub(crate) fn rehearse_with_weights(&mut self, model: &[u8], weights: &[Weights]) -> Result<Outcome, Failure> {
        let size = |bytes: &[u8]| bytes.len() as u64;
        let scene = Scene {
            model: size(model),
            weights: weights
                .iter()
                .map(|file| (file.name.clone(), size(&file.bytes)))
                .collect(),
        };
        let mut scene = serde_json::to_string(&scene).map_err(|error| Failure::NotHeld {
            reason: error.to_string(),
        })?;
        scene.push('\n');
        let parts = [scene.as_bytes(), model].into_iter();
        let mut unsent: VecDeque<&[u8]> = parts.chain(weights.iter().map(|file| &*file.bytes)).collect();
        let deadline = Instant::now() + self.limits.deadline.0;
        loop {
            self.wait(!unsent.is_empty(), deadline)?;
            self.send(&mut unsent);
            self.listen();
            if let Some(line) = self.next_answer(deadline)? {
                return match serde_json::from_slice(&line) {
                    Ok(Outcome::NotHeld { reason }) => Err(Failure::NotHeld { reason }),
                    Ok(outcome) => Ok(outcome),
                    Err(_) => Err(self.not_understood(&line)),
                };
            }
        }
    }

    fn unblock(&self) -> io::Result<()> {
        let pipes = [
            self.input.as_ref().map(AsFd::as_fd),
            self.error.as_ref().map(AsFd::as_fd),
            Some(self.output.as_fd()),
        ];
        for pipe in pipes.into_iter().flatten() {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        Ok(())
    }

    /// Until something can be done, or the deadline has passed.
    fn wait(&mut self, has_unsent: bool, deadline: Instant) -> Result<(), Failure> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            self.end();
            return Err(Failure::Late {
                limit: self.limits.deadline,
            });
        }
        let mut pipes = vec![PollFd::new(&self.output, PollFlags::IN)];
        if let Some(error) = &self.error {
            pipes.push(PollFd::new(error, PollFlags::IN));
        }
        if let Some(input) = self.input.as_ref().filter(|_| has_unsent) {
            pipes.push(PollFd::new(input, PollFlags::OUT));
        }
        match poll(&mut pipes, Some(&timespec(left))) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => {
                self.end();
                Err(Failure::NotHeld {
                    reason: error.to_string(),
                })
            }
        }
    }

    /// Sends as much as the pipe takes.
    fn send(&mut self, unsent: &mut VecDeque<&[u8]>) {
        while let (Some(input), Some(part)) = (&mut self.input, unsent.front_mut()) {
            if part.is_empty() {
                unsent.pop_front();
                continue;
            }
            match input.write(part) {
                Ok(written) => *part = &part[written..],
                Err(error) if is_for_later(&error) => return,
                // It takes no more, for a reason that its end will tell.
                Err(_) => self.input = None,
            }
        }
    }

    /// Takes in what was said on standard error, a piece at a time: it may be without end.
    fn listen(&mut self) {
        let mut piece = [0; MAX_SAID_BYTES];
        if let Some(error) = &mut self.error {
            match error.read(&mut piece) {
                Ok(0) => self.error = None,
                Ok(count) => {
                    self.said.extend_from_slice(&piece[..count]);
                    let excess = self.said.len().saturating_sub(MAX_SAID_BYTES);
                    self.said.drain(..excess);
                }
                Err(error) if is_for_later(&error) => {}
                Err(_) => self.error = None,
            }
        }
    }

    /// The line that answers, once it is here.
    fn next_answer(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>, Failure> {
        let mut piece = [0; 4096];
        loop {
            if let Some(end) = self.answer.iter().position(|byte| *byte == b'\n') {
                let rest = self.answer.split_off(end + 1);
                let line = std::mem::replace(&mut self.answer, rest);
                return Ok(Some(line));
            }
            if self.answer.len() > MAX_ANSWER_BYTES {
                let line = std::mem::take(&mut self.answer);
                return Err(self.not_understood(&line));
            }
            match self.output.read(&mut piece) {
                Ok(0) => return Err(self.ended(deadline)),
                Ok(count) => self.answer.extend_from_slice(&piece[..count]),
                Err(error) if is_for_later(&error) => return Ok(None),
                Err(_) => return Err(self.ended(deadline)),
            }
        }
    }

    fn not_understood(&mut self, line: &[u8]) -> Failure {
        self.end();
        Failure::NotHeld {
            reason: format!("it answers `{}`", shown(line)),
        }
    }

    /// Why a process ended that closed its output.
    fn ended(&mut self, deadline: Instant) -> Failure {
        // What it said last may still be on its way, and so may its end.
        while let Some(error) = &self.error
            && is_ready(error, deadline)
        {
            self.listen();
        }
        #[cfg(target_os = "linux")]
        if let Ok(process) = pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty()) {
            is_ready(&process, deadline);
        }
        let said = match shown(&self.said) {
            text if text.is_empty() => text,
            text => format!(", saying `{text}`"),
        };
        let Ok(Some(status)) = self.child.try_wait() else {
            self.end();
            return Failure::Late {
                limit: self.limits.deadline,
            };
        };
        match status.signal() {
            Some(signal) if signal == Signal::XCPU.as_raw() => Failure::Busy {
                limit: self.limits.processor_time,
            },
            Some(signal) if signal == Signal::KILL.as_raw() => Failure::Killed { said },
            Some(signal) => Failure::Died {
                how: format!("signal {signal}{}", name(signal)),
                said,
            },
            None => Failure::Died {
                how: format!("exit code {}", status.code().unwrap_or_default()),
                said,
            },
        }
    }

    /// Ends the process, if it has not ended.
    fn end(&mut self) {
        self.input = None;
        // Both fail where the process was waited for before.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether there is something to be read, or an end, before the deadline.
fn is_ready(source: &impl AsFd, deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        match poll(&mut [PollFd::new(source, PollFlags::IN)], Some(&timespec(left))) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(count) => return count > 0,
            Err(_) => return false,
        }
    }
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn timespec(left: Duration) -> Timespec {
    // Rounded up to a tick, so that a wait is never one of no time at all.
    let left = left.max(Duration::from_millis(1));
    Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: left.subsec_nanos().into(),
    }
}

/// The last words, fit to be shown.
fn shown(said: &[u8]) -> String {
    let text = one_line(&String::from_utf8_lossy(said));
    let skipped = text.chars().count().saturating_sub(MAX_SHOWN);
    let mark = if skipped > 0 { "…" } else { "" };
    let last = text.chars().skip(skipped).filter(|c| !c.is_control());
    mark.chars().chain(last).collect()
}

fn name(signal: i32) -> &'static str {
    const NAMES: [(Signal, &str); 7] = [
        (Signal::SEGV, ", SIGSEGV"),
        (Signal::ABORT, ", SIGABRT"),
        (Signal::BUS, ", SIGBUS"),
        (Signal::FPE, ", SIGFPE"),
        (Signal::ILL, ", SIGILL"),
        (Signal::SYS, ", SIGSYS"),
        (Signal::XFSZ, ", SIGXFSZ"),
    ];
    let found = NAMES.iter().find(|(known, _)| known.as_raw() == signal);
    found.map_or("", |(_, name)| name)
}
