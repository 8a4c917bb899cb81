//! The README, followed word for word: every command in it is run, in its order, by a person who has nothing but this folder.
//!
//! What stands for something of the reader's own is replaced by what this person has, and no more: see [`Person::typed`].

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use eddy_tests::rules::root;
use eddy_tests::service::{ask, free_neighbours, free_port, wait_for};

use super::onboarding::{fixture, passengers, rows};
use crate::BINARY;

/// Commands that are run elsewhere, and why not here.
const ELSEWHERE: [(&str, &str); 3] = [
    ("make demo", "`.ci/run` runs it"),
    ("make test", "this is part of it"),
    (
        "python3 -m venv venv && . venv/bin/activate && pip install -r config/consumers/requirements.txt",
        "`tests/setup/consumers` installs the same file, once",
    ),
];

/// The commands in the README's blocks, without comments and prompts.
fn commands() -> Vec<String> {
    let text = std::fs::read_to_string(root().join("README.md")).expect("the README is there");
    let blocks = text.split("```").skip(1).step_by(2);
    let of_block = |block: &str| -> Vec<String> {
        let (language, lines) = block.split_once('\n').expect("a block has lines");
        let is_session = lines.lines().any(|line| line.starts_with("$ "));
        let is_command = |line: &&str| !line.starts_with(['{', ' ', '[', '<', '│', '┌', '└']) && !line.is_empty();
        let command = |line: &str| {
            let line = line.strip_prefix("$ ").unwrap_or(line);
            line.split("  #").next().unwrap_or(line).trim().to_owned()
        };
        match (language, is_session) {
            ("", true) => lines
                .lines()
                .filter(|line| line.starts_with("$ "))
                .map(command)
                .collect(),
            ("", false) => lines.lines().filter(is_command).map(command).collect(),
            _ => Vec::new(),
        }
    };
    blocks.flat_map(of_block).collect()
}

/// Ends with the test.
struct Running(Child);

impl Running {
    /// Ctrl-C.
    fn interrupt(mut self) {
        let group = format!("-{}", self.0.id());
        let asked = Command::new("kill").args(["-INT", "--", &group]).status();
        assert!(asked.expect("kill runs").success());
        assert_eq!(self.0.wait().expect("it was started").code(), Some(0), "Ctrl-C drains");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Kafka is a child of `make`; all of them are one group.
        let group = format!("-{}", self.0.id());
        let mut kill = Command::new("kill");
        // It may have ended.
        drop(kill.args(["-KILL", "--", &group]).stderr(Stdio::null()).status());
        drop(self.0.wait());
    }
}

/// Somebody with a checkout.
struct Person {
    folder: tempfile::TempDir,
    kafka: u16,
    admin: u16,
    variables: BTreeMap<String, String>,
    services: Vec<Running>,
}

impl Person {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |path: &str| folder.path().join(path);
        let project = root();
        for name in [
            "Makefile",
            "Cargo.toml",
            "Cargo.lock",
            "rust-toolchain.toml",
            "services",
            "tests",
        ] {
            symlink(project.join(name), at(name)).expect("a link");
        }
        let copied = Command::new("cp")
            .arg("-r")
            .arg(project.join("config"))
            .arg(folder.path())
            .status();
        assert!(copied.expect("cp runs").success());
        // What was fetched is there; what Kafka keeps is this person's own.
        std::fs::create_dir(at(".eddy")).expect("a folder");
        for name in ["kafka", "onnxruntime"] {
            symlink(project.join(".eddy").join(name), at(".eddy").join(name)).expect("a link");
        }
        // A release takes ten minutes to build; here the program under test is at its place.
        std::fs::create_dir_all(at("target/release")).expect("a folder");
        symlink(BINARY, at("target/release/eddy")).expect("a link");
        Self {
            folder,
            // `make kafka` takes the next one, too.
            kafka: free_neighbours(),
            admin: free_port(),
            variables: BTreeMap::new(),
            services: Vec::new(),
        }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// A command as this person types it: with their ports, ids and files.
    fn typed(&self, command: &str) -> String {
        let mut typed = command
            .replace("cargo build --release -p eddy", "target/release/eddy --version")
            .replace("localhost:9092", &format!("localhost:{}", self.kafka))
            .replace("127.0.0.1:9180", &format!("127.0.0.1:{}", self.admin));
        if let Some(topic) = self.variables.get("EDDY__TOPICS__EVENTS") {
            // Of the events here, none is older than a minute, and all have passed.
            typed = typed
                .replace("e-26", &format!("{topic}/0/0"))
                .replace("events/0/17", &format!("{topic}/0/99999"))
                .replace(" --to 1d", "");
        }
        match typed.strip_prefix("python ") {
            Some(words) => format!(
                "{} {words} --bootstrap localhost:{}",
                root().join(".eddy/consumers/python/bin/python").display(),
                self.kafka
            ),
            None => typed,
        }
    }

    fn shell(&self, folder: &str, command: &str) -> Command {
        let mut shell = Command::new("bash");
        let found = std::env::var("PATH").expect("there is a PATH");
        let kcat = root().join(".eddy/kcat");
        shell
            .args(["-euc", &self.typed(command)])
            .current_dir(self.at(folder))
            .env(
                "PATH",
                format!("{}:{}:{found}", self.at("target/release").display(), kcat.display()),
            )
            .env("PORT", self.kafka.to_string())
            .env("EDDY_OFFLINE", "1")
            .env("EDDY__KAFKA__BROKERS", format!("localhost:{}", self.kafka))
            .env("EDDY__ADMIN__ADDRESS", format!("127.0.0.1:{}", self.admin))
            .envs(&self.variables);
        shell
    }

    /// Runs a command to its end, which is to be a good one; gives what it printed.
    #[track_caller]
    fn run(&self, folder: &str, command: &str) -> String {
        let output = self.shell(folder, command).output().expect("bash runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (said, complained) = (text(&output.stdout), text(&output.stderr));
        assert!(
            output.status.success(),
            "`{command}`: {}\n{said}{complained}",
            output.status
        );
        said
    }

    /// Starts what runs until Ctrl-C, in a terminal of its own.
    fn start(&mut self, folder: &str, command: &str) {
        use std::os::unix::process::CommandExt as _;
        let log = std::fs::File::create(self.at("terminal.log")).expect("a file");
        let mut shell = self.shell(folder, &format!("exec {command}"));
        shell.stdout(Stdio::null()).stderr(log).process_group(0);
        self.services.push(Running(shell.spawn().expect("bash runs")));
    }

    /// What the program said that was started last.
    fn log(&self) -> String {
        std::fs::read_to_string(self.at("terminal.log")).unwrap_or_default()
    }

    /// Starts `eddy run`, and waits until it is ready.
    fn start_eddy(&mut self, folder: &str, command: &str) {
        self.start(folder, command);
        wait_for("eddy to be ready", || {
            let service = &mut self.services.last_mut().expect("it was started").0;
            let ended = service.try_wait().expect("it can be asked");
            assert_eq!(ended, None, "`{command}` ended: {}", self.log());
            (ask(self.admin, "/ready")?.0 == 200).then_some(())
        });
    }

    /// Waits until so many events have an outcome.
    fn wait_for_outcomes(&self, events: u64) {
        wait_for("the events to be scored", || {
            let (_, page) = ask(self.admin, "/status")?;
            let status: serde_json::Value = serde_json::from_str(&page).ok()?;
            let count = |key: &str| status["events"][key].as_u64();
            (count("predicted")? + count("dead_lettered")? >= events).then_some(())
        });
    }

    /// From `make kafka` to the last page of the tutorial.
    fn begin(&mut self, command: &str) -> bool {
        match command {
            "make kafka" => {
                self.start("", command);
                wait_for("Kafka to answer", || {
                    let kafka = &mut self.services.last_mut().expect("it was started").0;
                    assert_eq!(kafka.try_wait().expect("it can be asked"), None, "{}", self.log());
                    let asked = self
                        .shell("", "kcat -b localhost:9092 -L -m 1")
                        .output()
                        .expect("bash runs");
                    asked.status.success().then_some(())
                });
            }
            "eddy run config/cancer/pipeline.toml" => {
                // A week of samples, for the model that is fitted later, is not there after a minute.
                let all = ("EDDY__SELECT__CONFIDENCE_BELOW".to_owned(), "1.0".to_owned());
                self.variables.extend([all]);
                self.start_eddy("", command);
                self.variables.clear();
            }
            "kcat -b localhost:9092 -t events -P -l config/cancer/events.jsonl" => {
                self.run("", command);
                self.wait_for_outcomes(60);
            }
            "kcat -b localhost:9092 -t predictions -C -o beginning -e" => {
                assert!(self.run("", command).contains("\"id\":\"cancer-394\""));
                self.run("", "eddy why config/cancer/pipeline.toml cancer-394");
            }
            "kcat -b localhost:9092 -t retraining -C -o beginning -e -f '%h\\n'" => {
                assert!(self.run("", command).contains("eddy.selection"));
                self.services.pop().expect("eddy runs").interrupt();
            }
            "eddy run mine/pipeline.toml" => {
                self.start_eddy("", command);
                self.run("", "kcat -b localhost:9092 -t events -P -l config/cancer/events.jsonl");
                self.wait_for_outcomes(60);
                self.services.pop().expect("eddy runs").interrupt();
                self.settle_in();
            }
            _ => return false,
        }
        true
    }

    /// From here on the README speaks of a pipeline of the reader's own, in the folder that they are in. This person's is of
    /// Titanic's passengers; it runs, and its events are there.
    fn settle_in(&mut self) {
        let csv = passengers(&fixture("titanic.csv"));
        std::fs::create_dir(self.at("own")).expect("a folder");
        std::fs::write(self.at("own/train.csv"), &csv).expect("a file");
        let init = "eddy init --model ../config/titanic/model.onnx --data train.csv --out .";
        self.run("own", init);
        for (key, topic) in [
            ("EVENTS", "own-events"),
            ("PREDICTIONS", "own-predictions"),
            ("RETRAINING", "own-retraining"),
            ("DEAD_LETTERS", "own-dead-letters"),
        ] {
            self.variables.insert(format!("EDDY__TOPICS__{key}"), topic.into());
        }
        self.variables.insert("EDDY__KAFKA__START".into(), "earliest".into());
        self.variables
            .insert("EDDY__ADMIN__TOKEN".into(), "{ file = \"token\" }".into());
        let events: Vec<String> = rows(&csv, "survived")
            .into_iter()
            .map(|(members, _)| serde_json::Value::Object(members).to_string())
            .collect();
        let write = |name: &str, text: String| std::fs::write(self.at("own").join(name), text).expect("a file");
        write("stream.jsonl", events.join("\n") + "\n{ this is malformed\n");
        write("events.jsonl", events[..20].join("\n") + "\n");
        write("event.json", events[0].clone());
        write("token", "0123456789abcdef0123456789abcdef".into());
        std::fs::copy(self.at("own/pipeline.toml"), self.at("own/next.toml")).expect("a file");
        // Each has its id and its label.
        std::fs::copy(self.at("config/cancer/events.jsonl"), self.at("labels.jsonl")).expect("a file");
        self.run("own", "eddy topics pipeline.toml --with-events --apply");
        self.start_eddy("own", "eddy run pipeline.toml");
        self.run("own", "kcat -b localhost:9092 -t own-events -P -p 0 -l stream.jsonl");
        self.wait_for_outcomes(events.len() as u64 + 1);
    }

    /// Where a command of the later sections is typed.
    fn folder_of(command: &str) -> &'static str {
        if command.starts_with("python ") { "" } else { "own" }
    }
}

#[test]
fn every_command_of_the_readme_works_in_its_order_for_somebody_new() {
    let commands = commands();
    for (command, why) in ELSEWHERE {
        assert!(
            commands.iter().any(|typed| typed == command),
            "`{command}` ({why}) is not there any more"
        );
    }
    let mut person = Person::new();
    let (mut is_settled, mut count) = (false, 0);
    for command in commands {
        if ELSEWHERE.iter().any(|(elsewhere, _)| *elsewhere == command) {
            continue;
        }
        count += 1;
        if person.begin(&command) {
            is_settled |= Path::new(&person.at("own")).exists();
            continue;
        }
        let folder = if is_settled { Person::folder_of(&command) } else { "" };
        person.run(folder, &command);
    }
    assert!(is_settled && count >= 28, "{count}");
    person.services.pop().expect("eddy runs").interrupt();
}
