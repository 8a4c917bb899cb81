//! A real registry, Apicurio, in memory and on loopback, and the reference serializers of Confluent's Python client.
//!
//! What is fetched, and where to, is the business of `tests/setup/registry`.

use std::env;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

use crate::kafka::process::spawn_for_the_life_of_this_process;
use crate::service::{ask, free_port, wait_for};

/// A server. Dropping it kills the process.
#[derive(Debug)]
pub struct Apicurio {
    child: Child,
    _folder: TempDir,
    port: u16,
}

fn fetched(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let path = root.join(".eddy/registry").join(name);
    assert!(
        path.exists(),
        "there is no {}: run `make test`, or `tests/setup/registry`",
        path.display()
    );
    path
}

impl Apicurio {
    /// Starts one that is empty.
    ///
    /// # Panics
    /// When there is none, or it does not get ready.
    pub fn start() -> Self {
        let (folder, port) = (TempDir::new().expect("a temporary folder"), free_port());
        let log = File::create(folder.path().join("log")).expect("the folder takes a log");
        let errors = log.try_clone().expect("a file can be shared");
        // It gets SIGKILL when this process ends, however that one ends.
        let java = env::var_os("JAVA_HOME").map_or("java".into(), |home| Path::new(&home).join("bin/java"));
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(java)
            .args(["-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .arg("-jar")
            .arg(fetched("app").join("runner.jar"))
            .env("QUARKUS_HTTP_HOST", "127.0.0.1")
            .env("QUARKUS_HTTP_PORT", port.to_string())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        let child = spawn_for_the_life_of_this_process(command).expect("`setpriv` is part of Debian (util-linux)");
        let server = Self {
            child,
            _folder: folder,
            port,
        };
        wait_for("Apicurio to be ready", || {
            ask(port, "/apis/ccompat/v7/subjects").filter(|(code, _)| *code == 200)
        });
        server
    }

    /// The one that the tests of this process share; subjects need names of their own.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Apicurio> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Its port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// URL of Confluent's API.
    pub fn url(&self) -> String {
        Self::url_at(self.port)
    }

    /// The same at another port, for a way to it that can be cut.
    pub fn url_at(port: u16) -> String {
        format!("http://127.0.0.1:{port}/apis/ccompat/v7")
    }
}

impl Drop for Apicurio {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Runs `tests/src/registry/reference.py`: bytes by Confluent's own serializers, values by its deserializers.
///
/// # Panics
/// When it fails.
pub fn python(order: &Value) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/registry/reference.py");
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("order.json");
    std::fs::write(&path, order.to_string()).expect("the folder takes a file");
    let output = Command::new(fetched("python").join("bin/python"))
        .arg(script)
        .arg(&path)
        .output();
    let output = output.expect("Python can be run");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"))
}
