//! How many series of Prometheus a replica will have.
//!
//! Owns: the forecast. Never does: estimate; the series are made in a registry that nobody scrapes, and counted.

use std::fmt;

use eddy_inference::SignalPlan;
use eddy_pipeline::drift::monitor::Export;
use eddy_pipeline::drift::watch::Watcher;
use eddy_pipeline::select::Plan;
use eddy_telemetry::{LaneMetrics, Metrics, Totals};

use crate::assemble::Assembly;

/// Series of one replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Forecast {
    all: usize,
    /// Those of them that are about drift.
    drift: usize,
    watched: usize,
    left_out: Vec<String>,
    most: usize,
    export: Export,
}

impl Forecast {
    /// Of a replica that has all partitions of these topics of events.
    pub(crate) fn of(assembly: &Assembly, topics: &[(&str, i32)]) -> Self {
        let (file, judgement) = (assembly.file(), assembly.in_force().current().0);
        let (signals, monitor) = (&judgement.signals, &judgement.monitor);
        let metrics = Metrics::new(&file.name, env!("CARGO_PKG_VERSION"));
        assembly.show(&metrics);
        let names: Vec<&str> = assembly.models().iter().map(|model| model.name()).collect();
        let totals = Totals::of(monitor);
        let lanes = (0..file.kafka.lanes).map(|number| {
            let lane = metrics.lane(usize::from(number), &names);
            let mut lane = lane.watching(monitor.clone(), totals.clone(), &assembly.versions());
            show(&mut lane, signals, &judgement.plan);
            lane
        });
        let mut lanes: Vec<LaneMetrics> = lanes.collect();
        if let Some(lane) = lanes.first_mut() {
            for (topic, partitions) in topics {
                (0..*partitions).for_each(|partition| lane.lag(topic, partition, 0));
            }
        }
        let watcher = Watcher::new(
            monitor.clone(),
            file.drift.clone(),
            assembly.names(),
            std::time::Duration::ZERO,
        );
        let mut view = watcher.view().clone();
        view.pretend_all_is_known(&file.drift.statistics);
        metrics.show_drift(&view);
        let text = metrics.gather();
        let series = || text.lines().filter(|line| !line.starts_with('#'));
        let is_drift = |line: &&str| {
            [
                "eddy_feature_",
                "eddy_output_",
                "eddy_drift_",
                "eddy_confidence_e",
                "eddy_embedding_",
            ]
            .iter()
            .any(|name| line.starts_with(name))
        };
        let (watched, left_out) = monitor.features();
        Self {
            all: series().count(),
            drift: series().filter(is_drift).count(),
            watched,
            left_out: left_out.to_vec(),
            most: file.drift.max_series,
            export: monitor.export(),
        }
    }
}

/// Brings forth what else appears with the first events.
fn show(lane: &mut LaneMetrics, signals: &SignalPlan, plan: &Plan) {
    for (model, of_model) in signals.models.iter().enumerate() {
        for signal in of_model.shown_signals() {
            lane.signal(model, signal, []);
        }
    }
    for lottery in plan.lotteries().iter().filter(|lottery| lottery.has_budget()) {
        lane.budget(lottery.model, lottery.arm, (0.0, 0.0));
    }
}

impl fmt::Display for Forecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            all,
            drift,
            watched,
            most,
            ..
        } = self;
        write!(
            f,
            "Prometheus: {all} series of each replica, {drift} of them for drift of {watched} features"
        )?;
        match self.export {
            Export::Bins => write!(f, " (`drift.export = \"bins\"`, at most {most} counts)")?,
            Export::Values => write!(f, " (`drift.export = \"values\"`)")?,
            Export::Off => write!(f, " (`drift.export = \"off\"`)")?,
        }
        if *watched == 0 && self.export != Export::Off {
            write!(
                f,
                "\nno feature is watched: no model has a reference profile (`models[].profile`, by `eddy profile`)"
            )?;
        }
        match self.left_out.len() {
            0 => Ok(()),
            count => {
                let first: Vec<&str> = self.left_out.iter().take(4).map(String::as_str).collect();
                let more = if count > first.len() { ", …" } else { "" };
                let first = first.join(", ");
                write!(
                    f,
                    "\nnot watched for want of series (`drift.max_series`): {count}: {first}{more}"
                )
            }
        }
    }
}
