//! The files that a table about TLS names: what is wrong with them, before a client says it in its own words.
//!
//! Owns: our own name as brokers see it, our key. Never does: keep a key.

use std::path::{Path, PathBuf};

use eddy_pipeline::settings::Problem;
use eddy_secret::certificate;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::{X509, X509NameRef};
use ureq::tls::{Certificate, ClientCert, PrivateKey};

use super::{Tls, authorities};

impl Tls {
    /// Who may vouch for the other side of the table at `table`: a PEM file, or the system's folder of hashed ones.
    ///
    /// # Errors
    /// When nobody is named and this system knows nobody; one sentence.
    pub(crate) fn trusted(&self, table: &str) -> Result<PathBuf, String> {
        let public = || authorities::public(&format!("{table}.ca"));
        self.ca.clone().map_or_else(public, Ok)
    }

    /// What is wrong with the files that the table at `table` names, as they are now.
    pub(crate) fn file_problems(&self, table: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut note = |key: &str, outcome: Result<(), String>| {
            problems.extend(
                outcome
                    .err()
                    .map(|message| Problem::new(format!("{table}.{key}"), message)),
            );
        };
        note(
            "ca",
            self.trusted(table).and_then(|ca| {
                if ca.is_dir() {
                    Ok(())
                } else {
                    certificate::chain(&ca).map(drop)
                }
            }),
        );
        let (Some(path), Some(key)) = (&self.certificate, &self.key) else {
            return problems;
        };
        match certificate::chain(path) {
            Ok(chain) => {
                note("certificate", certificate::is_valid_now(path, &chain[0]));
                note("key", self.belongs(&chain[0], path, (key, table)));
            }
            Err(message) => note("certificate", Err(message)),
        }
        problems
    }

    /// What is unwise about the files, one sentence each.
    pub(crate) fn file_warnings(&self) -> Vec<String> {
        let leaf = self.leaf();
        let soon = leaf.and_then(|(path, leaf)| certificate::expires_soon(path, &leaf));
        soon.into_iter().collect()
    }

    /// When our certificate expires, in seconds since the Unix epoch; `None` without one that can be read.
    pub fn expiry(&self) -> Option<f64> {
        certificate::expiry(&self.leaf()?.1)
    }

    /// Our certificate, if there is one that can be read, and its file.
    fn leaf(&self) -> Option<(&Path, X509)> {
        let path = self.certificate.as_deref()?;
        Some((path, certificate::chain(path).ok()?.swap_remove(0)))
    }

    /// Our name in the certificate, as brokers write it: `CN=eddy,O=Example`.
    pub(crate) fn subject(&self) -> Option<String> {
        Some(distinguished(self.leaf()?.1.subject_name()))
    }

    /// The private key, opened.
    ///
    /// # Errors
    /// One sentence about the file `path`, or the password.
    fn private_key(&self, path: &Path, table: &str) -> Result<PKey<Private>, String> {
        let pem = zeroize::Zeroizing::new(bytes(path)?);
        let password = self.key_password.as_ref().map(super::Secret::reveal).transpose()?;
        let is_locked = pem.windows(9).any(|window| window == b"ENCRYPTED");
        let key = match &password {
            None if is_locked => {
                return Err(format!(
                    "the key `{}` has a password; write {table}.key_password",
                    path.display()
                ));
            }
            None => PKey::private_key_from_pem(&pem),
            Some(password) => PKey::private_key_from_pem_passphrase(&pem, password.as_bytes()),
        };
        key.map_err(|_| match &self.key_password {
            Some(secret) if is_locked => format!(
                "the key `{}` does not open with the password in {secret}; correct the password",
                path.display()
            ),
            _ => format!("`{}` holds no private key in PEM; write one there", path.display()),
        })
    }

    fn belongs(&self, certificate: &X509, certificate_path: &Path, (path, table): (&Path, &str)) -> Result<(), String> {
        let key = self.private_key(path, table)?;
        match certificate.public_key() {
            Ok(public) if public.public_eq(&key) => Ok(()),
            _ => Err(format!(
                "the key `{}` is not that of the certificate `{}`; write the two that belong together",
                path.display(),
                certificate_path.display()
            )),
        }
    }

    /// Our certificate with its key, for requests over HTTP.
    ///
    /// # Errors
    /// One sentence about a file.
    pub(crate) fn client_certificate(&self, table: &str) -> Result<Option<ClientCert>, String> {
        let (Some(ours), Some(path)) = (&self.certificate, &self.key) else {
            return Ok(None);
        };
        let odd = |error: openssl::error::ErrorStack| {
            format!(
                "the key `{}` cannot be handed on: {error}; write it as PKCS#8",
                path.display()
            )
        };
        let der = |certificate: &X509| certificate.to_der().map_err(odd);
        let chain: Vec<Vec<u8>> = certificate::chain(ours)?.iter().map(der).collect::<Result<_, _>>()?;
        let chain: Vec<_> = chain.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
        let key = self.private_key(path, table)?;
        let pem = zeroize::Zeroizing::new(key.private_key_to_pem_pkcs8().map_err(odd)?);
        let key = PrivateKey::from_pem(&pem).map_err(|error| format!("the key `{}`: {error}", path.display()))?;
        Ok(Some(ClientCert::new_with_certs(&chain, key)))
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| {
        format!(
            "`{}` cannot be read: {error}; check its path and its owner",
            path.display()
        )
    })
}

/// A name as RFC 2253 and Java write it, the last part first.
pub(crate) fn distinguished(name: &X509NameRef) -> String {
    let mut parts: Vec<String> = Vec::new();
    for entry in name.entries() {
        let kind = match entry.object().nid() {
            Nid::UNDEF => entry.object().to_string(),
            nid => nid
                .short_name()
                .map_or_else(|_| entry.object().to_string(), str::to_owned),
        };
        let value = entry
            .data()
            .to_string()
            .map_or_else(|_| "…".to_owned(), |text| escaped(&text));
        parts.push(format!("{kind}={value}"));
    }
    parts.reverse();
    parts.join(",")
}

fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (at, letter) in value.chars().enumerate() {
        let is_edge = (letter == ' ' && (at == 0 || at == last)) || (letter == '#' && at == 0);
        if is_edge || matches!(letter, ',' | '+' | '"' | '\\' | '<' | '>' | ';') {
            text.push('\\');
        }
        // A name is shown in messages: one line.
        match letter.is_control() {
            true => text.push_str(&format!("\\{:02x}", u32::from(letter))),
            false => text.push(letter),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use openssl::x509::X509Name;

    use super::*;

    fn name(parts: &[(Nid, &str)]) -> X509Name {
        let mut builder = X509Name::builder().unwrap();
        for (nid, text) in parts {
            builder.append_entry_by_nid(*nid, text).unwrap();
        }
        builder.build()
    }

    /// The examples of RFC 2253, section 5.
    #[test]
    fn names_are_written_as_brokers_write_them() {
        let steve = name(&[
            (Nid::COUNTRYNAME, "GB"),
            (Nid::ORGANIZATIONNAME, "Isode Limited"),
            (Nid::COMMONNAME, "Steve Kille"),
        ]);
        assert_eq!(distinguished(&steve), "CN=Steve Kille,O=Isode Limited,C=GB");
        let comma = name(&[
            (Nid::COUNTRYNAME, "GB"),
            (Nid::ORGANIZATIONNAME, "Sue, Grabbit and Runn"),
            (Nid::COMMONNAME, "L. Eagle"),
        ]);
        assert_eq!(distinguished(&comma), r"CN=L. Eagle,O=Sue\, Grabbit and Runn,C=GB");
    }

    #[test]
    fn a_name_stays_on_its_line() {
        let odd = name(&[(Nid::COMMONNAME, " a\nb#")]);
        assert_eq!(distinguished(&odd), r"CN=\ a\0ab#");
    }

    #[test]
    fn files_that_are_not_there_or_hold_something_else_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("text");
        std::fs::write(&text, "no PEM").unwrap();
        let tls = Tls {
            ca: Some(folder.path().join("nowhere.pem")),
            certificate: Some(text.clone()),
            key: Some(text),
            key_password: None,
        };
        let problems = tls.file_problems("kafka.tls");
        let keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(keys, ["kafka.tls.ca", "kafka.tls.certificate"]);
        assert!(problems[0].message.contains("nowhere.pem"), "{}", problems[0].message);
        assert!(
            problems[1].message.contains("no certificate"),
            "{}",
            problems[1].message
        );
    }
}
