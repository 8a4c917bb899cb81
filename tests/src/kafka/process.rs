//! The process of the broker: its files, its ports, its command line, and that nothing of it stays behind.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::mpsc::{self, Sender};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, SystemTime};
use std::{env, io, iter, thread};

pub(crate) const HOME_PREFIX: &str = "eddy-kafka-";
pub(crate) const LOCK_FILE: &str = "lock";
/// A younger home may belong to a process that has not locked it yet.
const STALE_HOME_MIN_AGE: Duration = Duration::from_secs(60);

/// What `tests/setup/kafka` made.
pub(crate) fn distribution() -> &'static Path {
    static DISTRIBUTION: OnceLock<PathBuf> = OnceLock::new();
    DISTRIBUTION.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let path = root.join(".eddy/kafka");
        assert!(
            path.join("libs").is_dir() && path.join("formatted").is_dir(),
            "there is no Apache Kafka in {}: run `make test`, or `tests/setup/kafka`",
            path.display()
        );
        path
    })
}

/// Java with the class path of the broker, started so that it gets SIGKILL when its parent thread ends.
pub(crate) fn java_command(distribution: &Path) -> Command {
    // Java uses a class archive only with the class path that it came from: relative and sorted, as in the set-up.
    let libs = fs::read_dir(distribution.join("libs")).expect("libs");
    let jars: BTreeSet<PathBuf> = libs
        .map(|entry| Path::new("libs").join(entry.expect("libs").file_name()))
        .collect();
    let class_path = env::join_paths(jars).expect("a class path");
    let java = env::var_os("JAVA_HOME").map_or("java".into(), |home| Path::new(&home).join("bin/java"));

    let mut command = Command::new("setpriv");
    command.current_dir(distribution);
    command.args(["--pdeathsig", "KILL", "--"]).arg(java);
    command.args(["-Xms64m", "-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
    command.args([
        "-XX:MaxMetaspaceSize=128m",
        "-XX:ReservedCodeCacheSize=64m",
        "-Djava.awt.headless=true",
    ]);
    command.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn");
    // An archive of another Java is ignored, which costs a second or two of start-up.
    command.arg("-Xshare:auto");
    if distribution.join("classes.jsa").exists() {
        command.arg("-XX:SharedArchiveFile=classes.jsa");
    }
    command.arg("-cp").arg(class_path);
    command
}

pub(crate) fn server_properties(data: &Path, port: u16, controller_port: u16, overrides: &[(&str, &str)]) -> String {
    let mut text = format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
num.network.threads=2
num.io.threads=4
auto.create.topics.enable=false
offsets.topic.num.partitions=5
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=5
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.cleaner.dedupe.buffer.size=2097152
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
transaction.remove.expired.transaction.cleanup.interval.ms=60000
",
        data = data.display()
    );
    // Of a property that is there twice the last one counts.
    for (key, value) in overrides {
        let value = value
            .replace("{port}", &port.to_string())
            .replace("{controller_port}", &controller_port.to_string());
        text.push_str(&format!("{key}={value}\n"));
    }
    text
}

/// Ports that nobody listens on, from below the range from which the kernel serves outgoing connections.
///
/// In that range a client that connects again and again to a dead broker can take the broker's port itself.
pub(crate) fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    // All listeners are held until the last is found, so that the ports differ.
    let listeners: [TcpListener; COUNT] = std::array::from_fn(|_| listen());
    listeners.map(|listener| listener.local_addr().expect("a bound address").port())
}

/// A free port whose next is free, too.
pub(crate) fn free_neighbours() -> u16 {
    loop {
        let [port] = free_ports();
        if listen_at(port + 1).is_some() {
            return port;
        }
    }
}

/// Listens on a free port from the same range.
pub(crate) fn listen() -> TcpListener {
    iter::repeat_with(|| fastrand::u16(15_000..32_000))
        .find_map(listen_at)
        .expect("endless")
}

/// Listens there if nobody does. No port is given out twice in the life of the process: a broker that is down must find its
/// own free when it comes back.
fn listen_at(port: u16) -> Option<TcpListener> {
    static GIVEN_OUT: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given_out = GIVEN_OUT.lock().expect("nothing panics under it");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
    given_out.insert(port).then_some(listener)
}

/// The parent-death signal is sent when the *thread* ends that started the child, and each test has a thread of its own.
/// So children are started by a thread that lives as long as the process.
pub(crate) fn spawn_for_the_life_of_this_process(command: Command) -> io::Result<Child> {
    type Order = (Command, Sender<io::Result<Child>>);
    static SPAWNER: OnceLock<Sender<Order>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (orders, incoming) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, reply) in incoming {
                reply.send(command.spawn()).ok();
            }
        });
        orders
    });
    let (reply, answer) = mpsc::channel();
    spawner.send((command, reply)).expect("the spawner lives");
    answer.recv().expect("the spawner lives")
}

/// Removes what was left by processes that ended without dropping their broker: nobody holds the lock any more.
pub(crate) fn remove_stale_homes() {
    let Ok(entries) = fs::read_dir(env::temp_dir()) else {
        return;
    };
    for entry in entries.flatten() {
        let is_home = entry.file_name().to_string_lossy().starts_with(HOME_PREFIX);
        if is_home && is_stale(&entry.path()) {
            // Another process may be at it as well.
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}

fn is_stale(home: &Path) -> bool {
    let modified = fs::metadata(home).and_then(|metadata| metadata.modified());
    let age = modified
        .ok()
        .and_then(|modified| SystemTime::now().duration_since(modified).ok());
    if age.is_none_or(|age| age < STALE_HOME_MIN_AGE) {
        return false;
    }
    File::open(home.join(LOCK_FILE)).is_ok_and(|lock| lock.try_lock().is_ok())
}

pub(crate) fn process_state(pid: u32) -> Result<char, String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).map_err(|e| e.to_string())?;
    let state = status.lines().find_map(|line| line.strip_prefix("State:"));
    state
        .and_then(|state| state.trim().chars().next())
        .ok_or_else(|| "no state".into())
}
