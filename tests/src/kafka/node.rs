//! One broker: its folder, its process, its end. Nothing of it stays behind.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::process::{
    HOME_PREFIX, LOCK_FILE, distribution, java_command, process_state, spawn_for_the_life_of_this_process,
};
use super::wait::{DEADLINE, PAUSE, eventually};

/// How long a broker may take to stop by itself before it is killed.
const STOP_DEADLINE: Duration = Duration::from_secs(15);

/// A broker of a cluster. It is killed when this is dropped, and dies with the process that started it.
pub(crate) struct Node {
    home: TempDir,
    _lock: File,
    /// Options of the Java machine beside the usual ones.
    java: Vec<String>,
    process: Option<Child>,
}

impl Node {
    /// A formatted, empty broker. `properties` is told the data folder and gives `server.properties`.
    pub(crate) fn prepare(id: usize, properties: impl FnOnce(&Path) -> String) -> Self {
        let home = tempfile::Builder::new()
            .prefix(HOME_PREFIX)
            .tempdir()
            .expect("temporary folder");
        let lock = File::create(home.path().join(LOCK_FILE)).expect("lock file");
        lock.lock().expect("lock");
        let data = home.path().join("data");
        format_data_folder(&data, id);
        fs::write(home.path().join("server.properties"), properties(&data)).expect("server.properties");
        Self {
            home,
            _lock: lock,
            java: Vec::new(),
            process: None,
        }
    }

    /// The same with more options for the Java machine.
    pub(crate) fn with_java(mut self, options: impl Iterator<Item = String>) -> Self {
        self.java.extend(options);
        self
    }

    /// Starts the process; what it serves, and when, is to be waited for.
    pub(crate) fn launch(&mut self) -> Result<(), String> {
        let log = File::options().create(true).append(true).open(self.log_path());
        let log = log.map_err(|e| format!("no log file: {e}"))?;
        let errors = log.try_clone().map_err(|e| format!("no log file: {e}"))?;
        let mut command = java_command(distribution());
        command
            .args(&self.java)
            .arg("kafka.Kafka")
            .arg(self.home.path().join("server.properties"));
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        let process = spawn_for_the_life_of_this_process(command)
            .map_err(|e| format!("setpriv (Debian package util-linux) could not be run: {e}"))?;
        self.process = Some(process);
        Ok(())
    }

    /// Tries until it works. The error says why it never did, with the end of the broker's log.
    pub(crate) fn wait_for(
        &mut self,
        what: &str,
        mut attempt: impl FnMut() -> Result<(), String>,
    ) -> Result<(), String> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let Err(reason) = attempt() else { return Ok(()) };
            let process = self.process.as_mut().expect("kafka was launched");
            if let Some(status) = process.try_wait().map_err(|e| e.to_string())? {
                let log = self.log_tail();
                return Err(format!("while waiting for {what} the broker ended, {status}\n{log}"));
            }
            if Instant::now() > deadline {
                return Err(format!("gave up waiting for {what}: {reason}\n{}", self.log_tail()));
            }
            thread::sleep(PAUSE);
        }
    }

    /// The process id; `None` after [`Node::kill`] or [`Node::shutdown`].
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Whether there is a process; a frozen one runs too.
    pub(crate) fn is_running(&mut self) -> bool {
        let Some(process) = &mut self.process else { return false };
        process.try_wait().expect("a child can be asked").is_none()
    }

    /// SIGKILL: nothing is flushed, nobody is told.
    pub(crate) fn kill(&mut self) {
        assert!(self.process.is_some(), "kafka is running");
        self.end();
    }

    /// The same, also for a process that has ended by itself, or none.
    pub(crate) fn end(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("kill kafka");
            process.wait().expect("wait for kafka");
        }
    }

    /// SIGSTOP: connections stay open and nothing answers.
    pub(crate) fn stop(&self) {
        let pid = self.signal("STOP");
        eventually("kafka is frozen", || match process_state(pid)? {
            'T' => Ok(()),
            state => Err(format!("process state {state}")),
        });
    }

    /// SIGCONT.
    pub(crate) fn cont(&self) {
        self.signal("CONT");
    }

    /// SIGTERM, and SIGKILL if that takes too long. Does nothing if it does not run.
    pub(crate) fn shutdown(&mut self) {
        if self.process.is_none() {
            return;
        }
        self.signal("TERM");
        self.signal("CONT");
        let deadline = Instant::now() + STOP_DEADLINE;
        while self.is_running() && Instant::now() < deadline {
            thread::sleep(PAUSE);
        }
        self.kill();
    }

    /// Sends a signal and returns the process id. The child has not been waited for, so the id is still its own.
    fn signal(&self, name: &str) -> u32 {
        let pid = self.pid().expect("kafka is running");
        let script = r#"kill -s "$0" "$1""#;
        let status = Command::new("sh")
            .args(["-c", script, name, &pid.to_string()])
            .status()
            .expect("run sh");
        assert!(status.success(), "signal {name} could not be sent to process {pid}");
        pid
    }

    fn log_path(&self) -> PathBuf {
        self.home.path().join("kafka.log")
    }

    /// The last 40 lines that it logged.
    pub(crate) fn log_tail(&self) -> String {
        let log = fs::read(self.log_path()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("pid", &self.pid()).finish_non_exhaustive()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Its data goes with it, so nothing is worth an orderly end. A panic here could hide the test's own.
            process.kill().and_then(|()| process.wait()).ok();
        }
    }
}

/// What the formatter of Kafka would write: the set-up ran it once, for node 1.
fn format_data_folder(data: &Path, id: usize) {
    const META: &str = "meta.properties";
    fs::create_dir(data).expect("data folder");
    for entry in fs::read_dir(distribution().join("formatted")).expect("formatted data folder") {
        let entry = entry.expect("formatted data folder");
        fs::copy(entry.path(), data.join(entry.file_name())).expect("copy of the formatted data folder");
    }
    let meta = fs::read_to_string(data.join(META)).expect(META);
    let lines = meta.lines().map(|line| match line.split_once('=') {
        Some(("node.id", _)) => format!("node.id={id}\n"),
        // 22 characters of base64, which must differ between nodes.
        Some(("directory.id", uuid)) => format!("directory.id=n{id}{}\n", &uuid[2..]),
        _ => format!("{line}\n"),
    });
    fs::write(data.join(META), lines.collect::<String>()).expect(META);
}
