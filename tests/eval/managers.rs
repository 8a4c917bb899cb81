//! Budget managers of the literature, to compare the service's own with. They are for evaluation only: at the budgets of a
//! service they overspend, or spend on whatever comes next.
//!
//! Owns: ports that decide as their originals do, event by event. Never does: draw; draws come in, so that decisions can be
//! compared.
//!
//! Invariant: each is checked against recorded decisions of scikit-activeml 1.0.1.

/// What a manager may draw for one event.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Draws {
    /// Two numbers from 0 to 1.
    pub(crate) uniform: [f64; 2],
    /// One from a normal distribution with mean 1 and standard deviation 1.
    pub(crate) normal: f64,
}

/// Decides on events one after the other by their utility, 1 minus the highest probability.
pub(crate) trait Manager {
    /// Whether the event is to be labelled.
    fn accepts(&mut self, utility: f64, draws: Draws) -> bool;
}

/// Window of the estimate of what was spent, in events.
const WINDOW: f64 = 100.0;
/// By how much a threshold moves.
const STEP: f64 = 0.01;
/// Share of events that Split leaves to chance.
const BY_CHANCE: f64 = 0.1;
/// Utilities that BIQF remembers.
const REMEMBERED: usize = 100;
/// Events over which BIQF makes up for what it spent.
const TOLERANCE: f64 = 50.0;

/// What was spent, with the forgetting of Žliobaitė et al. (2014): û ← û(w−1)/w + a; something is left while û/w < B.
#[derive(Debug, Clone, Copy)]
struct Spending {
    budget: f64,
    spent: f64,
}

impl Spending {
    const fn new(budget: f64) -> Self {
        Self { budget, spent: 0.0 }
    }

    fn is_left(self) -> bool {
        self.spent / WINDOW < self.budget
    }

    fn note(&mut self, accepted: bool) -> bool {
        self.spent = self.spent * (WINDOW - 1.0) / WINDOW + f64::from(u8::from(accepted));
        accepted
    }
}

/// A threshold on the confidence that falls with each acceptance and rises otherwise.
#[derive(Debug, Clone, Copy)]
struct Threshold(f64);

impl Threshold {
    fn accepts(&mut self, utility: f64, by: f64) -> bool {
        let accepted = 1.0 - utility < self.0 * by;
        self.0 *= if accepted { 1.0 - STEP } else { 1.0 + STEP };
        accepted
    }
}

/// Fixed uncertainty: below a confidence of 1/K + B(1 − 1/K).
#[derive(Debug)]
pub(crate) struct Fixed {
    spending: Spending,
    threshold: f64,
}

impl Fixed {
    pub(crate) fn new(budget: f64, classes: usize) -> Self {
        let guess = 1.0 / classes as f64;
        Self {
            spending: Spending::new(budget),
            threshold: guess + budget * (1.0 - guess),
        }
    }
}

impl Manager for Fixed {
    fn accepts(&mut self, utility: f64, _: Draws) -> bool {
        let accepted = self.spending.is_left() && 1.0 - utility <= self.threshold;
        self.spending.note(accepted)
    }
}

/// Variable uncertainty.
#[derive(Debug)]
pub(crate) struct Variable {
    spending: Spending,
    threshold: Threshold,
}

impl Variable {
    pub(crate) const fn new(budget: f64) -> Self {
        Self {
            spending: Spending::new(budget),
            threshold: Threshold(1.0),
        }
    }

    fn decide(&mut self, utility: f64, by: f64) -> bool {
        let accepted = self.spending.is_left() && self.threshold.accepts(utility, by);
        self.spending.note(accepted)
    }
}

impl Manager for Variable {
    fn accepts(&mut self, utility: f64, _: Draws) -> bool {
        self.decide(utility, 1.0)
    }
}

/// Variable uncertainty with a threshold that is multiplied by a normal draw.
#[derive(Debug)]
pub(crate) struct RandVar(Variable);

impl RandVar {
    pub(crate) const fn new(budget: f64) -> Self {
        Self(Variable::new(budget))
    }
}

impl Manager for RandVar {
    fn accepts(&mut self, utility: f64, draws: Draws) -> bool {
        self.0.decide(utility, draws.normal)
    }
}

/// Variable uncertainty, but for a share of events that is left to chance.
#[derive(Debug)]
pub(crate) struct Split(Variable);

impl Split {
    pub(crate) const fn new(budget: f64) -> Self {
        Self(Variable::new(budget))
    }
}

impl Manager for Split {
    fn accepts(&mut self, utility: f64, draws: Draws) -> bool {
        let Self(variable) = self;
        if draws.uniform[0] >= BY_CHANCE {
            return variable.decide(utility, 1.0);
        }
        let accepted = variable.spending.is_left() && draws.uniform[1] <= variable.spending.budget;
        variable.spending.note(accepted)
    }
}

/// Every event with the same chance, while something is left.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct Random(Spending);

#[cfg(test)]
impl Random {
    pub(crate) const fn new(budget: f64) -> Self {
        Self(Spending::new(budget))
    }
}

#[cfg(test)]
impl Manager for Random {
    fn accepts(&mut self, _: f64, draws: Draws) -> bool {
        let accepted = self.0.is_left() && draws.uniform[0] <= self.0.budget;
        self.0.note(accepted)
    }
}

/// The balanced incremental quantile filter (Kottke et al. 2015): from the quantile of the last utilities on, moved by what
/// was spent.
#[derive(Debug)]
pub(crate) struct Biqf {
    budget: f64,
    seen: f64,
    accepted: f64,
    utilities: std::collections::VecDeque<f64>,
}

impl Biqf {
    pub(crate) fn new(budget: f64) -> Self {
        Self {
            budget,
            seen: 0.0,
            accepted: 0.0,
            utilities: std::collections::VecDeque::new(),
        }
    }
}

impl Manager for Biqf {
    fn accepts(&mut self, utility: f64, _: Draws) -> bool {
        self.seen += 1.0;
        self.utilities.push_back(utility);
        if self.utilities.len() > REMEMBERED {
            self.utilities.pop_front();
        }
        let mut sorted: Vec<f64> = self.utilities.iter().copied().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let range = sorted[sorted.len() - 1] - sorted[0];
        let left = self.budget * self.seen - self.accepted;
        let accepted = utility >= quantile(&sorted, 1.0 - self.budget) - range * (left / TOLERANCE);
        self.accepted += f64::from(u8::from(accepted));
        accepted
    }
}

/// Density-based split (Ienco et al. 2014) without its density: RandVar with a budget over all time.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct DensitySplit {
    budget: f64,
    seen: f64,
    accepted: f64,
    threshold: Threshold,
}

#[cfg(test)]
impl DensitySplit {
    pub(crate) const fn new(budget: f64) -> Self {
        Self {
            budget,
            seen: 0.0,
            accepted: 0.0,
            threshold: Threshold(1.0),
        }
    }
}

#[cfg(test)]
impl Manager for DensitySplit {
    fn accepts(&mut self, utility: f64, draws: Draws) -> bool {
        self.seen += 1.0;
        let is_left = self.budget > self.accepted / self.seen;
        let accepted = is_left && self.threshold.accepts(utility, draws.normal);
        self.accepted += f64::from(u8::from(accepted));
        accepted
    }
}

/// The quantile of sorted numbers, between two of them on the line that joins them, as numpy computes it.
pub(crate) fn quantile(sorted: &[f64], q: f64) -> f64 {
    let place = (sorted.len() - 1) as f64 * q;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    let (low, high, part) = (sorted[below], sorted[above], place - below as f64);
    if part < 0.5 {
        low + (high - low) * part
    } else {
        high - (high - low) * (1.0 - part)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn golden(name: &str) -> Value {
        let folder = std::env::var("EDDY_GOLDEN")
            .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden").to_owned());
        let path = format!("{folder}/{name}.json");
        let text = std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    fn manager(name: &str, params: &Value) -> Box<dyn Manager> {
        let budget = params["budget"].as_f64().expect("a budget");
        let expected = [("w", WINDOW), ("s", STEP), ("v", BY_CHANCE), ("w_tol", TOLERANCE)];
        for (key, value) in [("theta", 1.0), ("delta", 1.0)].iter().chain(&expected) {
            assert!(
                params[*key].is_null() || params[*key].as_f64() == Some(*value),
                "{name}: {key}"
            );
        }
        match name {
            "FixedUncertaintyBudgetManager" => {
                let classes = params["classes"].as_array().expect("classes").len();
                Box::new(Fixed::new(budget, classes))
            }
            "VariableUncertaintyBudgetManager" => Box::new(Variable::new(budget)),
            "RandomVariableUncertaintyBudgetManager" => Box::new(RandVar::new(budget)),
            "SplitBudgetManager" => Box::new(Split::new(budget)),
            "RandomBudgetManager" => Box::new(Random::new(budget)),
            "BalancedIncrementalQuantileFilter" => Box::new(Biqf::new(budget)),
            "DensityBasedSplitBudgetManager" => Box::new(DensitySplit::new(budget)),
            _ => panic!("no port of {name}"),
        }
    }

    fn draws(recorded: &Value) -> Draws {
        let number = |value: &Value| value.as_f64().expect("a draw");
        match recorded {
            Value::Null => Draws::default(),
            Value::Array(pair) => Draws {
                uniform: [number(&pair[0]), number(&pair[1])],
                normal: f64::NAN,
            },
            // A manager takes the one draw that it is recorded with.
            single => Draws {
                uniform: [number(single); 2],
                normal: number(single),
            },
        }
    }

    #[test]
    fn every_manager_accepts_what_the_original_accepts() {
        let golden = golden("g05_budget");
        let utilities = golden["utilities"].as_array().expect("utilities");
        let runs = golden["runs"].as_array().expect("runs");
        assert_eq!(runs.len(), 14);
        for run in runs {
            let name = run["manager"].as_str().expect("a name");
            let mut manager = manager(name, &run["params"]);
            let accepted: Vec<usize> = utilities
                .iter()
                .enumerate()
                .filter(|(at, utility)| {
                    let utility = utility.as_f64().expect("a utility");
                    manager.accepts(utility, draws(&run["draws"][*at]))
                })
                .map(|(at, _)| at)
                .collect();
            let expected: Vec<usize> = serde_json::from_value(run["accepted"].clone()).expect("positions");
            assert_eq!(accepted, expected, "{name} with {}", run["params"]);
            assert_eq!(Some(accepted.len() as u64), run["n_accepted"].as_u64(), "{name}");
        }
    }
}
