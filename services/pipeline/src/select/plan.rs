//! The plan of selection: which lotteries there are, what each ranks by, and what each may spend.
//!
//! Owns: the matching of `[select]` with what the models can say. Never does: remember anything of the stream.
//!
//! Invariant: an arm that is asked for by name and cannot be served is a problem; an arm that only has its default share
//! is left out, and its share goes to the others.

mod offer;

use std::sync::Arc;

pub use self::offer::{Committee, Offer, Served};
use super::arm::Arm;
use super::draw::Salt;
use super::settings::{MAX_SEGMENTS, SelectSettings};
use crate::conformal::Conformal;
use crate::settings::{Problem, nearest};
use crate::signal::{Range, Signal};

/// A column of signals that selection reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Position of the model.
    pub model: usize,
    /// The signal.
    pub signal: Signal,
}

/// What an event must be like.
#[derive(Debug, Clone)]
pub(super) enum Condition {
    Below(usize, f64),
    Above(usize, f64),
}

/// How a signal is a utility between 0 and 1.
#[derive(Debug, Clone)]
pub(super) enum Scale {
    /// It is one.
    Unit,
    /// 1 minus the conformal p-value.
    Conformal(Arc<Conformal>),
    /// `½ + x / (2(1+|x|))`: keeps the order.
    Squashed,
}

/// One lottery: an arm, of one model or of the event.
#[derive(Debug, Clone)]
pub struct Lottery {
    /// Its arm.
    pub arm: Arm,
    /// Position of the model it is about; `None` for the event.
    pub model: Option<usize>,
    /// Its name, wherever it is written down.
    pub name: String,
    pub(super) salt: Salt,
    /// What it ranks by; `None` where every event is as good.
    pub(super) utility: Option<(usize, Scale)>,
    pub(super) conditions: Vec<Condition>,
    /// Its part of the budget; `None` without budget: every event that meets the conditions is selected.
    pub(super) part: Option<f64>,
    /// Classes, for a floor.
    pub(super) classes: usize,
}

impl Lottery {
    /// Whether it pays for what it selects.
    pub const fn has_budget(&self) -> bool {
        self.part.is_some()
    }
}

/// The segments with their quota.
#[derive(Debug, Clone)]
pub(super) struct Segments {
    pub(super) names: Vec<String>,
    pub(super) most: f64,
}

/// A compiled `[select]`.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(super) settings: SelectSettings,
    pub(super) lotteries: Vec<Lottery>,
    pub(super) columns: Vec<Column>,
    /// Part of the control arm in the budget.
    pub(super) explore: f64,
    pub(super) segments: Option<Segments>,
}

/// Signals that an arm ranks by where the file names none, best first.
const UNCERTAINTY: [Signal; 4] = [Signal::Margin, Signal::LabelEntropy, Signal::Interval, Signal::Spread];
const ANOMALY: [Signal; 5] = [
    Signal::Anomaly,
    Signal::Reconstruction,
    Signal::Mahalanobis,
    Signal::Hbos,
    Signal::Energy,
];

/// All of these are utilities between 0 and 1.
const DISAGREEMENT: [Signal; 4] = [Signal::Js, Signal::Bald, Signal::VoteEntropy, Signal::Delta];
/// Most bytes beside a committed offset: brokers refuse more than 4,096 (`offset.metadata.max.bytes`).
const MAX_NOTE: usize = 4_000;
/// Bytes of a note that are not about a slot, and those of a slot but for its name.
const NOTE_FRAME: usize = 120;
const NOTE_SLOT: usize = 24;

impl Plan {
    /// Matches the settings, which were checked, with what the pipeline can say.
    ///
    /// # Errors
    /// What the file asks for and no model can serve.
    pub fn compile(settings: &SelectSettings, offer: &Offer) -> Result<Self, Vec<Problem>> {
        let mut draft = Draft {
            settings,
            offer,
            columns: Vec::new(),
            problems: Vec::new(),
        };
        let mut lotteries = draft.by_model(Arm::Uncertainty);
        lotteries.extend(draft.by_model(Arm::Anomaly));
        lotteries.extend(draft.disagreement());
        lotteries.extend(draft.class_floors());
        draft.look_for_unserved(&lotteries);
        let segments = draft.segments();
        draft.check_note(&lotteries, segments.as_ref());
        let explore = share_out(settings, &mut lotteries);
        let Draft { columns, problems, .. } = draft;
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            settings: settings.clone(),
            lotteries,
            columns,
            explore,
            segments,
        })
    }

    /// A plan that selects nothing.
    pub fn none() -> Self {
        Self {
            settings: SelectSettings::default(),
            lotteries: Vec::new(),
            columns: Vec::new(),
            explore: 0.0,
            segments: None,
        }
    }

    /// The columns of signals that it reads, in the order in which [`super::Facts::value`] is asked for them.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The field whose values are segments.
    pub fn segment_field(&self) -> Option<&str> {
        self.settings.segments.as_ref().map(|segments| segments.field.as_str())
    }

    /// Its lotteries; picks refer to them by position.
    pub fn lotteries(&self) -> &[Lottery] {
        &self.lotteries
    }
}

/// Gives every lottery its part of the budget, in proportion to the shares of the arms that are there; returns the control
/// arm's.
fn share_out(settings: &SelectSettings, lotteries: &mut [Lottery]) -> f64 {
    if !settings.has_budget() {
        return 0.0;
    }
    let count = |lotteries: &[Lottery], arm: Arm| lotteries.iter().filter(|lottery| lottery.arm == arm).count();
    let present = |arm: &&Arm| **arm == Arm::Explore || count(lotteries, **arm) > 0;
    let total: f64 = Arm::ALL
        .iter()
        .filter(present)
        .map(|arm| settings.shares.of(*arm))
        .sum();
    let counts = Arm::ALL.map(|arm| count(lotteries, arm));
    for lottery in lotteries {
        let share = settings.shares.of(lottery.arm) / total;
        lottery.part = Some(share / counts[lottery.arm.index()] as f64);
    }
    settings.shares.explore / total
}

struct Draft<'a> {
    settings: &'a SelectSettings,
    offer: &'a Offer,
    columns: Vec<Column>,
    problems: Vec<Problem>,
}

impl Draft<'_> {
    fn column(&mut self, model: usize, signal: Signal) -> usize {
        let column = Column { model, signal };
        self.columns
            .iter()
            .position(|known| *known == column)
            .unwrap_or_else(|| {
                self.columns.push(column);
                self.columns.len() - 1
            })
    }

    /// The lotteries of an arm that looks at one model at a time.
    fn by_model(&mut self, arm: Arm) -> Vec<Lottery> {
        let offer = self.offer;
        let is_on = !self.settings.has_budget() || self.settings.shares.of(arm) > 0.0;
        let mut lotteries = Vec::new();
        for (position, served) in offer.models.iter().enumerate().filter(|_| is_on) {
            let lottery = match arm {
                Arm::Uncertainty => self.uncertainty(position, served),
                _ => self.anomaly(position, served),
            };
            lotteries.extend(lottery);
        }
        lotteries
    }

    fn uncertainty(&mut self, position: usize, served: &Served) -> Option<Lottery> {
        let fixed = self
            .settings
            .confidence_below
            .filter(|_| served.gives(Signal::Confidence));
        let conditions = fixed.map(|limit| Condition::Below(self.column(position, Signal::Confidence), limit.into()));
        let utility = match self.settings.has_budget() {
            true => Some(self.ranking(position, served, self.settings.uncertainty.signal, &UNCERTAINTY)?),
            false => None,
        };
        if utility.is_none() && conditions.is_none() {
            return None;
        }
        Some(lottery(Arm::Uncertainty, Some((position, served)), utility, conditions))
    }

    fn anomaly(&mut self, position: usize, served: &Served) -> Option<Lottery> {
        let fixed = self.settings.anomaly_above.filter(|_| served.gives(Signal::Anomaly));
        if let Some(limit) = fixed {
            let column = self.column(position, Signal::Anomaly);
            let utility = self.settings.has_budget().then_some((column, Scale::Squashed));
            let condition = Condition::Above(column, limit.into());
            return Some(lottery(
                Arm::Anomaly,
                Some((position, served)),
                utility,
                Some(condition),
            ));
        }
        if !self.settings.has_budget() {
            return None;
        }
        let (column, scale) = self.ranking(position, served, self.settings.anomaly.signal, &ANOMALY)?;
        let Scale::Conformal(tail) = &scale else {
            if self.settings.anomaly.signal.is_some() {
                self.problems.push(Problem::new(
                    "select.anomaly.signal",
                    format!(
                        "no reference profile of model `{}` says what is ordinary of this signal; make one with `eddy profile`, \
                         write `anomaly_above`, or name another signal",
                        served.model
                    ),
                ));
            }
            return None;
        };
        let rate = self.settings.anomaly.false_alarms;
        let threshold = match tail.threshold(rate) {
            Ok(threshold) => threshold,
            Err(uncertified) => {
                let message = format!(
                    "the profile of model `{}` cannot certify it: {uncertified}",
                    served.model
                );
                self.problems.push(Problem::new("select.anomaly.false_alarms", message));
                return None;
            }
        };
        let condition = Condition::Above(column, threshold.into());
        Some(lottery(
            Arm::Anomaly,
            Some((position, served)),
            Some((column, scale)),
            Some(condition),
        ))
    }

    /// The signal that a lottery ranks by, and how it is a utility.
    fn ranking(
        &mut self,
        position: usize,
        served: &Served,
        named: Option<Signal>,
        defaults: &[Signal],
    ) -> Option<(usize, Scale)> {
        let candidates = named.as_ref().map_or(defaults, std::slice::from_ref);
        let usable = |signal: &&Signal| {
            let tail = served.signals.iter().find(|(given, _)| given == *signal);
            // A default that cannot be judged gives way to one that can.
            tail.is_some_and(|(_, tail)| named.is_some() || signal.range() == Range::Unit || tail.is_some())
        };
        let signal = *candidates.iter().find(usable)?;
        let tail = served.signals.iter().find(|(given, _)| *given == signal)?.1.clone();
        let scale = match (signal.range(), tail) {
            (Range::Unit, _) => Scale::Unit,
            (Range::Open, Some(tail)) => Scale::Conformal(tail),
            (Range::Open, None) => Scale::Squashed,
        };
        Some((self.column(position, signal), scale))
    }

    fn disagreement(&mut self) -> Option<Lottery> {
        let named = self.settings.disagreement.signal;
        let is_on = self.settings.has_budget() && self.settings.shares.disagreement > 0.0;
        let committee = self.offer.committee.as_ref().filter(|_| is_on)?;
        if let Some(signal) = named.filter(|signal| !committee.signals.contains(signal)) {
            let words: Vec<&str> = committee.signals.iter().map(|signal| signal.as_str()).collect();
            let given = match words.is_empty() {
                true => "nothing without a reference profile".to_owned(),
                false => words.join(", "),
            };
            let message = format!(
                "`{}` is not what these models give together; they give {given}",
                signal.as_str()
            );
            self.problems.push(Problem::new("select.disagreement.signal", message));
            return None;
        }
        let given = DISAGREEMENT
            .into_iter()
            .find(|signal| committee.signals.contains(signal));
        let column = self.column(committee.first, named.or(given)?);
        Some(lottery(Arm::Disagreement, None, Some((column, Scale::Unit)), None))
    }

    fn class_floors(&mut self) -> Vec<Lottery> {
        let is_on = self.settings.has_budget() && self.settings.shares.class_floor > 0.0;
        let models = self.offer.models.iter().enumerate();
        let with_classes = models.filter(|(_, served)| is_on && served.classes > 0);
        with_classes
            .map(|model| Lottery {
                classes: model.1.classes,
                ..lottery(Arm::ClassFloor, Some(model), None, None)
            })
            .collect()
    }

    /// What the file asks for by name and no lottery does.
    fn look_for_unserved(&mut self, lotteries: &[Lottery]) {
        let settings = self.settings;
        let has = |arm: Arm| lotteries.iter().any(|lottery| lottery.arm == arm);
        let anyone = |signal: Signal| self.offer.models.iter().any(|served| served.gives(signal));
        let thresholds = [
            (
                "confidence_below",
                settings.confidence_below.is_some(),
                Signal::Confidence,
            ),
            ("anomaly_above", settings.anomaly_above.is_some(), Signal::Anomaly),
        ];
        for (key, is_set, signal) in thresholds {
            if is_set && !anyone(signal) {
                let message = format!(
                    "no model's head gives {}, so it would never select; leave the key out",
                    signal
                );
                self.problems.push(Problem::new(format!("select.{key}"), message));
            }
        }
        let named = [
            ("uncertainty.signal", settings.uncertainty.signal, Arm::Uncertainty),
            ("anomaly.signal", settings.anomaly.signal, Arm::Anomaly),
        ];
        for (key, signal, arm) in named {
            if let Some(signal) = signal
                && settings.has_budget()
                && settings.shares.of(arm) > 0.0
                && !has(arm)
                && !anyone(signal)
            {
                let message = format!(
                    "no model gives `{}`; name a signal that one gives, or leave the key out",
                    signal.as_str()
                );
                self.problems.push(Problem::new(format!("select.{key}"), message));
            }
        }
        if settings.has_budget() && lotteries.is_empty() && settings.shares.explore == 0.0 {
            let message = "no model gives what any of these arms ranks by, so the budget would never be spent; give \
                           `explore` a share";
            self.problems.push(Problem::new("select.shares", message));
        }
    }

    /// What is left of each budget stands beside the committed offsets, where Kafka takes no more than so much.
    fn check_note(&mut self, lotteries: &[Lottery], segments: Option<&Segments>) {
        let slot = |name: &str| serde_json::Value::from(name).to_string().len() + NOTE_SLOT;
        let with_time = |lottery: &Lottery| 2 * slot(&lottery.name) + "/time".len();
        let of_lotteries: usize = lotteries.iter().map(with_time).sum();
        let of_segments: usize = segments.map_or(0, |segments| segments.names.iter().map(|name| slot(name)).sum());
        let bytes = NOTE_FRAME + of_lotteries + of_segments;
        if self.settings.has_budget() && bytes > MAX_NOTE {
            let key = match of_segments > of_lotteries {
                true => "select.segments.field",
                false => "select.shares",
            };
            let message = format!(
                "what is left of the budgets of {} arms and {} segments takes up to {bytes} bytes beside each committed \
                 offset, and Kafka takes {MAX_NOTE} there; use fewer models or segments, or give them shorter names",
                lotteries.len(),
                segments.map_or(0, |segments| segments.names.len())
            );
            self.problems.push(Problem::new(key, message));
        }
    }

    fn segments(&mut self) -> Option<Segments> {
        let settings = self.settings.segments.as_ref()?;
        let field = &settings.field;
        let Some((_, words)) = self.offer.categories.iter().find(|(name, _)| name == field) else {
            let names = self.offer.categories.iter().map(|(name, _)| name.as_str());
            let advice = nearest(field, names).map_or_else(
                || "name a field of type category with `categories`".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            let message = format!(
                "`{field}` is no field of type category with `categories` that is not masked (`events.mask`); {advice}"
            );
            self.problems.push(Problem::new("select.segments.field", message));
            return None;
        };
        if words.len() >= MAX_SEGMENTS {
            let message = format!(
                "`{field}` has {} categories, and at most {} can be segments; use a coarser field",
                words.len(),
                MAX_SEGMENTS - 1
            );
            self.problems.push(Problem::new("select.segments.field", message));
            return None;
        }
        let names = words.iter().map(String::as_str).chain(["(other)"]);
        Some(Segments {
            names: names.map(|name| format!("segment/{name}")).collect(),
            most: settings.most,
        })
    }
}

fn lottery(
    arm: Arm,
    model: Option<(usize, &Served)>,
    utility: Option<(usize, Scale)>,
    condition: Option<Condition>,
) -> Lottery {
    let name = match model {
        Some((_, served)) => format!("{arm}/{}", served.model),
        None => arm.as_str().to_owned(),
    };
    Lottery {
        arm,
        model: model.map(|(position, _)| position),
        salt: Salt::named(&name),
        name,
        utility,
        conditions: condition.into_iter().collect(),
        part: None,
        classes: 0,
    }
}
