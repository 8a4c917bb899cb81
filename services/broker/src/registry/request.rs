//! One request to a schema registry over HTTP, and what its answer means.
//!
//! Owns: the agent, which of several addresses is asked first, the sentences about answers. Never does: try again later.
//!
//! Invariant: no sentence contains a secret, even if the registry sends it back. That a schema is not there is said only when
//! the registry says so itself: any other web server answers 404, too.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use eddy_telemetry::catalogue::RegistryOutcome;
use serde::Deserialize;
use ureq::Agent;
use ureq::http::Response;
use zeroize::Zeroizing;

use crate::settings::{Registry, Secret, url};
use crate::web::{self, Distrust};

/// What registries speak.
const MEDIA: &str = "application/vnd.schemaregistry.v1+json, application/json";

/// The registry's own numbers for what it does not have: a subject, a version, a schema.
const NOT_THERE: [i64; 3] = [40401, 40402, 40403];

/// Why a request came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct Failure {
    /// What kind of failure.
    pub outcome: RegistryOutcome,
    /// The key of the settings that is nearest to it.
    pub key: &'static str,
    /// What is wrong and what to do.
    pub sentence: String,
}

impl Failure {
    pub(super) fn new(outcome: RegistryOutcome, key: &'static str, sentence: String) -> Self {
        Self { outcome, key, sentence }
    }

    /// An answer that is none.
    pub(super) fn unfit(sentence: String) -> Self {
        Self::new(RegistryOutcome::Unfit, "registry.url", sentence)
    }

    /// Whether it stays until somebody mends the settings, the schema or our rights.
    pub fn is_refused(&self) -> bool {
        matches!(
            self.outcome,
            RegistryOutcome::Denied | RegistryOutcome::Unfit | RegistryOutcome::Unknown
        )
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    /// The parts of the path, not encoded yet.
    pub(super) path: &'a [&'a str],
    /// What is sent with it, which makes it a POST.
    pub(super) body: Option<&'a str>,
    /// What we must be allowed: to read schemas, or to register them.
    pub(super) right: &'static str,
}

/// Asks. Each thread has its own.
#[derive(Debug)]
pub(super) struct Client {
    settings: Registry,
    agent: Option<Agent>,
    /// Position of the address that answered last.
    first: usize,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Complaint {
    error_code: i64,
    message: String,
}

impl Client {
    pub(super) fn new(settings: Registry) -> Self {
        Self {
            settings,
            agent: None,
            first: 0,
        }
    }

    pub(super) fn settings(&self) -> &Registry {
        &self.settings
    }

    /// Asks one address after the other until one answers. `count` is told what came of each request.
    pub(super) fn ask(&mut self, question: Question<'_>, count: &dyn Fn(RegistryOutcome)) -> Result<Vec<u8>, Failure> {
        let addresses: Vec<String> = self.settings.urls().map(str::to_owned).collect();
        let mut failed: Option<Failure> = None;
        for turn in 0..addresses.len() {
            let position = (self.first + turn) % addresses.len();
            let answer = self.ask_one(&addresses[position], question);
            count(
                answer
                    .as_ref()
                    .map_or_else(|failure| failure.outcome, |_| RegistryOutcome::Answered),
            );
            match answer {
                Err(failure) if matches!(failure.outcome, RegistryOutcome::Unreachable | RegistryOutcome::Failed) => {
                    // The files of certificates may have changed, and a connection may be stale.
                    self.agent = None;
                    failed.get_or_insert(failure);
                }
                answer => {
                    self.first = position;
                    return answer;
                }
            }
        }
        let nothing = || Failure::unfit("there is no address; write registry.url".into());
        Err(failed.unwrap_or_else(nothing))
    }

    fn ask_one(&mut self, address: &str, question: Question<'_>) -> Result<Vec<u8>, Failure> {
        let hidden = Credentials::of(&self.settings)?;
        let agent = match &self.agent {
            Some(agent) => agent.clone(),
            None => self.agent.insert(agent(&self.settings, address)?).clone(),
        };
        let mut target = address.to_owned();
        for part in question.path {
            target.push('/');
            target.extend(percent_encoding::utf8_percent_encode(part, web::RESERVED));
        }
        let (accept, name) = (MEDIA, "authorization");
        let sent = match question.body {
            None => {
                let mut request = agent.get(&target).header("accept", accept);
                if let Some(shown) = hidden.header() {
                    request = request.header(name, shown);
                }
                request.call()
            }
            Some(body) => {
                let mut request = agent.post(&target).header("accept", accept);
                if let Some(shown) = hidden.header() {
                    request = request.header(name, shown);
                }
                let request = request.header("content-type", "application/vnd.schemaregistry.v1+json");
                request.send(body)
            }
        };
        let unreachable = |error: &ureq::Error| unreachable(address, &hidden, error);
        let mut answer: Response<ureq::Body> = sent.map_err(|error| unreachable(&error))?;
        let status = answer.status().as_u16();
        let limit = self.settings.max_bytes;
        let body = answer.body_mut().with_config().limit(limit.0).read_to_vec();
        let body = body.map_err(|error| match error {
            ureq::Error::BodyExceedsLimit(_) => Failure::new(
                RegistryOutcome::Unfit,
                "registry.max_bytes",
                format!(
                    "the answer of the schema registry `{address}` has more than {limit}; raise registry.max_bytes"
                ),
            ),
            error => unreachable(&error),
        })?;
        match status {
            200..=299 => Ok(body),
            _ => Err(declined(
                &self.settings,
                (address, question.right),
                &hidden,
                status,
                &body,
            )),
        }
    }
}

fn agent(settings: &Registry, address: &str) -> Result<Agent, Failure> {
    let unfit = |message| Failure::new(RegistryOutcome::Unfit, "registry.tls", message);
    let tls = settings.tls.as_ref();
    let roots = web::roots(tls.and_then(|tls| tls.ca.as_deref())).map_err(unfit)?;
    let ours = tls.map(|tls| tls.client_certificate("registry.tls")).transpose();
    let ours = ours.map_err(unfit)?.flatten();
    Ok(web::agent(roots, ours, url::is_local(address), settings.timeout.0))
}

/// What we show, and all forms of it, so that none is repeated.
struct Credentials {
    header: Option<Zeroizing<String>>,
    secret: Zeroizing<String>,
}

impl Credentials {
    fn of(settings: &Registry) -> Result<Self, Failure> {
        let reveal = |key: &'static str, secret: &Secret| {
            let revealed = secret.reveal();
            revealed.map_err(|message| Failure::new(RegistryOutcome::Unfit, key, message))
        };
        if let Some(token) = &settings.token {
            let secret = reveal("registry.token", token)?;
            let is_fit = secret.bytes().all(|byte| byte.is_ascii_graphic());
            if !is_fit {
                let message = format!("the token in {token} has characters that no token has; write it anew");
                return Err(Failure::new(RegistryOutcome::Unfit, "registry.token", message));
            }
            let header = Some(Zeroizing::new(format!("Bearer {}", &*secret)));
            return Ok(Self { header, secret });
        }
        let (Some(name), Some(password)) = (&settings.username, &settings.password) else {
            return Ok(Self {
                header: None,
                secret: Zeroizing::default(),
            });
        };
        let secret = reveal("registry.password", password)?;
        let both = Zeroizing::new(format!("{name}:{}", &*secret));
        let encoded = Zeroizing::new(STANDARD.encode(both.as_bytes()));
        let header = Some(Zeroizing::new(format!("Basic {}", &*encoded)));
        Ok(Self { header, secret })
    }

    fn header(&self) -> Option<&str> {
        self.header.as_ref().map(|header| header.as_str())
    }

    /// Foreign words without them.
    fn quoted(&self, text: &str) -> String {
        let sent = self.header().and_then(|header| header.split_once(' '));
        web::quoted(text, &[&self.secret, sent.map_or("", |(_, sent)| sent)])
    }
}

/// What an answer means that is no success.
fn declined(
    settings: &Registry,
    (address, right): (&str, &str),
    hidden: &Credentials,
    status: u16,
    body: &[u8],
) -> Failure {
    let complaint: Option<Complaint> = serde_json::from_slice(body).ok();
    let Complaint { error_code, message } = complaint.unwrap_or_default();
    let reason = match message.is_empty() {
        true => format!("HTTP status {status}"),
        false => format!("HTTP status {status}, {}", hidden.quoted(&message)),
    };
    let who = format!("the schema registry `{address}`");
    match status {
        404 if NOT_THERE.contains(&error_code) => Failure::new(
            RegistryOutcome::Unknown,
            "registry.url",
            format!("{who} has none: {reason}"),
        ),
        404 | 405 => Failure::unfit(format!(
            "`{address}` answers as a web server does and not as a schema registry ({reason}); write the path of the \
             registry's API into registry.url (Apicurio: /apis/ccompat/v7)"
        )),
        401 | 403 => denied(settings, &format!("{who} does not let us in: {reason}"), right, status),
        408 | 429 | 500.. => Failure::new(
            RegistryOutcome::Failed,
            "registry.url",
            format!("{who} is in trouble: {reason}; it is asked again"),
        ),
        300..=399 => Failure::unfit(format!(
            "{who} sends us elsewhere ({reason}), and our credentials do not follow; write the final URL as registry.url"
        )),
        409 => Failure::unfit(format!(
            "{who} takes no such schema: {reason}; it is not compatible with an earlier version of the subject: change the \
             subject's compatibility, or write to another topic or subject"
        )),
        _ => Failure::unfit(format!("{who} does not take the request: {reason}; check [registry]")),
    }
}

fn denied(settings: &Registry, refusal: &str, right: &str, status: u16) -> Failure {
    let (key, advice) = match (&settings.username, &settings.token, status) {
        (Some(name), _, 403) => (
            "registry.username",
            format!("have `{name}` allowed to {right} schemas, or write another registry.username"),
        ),
        (Some(_), ..) => (
            "registry.password",
            "correct registry.username or registry.password".to_owned(),
        ),
        (None, Some(token), _) => (
            "registry.token",
            format!("have the token in {token} renewed, or allowed to {right} schemas"),
        ),
        (None, None, _) => (
            "registry.username",
            "write registry.username and registry.password, or registry.token".to_owned(),
        ),
    };
    Failure::new(RegistryOutcome::Denied, key, format!("{refusal}; {advice}"))
}

fn unreachable(address: &str, hidden: &Credentials, error: &ureq::Error) -> Failure {
    let reason = hidden.quoted(&error.to_string());
    let failure = |key, sentence| Failure::new(RegistryOutcome::Unreachable, key, sentence);
    if !matches!(error, ureq::Error::NativeTls(_) | ureq::Error::Tls(_)) {
        let sentence = format!(
            "the schema registry `{address}` does not answer: {reason}; check registry.url and the network to it; it is asked \
             again"
        );
        return failure("registry.url", sentence);
    }
    let (why, reason) = web::distrust(&reason);
    let whose = format!("the schema registry `{address}` is not to be trusted, or does not trust us: {reason}");
    match why {
        Distrust::Time => failure(
            "registry.url",
            format!("{whose}; renew its certificate, or set the clock of this machine right"),
        ),
        Distrust::Host => failure(
            "registry.url",
            format!("{whose}; write the host for which its certificate was issued into registry.url"),
        ),
        Distrust::Authority => failure(
            "registry.tls.ca",
            format!(
                "{whose}; correct registry.url, write the certificate of its authority as registry.tls.ca, or our own as \
                 registry.tls.certificate"
            ),
        ),
    }
}
