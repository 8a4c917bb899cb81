//! One request to a collector, and what its answer means.
//!
//! Owns: the agent, and the sentences about answers. Never does: offer again.
//!
//! Invariant: no sentence contains a secret, even if the collector sends it back.

use std::time::Duration;

use eddy_broker::settings::url;
use eddy_broker::web;
use eddy_telemetry::Resource;
use ureq::Agent;
use ureq::http::HeaderMap;
use zeroize::Zeroizing;

use super::settings::TraceSettings;

/// The longest answer that is read.
const MAX_ANSWER: u64 = 64 << 10;

/// What a collector says to an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It took the spans, but for some that it may name, with the reason.
    Taken {
        /// How many it refused, and why.
        refused: Option<(usize, String)>,
    },
    /// It will not take them.
    Refused(String),
    /// It may take them later.
    Later {
        /// What is wrong.
        why: String,
        /// In how long it wants to be asked again, if it says so.
        after: Option<Duration>,
    },
}

/// Who is offered spans.
#[derive(Debug)]
pub struct Collector {
    pub(super) settings: TraceSettings,
    agent: Agent,
}

impl Collector {
    /// The collector that these settings name, with paths as they are.
    ///
    /// # Errors
    /// One sentence about the file `ca`.
    pub fn new(settings: TraceSettings) -> Result<Self, String> {
        let roots = web::roots(settings.ca.as_deref())?;
        let agent = web::agent(roots, None, url::is_local(&settings.url), settings.timeout.0);
        Ok(Self { settings, agent })
    }

    /// Offers the body of a request.
    pub fn offer(&self, body: &[u8]) -> Answer {
        let secrets = match self.secrets() {
            Ok(secrets) => secrets,
            Err(why) => return later(format!("nothing is sent to the collector: {why}")),
        };
        let mut request = self
            .agent
            .post(&self.settings.url)
            .content_type("application/x-protobuf");
        for (name, value) in self.settings.headers.keys().zip(&secrets) {
            request = request.header(name, value.as_str());
        }
        // Of `Bearer …` the rest alone is the secret, too.
        let hidden = secrets
            .iter()
            .flat_map(|value| [&***value].into_iter().chain(value.split_whitespace()));
        let hidden: Vec<&str> = hidden.collect();
        let who = format!("the collector `{}`", self.settings.url);
        let mut answer = match request.send(body) {
            Ok(answer) => answer,
            Err(error) => {
                let reason = web::quoted(&error.to_string(), &hidden);
                return later(format!(
                    "{who} does not answer: {reason}; check traces.url and the network to it"
                ));
            }
        };
        let (status, after) = (answer.status().as_u16(), retry_after(answer.headers()));
        // Where it cannot be read, the status says enough.
        let body = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
        let body = body.unwrap_or_default();
        let quoted = |text: &str| web::quoted(text, &hidden);
        let said = format!("HTTP status {status}, {}", quoted(&String::from_utf8_lossy(&body)));
        match status {
            200..=299 => Answer::Taken {
                refused: Resource::refused(&body)
                    .map(|(spans, why)| (spans, format!("{who} refused some: {}", quoted(&why)))),
            },
            // Those that OTLP says to offer again.
            429 | 502..=504 => Answer::Later {
                why: format!("{who} is busy: {said}"),
                after,
            },
            // What it says of what we showed is not repeated.
            401 | 403 => Answer::Refused(format!(
                "{who} does not let us in: HTTP status {status}; check traces.headers"
            )),
            404 | 405 => Answer::Refused(format!(
                "{who} takes no traces there: {said}; traces.url has a path, usually /v1/traces"
            )),
            _ => Answer::Refused(format!("{who} does not take them: {said}")),
        }
    }

    /// The values of the headers, in their order.
    fn secrets(&self) -> Result<Vec<Zeroizing<String>>, String> {
        let of = |(name, secret): (&String, &eddy_broker::settings::Secret)| {
            let value = secret.reveal()?;
            match value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
                true => Ok(value),
                false => Err(format!(
                    "the value of `{name}` in {secret} has characters that no header has; write it anew"
                )),
            }
        };
        self.settings.headers.iter().map(of).collect()
    }
}

fn later(why: String) -> Answer {
    Answer::Later { why, after: None }
}

/// In how many seconds to ask again; a date is not looked at.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get("retry-after")?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
