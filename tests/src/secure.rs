//! A Kafka that asks who you are: one broker, a listener for each way to be told, and nothing allowed that was not
//! granted. On its open listener it takes everybody for an administrator; that one is for the harness.
//!
//! Owns: the listeners, the authority, users and passwords. Never does: grant anything.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::certificates::{Authority, Identity, Validity};
use crate::identity_provider::IdentityProvider;
use crate::kafka::Kafka;
use crate::kafka::process::free_ports;

/// The address that every certificate is made for, but the stranger's.
const HOST: &str = "127.0.0.1";

/// A way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// TLS, then a name and a password: SCRAM-SHA-512 or PLAIN.
    Sasl,
    /// TLS with a certificate of the client.
    Mutual,
    /// TLS with a certificate that expired yesterday.
    Expired,
    /// TLS with a certificate for another host.
    Stranger,
    /// TLS, then a token of the identity provider, which is asked for again every few seconds.
    Token,
}

const DOORS: [Door; 5] = [Door::Sasl, Door::Mutual, Door::Expired, Door::Stranger, Door::Token];

/// The broker.
#[derive(Debug)]
pub struct SecureKafka {
    kafka: Kafka,
    authority: Authority,
    provider: IdentityProvider,
    ports: [u16; DOORS.len()],
}

/// Users of PLAIN: their name, and their password. SCRAM users are added by
/// [`crate::kafka::Topics::add_scram_user`].
pub const PLAIN_USERS: [&str; 22] = [
    "plain",
    "revoked",
    "seen",
    "without-0",
    "without-1",
    "without-2",
    "without-3",
    "without-4",
    "without-5",
    "nobody",
    "acls",
    "topics",
    "no-events",
    "person",
    "person-0",
    "person-1",
    "person-2",
    "person-3",
    "person-4",
    "person-5",
    "person-6",
    "person-7",
];

/// The client that the identity provider knows.
pub const TOKEN_CLIENT: &str = "token-client";
/// Its secret.
pub const TOKEN_SECRET: &str = "correct-horse";

const OAUTH: &str = "org.apache.kafka.common.security.oauthbearer";

/// The password of a user of PLAIN.
pub fn password_of(user: &str) -> String {
    format!("correct-horse-{user}")
}

impl SecureKafka {
    /// The broker that the tests of this process share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<SecureKafka> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    fn start() -> Self {
        let authority = Authority::new("the tests' authority");
        let provider = IdentityProvider::start(TOKEN_CLIENT, TOKEN_SECRET);
        let ports = free_ports();
        let mut properties = vec![
            (
                "listeners".into(),
                listeners(&ports, ",CONTROLLER://127.0.0.1:{controller_port}"),
            ),
            ("advertised.listeners".into(), listeners(&ports, "")),
            (
                "listener.security.protocol.map".into(),
                "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL:SASL_SSL,MUTUAL:SSL,EXPIRED:SSL,STRANGER:SSL,TOKEN:SASL_SSL".into(),
            ),
            // Without it a broker fetches keys from nowhere.
            (
                "-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls".into(),
                provider.keys_url(),
            ),
            (
                "authorizer.class.name".into(),
                "org.apache.kafka.metadata.authorizer.StandardAuthorizer".into(),
            ),
            ("super.users".into(), "User:ANONYMOUS".into()),
        ];
        for door in DOORS {
            properties.extend(door.properties(&authority, &provider));
        }
        let properties: Vec<(&str, &str)> = properties
            .iter()
            .map(|(key, value): &(String, String)| (key.as_str(), value.as_str()))
            .collect();
        Self {
            kafka: Kafka::start_with(&properties),
            authority,
            provider,
            ports,
        }
    }

    /// The broker, through its open door.
    pub fn kafka(&self) -> &Kafka {
        &self.kafka
    }

    /// Who vouches for it, and for clients that have a certificate.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Who issues the tokens that [`Door::Token`] takes.
    pub fn provider(&self) -> &IdentityProvider {
        &self.provider
    }

    /// The address of a door.
    pub fn address(&self, door: Door) -> String {
        format!("{HOST}:{}", self.ports[door as usize])
    }
}

impl Door {
    fn name(self) -> &'static str {
        match self {
            Self::Sasl => "SASL",
            Self::Mutual => "MUTUAL",
            Self::Expired => "EXPIRED",
            Self::Stranger => "STRANGER",
            Self::Token => "TOKEN",
        }
    }

    fn properties(self, authority: &Authority, provider: &IdentityProvider) -> Vec<(String, String)> {
        let identity = match self {
            Self::Sasl | Self::Mutual | Self::Token => authority.issue("broker", &[HOST], Validity::Now),
            Self::Expired => authority.issue("broker", &[HOST], Validity::Over),
            Self::Stranger => authority.issue("broker", &["elsewhere.example"], Validity::Now),
        };
        let mut properties = vec![
            ("ssl.keystore.type", "PEM".to_owned()),
            (
                "ssl.keystore.certificate.chain",
                on_one_line(&identity.certificate_pem()),
            ),
            ("ssl.keystore.key", on_one_line(&identity.key_pem())),
        ];
        match self {
            Self::Sasl => {
                let users = PLAIN_USERS.map(|user| format!("user_{user}=\"{}\"", password_of(user)));
                properties.extend([
                    ("sasl.enabled.mechanisms", "SCRAM-SHA-512,PLAIN".into()),
                    (
                        "scram-sha-512.sasl.jaas.config",
                        "org.apache.kafka.common.security.scram.ScramLoginModule required;".into(),
                    ),
                    (
                        "plain.sasl.jaas.config",
                        format!(
                            "org.apache.kafka.common.security.plain.PlainLoginModule required {};",
                            users.join(" ")
                        ),
                    ),
                ]);
            }
            Self::Mutual => properties.extend([
                ("ssl.client.auth", "required".into()),
                ("ssl.truststore.type", "PEM".into()),
                ("ssl.truststore.certificates", on_one_line(&authority.pem())),
            ]),
            Self::Token => properties.extend([
                ("sasl.enabled.mechanisms", "OAUTHBEARER".into()),
                (
                    "oauthbearer.sasl.jaas.config",
                    format!("{OAUTH}.OAuthBearerLoginModule required;"),
                ),
                (
                    "oauthbearer.sasl.server.callback.handler.class",
                    format!("{OAUTH}.OAuthBearerValidatorCallbackHandler"),
                ),
                ("sasl.oauthbearer.jwks.endpoint.url", provider.keys_url()),
                // The default one of Kafka 4.1 does not look at the signature.
                (
                    "sasl.oauthbearer.jwt.validator.class",
                    format!("{OAUTH}.BrokerJwtValidator"),
                ),
                ("oauthbearer.connections.max.reauth.ms", "4000".into()),
            ]),
            Self::Expired | Self::Stranger => {}
        }
        let prefix = format!("listener.name.{}", self.name().to_lowercase());
        properties
            .into_iter()
            .map(|(key, value)| (format!("{prefix}.{key}"), value))
            .collect()
    }
}

fn listeners(ports: &[u16; DOORS.len()], and: &str) -> String {
    let mut text = format!("PLAINTEXT://{HOST}:{{port}}");
    for (door, port) in DOORS.iter().zip(ports) {
        text += &format!(",{}://{HOST}:{port}", door.name());
    }
    text + and
}

/// A PEM as the value of a server property.
fn on_one_line(pem: &str) -> String {
    pem.trim_end().replace('\n', "\\n")
}

/// Writes certificate and key of a client into a folder; the key under a password where there is one.
///
/// # Panics
/// When there is no room.
pub fn write_identity(folder: &Path, identity: &Identity, password: Option<&str>) -> (PathBuf, PathBuf) {
    let (certificate, key) = (folder.join("client.pem"), folder.join("client.key"));
    std::fs::write(&certificate, identity.certificate_pem()).expect("the folder takes a file");
    let pem = password.map_or_else(|| identity.key_pem(), |password| identity.key_pem_under(password));
    std::fs::write(&key, pem).expect("the folder takes a file");
    (certificate, key)
}
