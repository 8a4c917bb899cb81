//! The admin address, asked over real connections.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use eddy_host::{
    AdminAddress, AdminHandle, AdminServer, AdminSettings, AdminSources, Answer, Error, ExitCode, NoControl, NoStatus,
    Readiness, Shutdown, StatusSource, SystemClock, Tasks, probe,
};
use eddy_pipeline::settings::{Bytes, Span};
use eddy_telemetry::Metrics;
use serde_json::{Value, json};

/// Long enough that only a hung server reaches it.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Busy;

impl StatusSource for Busy {
    fn status(&self) -> Value {
        json!({ "lanes": [{ "lane": 0, "in_flight": 12 }] })
    }
}

/// Its answer is more than the buffers of a connection hold.
#[derive(Debug)]
struct Verbose;

impl StatusSource for Verbose {
    fn status(&self) -> Value {
        "x".repeat(64 << 20).into()
    }
}

#[derive(Debug)]
struct Faulty;

impl StatusSource for Faulty {
    fn status(&self) -> Value {
        panic!("a bug in a status page")
    }
}

struct Service {
    handle: AdminHandle,
    readiness: Readiness,
    tasks: Tasks,
}

impl Service {
    fn start(settings: &AdminSettings, status: impl StatusSource + 'static) -> Self {
        let tasks = Tasks::new(Shutdown::new(Arc::new(SystemClock::start()), Duration::from_secs(20)));
        let readiness = Readiness::starting();
        let sources = sources(&readiness, status);
        let server = AdminServer::bind(settings, sources)
            .expect("a free port")
            .expect("it is on");
        let handle = server.start(&tasks).expect("a thread");
        Self {
            handle,
            readiness,
            tasks,
        }
    }

    fn get(&self, path: &str) -> Answer {
        probe(self.handle.address(), path, PATIENCE).expect("the server answers")
    }

    fn send(&self, request: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(request).expect("the server reads");
        let mut answer = Vec::new();
        read_all(&mut stream, &mut answer);
        String::from_utf8(answer).expect("HTTP is text")
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.handle.address()).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream
    }
}

/// A server may reset a connection whose request it did not read in full; what came before still counts.
fn read_all(stream: &mut TcpStream, answer: &mut Vec<u8>) {
    if let Err(error) = stream.read_to_end(answer) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    }
}

fn sources(readiness: &Readiness, status: impl StatusSource + 'static) -> AdminSources {
    AdminSources {
        metrics: Metrics::new("digits", "0.1.0"),
        readiness: readiness.clone(),
        status: Arc::new(status),
        control: Arc::new(NoControl),
    }
}

fn any_port() -> AdminSettings {
    AdminSettings {
        address: AdminAddress::At(SocketAddr::from(([127, 0, 0, 1], 0))),
        ..AdminSettings::default()
    }
}

fn body(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).expect("the page is JSON")
}

#[test]
fn a_starting_service_is_alive_and_not_ready_and_says_why() {
    let service = Service::start(&any_port(), NoStatus);
    service.readiness.unmet("model digits", "loading");
    assert_eq!(service.get("/live").status, 200);
    let answer = service.get("/ready");
    assert_eq!(answer.status, 503);
    let said = body(&answer);
    assert_eq!(said["ready"], false);
    let causes = said["causes"].as_array().expect("a list");
    let named: Vec<_> = causes
        .iter()
        .map(|cause| (&cause["condition"], &cause["detail"]))
        .collect();
    assert_eq!(
        named,
        [
            (&json!("service"), &json!("starting")),
            (&json!("model digits"), &json!("loading")),
        ]
    );
    assert!(causes.iter().all(|cause| cause["seconds"].is_u64()), "{said}");
}

#[test]
fn a_service_becomes_ready_and_ends_to_be_while_it_drains() {
    let service = Service::start(&any_port(), NoStatus);
    service.readiness.started();
    assert_eq!(service.get("/ready").status, 200);
    assert!(
        service
            .get("/metrics")
            .body
            .contains("eddy_ready{pipeline=\"digits\"} 1\n")
    );
    service.readiness.draining();
    assert_eq!(service.get("/ready").status, 503);
    assert_eq!(service.get("/live").status, 200);
    assert!(
        service
            .get("/metrics")
            .body
            .contains("eddy_ready{pipeline=\"digits\"} 0\n")
    );
}

#[test]
fn metrics_come_in_the_text_format_of_prometheus() {
    let service = Service::start(&any_port(), NoStatus);
    let answer = service.get("/metrics");
    assert_eq!(answer.status, 200);
    let kind = "content-type: text/plain; version=0.0.4; charset=utf-8";
    assert!(answer.headers.to_lowercase().contains(kind), "{}", answer.headers);
    assert!(
        answer.body.contains("# TYPE eddy_events_consumed_total counter\n"),
        "{}",
        answer.body
    );
}

#[test]
fn the_status_is_what_its_source_says() {
    let service = Service::start(&any_port(), Busy);
    let answer = service.get("/status");
    assert_eq!(
        (answer.status, body(&answer)),
        (200, json!({ "lanes": [{ "lane": 0, "in_flight": 12 }] }))
    );
}

#[test]
fn the_index_links_to_every_page() {
    let service = Service::start(&any_port(), NoStatus);
    let index = service.get("/");
    assert_eq!(index.status, 200);
    let links: Vec<_> = index
        .body
        .split("href=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    for page in ["page.css", "live", "ready", "status", "drift", "samples", "metrics"] {
        assert!(links.contains(&page), "{page}: {links:?}");
    }
    // Within the page, or in it.
    let elsewhere = links
        .into_iter()
        .filter(|link| !link.starts_with(['#', 'd']) || *link == "drift");
    for link in elsewhere {
        assert_ne!(service.get(&format!("/{link}")).status, 404, "{link}");
    }
}

#[test]
fn pages_cannot_be_run_or_kept_by_a_browser() {
    let service = Service::start(&any_port(), NoStatus);
    for path in [
        "/",
        "/page.css",
        "/page.js",
        "/drift",
        "/samples",
        "/live",
        "/ready",
        "/status",
        "/metrics",
        "/nothing",
    ] {
        let headers = service.get(path).headers.to_lowercase();
        for header in [
            "x-content-type-options: nosniff",
            "content-security-policy: default-src 'none'",
            "cache-control: no-store",
        ] {
            assert!(headers.contains(header), "{path}: {headers}");
        }
    }
}

#[test]
fn an_unknown_page_is_said_to_be_unknown() {
    let service = Service::start(&any_port(), NoStatus);
    let answer = service.get("/metric");
    assert_eq!(
        (answer.status, body(&answer)),
        (404, json!({ "error": "there is no page /metric; / lists them" }))
    );
}

#[test]
fn nothing_can_be_changed() {
    let service = Service::start(&any_port(), NoStatus);
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let answer =
            service.send(format!("{method} /status HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").as_bytes());
        assert!(answer.starts_with("HTTP/1.1 405 "), "{method}: {answer}");
    }
}

#[test]
fn a_body_is_never_waited_for() {
    let service = Service::start(&any_port(), NoStatus);
    let answer = service.send(b"GET /live HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn headers_beyond_the_limit_are_refused() {
    let settings = AdminSettings {
        header_bytes: Bytes::kib(8),
        ..any_port()
    };
    let service = Service::start(&settings, NoStatus);
    let mut request = b"GET /live HTTP/1.1\r\nHost: x\r\nX-Long: ".to_vec();
    request.resize(64 << 10, b'a');
    let answer = service.send(&request);
    assert!(answer.starts_with("HTTP/1.1 431 ") || answer.is_empty(), "{answer}");
    assert_eq!(service.get("/live").status, 200);
}

#[test]
fn a_request_has_a_hundred_headers_and_no_more() {
    let service = Service::start(&any_port(), NoStatus);
    for (count, answer) in [(100, "HTTP/1.1 200 "), (101, "HTTP/1.1 431 ")] {
        let request = format!("GET /live HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(count));
        let said = service.send(request.as_bytes());
        assert!(said.starts_with(answer), "{count}: {said}");
    }
}

#[test]
fn what_is_not_http_is_refused() {
    let service = Service::start(&any_port(), NoStatus);
    let answer = service.send(b"\x16\x03\x01 this is TLS\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 400 ") || answer.is_empty(), "{answer}");
    assert_eq!(service.get("/live").status, 200);
}

#[test]
fn clients_that_send_nothing_make_room_for_others() {
    let settings = AdminSettings {
        connections: 1,
        header_timeout: Span::ms(50),
        ..any_port()
    };
    let service = Service::start(&settings, NoStatus);
    let _silent: Vec<_> = (0..3).map(|_| service.connect()).collect();
    assert_eq!(service.get("/live").status, 200);
}

#[test]
fn clients_that_do_not_read_make_room_for_others() {
    let settings = AdminSettings {
        connections: 1,
        header_timeout: Span::seconds(600),
        request_timeout: Span::ms(50),
        ..any_port()
    };
    let service = Service::start(&settings, NoStatus);
    let mut slow = service.connect();
    slow.write_all(b"GET /met").expect("the server reads");
    assert_eq!(service.get("/live").status, 200);
}

/// So long that nobody makes room because its time is over.
fn patient(connections: usize) -> AdminSettings {
    AdminSettings {
        connections,
        header_timeout: Span::seconds(600),
        request_timeout: Span::seconds(600),
        ..any_port()
    }
}

#[test]
fn whoever_sends_no_request_gives_way_the_longest_first() {
    let service = Service::start(&patient(3), NoStatus);
    let [mut silent, mut begun, mut last] = std::array::from_fn(|_| service.connect());
    begun.write_all(b"GET /met").expect("the server reads");
    assert_eq!(service.get("/live").status, 200);
    assert!(matches!(silent.read(&mut [0]), Ok(0) | Err(_)), "it gave way");
    let mut other = service.connect();
    assert_eq!(service.get("/live").status, 200);
    assert!(matches!(begun.read(&mut [0]), Ok(0) | Err(_)), "it gave way");
    for kept in [&mut last, &mut other] {
        kept.write_all(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
            .expect("the server reads");
        let mut answer = Vec::new();
        read_all(kept, &mut answer);
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "who came later kept its place");
    }
}

#[test]
fn whoever_does_not_take_its_answer_gives_way_after_those_who_send_no_request() {
    let service = Service::start(&patient(2), Verbose);
    let mut slow = service.connect();
    slow.write_all(b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("the server reads");
    slow.read_exact(&mut [0]).expect("the answer has begun");
    let mut silent = service.connect();
    assert_eq!(service.get("/live").status, 200);
    assert!(matches!(silent.read(&mut [0]), Ok(0) | Err(_)), "it gave way");

    let service = Service::start(&patient(1), Verbose);
    let mut slow = service.connect();
    slow.write_all(b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("the server reads");
    slow.read_exact(&mut [0]).expect("the answer has begun");
    assert_eq!(service.get("/live").status, 200);
}

#[test]
fn a_page_that_panics_takes_nothing_else_down() {
    let service = Service::start(&any_port(), Faulty);
    assert_eq!(service.send(b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n"), "");
    assert_eq!(service.get("/live").status, 200);
    assert!(!service.tasks.shutdown().is_requested());
}

#[test]
fn it_answers_until_its_handle_is_dropped_even_while_the_service_drains() {
    let service = Service::start(&any_port(), NoStatus);
    let address = service.handle.address();
    service
        .tasks
        .shutdown()
        .request(eddy_host::Cause::Asked { by: "a test".into() });
    assert_eq!(service.get("/live").status, 200);
    drop(service.handle);
    while service.tasks.running().iter().any(|task| task == "eddy-admin") {
        std::thread::yield_now();
    }
    let error = probe(address, "/live", PATIENCE).expect_err("nobody listens there any more");
    assert_eq!(error.exit_code(), ExitCode::Unreachable);
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[test]
fn a_port_in_use_is_named_with_the_key_to_change() {
    let other = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = other.local_addr().expect("it has one");
    let settings = AdminSettings {
        address: AdminAddress::At(address),
        ..AdminSettings::default()
    };
    let error = AdminServer::bind(&settings, sources(&Readiness::starting(), NoStatus)).expect_err("the port is taken");
    assert!(matches!(error, Error::Listen { .. }));
    assert_eq!(error.exit_code(), ExitCode::Configuration);
    let text = error.to_string();
    assert!(
        text.contains(&address.to_string()) && text.contains("`admin.address`"),
        "{text}"
    );
}

#[test]
fn off_means_off() {
    let settings = AdminSettings {
        address: AdminAddress::Off,
        ..AdminSettings::default()
    };
    let server = AdminServer::bind(&settings, sources(&Readiness::starting(), NoStatus));
    assert!(server.expect("nothing can fail").is_none());
}
