//! One feature of one window, by every rule.

use eddy_pipeline::drift::distance::{Bins, Distance, Table};
use eddy_pipeline::drift::rate::{self, RateSettings, Share};
use eddy_pipeline::drift::verdict::{State, VerdictSettings, judge};
use eddy_pipeline::fields::Feature;
use eddy_pipeline::histogram::bin;
use eddy_pipeline::profile::{self, About, Plan, Profile, ProfileBuilder, Source};
use eddy_pipeline::signal::Matrix;

use crate::model::Model;

/// What is told by a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// There are events enough for Eddy to judge.
    Judged,
    /// PSI is more than noise makes of it in all but one of a thousand windows, whether that matters or not.
    Significant,
    /// Eddy: a warning, an alert, or an alert by the rate of missing values.
    Warning,
    /// Eddy: an alert, by PSI or by the rate of missing values.
    Alert,
    /// Eddy: an alert by the rate of missing values.
    Missing,
    /// PSI above 0.1.
    Psi1,
    /// PSI above 0.2.
    Psi2,
    /// Jensen-Shannon distance above 0.1.
    Js,
    /// A p-value below 0.05: Kolmogorov and Smirnov's on bins for numbers, chi-square's for categories.
    P,
}

impl Rule {
    pub(super) const COUNT: usize = Self::P as usize + 1;
}

/// What all rules say, by their place.
pub(super) type Told = [bool; Rule::COUNT];

/// How values of a feature are counted, and how many of each kind the reference has.
#[derive(Debug)]
pub(super) struct Binned {
    kind: Kind,
    counts: Vec<u64>,
    missing: Share,
}

#[derive(Debug)]
enum Kind {
    Number { edges: Vec<f64> },
    Category { words: usize },
}

/// The place of a value that is missing.
const MISSING: u8 = u8::MAX;

impl Binned {
    fn new(feature: &profile::Feature) -> Self {
        let (kind, counts, missing) = match feature {
            profile::Feature::Number(number) => {
                let edges = number.edges.iter().map(|edge| f64::from(*edge)).collect();
                (Kind::Number { edges }, &number.counts, number.missing)
            }
            profile::Feature::Category(category) => {
                let words = category.categories.len();
                (Kind::Category { words }, &category.counts, category.missing)
            }
        };
        assert!(counts.len() < usize::from(MISSING), "bins have places of a byte");
        let of = counts.iter().sum::<u64>() + missing;
        Self {
            kind,
            counts: counts.clone(),
            missing: Share { count: missing, of },
        }
    }

    /// The place of each value.
    pub(super) fn places(&self, values: impl Iterator<Item = f32>) -> Vec<u8> {
        let place = |value: f32| match &self.kind {
            _ if value.is_nan() => MISSING,
            Kind::Number { edges } => bin(edges, f64::from(value)) as u8,
            Kind::Category { words } => (value as usize).min(*words) as u8,
        };
        values.map(place).collect()
    }

    /// Events of a window that Eddy judges.
    pub(super) fn need(&self) -> u64 {
        VerdictSettings::default().need(self.counts.len())
    }

    /// What all rules say of a window.
    pub(super) fn told(&self, places: &[u8]) -> (Told, State) {
        let mut current = vec![0; self.counts.len()];
        let mut missing = 0;
        for place in places {
            match current.get_mut(usize::from(*place)) {
                Some(count) => *count += 1,
                None => missing += 1,
            }
        }
        let bins = match self.kind {
            Kind::Number { .. } => Bins::Ordered,
            Kind::Category { .. } => Bins::Categories,
        };
        let table = Table::new(&self.counts, &current, bins).expect("the same bins");
        let missing = Share {
            count: missing,
            of: places.len() as u64,
        };
        let missing = rate::judge(self.missing, missing, &RateSettings::default()).state == State::Alert;
        let verdict = judge(&table, &VerdictSettings::default());
        let measure = |distance: Distance| distance.measure(&table);
        let above = |distance: Distance, limit: f64| measure(distance).is_some_and(|found| found.value > limit);
        let test = match self.kind {
            Kind::Number { .. } => Distance::Ks,
            Kind::Category { .. } => Distance::Chi2,
        };
        let told = [
            !matches!(verdict.state, State::InsufficientData { .. }),
            verdict.evidence.is_some_and(|evidence| evidence.is_significant),
            missing || matches!(verdict.state, State::Warning | State::Alert),
            missing || verdict.state == State::Alert,
            missing,
            above(Distance::Psi, 0.1),
            above(Distance::Psi, 0.2),
            above(Distance::Js, 0.1),
            measure(test).and_then(|found| found.p).is_some_and(|p| p < 0.05),
        ];
        (told, verdict.state)
    }
}

/// The bins that the service's own profile of these rows has.
pub(super) fn bins(features: &[Feature], rows: &[f32]) -> Vec<Binned> {
    let width = features.len();
    let count = rows.len() / width;
    // No model is judged here, but a profile is of one.
    let model = Model::binary(&vec![0.5; count]);
    let mut builder = ProfileBuilder::new(Plan::new(features.to_vec(), &*model.head));
    builder
        .push_batch(Matrix::new(rows, count, width), &model.predictions, &[])
        .expect("all rows are alike");
    let about = About {
        model: "model".to_owned(),
        version: "1".to_owned(),
        created: "2026-01-01T00:00:00Z".to_owned(),
        source: Source::Data,
    };
    let profile: Profile = builder.finish(about).expect("there are rows enough");
    profile.features.iter().map(Binned::new).collect()
}

/// How often rules told of something.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) windows: u64,
    pub(super) feature_windows: u64,
    /// Windows in which any feature was told of.
    any: [u64; Rule::COUNT],
    features: [u64; Rule::COUNT],
}

impl Tally {
    /// Takes in what was told of the features of a window.
    pub(super) fn push(&mut self, features: &[Told]) {
        self.windows += 1;
        self.feature_windows += features.len() as u64;
        for rule in 0..Rule::COUNT {
            let count = features.iter().filter(|told| told[rule]).count() as u64;
            self.features[rule] += count;
            self.any[rule] += u64::from(count > 0);
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.windows += other.windows;
        self.feature_windows += other.feature_windows;
        for rule in 0..Rule::COUNT {
            self.any[rule] += other.any[rule];
            self.features[rule] += other.features[rule];
        }
    }

    pub(super) fn any(&self, rule: Rule) -> u64 {
        self.any[rule as usize]
    }

    pub(super) fn features(&self, rule: Rule) -> u64 {
        self.features[rule as usize]
    }

    /// Share of windows with any, and of all features of all windows.
    pub(super) fn cell(&self, rule: Rule) -> String {
        format!(
            "{} / {}",
            super::percent(self.any(rule), self.windows),
            super::percent(self.features(rule), self.feature_windows)
        )
    }
}
