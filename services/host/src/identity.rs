//! A certificate with its key, as files hold them: what one side of TLS shows the other.
//!
//! Owns: reading them, and that they belong together. Never does: decide whom to trust.

use std::path::Path;

use eddy_secret::{Secret, certificate};
use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::ssl::SslContextBuilder;
use openssl::x509::{X509, X509Ref};

/// Which of the two is not fit, by the name of its setting.
pub(crate) type Unfit = (&'static str, String);

pub(crate) struct Identity {
    /// Its own certificate first, then those between it and an authority.
    chain: Vec<X509>,
    key: PKey<Private>,
}

impl Identity {
    /// # Errors
    /// All that is wrong with the two files.
    pub(crate) fn read(path: &Path, secret: &Secret) -> Result<Self, Vec<Unfit>> {
        let (chain, key) = match (certificate::chain(path), private_key(secret)) {
            (Ok(chain), Ok(key)) => (chain, key),
            (chain, key) => {
                let chain = chain.err().map(|message| ("certificate", message));
                let key = key.err().map(|message| ("key", message));
                return Err(chain.into_iter().chain(key).collect());
            }
        };
        if !chain[0].public_key().is_ok_and(|public| public.public_eq(&key)) {
            let message = format!(
                "the key in {secret} is not that of the certificate `{}`; write the two that belong together",
                path.display()
            );
            return Err(vec![("key", message)]);
        }
        Ok(Self { chain, key })
    }

    /// Its own certificate.
    pub(crate) fn certificate(&self) -> &X509Ref {
        &self.chain[0]
    }

    /// Makes it what a side of TLS shows.
    pub(crate) fn give_to(&self, side: &mut SslContextBuilder) -> Result<(), ErrorStack> {
        side.set_certificate(&self.chain[0])?;
        for further in &self.chain[1..] {
            side.add_extra_chain_cert(further.clone())?;
        }
        side.set_private_key(&self.key)
    }
}

fn private_key(secret: &Secret) -> Result<PKey<Private>, String> {
    let pem = secret.reveal()?;
    // OpenSSL would ask the terminal for the password.
    if pem.contains("ENCRYPTED") {
        return Err(format!(
            "the key in {secret} has a password; write it without one, as `openssl pkey` does"
        ));
    }
    PKey::private_key_from_pem(pem.as_bytes())
        .map_err(|_| format!("there is no private key in PEM in {secret}; write one there"))
}
