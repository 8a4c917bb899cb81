//! What is measured of each model, and how events are selected by it.
//!
//! Owns: which signals are measured, the committee of models that can disagree, the plan of selection.
//! Never does: load a model, or decide on an event.
//!
//! Invariant: what a plan reads is measured.

use std::sync::Arc;

use eddy_pipeline::fields::{Feature, FeatureKind};
use eddy_pipeline::head::{Head, Holds, Values};
use eddy_pipeline::select::{Committee, Offer, Plan, SelectSettings, Served};
use eddy_pipeline::settings::Problem;
use eddy_pipeline::signal::{self, Measure, Signal, Subject};

use crate::signals::{ModelSignals, SignalPlan};

/// Signals that are shown where the file names none, of those that a model can serve.
const SHOWN: [Signal; 9] = [
    Signal::Margin,
    Signal::Entropy,
    Signal::LabelEntropy,
    Signal::Interval,
    Signal::Spread,
    Signal::Energy,
    Signal::Hbos,
    Signal::Mahalanobis,
    Signal::Reconstruction,
];
/// Signals of several models together.
const COMMITTEE: [Signal; 4] = [Signal::Js, Signal::Bald, Signal::VoteEntropy, Signal::Delta];

/// A model as far as its judgement is concerned.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// Its name in the pipeline file.
    pub name: &'a str,
    /// What reads its outputs.
    pub head: &'a dyn Head,
    /// `models[].signals`.
    pub shown: Option<&'a [Signal]>,
}

/// What is measured and how it is judged, for all lanes.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// What is measured.
    pub signals: Arc<SignalPlan>,
    /// How events are selected.
    pub plan: Arc<Plan>,
    /// Whether the features of events are captured.
    pub has_features: bool,
}

/// Matches `[select]` and `models[].signals` with what the models can say.
///
/// # Errors
/// What the file asks for and no model can serve.
pub fn judge(
    select: &SelectSettings,
    models: &[Judged<'_>],
    features: Vec<Feature>,
) -> Result<Judgement, Vec<Problem>> {
    let holds: Vec<Holds> = models.iter().map(|model| model.head.holds()).collect();
    let members = committee(models, &holds);
    let mut problems = Vec::new();
    let mut can = Vec::new();
    for (position, model) in models.iter().enumerate() {
        let peers = peers_of(position, &members);
        let of_peers: Vec<Holds> = peers.iter().map(|peer| holds[*peer]).collect();
        let subject = Subject {
            peers: &of_peers,
            ..Subject::bare(holds[position])
        };
        let measures = signal::measures(&subject);
        problems.extend(unserved(position, model, &measures));
        can.push((peers, measures));
    }
    let offer = Offer {
        models: models
            .iter()
            .zip(&can)
            .map(|(model, (_, measures))| served(model, measures))
            .collect(),
        committee: members.first().map(|first| Committee {
            first: *first,
            signals: signals_of(&can[*first].1)
                .filter(|signal| COMMITTEE.contains(signal))
                .collect(),
        }),
        categories: features.iter().filter_map(category).collect(),
    };
    let plan = Plan::compile(select, &offer)
        .map_err(|found| problems.extend(found))
        .ok();
    let Some(plan) = plan.filter(|_| problems.is_empty()) else {
        return Err(problems);
    };
    let has_budget = select.has_budget();
    let models = models.iter().zip(can).enumerate();
    let models = models.map(|(position, (model, (peers, measures)))| {
        let shown = shown(model, &measures, has_budget);
        keep(measures, &shown, |signal| reads(&plan, position, signal), peers)
    });
    Ok(Judgement {
        signals: Arc::new(SignalPlan {
            models: models.collect(),
            features,
            similar: None,
        }),
        plan: Arc::new(plan),
        has_features: has_budget,
    })
}

/// Positions of the models that can disagree: the largest group with the same classes, or of regressions.
fn committee(models: &[Judged<'_>], holds: &[Holds]) -> Vec<usize> {
    let alike = |one: usize, other: usize| match (holds[one].values, holds[other].values) {
        (Values::Classes(_), Values::Classes(_)) => models[one].head.classes() == models[other].head.classes(),
        (Values::Targets, Values::Targets) => true,
        _ => false,
    };
    let group = |one: usize| (0..models.len()).filter(|other| alike(one, *other)).collect::<Vec<_>>();
    let groups = (0..models.len()).map(group).filter(|group| group.len() > 1);
    // Of equally large groups the first, so that the order of the file decides.
    groups.rev().max_by_key(Vec::len).unwrap_or_default()
}

fn peers_of(position: usize, members: &[usize]) -> Vec<usize> {
    if !members.contains(&position) {
        return Vec::new();
    }
    members.iter().copied().filter(|member| *member != position).collect()
}

fn signals_of(measures: &[Box<dyn Measure>]) -> impl Iterator<Item = Signal> {
    measures.iter().map(|measure| measure.signal())
}

fn served(model: &Judged<'_>, measures: &[Box<dyn Measure>]) -> Served {
    Served {
        model: model.name.to_owned(),
        signals: signals_of(measures).map(|signal| (signal, None)).collect(),
        classes: match model.head.holds().values {
            Values::Classes(classes) => classes,
            _ => 0,
        },
    }
}

fn category(feature: &Feature) -> Option<(String, Vec<String>)> {
    match &feature.kind {
        FeatureKind::Category(words) => Some((feature.name.clone(), words.clone())),
        FeatureKind::Number => None,
    }
}

/// Signals that a model is asked for by name and does not give.
fn unserved(position: usize, model: &Judged<'_>, measures: &[Box<dyn Measure>]) -> Vec<Problem> {
    let wanted = model.shown.unwrap_or_default().iter().enumerate();
    let missing = wanted.filter(|(_, signal)| !signals_of(measures).any(|given| given == **signal));
    let problem = |(at, signal): (usize, &Signal)| {
        let given: Vec<&str> = signals_of(measures).map(Signal::as_str).collect();
        Problem::new(
            format!("models[{position}].signals[{at}]"),
            format!(
                "model `{}` does not give `{}`; it gives {}, and more with a reference profile",
                model.name,
                signal.as_str(),
                given.join(", ")
            ),
        )
    };
    missing.map(problem).collect()
}

/// What outputs show of a model: what the file names, else the usual ones where events compete for a budget.
fn shown(model: &Judged<'_>, measures: &[Box<dyn Measure>], has_budget: bool) -> Vec<Signal> {
    match model.shown {
        Some(named) => named.to_vec(),
        None if has_budget => SHOWN
            .into_iter()
            .filter(|signal| signals_of(measures).any(|given| given == *signal))
            .collect(),
        None => Vec::new(),
    }
}

fn reads(plan: &Plan, position: usize, signal: Signal) -> bool {
    plan.columns()
        .iter()
        .any(|column| column.model == position && column.signal == signal)
}

/// The measures that are shown, then those that only the plan reads.
fn keep(
    mut measures: Vec<Box<dyn Measure>>,
    shown: &[Signal],
    is_read: impl Fn(Signal) -> bool,
    peers: Vec<usize>,
) -> ModelSignals {
    let mut kept = Vec::new();
    for signal in shown {
        if let Some(at) = measures.iter().position(|measure| measure.signal() == *signal) {
            kept.push(measures.remove(at));
        }
    }
    let shown = kept.len();
    kept.extend(measures.into_iter().filter(|measure| is_read(measure.signal())));
    ModelSignals {
        measures: kept,
        shown,
        peers,
    }
}
