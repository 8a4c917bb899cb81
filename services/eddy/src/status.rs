//! What the pages `/status`, `/drift` and `/samples` tell.
//!
//! Owns: the words of these pages. Never does: change anything, or show a secret or an event's content.

use std::sync::{Arc, OnceLock};

use eddy_broker::Inputs;
use eddy_host::{Readiness, StatusSource};
use eddy_inference::judge::InForce;
use eddy_inference::orders::{Orders, Skip};
use eddy_inference::{Hold, LaneReport, SAMPLES, Sample};
use eddy_pipeline::drift::watch::View;
use eddy_pipeline::event::Partition;
use eddy_pipeline::outcome::Balance;
use eddy_telemetry::LogLevel;
use serde_json::{Value, json};

use crate::assemble::Assembly;
use crate::file::PipelineFile;
use crate::recall::moment;
use crate::run::{Common, report};
use crate::vigil::Vigil;

/// What `/status` tells.
#[derive(Debug)]
pub(crate) struct Status {
    pipeline: String,
    pub(crate) lanes: Vec<Arc<LaneReport>>,
    readiness: Readiness,
    orders: Arc<Orders>,
    inputs: Inputs,
    log: LogLevel,
    models: OnceLock<Value>,
    in_force: OnceLock<Arc<InForce>>,
    vigil: OnceLock<Vigil>,
}

impl Status {
    pub(crate) fn new(file: &PipelineFile, common: &Common) -> Self {
        Self {
            pipeline: file.name.clone(),
            orders: common.orders.clone(),
            inputs: common.inputs.clone(),
            log: common.log.clone(),
            lanes: (0..file.kafka.lanes).map(|number| report(number, common)).collect(),
            readiness: common.readiness.clone(),
            models: OnceLock::new(),
            in_force: OnceLock::new(),
            vigil: OnceLock::new(),
        }
    }

    /// Follows the policy from now on.
    pub(crate) fn follow(&self, in_force: Arc<InForce>) {
        self.in_force.get_or_init(|| in_force);
    }

    /// Knows of drift from now on.
    pub(crate) fn watch(&self, vigil: Vigil) {
        self.vigil.get_or_init(|| vigil);
    }

    pub(crate) fn describe(&self, assembly: &Assembly) {
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
        let inputs = self.inputs.names();
        let topic = inputs.get(usize::from(skip.source.partition.topic));
        skip.source.write(topic.map_or("", |topic| &**topic), &mut name);
        name
    }

    /// A partition: its number, and of several topics the name too.
    fn held_as(&self, partition: Partition) -> Value {
        let inputs = self.inputs.names();
        match inputs.get(usize::from(partition.topic)) {
            Some(topic) if inputs.len() > 1 => json!(format!("{topic}/{}", partition.number)),
            _ => json!(partition.number),
        }
    }

    fn shown(&self, sample: &Sample) -> Value {
        let models = self.models.get().map_or(&Value::Null, |described| &described["models"]);
        let signals = sample.signals.iter().filter(|(_, value)| value.is_finite());
        let signals: serde_json::Map<String, Value> = signals
            .map(|(signal, value)| (signal.as_str().to_owned(), json!(value)))
            .collect();
        let arms: Vec<&str> = sample.arms.iter().map(|arm| arm.as_str()).collect();
        json!({
            "at": moment::rfc3339(sample.at_ms), "event": sample.event, "model": models[sample.model]["name"],
            "class": sample.class, "confidence": sample.confidence, "arms": arms, "signals": signals,
        })
    }

    pub(crate) fn balance(&self) -> Balance {
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
                let partitions: Vec<Value> = latest.partitions.iter().map(|one| self.held_as(*one)).collect();
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
        let (standing, log) = (self.orders.standing(), self.log.in_force());
        let skips: Vec<String> = standing.skips.iter().map(|skip| self.named(skip)).collect();
        json!({
            "pipeline": self.pipeline,
            "version": env!("CARGO_PKG_VERSION"),
            "ready": self.readiness.is_ready(),
            "config": provenance.config,
            "policy": provenance.policy,
            "models": described["models"],
            "events": book(self.balance()),
            "lag": self.lanes.iter().map(|lane| lane.latest().lag).sum::<u64>(),
            "skips": skips,
            "log": { "level": log.level, "until": log.until_ms.map(moment::rfc3339) },
            "lanes": lanes,
        })
    }

    fn drift(&self) -> Value {
        self.vigil
            .get()
            .map_or_else(|| json!(View::starting()), |vigil| json!(vigil.view()))
    }

    fn samples(&self) -> Value {
        let mut samples: Vec<Sample> = self.lanes.iter().flat_map(|lane| lane.latest().samples).collect();
        samples.sort_by_key(|sample| std::cmp::Reverse(sample.at_ms));
        samples.truncate(SAMPLES);
        let samples: Vec<Value> = samples.iter().map(|sample| self.shown(sample)).collect();
        json!({ "samples": samples })
    }
}
