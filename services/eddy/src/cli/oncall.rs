//! What the person on call asks of running replicas.
//!
//! Owns: how a replica and a record are named. Never does: ask.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use eddy_pipeline::settings::Span;

/// Whom to ask, and how to be sure of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Args)]
pub struct ReplicaArguments {
    /// The pipeline file, for what it says in `[admin]`. Default: what EDDY__ADMIN__… say alone.
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Admin address of a replica; give one for each. Default: that of the file or of EDDY__ADMIN__ADDRESS, else
    /// http://127.0.0.1:9180.
    #[arg(long, value_name = "URL")]
    pub admin: Vec<Url>,
    /// The authorities that vouch for replicas at https:// addresses, or their very certificates. Default: for the address of
    /// the file, the certificate in it, or any for `health`; else the public authorities of the system.
    #[arg(long, value_name = "PEM_FILE")]
    pub ca: Option<PathBuf>,
    /// A certificate of ours, for replicas that ask for one (admin.tls.client_ca).
    #[arg(long, value_name = "PEM_FILE", requires = "key")]
    pub certificate: Option<PathBuf>,
    /// Its private key.
    #[arg(long, value_name = "PEM_FILE", requires = "certificate")]
    pub key: Option<PathBuf>,
}

/// Arguments of `eddy pause` and `eddy resume`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Args)]
pub struct OrderArguments {
    /// Whom to ask.
    #[command(flatten)]
    pub replicas: ReplicaArguments,
    /// A file with the token. Default: `admin.token` of the pipeline file.
    #[arg(long, value_name = "TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
}

/// Arguments of `eddy skip`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct SkipArguments {
    /// The record, as `eddy.source` names it: topic/partition/offset.
    #[arg(value_name = "RECORD", value_parser = record)]
    pub record: String,
    /// Whom to ask.
    #[command(flatten)]
    pub order: OrderArguments,
}

/// Arguments of `eddy log`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct LogArguments {
    /// The level: error, warn, info, debug, trace or off, after commas exceptions such as eddy_broker=debug; or configured,
    /// which is that of the pipeline file.
    #[arg(value_name = "LEVEL")]
    pub level: String,
    /// Whom to ask.
    #[command(flatten)]
    pub order: OrderArguments,
    /// For how long, such as 30s or 1h; at most `log.longest_change`. Default: 10m.
    #[arg(long = "for", value_name = "SPAN", value_parser = super::span)]
    pub lasts: Option<Span>,
}

/// Arguments of `eddy health`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct HealthArguments {
    /// Whom to ask.
    #[command(flatten)]
    pub replicas: ReplicaArguments,
    /// Ask whether it is ready, which a paused stream or an outage of Kafka is not. Not for a check that restarts.
    #[arg(long)]
    pub ready: bool,
}

/// An admin address as a user writes it: `http://host:port` or `https://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    is_https: bool,
    authority: String,
}

impl Url {
    /// `host:port`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The host, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        let (host, _port) = self.authority.rsplit_once(':').expect("it was read with a port");
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// Whether it speaks TLS.
    pub fn is_https(&self) -> bool {
        self.is_https
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (is_https, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, Some(rest)),
            Some(("http", rest)) => (false, Some(rest)),
            _ => (false, None),
        };
        let authority = rest.map(|rest| rest.strip_suffix('/').unwrap_or(rest));
        let is_sound = |authority: &&str| {
            let port = authority
                .rsplit_once(':')
                .map(|(host, port)| (host, port.parse::<u16>()));
            let plain = authority.bytes().all(|byte| byte.is_ascii_graphic());
            plain
                && !authority.contains(['/', '@', '?', '#'])
                && matches!(port, Some((host, Ok(_))) if !host.is_empty())
        };
        match authority.filter(is_sound) {
            Some(authority) => Ok(Self {
                is_https,
                authority: authority.to_owned(),
            }),
            None => Err("write http://host:port or https://host:port, such as http://127.0.0.1:9180".into()),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority)
    }
}

fn record(text: &str) -> Result<String, String> {
    eddy_pipeline::event::place(text).map(|_| text.to_owned())
}
