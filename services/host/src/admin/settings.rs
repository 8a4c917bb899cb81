//! The table `[admin]`.

use std::borrow::Cow;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;

use eddy_pipeline::settings::{Bytes, Problem, Span};
use eddy_secret::Secret;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::guard::LEAST_TOKEN_BYTES;
use super::tls::AdminTls;

/// Smallest buffer that the HTTP library accepts.
const LEAST_HEADER_BYTES: Bytes = Bytes::kib(8);

/// Nobody waits for a page as long as this.
const LONGEST: Span = Span::seconds(60 * 60);

/// Where the admin server listens: an address with a port, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminAddress {
    /// Nowhere.
    Off,
    /// There.
    At(SocketAddr),
}

/// The table `[admin]`: health, metrics and status over HTTP, or over HTTPS with `[admin.tls]`. The pages are read-only and show
/// no secrets; they have no password, so keep the address on a network that you trust, or ask clients for certificates
/// (`admin.tls.client_ca`). Changes (`eddy pause`, `resume`, `skip`, `log`) and `POST /score` need the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdminSettings {
    /// Address and port to listen on, or `off`. Default: `127.0.0.1:9180`, which only this machine reaches. Containers need
    /// `0.0.0.0:9180`. Port 0 takes a free port, which the log names.
    pub address: AdminAddress,
    /// Connections at a time. To one more gives way who has been longest without sending its request, or else without taking its
    /// answer; while all are worked on, more wait. Default: 64. At least 1.
    #[schemars(range(min = 1))]
    pub connections: usize,
    /// Largest request with its headers, which are 100 at most; larger ones are refused. Default: `16 KiB`. At least `8 KiB`.
    pub header_bytes: Bytes,
    /// How long a client may take to send its request, and before that for the handshake of TLS. Default: `10s`. More than
    /// zero, at most `1h`.
    pub header_timeout: Span,
    /// How long a connection may last in all. Default: `30s`. More than zero, at most `1h`.
    pub request_timeout: Span,
    /// The token without which nothing can be changed or scored: `{ file = "path" }` or `{ env = "NAME" }`, with at least 32
    /// bytes; `openssl rand -hex 32` makes one. Without `[admin.tls]` it travels unencrypted. Default: none, and
    /// nothing can be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// Wrong tokens that one network address, of IPv6 one network of 64 bits, may show in a minute; more must wait. Of
    /// what is refused it has as many lines in the log; then one counts the others. Default: 10. At least 1.
    #[schemars(range(min = 1))]
    pub attempts: u32,
    /// Largest body of a request that changes something, or of an event for `POST /score`. Default: `64 KiB`.
    pub body_bytes: Bytes,
    /// Encryption of the admin address. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<AdminTls>,
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self {
            address: AdminAddress::default(),
            connections: 64,
            header_bytes: Bytes::kib(16),
            header_timeout: Span::seconds(10),
            request_timeout: Span::seconds(30),
            token: None,
            attempts: 10,
            body_bytes: Bytes::kib(64),
            tls: None,
        }
    }
}

impl AdminSettings {
    /// Makes relative paths of files relative to `folder`: that of the pipeline file.
    pub fn resolve_paths(&mut self, folder: &Path) {
        if let Some(token) = &mut self.token {
            token.resolve_path(folder);
        }
        if let Some(tls) = &mut self.tls {
            tls.resolve_paths(folder);
        }
    }

    /// Every secret that the table refers to.
    pub fn secrets(&mut self) -> impl Iterator<Item = &mut Secret> {
        let of_tls = self.tls.as_mut().map(|tls| &mut tls.key);
        self.token.as_mut().into_iter().chain(of_tls)
    }

    /// What is wrong with the token and the files of TLS, as they are now.
    pub fn file_problems(&self) -> Vec<Problem> {
        let unfit = self.reveal_token().err();
        let unfit = unfit.map(|message| Problem::new("admin.token", message));
        let of_tls = self.tls.iter().flat_map(AdminTls::problems);
        unfit.into_iter().chain(of_tls).collect()
    }

    /// The text of the token, if there is one.
    ///
    /// # Errors
    /// One sentence that names its place, never its text.
    pub fn reveal_token(&self) -> Result<Option<String>, String> {
        let Some(secret) = &self.token else { return Ok(None) };
        let token = secret.reveal()?;
        let is_plain = token.bytes().all(|byte| byte.is_ascii_graphic());
        if token.len() < LEAST_TOKEN_BYTES || !is_plain {
            return Err(format!(
                "the token in {secret} is shorter than {LEAST_TOKEN_BYTES} bytes, or has characters that no header can \
                 carry; write one of letters and digits there, such as `openssl rand -hex 32` makes"
            ));
        }
        Ok(Some(token.to_string()))
    }

    /// What is wrong with the table.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.connections == 0 {
            let message = "without a connection nobody is answered; write at least 1, or `address = \"off\"`";
            problems.push(Problem::new("admin.connections", message));
        }
        if self.attempts == 0 {
            let message = "without an attempt not even the right token is taken; write at least 1";
            problems.push(Problem::new("admin.attempts", message));
        }
        if self.header_bytes < LEAST_HEADER_BYTES {
            let message = format!(
                "{} is too small for HTTP; write at least {LEAST_HEADER_BYTES}",
                self.header_bytes
            );
            problems.push(Problem::new("admin.header_bytes", message));
        }
        for (key, time) in [
            ("admin.header_timeout", self.header_timeout),
            ("admin.request_timeout", self.request_timeout),
        ] {
            if time.0.is_zero() {
                let message = "no client is that fast; write a time such as \"10s\"";
                problems.push(Problem::new(key, message));
            }
            if time > LONGEST {
                let message = format!("{time} is longer than any client waits; write at most \"{LONGEST}\"");
                problems.push(Problem::new(key, message));
            }
        }
        problems
    }
}

impl Default for AdminAddress {
    fn default() -> Self {
        Self::At(SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9180)))
    }
}

impl std::fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(address) => address.fmt(f),
        }
    }
}

impl Serialize for AdminAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AdminAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        if text == "off" {
            return Ok(Self::Off);
        }
        text.parse().map(Self::At).map_err(|_| {
            serde::de::Error::custom(format!(
                "`{text}` is not an IP address with a port; write one such as \"127.0.0.1:9180\" or \"[::1]:9180\", or \"off\""
            ))
        })
    }
}

impl JsonSchema for AdminAddress {
    fn schema_name() -> Cow<'static, str> {
        "AdminAddress".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["127.0.0.1:9180", "0.0.0.0:9180", "off"] })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read(json: &str) -> Result<AdminSettings, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn the_default_is_reached_from_this_machine_only() {
        let settings = read("{}").expect("every key has a default");
        assert_eq!(settings.address.to_string(), "127.0.0.1:9180");
        assert_eq!(settings.check(), []);
    }

    #[test]
    fn off_switches_it_off() {
        assert_eq!(
            read(r#"{"address":"off"}"#).expect("off is allowed").address,
            AdminAddress::Off
        );
    }

    #[test]
    fn a_name_instead_of_an_address_is_refused_with_what_to_write() {
        for address in ["localhost:9180", "9180", "127.0.0.1", ""] {
            let error = read(&format!(r#"{{"address":"{address}"}}"#)).expect_err(address);
            assert!(
                error.contains(&format!("`{address}`")) && error.contains("127.0.0.1:9180"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_token_that_could_be_guessed_or_not_be_sent_is_refused_without_being_repeated() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let reveal = |text: &str| {
            std::fs::write(file.path(), text).expect("it can be written");
            let settings = AdminSettings {
                token: Some(Secret::File(file.path().into())),
                ..AdminSettings::default()
            };
            settings.reveal_token()
        };
        let good = "0123456789abcdef0123456789abcdef";
        assert_eq!(reveal(&format!("{good}\n")), Ok(Some(good.to_owned())));
        for bad in [
            "hunter2",
            "hunter2 0123456789abcdef0123456789",
            "hunter2-ü0123456789abcdef0123456789",
        ] {
            let error = reveal(bad).expect_err(bad);
            assert!(
                error.contains("32 bytes") && !error.contains("hunter2"),
                "{bad}: {error}"
            );
        }
        assert_eq!(AdminSettings::default().reveal_token(), Ok(None));
    }

    #[test]
    fn a_time_that_no_clock_reaches_is_a_problem() {
        let problems = |time| {
            let settings = AdminSettings {
                header_timeout: time,
                request_timeout: time,
                ..AdminSettings::default()
            };
            settings.check()
        };
        assert_eq!(problems(LONGEST), []);
        for time in [Span::ms(LONGEST.0.as_millis() as u64 + 1), Span(Duration::MAX)] {
            let problems = problems(time);
            let keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
            assert_eq!(keys, ["admin.header_timeout", "admin.request_timeout"]);
            assert!(
                problems[0].message.contains("at most \"1h\""),
                "{}",
                problems[0].message
            );
        }
    }

    #[test]
    fn limits_that_would_refuse_everybody_are_problems() {
        let settings = AdminSettings {
            connections: 0,
            attempts: 0,
            header_bytes: Bytes(100),
            header_timeout: Span::ms(0),
            request_timeout: Span::ms(0),
            ..AdminSettings::default()
        };
        let keys: Vec<_> = settings.check().into_iter().map(|problem| problem.key).collect();
        assert_eq!(
            keys,
            [
                "admin.connections",
                "admin.attempts",
                "admin.header_bytes",
                "admin.header_timeout",
                "admin.request_timeout"
            ]
        );
    }
}
