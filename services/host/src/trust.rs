//! The client's side of TLS: whom to trust, and what to show.
//!
//! Owns: the check of who answers. Never does: send anything before that.

use std::fmt;
use std::io;
use std::net::TcpStream;
use std::path::Path;

use eddy_secret::{Secret, certificate};
use openssl::error::ErrorStack;
use openssl::ssl::{HandshakeError, SslConnector, SslMethod, SslStream, SslVerifyMode, SslVersion};
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::X509VerifyFlags;
use openssl::x509::{X509, X509VerifyResult};

use crate::identity::Identity;

/// Whom to trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust<'a> {
    /// Who has the first certificate of this PEM file, whatever is written in it.
    Certificate(&'a Path),
    /// Whoever answers: for who says nothing that others may not hear.
    Anyone,
    /// Whom the authorities vouch for in this PEM file, or in this folder with a file for each, named by hashes.
    Authorities {
        /// The file or the folder.
        path: &'a Path,
        /// The host name or address that the certificate has to be for. `None` for any.
        host: Option<&'a str>,
    },
}

/// How a client talks TLS.
#[derive(Clone)]
pub struct ClientTls {
    connector: SslConnector,
    expected: Expected,
}

#[derive(Debug, Clone)]
enum Expected {
    Certificate(X509),
    Anyone,
    Host(Option<String>),
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").finish_non_exhaustive()
    }
}

impl ClientTls {
    /// `ours` are the PEM files with a certificate of ours and its key, for a service that asks for one.
    ///
    /// # Errors
    /// One sentence about a file.
    pub fn new(trust: Trust<'_>, ours: Option<(&Path, &Path)>) -> Result<Self, String> {
        let ours = ours.map(|(certificate, key)| Identity::read(certificate, &Secret::File(key.to_owned())));
        let ours = ours.transpose().map_err(|mut unfit| unfit.swap_remove(0).1)?;
        let (expected, authorities) = match trust {
            Trust::Certificate(path) => (Expected::Certificate(certificate::chain(path)?.swap_remove(0)), None),
            Trust::Anyone => (Expected::Anyone, None),
            Trust::Authorities { path, host } => {
                if !path.is_dir() {
                    certificate::chain(path)?;
                }
                (Expected::Host(host.map(str::to_owned)), Some(path))
            }
        };
        let connector = connector(authorities, ours.as_ref());
        let connector = connector.map_err(|error| format!("OpenSSL cannot be set up: {error}"))?;
        Ok(Self { connector, expected })
    }

    /// # Errors
    /// Why who answers is not to be trusted, and what to do.
    pub(crate) fn shake_hands(&self, stream: TcpStream) -> Result<SslStream<TcpStream>, String> {
        let host = match &self.expected {
            Expected::Host(Some(host)) => host,
            _ => "",
        };
        let configured = self.connector.configure().map(|configuration| {
            let has_host = !host.is_empty();
            configuration
                .verify_hostname(has_host)
                .use_server_name_indication(has_host)
        });
        let configured = configured.map_err(|error| format!("OpenSSL cannot be set up: {error}"))?;
        let stream = configured.connect(host, stream).map_err(refused)?;
        if let Expected::Certificate(expected) = &self.expected {
            let shown = stream.ssl().peer_certificate().and_then(|shown| shown.to_der().ok());
            if shown.is_none() || shown != expected.to_der().ok() {
                return Err(
                    "it shows another certificate than the one in `admin.tls.certificate`; if the file was renewed, \
                            the log of the service says why it is not used"
                        .into(),
                );
            }
        }
        Ok(stream)
    }

    /// What an error after the handshake means, if it is that our certificate is not taken.
    pub(crate) fn is_refusal(error: &io::Error) -> Option<String> {
        let text = error.to_string();
        // The names of the alerts in RFC 8446, section 6.2.
        let alerts = [
            "certificate required",
            "unknown ca",
            "bad certificate",
            "certificate expired",
            "certificate revoked",
            "certificate unknown",
            "unsupported certificate",
        ];
        let alert = alerts
            .into_iter()
            .find(|alert| text.contains(&format!("alert {alert}")))?;
        Some(format!(
            "it wants another certificate of ours ({alert}); show one that its `admin.tls.client_ca` vouches for, with \
             --certificate and --key"
        ))
    }
}

fn refused(error: HandshakeError<TcpStream>) -> String {
    match &error {
        HandshakeError::Failure(midway) if midway.ssl().verify_result() != X509VerifyResult::OK => format!(
            "its certificate is not to be trusted: {}; name the authority that vouches for it with --ca",
            midway.ssl().verify_result().error_string()
        ),
        HandshakeError::Failure(midway) => {
            let why = midway.error();
            let why = why.ssl_error().and_then(|stack| stack.errors().first()?.reason());
            format!(
                "the handshake of TLS fails ({}); does it have [admin.tls]? Else write http://",
                why.unwrap_or("the connection ended")
            )
        }
        HandshakeError::SetupFailure(error) => format!("OpenSSL cannot be set up: {error}"),
        HandshakeError::WouldBlock(_) => {
            "the handshake of TLS takes too long; is it the service that listens there?".into()
        }
    }
}

fn connector(authorities: Option<&Path>, ours: Option<&Identity>) -> Result<SslConnector, ErrorStack> {
    let mut builder = SslConnector::builder(SslMethod::tls_client())?;
    builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    // Those that OpenSSL was built for are none.
    builder.set_cert_store(X509StoreBuilder::new()?.build());
    match authorities {
        Some(folder) if folder.is_dir() => builder.load_verify_locations(None, Some(folder))?,
        Some(file) => builder.load_verify_locations(Some(file), None)?,
        // The certificate is compared instead, or nobody asks for it.
        None => builder.set_verify(SslVerifyMode::NONE),
    }
    // One that is named is trusted, also when another one vouches for it.
    builder.verify_param_mut().set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
    if let Some(ours) = ours {
        ours.give_to(&mut builder)?;
    }
    Ok(builder.build())
}
