//! Images and containers, by the client that `tests/setup/docker` chose.
//!
//! Owns: building images once for all tests, and containers that go away with the test. Never does: judge what they do.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;

use eddy_tests::rules::root;
use eddy_tests::service::{ask, free_port, wait_for};
use eddy_tests::stage::{Stage, models};
use serde_json::Value;

/// Every container of these tests has it; its value is the id of their process.
const LABEL: &str = "eddy-tests";
/// What is published runs so, too: nothing to write to, no capability, and no way to get one.
const RESTRICTED: [&str; 4] = [
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--detach",
];

/// What the images of these tests are told about themselves.
pub(crate) const VERSION: &str = "0.0.0-test";
pub(crate) const REVISION: &str = "0123456789abcdef0123456789abcdef01234567";
pub(crate) const CREATED: &str = "2026-01-02T03:04:05Z";

/// Runs the client.
pub(crate) fn docker<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> Output {
    let client = root().join(".eddy/docker/client");
    assert!(client.exists(), "no {}; run tests/setup/docker", client.display());
    let run = Command::new(client).args(words).env("DOCKER_BUILDKIT", "1").output();
    run.expect("the client runs")
}

/// What the client printed, which has to have ended well.
#[track_caller]
pub(crate) fn said<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> String {
    let output = docker(words);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    assert!(
        output.status.success(),
        "{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// The image of the working tree.
pub(crate) fn present() -> &'static str {
    static BUILT: OnceLock<()> = OnceLock::new();
    const TAG: &str = "eddy-tests:present";
    BUILT.get_or_init(|| build(TAG, &root()));
    TAG
}

/// The image of the commit before this one.
pub(crate) fn previous() -> &'static str {
    static BUILT: OnceLock<()> = OnceLock::new();
    const TAG: &str = "eddy-tests:previous";
    BUILT.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let script = r#"
            # Of a checkout without history, the commit before is not to be had.
            before=HEAD^; git -C "$0" rev-parse --quiet --verify "$before" > /dev/null || before=HEAD
            echo "the image before is that of $before: $(git -C "$0" log -1 --format='%h %s' "$before")" >&2
            git -C "$0" archive "$before" | tar -x -C "$1"
            # A commit from before there was the profile of these tests is built by it all the same.
            grep -q '^.profile.trial.$' "$1/Cargo.toml" || sed -n '/^.profile.trial.$/,/^$/p' "$0/Cargo.toml" >> "$1/Cargo.toml"
        "#;
        let mut copy = Command::new("sh");
        copy.args(["-ec", script]).arg(root()).arg(folder.path());
        assert!(copy.status().expect("sh runs").success(), "HEAD^ could not be copied");
        build(TAG, folder.path());
    });
    TAG
}

/// Builds the image of a folder, by a profile that takes less time than that of a release, unless PROFILE names one.
fn build(tag: &str, folder: &Path) {
    let profile = std::env::var("PROFILE").unwrap_or_else(|_| "trial".into());
    let arguments = [
        ("PROFILE", profile.as_str()),
        ("VERSION", VERSION),
        ("REVISION", REVISION),
        ("CREATED", CREATED),
    ];
    build_file(tag, &folder.join("docker/Dockerfile"), folder, &arguments);
}

/// Builds the image of a file on the bases that are at hand.
pub(crate) fn build_file(tag: &str, file: &Path, folder: &Path, arguments: &[(&str, &str)]) {
    eprintln!("building {tag} {arguments:?}");
    let file = file.display().to_string();
    let folder = folder.display().to_string();
    let bases = root().join(".eddy/docker/bases");
    let bases =
        std::fs::read_to_string(&bases).unwrap_or_else(|_| panic!("no {}; run tests/setup/docker", bases.display()));
    let bases = bases.lines().map(|base| format!("--build-arg={base}"));
    let own = ["build", "--network=host", "--file", &file, "--tag", tag].map(str::to_owned);
    let arguments = arguments
        .iter()
        .map(|(name, value)| format!("--build-arg={name}={value}"));
    said(own.into_iter().chain(bases).chain(arguments).chain([folder]));
}

/// What the engine knows of an image or a container.
pub(crate) fn inspect(name: &str) -> Value {
    let all: Value = serde_json::from_str(&said(["inspect", name])).expect("the client prints JSON");
    all[0].clone()
}

/// Removes what tests left behind that were ended before they could.
fn remove_stale() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        let filter = format!("label={LABEL}");
        let format = format!("{{{{.ID}}}} {{{{.Label {LABEL:?}}}}}");
        let all = said(["ps", "--all", "--filter", &filter, "--format", &format]);
        let pairs = all.lines().filter_map(|line| line.split_once(' '));
        for (id, _) in pairs.filter(|(_, owner)| !Path::new("/proc").join(owner).exists()) {
            said(["rm", "--force", id]);
        }
    });
}

/// A replica of a pipeline in a container. It is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Container {
    id: String,
    port: u16,
}

impl Container {
    /// Starts a container of an image on the pipeline of a stage, under an instance name, with `settings` laid over the file.
    pub(crate) fn start(image: &str, stage: &Stage, instance: &str, settings: &[(&str, &str)]) -> Self {
        let port = free_port();
        let file = stage.file();
        let folder = file.parent().expect("a file lies in a folder");
        readable(folder);
        let models = models();
        let mounts = [(folder, "/etc/eddy"), (&models, models.to_str().expect("UTF-8"))];
        let mounts = mounts.map(|(from, to)| format!("--volume={}:{to}:ro", from.display()));
        let own = [
            "--network=host".to_owned(),
            format!("--env=EDDY__KAFKA__INSTANCE={instance}"),
            format!("--env=EDDY__ADMIN__ADDRESS=127.0.0.1:{port}"),
        ];
        let settings = settings.iter().map(|(name, value)| format!("--env={name}={value}"));
        let options: Vec<String> = mounts.into_iter().chain(own).chain(settings).collect();
        let id = run(image, &options, &[]);
        Self { id, port }
    }

    /// Starts a container that no network reaches, and has no settings but those of the image.
    pub(crate) fn alone(image: &str, words: &[&str]) -> Self {
        let options = ["--network=none", "--tmpfs=/tmp"].map(str::to_owned);
        let id = run(image, &options, words);
        Self { id, port: 0 }
    }

    /// Runs a container to its end; gives its exit code and what it complained of.
    pub(crate) fn run_to_end(image: &str, options: &[String], words: &[&str]) -> (i32, String) {
        let id = run(image, options, words);
        let container = Self { id, port: 0 };
        let code = said(["wait", &container.id]);
        (code.parse().expect("a code"), container.log())
    }

    /// Waits until it is ready.
    pub(crate) fn wait_until_ready(&self) {
        wait_for("the replica to be ready", || {
            assert!(self.is_running(), "it ended by itself: {}", self.log());
            let (code, _) = ask(self.port, "/ready")?;
            (code == 200).then_some(())
        });
    }

    /// Waits until that many events have an outcome by it.
    pub(crate) fn wait_for_outcomes(&self, at_least: u64) {
        wait_for("events to flow", || {
            assert!(self.is_running(), "it ended by itself: {}", self.log());
            let (_, page) = ask(self.port, "/status")?;
            let status: Value = serde_json::from_str(&page).ok()?;
            (status["events"]["predicted"].as_u64()? >= at_least).then_some(())
        });
    }

    /// SIGTERM, as the engine sends it; gives the exit code.
    pub(crate) fn terminate(&self) -> i64 {
        assert!(self.is_running(), "it had ended before it was asked to: {}", self.log());
        said(["stop", "--time=60", &self.id]);
        inspect(&self.id)["State"]["ExitCode"].as_i64().expect("a code")
    }

    /// SIGKILL.
    pub(crate) fn kill(&self) {
        said(["kill", &self.id]);
        said(["wait", &self.id]);
    }

    /// Starts it again after its end.
    pub(crate) fn start_again(&self) {
        said(["start", &self.id]);
    }

    pub(crate) fn is_running(&self) -> bool {
        inspect(&self.id)["State"]["Running"] == true
    }

    /// `starting`, `healthy` or `unhealthy`.
    pub(crate) fn health(&self) -> String {
        let state = &inspect(&self.id)["State"]["Health"]["Status"];
        state.as_str().expect("the image has a health check").to_owned()
    }

    /// Runs the program in it once more; gives its exit code.
    pub(crate) fn program(&self, words: &[&str]) -> Option<i32> {
        let exec = ["exec", &self.id, "/usr/local/bin/eddy"];
        docker(exec.iter().chain(words)).status.code()
    }

    /// The port of its admin pages.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Everything it logged.
    pub(crate) fn log(&self) -> String {
        let output = docker(["logs", &self.id]);
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // A panic here could hide the test's own.
        drop(docker(["rm", "--force", "--volumes", &self.id]));
    }
}

fn run(image: &str, options: &[String], words: &[&str]) -> String {
    remove_stale();
    let label = format!("--label={LABEL}={}", std::process::id());
    let options = options.iter().map(String::as_str);
    let all = ["run", &label].into_iter().chain(RESTRICTED).chain(options);
    said(all.chain([image]).chain(words.iter().copied()))
}

/// The user of the image is nobody that this machine knows.
fn readable(folder: &Path) {
    let status = Command::new("chmod").args(["-R", "a+rX"]).arg(folder).status();
    assert!(status.expect("chmod runs").success());
}
