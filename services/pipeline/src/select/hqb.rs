//! The histogram-quantile budget (HQB): who is among the best B of the stream, with a known probability.
//!
//! Owns: the histogram of utilities, the boundary that admits a fraction of events, and the correction of that fraction
//! by what was spent. Never does: draw, or keep tokens: the hard limit is the [purse](super::purse)'s.
//!
//! Invariant: the probability of an event depends on events before it and on its own utility only, so it is known before
//! its draw and can be recorded with it.

/// Bins of the histogram over `[0, 1]`.
const BINS: usize = 256;
/// Events between two looks at the boundary.
const RETUNE_EVERY: u64 = 32;
/// Strength of the correction by what was spent.
const GAIN: f64 = 4.0;
/// Shortest window, in events.
const SHORTEST_WINDOW: f64 = 1000.0;
/// Events to be selected in one window, where it is not the shortest.
const SELECTED_A_WINDOW: f64 = 50.0;

/// One budgeted lottery: a histogram of utilities with a boundary bin, all events above which are admitted, and within
/// which a share `rho` is. Ties are therefore broken by lot, and a saturated or constant utility spends its budget evenly.
///
/// Events of the last one to two windows of `max(1000, 50/B)` events count. The fraction that the boundary admits is
/// `B^(1−x)` for what was left unspent, `B·(1+x)` for what was overspent, `x` being the deficit over four windows'
/// budgets.
#[derive(Debug, Clone)]
pub struct Hqb {
    budget: f64,
    window: f64,
    histogram: [f64; BINS],
    total: f64,
    events: u64,
    boundary: usize,
    rho: f64,
    deficit: f64,
}

impl Hqb {
    /// One that admits the fraction `budget` of events, above 0 and at most 1.
    pub fn new(budget: f64) -> Self {
        let mut hqb = Self {
            budget,
            window: 0.0,
            histogram: [0.0; BINS],
            total: 0.0,
            events: 0,
            boundary: BINS,
            rho: 0.0,
            deficit: 0.0,
        };
        hqb.set_budget(budget);
        hqb
    }

    /// Changes the fraction; what is known of the utilities stays. What a larger one left unspent is worth less to a smaller
    /// one: else it would admit anything for long.
    pub fn set_budget(&mut self, budget: f64) {
        self.deficit *= (budget / self.budget).min(1.0);
        self.budget = budget;
        self.window = SHORTEST_WINDOW.max((SELECTED_A_WINDOW / budget).round());
    }

    /// The fraction that is admitted.
    pub const fn budget(&self) -> f64 {
        self.budget
    }

    /// Most tokens that can be saved up for this budget: what it may admit at once after a quiet time.
    pub fn token_cap(&self) -> f64 {
        (self.budget * self.window / 4.0).max(1.0)
    }

    /// Takes an event's utility, in `[0, 1]`, into the histogram.
    pub fn observe(&mut self, utility: f64) {
        self.histogram[bin(utility)] += 1.0;
        self.total += 1.0;
        self.events += 1;
        if self.total >= 2.0 * self.window {
            self.histogram.iter_mut().for_each(|mass| *mass *= 0.5);
            self.total *= 0.5;
        }
        if self.events.is_multiple_of(RETUNE_EVERY) || self.events < RETUNE_EVERY {
            self.retune();
        }
    }

    /// The probability with which an event of this utility, which was observed, is to be admitted while there are tokens.
    pub fn probability(&self, utility: f64) -> f64 {
        match bin(utility) {
            above if above > self.boundary => 1.0,
            within if within == self.boundary => self.rho,
            _ => 0.0,
        }
    }

    /// Notes what became of an event, looked at or not: an event without a utility counts towards the budget too.
    pub fn settle(&mut self, was_admitted: bool) {
        let spent = f64::from(u8::from(was_admitted));
        self.deficit += self.budget - spent - self.deficit / self.window;
    }

    /// Share of recent events in each bin, lowest utility first; `None` before the first event.
    pub fn distribution(&self) -> Option<impl Iterator<Item = f64>> {
        (self.total > 0.0).then(|| self.histogram.iter().map(|mass| mass / self.total))
    }

    /// Utility at the boundary: what an event must reach to be selected.
    pub fn boundary(&self) -> f64 {
        self.boundary as f64 / BINS as f64
    }

    fn retune(&mut self) {
        let x = GAIN * self.deficit / (self.budget * self.window);
        let fraction = if x >= 0.0 {
            self.budget.powf(1.0 - x.min(1.0))
        } else {
            self.budget * (1.0 + x).max(0.0)
        };
        let wanted = fraction * self.total;
        let mut above = 0.0;
        for (bin, mass) in self.histogram.iter().enumerate().rev() {
            if above + mass >= wanted && *mass > 0.0 {
                self.boundary = bin;
                self.rho = (wanted - above) / mass;
                return;
            }
            above += mass;
        }
        self.boundary = 0;
        self.rho = 1.0;
    }
}

fn bin(utility: f64) -> usize {
    // A float outside the range saturates, and the bins end at 255.
    ((utility * BINS as f64) as usize).min(BINS - 1)
}
