//! How a client gets in, as whom, and what it needs to be allowed: for whoever explains a refusal.
//!
//! Owns: the sentences about permissions, passwords, tokens and certificates. Never does: connect, with one exception: a
//! look at the encryption ([`handshake`]) when the client does not say what is wrong with it.
//!
//! Invariant: a sentence names what is lacking and who can mend it how, and contains no secret.

use std::sync::Arc;

use rdkafka::client::OAuthToken;
use rdkafka::error::RDKafkaErrorCode as Code;

use super::handshake::{self, Distrust, Sight, Why};
use super::token::Tokens;
use super::{fault, refused};
use crate::settings::permissions::{as_argument, quoted};
use crate::settings::{Guarantee, Operation, Permission, Resource, Sasl, Settings, Tls};
use crate::{BrokerError, Fault};

/// What a client knows of itself.
#[derive(Debug)]
pub(super) struct Access {
    settings: Settings,
    tokens: Tokens,
}

/// What stands in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Obstacle {
    /// The key of the settings that is nearest to it.
    pub(super) key: &'static str,
    /// [`Fault::Refused`] when it stays until somebody mends it here, [`Fault::Retriable`] when it may be mended elsewhere.
    pub(super) fault: Fault,
    /// What it is and what to do.
    pub(super) sentence: String,
}

impl Obstacle {
    pub(super) fn refused(key: &'static str, sentence: String) -> Self {
        Self {
            key,
            fault: Fault::Refused,
            sentence,
        }
    }

    pub(super) fn passing(key: &'static str, sentence: String) -> Self {
        Self {
            key,
            fault: Fault::Retriable,
            sentence,
        }
    }
}

impl Access {
    pub(super) fn of(settings: &Settings) -> Arc<Self> {
        Arc::new(Self {
            settings: settings.clone(),
            tokens: Tokens::of(settings.kafka.sasl.as_ref()),
        })
    }

    /// The token of the moment.
    pub(super) fn token(&self) -> Result<OAuthToken, String> {
        self.tokens.current()
    }

    /// Looks at everything that is at hand before a broker is asked: the files, the first token.
    pub(super) fn prepare(&self) -> Result<(), Obstacle> {
        let files = self
            .settings
            .kafka
            .tls
            .as_ref()
            .map(|tls| tls.file_problems("kafka.tls"));
        if let Some(problem) = files.into_iter().flatten().next() {
            return Err(Obstacle::refused("kafka.tls", problem.to_string()));
        }
        self.tokens.await_first()
    }

    /// The same as an error of an attempt to open a client.
    pub(super) fn prepared(&self, doing: &str) -> Result<(), BrokerError> {
        self.prepare().map_err(|obstacle| BrokerError {
            fault: obstacle.fault,
            ..refused(doing, obstacle.sentence)
        })
    }

    /// What an operator can do about a code, as the end of a sentence. `topic` is the one that it is about; where that is not
    /// known, it is one of those that are read.
    pub(super) fn next_step(&self, code: Code, topic: Option<&str>) -> Option<String> {
        let resource = match code {
            Code::TopicAuthorizationFailed => Resource::Topic,
            Code::GroupAuthorizationFailed => Resource::Group,
            Code::TransactionalIdAuthorizationFailed => Resource::TransactionalIds,
            Code::ClusterAuthorizationFailed => {
                // Newer ones are content with the permission to write a topic.
                let arguments = "--operation IdempotentWrite --cluster";
                return Some(self.allow("write idempotently, as brokers before 2.8 want it", arguments));
            }
            _ => return fault::next_step(code).map(str::to_owned),
        };
        let permissions = self.settings.permissions();
        let is_meant = |one: &&Permission| match (resource, one.resource, topic) {
            (Resource::Topic, Resource::Topic, Some(topic)) => one.name == topic,
            (Resource::Topic, Resource::Topics, Some(topic)) => {
                topic.starts_with(&one.name) && self.settings.topics.events.reads().has(topic)
            }
            (Resource::Topic, Resource::Topic | Resource::Topics, None) => one.operation == Operation::Read,
            (resource, other, _) => resource == other,
        };
        let lacking: Vec<&Permission> = permissions.iter().filter(is_meant).collect();
        let described: Vec<String> = lacking.iter().map(|one| one.described()).collect();
        (!lacking.is_empty()).then(|| self.allow(&described.join(" and "), &Permission::arguments_of(&lacking)))
    }

    /// What no question can tell beforehand.
    pub(super) fn untried(&self) -> Option<String> {
        let is_somebody = self.settings.kafka.sasl.is_some() || self.subject().is_some();
        if !is_somebody || self.settings.kafka.guarantee != Guarantee::ExactlyOnce {
            return None;
        }
        let step = self.next_step(Code::TransactionalIdAuthorizationFailed, None)?;
        Some(format!(
            "only `eddy run` takes over transactional ids, and shows whether it may; if not, {step}"
        ))
    }

    /// What lets a topic be created: the right to make this one.
    pub(super) fn allow_creation(&self, topic: &str) -> String {
        let arguments = format!("--operation Create --topic {}", as_argument(topic));
        self.allow(&format!("create topic `{topic}`"), &arguments)
    }

    fn allow(&self, what: &str, arguments: &str) -> String {
        let (shown, principal) = match self.principal() {
            Some(principal) => (format!("`{principal}`"), principal),
            None => ("(the subject of our token)".into(), "User:…".into()),
        };
        format!(
            "allow our principal {shown} to {what}: kafka-acls.sh --bootstrap-server {} --add --allow-principal {} \
             {arguments} (config/acls.sh grants all that a pipeline needs)",
            self.settings.kafka.brokers,
            quoted(&principal)
        )
    }

    /// As whom brokers see us, unless they map names of their own.
    fn principal(&self) -> Option<String> {
        // A name may come from a token; it must not move a terminal's cursor.
        let clean = |name: String| name.replace(char::is_control, "\u{fffd}");
        let principal = match &self.settings.kafka.sasl {
            Some(Sasl {
                username: Some(name), ..
            }) => Some(format!("User:{name}")),
            Some(_) => self.tokens.subject().map(|subject| format!("User:{subject}")),
            None => Some(
                self.subject()
                    .map_or("User:ANONYMOUS".into(), |name| format!("User:{name}")),
            ),
        };
        principal.map(clean)
    }

    fn subject(&self) -> Option<String> {
        self.settings.kafka.tls.as_ref()?.subject()
    }

    /// What stands in the way, judged by the client's last words, and where those do not tell, by a look of our own that
    /// takes some seconds.
    pub(super) fn obstacle(&self, words: Option<&str>) -> Option<Obstacle> {
        let words = words.unwrap_or_default();
        self.of_authentication(words).or_else(|| self.of_encryption(words))
    }

    fn of_authentication(&self, words: &str) -> Option<Obstacle> {
        let Some(sasl) = &self.settings.kafka.sasl else {
            let address = self.address_in(words);
            // A broker that is being stopped ends connections as well, and takes no new ones.
            let is_shut_out = is_thrown_out(words) && handshake::listens(&address);
            let message = format!(
                "the broker at {address} closes the connection as soon as it is asked something: it lets nobody in who does \
                 not say who he is; write [kafka.sasl]"
            );
            return is_shut_out.then(|| Obstacle::refused("kafka.sasl", message));
        };
        let mechanism = sasl.mechanism().as_str();
        if words.contains("Failed to acquire SASL OAUTHBEARER token") {
            return self.tokens.failure();
        }
        if words.contains("mechanism handshake failed") {
            let taken = words.split_once("supported mechanisms: ").map(|(_, list)| list);
            let taken = taken.map_or("", |list| list.split(" (").next().unwrap_or(list));
            let address = self.address_in(words);
            return Some(if words.contains("Unsupported SASL mechanism") {
                let message =
                    format!("the broker at {address} does not take {mechanism}; it takes: {taken}; write one of them");
                Obstacle::refused("kafka.sasl.mechanism", message)
            } else {
                let message = format!(
                    "the broker at {address} does not ask who we are; remove [kafka.sasl], or write the address of a \
                     listener with SASL in kafka.brokers"
                );
                Obstacle::refused("kafka.sasl", message)
            });
        }
        let (_, reason) = words.split_once("SASL authentication error: ")?;
        let reason = reason.split(" (after ").next().unwrap_or(reason);
        Some(match (&sasl.username, &sasl.password) {
            (Some(username), Some(password)) => Obstacle::refused(
                "kafka.sasl.password",
                format!(
                    "the brokers do not let in user `{username}` with the password in {password}: {reason}; correct \
                     kafka.sasl.username or the password, or add the user to the brokers"
                ),
            ),
            _ => Obstacle::refused(
                if sasl.oidc.is_some() {
                    "kafka.sasl.oidc"
                } else {
                    "kafka.sasl.token"
                },
                format!(
                    "the brokers do not accept our token: {reason}; compare its issuer, audience, scope and key with what \
                     they expect"
                ),
            ),
        })
    }

    fn of_encryption(&self, words: &str) -> Option<Obstacle> {
        let address = self.address_in(words);
        let tls = self.settings.kafka.tls.as_ref();
        let sight = handshake::look(&address, tls);
        let Some(tls) = tls else {
            let speaks_tls = matches!(sight, Sight::Fine | Sight::Refused(_));
            let message = format!("the broker at {address} speaks TLS and nothing else; write [kafka.tls]");
            return speaks_tls.then(|| Obstacle::refused("kafka.tls", message));
        };
        match sight {
            Sight::Nobody | Sight::Fine => None,
            Sight::Closed => Some(Obstacle::passing(
                "kafka.tls",
                format!(
                    "the broker at {address} ends the connection without a word when TLS begins: it does not speak TLS, or \
                     goes down; write the address of a listener that does in kafka.brokers, or remove [kafka.tls]"
                ),
            )),
            Sight::NoTls => Some(Obstacle::refused(
                "kafka.tls",
                format!(
                    "the broker at {address} does not speak TLS; write the address of a listener that does in \
                     kafka.brokers, or remove [kafka.tls]"
                ),
            )),
            Sight::Distrusted(distrust) => Some(distrusted(&address, tls, distrust)),
            Sight::Refused(alert) => Some(self.turned_away(&address, tls, &alert)),
        }
    }

    fn turned_away(&self, address: &str, tls: &Tls, alert: &str) -> Obstacle {
        let is_about_us = ["certificate", "unknown ca", "access denied"];
        if !is_about_us.iter().any(|word| alert.contains(word)) {
            let message = format!(
                "the broker at {address} ends the TLS handshake ({alert}); give it a protocol version from TLS 1.2 on and \
                 ciphers that this machine has"
            );
            return Obstacle::refused("kafka.tls", message);
        }
        match (&tls.certificate, self.subject()) {
            (Some(file), Some(subject)) => Obstacle::refused(
                "kafka.tls.certificate",
                format!(
                    "the broker at {address} does not accept our certificate `{subject}` in `{}` ({alert}); have it issued \
                     by an authority that the brokers trust",
                    file.display()
                ),
            ),
            _ => Obstacle::refused(
                "kafka.tls",
                format!(
                    "the broker at {address} wants a certificate from us ({alert}); write kafka.tls.certificate and \
                     kafka.tls.key"
                ),
            ),
        }
    }

    /// The address that a word of the client begins with, or else the first one of the settings.
    fn address_in(&self, words: &str) -> String {
        let words = words
            .strip_prefix("[thrd:")
            .and_then(|rest| rest.split_once("]: "))
            .map_or(words, |(_, rest)| rest);
        let named = words.split_once(": ").map_or("", |(name, _)| bare(name));
        let configured = self.settings.kafka.brokers.split(',').next().unwrap_or_default();
        let address = if handshake::split(named).is_some() {
            named
        } else {
            bare(configured.trim())
        };
        address.to_owned()
    }
}

/// Whether a connection that stood was closed within the first two seconds, before anything was answered.
fn is_thrown_out(words: &str) -> bool {
    let after = words.split_once("(after ").map_or("", |(_, rest)| rest);
    let ms = after
        .split_once("ms in state UP")
        .and_then(|(ms, _)| ms.parse::<u32>().ok());
    // What the client meets first: the end of what it reads, or that of what it writes.
    let is_closed = ["Disconnected", "Broken pipe", "Connection reset"];
    is_closed.iter().any(|word| words.contains(word)) && ms.is_some_and(|ms| ms < 2_000)
}

/// `host:port` of `ssl://host:port/1`.
fn bare(name: &str) -> &str {
    let name = name.split_once("://").map_or(name, |(_, rest)| rest);
    name.split('/').next().unwrap_or(name)
}

fn distrusted(address: &str, tls: &Tls, Distrust { subject, why }: Distrust) -> Obstacle {
    let whose = format!("the certificate `{subject}` of the broker at {address}");
    match why {
        Why::Expired { on } => Obstacle::passing(
            "kafka.brokers",
            format!("{whose} expired on {on}; renew it on the broker, or set the clock of this machine right"),
        ),
        Why::NotYetValid { before } => Obstacle::passing(
            "kafka.brokers",
            format!("{whose} is not valid before {before}; set the clocks of both machines right"),
        ),
        Why::UnknownAuthority { issuer } => {
            let (known, step) = match &tls.ca {
                Some(ca) => (
                    format!("the file kafka.tls.ca (`{}`) does not have", ca.display()),
                    "write that authority's certificate there",
                ),
                None => (
                    match tls.trusted("kafka.tls") {
                        Ok(place) => format!("this system does not know (`{}`)", place.display()),
                        Err(_) => "this system does not know".into(),
                    },
                    "write a file with that authority's certificate as kafka.tls.ca",
                ),
            };
            Obstacle::refused(
                "kafka.tls.ca",
                format!("{whose} was issued by `{issuer}`, which {known}; {step}, if this is the right broker"),
            )
        }
        Why::OtherHost { hosts } => {
            let hosts = match hosts.as_slice() {
                [] => "no host by name".into(),
                hosts => format!("`{}`", hosts.join("`, `")),
            };
            Obstacle::refused(
                "kafka.brokers",
                format!(
                    "{whose} is for {hosts}; write the name that it is for in kafka.brokers and in the broker's \
                     advertised.listeners, or have it issued for this one too"
                ),
            )
        }
        Why::Other(reason) => Obstacle::refused(
            "kafka.tls",
            format!("{whose} is not valid: {reason}; have the broker's certificate issued anew"),
        ),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The access of a pipeline `p` with this `[kafka]`.
    pub(crate) fn access(kafka: &str) -> Arc<Access> {
        let kafka = format!("brokers = \"127.0.0.1:1\"\nstart = \"earliest\"\n{kafka}");
        Access::of(&Settings {
            pipeline: "p".into(),
            kafka: toml::from_str(&kafka).unwrap(),
            topics: Default::default(),
        })
    }

    const SCRAM: &str = "sasl = { mechanism = \"SCRAM-SHA-512\", username = \"eddy\", password = { file = \"/run/secret\" } }\ntls = {}";

    #[track_caller]
    fn stands_in_the_way(kafka: &str, words: &str, key: &str, parts: &[&str]) {
        let obstacle = access(kafka).obstacle(Some(words)).unwrap();
        assert_eq!((obstacle.key, obstacle.fault), (key, Fault::Refused), "{obstacle:?}");
        for part in parts {
            assert!(obstacle.sentence.contains(part), "`{part}` in {}", obstacle.sentence);
        }
    }

    #[test]
    fn a_wrong_password_is_named_with_its_user_and_its_place() {
        stands_in_the_way(
            SCRAM,
            "[thrd:sasl_ssl://127.0.0.1:31678/bootstrap]: sasl_ssl://127.0.0.1:31678/bootstrap: SASL authentication \
             error: Authentication failed during authentication due to invalid credentials with SASL mechanism \
             SCRAM-SHA-512 (after 311ms in state AUTH_REQ, 1 identical error(s) suppressed)",
            "kafka.sasl.password",
            &[
                "`eddy`",
                "`/run/secret`",
                "invalid credentials with SASL mechanism SCRAM-SHA-512; correct",
            ],
        );
    }

    #[test]
    fn a_mechanism_that_brokers_do_not_take_is_answered_with_theirs() {
        stands_in_the_way(
            SCRAM,
            "sasl_ssl://127.0.0.1:31678/bootstrap: SASL SCRAM-SHA-512 mechanism handshake failed: Broker: Unsupported SASL \
             mechanism: broker's supported mechanisms: GSSAPI,PLAIN (after 302ms in state AUTH_HANDSHAKE)",
            "kafka.sasl.mechanism",
            &["127.0.0.1:31678", "SCRAM-SHA-512", "it takes: GSSAPI,PLAIN; write"],
        );
    }

    #[test]
    fn a_connection_that_ends_before_anybody_asked_who_we_are_lacks_sasl_if_the_broker_is_still_there() {
        let broker = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = broker.local_addr().unwrap().to_string();
        let words = format!(
            "[thrd:{address}/bootstrap]: {address}/bootstrap: Disconnected: connection closed by peer (after 0ms in state UP)"
        );
        stands_in_the_way("", &words, "kafka.sasl", &[&address, "[kafka.sasl]"]);
        let while_writing =
            format!("{address}/bootstrap: Send failed: SSL transport error: Broken pipe (after 0ms in state UP)");
        stands_in_the_way("", &while_writing, "kafka.sasl", &[&address, "[kafka.sasl]"]);
        drop(broker);
        assert_eq!(access("").obstacle(Some(&words)), None);
    }

    #[test]
    fn a_connection_that_ends_later_is_an_outage() {
        let words = "b:1/bootstrap: Disconnected: connection closed by peer (after 90000ms in state UP)";
        assert!(!is_thrown_out(words));
    }

    #[test]
    fn an_outage_is_no_obstacle() {
        let words = "127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)";
        assert_eq!(access("").obstacle(Some(words)), None);
        assert_eq!(access(SCRAM).obstacle(None), None);
    }

    #[test]
    fn addresses_are_found_in_the_words() {
        let access = access("");
        assert_eq!(
            access.address_in("ssl://b.example:9093/1: SSL handshake failed"),
            "b.example:9093"
        );
        assert_eq!(
            access.address_in("[thrd:[::1]:2/bootstrap]: [::1]:2/bootstrap: gone"),
            "[::1]:2"
        );
        assert_eq!(access.address_in("1/1 brokers are down"), "127.0.0.1:1");
    }

    #[test]
    fn where_it_is_not_known_which_topic_is_refused_all_that_are_read_are_named() {
        let of = |events: &str| {
            let topics = toml::from_str(&format!("events = {events}")).unwrap();
            let access = access("");
            let settings = Settings {
                topics,
                ..access.settings.clone()
            };
            let step = Access::of(&settings).next_step(Code::TopicAuthorizationFailed, None);
            step.unwrap()
        };
        let listed = of("[\"a\", \"b\"]");
        assert!(listed.contains("read topic `a` and read topic `b`: "), "{listed}");
        assert!(listed.contains("--operation Read --topic a --topic b "), "{listed}");
        let matching = of("{ pattern = \"^(a|b)-.*$\" }");
        let arguments = "--operation Read --topic a- --topic b- --resource-pattern-type prefixed ";
        assert!(matching.contains(arguments), "{matching}");
        let any = of("{ pattern = \"^.*-a$\" }");
        assert!(any.contains("--operation Read --topic '*' "), "{any}");
    }

    #[test]
    fn what_is_to_be_allowed_is_a_command_that_can_be_copied() {
        let access = access(SCRAM);
        let step = access
            .next_step(Code::TransactionalIdAuthorizationFailed, None)
            .unwrap();
        let command = "kafka-acls.sh --bootstrap-server 127.0.0.1:1 --add --allow-principal 'User:eddy' --operation Write \
                       --transactional-id eddy-p- --resource-pattern-type prefixed";
        assert!(step.contains(command), "{step}");
        let step = access
            .next_step(Code::TopicAuthorizationFailed, Some("events"))
            .unwrap();
        assert!(step.contains("--operation Read --topic events"), "{step}");
        let step = access
            .next_step(Code::TopicAuthorizationFailed, Some("predictions"))
            .unwrap();
        assert!(step.contains("--operation Write --topic predictions"), "{step}");
        let step = access.next_step(Code::TopicAuthorizationFailed, None).unwrap();
        assert!(step.contains("--operation Read --topic events"), "{step}");
        let step = access.next_step(Code::GroupAuthorizationFailed, None).unwrap();
        assert!(step.contains("--operation Read --group eddy-p"), "{step}");
    }
}
