//! Certificates as PEM files hold them: what is wrong with them, before a peer says it in its own words.
//!
//! Owns: reading them, their time. Never does: touch a key, or decide what an expired one means.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use openssl::asn1::Asn1Time;
use openssl::x509::{X509, X509Ref};

/// A certificate that expires sooner than this is worth a word.
const SOON_DAYS: i32 = 14;

/// Larger than any file of certificates: all public authorities together have a fifth of it.
const MAX_BYTES: usize = 1 << 20;

/// The certificates in a file, at least one.
///
/// # Errors
/// One sentence that names the file.
pub fn chain(path: &Path) -> Result<Vec<X509>, String> {
    let mut pem = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES as u64 + 1).read_to_end(&mut pem));
    read.map_err(|error| {
        format!(
            "`{}` cannot be read: {error}; check its path and its owner",
            path.display()
        )
    })?;
    if pem.len() > MAX_BYTES {
        return Err(format!(
            "`{}` has more than the {MAX_BYTES} bytes of any file of certificates; write only those there that are needed",
            path.display()
        ));
    }
    let found = X509::stack_from_pem(&pem).unwrap_or_default();
    if found.is_empty() {
        return Err(format!(
            "`{}` holds no certificate in PEM; write one there",
            path.display()
        ));
    }
    Ok(found)
}

/// Whether our certificate, which `path` holds, is valid today.
///
/// # Errors
/// One sentence that names the file and the day.
pub fn is_valid_now(path: &Path, certificate: &X509Ref) -> Result<(), String> {
    let Some(now) = now() else { return Ok(()) };
    if *certificate.not_after() < now {
        return Err(format!(
            "our certificate `{}` expired on {}; have it renewed",
            path.display(),
            certificate.not_after()
        ));
    }
    if *certificate.not_before() > now {
        return Err(format!(
            "our certificate `{}` is not valid before {}; wait, or set the clock of this machine right",
            path.display(),
            certificate.not_before()
        ));
    }
    Ok(())
}

/// One sentence about our certificate, which `path` holds, when its end is near.
pub fn expires_soon(path: &Path, certificate: &X509Ref) -> Option<String> {
    let left = now()?.diff(certificate.not_after()).ok()?;
    (left.days < SOON_DAYS).then(|| {
        format!(
            "our certificate `{}` expires on {}; renew it in time",
            path.display(),
            certificate.not_after()
        )
    })
}

/// When a certificate expires, in seconds since the Unix epoch.
pub fn expiry(certificate: &X509Ref) -> Option<f64> {
    let since = Asn1Time::from_unix(0).ok()?.diff(certificate.not_after()).ok()?;
    Some(f64::from(since.days) * 86_400.0 + f64::from(since.secs))
}

fn now() -> Option<Asn1Time> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Asn1Time::from_unix(i64::try_from(now.as_secs()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use openssl::x509::X509Builder;

    use super::*;

    fn until(unix: i64) -> X509 {
        let mut builder = X509Builder::new().unwrap();
        builder.set_not_before(&Asn1Time::from_unix(0).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::from_unix(unix).unwrap()).unwrap();
        builder.build()
    }

    fn days_from_now(days: i64) -> X509 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        until(i64::try_from(now).unwrap() + days * 86_400)
    }

    #[test]
    fn the_expiry_is_the_second_that_the_certificate_names() {
        for unix in [0, 1, 86_399, 86_400, 1_700_000_000, 4_102_444_800] {
            assert_eq!(expiry(&until(unix)), Some(unix as f64));
        }
    }

    #[test]
    fn a_certificate_is_said_to_be_over_or_nearly_so() {
        let path = Path::new("ours.pem");
        let over = is_valid_now(path, &days_from_now(-1)).unwrap_err();
        assert!(over.contains("`ours.pem` expired on"), "{over}");
        for (days, is_soon) in [(1, true), (13, true), (16, false)] {
            let certificate = days_from_now(days);
            assert_eq!(is_valid_now(path, &certificate), Ok(()));
            assert_eq!(expires_soon(path, &certificate).is_some(), is_soon, "{days}");
        }
    }

    #[test]
    fn files_that_are_not_there_or_hold_something_else_are_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "no PEM").unwrap();
        assert!(chain(file.path()).unwrap_err().contains("holds no certificate"));
        std::fs::write(file.path(), vec![b' '; MAX_BYTES]).unwrap();
        assert!(chain(file.path()).unwrap_err().contains("holds no certificate"));
        std::fs::write(file.path(), vec![b' '; MAX_BYTES + 1]).unwrap();
        assert!(
            chain(file.path())
                .unwrap_err()
                .contains("has more than the 1048576 bytes")
        );
        let endless = chain(Path::new("/dev/zero")).unwrap_err();
        assert!(endless.contains("`/dev/zero` has more"), "{endless}");
        assert!(chain(Path::new("nowhere.pem")).unwrap_err().contains("`nowhere.pem`"));
    }
}
