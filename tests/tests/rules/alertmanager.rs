//! A real Alertmanager with the example configuration, which is told of alerts as Prometheus would tell it.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use eddy_tests::rules::{alerts, passes, root, tool};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Dropping it ends the process.
struct Alertmanager {
    process: Child,
    port: u16,
    _storage: TempDir,
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        self.process.kill().expect("a child can be killed");
        self.process.wait().expect("a killed child can be waited for");
    }
}

impl Alertmanager {
    fn start() -> Self {
        let storage = tempfile::tempdir().expect("a temporary folder");
        let log = storage.path().join("log");
        let program = tool("alertmanager");
        let process = Command::new(&program)
            .current_dir(program.parent().expect("it lies in a folder"))
            .arg(format!("--config.file={}", configuration()))
            .arg(format!("--storage.path={}", storage.path().display()))
            // The kernel finds a free port, and the log tells which.
            .arg("--web.listen-address=127.0.0.1:0")
            .arg("--cluster.listen-address=")
            .stderr(File::create(&log).expect("the folder takes a file"))
            .spawn()
            .expect("Alertmanager can be started");
        let mut server = Self {
            process,
            port: 0,
            _storage: storage,
        };
        server.port = wait_for("Alertmanager listens", || {
            let text = std::fs::read_to_string(&log).ok()?;
            let (_, address) = text.split_once("msg=\"Listening on\" address=127.0.0.1:")?;
            let (port, _) = address.split_once('\n')?;
            port.trim().parse().ok()
        });
        wait_for("Alertmanager is ready", || server.ask("GET", "/-/ready", "").map(drop));
        server
    }

    /// The body of an answer 200.
    fn ask(&self, method: &str, path: &str, body: &str) -> Option<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        let head = format!(
            "{method} {path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + body).as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.split(' ')
            .nth(1)
            .is_some_and(|code| code == "200")
            .then(|| body.to_owned())
    }

    fn tell(&self, alerts: &[Value]) {
        let body = Value::from(alerts.to_vec()).to_string();
        self.ask("POST", "/api/v2/alerts", &body).expect("alerts are taken");
    }

    /// The names of the alerts of a pipeline that are inhibited, and of those that are told, once all have arrived.
    fn states(&self, pipeline: &str, count: usize) -> [Vec<String>; 2] {
        wait_for("all alerts have arrived", || {
            let answer = self.ask("GET", "/api/v2/alerts", "")?;
            let all: Value = serde_json::from_str(&answer).ok()?;
            let of_it: Vec<&Value> = all
                .as_array()?
                .iter()
                .filter(|alert| alert["labels"]["pipeline"] == pipeline)
                .collect();
            let is_known = |alert: &&Value| alert["status"]["state"] != "unprocessed";
            if of_it.len() < count || !of_it.iter().all(is_known) {
                return None;
            }
            Some([true, false].map(|inhibited| {
                let is_it =
                    |alert: &&&Value| alert["status"]["inhibitedBy"].as_array().is_none_or(Vec::is_empty) != inhibited;
                let mut names: Vec<String> = of_it
                    .iter()
                    .filter(is_it)
                    .map(|alert| alert["labels"]["alertname"].as_str().unwrap_or_default().to_owned())
                    .collect();
                names.sort();
                names
            }))
        })
    }
}

fn configuration() -> String {
    root()
        .join("dashboards/alertmanager/alertmanager.yml")
        .display()
        .to_string()
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "in a minute not yet: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An alert as the rules would raise it for a pipeline.
fn raised(name: &str, pipeline: &str) -> Value {
    let alerts = alerts();
    let alert = alerts
        .iter()
        .find(|alert| alert.name == name)
        .expect("the rules have it");
    json!({"labels": {
        "alertname": name,
        "severity": alert.severity,
        "about": alert.about,
        "namespace": "n",
        "pipeline": pipeline,
        "feature": "age",
    }})
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn the_example_of_an_alertmanager_is_sound() {
    let output = Command::new(tool("amtool"))
        .args(["check-config", &configuration()])
        .output();
    passes(&output.expect("amtool can be started"));
}

#[test]
fn alerts_on_drift_are_inhibited_where_a_rollout_a_backlog_or_a_flood_explains_them_and_nowhere_else() {
    let server = Alertmanager::start();
    let drift = [
        "EddyConfidenceDrop",
        "EddyFeatureDrift",
        "EddyMissingValues",
        "EddyModelDrift",
    ];
    for cause in ["EddyDeployment", "EddyCatchingUp", "EddyDeadLetterFlood"] {
        let explained = format!("with-{cause}");
        let mut raise: Vec<Value> = drift.iter().map(|name| raised(name, &explained)).collect();
        raise.push(raised("EddyLag", &explained));
        raise.push(raised(cause, &explained));
        server.tell(&raise);
        let mut told = names(&[cause, "EddyLag"]);
        told.sort();
        assert_eq!(server.states(&explained, 6), [names(&drift), told], "{cause}");
    }
    server.tell(&drift.map(|name| raised(name, "alone")));
    let told = ["EddyConfidenceDrop", "EddyMissingValues", "EddyModelDrift"];
    assert_eq!(server.states("alone", 4), [names(&["EddyFeatureDrift"]), names(&told)]);
}

#[test]
fn a_page_inhibits_the_warnings_about_the_same_and_the_higher_limit_the_lower() {
    let server = Alertmanager::start();
    let warnings = [
        "EddyFeatureDrift",
        "EddyFeatureDriftWarning",
        "EddyPredictionDrift",
        "EddyBudgetExhausted",
    ];
    server.tell(&warnings.map(|name| raised(name, "details")));
    let told = ["EddyBudgetExhausted", "EddyFeatureDrift", "EddyPredictionDrift"];
    assert_eq!(
        server.states("details", 4),
        [names(&["EddyFeatureDriftWarning"]), names(&told)]
    );

    server.tell(&warnings.map(|name| raised(name, "paged")));
    server.tell(&[raised("EddyModelDrift", "paged")]);
    let inhibited = ["EddyFeatureDrift", "EddyFeatureDriftWarning", "EddyPredictionDrift"];
    assert_eq!(
        server.states("paged", 5),
        [names(&inhibited), names(&["EddyBudgetExhausted", "EddyModelDrift"])]
    );

    server.tell(&["EddyNotReady", "EddyLag", "EddyStall", "EddySilentInput"].map(|name| raised(name, "gone")));
    assert_eq!(
        server.states("gone", 4),
        [
            names(&["EddyLag", "EddySilentInput", "EddyStall"]),
            names(&["EddyNotReady"])
        ]
    );
}
