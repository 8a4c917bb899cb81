//! Changes through the admin address: who may make them, how large they may be, and the line that each leaves.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use eddy_host::{
    AdminAddress, AdminHandle, AdminServer, AdminSettings, AdminSources, Answer, Control, Error, ExitCode, NoControl,
    NoStatus, Post, Promised, Readiness, Refusal, Reply, Shutdown, SystemClock, Tasks, post, probe, promise,
};
use eddy_pipeline::settings::{Bytes, Span};
use eddy_secret::Secret;
use eddy_telemetry::Metrics;
use serde_json::{Value, json};

/// Long enough that only a hung server reaches it.
const PATIENCE: Duration = Duration::from_secs(30);
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// What was asked, and by whom; and the answers that are owed.
#[derive(Debug, Default)]
struct Asked(Mutex<Vec<(String, String)>>, Mutex<Vec<Promised>>);

impl Control for Asked {
    fn verbs(&self) -> &'static [&'static str] {
        &["turn", "burn", "ponder"]
    }

    fn is_shown(&self, verb: &str) -> bool {
        verb != "ponder"
    }

    fn perform(&self, verb: &str, body: &[u8], by: &str) -> Result<Reply, Refusal> {
        if verb == "ponder" {
            let (promised, promise) = promise();
            if body.starts_with(b"until the end") {
                self.1.lock().expect("nobody panics").push(promised);
                return Ok(Reply::Promised(promise));
            }
            let is_forgotten = body == b"forgotten";
            let ponder = move || {
                if !is_forgotten {
                    promised.keep(Ok(json!({ "pondered": true })));
                }
            };
            let thread = std::thread::Builder::new().name("ponders".into());
            thread.spawn(ponder).expect("there is a thread left");
            return Ok(Reply::Promised(promise));
        }
        if verb == "burn" {
            return Err(Refusal::Impossible("it does not burn; turn it".into()));
        }
        let what = String::from_utf8_lossy(body).into_owned();
        if what == "nonsense" {
            return Err(Refusal::Malformed("that is nonsense; say what".into()));
        }
        self.0.lock().expect("nobody panics").push((what, by.to_owned()));
        Ok(json!({ "turned": true }).into())
    }
}

struct Service {
    handle: AdminHandle,
    asked: Arc<Asked>,
    _folder: tempfile::TempDir,
}

fn settings(folder: &Path) -> AdminSettings {
    std::fs::write(folder.join("token"), format!("{TOKEN}\n")).expect("the folder takes a file");
    let mut settings = AdminSettings {
        address: AdminAddress::At(SocketAddr::from(([127, 0, 0, 1], 0))),
        token: Some(Secret::File("token".into())),
        ..AdminSettings::default()
    };
    settings.resolve_paths(folder);
    settings
}

fn sources(control: Arc<dyn Control>) -> AdminSources {
    AdminSources {
        metrics: Metrics::new("digits", "0.1.0"),
        readiness: Readiness::starting(),
        status: Arc::new(NoStatus),
        control,
    }
}

impl Service {
    fn start(change: impl FnOnce(&mut AdminSettings)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut settings = settings(folder.path());
        change(&mut settings);
        let asked = Arc::new(Asked::default());
        let tasks = Tasks::new(Shutdown::new(Arc::new(SystemClock::start()), PATIENCE));
        let server = AdminServer::bind(&settings, sources(asked.clone())).expect("a free port and a token");
        let handle = server.expect("it is on").start(&tasks).expect("a thread");
        Self {
            handle,
            asked,
            _folder: folder,
        }
    }

    fn post(&self, path: &str, token: Option<&str>, body: &str) -> Answer {
        post(self.handle.address(), &Post { path, token, body }, PATIENCE).expect("the server answers")
    }

    fn asked(&self) -> Vec<String> {
        let asked = self.asked.0.lock().expect("nobody panics");
        asked.iter().map(|(what, _)| what.clone()).collect()
    }
}

fn error(answer: &Answer) -> String {
    let body: Value = serde_json::from_str(&answer.body).expect("the answer is JSON");
    body["error"].as_str().expect("it says what is wrong").to_owned()
}

#[test]
fn who_knows_the_token_changes_something() {
    let service = Service::start(|_| ());
    let answer = service.post("/turn", Some(TOKEN), "left");
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"turned":true}"#));
    assert_eq!(service.asked(), ["left"]);
    let asked = service.asked.0.lock().expect("nobody panics");
    assert!(asked[0].1.starts_with("127.0.0.1:"), "{}", asked[0].1);
}

#[test]
fn who_does_not_changes_nothing_and_is_told_what_is_missing() {
    let service = Service::start(|_| ());
    for token in [None, Some("guess"), Some(&TOKEN[1..])] {
        let answer = service.post("/turn", token, "left");
        assert_eq!(answer.status, 401, "{token:?}");
        assert!(error(&answer).contains("admin.token"), "{}", answer.body);
        assert!(
            answer.headers.to_lowercase().contains("www-authenticate: bearer"),
            "{}",
            answer.headers
        );
        assert!(!answer.body.contains(TOKEN), "{}", answer.body);
    }
    assert!(service.asked().is_empty());
}

#[test]
fn without_a_token_nothing_can_be_changed_and_the_answer_says_what_to_set() {
    let service = Service::start(|settings| settings.token = None);
    for token in [None, Some(TOKEN)] {
        let answer = service.post("/turn", token, "left");
        assert_eq!(answer.status, 403);
        let said = error(&answer);
        assert!(said.contains("`admin.token`") && said.contains("32 bytes"), "{said}");
    }
    assert!(service.asked().is_empty());
}

#[test]
fn who_guesses_too_often_has_to_wait() {
    let service = Service::start(|settings| settings.attempts = 3);
    for _ in 0..3 {
        assert_eq!(service.post("/turn", Some("guess"), "").status, 401);
    }
    let answer = service.post("/turn", Some(TOKEN), "left");
    assert_eq!(answer.status, 429);
    assert!(
        answer.headers.to_lowercase().contains("retry-after: "),
        "{}",
        answer.headers
    );
    assert!(service.asked().is_empty());
    let live = probe(service.handle.address(), "/live", PATIENCE).expect("pages go on");
    assert_eq!(live.status, 200);
}

#[test]
fn a_body_is_taken_up_to_the_limit_and_no_further() {
    let service = Service::start(|settings| settings.body_bytes = Bytes(100));
    let body = "x".repeat(101);
    let answer = service.post("/turn", Some(TOKEN), &body);
    assert_eq!(answer.status, 413);
    assert!(error(&answer).contains("admin.body_bytes"), "{}", answer.body);
    assert!(service.asked().is_empty());
    assert_eq!(service.post("/turn", Some(TOKEN), &body[..100]).status, 200);
}

#[test]
fn what_the_service_refuses_is_told_apart_from_nonsense() {
    let service = Service::start(|_| ());
    let answer = service.post("/burn", Some(TOKEN), "");
    assert_eq!(
        (answer.status, error(&answer).as_str()),
        (409, "it does not burn; turn it")
    );
    let answer = service.post("/turn", Some(TOKEN), "nonsense");
    assert_eq!(
        (answer.status, error(&answer).as_str()),
        (400, "that is nonsense; say what")
    );
}

#[test]
fn an_answer_of_another_thread_is_waited_for_and_one_that_never_comes_is_said_so() {
    let service = Service::start(|_| ());
    let answer = service.post("/ponder", Some(TOKEN), "an event");
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"pondered":true}"#));
    let answer = service.post("/ponder", Some(TOKEN), "forgotten");
    assert_eq!(answer.status, 409);
    assert!(error(&answer).contains("nobody is left to answer"), "{}", answer.body);
}

#[test]
fn only_posts_change_something_and_only_what_is_offered() {
    let service = Service::start(|_| ());
    let answer = probe(service.handle.address(), "/turn", PATIENCE).expect("the server answers");
    assert_eq!(answer.status, 405);
    assert_eq!(service.post("/churn", Some(TOKEN), "").status, 404);
    assert_eq!(service.post("/status", Some(TOKEN), "").status, 405);
    assert!(service.asked().is_empty());
}

#[test]
fn a_token_that_is_not_there_or_could_be_guessed_ends_the_start() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settings = settings(folder.path());
    for (token, words) in [(Some("hunter2"), "32 bytes"), (None, "could not be read")] {
        let file = folder.path().join("token");
        match token {
            Some(token) => std::fs::write(&file, token).expect("the folder takes a file"),
            None => std::fs::remove_file(&file).expect("it is there"),
        }
        let refused = AdminServer::bind(&settings, sources(Arc::new(NoControl))).expect_err("no token");
        assert!(matches!(refused, Error::Token(_)));
        assert_eq!(refused.exit_code(), ExitCode::Configuration);
        let said = refused.to_string();
        assert!(said.contains("admin.token") && said.contains(words), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

/// The log of this process, for tests of the audit.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Everything is written to it from the first call on.
    fn installed() -> Self {
        static LOG: LazyLock<Log> = LazyLock::new(|| {
            let log = Log::default();
            let writer = log.clone();
            let subscriber = tracing_subscriber::fmt()
                .with_ansi(false)
                .with_writer(move || writer.clone());
            subscriber.init();
            log
        });
        LOG.clone()
    }

    fn text(&self) -> String {
        String::from_utf8(self.bytes().clone()).expect("a log is text")
    }

    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.bytes().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn every_attempt_leaves_one_line_with_who_what_and_the_result() {
    let log = Log::installed();
    let service = Service::start(|settings| settings.attempts = 2);
    // Bodies that only this test has, since others write to the same log.
    service.post("/turn", Some(TOKEN), "audited\nforged line");
    service.post("/turn", Some(TOKEN), "nonsense");
    service.post("/burn", Some(TOKEN), "audited too");
    service.post("/ponder", Some(TOKEN), "what nobody may read");
    let hasty = Service::start(|settings| settings.request_timeout = Span::seconds(2));
    let answer = hasty.post("/ponder", Some(TOKEN), "until the end");
    assert_eq!(
        answer.status, 409,
        "who waits in vain is told before the connection ends"
    );
    assert!(error(&answer).contains("`admin.request_timeout`"), "{}", answer.body);
    let owed = hasty.asked.1.lock().expect("nobody panics");
    assert!(owed[0].is_moot(), "nobody waits any longer");
    let text = log.text();
    let lines = |words: &str| text.lines().filter(|line| line.contains(words)).collect::<Vec<_>>();
    let [done] = lines("audited\\nforged line")[..] else {
        panic!("one line for one change: {text}")
    };
    assert!(
        done.contains("eddy::audit") && done.contains("who=127.0.0.1:"),
        "{done}"
    );
    assert!(
        done.contains("turn") && done.contains("status=200") && done.contains("done"),
        "{done}"
    );
    let [refused] = lines("audited too")[..] else {
        panic!("one line for one refusal: {text}")
    };
    assert!(
        refused.contains("status=409") && refused.contains("does not burn"),
        "{refused}"
    );

    let [pondered] = lines("ponder (20 bytes)")[..] else {
        panic!("one line for what is not shown: {text}")
    };
    assert!(pondered.contains("status=200"), "{pondered}");
    assert!(!text.contains("nobody may read"), "{text}");
    let [late] = lines("ponder (13 bytes)")[..] else {
        panic!("one line for what came too late: {text}")
    };
    assert!(
        late.contains("status=409") && late.contains("request_timeout"),
        "{late}"
    );

    let before = text.len();
    service.post("/burn", Some("wrong-wrong-wrong"), "unread");
    let text = log.text();
    let is_wrong = |line: &&str| line.contains("status=401") && line.contains("burn");
    let wrong = text[before..].lines().find(is_wrong);
    let wrong = wrong.unwrap_or_else(|| panic!("an attempt leaves a line: {text}"));
    assert!(wrong.contains("who=127.0.0.1:"), "{wrong}");
    assert!(
        !text.contains("wrong-wrong") && !text.contains("unread") && !text.contains(TOKEN),
        "{text}"
    );
}

/// Waits until `condition` gives something.
fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn who_hangs_up_before_the_answer_leaves_a_line_too() {
    let log = Log::installed();
    let service = Service::start(|_| ());
    let body = "until the end, which nobody awaits";
    let length = body.len();
    let (stream, owed) = ponder(&service, body);
    let who = stream.local_addr().expect("it is connected");
    assert!(!owed.is_moot());
    drop(stream);
    let is_it = |line: &&str| line.contains(&format!("who={who}"));
    let line = wait_for("its line", || log.text().lines().find(is_it).map(str::to_owned));
    assert!(
        line.contains("eddy::audit") && line.contains(&format!("ponder ({length} bytes)")),
        "{line}"
    );
    assert!(line.contains("nobody waited for the answer"), "{line}");
    assert!(owed.is_moot());
}

/// A request that is worked on until the promise is kept.
fn ponder(service: &Service, body: &str) -> (TcpStream, Promised) {
    let mut stream = TcpStream::connect(service.handle.address()).expect("it accepts");
    let length = body.len();
    let head = format!("POST /ponder HTTP/1.0\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {length}");
    write!(stream, "{head}\r\n\r\n{body}").expect("it reads");
    let owed = || service.asked.1.lock().expect("nobody panics").pop();
    (stream, wait_for("the request", owed))
}

#[track_caller]
fn is_answered(mut stream: TcpStream) {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert!(answer.starts_with("HTTP/1.0 200 "), "{answer}");
}

#[test]
fn what_is_worked_on_keeps_its_place_whoever_else_comes() {
    let service = Service::start(|settings| settings.connections = 2);
    let (stream, owed) = ponder(&service, "until the end, in its place");
    let silent = || TcpStream::connect(service.handle.address()).expect("it accepts");
    let _silent: Vec<_> = (0..5).map(|_| silent()).collect();
    let live = probe(service.handle.address(), "/live", PATIENCE).expect("there is room");
    assert_eq!(live.status, 200);
    owed.keep(Ok(json!({ "pondered": true })));
    is_answered(stream);
}

#[test]
fn whoever_sends_its_request_at_once_is_answered_however_many_come() {
    let service = Service::start(|settings| settings.connections = 1);
    let (stream, owed) = ponder(&service, "until the end, before all others");
    let others: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = TcpStream::connect(service.handle.address()).expect("it accepts");
            write!(stream, "GET /live HTTP/1.0\r\n\r\n").expect("it reads");
            stream
        })
        .collect();
    owed.keep(Ok(json!({ "pondered": true })));
    is_answered(stream);
    others.into_iter().for_each(is_answered);
}

#[test]
fn many_refusals_leave_few_lines_and_one_that_counts_the_others() {
    let log = Log::installed();
    let service = Service::start(|settings| settings.attempts = 2);
    for _ in 0..39 {
        assert_eq!(service.post("/turn", None, "left").status, 401);
    }
    service.handle.finish(PATIENCE);
    let text = log.text();
    // A number that only this test has, since others write to the same log.
    let counts: Vec<_> = text.lines().filter(|line| line.contains("refused=37 ")).collect();
    let [count] = counts[..] else {
        panic!("one line counts the others: {text}")
    };
    assert!(
        count.contains("WARN") && count.contains("eddy::audit") && count.contains("who=\"127.0.0.1\""),
        "{count}"
    );
}
