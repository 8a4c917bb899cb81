//! `eddy run`: the stream service of one process.
//!
//! Owns: the order of the start and of the end.
//! Never does: work on an event; lanes do.
//!
//! Invariant: ready only after every model has run and every lane has its clients; the end is a numbered list under one
//! deadline.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[cfg(not(feature = "failpoints"))]
use eddy_broker::kafka::KafkaBroker;
use eddy_broker::kafka::{self, CheckError};
use eddy_broker::settings::Guarantee;
use eddy_broker::{BrokerError, Inputs};
use eddy_host::{
    AdminHandle, AdminServer, AdminSources, Beat, Cause, Drain, ExitCode, Failure, OnDrain, OnExit, Policy, Readiness,
    Shutdown, SystemClock, Tasks, Watchdog, drain_on_signals, exit_on_missed, exit_on_overdue, say_end,
};
use eddy_inference::lane::{Lane, LaneSettings, Stopped};
use eddy_inference::orders::Orders;
use eddy_inference::scoring::Scoring;
use eddy_inference::{Hold, LaneReport};
use eddy_pipeline::checkpoint::{self, Budget, Checkpoint, Stop};
use eddy_pipeline::drift::monitor::Monitor;
use eddy_pipeline::outcome::Balance;
use eddy_pipeline::score::Scorer;
use eddy_pipeline::settings::Problem;
use eddy_pipeline::time::Clock;
use eddy_telemetry::catalogue::{Certificate, PauseCause};
use eddy_telemetry::{LogLevel, Metrics, Totals, Traces};

use crate::assemble::{Assembly, assemble};
use crate::desk::Desk;
#[cfg(feature = "failpoints")]
use crate::failpoints::FailingBroker as KafkaBroker;
use crate::file::Pipeline;
use crate::loglevel::LogDesk;
use crate::policy;
use crate::predictions;
use crate::score::ScoreDesk;
use crate::status::Status;
use crate::traces::{self, Exporter};
use crate::vigil::{Sight, Vigil};
use crate::watched::{self, Watched, WatchedScorer};

/// A lane on a real Kafka.
type StreamLane = Lane<Watched<KafkaBroker>>;
/// Where a lane counts what it sees.
type Counted = (Arc<Monitor>, Totals, Option<Traces>);

/// How often the watchdog looks.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// How long brokers have to answer the watchdog before that counts as an outage.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How long the end waits for a collector of spans.
const LAST_SPANS: Duration = Duration::from_secs(2);
/// How often a drained process looks whether it was scraped.
const LOOK_FOR_SCRAPE: Duration = Duration::from_millis(20);

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct NotStarted {
    /// The exit code that it calls for.
    pub code: ExitCode,
    /// What is wrong and what to do, one line or more.
    pub message: String,
}

impl NotStarted {
    fn new(code: ExitCode, message: impl ToString) -> Self {
        Self {
            code,
            message: message.to_string(),
        }
    }
}

/// A stream service that runs.
#[derive(Debug)]
pub struct Service {
    tasks: Tasks,
    shutdown: Shutdown,
    readiness: Readiness,
    admin: Option<AdminHandle>,
    status: Arc<Status>,
    metrics: Metrics,
    exporter: Option<Exporter>,
    drain: Drain,
    last_scrape: Duration,
    _watchdog: Watchdog,
}

/// What the lanes of a service share: nothing on the hot path.
pub(crate) struct Common {
    clock: Arc<SystemClock>,
    pub(crate) metrics: Metrics,
    pub(crate) readiness: Readiness,
    tasks: Tasks,
    pub(crate) orders: Arc<Orders>,
    pub(crate) inputs: Inputs,
    pub(crate) log: LogLevel,
}

impl Common {
    /// # Errors
    /// When the service is asked to end, or has failed, before it has started.
    fn go_on(&self) -> Result<(), NotStarted> {
        let shutdown = self.tasks.shutdown();
        let Some(cause) = shutdown.cause() else { return Ok(()) };
        let message = format!("ended before it had started: {cause}; nothing was consumed");
        Err(NotStarted::new(shutdown.exit_code(), message))
    }
}

impl Service {
    /// Starts everything: admin pages first, so that they answer throughout, lanes last. Signals are the caller's.
    ///
    /// # Errors
    /// [`NotStarted`] with the exit code; nothing was consumed.
    pub fn start(pipeline: &Pipeline) -> Result<Self, NotStarted> {
        let log = LogLevel::fixed(&pipeline.file.log);
        Self::start_with(pipeline, log, |_| Ok(()))
    }

    /// The same for a process that SIGTERM and SIGINT drain, also while it starts; a second signal ends it at once. `log` is the
    /// process's own.
    ///
    /// # Errors
    /// As [`Service::start`].
    pub fn start_on_signals(pipeline: &Pipeline, log: LogLevel) -> Result<Self, NotStarted> {
        Self::start_with(pipeline, log, drain_on_signals)
    }

    fn start_with(
        pipeline: &Pipeline,
        log: LogLevel,
        take_signals: impl FnOnce(&Tasks) -> Result<(), eddy_host::Error>,
    ) -> Result<Self, NotStarted> {
        let file = &pipeline.file;
        let clock = Arc::new(SystemClock::start());
        let shutdown = Shutdown::new(clock.clone(), file.drain.deadline.0);
        let common = Common {
            metrics: Metrics::new(&file.name, env!("CARGO_PKG_VERSION")),
            readiness: Readiness::starting(),
            tasks: Tasks::new(shutdown.clone()),
            orders: Arc::default(),
            inputs: Inputs::of(&file.topics),
            clock,
            log,
        };
        let internal = |error: eddy_host::Error| NotStarted::new(error.exit_code(), error);
        let drain = Drain::guard(&common.tasks, exit_on_missed).map_err(internal)?;
        take_signals(&common.tasks).map_err(internal)?;
        common.metrics.set_start(common.clock.now());
        common.metrics.set_deprecated_keys(pipeline.document.deprecated().len());
        show_certificates(pipeline, &common.metrics);
        let status = Arc::new(Status::new(file, &common));
        let score: Arc<ScoreDesk> = Arc::default();
        let desk = Desk {
            log: LogDesk::new(common.log.clone(), common.tasks.clone(), common.clock.clone()),
            score: score.clone(),
            orders: common.orders.clone(),
            lanes: status.lanes.clone(),
            inputs: common.inputs.clone(),
        };
        let sources = AdminSources {
            metrics: common.metrics.clone(),
            readiness: common.readiness.clone(),
            status: status.clone(),
            control: Arc::new(desk),
        };
        let admin = AdminServer::bind(&file.admin(&pipeline.folder), sources).map_err(internal)?;
        let admin = admin
            .map(|server| server.start(&common.tasks))
            .transpose()
            .map_err(internal)?;

        let assembly = assemble(pipeline).map_err(|problems| NotStarted::new(ExitCode::Configuration, problems))?;
        common.go_on()?;
        let assembly = Arc::new(assembly);
        status.follow(assembly.in_force());
        status.describe(&assembly);
        assembly.show(&common.metrics);
        let schema = predictions::await_number(&assembly, &common.readiness, &shutdown);
        let schema = schema.map_err(|failure| {
            let located = assembly.located(vec![Problem::new(failure.key, failure.sentence)]);
            NotStarted::new(ExitCode::Configuration, located)
        })?;
        let monitor = assembly.in_force().current().0.monitor;
        let totals = Totals::of(&monitor);
        let sight = Sight {
            monitor: monitor.clone(),
            totals: totals.clone(),
            models: assembly.names(),
            lanes: status.lanes.clone(),
            clock: common.clock.clone(),
            metrics: common.metrics.clone(),
        };
        status.watch(Vigil::start(&common.tasks, &file.drift, sight).map_err(internal)?);
        let settings = file.broker(&pipeline.folder);
        let judge = watched::judge(move || kafka::answers(&settings, ANSWER_WITHIN), exit_on_overdue);
        let watchdog = Watchdog::start(&common.tasks, common.clock.clone(), WATCH_EVERY, judge).map_err(internal)?;
        let collector = traces::collector(pipeline).map_err(|why| {
            let problems = assembly.located(vec![Problem::new("traces.ca", why)]);
            NotStarted::new(ExitCode::Configuration, problems)
        })?;
        let start = |collector| {
            let told = (&common.tasks, &common.metrics);
            Exporter::start((pipeline, collector), told, common.clock.clone())
        };
        let (exporter, traces) = collector.map(start).transpose().map_err(internal)?.unzip();
        let counted = (monitor, totals, traces);
        let lanes = open_lanes((pipeline, &assembly, schema), &common, (&watchdog, &status), &counted)?;
        score.start(&common.tasks, assembly.clone()).map_err(internal)?;
        if let Some(path) = &file.policy.path {
            let path = pipeline.folder.join(path);
            policy::watch(&common.tasks, assembly, path, file.policy.every.0).map_err(internal)?;
        }
        // From here on something is consumed, so the only end is the drain.
        for (number, lane) in lanes.into_iter().enumerate() {
            start_lane(&common.tasks, number, lane);
        }
        common.readiness.started();
        common.metrics.set_ready(true);
        tracing::info!(pipeline = file.name, lanes = file.kafka.lanes, "the stream runs");
        Ok(Self {
            tasks: common.tasks,
            shutdown,
            readiness: common.readiness,
            admin,
            status,
            metrics: common.metrics,
            exporter,
            drain,
            last_scrape: file.drain.last_scrape.0,
            _watchdog: watchdog,
        })
    }

    /// Where the admin pages are, unless they are switched off.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(AdminHandle::address)
    }

    /// The books of all lanes together.
    pub fn balance(&self) -> Balance {
        self.status.balance()
    }

    /// Whether it is ready, and if not, why.
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Whether it drains, asked to or because a lane failed.
    pub fn is_ending(&self) -> bool {
        self.shutdown.is_requested()
    }

    /// Asks for the drain; `by` says in the log who asks.
    pub fn request_drain(&self, by: &str) {
        self.shutdown.request(Cause::Asked { by: by.to_owned() });
    }

    /// Waits until the service is asked to end, ends it in order and gives the process's exit code.
    pub fn join(mut self) -> ExitCode {
        let cause = self.shutdown.wait();
        tracing::info!(%cause, "draining");
        self.readiness.draining();
        self.drain
            .step("finish the batches, make them durable, leave the group");
        let finished = self.tasks.wait_for_finishing(self.shutdown.allowance() * 2);
        if let Err(running) = finished {
            tracing::error!(?running, "some tasks did not finish");
            say_end(ExitCode::DrainMissed);
            return ExitCode::DrainMissed;
        }
        let balance = self.status.balance();
        tracing::info!(?balance, holds = balance.holds(), "final balance");
        if let Some(exporter) = self.exporter.take() {
            self.drain.step("send the last spans");
            let left = self.shutdown.remaining().unwrap_or_default();
            exporter.finish(LAST_SPANS.min(left / 2));
        }
        self.drain.finish();
        let code = self.shutdown.exit_code();
        // After a failure the place is wanted by a successor.
        match code {
            ExitCode::Drained => wait_for_last_scrape(self.admin, &self.metrics, self.last_scrape),
            _ => drop(self.admin),
        }
        say_end(code);
        code
    }
}

/// Stays until `/metrics` was read once more, or the time for that is over.
fn wait_for_last_scrape(admin: Option<AdminHandle>, metrics: &Metrics, at_most: Duration) {
    let Some(admin) = admin.filter(|_| !at_most.is_zero()) else {
        return;
    };
    let (before, started) = (metrics.gathered(), Instant::now());
    tracing::info!(?at_most, "drained; waiting for a last scrape of /metrics");
    while metrics.gathered() == before && started.elapsed() < at_most {
        std::thread::sleep(LOOK_FOR_SCRAPE);
    }
    admin.finish(ANSWER_WITHIN);
}

/// Shows until when our certificates for others are valid. That of the admin address is its own to show.
fn show_certificates(pipeline: &Pipeline, metrics: &Metrics) {
    let of_kafka = pipeline.file.broker(&pipeline.folder).kafka.tls;
    let of_registry = pipeline
        .file
        .registry(&pipeline.folder)
        .and_then(|registry| registry.tls);
    for (certificate, tls) in [(Certificate::Kafka, of_kafka), (Certificate::Registry, of_registry)] {
        if let Some(expiry) = tls.and_then(|tls| tls.expiry()) {
            metrics.certificate_expires(certificate, expiry);
        }
    }
}

/// Why there is no broker: of what has to be mended not only the first thing that was met.
fn no_broker(pipeline: &Pipeline, error: BrokerError) -> NotStarted {
    if matches!(error.fault, checkpoint::Fault::Retriable | checkpoint::Fault::TimedOut) {
        return NotStarted::new(ExitCode::Unreachable, error);
    }
    match kafka::check(&pipeline.file.broker(&pipeline.folder)) {
        Err(CheckError::Problems(problems)) if problems.len() > 1 => {
            NotStarted::new(ExitCode::Configuration, pipeline.document.locate(problems))
        }
        _ => NotStarted::new(ExitCode::Configuration, error),
    }
}

/// Opens all lanes, at rest: first the sessions of each, which may take long, then the clients, whose group waits for them.
fn open_lanes(
    what: (&Pipeline, &Assembly, Option<u32>),
    common: &Common,
    (watchdog, status): (&Watchdog, &Status),
    counted: &Counted,
) -> Result<Vec<StreamLane>, NotStarted> {
    let (pipeline, assembly, _) = what;
    let of_sessions = |number| {
        common.go_on()?;
        let beat = watchdog.beat(&format!("lane {number}"));
        let watched_scorer = |scorer| -> Box<dyn Scorer> {
            Box::new(WatchedScorer {
                scorer,
                beat: beat.clone(),
                run_limit: pipeline.file.batch.run_limit.0,
            })
        };
        let scoring = assembly
            .scoring_with(watched_scorer)
            .map_err(|problems| NotStarted::new(ExitCode::Configuration, pipeline.document.locate(problems)))?;
        Ok((scoring, beat))
    };
    let sessions: Vec<_> = (0..status.lanes.len())
        .map(of_sessions)
        .collect::<Result<_, NotStarted>>()?;
    let lanes = (0..).zip(sessions).zip(&status.lanes);
    lanes
        .map(|((number, session), report)| {
            common.go_on()?;
            open_lane(what, common, (number, session), report.clone(), counted.clone())
        })
        .collect()
}

/// Opens the clients of one lane.
fn open_lane(
    (pipeline, assembly, schema): (&Pipeline, &Assembly, Option<u32>),
    common: &Common,
    (number, (scoring, beat)): (u16, (Scoring, Beat)),
    report: Arc<LaneReport>,
    (monitor, totals, traces): Counted,
) -> Result<StreamLane, NotStarted> {
    let file = &pipeline.file;
    let settings = file.broker(&pipeline.folder);
    let broker = KafkaBroker::open_among(&settings, number, &common.inputs);
    let broker = broker.map_err(|error| no_broker(pipeline, error))?;
    let broker = Watched::new(broker, beat, &file.kafka);
    let names: Vec<&str> = assembly.models().iter().map(|model| model.name()).collect();
    let versions = assembly.versions();
    let metrics = common
        .metrics
        .lane(usize::from(number), &names)
        .watching(monitor, totals, &versions)
        .tracing(traces);
    let guarantee = match file.kafka.guarantee {
        Guarantee::ExactlyOnce => checkpoint::Guarantee::ExactlyOnce,
        Guarantee::AtLeastOnce => checkpoint::Guarantee::AtLeastOnce,
    };
    let budget = Budget {
        transaction: file.kafka.transaction_timeout.0,
        ..Budget::default()
    };
    let settings = LaneSettings {
        batch: file.batch.clone(),
        checkpoint: file.checkpoint.clone(),
        dead_letters: file.dead_letters.clone(),
    };
    let emitter = match schema {
        Some(schema) => assembly.emitter().framed(schema),
        None => assembly.emitter(),
    };
    let emitter = emitter.tracing(traces::tracing(pipeline));
    let lane = Lane::new(
        broker,
        (scoring, emitter, assembly.selection()),
        Checkpoint::new(guarantee, budget),
        settings,
        (common.clock.clone(), metrics, report),
    )
    .under(common.orders.clone())
    .following(assembly.in_force());
    Ok(lane)
}

/// Starts the thread of a lane; where there is none left, the service drains at once.
fn start_lane(tasks: &Tasks, number: usize, lane: StreamLane) {
    let policy = Policy {
        on_exit: OnExit::ShutDown,
        on_drain: OnDrain::Finish,
    };
    let task = format!("lane-{number}");
    let started = tasks.spawn_thread(&task, policy, move |shutdown| run_lane(lane, &shutdown));
    if let Err(error) = started {
        let (code, message) = (error.exit_code(), error.to_string());
        tasks.shutdown().request(Cause::Failed { task, code, message });
    }
}

/// The life of a lane's thread.
fn run_lane(mut lane: StreamLane, shutdown: &Shutdown) -> Result<(), Failure> {
    lane.broker().watch_between();
    while !shutdown.is_requested() {
        lane.turn().map_err(failure)?;
    }
    lane.drain().map(drop).map_err(failure)
}

/// The report of a lane whose holds are causes at `/ready`, from when they begin until they end.
pub(crate) fn report(number: u16, common: &Common) -> Arc<LaneReport> {
    let (readiness, metrics) = (common.readiness.clone(), common.metrics.clone());
    let condition = move |cause: PauseCause| format!("lane {number}: {}", cause.as_str());
    Arc::new(LaneReport::watched(Box::new(move |change| {
        match change {
            Ok(Hold { cause, why, since }) => readiness.unmet_since(&condition(*cause), why, *since),
            Err(cause) => readiness.met(&condition(cause)),
        }
        metrics.set_ready(readiness.is_ready());
    })))
}

fn failure(stopped: Stopped) -> Failure {
    let code = match stopped.stop {
        Stop::Fenced => ExitCode::Fenced,
        Stop::GuaranteeLost => ExitCode::GuaranteeLost,
    };
    Failure::new(code, stopped)
}
