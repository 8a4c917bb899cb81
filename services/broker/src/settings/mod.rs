//! The tables `[kafka]`, `[topics]` and `[registry]` of the pipeline file.
//!
//! Owns: their types, defaults and checks, and the librdkafka configuration that follows from them.
//! Never does: connect; see [`crate::kafka::check`].
//!
//! Invariant: properties that are handed through come first and Eddy's own last, so that no setting weakens a
//! guarantee.

pub(crate) mod authorities;
pub(crate) mod certificates;
mod client;
mod events;
mod oidc;
pub(crate) mod permissions;
mod preset;
mod properties;
pub(crate) mod registry;
mod security;
mod start;
#[cfg(test)]
mod tests;
mod topics;
pub mod url;

use std::net::IpAddr;
use std::path::Path;

use eddy_pipeline::checkpoint;
use eddy_pipeline::settings::{Bytes, Problem, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use authorities::public as public_authorities;
pub use eddy_secret::Secret;
pub use events::{Events, Matching, Reads};
pub use oidc::Oidc;
pub use permissions::{Operation, Permission, Resource, as_argument};
pub use preset::Preset;
pub use properties::{GUARDED, Guarded, Properties, PropertyValue};
pub use registry::Registry;
pub use security::{Mechanism, Sasl, Tls};
pub use start::Start;
pub use topics::Topics;

/// What a broker is opened with: both tables and the pipeline's name.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// `name` of the pipeline file; part of default identities and of the clients' names.
    pub pipeline: String,
    /// `[kafka]`.
    pub kafka: Kafka,
    /// `[topics]`.
    pub topics: Topics,
}

/// `[kafka]`: how Kafka is reached, and which promise is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kafka {
    /// Addresses of some brokers, `host:port`, separated by commas; the rest is learnt from them. Required.
    pub brokers: String,
    /// The managed service that the brokers belong to: TLS, mechanism and properties as its documentation asks for them.
    /// Whatever else this table says goes before it; `eddy check` prints what it sets. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// The consumer group. Replicas of a pipeline share it; two pipelines must not. Default: `eddy-` and the pipeline's
    /// name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Name of this replica, unique within the group and the same after a restart, so that a restart ends its own
    /// unfinished transaction at once. Default: the host's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// What a crash may do to the outputs. Default: `"exactly-once"`.
    #[serde(default)]
    pub guarantee: Guarantee,
    /// Where a new group begins in a topic; that is committed before anything is read, so that restarts agree. Also where to
    /// go on when the event at an offset is gone. A partition that is added later is read from its beginning, whatever this
    /// says, and so is, for a group that has offsets, a topic that comes to match a pattern. `"earliest"`: at the oldest event,
    /// so that nothing is lost. `"latest"`: at what comes next; what is there is skipped, also what arrived while the group's
    /// offset expired. A time, such as `"2026-05-01T00:00:00Z"`: at the first event whose timestamp is not before it; where the
    /// event at an offset is gone, at the oldest one. `"error"`: nowhere; the service stops and says which partition it is.
    /// Required, because each answer is wrong for somebody.
    pub start: Start,
    /// How many lanes this process runs, each with its own consumer, producer and thread. Between 1 and 64; no more than
    /// the events topic has partitions do any work. Default: 1.
    #[serde(default = "default_lanes")]
    pub lanes: u16,
    /// How the group knows this process. Default: `"dynamic"`.
    #[serde(default)]
    pub membership: Membership,
    /// How long the group waits for a silent process before it gives its partitions to others. Between 1s and 30m, and
    /// within the brokers' own limits. Default: that of `preset`, else `"15s"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_timeout: Option<Span>,
    /// How long a transaction may stay open. It bounds how long a dead process delays readers of its outputs. Exactly
    /// once only. Must be longer than `checkpoint.interval`; between 1s and 15m. Default: `"10s"`.
    #[serde(default = "default_transaction_timeout")]
    pub transaction_timeout: Span,
    /// How long an output waits for others to share a request with. Longer means fewer, larger requests; every
    /// checkpoint waits that long as well. At most 1s; `"0ms"` sends at once. Default: `"1ms"`.
    #[serde(default = "default_linger")]
    pub linger: Span,
    /// How requests with outputs are compressed. Default: that of `preset`, else `"lz4"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// The largest output, with its key and headers, before compression. A larger one becomes a dead letter. No more
    /// than `max.message.bytes` of each output topic. Between 1 KiB and 512 MiB. Default: 1000000 bytes.
    #[serde(default = "default_max_output_bytes")]
    pub max_output_bytes: Bytes,
    /// Encrypts the connections. An empty table trusts the public authorities that the system
    /// knows. Default: no encryption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Proves to the brokers who we are, by name and password or token. Default: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sasl: Option<Sasl>,
    /// librdkafka properties of both clients. Those that would break a guarantee are refused by name. Default: none.
    #[serde(default, skip_serializing_if = "Properties::is_empty")]
    pub properties: Properties,
    /// librdkafka properties of the consumer; they come after `properties`. Default: none.
    #[serde(default, skip_serializing_if = "Properties::is_empty")]
    pub consumer: Properties,
    /// librdkafka properties of the producer; they come after `properties`. Default: none.
    #[serde(default, skip_serializing_if = "Properties::is_empty")]
    pub producer: Properties,
}

/// What a crash may do to the outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Guarantee {
    /// Nothing, for readers with `isolation.level=read_committed`: outputs and offsets are one transaction.
    #[default]
    ExactlyOnce,
    /// It may repeat outputs, never lose one. Readers see outputs a little earlier.
    AtLeastOnce,
}

impl From<Guarantee> for checkpoint::Guarantee {
    fn from(guarantee: Guarantee) -> Self {
        match guarantee {
            Guarantee::ExactlyOnce => Self::ExactlyOnce,
            Guarantee::AtLeastOnce => Self::AtLeastOnce,
        }
    }
}

/// How the group knows this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Membership {
    /// Anew at each start: its partitions go to others as soon as it stops.
    #[default]
    Dynamic,
    /// By `instance`: a restart within `session_timeout` moves no partition, and after a stop nobody takes them over
    /// before that time.
    Static,
}

/// How requests are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip: small and slow.
    Gzip,
    /// Snappy: fast.
    Snappy,
    /// LZ4: fast, and smaller than Snappy.
    #[default]
    Lz4,
    /// Zstandard: nearly as small as gzip and much faster. Needs brokers and readers from Kafka 2.1 on.
    Zstd,
}

impl Compression {
    /// Kafka's own name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

const fn default_lanes() -> u16 {
    1
}
const DEFAULT_SESSION_TIMEOUT: Span = Span::seconds(15);
const fn default_transaction_timeout() -> Span {
    Span::seconds(10)
}
const fn default_linger() -> Span {
    Span::ms(1)
}
const fn default_max_output_bytes() -> Bytes {
    Bytes(1_000_000)
}

const LANES_MAX: u16 = 64;

impl Settings {
    /// Everything that is wrong with both tables and can be seen without Kafka.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = self.kafka.problems();
        problems.extend(self.topics.problems());
        problems
    }

    /// What is allowed and unwise, one sentence each. Looks at the files that `[kafka.tls]` names.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.kafka.warnings();
        warnings.extend(self.kafka.tls.iter().flat_map(Tls::file_warnings));
        warnings
    }

    /// The consumer group.
    pub fn group(&self) -> String {
        self.kafka
            .group
            .clone()
            .unwrap_or_else(|| format!("eddy-{}", self.pipeline))
    }

    /// A topic that there must be, to ask brokers about.
    pub(crate) fn a_topic(&self) -> &str {
        let named = self.topics.events.names().first();
        named.unwrap_or(&self.topics.predictions)
    }

    /// The name of this replica.
    pub fn instance(&self) -> String {
        self.kafka.instance.clone().unwrap_or_else(host_name)
    }

    /// The transactional id of a lane. Whoever uses the same one fences the other out, so it is of one scheme over versions:
    /// [`eddy_pipeline::format::TRANSACTIONAL_ID`].
    pub fn transactional_id(&self, lane: u16) -> String {
        format!("{}{}-{lane}", self.transactional_ids(), self.instance())
    }

    /// What the transactional ids of all replicas begin with.
    pub fn transactional_ids(&self) -> String {
        format!("{}-", self.group())
    }
}

impl Kafka {
    /// Everything that is wrong with the table and can be seen without Kafka.
    pub fn problems(&self) -> Vec<Problem> {
        let mut whole = self.clone();
        whole.apply_preset();
        whole.problems_of_all()
    }

    /// The same, once the preset is applied.
    fn problems_of_all(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut check = |holds: bool, key: &str, message: &str| {
            if !holds {
                problems.push(Problem::new(key, message));
            }
        };
        let filled = |text: &str| !text.trim().is_empty() && !text.contains('\0');
        let named = |name: &Option<String>| name.as_deref().is_none_or(filled);
        check(
            filled(&self.brokers) && self.addresses().all(|address| !address.is_empty()),
            "kafka.brokers",
            "an address is empty; write host:port, and commas between several",
        );
        check(
            named(&self.group),
            "kafka.group",
            "the name is empty; write one, or leave it out",
        );
        check(
            named(&self.instance),
            "kafka.instance",
            "the name is empty; write one, or leave it out",
        );
        check(
            (1..=LANES_MAX).contains(&self.lanes),
            "kafka.lanes",
            "not between 1 and 64; write a number that is",
        );
        let within = |span: Span, from: Span, to: Span| (from..=to).contains(&span);
        check(
            within(self.session_timeout(), Span::seconds(1), Span::seconds(30 * 60)),
            "kafka.session_timeout",
            "not between 1s and 30m; write a span that is",
        );
        check(
            within(self.transaction_timeout, Span::seconds(1), Span::seconds(15 * 60)),
            "kafka.transaction_timeout",
            "not between 1s and 15m; write a span that is",
        );
        check(
            self.linger <= Span::seconds(1),
            "kafka.linger",
            "longer than 1s; write a shorter span",
        );
        check(
            (Bytes::kib(1)..=Bytes::mib(512)).contains(&self.max_output_bytes),
            "kafka.max_output_bytes",
            "not between 1 KiB and 512 MiB; write a size that is",
        );
        problems.extend(self.tls.iter().flat_map(|tls| tls.problems("kafka.tls")));
        let asks_for = self.preset.and_then(Preset::asks_for);
        problems.extend(self.sasl.iter().flat_map(|sasl| sasl.problems(asks_for.as_ref())));
        problems.extend(self.preset_problems());
        problems.extend(properties::problems("kafka.properties", &self.properties));
        problems.extend(properties::problems("kafka.consumer", &self.consumer));
        problems.extend(properties::problems("kafka.producer", &self.producer));
        problems
    }

    /// How long the group waits for a silent process.
    pub fn session_timeout(&self) -> Span {
        self.session_timeout.unwrap_or(DEFAULT_SESSION_TIMEOUT)
    }

    /// How requests are compressed.
    pub fn compression(&self) -> Compression {
        self.compression.unwrap_or_default()
    }

    /// How long a member may be silent before the group takes it for stuck: librdkafka's `max.poll.interval.ms`.
    pub fn max_poll_interval(&self) -> Span {
        let set = [&self.consumer, &self.properties].map(|properties| properties.get("max.poll.interval.ms"));
        let set = set
            .into_iter()
            .flatten()
            .find_map(|value| value.to_string().parse().ok());
        // It may not be shorter than the session.
        set.map_or(self.session_timeout().max(Span::seconds(300)), Span::ms)
    }

    /// Makes relative file paths relative to `folder`: that of the pipeline file.
    pub fn resolve_paths(&mut self, folder: &Path) {
        if let Some(tls) = &mut self.tls {
            tls.resolve_paths(folder);
        }
        let oidc = self.sasl.as_mut().and_then(|sasl| sasl.oidc.as_mut());
        if let Some(ca) = oidc.and_then(|oidc| oidc.ca.as_mut()) {
            *ca = folder.join(&*ca);
        }
        for secret in self.secrets() {
            secret.resolve_path(folder);
        }
    }

    /// Every secret that the table refers to.
    pub fn secrets(&mut self) -> impl Iterator<Item = &mut Secret> {
        let of_tls = self.tls.as_mut().and_then(|tls| tls.key_password.as_mut());
        let of_sasl = self.sasl.as_mut().map(|sasl| {
            let of_oidc = sasl.oidc.as_mut().map(|oidc| &mut oidc.client_secret);
            [sasl.password.as_mut(), sasl.token.as_mut(), of_oidc]
        });
        of_tls.into_iter().chain(of_sasl.into_iter().flatten().flatten())
    }

    /// What works and is unwise, as far as the settings themselves tell, without a look at files.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.preset_warnings();
        warnings.extend(self.open_connection());
        warnings
    }

    /// That nothing is encrypted, where it should be.
    fn open_connection(&self) -> Option<String> {
        let open = self.addresses().find(|address| !is_loopback(address))?;
        if self.tls.is_some() {
            return None;
        }
        let is_open = |sasl: &Sasl| matches!(sasl.mechanism(), Mechanism::Plain | Mechanism::OauthBearer);
        let what = if self.sasl.as_ref().is_some_and(is_open) {
            "events, and our password or token, travel"
        } else {
            "events travel"
        };
        Some(format!(
            "{what} to `{open}` without encryption; add [kafka.tls] unless the network is trusted"
        ))
    }

    fn addresses(&self) -> impl Iterator<Item = &str> {
        self.brokers.split(',').map(str::trim)
    }
}

fn is_loopback(address: &str) -> bool {
    let address = address.rsplit_once("://").map_or(address, |(_, rest)| rest);
    let host = match address.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => address.rsplit_once(':').map_or(address, |(host, _)| host),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() {
        "localhost".into()
    } else {
        name.to_owned()
    }
}
