//! The public certificate authorities: where this system keeps them.
//!
//! Owns: which file or folder is trusted where `kafka.tls.ca` names none, for librdkafka and for our own look alike. OpenSSL's
//! own answer is the folder that it was built for, which is another one on another distribution and empty in many images.
//! Never does: carry a list of its own. That of the system is renewed by its packages, and has the authorities of the house.
//!
//! Invariant: nothing is trusted by accident: where there are none, that is an error before anything is connected.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use openssl_probe::{ENV_CERT_DIR, ENV_CERT_FILE};

/// The system's authorities: a PEM file with all of them or, for want of one, a folder with a file for each, named by hashes.
/// What `SSL_CERT_FILE` names is used, or is an error; without it, what `SSL_CERT_DIR` names; without both, the usual places.
/// `key` is where the authority could be written instead.
///
/// # Errors
/// When there are none; one sentence.
pub fn public(key: &str) -> Result<PathBuf, String> {
    if let Some(named) = named(variable(ENV_CERT_FILE), variable(ENV_CERT_DIR)) {
        return named.map_err(|why| format!("{why}; correct the variable, unset it, or write the authority as {key}"));
    }
    let found = openssl_probe::probe();
    choose(found.cert_file, found.cert_dir).ok_or_else(|| {
        format!(
            "this system has no file with the public certificate authorities, in none of the usual places; install its package \
             `ca-certificates`, name such a file in the variable {ENV_CERT_FILE}, or write the authority as {key}"
        )
    })
}

/// An empty one counts as not set.
#[expect(
    clippy::disallowed_methods,
    reason = "these are OpenSSL's own variables, not settings of Eddy"
)]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// What the variables name, the file first: a client takes one place.
fn named(file: Option<OsString>, folders: Option<OsString>) -> Option<Result<PathBuf, String>> {
    if let Some(file) = file.map(PathBuf::from) {
        return Some(match file.is_file() {
            true => Ok(file),
            false => Err(format!("{ENV_CERT_FILE} names `{}`, which is no file", file.display())),
        });
    }
    let folders = folders?;
    let fit = choose(None, std::env::split_paths(&folders).collect());
    Some(fit.ok_or_else(|| {
        format!(
            "{ENV_CERT_DIR} names `{}`, where there is no certificate by its hash, such as `5ed36f99.0`",
            folders.display()
        )
    }))
}

fn choose(file: Option<PathBuf>, folders: Vec<PathBuf>) -> Option<PathBuf> {
    file.or_else(|| folders.into_iter().find(|folder| has_certificates(folder)))
}

/// Whether OpenSSL would find a certificate in a folder: it asks for `5ed36f99.0` and the like.
fn has_certificates(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else {
        return false;
    };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let hash = name.to_str().and_then(|name| name.strip_suffix(".0"));
        hash.is_some_and(|hash| hash.len() == 8 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_goes_before_a_folder_and_an_empty_folder_is_none() {
        let [empty, full] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        fs::write(full.path().join("5ed36f99.0"), "PEM").unwrap();
        fs::write(empty.path().join("README.0"), "no certificate").unwrap();
        let folders = || vec![empty.path().to_owned(), full.path().to_owned()];
        let file = PathBuf::from("/etc/ssl/certs/ca-certificates.crt");
        assert_eq!(choose(Some(file.clone()), folders()), Some(file));
        assert_eq!(choose(None, folders()), Some(full.path().to_owned()));
        assert_eq!(choose(None, vec![empty.path().to_owned()]), None);
    }

    #[test]
    fn what_a_variable_names_is_used_or_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let bundle = folder.path().join("bundle.pem");
        let (file, hashed) = (|| Some(bundle.clone().into()), || Some(folder.path().into()));
        assert_eq!(named(None, None), None);
        let said = |file, folders| named(file, folders).unwrap().unwrap_err();
        assert!(said(file(), None).contains("SSL_CERT_FILE names"));
        assert!(said(file(), hashed()).contains("SSL_CERT_FILE names"));
        assert!(said(None, hashed()).contains("SSL_CERT_DIR names"));
        fs::write(folder.path().join("5ed36f99.0"), "PEM").unwrap();
        assert_eq!(named(None, hashed()), Some(Ok(folder.path().to_owned())));
        fs::write(&bundle, "PEM").unwrap();
        assert_eq!(named(file(), hashed()), Some(Ok(bundle.clone())));
    }
}
