//! Properties that are handed through to librdkafka, and those that are not, with the reason.
//!
//! Owns: the table of guarded properties and the names that a typing error is compared with.
//! Never does: set anything; see [`super::client`].
//!
//! Invariants: no property in this table reaches a client through `properties`, `consumer` or `producer`. Nor does any
//! property of encryption or authentication, known here or not, but those in [`HARMLESS`].

use std::collections::BTreeMap;

use eddy_pipeline::settings::{Problem, nearest};
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The value of a librdkafka property, as TOML writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum PropertyValue {
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Number(f64),
    /// Text.
    Text(String),
}

impl std::fmt::Display for PropertyValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Number(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
        }
    }
}

/// A table of properties.
pub type Properties = BTreeMap<String, PropertyValue>;

/// A property that is not handed through.
#[derive(Debug)]
pub struct Guarded {
    /// Its name in librdkafka; each alias has an entry of its own.
    pub name: &'static str,
    /// Why, as the rest of a sentence that begins with the name.
    pub why: &'static str,
    /// What to set instead, if anything.
    pub instead: Option<&'static str>,
}

const fn own(name: &'static str, instead: &'static str) -> Guarded {
    Guarded {
        name,
        why: "is set by Eddy from its own setting",
        instead: Some(instead),
    }
}

const fn promise(name: &'static str, why: &'static str) -> Guarded {
    Guarded {
        name,
        why,
        instead: None,
    }
}

const OFFSETS: &str = "decides which offsets are committed, and an offset is committed only with what came out of it";
const GROUP: &str = "decides how the group shares partitions, which the checkpoint depends on";
const IDEMPOTENT: &str = "would let the producer lose, repeat or reorder outputs";
const TLS: &str = "would switch off a check that keeps strangers from posing as the brokers";
const CLIENT: &str = "belongs to the inside of the client";
const CODE: &str = "would load code into the process";

/// Every guarded property, with its reason.
pub const GUARDED: &[Guarded] = &[
    own("bootstrap.servers", "kafka.brokers"),
    own("metadata.broker.list", "kafka.brokers"),
    own("security.protocol", "kafka.tls and kafka.sasl"),
    own("ssl.ca.location", "kafka.tls.ca"),
    own("ssl.ca.pem", "kafka.tls.ca"),
    own("ssl_ca", "kafka.tls.ca"),
    own("ssl.certificate.location", "kafka.tls.certificate"),
    own("ssl.certificate.pem", "kafka.tls.certificate"),
    own("ssl_certificate", "kafka.tls.certificate"),
    own("ssl.key.location", "kafka.tls.key"),
    own("ssl.key.pem", "kafka.tls.key"),
    own("ssl_key", "kafka.tls.key"),
    own("ssl.key.password", "kafka.tls.key_password"),
    own("ssl.keystore.location", "kafka.tls.certificate and kafka.tls.key"),
    own("ssl.keystore.password", "kafka.tls.key_password"),
    promise("enable.ssl.certificate.verification", TLS),
    promise("ssl.endpoint.identification.algorithm", TLS),
    promise("ssl.certificate.verify_cb", TLS),
    promise("ssl.engine.location", CODE),
    promise("ssl.engine.id", CODE),
    promise("ssl_engine_callback_data", CODE),
    promise("ssl.providers", CODE),
    promise("plugin.library.paths", CODE),
    own("sasl.mechanism", "kafka.sasl.mechanism"),
    own("sasl.mechanisms", "kafka.sasl.mechanism"),
    own("sasl.username", "kafka.sasl.username"),
    own("sasl.password", "kafka.sasl.password"),
    own("sasl.oauthbearer.config", "kafka.sasl.token"),
    own("sasl.oauthbearer.method", "kafka.sasl.token"),
    own("sasl.oauthbearer.client.secret", "kafka.sasl.token"),
    own("sasl.oauthbearer.client.credentials.client.secret", "kafka.sasl.token"),
    own("sasl.oauthbearer.assertion.private.key.passphrase", "kafka.sasl.token"),
    own("sasl.oauthbearer.assertion.private.key.pem", "kafka.sasl.token"),
    promise(
        "enable.sasl.oauthbearer.unsecure.jwt",
        "would accept tokens that nobody signed",
    ),
    promise("sasl.kerberos.kinit.cmd", CODE),
    own("group.id", "kafka.group"),
    own("group.instance.id", "kafka.membership and kafka.instance"),
    promise("group.protocol", GROUP),
    promise("group.protocol.type", GROUP),
    promise("group.remote.assignor", GROUP),
    promise("partition.assignment.strategy", GROUP),
    own("session.timeout.ms", "kafka.session_timeout"),
    own("auto.offset.reset", "kafka.start"),
    promise("enable.auto.commit", OFFSETS),
    promise("auto.commit.enable", OFFSETS),
    promise("enable.auto.offset.store", OFFSETS),
    promise("offset.store.method", OFFSETS),
    promise("offset.store.path", OFFSETS),
    promise("offset.store.sync.interval.ms", OFFSETS),
    promise(
        "isolation.level",
        "decides whether events of aborted transactions are read; Eddy never reads them",
    ),
    promise(
        "check.crcs",
        "is what turns a corrupted event into an error instead of a wrong prediction",
    ),
    promise("enable.partition.eof", CLIENT),
    promise(
        "allow.auto.create.topics",
        "would create a misspelt topic instead of reporting it",
    ),
    own("transactional.id", "kafka.group and kafka.instance"),
    own("transaction.timeout.ms", "kafka.transaction_timeout"),
    promise("enable.idempotence", IDEMPOTENT),
    promise("enable.gapless.guarantee", IDEMPOTENT),
    promise("acks", IDEMPOTENT),
    promise("request.required.acks", IDEMPOTENT),
    promise("retries", IDEMPOTENT),
    promise("message.send.max.retries", IDEMPOTENT),
    promise("max.in.flight", IDEMPOTENT),
    promise("max.in.flight.requests.per.connection", IDEMPOTENT),
    promise("queuing.strategy", IDEMPOTENT),
    own("message.timeout.ms", "kafka.transaction_timeout"),
    own("delivery.timeout.ms", "kafka.transaction_timeout"),
    own("linger.ms", "kafka.linger"),
    own("queue.buffering.max.ms", "kafka.linger"),
    own("compression.type", "kafka.compression"),
    own("compression.codec", "kafka.compression"),
    own("message.max.bytes", "kafka.max_output_bytes"),
    promise(
        "partitioner",
        "has no effect: Eddy chooses the partition, as Java clients do",
    ),
    promise(
        "delivery.report.only.error",
        "would hide deliveries, and a checkpoint waits for every one",
    ),
    promise("log.queue", CLIENT),
    promise("log_level", CLIENT),
    promise("enabled_events", CLIENT),
    promise("internal.termination.signal", CLIENT),
    promise("default_topic_conf", CLIENT),
    promise("opaque", CLIENT),
    promise("interceptors", CLIENT),
    promise(
        "test.mock.num.brokers",
        "would replace the brokers by an imitation in memory",
    ),
];

/// What the names of properties of encryption and authentication begin with. Tomorrow's are refused like today's.
const SECURITY: [&str; 6] = ["ssl", "https", "sasl", "security", "enable.ssl", "enable.sasl"];

/// Those that only narrow what is accepted, as long as their value does.
const HARMLESS: [&str; 4] = [
    "ssl.cipher.suites",
    "ssl.curves.list",
    "ssl.sigalgs.list",
    "ssl.crl.location",
];

/// Parts of the names of ciphers, and of OpenSSL's keywords for them, that protect nothing, or hardly anything.
const WEAK_CIPHERS: [&str; 11] = [
    "NULL",
    "ADH",
    "AECDH",
    "EXP",
    "LOW",
    "RC4",
    "DES",
    "MD5",
    "ALL",
    "COMPLEMENT",
    "SECLEVEL",
];

/// Properties that are worth tuning, for the comparison with a name that librdkafka does not know.
const TUNABLE: &[&str] = &[
    "auto.commit.interval.ms",
    "batch.num.messages",
    "batch.size",
    "broker.address.family",
    "broker.address.ttl",
    "client.dns.lookup",
    "client.id",
    "client.rack",
    "compression.level",
    "connections.max.idle.ms",
    "coordinator.query.interval.ms",
    "debug",
    "enable.metrics.push",
    "fetch.error.backoff.ms",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.queue.backoff.ms",
    "fetch.wait.max.ms",
    "heartbeat.interval.ms",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "message.copy.max.bytes",
    "metadata.max.age.ms",
    "metadata.recovery.strategy",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "receive.message.max.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "socket.connection.setup.timeout.ms",
    "socket.keepalive.enable",
    "socket.nagle.disable",
    "socket.receive.buffer.bytes",
    "socket.send.buffer.bytes",
    "socket.timeout.ms",
    "ssl.cipher.suites",
    "ssl.crl.location",
    "ssl.curves.list",
    "ssl.sigalgs.list",
    "statistics.interval.ms",
    "topic.metadata.propagation.max.ms",
    "topic.metadata.refresh.interval.ms",
];

/// What is wrong with a table of properties; `table` is its dotted key.
pub(crate) fn problems(table: &str, properties: &Properties) -> Vec<Problem> {
    let problem = |(name, value): (&String, &PropertyValue)| {
        let value = value.to_string();
        let message = refusal(name)
            .or_else(|| weakness(name, &value))
            .or_else(|| deafness(name, &value))
            .or_else(|| rejection(name, &value))?;
        Some(Problem::new(format!("{table}.\"{name}\""), message))
    };
    properties.iter().filter_map(problem).collect()
}

/// Why Eddy does not hand the property through.
fn refusal(name: &str) -> Option<String> {
    let Some(guarded) = GUARDED.iter().find(|guarded| guarded.name == name) else {
        let is_security = SECURITY.iter().any(|beginning| name.starts_with(beginning)) && !HARMLESS.contains(&name);
        return if is_security {
            Some(format!(
                "`{name}` belongs to the security of the wire, which kafka.tls and kafka.sasl set; remove it"
            ))
        } else {
            name.ends_with("_cb").then(|| format!("`{name}` {CLIENT}; remove it"))
        };
    };
    Some(match guarded.instead {
        Some(instead) => format!("`{name}` {}; remove it and set {instead}", guarded.why),
        None => format!("`{name}` {}; remove it", guarded.why),
    })
}

/// Why the value would weaken the encryption.
fn weakness(name: &str, value: &str) -> Option<String> {
    if name != "ssl.cipher.suites" {
        return None;
    }
    let suites = value.split([':', ',', ' ', ';']);
    let allowed = suites.filter(|suite| !suite.starts_with(['!', '-']));
    let is_weak = |suite: &&str| WEAK_CIPHERS.iter().any(|part| suite.to_uppercase().contains(part));
    let weak = allowed.into_iter().find(is_weak)?;
    Some(format!(
        "`{weak}` in `{name}` would let in ciphers, or versions of TLS, that protect nothing; remove it"
    ))
}

/// Why outages would not be told from a client that is merely idle.
fn deafness(name: &str, value: &str) -> Option<String> {
    let most = match name {
        "statistics.interval.ms" => 5000,
        "heartbeat.interval.ms" => 10_000,
        _ => return None,
    };
    let is_sound = value.parse::<u64>().is_ok_and(|ms| (100..=most).contains(&ms));
    (!is_sound).then(|| format!("`{name}` is how silence is told from an outage; write 100 to {most}, or remove it"))
}

/// Why librdkafka does not take the property. The value is not repeated: it may be a secret in the wrong place.
fn rejection(name: &str, value: &str) -> Option<String> {
    if name.contains('\0') || value.contains('\0') {
        return Some("neither a property nor its value can contain a NUL character; remove it".into());
    }
    let mut config = ClientConfig::new();
    config.set(name, value);
    match config.create_native_config() {
        Ok(_) => None,
        Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)) => {
            let known = TUNABLE
                .iter()
                .copied()
                .chain(GUARDED.iter().map(|guarded| guarded.name));
            Some(match nearest(name, known) {
                Some(near) => format!("librdkafka does not know `{name}`; did you mean `{near}`?"),
                None => format!("librdkafka does not know `{name}`; its CONFIGURATION.md lists what it knows"),
            })
        }
        Err(KafkaError::ClientConfig(_, reason, ..)) => Some(format!(
            "librdkafka refuses the value: {}; correct it",
            reason.replace(value, "…")
        )),
        Err(error) => Some(format!("librdkafka refuses it: {error}; correct it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message_for(name: &str, value: PropertyValue) -> Option<String> {
        let found = problems("kafka.properties", &Properties::from([(name.to_owned(), value)]));
        assert!(found.len() <= 1);
        found.into_iter().next().map(|problem| {
            assert_eq!(problem.key, format!("kafka.properties.\"{name}\""));
            problem.message
        })
    }

    #[test]
    fn every_guarded_property_is_refused_by_name_with_its_reason() {
        for guarded in GUARDED {
            let message = message_for(guarded.name, PropertyValue::Text("true".into())).expect(guarded.name);
            assert!(
                message.contains(guarded.name) && message.contains(guarded.why),
                "{message}"
            );
            assert!(
                guarded.instead.is_none_or(|instead| message.contains(instead)),
                "{message}"
            );
        }
    }

    #[test]
    fn no_guarded_name_is_a_typing_error() {
        for guarded in GUARDED {
            let refusal = rejection(guarded.name, "1").unwrap_or_default();
            assert!(!refusal.contains("does not know"), "{refusal}");
        }
    }

    #[test]
    fn every_tunable_name_is_known_and_not_guarded() {
        for name in TUNABLE {
            assert_eq!(refusal(name), None);
            let rejection = rejection(name, "1").unwrap_or_default();
            assert!(!rejection.contains("does not know"), "{rejection}");
        }
    }

    #[test]
    fn what_is_not_known_of_encryption_and_authentication_is_refused() {
        for name in [
            "ssl.something.new",
            "sasl.oauthbearer.scope",
            "https.ca.pem",
            "enable.sasl.x",
            "ssl_x",
        ] {
            let message = message_for(name, PropertyValue::Text("x".into())).expect(name);
            assert!(message.contains("kafka.tls and kafka.sasl"), "{message}");
        }
    }

    #[test]
    fn ciphers_may_be_chosen_among_those_that_protect() {
        let verdict = |value: &str| message_for("ssl.cipher.suites", PropertyValue::Text(value.into()));
        assert_eq!(
            verdict("ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256:!aNULL:-RC4"),
            None
        );
        for weak in [
            "DEFAULT@SECLEVEL=0",
            "HIGH:eNULL",
            "HIGH:!aNULL;eNULL",
            "ADH-AES256-SHA256",
            "des-cbc3-sha",
            "ALL",
            "EXPORT",
        ] {
            let message = verdict(weak).expect(weak);
            assert!(message.contains("protect nothing"), "{message}");
        }
    }

    #[test]
    fn what_outages_are_noticed_by_cannot_be_switched_off() {
        for name in ["statistics.interval.ms", "heartbeat.interval.ms"] {
            assert_eq!(message_for(name, PropertyValue::Integer(1000)), None);
            for value in [0, 60_000] {
                let message = message_for(name, PropertyValue::Integer(value)).expect(name);
                assert!(message.contains("silence"), "{message}");
            }
        }
    }

    #[test]
    fn harmless_properties_pass() {
        assert_eq!(message_for("socket.timeout.ms", PropertyValue::Integer(9_000)), None);
        assert_eq!(message_for("socket.keepalive.enable", PropertyValue::Flag(true)), None);
        assert_eq!(message_for("client.rack", PropertyValue::Text("a".into())), None);
    }

    #[test]
    fn a_typing_error_is_answered_with_the_nearest_name() {
        let message = message_for("socket.timout.ms", PropertyValue::Integer(1)).unwrap();
        assert!(message.contains("did you mean `socket.timeout.ms`?"), "{message}");
        let message = message_for("no.such.thing.at.all", PropertyValue::Integer(1)).unwrap();
        assert!(message.contains("CONFIGURATION.md"), "{message}");
    }

    #[test]
    fn a_value_out_of_range_is_refused_without_being_repeated() {
        let message = message_for("socket.timeout.ms", PropertyValue::Text("hunter2".into())).unwrap();
        assert!(
            message.contains("refuses the value") && !message.contains("hunter2"),
            "{message}"
        );
    }
}
