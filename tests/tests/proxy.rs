//! The promises of the proxy, with plain sockets before and behind it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use eddy_tests::proxy::Proxy;
use eddy_tests::service::wait_for;

/// A pair of connected ends with a proxy between them.
struct Wire {
    proxy: Proxy,
    listener: TcpListener,
}

impl Wire {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self {
            proxy: Proxy::start(listener.local_addr().unwrap()),
            listener,
        }
    }

    fn dial(&self) -> TcpStream {
        let client = TcpStream::connect(("127.0.0.1", self.proxy.port())).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        client
    }

    fn accept(&self) -> TcpStream {
        let (server, _) = self.listener.accept().unwrap();
        server.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        server
    }

    /// Ends that have talked, so that the connection stands all the way.
    fn ends(&self) -> (TcpStream, TcpStream) {
        let (mut client, mut server) = (self.dial(), self.accept());
        say(&mut client, b"hello");
        assert_eq!(hear(&mut server, 5), b"hello");
        (client, server)
    }
}

fn say(stream: &mut TcpStream, words: &[u8]) {
    stream.write_all(words).unwrap();
}

fn hear(stream: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut heard = vec![0; bytes];
    stream.read_exact(&mut heard).unwrap();
    heard
}

/// Nothing can be heard; the time is how long a proxy that does not hold back has to show it.
fn assert_silent(stream: &mut TcpStream) {
    let patience = stream.read_timeout().unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let heard = stream.read(&mut [0; 64]);
    assert!(
        matches!(&heard, Err(error) if error.kind() == ErrorKind::WouldBlock),
        "{heard:?}"
    );
    stream.set_read_timeout(patience).unwrap();
}

fn assert_ended(stream: &mut TcpStream) {
    let heard = stream.read(&mut [0; 64]);
    let reset = |error: &std::io::Error| error.kind() == ErrorKind::ConnectionReset;
    assert!(
        heard.as_ref().map_or_else(reset, |bytes| *bytes == 0),
        "the connection lives: {heard:?}"
    );
}

#[test]
fn everything_passes_both_ways_in_order_and_is_counted() {
    let wire = Wire::new();
    let (mut client, mut server) = wire.ends();
    let sent: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let echoed = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut heard = vec![0; 8192];
            loop {
                let bytes = server.read(&mut heard).unwrap();
                if bytes == 0 {
                    return server.shutdown(std::net::Shutdown::Write).unwrap();
                }
                server.write_all(&heard[..bytes]).unwrap();
            }
        });
        let mut speaker = client.try_clone().unwrap();
        let words = &sent;
        scope.spawn(move || {
            say(&mut speaker, words);
            speaker.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let mut echoed = Vec::new();
        client.read_to_end(&mut echoed).unwrap();
        echoed
    });
    assert!(echoed == sent, "what comes back is what was sent");
    let traffic = wait_for("the connection to end", || {
        let traffic = wire.proxy.traffic();
        (traffic.open == 0).then_some(traffic)
    });
    assert_eq!(
        (traffic.connections, traffic.requests, traffic.answers),
        (1, 4_000_005, 4_000_000)
    );
}

#[test]
fn a_cut_ends_what_is_open_and_whatever_is_opened_until_it_passes_again() {
    let wire = Wire::new();
    let (mut client, mut server) = wire.ends();
    wire.proxy.cut();
    assert_ended(&mut client);
    assert_ended(&mut server);
    assert_ended(&mut wire.dial());
    assert_eq!(wire.proxy.traffic().connections, 2);
    wire.proxy.pass();
    wire.ends();
}

#[test]
fn a_stall_holds_bytes_of_old_and_new_connections_and_loses_none() {
    let wire = Wire::new();
    let (mut client, mut server) = wire.ends();
    wire.proxy.stall();
    say(&mut client, b"request");
    say(&mut server, b"answer");
    let mut newcomer = wire.dial();
    say(&mut newcomer, b"me too");
    for stream in [&mut client, &mut server, &mut newcomer] {
        assert_silent(stream);
    }
    assert_eq!(wire.proxy.traffic().requests, 5);
    wire.proxy.pass();
    assert_eq!(hear(&mut server, 7), b"request");
    assert_eq!(hear(&mut client, 6), b"answer");
    assert_eq!(hear(&mut wire.accept(), 6), b"me too");
}

#[test]
fn a_stall_one_way_passes_requests_and_holds_answers() {
    let wire = Wire::new();
    let (mut client, mut server) = wire.ends();
    wire.proxy.stall_one_way();
    say(&mut client, b"request");
    assert_eq!(hear(&mut server, 7), b"request");
    say(&mut server, b"answer");
    assert_silent(&mut client);
    let (mut newcomer, mut its_server) = wire.ends();
    say(&mut its_server, b"answer");
    assert_silent(&mut newcomer);
    wire.proxy.pass();
    assert_eq!(hear(&mut client, 6), b"answer");
    assert_eq!(hear(&mut newcomer, 6), b"answer");
}

#[test]
fn a_reset_is_one_for_both_ends_and_new_connections_pass() {
    let wire = Wire::new();
    let (mut client, mut server) = wire.ends();
    wire.proxy.reset();
    for stream in [&mut client, &mut server] {
        let heard = stream.read(&mut [0; 64]);
        assert!(
            matches!(&heard, Err(error) if error.kind() == ErrorKind::ConnectionReset),
            "{heard:?}"
        );
    }
    wire.ends();
}

#[test]
fn a_reset_reaches_a_connection_that_is_stalled() {
    let wire = Wire::new();
    let (mut client, _server) = wire.ends();
    wire.proxy.stall();
    say(&mut client, b"held");
    wire.proxy.reset();
    let heard = client.read(&mut [0; 64]);
    assert!(
        matches!(&heard, Err(error) if error.kind() == ErrorKind::ConnectionReset),
        "{heard:?}"
    );
}

#[test]
fn a_slow_proxy_passes_less_than_all_and_the_rest_when_it_is_slow_no_more() {
    const BYTES: usize = 100_000;
    let wire = Wire::new();
    let (mut client, mut server) = wire.ends();
    wire.proxy.slow(20);
    say(&mut client, &[7; BYTES]);
    hear(&mut server, 2);
    // At twenty bytes a second the whole would take more than an hour.
    assert!(wire.proxy.traffic().requests < 10_000);
    wire.proxy.pass();
    assert_eq!(hear(&mut server, BYTES - 2), [7; BYTES - 2]);
}

#[test]
fn a_target_that_is_gone_ends_the_connection_and_may_come_back() {
    let wire = Wire::new();
    let address = wire.listener.local_addr().unwrap();
    let Wire { proxy, listener } = wire;
    drop(listener);
    let dial = || TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    assert_ended(&mut dial());
    let listener = TcpListener::bind(address).unwrap();
    say(&mut dial(), b"hello");
    let (mut server, _) = listener.accept().unwrap();
    assert_eq!(hear(&mut server, 5), b"hello");
}

#[test]
fn a_dropped_proxy_ends_its_connections() {
    let wire = Wire::new();
    let (mut client, mut server) = wire.ends();
    drop(wire.proxy);
    assert_ended(&mut client);
    assert_ended(&mut server);
}
