//! A real Prometheus on a free loopback port, which scrapes what it is told to and runs the project's rules.
//!
//! Owns: its configuration, its process, and what it answers. Never does: judge that; tests do.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::kafka::process::spawn_for_the_life_of_this_process;
use crate::rules::{files, tool};
use crate::service::{ask, free_port, wait_for};

/// One series of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

impl Sample {
    /// A label; empty where there is none.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// A server. Dropping it kills the process.
#[derive(Debug)]
pub struct Prometheus {
    child: Child,
    folder: TempDir,
    port: u16,
}

impl Prometheus {
    /// Starts one that scrapes every half second and evaluates every second the project's rules, each as `change` makes it.
    ///
    /// # Panics
    /// When there is no Prometheus, or it does not get ready.
    pub fn start(change: impl Fn(&str) -> String) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        let mut rules = Vec::new();
        for (number, file) in files().iter().enumerate() {
            let text = std::fs::read_to_string(file).expect("the rules can be read");
            let name = format!("{number:02}.yml");
            std::fs::write(at(&name), change(&text)).expect("the folder takes a file");
            rules.push(name);
        }
        let configuration = json!({
            "global": {"scrape_interval": "500ms", "evaluation_interval": "1s"},
            "rule_files": rules,
            "scrape_configs": [{
                "job_name": "eddy",
                "file_sd_configs": [{"files": ["targets.json"], "refresh_interval": "1s"}],
            }],
        });
        // JSON is YAML.
        std::fs::write(at("prometheus.yml"), configuration.to_string()).expect("the folder takes a file");
        std::fs::write(at("targets.json"), "[]").expect("the folder takes a file");
        let port = free_port();
        let log = File::create(at("log")).expect("the folder takes a log");
        // It gets SIGKILL when this process ends, however that one ends.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(tool("prometheus"))
            .arg(format!("--config.file={}", at("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", at("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(log);
        let child = spawn_for_the_life_of_this_process(command).expect("`setpriv` is part of Debian (util-linux)");
        let server = Self { child, folder, port };
        wait_for("Prometheus to be ready", || {
            ask(server.port, "/-/ready").filter(|(code, _)| *code == 200)
        });
        server
    }

    /// Scrapes these from now on: port, instance and namespace of each.
    ///
    /// # Panics
    /// When the folder takes no file.
    pub fn scrape(&self, targets: &[(u16, &str, &str)]) {
        let groups: Vec<Value> = targets
            .iter()
            .map(|(port, instance, namespace)| {
                let labels = json!({"instance": instance, "namespace": namespace, "cluster": "test"});
                json!({"targets": [format!("127.0.0.1:{port}")], "labels": labels})
            })
            .collect();
        let path = |name: &str| self.folder.path().join(name);
        // Whole or not at all: Prometheus may be reading.
        std::fs::write(path("targets.new"), Value::from(groups).to_string()).expect("the folder takes a file");
        std::fs::rename(path("targets.new"), path("targets.json")).expect("a file can be renamed");
    }

    /// What an expression gives now.
    ///
    /// # Panics
    /// When it is no expression, or what it gives is no vector.
    #[track_caller]
    pub fn query(&self, expression: &str) -> Vec<Sample> {
        let answer = wait_for("Prometheus to answer", || {
            ask(self.port, &format!("/api/v1/query?query={}", escaped(expression)))
        });
        let answer: Value =
            serde_json::from_str(&unchunked(&answer.1)).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        let data = &answer["data"];
        let number = |value: &Value| -> f64 {
            let text = value[1].as_str().expect("a value is a text");
            text.parse().expect("of a number")
        };
        match data["resultType"].as_str() {
            Some("scalar") => vec![Sample {
                labels: BTreeMap::new(),
                value: number(&data["result"]),
            }],
            _ => {
                let series = data["result"].as_array().expect("a list").iter();
                let sample = |one: &Value| Sample {
                    labels: serde_json::from_value(one["metric"].clone()).expect("labels are texts"),
                    value: number(&one["value"]),
                };
                series.map(sample).collect()
            }
        }
    }

    /// The one number that an expression gives; 0 where it gives none.
    ///
    /// # Panics
    /// As [`Self::query`], and when it gives several.
    #[track_caller]
    pub fn number(&self, expression: &str) -> f64 {
        let samples = self.query(expression);
        assert!(samples.len() < 2, "{expression}: {samples:?}");
        samples.first().map_or(0.0, |sample| sample.value)
    }

    /// Everything it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The project's rules as they are, evaluated every second in the place of every minute.
pub fn every_second(rules: &str) -> String {
    rules
        .replace("interval: 1m", "interval: 1s")
        .replace("interval: 5m", "interval: 1s")
}

fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// A body as it was before it was cut into chunks, if it was.
fn unchunked(body: &str) -> String {
    let mut rest = body;
    let mut whole = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let Ok(size) = usize::from_str_radix(size.trim(), 16) else {
            break;
        };
        let Some(chunk) = after.get(..size) else { break };
        whole.push_str(chunk);
        rest = after[size..].trim_start_matches("\r\n");
    }
    if whole.is_empty() { body.to_owned() } else { whole }
}
