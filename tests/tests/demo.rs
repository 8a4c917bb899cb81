//! `eddy demo`, run as a user runs it and left to itself.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use eddy_tests::kafka::{Isolation, Kafka};
use eddy_tests::service::{free_port, wait_for};
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_eddy-under-test");

/// A demo that runs. Dropping it kills the process.
struct Demo {
    child: Child,
    port: u16,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let port = free_port();
        let child = Command::new(BINARY)
            .args(["demo", "--summary", "json", "--admin", &format!("127.0.0.1:{port}")])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, port }
    }

    /// Status code of one of its pages, if it answers.
    fn page(&self, path: &str) -> Option<u16> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split_whitespace().nth(1)?.parse().ok()
    }

    /// The line on standard error that contains `part`; reads up to it.
    fn wait_for_line(&mut self, part: &str) -> String {
        let mut lines = BufReader::new(self.child.stderr.take().unwrap()).lines();
        let line = lines.by_ref().map(Result::unwrap).find(|line| line.contains(part));
        // Somebody has to go on reading, or the demo would wait with a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        line.unwrap_or_else(|| panic!("no line with `{part}`"))
    }

    /// Asks it to stop, as Ctrl-C does.
    fn interrupt(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    }

    /// Its exit status and the last line of its standard output.
    fn end(mut self) -> (ExitStatus, Value) {
        let status = wait_for("the demo to end", || self.child.try_wait().unwrap());
        let mut output = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
        let mut log = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut log).unwrap();
        }
        let last = output.lines().last().unwrap_or_default();
        let summary = serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: `{last}`\n{log}"));
        (status, summary)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }
}

fn sum(counts: &Value) -> u64 {
    counts
        .as_object()
        .unwrap()
        .values()
        .map(|count| count.as_u64().unwrap())
        .sum()
}

/// What holds for every run, however long.
#[track_caller]
fn adds_up(summary: &Value) {
    let events = summary["events"].as_u64().unwrap();
    let predictions = summary["predictions"].as_u64().unwrap();
    assert_eq!(events, predictions + sum(&summary["dead_letters"]), "{summary}");
    assert_eq!(summary["missing"], 0, "{summary}");
    assert!(events > 0, "{summary}");
}

/// The tilt shows: the model was right and is wrong, and what it doubts flowed back.
#[track_caller]
fn drifts(summary: &Value) {
    let accuracy = |name: &str| summary[name].as_f64().unwrap_or_else(|| panic!("no {name}: {summary}"));
    // 0.998 and 0.214 are what the model's origin gives for the straight and the tilted digits.
    assert!(accuracy("accuracy_before") > 0.95, "{summary}");
    assert!((0.1..0.4).contains(&accuracy("accuracy_after")), "{summary}");
    assert!(summary["samples"]["uncertainty"].as_u64().unwrap() > 0, "{summary}");
}

#[test]
fn a_demo_left_to_itself_shows_the_drift_and_accounts_for_every_event() {
    let demo = Demo::start(&["--for", "12s"]);
    for path in ["/", "/status", "/metrics"] {
        let code = wait_for(path, || demo.page(path).filter(|code| *code != 503));
        assert_eq!(code, 200, "{path}");
    }
    let (status, summary) = demo.end();
    assert!(status.success(), "{status}: {summary}");
    adds_up(&summary);
    drifts(&summary);
    assert_eq!(summary["guarantee"], "at-least-once");
    assert_eq!(summary["pages"].as_array().unwrap().len(), 3);
    assert!(summary["seconds"].as_f64().unwrap() >= 12.0, "{summary}");
}

#[test]
fn an_interrupted_demo_finishes_what_it_sent_and_sums_up() {
    let mut demo = Demo::start(&["--rate", "500"]);
    demo.wait_for_line("camera straight");
    demo.interrupt();
    let (status, summary) = demo.end();
    assert!(status.success(), "{status}: {summary}");
    adds_up(&summary);
    assert_eq!(summary["accuracy_after"], Value::Null);
}

#[test]
fn on_the_users_own_kafka_it_is_exactly_once() {
    let kafka = Kafka::start();
    let demo = Demo::start(&["--for", "12s", "--brokers", &kafka.bootstrap()]);
    let (status, summary) = demo.end();
    assert!(status.success(), "{status}: {summary}");
    adds_up(&summary);
    drifts(&summary);
    assert_eq!(
        (&summary["guarantee"], &summary["repeated"]),
        (&"exactly-once".into(), &0.into())
    );
    let written = kafka.read_all("eddy-demo-predictions", Isolation::ReadCommitted);
    assert_eq!(written.len() as u64, summary["predictions"].as_u64().unwrap());
    assert_eq!(kafka.lag("eddy-demo", "eddy-demo-events"), 0);
}

#[test]
fn a_broker_that_is_not_there_is_named_and_ends_it_with_69() {
    let port = free_port();
    let output = Command::new(BINARY)
        .args(["demo", "--for", "1s", "--brokers", &format!("127.0.0.1:{port}")])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(69), "{said}");
    assert!(
        said.contains(&format!("127.0.0.1:{port}")) && said.contains("check the address"),
        "{said}"
    );
}
