//! What the person on call asks of running replicas.
//!
//! Owns: how a replica and a record are named. Never does: ask.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

/// Arguments of `eddy pause` and `eddy resume`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct OrderArguments {
    /// The pipeline file, for its admin address and its token.
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Admin address of a replica; give one for each. Default: that of the file, else http://127.0.0.1:9180.
    #[arg(long, value_name = "URL")]
    pub admin: Vec<Url>,
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

/// Arguments of `eddy health`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct HealthArguments {
    /// The pipeline file, for its admin address.
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Admin address of a replica; give one for each. Default: that of the file, else http://127.0.0.1:9180.
    #[arg(long, value_name = "URL")]
    pub admin: Vec<Url>,
    /// Ask whether it is ready, which a paused stream or an outage of Kafka is not. Not for a check that restarts.
    #[arg(long)]
    pub ready: bool,
}

/// An admin address as a user writes it: `http://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    authority: String,
}

impl Url {
    /// `host:port`.
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let authority = text
            .strip_prefix("http://")
            .map(|rest| rest.strip_suffix('/').unwrap_or(rest));
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
                authority: authority.to_owned(),
            }),
            None => Err("write http://host:port, such as http://127.0.0.1:9180".into()),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

fn record(text: &str) -> Result<String, String> {
    eddy_pipeline::event::place(text).map(|_| text.to_owned())
}
