//! The public certificate authorities: where this system keeps them.
//!
//! Owns: which file or folder is trusted where `kafka.tls.ca` names none, for librdkafka and for our own look alike. OpenSSL's
//! own answer is the folder that it was built for, which is another one on another distribution and empty in many images.
//! Never does: carry a list of its own. That of the system is renewed by its packages, and has the authorities of the house.
//!
//! Invariant: nothing is trusted by accident: where there are none, that is an error before anything is connected.

use std::fs;
use std::path::{Path, PathBuf};

/// The system's authorities: a PEM file with all of them or, for want of one, a folder with a file for each, named by hashes.
/// The variables `SSL_CERT_FILE` and `SSL_CERT_DIR` go before the usual places.
///
/// # Errors
/// When there are none; one sentence.
pub(crate) fn public() -> Result<PathBuf, String> {
    let found = openssl_probe::probe();
    choose(found.cert_file, found.cert_dir)
}

fn choose(file: Option<PathBuf>, folders: Vec<PathBuf>) -> Result<PathBuf, String> {
    let folder = || folders.into_iter().find(|folder| has_certificates(folder));
    file.or_else(folder).ok_or_else(|| {
        "this system has no file with the public certificate authorities, in none of the usual places; install its package \
         `ca-certificates`, name such a file in the variable SSL_CERT_FILE, or write the brokers' authority as kafka.tls.ca"
            .to_owned()
    })
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
        assert_eq!(choose(Some(file.clone()), folders()), Ok(file));
        assert_eq!(choose(None, folders()), Ok(full.path().to_owned()));
        let why = choose(None, vec![empty.path().to_owned()]).unwrap_err();
        for word in ["ca-certificates", "SSL_CERT_FILE", "kafka.tls.ca"] {
            assert!(why.contains(word), "{why}");
        }
    }
}
