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

#[cfg(not(feature = "failpoints"))]
use eddy_broker::kafka::KafkaBroker;
use eddy_broker::settings::Guarantee;
use eddy_host::{
    AdminHandle, AdminServer, AdminSources, Cause, Drain, ExitCode, Failure, OnDrain, OnExit, Policy, Readiness,
    Shutdown, StatusSource, SystemClock, Tasks, Watchdog, drain_on_signals, exit_on_missed, exit_on_overdue,
};
use eddy_inference::LaneReport;
use eddy_inference::lane::{Lane, LaneSettings, Stopped, Turn};
use eddy_pipeline::checkpoint::{self, Budget, Checkpoint, Stop};
use eddy_pipeline::outcome::Balance;
use eddy_pipeline::time::Clock;
use eddy_telemetry::{Metrics, ModelFacts};
use serde_json::{Value, json};

use crate::assemble::{Assembly, assemble};
#[cfg(feature = "failpoints")]
use crate::failpoints::FailingBroker as KafkaBroker;
use crate::file::Pipeline;
use crate::watched::Watched;

/// How often the watchdog looks.
const WATCH_EVERY: Duration = Duration::from_secs(1);

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
}

impl Service {
    /// Starts everything: admin pages first, so that they answer throughout, lanes last.
    ///
    /// # Errors
    /// [`NotStarted`] with the exit code; nothing was consumed.
    pub fn start(pipeline: &Pipeline) -> Result<Self, NotStarted> {
        let file = &pipeline.file;
        let clock = Arc::new(SystemClock::start());
        let shutdown = Shutdown::new(clock.clone(), file.drain.deadline.0);
        let common = Common {
            metrics: Metrics::new(&file.name, env!("CARGO_PKG_VERSION")),
            readiness: Readiness::starting(),
            tasks: Tasks::new(shutdown.clone()),
            clock,
        };
        common.metrics.set_start(common.clock.now());
        let status = Arc::new(Status::new(
            file.name.clone(),
            file.kafka.lanes,
            common.readiness.clone(),
        ));
        let sources = AdminSources {
            metrics: common.metrics.clone(),
            readiness: common.readiness.clone(),
            status: status.clone(),
        };
        let internal = |error: eddy_host::Error| NotStarted::new(ExitCode::Configuration, error);
        let admin = AdminServer::bind(&file.admin, sources).map_err(internal)?;
        let admin = admin
            .map(|server| server.start(&common.tasks))
            .transpose()
            .map_err(internal)?;

        let assembly = assemble(pipeline).map_err(|problems| NotStarted::new(ExitCode::Configuration, problems))?;
        status.describe(&assembly);
        for model in assembly.models() {
            common.metrics.model_loaded(&ModelFacts {
                name: model.name().to_owned(),
                version: model.version().to_owned(),
                sha256: model.sha256().to_owned(),
                provider: model.provider().as_str().to_owned(),
            });
        }
        let watchdog =
            Watchdog::start(&common.tasks, common.clock.clone(), WATCH_EVERY, exit_on_overdue).map_err(internal)?;
        for (lane, report) in (0..).zip(&status.lanes) {
            start_lane(pipeline, &assembly, &common, (lane, &watchdog), report.clone())?;
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

    /// Lets SIGTERM and SIGINT drain the service; a second one ends it at once.
    ///
    /// # Errors
    /// When the signals cannot be taken over.
    pub fn drain_on_signals(&self) -> Result<(), NotStarted> {
        drain_on_signals(&self.tasks).map_err(|error| NotStarted::new(ExitCode::Configuration, error))
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
    let scoring = assembly
        .scoring()
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
    let broker = Watched::new(
        broker,
        watchdog.beat(&format!("lane {number}")),
        common.clock.clone(),
        &file.kafka,
    );
    let names: Vec<&str> = assembly.models().iter().map(|model| model.name()).collect();
    let metrics = common.metrics.lane(usize::from(number), &names);
    let guarantee = match file.kafka.guarantee {
        Guarantee::ExactlyOnce => checkpoint::Guarantee::ExactlyOnce,
        Guarantee::AtLeastOnce => checkpoint::Guarantee::AtLeastOnce,
    };
    let settings = LaneSettings {
        batch: file.batch.clone(),
        checkpoint: file.checkpoint.clone(),
        dead_letters: file.dead_letters.clone(),
    };
    let lane = Lane::new(
        broker,
        (scoring, assembly.emitter()),
        Checkpoint::new(guarantee, Budget::default()),
        settings,
        (common.clock.clone(), metrics, report),
    );
    let policy = Policy {
        on_exit: OnExit::ShutDown,
        on_drain: OnDrain::Finish,
    };
    let (readiness, metrics) = (common.readiness.clone(), common.metrics.clone());
    let show = move |unmet: Option<String>| {
        let condition = format!("lane {number} takes events");
        match unmet {
            Some(why) => readiness.unmet(&condition, why),
            None => readiness.met(&condition),
        }
        metrics.set_ready(readiness.is_ready());
    };
    common
        .tasks
        .spawn_thread(&format!("lane-{number}"), policy, move |shutdown| {
            run_lane(lane, &shutdown, show)
        })
        .map_err(|error| NotStarted::new(ExitCode::Unreachable, error))
}

/// The life of a lane's thread; `show` takes why the lane does not take events, or that it does again.
fn run_lane(
    mut lane: Lane<Watched<KafkaBroker>>,
    shutdown: &Shutdown,
    show: impl Fn(Option<String>),
) -> Result<(), Failure> {
    let mut paused = false;
    while !shutdown.is_requested() {
        let turn = lane.turn().map_err(failure)?;
        match turn {
            Turn::Paused(cause) if !paused => show(Some(format!("paused: {}", cause.as_str()))),
            Turn::Worked | Turn::Idle if paused => show(None),
            _ => {}
        }
        paused = matches!(turn, Turn::Paused(_));
    }
    lane.drain().map(drop).map_err(failure)
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
    models: std::sync::OnceLock<Value>,
}

impl Status {
    fn new(pipeline: String, lanes: u16, readiness: Readiness) -> Self {
        let lanes = (0..lanes).map(|_| Arc::default()).collect();
        Self {
            pipeline,
            lanes,
            readiness,
            models: std::sync::OnceLock::new(),
        }
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
        let described = json!({ "config": assembly.config(), "models": models });
        // Described once, when the models are there; a second word would be the same.
        self.models.get_or_init(|| described);
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
                json!({ "partitions": partitions, "events": book(latest.balance), "paused": latest.paused })
            })
            .collect();
        let described = self.models.get().cloned().unwrap_or(Value::Null);
        json!({
            "pipeline": self.pipeline,
            "version": env!("CARGO_PKG_VERSION"),
            "ready": self.readiness.is_ready(),
            "config": described["config"],
            "models": described["models"],
            "events": book(self.balance()),
            "lanes": lanes,
        })
    }
}
