//! Asking a running service how it is, or to change something: what `eddy health` and `eddy pause` do.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::error::Error;
use crate::trust::ClientTls;

/// Longest answer that is read; pages of the admin address are far shorter.
const ANSWER_BYTES: u64 = 16 << 20;

/// What a page of the admin address answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status: 200 when all is well.
    pub status: u16,
    /// The header lines, without the status line.
    pub headers: String,
    /// The page.
    pub body: String,
}

/// Whom to ask.
#[derive(Debug, Clone)]
pub struct Place {
    /// Where it listens. One that listens on every address is asked on the loopback one.
    pub address: SocketAddr,
    /// Where it may listen besides: asked in turn, each when those before it cannot be connected to.
    pub others: Vec<SocketAddr>,
    /// Over TLS, and how then.
    pub tls: Option<ClientTls>,
}

/// Without TLS.
impl From<SocketAddr> for Place {
    fn from(address: SocketAddr) -> Self {
        Self {
            address,
            others: Vec::new(),
            tls: None,
        }
    }
}

impl Place {
    /// Connects to the first address that takes a connection.
    fn connect(&self, timeout: Duration) -> Result<(SocketAddr, TcpStream), Error> {
        let connect = |address: SocketAddr| {
            let address = reachable(address);
            let stream = TcpStream::connect_timeout(&address, timeout);
            stream
                .map(|stream| (address, stream))
                .map_err(|source| Error::Probe { address, source })
        };
        self.others.iter().fold(connect(self.address), |connected, other| {
            connected.or_else(|_unreachable| connect(*other))
        })
    }
}

/// Gets one page, such as `/ready`; `timeout` limits each attempt to connect and each wait for more of the answer.
///
/// # Errors
/// When nothing answers there, or not in HTTP, or who answers is not to be trusted or does not trust us.
pub fn probe(place: impl Into<Place>, path: &str, timeout: Duration) -> Result<Answer, Error> {
    let request = |address| format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    ask(&place.into(), request, timeout)
}

/// A request to change something.
#[derive(Clone, Copy)]
pub struct Post<'a> {
    /// Where, such as `/pause`.
    pub path: &'a str,
    /// The token that allows it, if there is one.
    pub token: Option<&'a str>,
    /// JSON, or nothing.
    pub body: &'a str,
}

// Derived, it would show the token.
impl std::fmt::Debug for Post<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Post").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Posts one request; `timeout` as in [`probe`].
///
/// # Errors
/// As [`probe`], or when the token is none that a header can carry.
pub fn post(place: impl Into<Place>, request: &Post<'_>, timeout: Duration) -> Result<Answer, Error> {
    let place = place.into();
    let Post { path, token, body } = *request;
    if token.is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
        let message = "the token has characters that no header can carry";
        let source = io::Error::new(io::ErrorKind::InvalidInput, message);
        let address = place.address;
        return Err(Error::Probe { address, source });
    }
    let authorization = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    let length = body.len();
    let text = |address| {
        format!(
            "POST {path} HTTP/1.0\r\nHost: {address}\r\n{authorization}Content-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
    };
    ask(&place, text, timeout)
}

/// A service that listens on every address is asked on the loopback one.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Asks one of the addresses. Once one has taken the connection no other is asked: it may have done what was wanted.
fn ask(place: &Place, request: impl FnOnce(SocketAddr) -> String, timeout: Duration) -> Result<Answer, Error> {
    let (address, stream) = place.connect(timeout)?;
    let failed = |source| Error::Probe { address, source };
    stream.set_read_timeout(Some(timeout)).map_err(failed)?;
    stream.set_write_timeout(Some(timeout)).map_err(failed)?;
    let request = request(address);
    let Some(tls) = &place.tls else {
        return exchange(stream, &request).map_err(failed);
    };
    let stream = tls
        .shake_hands(stream)
        .map_err(|why| Error::Untrusted { address, why })?;
    exchange(stream, &request).map_err(|source| match ClientTls::is_refusal(&source) {
        Some(why) => Error::Refused { address, why },
        None => failed(source),
    })
}

fn exchange(mut stream: impl Read + Write, request: &str) -> io::Result<Answer> {
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES).read_to_end(&mut answer)?;
    read(&String::from_utf8_lossy(&answer))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP"))
}

fn read(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let (status_line, headers) = head.split_once("\r\n").unwrap_or((head, ""));
    let status = status_line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some(Answer {
        status,
        headers: headers.to_owned(),
        body: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn an_answer_is_taken_apart() {
        let answer = read("HTTP/1.0 503 Service Unavailable\r\na: b\r\nc: d\r\n\r\nnot yet").expect("it is HTTP");
        assert_eq!(
            answer,
            Answer {
                status: 503,
                headers: "a: b\r\nc: d".into(),
                body: "not yet".into()
            }
        );
    }

    #[test]
    fn what_is_not_http_is_refused() {
        for answer in [
            "",
            "hello",
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1\r\n\r\n",
            "HTTP/1.1 OK\r\n\r\n",
        ] {
            assert_eq!(read(answer), None, "{answer}");
        }
    }

    /// Answers one request with a status, or hangs up once it was sent.
    fn answers_once(status: Option<u16>) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let serve = move || {
            let (mut stream, _) = listener.accept().expect("somebody asks");
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).expect("a request") > 0);
            if let Some(status) = status {
                write!(stream, "HTTP/1.0 {status} x\r\n\r\n").expect("it is heard");
            }
        };
        let thread = std::thread::Builder::new().name("answers once".into());
        thread.spawn(serve).expect("there is a thread left");
        address
    }

    fn nobody() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.local_addr().expect("it listens")
    }

    fn at(address: SocketAddr, others: &[SocketAddr]) -> Place {
        Place {
            others: others.to_vec(),
            ..address.into()
        }
    }

    #[test]
    fn the_next_address_is_asked_when_one_cannot_be_connected_to_and_not_when_one_was_asked() {
        let timeout = Duration::from_secs(30);
        let place = at(nobody(), &[nobody(), answers_once(Some(200))]);
        assert_eq!(probe(place, "/live", timeout).expect("the third answers").status, 200);

        let (hangs_up, last) = (answers_once(None), nobody());
        let error = probe(at(hangs_up, &[answers_once(Some(200))]), "/live", timeout);
        assert!(
            matches!(error, Err(Error::Probe { address, .. }) if address == hangs_up),
            "{error:?}"
        );
        let error = probe(at(nobody(), &[last]), "/live", timeout);
        assert!(
            matches!(error, Err(Error::Probe { address, .. }) if address == last),
            "{error:?}"
        );
    }

    #[test]
    fn a_service_on_every_address_is_asked_on_this_machine() {
        let ask = |text: &str| reachable(text.parse().expect("an address")).to_string();
        assert_eq!(ask("0.0.0.0:9180"), "127.0.0.1:9180");
        assert_eq!(ask("[::]:9180"), "[::1]:9180");
        assert_eq!(ask("10.1.2.3:9180"), "10.1.2.3:9180");
    }
}
