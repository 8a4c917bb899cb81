//! `eddy pause`, `resume`, `skip`, `log` and `health`: asking running replicas, from outside.
//!
//! Owns: whom to ask, with which token, whom to trust, and what the answers mean for the exit code.
//! Never does: change anything itself.
//!
//! Exit codes: 0 every replica did it; 64 the request makes no sense to a replica; 69 a replica did not answer, or is not
//! healthy; 78 the token is missing or wrong, or somebody answers who is not to be trusted. Of several, the highest.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::path::Path;
use std::time::Duration;

use eddy_broker::settings::public_authorities;
use eddy_host::{AdminAddress, AdminSettings, Answer, ClientTls, ExitCode, Place, Post, Trust, post, probe};
use serde_json::{Value, json};

use crate::cli::{HealthArguments, LogArguments, OrderArguments, ReplicaArguments, SkipArguments, Url};
use crate::settings::environment;

/// How long a replica may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Whom to ask when nothing else is said.
const HERE: &str = "http://127.0.0.1:9180";

/// Asks each replica to skip a record.
pub(crate) fn skip(arguments: &SkipArguments) -> ExitCode {
    let body = json!({ "record": arguments.record });
    order("skip", &body.to_string(), &arguments.order)
}

/// Asks each replica for another level of the log.
pub(crate) fn log(arguments: &LogArguments) -> ExitCode {
    let body = match arguments.lasts {
        Some(lasts) => json!({ "level": arguments.level, "for": lasts }),
        None => json!({ "level": arguments.level }),
    };
    order("log", &body.to_string(), &arguments.order)
}

/// Asks each replica for `verb`.
pub(crate) fn order(verb: &str, body: &str, arguments: &OrderArguments) -> ExitCode {
    let found = Replicas::of(&arguments.replicas).and_then(|replicas| Ok((token(&replicas, arguments)?, replicas)));
    let (token, replicas) = match found {
        Ok(found) => found,
        Err(message) => return end(ExitCode::Configuration, &message),
    };
    let path = format!("/{verb}");
    let request = Post {
        path: &path,
        token: token.as_deref(),
        body,
    };
    replicas.ask_each(
        |place| post(place, &request, PATIENCE),
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
    let replicas = match Replicas::of(&arguments.replicas) {
        Ok(replicas) => replicas,
        Err(message) => return end(ExitCode::Configuration, &message),
    };
    let path = if arguments.ready { "/ready" } else { "/live" };
    replicas.ask_each(
        |place| probe(place, path, PATIENCE),
        |answer| {
            let well = if arguments.ready { "ready" } else { "alive" };
            match answer.status {
                200 => (ExitCode::Drained, well.to_owned()),
                _ => (ExitCode::Unreachable, format!("not {well}: {}", answer.body.trim())),
            }
        },
    )
}

/// Whom to ask.
struct Replicas<'a> {
    urls: Vec<Url>,
    arguments: &'a ReplicaArguments,
    /// What the pipeline file says, if there is one.
    admin: Option<AdminSettings>,
}

impl<'a> Replicas<'a> {
    /// Those that are named, else the one of the pipeline file, else the default one here.
    fn of(arguments: &'a ReplicaArguments) -> Result<Self, String> {
        let admin = arguments.file.as_deref().map(admin_of).transpose()?;
        let urls = match (&arguments.admin[..], &admin) {
            ([], None) => vec![HERE.parse()?],
            ([], Some(admin)) => vec![url_of(admin)?],
            (named, _) => named.to_vec(),
        };
        Ok(Self { urls, arguments, admin })
    }

    fn ask_each(
        &self,
        ask: impl Fn(Place) -> Result<Answer, eddy_host::Error>,
        judge: impl Fn(&Answer) -> (ExitCode, String),
    ) -> ExitCode {
        let mut worst = ExitCode::Drained;
        for url in &self.urls {
            let answered = self
                .place(url)
                .and_then(|place| ask(place).map_err(|error| (error.exit_code(), error.to_string())));
            let (code, said) = match answered {
                Ok(answer) => judge(&answer),
                Err(trouble) => trouble,
            };
            say(code, &format!("{url}: {said}"));
            if code.number() > worst.number() {
                worst = code;
            }
        }
        worst
    }

    fn place(&self, url: &Url) -> Result<Place, (ExitCode, String)> {
        let address = resolve(url).map_err(|error| (ExitCode::Unreachable, error))?;
        let tls = url.is_https().then(|| self.tls(url)).transpose();
        let tls = tls.map_err(|error| (ExitCode::Configuration, error))?;
        Ok(Place { address, tls })
    }

    /// Whom to trust there. The pipeline file has the very certificate of the replica that it is about; elsewhere authorities
    /// vouch for a host name, which on this machine means nothing.
    fn tls(&self, url: &Url) -> Result<ClientTls, String> {
        let ReplicaArguments {
            ca, certificate, key, ..
        } = self.arguments;
        let ours = certificate.as_deref().zip(key.as_deref());
        let of_file = self.admin.as_ref().filter(|_| self.arguments.admin.is_empty());
        if let (None, Some(tls)) = (ca, of_file.and_then(|admin| admin.tls.as_ref())) {
            return ClientTls::new(Trust::Certificate(&tls.certificate), ours);
        }
        let authorities = ca.clone().map_or_else(|| public_authorities("--ca"), Ok)?;
        let host = (!is_here(url.host())).then_some(url.host());
        let trust = Trust::Authorities {
            path: &authorities,
            host,
        };
        ClientTls::new(trust, ours)
    }
}

/// Whether a host is this machine, whatever it is called elsewhere.
fn is_here(host: &str) -> bool {
    let address = host.parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback() || address.is_unspecified())
}

/// The token to show.
fn token(replicas: &Replicas<'_>, arguments: &OrderArguments) -> Result<Option<String>, String> {
    match (&arguments.token_file, &replicas.admin) {
        (Some(file), _) => AdminSettings {
            token: Some(eddy_secret::Secret::File(file.clone())),
            ..AdminSettings::default()
        }
        .reveal_token(),
        (None, Some(admin)) => admin.reveal_token(),
        (None, None) => Ok(None),
    }
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

/// The address in a pipeline file.
fn url_of(admin: &AdminSettings) -> Result<Url, String> {
    let scheme = if admin.tls.is_some() { "https" } else { "http" };
    match admin.address {
        AdminAddress::At(address) => format!("{scheme}://{address}").parse(),
        AdminAddress::Off => Err("the file says `admin.address = \"off\"`; nobody answers there".into()),
    }
}

fn admin_of(file: &Path) -> Result<AdminSettings, String> {
    let pipeline = crate::file::load(file, environment::of_process()).map_err(|problems| problems.to_string())?;
    Ok(pipeline.file.admin(&pipeline.folder))
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
