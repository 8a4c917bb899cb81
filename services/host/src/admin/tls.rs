//! The table `[admin.tls]`: its files, and what they make of a server.
//!
//! Owns: which certificate the admin address shows, and whose it asks for. Never does: talk to a client.
//!
//! Invariant: a server has a certificate with its own key, or there is none.

use std::path::{Path, PathBuf};

use eddy_pipeline::settings::Problem;
use eddy_secret::{Secret, certificate};
use openssl::error::ErrorStack;
use openssl::ssl::{SslAcceptor, SslMethod, SslOptions, SslSessionCacheMode, SslVerifyMode};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::X509VerifyFlags;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::identity::Identity;

/// The table `[admin.tls]`: the admin address speaks HTTPS (TLS 1.2 or newer), and nothing else. Relative paths start at the
/// pipeline file. Renewed files are taken up without a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdminTls {
    /// PEM file with the certificate that is shown, and after it those between it and an authority that clients know.
    pub certificate: PathBuf,
    /// The private key of `certificate` in PEM, without a password: `{ file = "path" }` or `{ env = "NAME" }`.
    pub key: Secret,
    /// PEM file with the authorities that vouch for clients. Whoever has no certificate from them is not answered, Prometheus
    /// and the probes of a supervisor included. Default: none, and nobody is asked for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<PathBuf>,
}

/// What the files of the table make.
pub(super) struct Server {
    pub(super) acceptor: SslAcceptor,
    identity: Identity,
}

impl AdminTls {
    /// Makes relative paths relative to `folder`: that of the pipeline file.
    pub(super) fn resolve_paths(&mut self, folder: &Path) {
        self.certificate = folder.join(&self.certificate);
        self.key.resolve_path(folder);
        if let Some(authorities) = &mut self.client_ca {
            *authorities = folder.join(&*authorities);
        }
    }

    /// What is wrong with the files, as they are now.
    pub fn problems(&self) -> Vec<Problem> {
        let server = match self.load() {
            Ok(server) => server,
            Err(problems) => return problems,
        };
        let valid = certificate::is_valid_now(&self.certificate, server.identity.certificate());
        let over = valid.err().map(|message| problem("certificate", message));
        over.into_iter().collect()
    }

    /// What is unwise about the files, one sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let chain = certificate::chain(&self.certificate).unwrap_or_default();
        let soon = chain
            .first()
            .and_then(|leaf| certificate::expires_soon(&self.certificate, leaf));
        soon.into_iter().collect()
    }

    /// The files whose change is to be noticed.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let key = match &self.key {
            Secret::File(path) => Some(path.as_path()),
            Secret::Env(_) | Secret::Taken { .. } => None,
        };
        [Some(self.certificate.as_path()), key, self.client_ca.as_deref()]
            .into_iter()
            .flatten()
    }

    /// Reads all files. A certificate that is over is one: clients say so better than a service that does not start.
    ///
    /// # Errors
    /// All that keeps the files from making a server.
    pub(super) fn load(&self) -> Result<Server, Vec<Problem>> {
        let authorities = self.client_ca.as_deref().map(certificate::chain).transpose();
        let (identity, authorities) = match (Identity::read(&self.certificate, &self.key), authorities) {
            (Ok(identity), Ok(authorities)) => (identity, authorities),
            (identity, authorities) => {
                let unfit = identity.err().unwrap_or_default().into_iter();
                let unfit = unfit.chain(authorities.err().map(|message| ("client_ca", message)));
                return Err(unfit.map(|(key, message)| problem(key, message)).collect());
            }
        };
        let acceptor = acceptor(&identity, authorities.as_deref()).map_err(|error| {
            let message = format!("OpenSSL takes no such certificate or key: {error}; have them issued anew");
            vec![problem("certificate", message)]
        })?;
        Ok(Server { acceptor, identity })
    }
}

impl Server {
    /// When its certificate expires, in seconds since the Unix epoch.
    pub(super) fn expiry(&self) -> Option<f64> {
        certificate::expiry(self.identity.certificate())
    }

    /// One sentence about the certificate, which `path` holds, when its time is over, near its end, or yet to come.
    pub(super) fn time_is_near(&self, path: &Path) -> Option<String> {
        let certificate = self.identity.certificate();
        let valid = certificate::is_valid_now(path, certificate);
        valid.err().or_else(|| certificate::expires_soon(path, certificate))
    }
}

fn problem(key: &str, message: String) -> Problem {
    Problem::new(format!("admin.tls.{key}"), message)
}

fn acceptor(identity: &Identity, authorities: Option<&[X509]>) -> Result<SslAcceptor, ErrorStack> {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    identity.give_to(&mut builder)?;
    // Whoever comes back proves anew who it is.
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    builder.set_options(SslOptions::NO_TICKET);
    builder.set_num_tickets(0)?;
    if let Some(authorities) = authorities {
        let mut store = X509StoreBuilder::new()?;
        // One that is named is trusted, also when another one vouches for it.
        store.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
        for authority in authorities {
            store.add_cert(authority.clone())?;
            builder.add_client_ca(authority)?;
        }
        builder.set_cert_store(store.build());
        builder.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
    }
    Ok(builder.build())
}
