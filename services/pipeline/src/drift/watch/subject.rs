//! The verdict on one feature or output.

use std::collections::{BTreeMap, VecDeque};

use super::view::{BinView, RateView, Standing, SubjectView};
use super::{ModelName, Windows};
use crate::drift::distance::{Bins, Distance, Scale, Table};
use crate::drift::monitor::{DriftSettings, Monitor, Of, Series, Subject, Tally, What};
use crate::drift::rate::{self, Share};
use crate::drift::verdict::{State, Sustained, judge};

/// Comparisons whose PSI is shown.
const SHOWN: usize = 60;

/// What lasts from one comparison to the next.
#[derive(Debug)]
pub(super) struct Track {
    psi: Sustained,
    missing: Sustained,
    invalid: Sustained,
    out_of_range: Sustained,
    history: VecDeque<Option<f64>>,
}

/// What all verdicts of one comparison rest on.
pub(super) struct Context<'a> {
    pub(super) monitor: &'a Monitor,
    pub(super) settings: &'a DriftSettings,
    pub(super) models: &'a [ModelName],
    pub(super) windows: &'a Windows,
    /// Whether anything is judged; else only shown.
    pub(super) is_judged: bool,
}

impl Track {
    pub(super) fn new(settings: &DriftSettings) -> Self {
        let sustained = Sustained::new(settings.verdict.evaluations);
        Self {
            psi: sustained,
            missing: sustained,
            invalid: sustained,
            out_of_range: sustained,
            history: VecDeque::new(),
        }
    }

    pub(super) fn compare(&mut self, subject: &Subject, context: &Context<'_>) -> SubjectView {
        let need = context.settings.verdict.need(subject.bins.len());
        let in_bins = |tally: &Tally| tally.counts[subject.bins.clone()].iter().sum::<u64>();
        let odd = |tally: &Tally, place: Option<usize>| place.map(|place| tally.counts[place]);
        let rows = |tally: &Tally| {
            let odd = [subject.odd.missing, subject.odd.invalid].map(|place| odd(tally, place).unwrap_or(0));
            in_bins(tally) + odd.iter().sum::<u64>()
        };
        let window = context.windows.with(|tally| in_bins(tally) >= need);
        let tally = &window.tally;
        let reference: Vec<u64> = context.monitor.series()[subject.bins.clone()]
            .iter()
            .map(|series| series.reference.count)
            .collect();
        let table = Compared::new(subject, &reference, tally);
        let mut verdict = judge(&table.table(), &context.settings.verdict);
        if reference.iter().sum::<u64>() == 0 {
            // Nothing to compare with is no health either.
            verdict.state = State::InsufficientData { have: 0, need };
        }
        let mut view = named(subject, context);
        (view.events, view.need, view.seconds) = (verdict.n, need, window.span.as_secs_f64());
        view.psi = verdict.evidence.map(|evidence| evidence.psi);
        view.noise = verdict.evidence.map(|evidence| evidence.expected);
        view.critical = verdict.evidence.map(|evidence| evidence.critical);
        view.statistics = statistics(&table.table(), context.settings);
        view.mean = table.means;
        view.bins = bins(subject, context, tally);
        // By rows: a feature that has become missing must not wait for values.
        let of_rows = context
            .windows
            .with(|tally| rows(tally) >= context.settings.missing.least_events);
        view.invalid = odd(&of_rows.tally, subject.odd.invalid);
        view.below = odd(&of_rows.tally, subject.odd.below);
        view.above = odd(&of_rows.tally, subject.odd.above);
        let rates = Rates {
            tally: &of_rows.tally,
            rows: rows(&of_rows.tally),
            last_week: context
                .windows
                .last_week
                .as_ref()
                .map(|week| (&week.tally, rows(&week.tally))),
        };
        let psi = as_last_week(verdict.state, subject, tally, context);
        self.judge(&mut view, (subject, psi), &rates, context);
        if psi != verdict.state {
            view.reasons.push("as_last_week");
        }
        view.history = self.history.iter().copied().collect();
        view
    }

    fn judge(
        &mut self,
        view: &mut SubjectView,
        (subject, psi): (&Subject, State),
        rates: &Rates<'_>,
        context: &Context<'_>,
    ) {
        let rate = |places: &[Option<usize>]| rates.of(places, context);
        let missing = subject.odd.missing.map(|place| rate(&[Some(place)]));
        let invalid = rate(&[subject.odd.invalid]);
        let out_of_range = rate(&[subject.odd.below, subject.odd.above]);
        view.missing = missing.map(|(view, _)| view);
        if !context.is_judged {
            let tracks = [
                &mut self.psi,
                &mut self.missing,
                &mut self.invalid,
                &mut self.out_of_range,
            ];
            tracks
                .into_iter()
                .for_each(|track| *track = Sustained::new(context.settings.verdict.evaluations));
            view.state = Standing::CatchingUp;
            return;
        }
        if !context.windows.all[0].span.is_zero() {
            self.history.push_back(view.psi);
        }
        if self.history.len() > SHOWN {
            self.history.pop_front();
        }
        let mut states = vec![("psi", self.psi.update(psi))];
        if let Some((_, state)) = missing {
            let state = self.missing.update(state);
            if let Some(view) = &mut view.missing {
                view.state = standing(state);
            }
            states.push(("missing", state));
        }
        if subject.odd.invalid.is_some() {
            states.push(("invalid", self.invalid.update(invalid.1)));
            states.push(("out_of_range", self.out_of_range.update(out_of_range.1)));
        }
        let loud = states.iter().filter(|(_, state)| standing(*state) >= Standing::Warning);
        view.reasons.extend(loud.map(|(reason, _)| *reason));
        view.state = states
            .iter()
            .map(|(_, state)| standing(*state))
            .max()
            .unwrap_or(Standing::Quiet);
    }
}

/// Counts side by side, and what the numbers are like.
struct Compared<'a> {
    reference: &'a [u64],
    current: &'a [u64],
    bins: Bins<'a>,
    /// Of the window and of the reference.
    means: Option<[f64; 2]>,
}

impl<'a> Compared<'a> {
    fn new(subject: &'a Subject, reference: &'a [u64], tally: &'a Tally) -> Self {
        let current = &tally.counts[subject.bins.clone()];
        let events: u64 = current.iter().sum();
        let scale = subject.scale.as_ref().zip(subject.sum);
        let mean = scale.map(|(scale, sum)| (scale, tally.sums[sum] / events as f64));
        let scaled = mean.filter(|(scale, _)| scale.bin_means.len() == current.len());
        let scaled = scaled.and_then(|(scale, mean)| Scale::new(&scale.bin_means, scale.mean, scale.std, mean).ok());
        Self {
            reference,
            current,
            bins: match (subject.is_ordered, scaled) {
                (false, _) => Bins::Categories,
                (true, None) => Bins::Ordered,
                (true, Some(scale)) => Bins::Scaled(scale),
            },
            means: mean
                .filter(|(_, mean)| mean.is_finite())
                .map(|(scale, mean)| [mean, scale.mean]),
        }
    }

    fn table(&self) -> Table<'_> {
        let table = Table::new(self.reference, self.current, self.bins);
        table.expect("both are counts of the same bins, and means were only taken for all of them")
    }
}

fn statistics(table: &Table<'_>, settings: &DriftSettings) -> BTreeMap<Distance, f64> {
    let all = settings.statistics.iter();
    all.filter_map(|distance| Some((*distance, distance.measure(table)?.value)))
        .collect()
}

/// A state that is drift against the reference, but not against the same hour of last week, is none.
fn as_last_week(state: State, subject: &Subject, tally: &Tally, context: &Context<'_>) -> State {
    let Some(week) = context
        .windows
        .last_week
        .as_ref()
        .filter(|_| matches!(state, State::Warning | State::Alert))
    else {
        return state;
    };
    let (then, now) = (
        &week.tally.counts[subject.bins.clone()],
        &tally.counts[subject.bins.clone()],
    );
    let has_enough = then.iter().sum::<u64>() >= context.settings.verdict.need(then.len());
    match Table::new(then, now, Bins::Categories) {
        Ok(table) if has_enough => match judge(&table, &context.settings.verdict).state {
            State::Warning | State::Alert => state,
            State::Quiet | State::InsufficientData { .. } => State::Quiet,
        },
        _ => state,
    }
}

/// A window in which odd values are counted, and its rows.
struct Rates<'a> {
    tally: &'a Tally,
    rows: u64,
    /// The same hour of last week.
    last_week: Option<(&'a Tally, u64)>,
}

impl Rates<'_> {
    /// The share of odd values, and what it is against that of the reference.
    fn of(&self, places: &[Option<usize>], context: &Context<'_>) -> (RateView, State) {
        let places: Vec<usize> = places.iter().copied().flatten().collect();
        let series = context.monitor.series();
        let reference = Share {
            count: places.iter().map(|place| series[*place].reference.count).sum(),
            of: places.first().map_or(0, |place| series[*place].reference.of),
        };
        let count = |tally: &Tally| places.iter().map(|place| tally.counts[*place]).sum();
        let current = Share {
            count: count(self.tally),
            of: self.rows,
        };
        let share = |share: Share| match share.of {
            0 => 0.0,
            all => share.count as f64 / all as f64,
        };
        let mut state = rate::judge(reference, current, &context.settings.missing).state;
        if let (State::Alert, Some((tally, rows))) = (state, self.last_week) {
            let then = Share {
                count: count(tally),
                of: rows,
            };
            if rows >= context.settings.missing.least_events {
                state = rate::judge(then, current, &context.settings.missing).state;
            }
        }
        let view = RateView {
            ratio: share(current),
            reference: share(reference),
            state: match context.is_judged {
                true => standing(state),
                false => Standing::CatchingUp,
            },
        };
        (view, state)
    }
}

pub(super) const fn standing(state: State) -> Standing {
    match state {
        State::InsufficientData { .. } => Standing::InsufficientData,
        State::Quiet => Standing::Quiet,
        State::Warning => Standing::Warning,
        State::Alert => Standing::Alert,
    }
}

fn bins(subject: &Subject, context: &Context<'_>, tally: &Tally) -> Vec<BinView> {
    let series = context.monitor.series()[subject.bins.clone()].iter();
    let counted = series.zip(&tally.counts[subject.bins.clone()]);
    let bin = |(series, count): (&Series, &u64)| BinView {
        label: match &series.what {
            What::Bin(label) => label.clone(),
            What::Missing | What::Invalid | What::Below | What::Above => String::new(),
        },
        current: *count,
        reference: match series.reference.of {
            0 => 0.0,
            all => series.reference.count as f64 / all as f64,
        },
    };
    counted.map(bin).collect()
}

/// A view that says whose it is.
fn named(subject: &Subject, context: &Context<'_>) -> SubjectView {
    let (mut name, mut position, mut output) = (None, None, None);
    let profile = match &subject.of {
        Of::Feature(feature) => {
            name = Some(feature.clone());
            context.monitor.data_profile()
        }
        Of::Output { model, output: which } => {
            (position, output) = (Some(*model), Some(which.clone()));
            context.monitor.profile(*model)
        }
    };
    let model = position.and_then(|position| context.models.get(position));
    SubjectView {
        name,
        position,
        model: model.map(|model| model.name.clone()),
        version: model.map(|model| model.version.clone()),
        output,
        segment: subject.segment.clone(),
        profile: profile.unwrap_or_default().to_owned(),
        kind: if subject.is_ordered { "number" } else { "category" },
        state: Standing::InsufficientData,
        reasons: Vec::new(),
        events: 0,
        need: 0,
        seconds: 0.0,
        psi: None,
        noise: None,
        critical: None,
        statistics: BTreeMap::new(),
        missing: None,
        invalid: None,
        below: None,
        above: None,
        mean: None,
        bins: Vec::new(),
        history: Vec::new(),
    }
}
