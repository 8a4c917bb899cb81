//! Thousands of requests at random, over real sockets: nothing panics, nothing is changed without the token, every limit
//! holds, and a sound request is answered in the midst of them and afterwards.
//!
//! `EDDY_ADMIN_REQUESTS` says how many, `EDDY_ADMIN_SEED` which is the first.

use std::collections::{BTreeMap, HashSet};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown as Side, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use eddy_host::{ClientTls, Trust};
use eddy_host::{Place, Post, post, probe};
use eddy_pipeline::settings::{Bytes, Span};
use eddy_tests::service::wait_for;
use fastrand::Rng;
use openssl::ssl::{HandshakeError, SslConnector, SslMethod, SslStream, SslVerifyMode};

use super::requests::{Attack, Crowd, Delivery, attack, break_up};
use super::*;

/// Twice the clients: who leaves keeps its place until that is seen, and a slow one is not to give way.
const CONNECTIONS: usize = 2 * CLIENTS;
const HEADER_BYTES: usize = 8 << 10;
const BODY_BYTES: usize = 1 << 10;
/// Clients at a time.
const CLIENTS: usize = 8;

/// Panics of admin threads.
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// A whole number out of the environment.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name} is a number"))
    })
}

fn count_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() == Some("eddy-admin") {
            PANICS.fetch_add(1, Ordering::Relaxed);
        }
        before(panic);
    }));
}

/// Connections that the server at this port has taken, by the tables of the system: both ends are in this process, and those
/// that wait to be taken have no descriptor.
fn taken(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/self/net/tcp").expect("Linux has it");
    let of_server = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, _, state) = (fields.next()?, fields.next()?, fields.next()?);
        let listens = "0A";
        let is_its = local.ends_with(&format!(":{port:04X}")) && state != listens;
        is_its.then(|| fields.nth(5).map(str::to_owned)).flatten()
    };
    let inodes: HashSet<String> = table.lines().skip(1).filter_map(of_server).collect();
    let descriptors = std::fs::read_dir("/proc/self/fd").expect("Linux has it");
    let sockets = descriptors.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    let inode = |link: std::path::PathBuf| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned());
    sockets.filter_map(inode).filter(|inode| inodes.contains(inode)).count()
}

/// How a server under attack is reached.
struct Target {
    address: SocketAddr,
    tls: Option<SslConnector>,
}

impl Target {
    /// The patient one has time for everybody; the hasty one puts out who makes it wait.
    fn start(files: &Files, is_patient: bool, is_encrypted: bool) -> (Service, Self) {
        let time = if is_patient { Span::seconds(60) } else { Span::ms(100) };
        let settings = AdminSettings {
            connections: CONNECTIONS,
            header_bytes: Bytes(HEADER_BYTES as u64),
            body_bytes: Bytes(BODY_BYTES as u64),
            header_timeout: time,
            request_timeout: time,
            attempts: u32::MAX,
            tls: is_encrypted.then(|| files.tls()),
            ..settings(files.folder.path())
        };
        let mut builder = SslConnector::builder(SslMethod::tls_client()).expect("a client");
        builder.set_verify(SslVerifyMode::NONE);
        let service = Service::start(&settings);
        let target = Self {
            address: service.address(),
            tls: is_encrypted.then(|| builder.build()),
        };
        (service, target)
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it accepts");
        stream
            .set_read_timeout(Some(PATIENCE * 4))
            .expect("a timeout can be set");
        stream
    }

    /// Sends what was made up; gives what came back before the server closed the connection.
    fn suffer(&self, seed: u64, attack: &Attack) -> Vec<u8> {
        let mut rng = Rng::with_seed(!seed);
        let Some(tls) = &self.tls else {
            return send(self.connect(), attack, &mut rng);
        };
        if attack.sound.is_none() && rng.u8(0..4) == 0 {
            let raw = match rng.bool() {
                true => broken_hello(tls, &mut rng),
                false => attack.bytes.clone(),
            };
            let raw = Attack {
                bytes: raw,
                delivery: attack.delivery,
                has_token: false,
                sound: None,
            };
            return send(self.connect(), &raw, &mut rng);
        }
        let mut configuration = tls.configure().expect("a client");
        configuration.set_verify_hostname(false);
        match configuration.connect("eddy.test", self.connect()) {
            Ok(stream) => send(stream, attack, &mut rng),
            // The hasty one has no time for a slow machine.
            Err(error) => {
                assert!(attack.delivery == Delivery::Held, "the handshake fails: {error}");
                Vec::new()
            }
        }
    }
}

/// The beginning of a handshake, broken.
fn broken_hello(tls: &SslConnector, rng: &mut Rng) -> Vec<u8> {
    /// Keeps what is written, and never answers.
    #[derive(Debug)]
    struct Silence(Vec<u8>);
    impl Read for Silence {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(ErrorKind::WouldBlock.into())
        }
    }
    impl Write for Silence {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let Err(HandshakeError::WouldBlock(midway)) = tls.connect("eddy.test", Silence(Vec::new())) else {
        panic!("a handshake waits for its answer");
    };
    let mut hello = midway.get_ref().0.clone();
    break_up(rng, &mut hello);
    hello
}

/// Both kinds of streams.
trait Stream: Read + Write {
    /// Says that nothing more comes.
    fn end(&mut self);
}

impl Stream for TcpStream {
    fn end(&mut self) {
        // It may be closed already.
        drop(self.shutdown(Side::Write));
    }
}

impl Stream for SslStream<TcpStream> {
    fn end(&mut self) {
        drop(self.shutdown());
        drop(self.get_ref().shutdown(Side::Write));
    }
}

fn send(mut stream: impl Stream, attack: &Attack, rng: &mut Rng) -> Vec<u8> {
    let Attack {
        bytes, delivery, sound, ..
    } = attack;
    let bytes = match delivery {
        Delivery::Whole | Delivery::Pieces => &bytes[..],
        Delivery::Half | Delivery::Abandoned => &bytes[..bytes.len() / 2],
        Delivery::Held => &bytes[..bytes.len() / rng.usize(1..=2)],
    };
    let size = match delivery {
        Delivery::Pieces => rng.usize(1..=bytes.len() / 4 + 1),
        _ => bytes.len().max(1),
    };
    // A server that has seen enough closes the connection.
    let is_sent = bytes.chunks(size).all(|piece| stream.write_all(piece).is_ok());
    assert!(is_sent || sound.is_none(), "a sound request is read");
    if *delivery == Delivery::Abandoned {
        return Vec::new();
    }
    if sound.is_none() && *delivery != Delivery::Held {
        stream.end();
    }
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        let is_timeout = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        assert!(!is_timeout, "the server never closes a connection: {attack:?}");
    }
    answer
}

/// What holds for every answer.
#[track_caller]
fn judge(seed: u64, attack: &Attack, answer: &[u8]) -> Option<u16> {
    let text = String::from_utf8_lossy(answer);
    let said = || {
        format!(
            "seed {seed}: {} … {text}",
            String::from_utf8_lossy(&attack.bytes[..attack.bytes.len().min(300)])
        )
    };
    let status = text
        .strip_prefix("HTTP/1.1 ")
        .or_else(|| text.strip_prefix("HTTP/1.0 "));
    let Some(status) = status else {
        // Nothing at all, or of TLS an alert or an answer to a handshake.
        assert!(answer.is_empty() || matches!(answer[0], 0x15 | 0x16), "{}", said());
        assert!(attack.sound.is_none(), "{}", said());
        return None;
    };
    let status: u16 = status
        .get(..3)
        .and_then(|digits| digits.parse().ok())
        .unwrap_or_else(|| panic!("{}", said()));
    let is_known = matches!(
        status,
        200 | 400 | 401 | 404 | 405 | 408 | 413 | 414 | 417 | 431 | 501 | 503 | 505
    );
    assert!(is_known, "{}", said());
    let head = (0..attack.bytes.len()).find(|at| {
        let rest = &attack.bytes[*at..];
        rest.starts_with(b"\n\r\n") || rest.starts_with(b"\n\n")
    });
    let head = head.unwrap_or(attack.bytes.len());
    assert!(
        head < 2 * HEADER_BYTES || matches!(status, 400 | 414 | 431),
        "{}",
        said()
    );
    assert!(attack.sound.is_none() || status == 200, "{}", said());
    Some(status)
}

/// Attacks the patient and the hasty server from all clients; gives how often each status was answered.
fn besiege(targets: &[Target; 2], crowd: Crowd, seeds: Range<u64>) -> BTreeMap<Option<u16>, usize> {
    let next = AtomicU64::new(seeds.start);
    let answers = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        let client = || {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds.end {
                    return;
                }
                let attack = attack(seed, crowd);
                let target = &targets[usize::from(attack.delivery == Delivery::Held)];
                let answer = target.suffer(seed, &attack);
                let status = judge(seed, &attack, &answer);
                *answers.lock().expect("no client panics").entry(status).or_insert(0) += 1;
            }
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        for client in clients {
            client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
    answers.into_inner().expect("no client panics")
}

/// What was changed since the last look.
fn changed(services: &[Service; 2]) -> Vec<(String, Vec<u8>)> {
    let drained = services.iter().flat_map(|service| {
        let mut changed = service.changed.0.lock().expect("nobody panics");
        std::mem::take(&mut *changed)
    });
    drained.collect()
}

/// Looks at what a mixed crowd has changed.
fn audit(changed: Vec<(String, Vec<u8>)>, seeds: Range<u64>) {
    let attacks: Vec<Attack> = seeds.map(|seed| attack(seed, Crowd::Mixed)).collect();
    let sound = attacks.iter().filter_map(|attack| attack.sound.clone());
    let mut sound: Vec<(String, Vec<u8>)> = sound.map(|(verb, body)| (verb.to_owned(), body)).collect();
    assert!(!sound.is_empty());
    let is_sound = |(_, body): &(String, Vec<u8>)| body.starts_with(b"sound ");
    let (mut of_sound, others): (Vec<_>, Vec<_>) = changed.into_iter().partition(is_sound);
    sound.sort();
    of_sound.sort();
    assert_eq!(of_sound, sound, "each sound request is carried out once");
    let with_token = attacks
        .iter()
        .filter(|attack| attack.has_token && attack.sound.is_none());
    assert!((1..=with_token.count()).contains(&others.len()), "{others:?}");
    assert!(others.iter().all(|(_, body)| body.len() <= BODY_BYTES));
}

fn fuzz(is_encrypted: bool) {
    count_panics();
    let files = Files::new();
    let [patient, hasty] = [true, false].map(|is_patient| Target::start(&files, is_patient, is_encrypted));
    let (services, targets) = ([patient.0, hasty.0], [patient.1, hasty.1]);
    let (first, count) = (number("EDDY_ADMIN_SEED", 0), number("EDDY_ADMIN_REQUESTS", 2000));
    let (half, end) = (first + count / 2, first + count);
    let answers = besiege(&targets, Crowd::Strangers, first..half);
    assert_eq!(changed(&services), [], "strangers change nothing");
    // It is no fuzzing if nothing gets through to where it could do harm.
    for status in [400, 401, 404, 405, 431] {
        assert!(answers.contains_key(&Some(status)), "{answers:?}");
    }
    let answers = besiege(&targets, Crowd::Mixed, half..end);
    assert!(answers.contains_key(&Some(413)), "{answers:?}");
    audit(changed(&services), half..end);
    assert_eq!(PANICS.load(Ordering::Relaxed), 0, "the output says where");

    let tls = || ClientTls::new(Trust::Certificate(&files.path("server.pem")), None).expect("sound files");
    let place = Place {
        tls: is_encrypted.then(tls),
        ..targets[0].address.into()
    };
    assert_eq!(probe(place.clone(), "/live", PATIENCE).expect("it answers").status, 200);
    let request = Post {
        path: "/pause",
        token: Some(TOKEN),
        body: "afterwards",
    };
    assert_eq!(post(place, &request, PATIENCE).expect("it answers").status, 200);
    assert_eq!(changed(&services), [("pause".to_owned(), b"afterwards".to_vec())]);
}

#[test]
fn whatever_is_sent_changes_nothing_without_the_token_and_breaks_nothing() {
    fuzz(false);
}

#[test]
fn whatever_is_sent_encrypted_or_not_to_an_encrypted_address_does_neither() {
    fuzz(true);
}

#[test]
fn no_more_connections_are_taken_than_may_be() {
    let files = Files::new();
    let (_service, target) = Target::start(&files, true, false);
    let port = target.address.port();
    // One more comes in before another gives way to it.
    let most = CONNECTIONS + 1;
    let mut clients: Vec<TcpStream> = (0..CONNECTIONS + 3).map(|_| target.connect()).collect();
    wait_for("the places to be taken", || (taken(port) == CONNECTIONS).then_some(()));
    for _ in 0..4 {
        clients.push(target.connect());
        assert!(taken(port) <= most);
    }
    assert_eq!(
        probe(target.address, "/live", PATIENCE).expect("it answers").status,
        200
    );
    assert!(taken(port) <= most);
}
