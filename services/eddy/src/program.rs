//! The program: parse the command line, act, end with a code from the closed set.
//!
//! In the library, so that the whole-service tests run the very program that users run.
#![allow(clippy::print_stdout, reason = "a command's answer goes to standard output")]

use std::convert::Infallible;
use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode as ProcessCode;

use eddy_host::{ExitCode, say_end};
use eddy_telemetry::LogFormat;
use tracing::Level;

use crate::cli::{self, Command, ProfileAction, Stop};
use crate::oncall;
use crate::run::{NotStarted, Service};
use crate::settings::environment;

/// Runs the command that the command line names. Call it as the first thing of `main`.
pub fn main() -> ProcessCode {
    // Before any thread exists: the runtime's telemetry is switched off through the environment.
    eddy_model::disable_runtime_telemetry();
    eddy_model::rehearse_with(eddy_model::Program::this([cli::REHEARSE]));
    let code = match cli::parse(std::env::args_os()) {
        Ok(Command::Run(arguments)) => run(&arguments),
        Ok(Command::Check(arguments)) => {
            forbid_core_dumps();
            crate::check::check(&arguments, environment::of_process())
        }
        Ok(Command::Test(arguments)) => {
            forbid_core_dumps();
            crate::trial::test(&arguments, environment::of_process())
        }
        Ok(Command::Init(arguments)) => {
            forbid_core_dumps();
            crate::onboard::init(&arguments, environment::of_process())
        }
        Ok(Command::Profile(command)) => {
            forbid_core_dumps();
            match (command.action, command.build) {
                (Some(ProfileAction::Accept(arguments)), _) => {
                    crate::accept::accept(&arguments, environment::of_process())
                }
                (None, Some(arguments)) => crate::profile::profile(&arguments, environment::of_process()),
                (None, None) => unreachable!("without an action, the arguments of a new profile are required"),
            }
        }
        Ok(Command::Why(arguments)) => {
            forbid_core_dumps();
            crate::why::why(&arguments)
        }
        Ok(Command::Samples(arguments)) => {
            forbid_core_dumps();
            crate::samples::samples(&arguments)
        }
        Ok(Command::Replay(arguments)) => {
            forbid_core_dumps();
            crate::compare::replay(&arguments, environment::of_process())
        }
        Ok(Command::Redrive(arguments)) => {
            forbid_core_dumps();
            crate::redrive::redrive(&arguments)
        }
        Ok(Command::Topics(arguments)) => {
            forbid_core_dumps();
            crate::topics::topics(&arguments, environment::of_process())
        }
        Ok(Command::Migrate(arguments)) => crate::migrate::migrate(&arguments),
        Ok(Command::Demo(arguments)) => crate::demo::run(&arguments),
        Ok(Command::Pause(arguments)) => oncall::order("pause", "", &arguments),
        Ok(Command::Resume(arguments)) => oncall::order("resume", "", &arguments),
        Ok(Command::Skip(arguments)) => oncall::skip(&arguments),
        Ok(Command::Log(arguments)) => oncall::log(&arguments),
        Ok(Command::Health(arguments)) => oncall::health(&arguments),
        Ok(Command::Completions(arguments)) => {
            let script: Result<String, Infallible> = Ok(cli::script(arguments.shell));
            answer(script, |never| match *never {})
        }
        Ok(Command::Schema(arguments)) => {
            forbid_core_dumps();
            crate::schema::print(&arguments, environment::of_process())
        }
        Ok(Command::Rehearse { order }) => return eddy_model::rehearsal::act(&order),
        Err(Stop::Answer(text)) => {
            print!("{text}");
            ExitCode::Drained
        }
        Err(Stop::Usage(text)) => end(ExitCode::Usage, &text),
    };
    code.into()
}

fn run(arguments: &cli::RunArguments) -> ExitCode {
    let mut pipeline = match crate::file::load(&arguments.file, environment::of_process()) {
        Ok(pipeline) => pipeline,
        Err(problems) => return end_unread(&problems),
    };
    // Before any thread exists, which is when a secret can be taken out of the environment.
    eddy_secret::take_all(pipeline.file.secrets(), eddy_host::take_variable);
    if !pipeline.file.process.core_dumps {
        forbid_core_dumps();
    }
    let log = match pipeline.file.log.install() {
        Ok(log) => log,
        Err(error) => return end_unread(&error),
    };
    let deprecated = pipeline.document.deprecated().lines();
    for warning in deprecated.chain(pipeline.file.broker(&pipeline.folder).warnings()) {
        tracing::warn!("{warning}");
    }
    match Service::start_on_signals(&pipeline, log) {
        Ok(service) => service.join(),
        Err(not_started) => {
            let NotStarted { code, message } = not_started;
            // Lines as a person reads them, unless somebody collects objects; also where nothing is to be logged.
            match (pipeline.file.log.format, code) {
                (LogFormat::Json, ExitCode::Drained) if tracing::enabled!(Level::INFO) => tracing::info!("{message}"),
                (LogFormat::Json, _) if tracing::enabled!(Level::ERROR) => tracing::error!("{message}"),
                _ => drop(end(code, &message)),
            }
            say_end(code);
            code
        }
    }
}

fn forbid_core_dumps() {
    if let Err(error) = eddy_host::forbid_core_dumps() {
        let message = format!("core dumps could not be forbidden ({error}); whoever may read one may read our secrets");
        // Nobody is left to tell when standard error is closed.
        drop(writeln!(io::stderr(), "{message}"));
    }
}

/// Says what came of a command: its answer to standard output, trouble to standard error.
pub(crate) fn answer<E: fmt::Display>(done: Result<String, E>, code: impl FnOnce(&E) -> ExitCode) -> ExitCode {
    match done {
        Ok(answer) => {
            // Nobody is left to tell when the stream is closed; the exit code still says it.
            drop(write!(io::stdout(), "{answer}"));
            ExitCode::Drained
        }
        Err(error) => end(code(&error), &error.to_string()),
    }
}

/// Says why it ends before there is a log.
fn end_unread(problem: &dyn fmt::Display) -> ExitCode {
    let code = ExitCode::Configuration;
    end(code, &format!("{}\nends: {code}", problem.to_string().trim_end()))
}

/// Says why it ends, to standard error.
fn end(code: ExitCode, message: &str) -> ExitCode {
    // Nobody is left to tell when standard error is closed.
    drop(writeln!(io::stderr(), "{}", message.trim_end()));
    code
}
