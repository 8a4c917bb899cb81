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
use eddy_host::{AdminAddress, AdminSettings, ClientTls, Error, ExitCode, Place, Post, Trust, post, probe};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::{HealthArguments, LogArguments, OrderArguments, ReplicaArguments, SkipArguments, Url};
use crate::file;
use crate::settings::{self, Source, environment};

/// How long a replica may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

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
    let replicas = match Replicas::to_order(arguments) {
        Ok(replicas) => replicas,
        Err(message) => return end(ExitCode::Configuration, &message),
    };
    let path = format!("/{verb}");
    let request = Post {
        path: &path,
        token: replicas.purpose.token(),
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
    let replicas = match Replicas::to_examine(&arguments.replicas) {
        Ok(replicas) => replicas,
        Err(message) => return end(ExitCode::Configuration, &message),
    };
    let (path, key, well) = match arguments.ready {
        true => ("/ready", "ready", "ready"),
        false => ("/live", "live", "alive"),
    };
    let asks_for_ours = replicas.asks_for_certificates();
    let ask = |place| match probe(place, path, PATIENCE) {
        // A restart would not mend a certificate of ours, and who refuses it lives.
        Err(Error::Refused { why, .. }) if !arguments.ready && asks_for_ours => Ok(Err(why)),
        answered => answered.map(Ok),
    };
    // Somebody else may have taken the port.
    let is_ours = |body: &str| serde_json::from_str(body).is_ok_and(|body: Value| body[key] == true);
    replicas.ask_each(ask, |answer| match answer {
        Ok(answer) if answer.status == 200 && is_ours(&answer.body) => (ExitCode::Drained, well.to_owned()),
        Ok(answer) => (ExitCode::Unreachable, format!("not {well}: {}", answer.body.trim())),
        Err(why) => (ExitCode::Drained, format!("{well}, and {why}")),
    })
}

/// Why replicas are asked.
enum Purpose {
    /// To hear how they are, which is no secret.
    Health,
    /// To have something changed, by who knows the token.
    Order(Option<String>),
}

impl Purpose {
    /// What only the replica may hear.
    fn token(&self) -> Option<&str> {
        match self {
            Self::Health => None,
            Self::Order(token) => token.as_deref(),
        }
    }
}

/// Whom to ask.
struct Replicas<'a> {
    urls: Vec<Url>,
    arguments: &'a ReplicaArguments,
    /// What the pipeline file and variables of the environment say; `None` where it does not matter.
    admin: Option<AdminSettings>,
    purpose: Purpose,
}

impl<'a> Replicas<'a> {
    /// For who only listens: where replicas are named, the file is not read.
    fn to_examine(arguments: &'a ReplicaArguments) -> Result<Self, String> {
        let file = arguments.file.as_deref();
        let admin = arguments.admin.is_empty().then(|| admin_of(file)).transpose()?;
        Self::with(arguments, admin, Purpose::Health)
    }

    /// For who changes something.
    fn to_order(arguments: &'a OrderArguments) -> Result<Self, String> {
        let admin = admin_of(arguments.replicas.file.as_deref())?;
        let token = match &arguments.token_file {
            Some(file) => AdminSettings {
                token: Some(eddy_secret::Secret::File(file.clone())),
                ..AdminSettings::default()
            }
            .reveal_token(),
            None => admin.reveal_token(),
        };
        Self::with(&arguments.replicas, Some(admin), Purpose::Order(token?))
    }

    /// Those that are named, else the one of the settings.
    fn with(arguments: &'a ReplicaArguments, admin: Option<AdminSettings>, purpose: Purpose) -> Result<Self, String> {
        let urls = match (&arguments.admin[..], &admin) {
            ([], Some(admin)) => vec![url_of(admin)?],
            (named, _) => named.to_vec(),
        };
        Ok(Self {
            urls,
            arguments,
            admin,
            purpose,
        })
    }

    /// Whether the settings say that those who are asked want a certificate of ours.
    fn asks_for_certificates(&self) -> bool {
        let tls = self.admin.as_ref().and_then(|admin| admin.tls.as_ref());
        tls.is_some_and(|tls| tls.client_ca.is_some())
    }

    fn ask_each<T>(
        &self,
        ask: impl Fn(Place) -> Result<T, Error>,
        judge: impl Fn(&T) -> (ExitCode, String),
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
        let wrong = |error: String| (ExitCode::Configuration, error);
        self.keeps_the_token(url).map_err(wrong)?;
        let unresolved = |error| (ExitCode::Unreachable, error);
        let (address, others) = resolve(url).map_err(unresolved)?;
        let tls = url.is_https().then(|| self.tls(url)).transpose();
        let tls = tls.map_err(wrong)?;
        Ok(Place { address, others, tls })
    }

    /// Whether the token, if there is one, is heard by the replica alone, as far as that was asked for.
    fn keeps_the_token(&self, url: &Url) -> Result<(), String> {
        let has_tls = self.admin.as_ref().is_some_and(|admin| admin.tls.is_some());
        if self.purpose.token().is_none() || !has_tls || url.is_https() {
            return Ok(());
        }
        Err("the token would travel in the open, and there is [admin.tls]; write https://".into())
    }

    /// Whom to trust there. The pipeline file has the very certificate of the replica that it is about; elsewhere authorities
    /// vouch for a host name, which on this machine means nothing.
    ///
    /// Whoever answers at the address of the file may say how it is: a probe that looked at certificates would end replicas
    /// for files that they themselves have not taken up.
    fn tls(&self, url: &Url) -> Result<ClientTls, String> {
        let ReplicaArguments {
            ca, certificate, key, ..
        } = self.arguments;
        let ours = certificate.as_deref().zip(key.as_deref());
        let of_file = self.admin.as_ref().filter(|_| self.arguments.admin.is_empty());
        if let (None, Some(tls)) = (ca, of_file.and_then(|admin| admin.tls.as_ref())) {
            let trust = match self.purpose {
                Purpose::Health => Trust::Anyone,
                Purpose::Order(_) => Trust::Certificate(&tls.certificate),
            };
            return ClientTls::new(trust, ours);
        }
        let is_here = is_here(url.host());
        if ca.is_none() && is_here && self.purpose.token().is_some() {
            let message = "every certificate of a public authority would do on this machine; name the replica's own, or the \
                           authority that vouches for it, with --ca";
            return Err(message.into());
        }
        let authorities = ca.clone().map_or_else(|| public_authorities("--ca"), Ok)?;
        let host = (!is_here).then_some(url.host());
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

fn code_of(status: u16) -> ExitCode {
    match status {
        200 => ExitCode::Drained,
        401 | 403 => ExitCode::Configuration,
        408 | 429 | 500.. => ExitCode::Unreachable,
        _ => ExitCode::Usage,
    }
}

fn words(body: &str, key: &str) -> Option<String> {
    let body: Value = serde_json::from_str(body).ok()?;
    Some(body[key].as_str()?.to_owned())
}

/// The addresses of a host: the first, and the others.
fn resolve(url: &Url) -> Result<(SocketAddr, Vec<SocketAddr>), String> {
    let next = "check the name and the port";
    let found = url.authority().to_socket_addrs();
    let mut found = found.map_err(|error| format!("cannot be resolved: {error}; {next}"))?;
    let first = found.next().ok_or_else(|| format!("has no address; {next}"))?;
    Ok((first, found.collect()))
}

/// The address in the settings.
fn url_of(admin: &AdminSettings) -> Result<Url, String> {
    let scheme = if admin.tls.is_some() { "https" } else { "http" };
    match admin.address {
        AdminAddress::At(address) => format!("{scheme}://{address}").parse(),
        AdminAddress::Off => Err("`admin.address` is \"off\"; nobody answers there".into()),
    }
}

/// The one table of a pipeline file that matters here.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OfAdmin {
    #[serde(default)]
    admin: AdminSettings,
}

/// `[admin]` as the file and the variables of the environment say, or the variables alone. The rest of the file does not
/// matter: replicas that run have read it once, and it may have changed.
fn admin_of(file: Option<&Path>) -> Result<AdminSettings, String> {
    let name = file.map_or_else(|| "the environment".to_owned(), |file| file.display().to_string());
    let text = file.map(file::text_of).transpose();
    let text = text
        .map_err(|message| format!("{name}: {message}"))?
        .unwrap_or_default();
    let source = Source {
        name: &name,
        text: &text,
    };
    let read = settings::read_table(source, "admin", environment::of_process(), &file::HISTORY);
    let OfAdmin { mut admin } = read.map_err(|problems| problems.to_string())?;
    admin.resolve_paths(file.and_then(Path::parent).unwrap_or(Path::new("")));
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
