//! The admin address from outside: encrypted, asked by the commands, and fuzzed.

#[path = "admin/commands.rs"]
mod commands;
#[path = "admin/fuzz.rs"]
mod fuzz;
#[path = "admin/requests.rs"]
mod requests;
#[path = "admin/tls.rs"]
mod tls;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eddy_host::{
    AdminAddress, AdminHandle, AdminServer, AdminSettings, AdminSources, AdminTls, Control, NoStatus, Readiness,
    Refusal, Reply, Shutdown, SystemClock, Tasks,
};
use eddy_secret::Secret;
use eddy_telemetry::Metrics;
use eddy_tests::certificates::{Authority, Identity, Validity};
use serde_json::json;
use tempfile::TempDir;

/// Long enough that only a hung server reaches it.
const PATIENCE: Duration = Duration::from_secs(30);
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// What was changed.
#[derive(Debug, Default)]
struct Changed(Mutex<Vec<(String, Vec<u8>)>>);

impl Changed {
    fn verbs(&self) -> Vec<String> {
        let changed = self.0.lock().expect("nobody panics");
        changed.iter().map(|(verb, _)| verb.clone()).collect()
    }
}

impl Control for Changed {
    fn verbs(&self) -> &'static [&'static str] {
        &["pause", "resume", "skip", "log", "score"]
    }

    fn perform(&self, verb: &str, body: &[u8], _: &str) -> Result<Reply, Refusal> {
        let mut changed = self.0.lock().expect("nobody panics");
        changed.push((verb.to_owned(), body.to_vec()));
        Ok(json!({ "answer": format!("{verb} is done") }).into())
    }
}

/// An admin server.
struct Service {
    handle: AdminHandle,
    changed: Arc<Changed>,
    metrics: Metrics,
}

impl Service {
    fn start(settings: &AdminSettings) -> Self {
        let changed = Arc::new(Changed::default());
        let metrics = Metrics::new("digits", "0.1.0");
        let sources = AdminSources {
            metrics: metrics.clone(),
            readiness: Readiness::starting(),
            status: Arc::new(NoStatus),
            control: changed.clone(),
        };
        let tasks = Tasks::new(Shutdown::new(Arc::new(SystemClock::start()), PATIENCE));
        let server = AdminServer::bind(settings, sources).expect("a free port and sound files");
        let handle = server.expect("it is on").start(&tasks).expect("a thread");
        Self {
            handle,
            changed,
            metrics,
        }
    }

    fn address(&self) -> SocketAddr {
        self.handle.address()
    }
}

/// Settings on a free port of loopback, with a token.
fn settings(folder: &Path) -> AdminSettings {
    std::fs::write(folder.join("token"), TOKEN).expect("the folder takes a file");
    AdminSettings {
        address: AdminAddress::At(SocketAddr::from(([127, 0, 0, 1], 0))),
        token: Some(Secret::File(folder.join("token"))),
        ..AdminSettings::default()
    }
}

/// A folder with certificates, and the authority that issued them.
struct Files {
    folder: TempDir,
    authority: Authority,
}

impl Files {
    /// `ca.pem`, and the server's own `server.pem` and `server.key`.
    fn new() -> Self {
        let files = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            authority: Authority::new("an authority"),
        };
        files.write("ca.pem", &files.authority.pem());
        files.show(
            &files
                .authority
                .issue("eddy", &["eddy.test", "127.0.0.1"], Validity::Long),
        );
        files
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("the folder takes a file");
    }

    /// Makes it what the server shows.
    fn show(&self, identity: &Identity) {
        self.write("server.pem", &identity.certificate_pem());
        self.write("server.key", &identity.key_pem());
    }

    /// Writes a client's certificate and key as `NAME.pem` and `NAME.key`.
    fn write_client(&self, name: &str, identity: &Identity) {
        self.write(&format!("{name}.pem"), &identity.certificate_pem());
        self.write(&format!("{name}.key"), &identity.key_pem());
    }

    fn tls(&self) -> AdminTls {
        AdminTls {
            certificate: self.path("server.pem"),
            key: Secret::File(self.path("server.key")),
            client_ca: None,
        }
    }

    fn settings(&self) -> AdminSettings {
        AdminSettings {
            tls: Some(self.tls()),
            ..settings(self.folder.path())
        }
    }
}
