//! The program under test: spawned as a user would, asked through its pages, ended by signals.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::kafka::process::{self, process_state, spawn_for_the_life_of_this_process};

/// Longest wait for anything. Only failures take this long.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Waits until `condition` gives something, asking ten times a second.
///
/// # Panics
/// After [`PATIENCE`], with what was waited for.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Everything that a process said, after a look at how it ended.
///
/// # Panics
/// When it ended otherwise: one that died of a signal has no code.
#[track_caller]
pub fn said(output: &Output, code: i32) -> String {
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

/// One replica of `eddy run`. Dropping it kills the process.
#[derive(Debug)]
pub struct Replica {
    child: Child,
    log: PathBuf,
    port: u16,
}

impl Replica {
    /// Starts `binary run pipeline` under an instance name, with `settings` laid over the file through the environment.
    pub fn start(binary: &str, pipeline: &Path, instance: &str, settings: &[(&str, &str)]) -> Self {
        let folder = pipeline.parent().expect("a file lies in a folder");
        Self::start_at(folder, binary, pipeline, (instance, settings))
    }

    /// The same for a pipeline file whose folder is not for logs.
    pub fn start_logging_to(folder: &Path, binary: &str, pipeline: &Path, settings: &[(&str, &str)]) -> Self {
        Self::start_at(folder, binary, pipeline, ("replica-0", settings))
    }

    fn start_at(folder: &Path, binary: &str, pipeline: &Path, (instance, settings): (&str, &[(&str, &str)])) -> Self {
        let port = free_port();
        let log = folder.join(format!("{instance}.{port}.log"));
        // It gets SIGKILL when this process ends, however that one ends.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--", binary, "run"])
            .arg(pipeline)
            .env("EDDY__KAFKA__INSTANCE", instance)
            .env("EDDY__ADMIN__ADDRESS", format!("127.0.0.1:{port}"))
            .envs(settings.iter().copied())
            .stdout(Stdio::null())
            .stderr(File::create(&log).expect("the temporary folder takes a log"));
        let child = spawn_for_the_life_of_this_process(command).expect("`setpriv` is part of Debian (util-linux)");
        Self { child, log, port }
    }

    /// Kills it without warning.
    pub fn kill(&mut self) {
        self.child.kill().expect("a running process can be killed");
        self.child.wait().expect("a killed process can be waited for");
    }

    /// Asks it to drain, and waits for its end.
    pub fn terminate(&mut self) -> ExitStatus {
        assert!(
            self.signal("TERM"),
            "the process had ended before it was asked to: {}",
            self.log()
        );
        self.wait()
    }

    /// Waits until it is frozen, by SIGSTOP from whomever.
    pub fn wait_until_frozen(&mut self) {
        wait_for("the process to be frozen", || {
            assert!(self.is_running(), "it ended: {}", self.log());
            (process_state(self.pid()) == Ok('T')).then_some(())
        });
    }

    /// Sends it a signal; says whether there was a process to take it.
    #[must_use]
    pub fn signal(&self, name: &str) -> bool {
        let sent = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status();
        sent.expect("`kill` is part of any system").success()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be asked")
    }

    /// The port of its admin pages, for [`ask`].
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where its log is.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let child = &mut self.child;
        wait_for("the process to end", || child.try_wait().expect("a child can be asked"))
    }

    /// Where its admin pages are.
    pub fn admin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Processor time that its threads of this name have used, in the kernel's ticks of a hundredth of a second.
    pub fn ticks_of(&self, thread: &str) -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid())).expect("it runs, on Linux");
        let ticks = tasks.filter_map(|task| {
            let stat = std::fs::read_to_string(task.ok()?.path().join("stat")).ok()?;
            let (name, fields) = stat.split_once('(')?.1.rsplit_once(") ")?;
            // Fields 14 and 15; the state, field 3, is the first after the name.
            let mut used = fields.split(' ').skip(11).map_while(|field| field.parse::<u64>().ok());
            (name == thread).then(|| used.next().unwrap_or(0) + used.next().unwrap_or(0))
        });
        ticks.sum()
    }

    /// The most memory that it has had so far, in bytes.
    pub fn peak_memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs, on Linux");
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"));
        let kib: usize = peak
            .and_then(|peak| peak.trim().parse().ok())
            .expect("the kernel writes a number here");
        kib << 10
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.ended().is_none()
    }

    /// `/status`, once it answers.
    pub fn status(&self) -> Option<Value> {
        serde_json::from_str(&self.get("/status")?).ok()
    }

    /// The body of an admin page, if it answers.
    pub fn get(&self, path: &str) -> Option<String> {
        ask(self.port, path).map(|(_, body)| body)
    }

    /// Status code of an admin page, if it answers.
    pub fn code(&self, path: &str) -> Option<u16> {
        ask(self.port, path).map(|(code, _)| code)
    }

    /// Everything it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if self.is_running() {
            self.kill();
        }
    }
}

/// A port that nobody listens on at this moment, and that no other test of this process is given.
pub fn free_port() -> u16 {
    let [port] = process::free_ports();
    port
}

/// The same whose next is such a port, too.
pub fn free_neighbours() -> u16 {
    process::free_neighbours()
}

/// Status code and body of a page of whoever listens on this port, if it answers.
pub fn ask(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let code = answer.split_whitespace().nth(1)?.parse().ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    Some((code, body.to_owned()))
}
