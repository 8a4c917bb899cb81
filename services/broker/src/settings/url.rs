//! URLs to which secrets are sent.

use std::net::IpAddr;

/// Whether what is sent there travels encrypted, or stays on this machine.
pub fn is_safe(url: &str) -> bool {
    host(url).is_some() && (url.starts_with("https://") || (url.starts_with("http://") && is_local(url)))
}

/// Whether it is on this machine.
pub fn is_local(url: &str) -> bool {
    host(url).is_some_and(is_loopback)
}

/// The host of a URL that carries neither a name nor a password.
pub fn host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = match authority.strip_prefix('[') {
        Some(address) => address.split_once(']')?.0,
        None => authority.split(':').next()?,
    };
    let is_plain = !host.is_empty() && !authority.contains('@') && !url.contains(char::is_whitespace);
    is_plain.then_some(host)
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_travels_in_the_open() {
        for url in [
            "https://id.example/token",
            "https://id.example:8443/realms/a/token?x=y",
            "http://127.0.0.1:9/token",
            "http://localhost/token",
            "http://[::1]:8080/token",
        ] {
            assert!(is_safe(url), "{url}");
        }
        for url in [
            "http://id.example/token",
            "http://127.0.0.1.example/token",
            "http://localhost@id.example/token",
            "https://user:password@id.example/token",
            "http://[::1/token",
            "https://",
            "id.example/token",
            "ftp://localhost/token",
            "",
        ] {
            assert!(!is_safe(url), "{url}");
        }
    }
}
