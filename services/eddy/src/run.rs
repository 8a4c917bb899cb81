//! `eddy run`: the stream service of one process.
//!
//! Owns: the order of the start and of the end, and what `/status` says.
//! Never does: work on an event; lanes do.
//!
//! Invariant: ready only after every model has run and every lane has its clients; the end is a numbered list under one
//! deadline.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use eddy_broker::kafka;
#[cfg(not(feature = "failpoints"))]
use eddy_broker::kafka::KafkaBroker;
use eddy_broker::settings::Guarantee;
use eddy_host::{
    AdminHandle, AdminServer, AdminSources, Cause, Drain, ExitCode, Failure, OnDrain, OnExit, Policy, Readiness,
    Shutdown, StatusSource, SystemClock, Tasks, Watchdog, drain_on_signals, exit_on_missed, exit_on_overdue,
};
use eddy_inference::judge::InForce;
use eddy_inference::lane::{Lane, LaneSettings, Stopped};
use eddy_inference::orders::{Orders, Skip};
use eddy_inference::{Hold, LaneReport};
use eddy_pipeline::checkpoint::{self, Budget, Checkpoint, Stop};
use eddy_pipeline::outcome::Balance;
use eddy_pipeline::score::Scorer;
use eddy_pipeline::time::Clock;
use eddy_telemetry::catalogue::PauseCause;
use eddy_telemetry::{Metrics, ModelFacts, ModelVersion};
use serde_json::{Value, json};

use crate::assemble::{Assembly, assemble};
use crate::desk::Desk;
#[cfg(feature = "failpoints")]
use crate::failpoints::FailingBroker as KafkaBroker;
use crate::file::{Pipeline, PipelineFile};
use crate::policy;
use crate::watched::{self, Watched, WatchedScorer};

/// How often the watchdog looks.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// How long brokers have to answer the watchdog before that counts as an outage.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

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
    _watchdog: Watchdog,
}

/// What the lanes of a service share: nothing on the hot path.
struct Common {
    clock: Arc<SystemClock>,
    metrics: Metrics,
    readiness: Readiness,
    tasks: Tasks,
    orders: Arc<Orders>,
}

impl Service {
    /// Starts everything: admin pages first, so that they answer throughout, lanes last. Signals are the caller's.
    ///
    /// # Errors
    /// [`NotStarted`] with the exit code; nothing was consumed.
    pub fn start(pipeline: &Pipeline) -> Result<Self, NotStarted> {
        Self::start_with(pipeline, |_| Ok(()))
    }

    /// The same for a process that SIGTERM and SIGINT drain, also while it starts; a second signal ends it at once.
    ///
    /// # Errors
    /// As [`Service::start`].
    pub fn start_on_signals(pipeline: &Pipeline) -> Result<Self, NotStarted> {
        Self::start_with(pipeline, drain_on_signals)
    }

    fn start_with(
        pipeline: &Pipeline,
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
            clock,
        };
        let internal = |error: eddy_host::Error| NotStarted::new(ExitCode::Configuration, error);
        take_signals(&common.tasks).map_err(internal)?;
        common.metrics.set_start(common.clock.now());
        let status = Arc::new(Status::new(file, &common));
        let desk = Desk {
            orders: common.orders.clone(),
            lanes: status.lanes.clone(),
            inputs: vec![file.topics.events.clone()],
        };
        let sources = AdminSources {
            metrics: common.metrics.clone(),
            readiness: common.readiness.clone(),
            status: status.clone(),
            control: Arc::new(desk),
        };
        let mut admin = file.admin.clone();
        admin.resolve_paths(&pipeline.folder);
        let admin = AdminServer::bind(&admin, sources).map_err(internal)?;
        let admin = admin
            .map(|server| server.start(&common.tasks))
            .transpose()
            .map_err(internal)?;

        let assembly = assemble(pipeline).map_err(|problems| NotStarted::new(ExitCode::Configuration, problems))?;
        let assembly = Arc::new(assembly);
        status.follow(assembly.in_force());
        status.describe(&assembly);
        for model in assembly.models() {
            common.metrics.model_loaded(&ModelFacts {
                name: model.name().to_owned(),
                version: model.version().to_owned(),
                sha256: model.sha256().to_owned(),
                provider: model.provider().as_str().to_owned(),
            });
        }
        let settings = file.broker(&pipeline.folder);
        let judge = watched::judge(move || kafka::answers(&settings, ANSWER_WITHIN), exit_on_overdue);
        let watchdog = Watchdog::start(&common.tasks, common.clock.clone(), WATCH_EVERY, judge).map_err(internal)?;
        for (lane, report) in (0..).zip(&status.lanes) {
            if shutdown.is_requested() {
                let message = "asked to end before it had started; nothing was consumed";
                return Err(NotStarted::new(ExitCode::Drained, message));
            }
            start_lane(pipeline, &assembly, &common, (lane, &watchdog), report.clone())?;
        }
        if let Some(path) = &file.policy.path {
            let path = pipeline.folder.join(path);
            policy::watch(&common.tasks, assembly, path, file.policy.every.0).map_err(internal)?;
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
    pub fn join(self) -> ExitCode {
        let cause = self.shutdown.wait();
        tracing::info!(%cause, "draining");
        self.readiness.draining();
        let drain = Drain::begin(&self.tasks, exit_on_missed);
        let mut drain = match drain {
            Ok(drain) => drain,
            Err(error) => {
                tracing::error!(%error, "the drain cannot be guarded; ending without it");
                return ExitCode::DrainMissed;
            }
        };
        drain.step("finish the batches, make them durable, leave the group");
        let finished = self.tasks.wait_for_finishing(self.shutdown.allowance() * 2);
        if let Err(running) = finished {
            tracing::error!(?running, "some tasks did not finish");
            return ExitCode::DrainMissed;
        }
        let balance = self.status.balance();
        tracing::info!(?balance, holds = balance.holds(), "final balance");
        drain.finish();
        self.shutdown.exit_code()
    }
}

/// Starts one lane: its clients, its sessions, its thread.
fn start_lane(
    pipeline: &Pipeline,
    assembly: &Assembly,
    common: &Common,
    (number, watchdog): (u16, &Watchdog),
    report: Arc<LaneReport>,
) -> Result<(), NotStarted> {
    let file = &pipeline.file;
    let beat = watchdog.beat(&format!("lane {number}"));
    let watched_scorer = |scorer| -> Box<dyn Scorer> {
        Box::new(WatchedScorer {
            scorer,
            beat: beat.clone(),
            run_limit: file.batch.run_limit.0,
        })
    };
    let scoring = assembly
        .scoring_with(watched_scorer)
        .map_err(|problems| NotStarted::new(ExitCode::Configuration, pipeline.document.locate(problems)))?;
    let broker = KafkaBroker::open(&file.broker(&pipeline.folder), number).map_err(|error| {
        let unreachable = matches!(error.fault, checkpoint::Fault::Retriable | checkpoint::Fault::TimedOut);
        let code = if unreachable {
            ExitCode::Unreachable
        } else {
            ExitCode::Configuration
        };
        NotStarted::new(code, error)
    })?;
    let broker = Watched::new(broker, beat.clone(), &file.kafka);
    let names: Vec<&str> = assembly.models().iter().map(|model| model.name()).collect();
    let versions: Vec<ModelVersion<'_>> = assembly
        .models()
        .iter()
        .map(|model| ModelVersion {
            name: model.name(),
            version: model.version(),
        })
        .collect();
    let monitor = assembly.in_force().current().0.monitor;
    let metrics = common
        .metrics
        .lane(usize::from(number), &names)
        .watching(monitor, &versions);
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
    let lane = Lane::new(
        broker,
        (scoring, assembly.emitter(), assembly.selection()),
        Checkpoint::new(guarantee, budget),
        settings,
        (common.clock.clone(), metrics, report),
    )
    .under(common.orders.clone())
    .following(assembly.in_force());
    let policy = Policy {
        on_exit: OnExit::ShutDown,
        on_drain: OnDrain::Finish,
    };
    common
        .tasks
        .spawn_thread(&format!("lane-{number}"), policy, move |shutdown| {
            run_lane(lane, &shutdown)
        })
        .map_err(|error| NotStarted::new(ExitCode::Unreachable, error))
}

/// The life of a lane's thread.
fn run_lane(mut lane: Lane<Watched<KafkaBroker>>, shutdown: &Shutdown) -> Result<(), Failure> {
    while !shutdown.is_requested() {
        lane.turn().map_err(failure)?;
    }
    lane.drain().map(drop).map_err(failure)
}

/// The report of a lane whose holds are causes at `/ready`, from when they begin until they end.
fn report(number: u16, common: &Common) -> Arc<LaneReport> {
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

/// What `/status` tells.
#[derive(Debug)]
struct Status {
    pipeline: String,
    lanes: Vec<Arc<LaneReport>>,
    readiness: Readiness,
    orders: Arc<Orders>,
    input: String,
    models: std::sync::OnceLock<Value>,
    in_force: std::sync::OnceLock<Arc<InForce>>,
}

impl Status {
    fn new(file: &PipelineFile, common: &Common) -> Self {
        Self {
            pipeline: file.name.clone(),
            orders: common.orders.clone(),
            input: file.topics.events.clone(),
            lanes: (0..file.kafka.lanes).map(|number| report(number, common)).collect(),
            readiness: common.readiness.clone(),
            models: std::sync::OnceLock::new(),
            in_force: std::sync::OnceLock::new(),
        }
    }

    /// Follows the policy from now on.
    fn follow(&self, in_force: Arc<InForce>) {
        self.in_force.get_or_init(|| in_force);
    }

    fn describe(&self, assembly: &Assembly) {
        let models: Vec<Value> = assembly
            .models()
            .iter()
            .map(|model| {
                json!({
                    "name": model.name(), "version": model.version(), "sha256": model.sha256(),
                    "provider": model.provider().as_str(), "fell_back": model.fell_back(),
                })
            })
            .collect();
        let described = json!({ "models": models });
        // Described once, when the models are there; a second word would be the same.
        self.models.get_or_init(|| described);
    }

    /// A record to skip, as outputs name it.
    fn named(&self, skip: &Skip) -> String {
        let mut name = String::new();
        skip.source.write(&self.input, &mut name);
        name
    }

    fn balance(&self) -> Balance {
        self.lanes
            .iter()
            .map(|lane| lane.latest().balance)
            .fold(Balance::default(), |mut sum, lane| {
                sum.consumed += lane.consumed;
                sum.predicted += lane.predicted;
                sum.dead_lettered += lane.dead_lettered;
                sum.abandoned += lane.abandoned;
                sum.in_flight += lane.in_flight;
                sum
            })
    }
}

fn held(hold: &Hold) -> Value {
    let seconds = hold.since.elapsed().unwrap_or_default().as_secs();
    json!({ "cause": hold.cause.as_str(), "why": hold.why, "seconds": seconds })
}

impl StatusSource for Status {
    fn status(&self) -> Value {
        let book = |balance: Balance| {
            json!({
                "consumed": balance.consumed, "predicted": balance.predicted,
                "dead_lettered": balance.dead_lettered, "abandoned": balance.abandoned,
                "in_flight": balance.in_flight, "balanced": balance.holds(),
            })
        };
        let lanes: Vec<Value> = self
            .lanes
            .iter()
            .map(|lane| {
                let latest = lane.latest();
                let partitions: Vec<i32> = latest.partitions.iter().map(|partition| partition.number).collect();
                let holds: Vec<Value> = latest.holds.iter().map(held).collect();
                json!({ "partitions": partitions, "events": book(latest.balance), "paused": holds })
            })
            .collect();
        let described = self.models.get().cloned().unwrap_or(Value::Null);
        let provenance = self
            .in_force
            .get()
            .map(|in_force| in_force.current().1)
            .unwrap_or_default();
        let standing = self.orders.standing();
        let skips: Vec<String> = standing.skips.iter().map(|skip| self.named(skip)).collect();
        json!({
            "pipeline": self.pipeline,
            "version": env!("CARGO_PKG_VERSION"),
            "ready": self.readiness.is_ready(),
            "config": provenance.config,
            "policy": provenance.policy,
            "models": described["models"],
            "events": book(self.balance()),
            "skips": skips,
            "lanes": lanes,
        })
    }
}
