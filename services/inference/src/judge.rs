//! What is measured of each model, and how events are selected by it.
//!
//! Owns: which signals are measured, the committee of models that can disagree, the plan of selection.
//! Never does: load a model, or decide on an event.
//!
//! Invariant: what a plan reads is measured.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use eddy_pipeline::drift::monitor::{DriftSettings, Export, Monitor, Watched};
use eddy_pipeline::fields::{Feature, FeatureKind};
use eddy_pipeline::head::{Head, Holds, Values};
use eddy_pipeline::policy::{OperatingPoint, PolicyFile};
use eddy_pipeline::profile::Profile;
use eddy_pipeline::select::{Committee, Offer, Plan, SelectSettings, Served};
use eddy_pipeline::settings::Problem;
use eddy_pipeline::signal::{self, Measure, Signal, Subject};

use crate::signals::{self, Measured, ModelSignals, Operating, SignalPlan};

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
    /// What its events and outputs are like on data that are known to be good.
    pub profile: Option<&'a Profile>,
    /// Where it decides, if not where its head says.
    pub operating_point: Option<&'a OperatingPoint>,
}

impl<'a> Judged<'a> {
    /// A model of which nothing is known but its head.
    pub const fn bare(name: &'a str, head: &'a dyn Head) -> Self {
        Self {
            name,
            head,
            shown: None,
            profile: None,
            operating_point: None,
        }
    }
}

/// What is measured and how it is judged, for all lanes.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// What is measured.
    pub signals: Arc<SignalPlan>,
    /// How events are selected.
    pub plan: Arc<Plan>,
    /// What is counted for drift.
    pub monitor: Arc<Monitor>,
    /// Whether the features of events must be captured.
    pub needs_features: bool,
}

/// The judgement that is in force in a process, and whose word it is. Written by whoever watches the policy, read by every
/// lane between its batches.
#[derive(Debug)]
pub struct InForce {
    /// Changes with every judgement, so that a lane looks at the rest only then.
    version: AtomicU64,
    current: Mutex<(Judgement, Provenance)>,
}

/// What made an output what it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Provenance {
    /// Hash of the settings that decide what outputs say, the policy's included.
    pub config: String,
    /// Hash of the policy file, where there is one.
    pub policy: Option<String>,
    /// What that file said when it was taken up.
    pub said: Option<Arc<PolicyFile>>,
}

impl InForce {
    /// The first judgement.
    pub fn new(judgement: Judgement, provenance: Provenance) -> Self {
        Self {
            version: AtomicU64::new(1),
            current: Mutex::new((judgement, provenance)),
        }
    }

    /// Puts another judgement in force, from each lane's next batch on.
    pub fn replace(&self, judgement: Judgement, provenance: Provenance) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = (judgement, provenance);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// The judgement in force.
    pub fn current(&self) -> (Judgement, Provenance) {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The same, if it is another than the one of version `seen`.
    pub fn news(&self, seen: &mut u64) -> Option<(Judgement, Provenance)> {
        let version = self.version.load(Ordering::Acquire);
        (std::mem::replace(seen, version) != version).then(|| self.current())
    }
}

/// Matches `[select]`, `[drift]` and `models[].signals` with what the models can say.
///
/// # Errors
/// What the file asks for and no model can serve.
pub fn judge(
    (select, drift): (&SelectSettings, &DriftSettings),
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
        let measures = measures(model, holds[position], &of_peers, &features);
        let measures = measures.unwrap_or_else(|found| {
            problems.extend(found.into_iter().map(|problem| below(position, problem)));
            Vec::new()
        });
        problems.extend(unserved(position, model, &measures));
        can.push((peers, measures));
    }
    let segments = drift.segment.as_deref().filter(|_| drift.export != Export::Off);
    problems.extend(segments.and_then(|field| segment(field, models, &features)));
    let operating = operating(models, &holds, &features).unwrap_or_else(|found| {
        problems.extend(found);
        Vec::new()
    });
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
    let names: Vec<&str> = features.iter().map(|feature| feature.name.as_str()).collect();
    let has_budget = select.has_budget();
    let similar = models
        .iter()
        .find_map(|model| model.profile?.simhash(&names).ok().flatten());
    let measured: Vec<Vec<Signal>> = models
        .iter()
        .zip(&can)
        .enumerate()
        .map(|(position, (model, (_, measures)))| {
            let shown = shown(model, measures, has_budget);
            let kept = |signal: &Signal| shown.contains(signal) || reads(&plan, position, *signal);
            signals_of(measures)
                .filter(kept)
                .filter(|signal| !signal.is_costly())
                .collect()
        })
        .collect();
    let monitor = monitor(models, &measured, &features, drift);
    let models = models.iter().zip(can).zip(operating).enumerate();
    let models = models.map(|(position, ((model, (peers, measures)), operating))| {
        let shown = shown(model, &measures, has_budget);
        let is_read =
            |signal| reads(&plan, position, signal) || monitor.signals(position).any(|watched| watched == signal);
        ModelSignals {
            operating,
            ..keep(measures, &shown, is_read, peers)
        }
    });
    let models: Vec<ModelSignals> = models.collect();
    let segment = plan.segment_field();
    let segment = segment.and_then(|field| names.iter().position(|name| *name == field));
    Ok(Judgement {
        // With a budget they tell duplicates.
        needs_features: has_budget || monitor.reads_features() || models.iter().any(ModelSignals::reads_features),
        monitor: Arc::new(monitor),
        signals: Arc::new(SignalPlan {
            columns: signals::locate(&plan, &models),
            models,
            segment,
            features,
            similar: similar.map(Arc::new),
        }),
        plan: Arc::new(plan),
    })
}

/// Why events cannot be watched apart by this field.
fn segment(field: &str, models: &[Judged<'_>], features: &[Feature]) -> Option<Problem> {
    let wrong = |message: String| Some(Problem::new("drift.segment", message));
    let categories: Vec<String> = features.iter().filter_map(category).map(|(name, _)| name).collect();
    if !categories.iter().any(|name| name == field) {
        let known = match categories.is_empty() {
            true => "there is none".to_owned(),
            false => format!("the categories are {}", categories.join(", ")),
        };
        return wrong(format!(
            "`{field}` is no category among the fields that are not masked (`events.mask`); {known}"
        ));
    }
    let has_segments = |profile: &Profile| {
        profile
            .segments
            .as_ref()
            .is_some_and(|segments| segments.field == field)
    };
    let without = models
        .iter()
        .find(|model| model.profile.is_some_and(|profile| !has_segments(profile)))?;
    wrong(format!(
        "the profile of model `{}` does not know segments of `{field}`; write it anew with `eddy profile --segment {field}`",
        without.name
    ))
}

fn monitor(models: &[Judged<'_>], measured: &[Vec<Signal>], features: &[Feature], settings: &DriftSettings) -> Monitor {
    let watched = models.iter().zip(measured).map(|(model, measured)| {
        Some(Watched {
            profile: model.profile?,
            classes: model.head.classes(),
            measured,
        })
    });
    let watched: Vec<_> = watched.collect();
    Monitor::new(&watched, features, settings)
}

/// Everything that a model can serve.
fn measures(
    model: &Judged<'_>,
    holds: Holds,
    peers: &[Holds],
    features: &[Feature],
) -> Result<Vec<Box<dyn Measure>>, Vec<Problem>> {
    let Some(profile) = model.profile else {
        return Ok(signal::measures(&Subject {
            peers,
            ..Subject::bare(holds)
        }));
    };
    let names: Vec<&str> = features.iter().map(|feature| feature.name.as_str()).collect();
    profile.measures(holds, peers, &names)
}

/// A problem of one model, at its place in the file.
fn below(position: usize, problem: Problem) -> Problem {
    Problem::new(format!("models[{position}].{}", problem.key), problem.message)
}

/// The operating points of the models, each with a margin for every threshold.
fn operating(
    models: &[Judged<'_>],
    holds: &[Holds],
    features: &[Feature],
) -> Result<Vec<Option<Operating>>, Vec<Problem>> {
    let (mut all, mut problems) = (Vec::new(), Vec::new());
    for (model, holds) in models.iter().zip(holds) {
        let found = model
            .operating_point
            .map(|point| operating_of(model, point, *holds, features));
        match found.transpose() {
            Ok(operating) => all.push(operating),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(all) } else { Err(problems) }
}

fn operating_of(
    model: &Judged<'_>,
    point: &OperatingPoint,
    holds: Holds,
    features: &[Feature],
) -> Result<Operating, Vec<Problem>> {
    let thresholds = point.fit(&format!("models.{}", model.name), holds, features)?;
    let mut distinct = thresholds.by_category.clone();
    distinct.push(thresholds.default);
    distinct.sort_by(f32::total_cmp);
    distinct.dedup();
    let mut margins = Vec::new();
    for threshold in distinct {
        let holds = Holds {
            threshold: Some(threshold),
            ..holds
        };
        let of_threshold = measures(model, holds, &[], features)?;
        let margin = of_threshold
            .into_iter()
            .find(|measure| measure.signal() == Signal::Margin);
        margins.extend(margin.map(|margin| (threshold, margin)));
    }
    Ok(Operating { thresholds, margins })
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
        signals: signals_of(measures)
            .map(|signal| {
                (
                    signal,
                    model
                        .profile
                        .and_then(|profile| profile.conformal(signal).ok())
                        .map(Arc::new),
                )
            })
            .collect(),
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
    let measured = |measure: Box<dyn Measure>| Measured {
        is_deferred: measure.signal().is_costly() && !is_read(measure.signal()),
        measure,
    };
    ModelSignals {
        measures: kept.into_iter().map(measured).collect(),
        shown,
        peers,
        operating: None,
    }
}

#[cfg(test)]
mod tests;
