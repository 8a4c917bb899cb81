//! A look of our own at the encryption of a connection, for the reason that the client does not tell: it says of every
//! certificate only that it could not be verified.
//!
//! Owns: one connection that is closed again, with the same trust and the same certificate as the client's.
//! Never does: decide anything, send a password or a byte of Kafka's protocol.
//!
//! Invariant: it takes [`LOOK_WITHIN`] at most.

use std::io::{ErrorKind, Read as _};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openssl::error::ErrorStack;
use openssl::ssl::{HandshakeError, Ssl, SslContext, SslFiletype, SslMethod, SslStream, SslVerifyMode};
use openssl::x509::{X509Ref, X509StoreContextRef, X509VerifyResult};
use openssl_sys as verdict;

use crate::settings::Tls;
use crate::settings::certificates::distinguished;

const CONNECT_WITHIN: Duration = Duration::from_secs(2);
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// With TLS 1.3 a broker that refuses our certificate says so after the handshake.
const REFUSED_WITHIN: Duration = Duration::from_secs(3);
/// All of it, whatever the name server and the other side do.
const LOOK_WITHIN: Duration = Duration::from_secs(20);

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sight {
    /// Nobody takes the connection, or says anything on it.
    Nobody,
    /// Somebody ends it without a word: he does not speak TLS, or goes down.
    Closed,
    /// Somebody speaks, and not TLS.
    NoTls,
    /// The broker's certificate is not trusted.
    Distrusted(Distrust),
    /// One of both does not want the other: the broker's alert, or what is too weak for us.
    Refused(String),
    /// Nothing is wrong.
    Fine,
}

/// Why a certificate is not trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Distrust {
    /// Whose certificate it is.
    pub(super) subject: String,
    pub(super) why: Why,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Why {
    Expired { on: String },
    NotYetValid { before: String },
    UnknownAuthority { issuer: String },
    OtherHost { hosts: Vec<String> },
    Other(String),
}

/// Looks at `address`, `host:port`. Without `tls` nothing is verified: the question is then only who speaks it.
pub(super) fn look(address: &str, tls: Option<&Tls>) -> Sight {
    let (see, seen) = channel();
    let (address, tls) = (address.to_owned(), tls.cloned());
    // Left behind when it takes longer; the process is about to say what it saw and to end.
    let looking = std::thread::Builder::new().name("eddy-look".to_owned());
    let looking = looking.spawn(move || {
        // Nobody waits for it any more when it was left behind.
        _ = see.send(look_closely(&address, tls.as_ref()));
    });
    match looking {
        Ok(_) => seen.recv_timeout(LOOK_WITHIN).unwrap_or(Sight::Nobody),
        Err(_) => Sight::Nobody,
    }
}

fn look_closely(address: &str, tls: Option<&Tls>) -> Sight {
    let Some((host, port)) = split(address) else {
        return Sight::Nobody;
    };
    let Some(stream) = connect(host, port) else {
        return Sight::Nobody;
    };
    let distrust = Arc::new(Mutex::new(None));
    let Ok(ssl) = prepare(host, tls, &distrust) else {
        // What is wrong with our own files is said elsewhere.
        return Sight::Fine;
    };
    let outcome = ssl.connect(stream);
    if let Some(distrust) = distrust.lock().expect("no code panics under this lock").take() {
        return Sight::Distrusted(distrust);
    }
    match outcome {
        Ok(stream) => last_word(stream),
        Err(HandshakeError::Failure(failed)) => match failed.error().ssl_error() {
            None => Sight::Closed,
            Some(errors) if reason(errors).contains("unexpected eof") => Sight::Closed,
            Some(errors) if is_babble(errors) => Sight::NoTls,
            Some(errors) => Sight::Refused(alert(errors).unwrap_or_else(|| reason(errors))),
        },
        Err(HandshakeError::SetupFailure(_)) => Sight::Fine,
        // A broker that hangs, as likely as one that waits for words of another protocol.
        Err(HandshakeError::WouldBlock(_)) => Sight::Nobody,
    }
}

/// Whether somebody takes connections there.
pub(super) fn listens(address: &str) -> bool {
    split(address).is_some_and(|(host, port)| connect(host, port).is_some())
}

/// The host and the port of `host:port`; an IPv6 address stands in brackets.
pub(super) fn split(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    (!host.is_empty()).then_some((host, port.parse().ok()?))
}

fn connect(host: &str, port: u16) -> Option<TcpStream> {
    let addresses: Vec<SocketAddr> = (host, port).to_socket_addrs().ok()?.take(2).collect();
    let connect = |address: &SocketAddr| TcpStream::connect_timeout(address, CONNECT_WITHIN).ok();
    let stream = addresses.iter().find_map(connect)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN)).ok()?;
    stream.set_write_timeout(Some(ANSWER_WITHIN)).ok()?;
    Some(stream)
}

fn prepare(host: &str, tls: Option<&Tls>, distrust: &Arc<Mutex<Option<Distrust>>>) -> Result<Ssl, ErrorStack> {
    let mut context = SslContext::builder(SslMethod::tls_client())?;
    if let Some(tls) = tls {
        match tls.trusted("kafka.tls") {
            Ok(folder) if folder.is_dir() => context.load_verify_locations(None, Some(&folder))?,
            Ok(file) => context.set_ca_file(file)?,
            // Said before anybody looks.
            Err(_) => return Err(ErrorStack::get()),
        }
        if let (Some(certificate), Some(key)) = (&tls.certificate, &tls.key) {
            context.set_certificate_chain_file(certificate)?;
            match &tls.key_password {
                None => context.set_private_key_file(key, SslFiletype::PEM)?,
                Some(password) => {
                    let pem = zeroize::Zeroizing::new(std::fs::read(key).unwrap_or_default());
                    let password = password.reveal().unwrap_or_default();
                    let key = openssl::pkey::PKey::private_key_from_pem_passphrase(&pem, password.as_bytes())?;
                    context.set_private_key(&key)?;
                }
            }
        }
        let distrust = Arc::clone(distrust);
        context.set_verify_callback(SslVerifyMode::PEER, move |is_trusted, chain| {
            if !is_trusted {
                let mut noted = distrust.lock().expect("no code panics under this lock");
                noted.get_or_insert_with(|| explain(chain));
            }
            is_trusted
        });
    }
    let mut ssl = Ssl::new(&context.build())?;
    if let Ok(ip) = host.parse::<IpAddr>() {
        ssl.param_mut().set_ip(ip)?;
    } else {
        ssl.set_hostname(host)?;
        ssl.param_mut().set_host(host)?;
    }
    Ok(ssl)
}

/// What the broker says right after the handshake: nothing, unless it minds our certificate.
fn last_word(mut stream: SslStream<TcpStream>) -> Sight {
    if stream.get_ref().set_read_timeout(Some(REFUSED_WITHIN)).is_err() {
        return Sight::Fine;
    }
    let Err(error) = stream.read(&mut [0; 1]) else {
        return Sight::Fine;
    };
    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) {
        return Sight::Fine;
    }
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<openssl::ssl::Error>());
    let alert = inner.and_then(openssl::ssl::Error::ssl_error).and_then(alert);
    alert.map_or(Sight::Fine, Sight::Refused)
}

/// Whether what came back was no TLS at all, of whatever version.
fn is_babble(errors: &ErrorStack) -> bool {
    const SIGNS: [&str; 4] = ["wrong version number", "packet length", "record layer", "http"];
    let reason = reason(errors);
    SIGNS.iter().any(|sign| reason.contains(sign))
}

fn reason(errors: &ErrorStack) -> String {
    let reason = errors.errors().iter().find_map(|error| error.reason());
    reason.unwrap_or("unknown").to_owned()
}

/// What the other side objects to: `certificate required`.
fn alert(errors: &ErrorStack) -> Option<String> {
    let mut reasons = errors.errors().iter().rev().filter_map(|error| error.reason());
    reasons.find_map(|reason| reason.split_once(" alert ").map(|(_, alert)| alert.to_owned()))
}

fn explain(chain: &X509StoreContextRef) -> Distrust {
    let result = chain.error();
    let Some(certificate) = chain.current_cert() else {
        return Distrust {
            subject: "unknown".into(),
            why: Why::Other(result.error_string().into()),
        };
    };
    Distrust {
        subject: distinguished(certificate.subject_name()),
        why: why(result, certificate),
    }
}

fn why(result: X509VerifyResult, certificate: &X509Ref) -> Why {
    match result.as_raw() {
        verdict::X509_V_ERR_CERT_HAS_EXPIRED => Why::Expired {
            on: certificate.not_after().to_string(),
        },
        verdict::X509_V_ERR_CERT_NOT_YET_VALID => Why::NotYetValid {
            before: certificate.not_before().to_string(),
        },
        verdict::X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT
        | verdict::X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY
        | verdict::X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE
        | verdict::X509_V_ERR_CERT_SIGNATURE_FAILURE
        | verdict::X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT
        | verdict::X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN => Why::UnknownAuthority {
            issuer: distinguished(certificate.issuer_name()),
        },
        verdict::X509_V_ERR_HOSTNAME_MISMATCH | verdict::X509_V_ERR_IP_ADDRESS_MISMATCH => Why::OtherHost {
            hosts: hosts(certificate),
        },
        _ => Why::Other(result.error_string().into()),
    }
}

/// Whom a certificate is for.
fn hosts(certificate: &X509Ref) -> Vec<String> {
    let Some(names) = certificate.subject_alt_names() else {
        return Vec::new();
    };
    let host = |name: &openssl::x509::GeneralNameRef| match (name.dnsname(), name.ipaddress()) {
        (Some(host), _) => Some(host.escape_default().to_string()),
        (None, Some(&[a, b, c, d])) => Some(IpAddr::from([a, b, c, d]).to_string()),
        (None, Some(bytes)) => <[u8; 16]>::try_from(bytes)
            .ok()
            .map(|bytes| IpAddr::from(bytes).to_string()),
        (None, None) => None,
    };
    names.iter().filter_map(host).take(8).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        assert_eq!(split("kafka.example:9093"), Some(("kafka.example", 9093)));
        assert_eq!(split("[::1]:9093"), Some(("::1", 9093)));
        assert_eq!(split("kafka.example"), None);
        assert_eq!(split(":9093"), None);
    }

    #[test]
    fn nobody_is_there_where_nobody_listens() {
        assert_eq!(look("127.0.0.1:1", None), Sight::Nobody);
        assert_eq!(look("127.0.0.1", None), Sight::Nobody);
    }

    /// What is seen of one who takes a connection and does this with it.
    fn sight(act: impl FnOnce(TcpStream)) -> Sight {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::scope(|scope| {
            let look = scope.spawn(|| look(&address, None));
            act(listener.accept().unwrap().0);
            look.join().unwrap()
        })
    }

    #[test]
    fn one_who_closes_the_connection_may_be_going_down() {
        assert_eq!(sight(drop), Sight::Closed);
    }

    #[test]
    fn one_who_answers_in_another_protocol_speaks_no_tls() {
        let answer = |mut stream: TcpStream| {
            let mut hello = [0; 5];
            stream.read_exact(&mut hello).unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
            // It stays open until the other side has understood.
            stream.read_to_end(&mut Vec::new()).ok();
        };
        assert_eq!(sight(answer), Sight::NoTls);
    }

    /// A broker that hangs is waited for, not blamed for its protocol.
    #[test]
    fn one_who_says_nothing_is_nobody() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        assert_eq!(look(&address, None), Sight::Nobody);
    }
}
