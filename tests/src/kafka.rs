//! A real Apache Kafka for tests: one node, on loopback, on free ports, in a folder that goes away.
//!
//! What is fetched, and where to, is the business of `tests/setup/kafka`. Functions here wait for conditions and never
//! for a span of time; when the broker does not do within a generous deadline what it was asked to do, they panic with
//! a sentence, because the only caller is a test.

mod access;
mod process;
mod wait;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::iter;
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Headers, Message as _};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tempfile::TempDir;

pub use access::{Acl, Operation, Resource};
pub use process::free_ports;
use process::{
    HOME_PREFIX, LOCK_FILE, distribution, java_command, process_state, remove_stale_homes, server_properties,
    spawn_for_the_life_of_this_process,
};
use wait::{DEADLINE, PAUSE, block_on, eventually};

/// How long the broker may take to stop by itself before it is killed.
const STOP_DEADLINE: Duration = Duration::from_secs(15);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
const LAUNCH_ATTEMPTS: usize = 5;

/// A broker process of its own, stopped and removed when it is dropped.
///
/// It also dies with the process that started it, however that one ends.
pub struct Kafka {
    home: TempDir,
    _lock: File,
    port: u16,
    java_properties: Vec<String>,
    process: Option<Child>,
}

/// Which records [`Kafka::read_all`] sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Only records outside of transactions and of committed ones, up to the last stable offset.
    ReadCommitted,
    /// Every record, also of transactions that are open or were aborted.
    ReadUncommitted,
}

/// A record as [`Kafka::read_all`] found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The partition that it lies in.
    pub partition: i32,
    /// Its place in the partition.
    pub offset: i64,
    /// The key, if it has one.
    pub key: Option<Vec<u8>>,
    /// The value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// The headers in the order in which they were written.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Milliseconds since 1970.
    pub timestamp: Option<i64>,
}

impl Message {
    /// The last header of that name as text; `None` if there is none, or it is null or no UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().rev().find(|(key, _)| key == name)?;
        str::from_utf8(value.as_deref()?).ok()
    }
}

impl Kafka {
    /// Starts a broker and returns when it serves metadata and transactions.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Like [`Kafka::start`], with server properties that are added to, or replace, those of the harness.
    ///
    /// In their values `{port}` and `{controller_port}` stand for the ports that the harness chose. A key that begins with
    /// `-D` is a property of the Java machine instead.
    pub fn start_with(properties: &[(&str, &str)]) -> Self {
        remove_stale_homes();
        for _ in 0..LAUNCH_ATTEMPTS {
            let mut kafka = Self::prepare(properties);
            match kafka.launch() {
                Ok(()) => return kafka,
                Err(reason) if reason.contains("BindException") => {}
                Err(reason) => panic!("kafka did not start: {reason}"),
            }
        }
        panic!("kafka did not start: {LAUNCH_ATTEMPTS} times somebody else took one of its ports");
    }

    /// The broker that the tests of this process share; topics and groups need names of their own.
    ///
    /// It cannot be killed or stopped by a test, because that needs `&mut self`.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Kafka> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// The address for `bootstrap.servers`; the same for the life of this value, also after a restart.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A client configuration with the address and short reconnects in it.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.bootstrap())
            .set("reconnect.backoff.ms", "20")
            .set("reconnect.backoff.max.ms", "200");
        config
    }

    /// The process id of the broker; `None` after [`Kafka::kill`] or [`Kafka::shutdown`].
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Creates a topic and returns when each of its partitions has a leader.
    pub fn create_topic(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().expect("admin client");
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let topic = configs.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
        let options = AdminOptions::new()
            .request_timeout(Some(DEADLINE))
            .operation_timeout(Some(DEADLINE));
        let results = block_on(admin.create_topics([&topic], &options)).expect("create topics");
        for result in results {
            result.unwrap_or_else(|(topic, code)| panic!("topic {topic} was not created: {code}"));
        }
        let consumer = self.reader(Isolation::ReadUncommitted);
        eventually(
            &format!("topic {name} has {partitions} partitions with leaders"),
            || {
                let known = partition_count(&consumer, name)?;
                if known == partitions {
                    Ok(())
                } else {
                    Err(format!("{known} partitions"))
                }
            },
        );
    }

    /// Kills the broker with SIGKILL: nothing is flushed, nobody is told.
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("kafka is running");
        process.kill().expect("kill kafka");
        process.wait().expect("wait for kafka");
    }

    /// Freezes the broker with SIGSTOP: connections stay open and nothing answers, as when a network stalls.
    pub fn stop_process(&mut self) {
        let pid = self.signal("STOP");
        eventually("kafka is frozen", || match process_state(pid)? {
            'T' => Ok(()),
            state => Err(format!("process state {state}")),
        });
    }

    /// Lets a broker go on that [`Kafka::stop_process`] froze.
    pub fn continue_process(&mut self) {
        self.signal("CONT");
    }

    /// Stops the broker with SIGTERM, and with SIGKILL if that takes too long. Does nothing if it does not run.
    pub fn shutdown(&mut self) {
        if self.process.is_none() {
            return;
        }
        self.signal("TERM");
        self.signal("CONT");
        let deadline = Instant::now() + STOP_DEADLINE;
        while Instant::now() < deadline {
            let process = self.process.as_mut().expect("kafka is running");
            if process.try_wait().expect("wait for kafka").is_some() {
                self.process = None;
                return;
            }
            thread::sleep(PAUSE);
        }
        self.kill();
    }

    /// Starts the broker again on the same data and address, after it is stopped if it still runs.
    ///
    /// Returns when it serves metadata and transactions and each partition has a leader again.
    pub fn restart(&mut self) {
        self.shutdown();
        self.launch()
            .unwrap_or_else(|reason| panic!("kafka did not start again: {reason}"));
    }

    /// Per partition the offset after its last record (the high watermark; markers of transactions count).
    pub fn end_offsets(&self, topic: &str) -> Vec<i64> {
        self.watermarks(topic).into_iter().map(|(_, high)| high).collect()
    }

    /// Per partition what the group has committed durably; offsets of open transactions are not in it.
    pub fn committed(&self, group: &str, topic: &str) -> Vec<Option<i64>> {
        // With `read_committed` the answer would wait for open transactions.
        let mut config = self.client();
        config.set("group.id", group).set("isolation.level", "read_uncommitted");
        let consumer: BaseConsumer = config.create().expect("consumer");
        eventually(&format!("group {group} has offsets for topic {topic}"), || {
            let mut wanted = TopicPartitionList::new();
            wanted.add_partition_range(topic, 0, partition_count(&consumer, topic)? - 1);
            let found = consumer
                .committed_offsets(wanted, REQUEST_TIMEOUT)
                .map_err(|e| e.to_string())?;
            found
                .elements()
                .iter()
                .map(|element| {
                    element.error().map_err(|e| e.to_string())?;
                    Ok(element.offset().to_raw().filter(|offset| *offset >= 0))
                })
                .collect::<Result<Vec<_>, String>>()
        })
    }

    /// How many offsets the group is behind the end of the topic; a partition without a commit counts from its start.
    ///
    /// A marker of a transaction is an offset too: behind a transactional producer a group can be done and lag by one.
    pub fn lag(&self, group: &str, topic: &str) -> i64 {
        let committed = self.committed(group, topic);
        let watermarks = self.watermarks(topic);
        iter::zip(committed, watermarks)
            .map(|(done, (low, high))| high - done.unwrap_or(low))
            .sum()
    }

    /// Every record from the start of the topic up to its end at the time of the call, by partition and offset.
    pub fn read_all(&self, topic: &str, isolation: Isolation) -> Vec<Message> {
        let watermarks = self.watermarks(topic);
        let consumer = self.reader(isolation);
        let mut assignment = TopicPartitionList::new();
        for (partition, (low, _)) in (0..).zip(&watermarks) {
            assignment
                .add_partition_offset(topic, partition, Offset::Offset(*low))
                .expect("a valid offset");
        }
        consumer.assign(&assignment).expect("assign");

        // The last offsets may be markers, aborted or not yet stable, so that no record ever comes with them: then it is
        // the end-of-partition event that says that all was seen.
        let mut unfinished: BTreeSet<i32> = (0..watermarks.len() as i32).collect();
        let mut messages = Vec::new();
        let mut last_error = None;
        let deadline = Instant::now() + DEADLINE;
        while !unfinished.is_empty() {
            match consumer.poll(REQUEST_TIMEOUT) {
                None => {}
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    unfinished.remove(&partition);
                }
                Some(Err(error)) => last_error = Some(error),
                Some(Ok(record)) => {
                    let (_, end) = watermarks[record.partition() as usize];
                    if record.offset() + 1 >= end {
                        unfinished.remove(&record.partition());
                    }
                    if record.offset() < end {
                        messages.push(owned(&record));
                    }
                }
            }
            assert!(
                Instant::now() < deadline,
                "topic {topic}: partitions {unfinished:?} were not read to their end; last error: {last_error:?}"
            );
        }
        messages.sort_by_key(|message| (message.partition, message.offset));
        messages
    }

    fn watermarks(&self, topic: &str) -> Vec<(i64, i64)> {
        let consumer = self.reader(Isolation::ReadUncommitted);
        eventually(&format!("topic {topic} has end offsets"), || {
            let partitions = 0..partition_count(&consumer, topic)?;
            let watermarks = partitions.map(|partition| consumer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT));
            watermarks.collect::<KafkaResult<Vec<_>>>().map_err(|e| e.to_string())
        })
    }

    fn reader(&self, isolation: Isolation) -> BaseConsumer {
        let isolation = match isolation {
            Isolation::ReadCommitted => "read_committed",
            Isolation::ReadUncommitted => "read_uncommitted",
        };
        let mut config = self.client();
        // librdkafka wants a group to assign partitions; it is neither joined nor committed to.
        config
            .set("group.id", "eddy-tests-reader")
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "50")
            .set("isolation.level", isolation);
        config.create().expect("consumer")
    }

    fn prepare(properties: &[(&str, &str)]) -> Self {
        let distribution = distribution();
        let home = tempfile::Builder::new()
            .prefix(HOME_PREFIX)
            .tempdir()
            .expect("temporary folder");
        let lock = File::create(home.path().join(LOCK_FILE)).expect("lock file");
        lock.lock().expect("lock");

        let data = home.path().join("data");
        fs::create_dir(&data).expect("data folder");
        for entry in fs::read_dir(distribution.join("formatted")).expect("formatted data folder") {
            let entry = entry.expect("formatted data folder");
            fs::copy(entry.path(), data.join(entry.file_name())).expect("copy of the formatted data folder");
        }

        let [port, controller_port] = free_ports();
        let (of_java, of_server): (Vec<_>, Vec<_>) = properties.iter().partition(|(key, _)| key.starts_with("-D"));
        let settings = server_properties(&data, port, controller_port, &of_server);
        fs::write(home.path().join("server.properties"), settings).expect("server.properties");
        let of_java = of_java.iter().map(|(key, value)| format!("{key}={value}"));
        Self {
            home,
            _lock: lock,
            port,
            java_properties: of_java.collect(),
            process: None,
        }
    }

    fn launch(&mut self) -> Result<(), String> {
        let log = File::create(self.log_path()).map_err(|e| format!("no log file: {e}"))?;
        let errors = log.try_clone().map_err(|e| format!("no log file: {e}"))?;
        let mut command = java_command(distribution());
        command
            .args(&self.java_properties)
            .arg("kafka.Kafka")
            .arg(self.home.path().join("server.properties"));
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        let process = spawn_for_the_life_of_this_process(command)
            .map_err(|e| format!("setpriv (Debian package util-linux) could not be run: {e}"))?;
        self.process = Some(process);
        self.wait_until_ready()
            .map_err(|reason| format!("{reason}\n{}", self.log_tail()))
    }

    /// Ready is who answers: first the port, then metadata with a leader everywhere, then the transaction coordinator.
    fn wait_until_ready(&mut self) -> Result<(), String> {
        self.wait_for("its port", |kafka| {
            TcpStream::connect((Ipv4Addr::LOCALHOST, kafka.port))
                .map(drop)
                .map_err(|e| e.to_string())
        })?;
        let consumer = self.reader(Isolation::ReadUncommitted);
        self.wait_for("its metadata", |_| {
            let metadata = consumer
                .fetch_metadata(None, REQUEST_TIMEOUT)
                .map_err(|e| e.to_string())?;
            let mut partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
            if metadata.brokers().is_empty() || partitions.any(|partition| partition.leader() < 0) {
                return Err("no broker or no leader yet".into());
            }
            Ok(())
        })?;
        let mut config = self.client();
        config.set("transactional.id", "eddy-tests-readiness");
        let producer: BaseProducer = config.create().expect("producer");
        self.wait_for("its transactions", |_| {
            producer.init_transactions(REQUEST_TIMEOUT).map_err(|e| e.to_string())
        })
    }

    fn wait_for(&mut self, what: &str, mut attempt: impl FnMut(&Self) -> Result<(), String>) -> Result<(), String> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let Err(reason) = attempt(self) else { return Ok(()) };
            let process = self.process.as_mut().expect("kafka was launched");
            if let Some(status) = process.try_wait().map_err(|e| e.to_string())? {
                return Err(format!("while waiting for {what} the broker ended, {status}"));
            }
            if Instant::now() > deadline {
                return Err(format!("gave up waiting for {what}: {reason}"));
            }
            thread::sleep(PAUSE);
        }
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

    fn log_tail(&self) -> String {
        let log = fs::read(self.log_path()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        if thread::panicking() {
            if let Some(mut process) = self.process.take() {
                // A second panic would hide the first.
                process.kill().and_then(|()| process.wait()).ok();
            }
            return;
        }
        self.shutdown();
    }
}

impl std::fmt::Debug for Kafka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kafka")
            .field("bootstrap", &self.bootstrap())
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}

/// Fails as long as a partition has no leader.
fn partition_count(consumer: &BaseConsumer, topic: &str) -> Result<i32, String> {
    let metadata = consumer
        .fetch_metadata(Some(topic), REQUEST_TIMEOUT)
        .map_err(|e| e.to_string())?;
    let topic = metadata.topics().first().ok_or("not in the metadata")?;
    if let Some(error) = topic.error() {
        return Err(format!("{error:?}"));
    }
    if topic.partitions().is_empty() || topic.partitions().iter().any(|partition| partition.leader() < 0) {
        return Err("a partition has no leader".into());
    }
    Ok(topic.partitions().len() as i32)
}

fn owned(record: &BorrowedMessage<'_>) -> Message {
    let headers = record.headers().map(|headers| {
        headers
            .iter()
            .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
            .collect()
    });
    Message {
        partition: record.partition(),
        offset: record.offset(),
        key: record.key().map(<[u8]>::to_vec),
        value: record.payload().map(<[u8]>::to_vec),
        headers: headers.unwrap_or_default(),
        timestamp: record.timestamp().to_millis(),
    }
}
