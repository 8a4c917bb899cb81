//! `eddy pause`, `resume`, `skip` and `health`: asking running replicas, from outside.
//!
//! Owns: whom to ask, with which token, and what the answers mean for the exit code.
//! Never does: change anything itself.
//!
//! Exit codes: 0 every replica did it; 64 the request makes no sense to a replica; 69 a replica did not answer, or is not
//! healthy; 78 the token is missing or wrong. Of several, the highest.

use std::io::Write as _;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::Path;
use std::time::Duration;

use eddy_host::{AdminAddress, AdminSettings, Answer, ExitCode, Post, post, probe};
use serde_json::Value;

use crate::cli::{HealthArguments, OrderArguments, Url};
use crate::settings::environment;

/// How long a replica may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Whom to ask when nothing else is said.
const HERE: &str = "http://127.0.0.1:9180";

/// Asks each replica for `verb`.
pub(crate) fn order(verb: &str, record: Option<&str>, arguments: &OrderArguments) -> ExitCode {
    let (urls, token) = match whom(arguments) {
        Ok(found) => found,
        Err(message) => return end(ExitCode::Configuration, &message),
    };
    let path = format!("/{verb}");
    let body = record.map_or_else(String::new, |record| {
        serde_json::json!({ "record": record }).to_string()
    });
    let request = Post {
        path: &path,
        token: token.as_deref(),
        body: &body,
    };
    ask_each(
        &urls,
        |address| post(address, &request, PATIENCE),
        |answer| {
            let said = words(&answer.body, "answer").or_else(|| words(&answer.body, "error"));
            (
                code_of(answer.status),
                said.unwrap_or_else(|| format!("HTTP status {}", answer.status)),
            )
        },
    )
}

/// Asks whether the service lives or, on request, whether it is ready.
pub(crate) fn health(arguments: &HealthArguments) -> ExitCode {
    let urls = match addresses(&arguments.admin, arguments.file.as_deref()) {
        Ok((urls, _)) => urls,
        Err(message) => return end(ExitCode::Configuration, &message),
    };
    let path = if arguments.ready { "/ready" } else { "/live" };
    ask_each(
        &urls,
        |address| probe(address, path, PATIENCE),
        |answer| {
            let well = if arguments.ready { "ready" } else { "alive" };
            match answer.status {
                200 => (ExitCode::Drained, well.to_owned()),
                _ => (ExitCode::Unreachable, format!("not {well}: {}", answer.body.trim())),
            }
        },
    )
}

fn ask_each(
    urls: &[Url],
    ask: impl Fn(SocketAddr) -> Result<Answer, eddy_host::Error>,
    judge: impl Fn(&Answer) -> (ExitCode, String),
) -> ExitCode {
    let mut worst = ExitCode::Drained;
    for url in urls {
        let answered = resolve(url).and_then(|address| ask(address).map_err(|error| error.to_string()));
        let (code, said) = match answered {
            Ok(answer) => judge(&answer),
            Err(error) => (ExitCode::Unreachable, error),
        };
        say(code, &format!("{url}: {said}"));
        if code.number() > worst.number() {
            worst = code;
        }
    }
    worst
}

fn code_of(status: u16) -> ExitCode {
    match status {
        200 => ExitCode::Drained,
        401 | 403 => ExitCode::Configuration,
        429 | 500.. => ExitCode::Unreachable,
        _ => ExitCode::Usage,
    }
}

fn words(body: &str, key: &str) -> Option<String> {
    let body: Value = serde_json::from_str(body).ok()?;
    Some(body[key].as_str()?.to_owned())
}

fn resolve(url: &Url) -> Result<SocketAddr, String> {
    let next = "check the name and the port";
    let found = url.authority().to_socket_addrs();
    let found = found
        .map_err(|error| format!("cannot be resolved: {error}; {next}"))?
        .next();
    found.ok_or_else(|| format!("has no address; {next}"))
}

/// The replicas to ask, and the token to show them.
fn whom(arguments: &OrderArguments) -> Result<(Vec<Url>, Option<String>), String> {
    let (urls, settings) = addresses(&arguments.admin, arguments.file.as_deref())?;
    let token = match &arguments.token_file {
        Some(file) => AdminSettings {
            token: Some(eddy_secret::Secret::File(file.clone())),
            ..AdminSettings::default()
        }
        .reveal_token()?,
        None => settings.map_or(Ok(None), |settings| settings.reveal_token())?,
    };
    Ok((urls, token))
}

/// Those that were named, else the one of the pipeline file, else the default one here.
fn addresses(named: &[Url], file: Option<&Path>) -> Result<(Vec<Url>, Option<AdminSettings>), String> {
    let settings = file.map(admin_of).transpose()?;
    if !named.is_empty() {
        return Ok((named.to_vec(), settings));
    }
    let url = match settings.as_ref().map(|settings| settings.address) {
        None => HERE.to_owned(),
        Some(AdminAddress::At(address)) => format!("http://{address}"),
        Some(AdminAddress::Off) => return Err("the file says `admin.address = \"off\"`; nobody answers there".into()),
    };
    Ok((vec![url.parse()?], settings))
}

fn admin_of(file: &Path) -> Result<AdminSettings, String> {
    let pipeline = crate::file::load(file, environment::of_process()).map_err(|problems| problems.to_string())?;
    let mut admin = pipeline.file.admin;
    admin.resolve_paths(&pipeline.folder);
    Ok(admin)
}

fn end(code: ExitCode, message: &str) -> ExitCode {
    say(code, message);
    code
}

/// Answers go to standard output, trouble to standard error.
fn say(code: ExitCode, text: &str) {
    // Nobody is left to tell when the stream is closed; the exit code still says it.
    drop(match code {
        ExitCode::Drained => writeln!(std::io::stdout(), "{text}"),
        _ => writeln!(std::io::stderr(), "{text}"),
    });
}
