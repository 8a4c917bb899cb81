//! `kafka.preset`: what the large managed services ask of a client.
//!
//! Owns: a table with one entry for each service, after its own documentation, which each entry names.
//! Never does: override a setting of the file, or weaken a guarantee; what a service cannot do is said instead.
//!
//! Invariant: a preset is laid under the file's settings, once, when the file is loaded.

use eddy_pipeline::settings::{Problem, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Compression, Guarantee, Kafka, Mechanism, PropertyValue, Sasl, Tls};

/// A managed service, by what it asks of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Confluent Cloud: TLS and `PLAIN` with an API key.
    ConfluentCloud,
    /// Amazon MSK with SASL/SCRAM, port 9096. Not its IAM access control, which wants tokens signed by AWS.
    MskScram,
    /// Amazon MSK with a certificate of our own, port 9094.
    MskCertificate,
    /// Azure Event Hubs, port 9093: TLS and `PLAIN` with a connection string. Without compression, which not all tiers
    /// take; exactly once only where the tier has transactions.
    EventHubs,
    /// Aiven with SASL: TLS by the project's own authority and `SCRAM-SHA-256`.
    Aiven,
    /// Aiven with a certificate of our own.
    AivenCertificate,
    /// Redpanda Cloud: TLS and `SCRAM-SHA-256`.
    RedpandaCloud,
    /// Google Cloud's Managed Service for Apache Kafka, port 9092: TLS and `PLAIN` with a service account's key. Not its
    /// `OAUTHBEARER`, whose tokens are not JWTs.
    GoogleManagedKafka,
}

/// What one service asks for.
struct Service {
    preset: Preset,
    /// Its name for people.
    name: &'static str,
    identity: Identity,
    /// The file with the authority that vouches for its brokers, where it is none of the public ones.
    authority: Option<&'static str>,
    session_timeout: Option<Span>,
    compression: Option<Compression>,
    properties: &'static [(&'static str, Property)],
}

#[derive(Clone, Copy)]
enum Property {
    Flag(bool),
    Integer(i64),
}

/// How it knows us.
#[derive(Clone, Copy)]
enum Identity {
    /// By name and password: what both are there, and the name where it is always the same.
    Named {
        mechanism: Mechanism,
        username: &'static str,
        always: Option<&'static str>,
        password: &'static str,
    },
    /// By a certificate: where ours comes from.
    Certificate(&'static str),
}

/// Load balancers forget connections on which nothing is said.
const KEEP_ALIVE: (&str, Property) = ("socket.keepalive.enable", Property::Flag(true));

/// What most of them have in common.
const USUAL: Service = Service {
    preset: Preset::ConfluentCloud,
    name: "",
    identity: Identity::Certificate(""),
    authority: None,
    session_timeout: None,
    compression: None,
    properties: &[KEEP_ALIVE],
};

/// In the order of [`Preset::ALL`].
static SERVICES: [Service; Preset::ALL.len()] = [
    // docs.confluent.io/cloud/current/client-apps/config-client.html: SASL_SSL, PLAIN, and the longer session that
    // its console writes into the configuration of librdkafka clients.
    Service {
        preset: Preset::ConfluentCloud,
        name: "Confluent Cloud",
        identity: Identity::Named {
            mechanism: Mechanism::Plain,
            username: "the API key",
            always: None,
            password: "the API key's secret",
        },
        session_timeout: Some(Span::seconds(45)),
        ..USUAL
    },
    // docs.aws.amazon.com/msk/latest/developerguide: msk-password.html, port-info.html. The brokers' certificates
    // are Amazon's, a public authority.
    Service {
        preset: Preset::MskScram,
        name: "Amazon MSK with SASL/SCRAM",
        identity: Identity::Named {
            mechanism: Mechanism::ScramSha512,
            username: "the user name in the secret `AmazonMSK_…`",
            always: None,
            password: "the password in the same secret",
        },
        ..USUAL
    },
    // The same: msk-authentication.html, for certificates of AWS Private CA.
    Service {
        preset: Preset::MskCertificate,
        name: "Amazon MSK with client certificates",
        identity: Identity::Certificate("one of the AWS Private CA that the cluster trusts"),
        ..USUAL
    },
    // learn.microsoft.com/azure/event-hubs: apache-kafka-configurations (librdkafka properties; idle connections end
    // after 240 s, a session of 30 s), azure-event-hubs-apache-kafka-overview (compression in some tiers only).
    Service {
        preset: Preset::EventHubs,
        name: "Azure Event Hubs",
        identity: Identity::Named {
            mechanism: Mechanism::Plain,
            username: "always `$ConnectionString`",
            always: Some("$ConnectionString"),
            password: "the namespace's connection string, `Endpoint=sb://…`",
        },
        session_timeout: Some(Span::seconds(30)),
        compression: Some(Compression::None),
        properties: &[KEEP_ALIVE, ("metadata.max.age.ms", Property::Integer(180_000))],
        ..USUAL
    },
    // aiven.io/docs/products/kafka: concepts/auth-types, howto/kafka-sasl-auth. Each project has an authority of its
    // own, whose certificate the console offers.
    Service {
        preset: Preset::Aiven,
        name: "Aiven for Apache Kafka with SASL",
        identity: Identity::Named {
            mechanism: Mechanism::ScramSha256,
            username: "the service user, such as avnadmin",
            always: None,
            password: "its password",
        },
        authority: Some("the project's `ca.pem`"),
        ..USUAL
    },
    Service {
        preset: Preset::AivenCertificate,
        name: "Aiven for Apache Kafka with client certificates",
        identity: Identity::Certificate("the service user's `service.cert` and `service.key`"),
        authority: Some("the project's `ca.pem`"),
        ..USUAL
    },
    // docs.redpanda.com/redpanda-cloud: users authenticate by SASL/SCRAM over TLS, certificates are public.
    Service {
        preset: Preset::RedpandaCloud,
        name: "Redpanda Cloud",
        identity: Identity::Named {
            mechanism: Mechanism::ScramSha256,
            username: "the user",
            always: None,
            password: "its password",
        },
        ..USUAL
    },
    // docs.cloud.google.com/managed-service-for-apache-kafka/docs/authentication-kafka: SASL_SSL, and PLAIN with
    // the account's e-mail address and its key file in base64.
    Service {
        preset: Preset::GoogleManagedKafka,
        name: "Google Cloud's Managed Service for Apache Kafka",
        identity: Identity::Named {
            mechanism: Mechanism::Plain,
            username: "the service account's e-mail address",
            always: None,
            password: "the service account's key file in base64",
        },
        ..USUAL
    },
];

impl Preset {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::ConfluentCloud,
        Self::MskScram,
        Self::MskCertificate,
        Self::EventHubs,
        Self::Aiven,
        Self::AivenCertificate,
        Self::RedpandaCloud,
        Self::GoogleManagedKafka,
    ];

    /// The word in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConfluentCloud => "confluent-cloud",
            Self::MskScram => "msk-scram",
            Self::MskCertificate => "msk-certificate",
            Self::EventHubs => "event-hubs",
            Self::Aiven => "aiven",
            Self::AivenCertificate => "aiven-certificate",
            Self::RedpandaCloud => "redpanda-cloud",
            Self::GoogleManagedKafka => "google-managed-kafka",
        }
    }

    fn service(self) -> &'static Service {
        let found = SERVICES.iter().find(|service| service.preset == self);
        found.expect("every preset has its service")
    }

    /// What the user is asked for as our name there, and as our password.
    pub(super) fn asks_for(self) -> Option<(String, &'static str, &'static str)> {
        let service = self.service();
        match service.identity {
            Identity::Named { username, password, .. } => Some((service.name.to_owned(), username, password)),
            Identity::Certificate(_) => None,
        }
    }
}

impl Service {
    fn properties(&self) -> impl Iterator<Item = (&'static str, PropertyValue)> {
        self.properties.iter().map(|(name, value)| {
            let value = match value {
                Property::Flag(flag) => PropertyValue::Flag(*flag),
                Property::Integer(number) => PropertyValue::Integer(*number),
            };
            (*name, value)
        })
    }
}

impl Kafka {
    /// Lays the preset under what the file says. Doing it twice is doing it once.
    pub fn apply_preset(&mut self) {
        let Some(preset) = self.preset else { return };
        let service = preset.service();
        self.tls.get_or_insert_with(Tls::default);
        if let Identity::Named { mechanism, always, .. } = service.identity {
            let sasl = self.sasl.get_or_insert_with(Sasl::default);
            sasl.mechanism.get_or_insert(mechanism);
            let takes_a_name = sasl.mechanism() != Mechanism::OauthBearer;
            if let (None, Some(always), true) = (&sasl.username, always, takes_a_name) {
                sasl.username = Some(always.to_owned());
            }
        }
        self.session_timeout = self.session_timeout.or(service.session_timeout);
        self.compression = self.compression.or(service.compression);
        for (name, value) in service.properties() {
            // One client's own come after these, and leave the other client the preset's.
            self.properties.entry(name.to_owned()).or_insert(value);
        }
    }

    /// What the preset lacks, or cannot do, once it is applied.
    pub(super) fn preset_problems(&self) -> Vec<Problem> {
        let Some(preset) = self.preset else { return Vec::new() };
        let service = preset.service();
        let (name, tls) = (service.name, self.tls.clone().unwrap_or_default());
        let mut problems = Vec::new();
        if let Some(authority) = service.authority.filter(|_| tls.ca.is_none()) {
            let message = format!("{name} has an authority of its own; write the path of {authority}");
            problems.push(Problem::new("kafka.tls.ca", message));
        }
        if let Identity::Certificate(whose) = service.identity
            && tls.certificate.is_none()
            && tls.key.is_none()
        {
            let message =
                format!("{name} knows us by a certificate, {whose}; write kafka.tls.certificate and kafka.tls.key");
            problems.push(Problem::new("kafka.tls.certificate", message));
        }
        let is_msk = matches!(preset, Preset::MskScram | Preset::MskCertificate);
        // port-info.html, of the same guide: within AWS, public, by IPv6.
        let is_iam = |address: &str| [":9098", ":9198", ":20098"].iter().any(|port| address.ends_with(port));
        if let Some(address) = self.addresses().find(|address| is_msk && is_iam(address)) {
            let message = format!(
                "`{address}` is a port of MSK's IAM access control, which wants tokens signed by AWS, and Eddy signs none; write \
                 the addresses for SASL/SCRAM (port 9096) or for certificates (port 9094)"
            );
            problems.push(Problem::new("kafka.brokers", message));
        }
        problems
    }

    /// What works with the preset's service only under conditions, one sentence each.
    pub(super) fn preset_warnings(&self) -> Vec<String> {
        match self.preset {
            // learn.microsoft.com/azure/event-hubs/apache-kafka-transactions
            Some(Preset::EventHubs) if self.guarantee == Guarantee::ExactlyOnce => vec![
                "Event Hubs has transactions in its Premium and Dedicated tiers only; in another, write kafka.guarantee = \
                 \"at-least-once\""
                    .into(),
            ],
            _ => Vec::new(),
        }
    }

    /// What the preset stands for, a line each: the setting, its value, and whether it is the file's own.
    pub fn preset_lines(&self) -> Vec<String> {
        let Some(preset) = self.preset else { return Vec::new() };
        let service = preset.service();
        let mut lines = vec![format!(
            "tls = {}",
            match self.tls.as_ref().is_some_and(|tls| tls.ca.is_some()) {
                true => "by the authority of kafka.tls.ca",
                false => "by the public authorities that this system knows",
            }
        )];
        let mut note = |key: &str, is: String, would_be: String| {
            let own = if is == would_be { "" } else { "  (the file's own)" };
            lines.push(format!("{key} = {is}{own}"));
        };
        if let (Identity::Named { mechanism, always, .. }, Some(sasl)) = (&service.identity, &self.sasl) {
            note(
                "sasl.mechanism",
                sasl.mechanism().as_str().to_owned(),
                mechanism.as_str().to_owned(),
            );
            if let (Some(always), Some(username)) = (always, &sasl.username) {
                note("sasl.username", username.clone(), (*always).to_owned());
            }
        }
        if let Some(span) = service.session_timeout {
            note("session_timeout", self.session_timeout().to_string(), span.to_string());
        }
        if let Some(compression) = service.compression {
            note(
                "compression",
                self.compression().as_str().to_owned(),
                compression.as_str().to_owned(),
            );
        }
        for (name, value) in service.properties() {
            let tables = [
                ("properties", &self.properties),
                ("consumer", &self.consumer),
                ("producer", &self.producer),
            ];
            for (table, properties) in tables {
                if let Some(is) = properties.get(name) {
                    note(&format!("{table}.\"{name}\""), is.to_string(), value.to_string());
                }
            }
        }
        lines
    }

    /// The name of the preset's service, for people.
    pub fn preset_name(&self) -> Option<&'static str> {
        self.preset.map(|preset| preset.service().name)
    }
}

#[cfg(test)]
mod tests;
