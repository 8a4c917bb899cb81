//! One request to a collector, and what its answer means.
//!
//! Owns: the agent, and the sentences about answers. Never does: offer again.
//!
//! Invariant: no sentence contains a secret, even if the collector sends it back.

use eddy_broker::settings::url;
use eddy_broker::web;
use eddy_telemetry::Resource;
use ureq::Agent;
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
    Later(String),
}

/// Who is offered spans.
#[derive(Debug)]
pub struct Collector {
    settings: TraceSettings,
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
        let who = format!("the collector `{}`", self.settings.url);
        let mut request = self
            .agent
            .post(&self.settings.url)
            .content_type("application/x-protobuf");
        let mut shown: Vec<Zeroizing<String>> = Vec::new();
        for (name, secret) in &self.settings.headers {
            let value = match secret.reveal() {
                Ok(value) => value,
                Err(why) => return Answer::Later(format!("nothing is sent to {who}: {why}")),
            };
            if !value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
                let why = format!("the value of `{name}` in {secret} has characters that no header has; write it anew");
                return Answer::Later(format!("nothing is sent to {who}: {why}"));
            }
            request = request.header(name, value.as_str());
            shown.push(value);
        }
        let hidden: Vec<&str> = shown.iter().map(|value| value.as_str()).collect();
        let unreachable = |error: &ureq::Error| {
            let reason = web::quoted(&error.to_string(), &hidden);
            Answer::Later(format!(
                "{who} does not answer: {reason}; check traces.url and the network to it"
            ))
        };
        let mut answer = match request.send(body) {
            Ok(answer) => answer,
            Err(error) => return unreachable(&error),
        };
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
        let body = match body {
            Ok(body) => body,
            // It has the spans, whatever it wanted to say.
            Err(_) if (200..300).contains(&status) => Vec::new(),
            Err(error) => return unreachable(&error),
        };
        let said = || {
            format!(
                "HTTP status {status}, {}",
                web::quoted(&String::from_utf8_lossy(&body), &hidden)
            )
        };
        match status {
            200..=299 => Answer::Taken {
                refused: Resource::refused(&body)
                    .map(|(spans, why)| (spans, format!("{who} refused some: {}", web::quoted(&why, &hidden)))),
            },
            // Those that OTLP says to offer again.
            429 | 502..=504 => Answer::Later(format!("{who} is busy: {}", said())),
            401 | 403 => Answer::Refused(format!("{who} does not let us in: {}; check traces.headers", said())),
            404 | 405 => Answer::Refused(format!(
                "{who} takes no traces there: {}; traces.url has a path, usually /v1/traces",
                said()
            )),
            _ => Answer::Refused(format!("{who} does not take them: {}", said())),
        }
    }
}
