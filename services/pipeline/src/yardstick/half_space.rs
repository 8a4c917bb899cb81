//! Half-space trees as river has them (Tan, Ting & Liu, IJCAI 2011): they learn from what they score, so anomalies that
//! come often are soon ordinary.

/// Where a node sends an event: left if the feature is less than the threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Split {
    /// Position of the feature.
    pub feature: usize,
    /// The threshold.
    pub threshold: f64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Mass {
    /// Events of the last full window.
    reference: f64,
    /// Events of the window that is being filled.
    current: f64,
}

/// Trees with the masses that they have seen.
#[derive(Debug, Clone)]
pub struct HalfSpaceTrees {
    /// Nodes in heap order: the children of i are 2i+1 and 2i+2; a leaf has no split.
    trees: Vec<Vec<Option<Split>>>,
    masses: Vec<Vec<Mass>>,
    window: u64,
    seen: u64,
    is_first_window: bool,
    max_score: f64,
}

impl HalfSpaceTrees {
    /// Trees of equal height, in heap order, with a window of so many events.
    pub fn new(trees: Vec<Vec<Option<Split>>>, window: u64) -> Self {
        let nodes: usize = trees.iter().map(Vec::len).sum();
        Self {
            masses: trees.iter().map(|tree| vec![Mass::default(); tree.len()]).collect(),
            max_score: window as f64 * nodes as f64,
            trees,
            window,
            seen: 0,
            is_first_window: true,
        }
    }

    /// From 0, ordinary, to 1, anomalous; 0 in the first window.
    pub fn score(&self, row: &[f64]) -> f64 {
        if self.is_first_window {
            return 0.0;
        }
        let least = 0.1 * self.window as f64;
        let mut score = 0.0;
        for (tree, masses) in self.trees.iter().zip(&self.masses) {
            for (depth, node) in walk(tree, row).enumerate() {
                let mass = masses[node].reference;
                score += mass * 2f64.powi(depth as i32);
                if mass < least {
                    break;
                }
            }
        }
        1.0 - score / self.max_score
    }

    /// Takes an event in.
    pub fn learn(&mut self, row: &[f64]) {
        for (tree, masses) in self.trees.iter().zip(&mut self.masses) {
            walk(tree, row).for_each(|node| masses[node].current += 1.0);
        }
        self.seen += 1;
        if self.seen == self.window {
            for mass in self.masses.iter_mut().flatten() {
                *mass = Mass {
                    reference: mass.current,
                    current: 0.0,
                };
            }
            self.is_first_window = false;
            self.seen = 0;
        }
    }
}

/// The nodes on a row's way down.
fn walk(tree: &[Option<Split>], row: &[f64]) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(0), move |node| {
        let split = tree.get(*node).copied().flatten()?;
        Some(2 * node + if row[split.feature] < split.threshold { 1 } else { 2 })
    })
}
