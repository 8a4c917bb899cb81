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

    const fn service(self) -> Service {
        const PLAIN_SERVICE: Service = Service {
            name: "",
            identity: Identity::Certificate(""),
            authority: None,
            session_timeout: None,
            compression: None,
            properties: &[KEEP_ALIVE],
        };
        match self {
            // docs.confluent.io/cloud/current/client-apps/config-client.html: SASL_SSL, PLAIN, and the longer session that
            // its console writes into the configuration of librdkafka clients.
            Self::ConfluentCloud => Service {
                name: "Confluent Cloud",
                identity: Identity::Named {
                    mechanism: Mechanism::Plain,
                    username: "the API key",
                    always: None,
                    password: "the API key's secret",
                },
                session_timeout: Some(Span::seconds(45)),
                ..PLAIN_SERVICE
            },
            // docs.aws.amazon.com/msk/latest/developerguide: msk-password.html, port-info.html. The brokers' certificates
            // are Amazon's, a public authority.
            Self::MskScram => Service {
                name: "Amazon MSK with SASL/SCRAM",
                identity: Identity::Named {
                    mechanism: Mechanism::ScramSha512,
                    username: "the user name in the secret `AmazonMSK_…`",
                    always: None,
                    password: "the password in the same secret",
                },
                ..PLAIN_SERVICE
            },
            // The same: msk-authentication.html, for certificates of AWS Private CA.
            Self::MskCertificate => Service {
                name: "Amazon MSK with client certificates",
                identity: Identity::Certificate("one of the AWS Private CA that the cluster trusts"),
                ..PLAIN_SERVICE
            },
            // learn.microsoft.com/azure/event-hubs: apache-kafka-configurations (librdkafka properties; idle connections end
            // after 240 s, a session of 30 s), azure-event-hubs-apache-kafka-overview (compression in some tiers only).
            Self::EventHubs => Service {
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
                ..PLAIN_SERVICE
            },
            // aiven.io/docs/products/kafka: concepts/auth-types, howto/kafka-sasl-auth. Each project has an authority of its
            // own, whose certificate the console offers.
            Self::Aiven => Service {
                name: "Aiven for Apache Kafka with SASL",
                identity: Identity::Named {
                    mechanism: Mechanism::ScramSha256,
                    username: "the service user, such as avnadmin",
                    always: None,
                    password: "its password",
                },
                authority: Some("the project's `ca.pem`"),
                ..PLAIN_SERVICE
            },
            Self::AivenCertificate => Service {
                name: "Aiven for Apache Kafka with client certificates",
                identity: Identity::Certificate("the service user's `service.cert` and `service.key`"),
                authority: Some("the project's `ca.pem`"),
                ..PLAIN_SERVICE
            },
            // docs.redpanda.com/redpanda-cloud: users authenticate by SASL/SCRAM over TLS, certificates are public.
            Self::RedpandaCloud => Service {
                name: "Redpanda Cloud",
                identity: Identity::Named {
                    mechanism: Mechanism::ScramSha256,
                    username: "the user",
                    always: None,
                    password: "its password",
                },
                ..PLAIN_SERVICE
            },
            // docs.cloud.google.com/managed-service-for-apache-kafka/docs/authentication-kafka: SASL_SSL, and PLAIN with
            // the account's e-mail address and its key file in base64.
            Self::GoogleManagedKafka => Service {
                name: "Google Cloud's Managed Service for Apache Kafka",
                identity: Identity::Named {
                    mechanism: Mechanism::Plain,
                    username: "the service account's e-mail address",
                    always: None,
                    password: "the service account's key file in base64",
                },
                ..PLAIN_SERVICE
            },
        }
    }

    /// What the user is asked for as our name there, and as our password.
    pub(super) fn asks_for(self) -> Option<(String, &'static str, &'static str)> {
        let Service { name, identity, .. } = self.service();
        match identity {
            Identity::Named { username, password, .. } => Some((name.to_owned(), username, password)),
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
            let is_set = [&self.properties, &self.consumer, &self.producer];
            if !is_set.into_iter().any(|table| table.contains_key(name)) {
                self.properties.insert(name.to_owned(), value);
            }
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
mod tests {
    use super::*;

    const ADDRESS: &str = "brokers = \"broker.example:9092\"\nstart = \"earliest\"\n";

    fn read(preset: Preset, more: &str) -> Kafka {
        let text = format!("{ADDRESS}preset = \"{}\"\n{more}", preset.as_str());
        let mut kafka: Kafka = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        kafka.apply_preset();
        kafka
    }

    fn property<'a>(kafka: &'a Kafka, name: &str) -> Option<&'a PropertyValue> {
        kafka.properties.get(name)
    }

    fn said(kafka: &Kafka) -> Vec<(String, String)> {
        let problems = kafka.problems().into_iter();
        problems.map(|problem| (problem.key, problem.message)).collect()
    }

    /// Complete settings of each preset, and what it is to set: mechanism, session, compression.
    const COMPLETE: [(Preset, &str, Option<Mechanism>); 8] = [
        (Preset::ConfluentCloud, NAMED, Some(Mechanism::Plain)),
        (Preset::MskScram, NAMED, Some(Mechanism::ScramSha512)),
        (Preset::MskCertificate, CERTIFICATE, None),
        (
            Preset::EventHubs,
            "sasl = { password = { env = \"P\" } }",
            Some(Mechanism::Plain),
        ),
        (Preset::Aiven, NAMED_BY_AUTHORITY, Some(Mechanism::ScramSha256)),
        (
            Preset::AivenCertificate,
            "tls = { ca = \"ca\", certificate = \"c\", key = \"k\" }",
            None,
        ),
        (Preset::RedpandaCloud, NAMED, Some(Mechanism::ScramSha256)),
        (Preset::GoogleManagedKafka, NAMED, Some(Mechanism::Plain)),
    ];
    const NAMED: &str = "sasl = { username = \"u\", password = { env = \"P\" } }";
    const NAMED_BY_AUTHORITY: &str =
        "sasl = { username = \"u\", password = { env = \"P\" } }\ntls = { ca = \"ca.pem\" }";
    const CERTIFICATE: &str = "tls = { certificate = \"c\", key = \"k\" }";

    #[test]
    fn each_preset_encrypts_and_says_who_we_are_as_its_service_wants() {
        assert_eq!(COMPLETE.map(|(preset, ..)| preset), Preset::ALL);
        for (preset, more, mechanism) in COMPLETE {
            let kafka = read(preset, more);
            assert_eq!(said(&kafka), [], "{preset:?}");
            assert!(kafka.tls.is_some(), "{preset:?}");
            assert_eq!(kafka.sasl.as_ref().map(Sasl::mechanism), mechanism, "{preset:?}");
            let keeps_alive = Some(&PropertyValue::Flag(true));
            assert_eq!(property(&kafka, "socket.keepalive.enable"), keeps_alive, "{preset:?}");
            let mut again = kafka.clone();
            again.apply_preset();
            assert_eq!(again, kafka);
        }
    }

    #[test]
    fn each_preset_names_what_is_still_to_be_given() {
        for (preset, ..) in COMPLETE {
            let found = said(&read(preset, ""));
            let keys: Vec<&str> = found.iter().map(|(key, _)| key.as_str()).collect();
            let expected: &[&str] = match preset {
                Preset::MskCertificate => &["kafka.tls.certificate"],
                Preset::AivenCertificate => &["kafka.tls.ca", "kafka.tls.certificate"],
                Preset::Aiven => &["kafka.sasl.username", "kafka.sasl.password", "kafka.tls.ca"],
                Preset::EventHubs => &["kafka.sasl.password"],
                _ => &["kafka.sasl.username", "kafka.sasl.password"],
            };
            assert_eq!(keys, expected, "{preset:?}: {found:?}");
            let name = preset.service().name;
            assert!(found.iter().all(|(_, message)| message.contains(name)), "{found:?}");
        }
        let [username, password] = &said(&read(Preset::ConfluentCloud, ""))[..] else {
            panic!("two things are missing");
        };
        assert!(username.1.contains("the API key;"), "{username:?}");
        assert!(
            password.1.contains("secret") && password.1.contains("{ file = "),
            "{password:?}"
        );
    }

    #[test]
    fn the_files_own_settings_win() {
        let more = "session_timeout = \"20s\"\ncompression = \"gzip\"\nconsumer = { \"metadata.max.age.ms\" = 60000 }\n\
                    properties = { \"socket.keepalive.enable\" = false }\n\
                    sasl = { mechanism = \"SCRAM-SHA-512\", username = \"u\", password = { env = \"P\" } }";
        let kafka = read(Preset::EventHubs, more);
        assert_eq!(said(&kafka), []);
        assert_eq!(kafka.session_timeout(), Span::seconds(20));
        assert_eq!(kafka.compression(), Compression::Gzip);
        let sasl = kafka.sasl.as_ref().expect("there is one");
        assert_eq!(
            (sasl.mechanism(), sasl.username.as_deref()),
            (Mechanism::ScramSha512, Some("u"))
        );
        assert_eq!(property(&kafka, "metadata.max.age.ms"), None);
        assert_eq!(
            property(&kafka, "socket.keepalive.enable"),
            Some(&PropertyValue::Flag(false))
        );
        let lines = kafka.preset_lines();
        assert_eq!(
            lines.iter().filter(|line| line.ends_with("(the file's own)")).count(),
            6,
            "{lines:#?}"
        );
    }

    #[test]
    fn what_a_preset_sets_is_told() {
        let kafka = read(Preset::EventHubs, "sasl = { password = { env = \"P\" } }");
        let expected = [
            "tls = by the public authorities that this system knows",
            "sasl.mechanism = PLAIN",
            "sasl.username = $ConnectionString",
            "session_timeout = 30s",
            "compression = none",
            "properties.\"socket.keepalive.enable\" = true",
            "properties.\"metadata.max.age.ms\" = 180000",
        ];
        assert_eq!(kafka.preset_lines(), expected);
        let confluent = read(Preset::ConfluentCloud, NAMED);
        assert_eq!(confluent.session_timeout(), Span::seconds(45));
        let plain: Kafka = toml::from_str(ADDRESS).expect("sound");
        assert_eq!(
            (plain.session_timeout(), plain.compression()),
            (Span::seconds(15), Compression::Lz4)
        );
        assert!(plain.preset_lines().is_empty());
    }

    #[test]
    fn what_a_service_cannot_do_is_said_by_name() {
        let mut kafka = read(Preset::MskScram, NAMED);
        kafka.brokers = "a.example:9096,b.example:9098".into();
        let [(key, message)] = &said(&kafka)[..] else {
            panic!("one thing is wrong");
        };
        assert_eq!(key, "kafka.brokers");
        assert!(
            message.contains("`b.example:9098`") && message.contains("IAM") && message.contains("9096"),
            "{message}"
        );
        let mut hubs = read(Preset::EventHubs, "sasl = { password = { env = \"P\" } }");
        assert!(
            hubs.warnings().iter().any(|warning| warning.contains("Premium")),
            "{:?}",
            hubs.warnings()
        );
        hubs.guarantee = Guarantee::AtLeastOnce;
        assert_eq!(hubs.warnings(), Vec::<String>::new());
    }
}
