//! The wire: encryption, who we are, what we may do, on a real Kafka that asks. Each failure names its cause and its fix.
//!
//! The tests share one broker (`eddy_tests::secure`); each has topics, users and a group of its own.

#[path = "wire/permissions.rs"]
mod permissions;
#[path = "wire/secrets.rs"]
mod secrets;
#[path = "wire/tokens.rs"]
mod tokens;
#[path = "wire/topics.rs"]
mod topics;
#[path = "wire/way_in.rs"]
mod way_in;

use std::path::Path;
use std::process::{Command, Output};

use eddy_broker::settings::{Operation, Permission, Resource, Settings};
use eddy_tests::certificates::{Authority, Identity};
use eddy_tests::kafka::{self, Acl};
use eddy_tests::secure::{Door, SecureKafka, write_identity};
use eddy_tests::service::{Replica, said};
use eddy_tests::stage::{AT_LEAST_ONCE, EXACTLY_ONCE, Event, PICK, Plan, Stage, by_id};
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_eddy-under-test");
const UNREACHABLE: i32 = 69;
const GUARANTEE_LOST: i32 = 70;
const CONFIGURATION: i32 = 78;

fn stage(name: &str, guarantee: &str) -> Stage {
    let plan = Plan {
        name,
        guarantee,
        partitions: 1,
        limits: &[],
        text: PICK,
    };
    Stage::on(SecureKafka::shared().kafka(), &plan)
}

/// What a pipeline's principal needs, as the code has it.
fn permissions_of(stage: &Stage) -> Vec<Permission> {
    settings_of(stage).permissions()
}

/// What a person needs who reads topics back, as the code has it.
fn recall_permissions_of(stage: &Stage) -> Vec<Permission> {
    settings_of(stage).recall_permissions()
}

fn settings_of(stage: &Stage) -> Settings {
    let pipeline = eddy::file::load(&stage.file(), []).expect("the file is sound");
    pipeline.file.broker(&pipeline.folder)
}

/// The same as Kafka has it.
fn granted(permission: &Permission, principal: &str) -> Acl {
    let name = permission.name.clone();
    Acl {
        principal: principal.into(),
        resource: match permission.resource {
            Resource::Topic => kafka::Resource::Topic(name),
            Resource::Topics => kafka::Resource::Topics(name),
            Resource::Group => kafka::Resource::Group(name),
            Resource::Groups => kafka::Resource::Groups(name),
            Resource::TransactionalIds => kafka::Resource::TransactionalIds(name),
        },
        operation: match permission.operation {
            Operation::Read => kafka::Operation::Read,
            Operation::Write => kafka::Operation::Write,
            Operation::Describe => kafka::Operation::Describe,
        },
    }
}

fn allow_all(stage: &Stage, principal: &str) {
    let acls: Vec<Acl> = permissions_of(stage)
        .iter()
        .map(|one| granted(one, principal))
        .collect();
    SecureKafka::shared().kafka().allow(&acls);
}

/// Sixty events that all can be scored, with ids from `first` on.
fn events(first: usize) -> Vec<Event> {
    let event = |number: usize| Event::pair((number % 10) as f64, 1.0).named(&format!("{number:04}"));
    (first..first + 60).map(event).collect()
}

/// How a pipeline gets in: settings that are laid over its file, and the files that they name.
struct Client {
    folder: TempDir,
    settings: Vec<(String, String)>,
}

impl Client {
    /// In the open.
    fn at(address: &str) -> Self {
        let client = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            settings: Vec::new(),
        };
        client.set("BROKERS", address)
    }

    /// Through a door, trusting its authority.
    fn through(door: Door) -> Self {
        let secure = SecureKafka::shared();
        Self::at(&secure.address(door)).trusting(secure.authority())
    }

    fn set(mut self, key: &str, value: &str) -> Self {
        self.settings.push((format!("EDDY__KAFKA__{key}"), value.into()));
        self
    }

    fn trusting(self, authority: &Authority) -> Self {
        let ca = self.write("ca.pem", &authority.pem());
        self.set("TLS__CA", &ca)
    }

    fn presenting(self, identity: &Identity, password: Option<&str>) -> Self {
        let (certificate, key) = write_identity(self.folder.path(), identity, password);
        let client = self
            .set("TLS__CERTIFICATE", &certificate.display().to_string())
            .set("TLS__KEY", &key.display().to_string());
        let Some(password) = password else { return client };
        let file = client.write("key-password", password);
        client.set("TLS__KEY_PASSWORD", &format!("{{ file = \"{file}\" }}"))
    }

    fn named(self, mechanism: &str, user: &str, password: &str) -> Self {
        let file = self.write("password", password);
        self.set("SASL__MECHANISM", mechanism)
            .set("SASL__USERNAME", user)
            .set("SASL__PASSWORD", &format!("{{ file = \"{file}\" }}"))
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("the temporary folder takes a file");
        path.display().to_string()
    }

    fn settings(&self) -> Vec<(&str, &str)> {
        self.settings
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect()
    }

    fn check(&self, stage: &Stage) -> Output {
        eddy_check(&stage.file(), &self.settings())
    }

    fn start(&self, stage: &Stage) -> Replica {
        stage.start(BINARY, &self.settings())
    }

    /// The whole way works: every event comes out once.
    #[track_caller]
    fn works(&self, stage: &Stage) {
        said(&self.check(stage), 0);
        stage.send(&events(0));
        let outputs = stage.run(BINARY, &self.settings());
        assert_eq!(by_id(&outputs.predictions).len(), 60);
    }

    /// Neither `eddy check` nor `eddy run` gets in, and both say all of `words`.
    #[track_caller]
    fn fails(&self, stage: &Stage, code: i32, words: &[&str]) {
        // Some wait for brokers that may still come: together they take no longer than one.
        let (checked, (status, log)) = std::thread::scope(|scope| {
            let run = scope.spawn(|| {
                let mut replica = self.start(stage);
                (replica.wait(), replica.log())
            });
            (self.check(stage), run.join().expect("it ends"))
        });
        let checked = said(&checked, code);
        assert_eq!(status.code(), Some(code), "{log}");
        for (command, text) in [("check", checked), ("run", log)] {
            assert!(!text.contains("panicked"), "{text}");
            for word in words {
                assert!(text.contains(word), "eddy {command}: `{word}` is missing in: {text}");
            }
        }
    }
}

fn eddy_check(file: &Path, settings: &[(&str, &str)]) -> Output {
    Command::new(BINARY)
        .arg("check")
        .arg(file)
        .envs(settings.iter().copied())
        .output()
        .expect("the program under test was built with the tests")
}
