//! Committed offsets against what had come out by then.
//!
//! Invariant: a claim "everything before this offset is done" is verified exactly when the reader has passed, in every
//! output partition, the end that was asked for after the claim was made: whatever belongs to it lies before that end.

use std::collections::{BTreeSet, HashMap, VecDeque};

use eddy_pipeline::event::Destination;

/// Ends of the output topics: by topic and partition, the offset after the last record.
pub type Ends = HashMap<(Destination, i32), i64>;

/// Claims that wait to be verified at most; later ones are left out until there is room.
const MAX_CLAIMS: usize = 10_000;

/// One partition of the events topic.
#[derive(Debug, Default)]
struct Input {
    /// Everything before it is complete.
    contiguous: i64,
    /// Complete from there on.
    beyond: BTreeSet<i64>,
    committed: Option<i64>,
}

#[derive(Debug)]
struct Claim {
    committed: Vec<Option<i64>>,
    ends: Ends,
}

#[derive(Debug, Default)]
pub(super) struct Offsets {
    inputs: Vec<Input>,
    /// The offset after the last record that was read.
    positions: Ends,
    claims: VecDeque<Claim>,
}

impl Offsets {
    /// The reader has read this record.
    pub(super) fn position(&mut self, to: Destination, partition: i32, offset: i64) {
        self.positions.insert((to, partition), offset + 1);
    }

    /// Everything of the event at this place is there.
    pub(super) fn complete(&mut self, partition: i32, offset: i64) {
        let Ok(partition) = usize::try_from(partition) else {
            return;
        };
        if self.inputs.len() <= partition {
            self.inputs.resize_with(partition + 1, Input::default);
        }
        let input = &mut self.inputs[partition];
        if offset >= input.contiguous {
            input.beyond.insert(offset);
        }
        while input.beyond.remove(&input.contiguous) {
            input.contiguous += 1;
        }
    }

    pub(super) fn completed(&self) -> u64 {
        self.inputs
            .iter()
            .map(|input| input.contiguous as u64 + input.beyond.len() as u64)
            .sum()
    }

    /// Takes a sample; says which offsets went back.
    pub(super) fn committed(&mut self, committed: &[Option<i64>], ends: Ends) -> Vec<String> {
        if self.inputs.len() < committed.len() {
            self.inputs.resize_with(committed.len(), Input::default);
        }
        let mut broken = Vec::new();
        for (partition, (input, now)) in self.inputs.iter_mut().zip(committed).enumerate() {
            if input.committed > *now {
                let before = input.committed;
                broken.push(format!(
                    "partition {partition}: the committed offset went back from {before:?} to {now:?}"
                ));
            }
            input.committed = *now;
        }
        if self.claims.len() < MAX_CLAIMS {
            let committed = committed.to_vec();
            self.claims.push_back(Claim { committed, ends });
        }
        broken
    }

    /// Looks at the claims whose time has come; says which were ahead of the outputs.
    pub(super) fn verify(&mut self) -> Vec<String> {
        let mut broken = Vec::new();
        while let Some(claim) = self.claims.front() {
            let reached = |(place, end): (&_, &i64)| *end == 0 || self.positions.get(place).is_some_and(|at| at >= end);
            if !claim.ends.iter().all(reached) {
                break;
            }
            broken.extend(self.ahead(&claim.committed));
            self.claims.pop_front();
        }
        broken
    }

    /// Nothing more will come: every claim is due.
    pub(super) fn at_rest(&mut self) -> Vec<String> {
        let claims = std::mem::take(&mut self.claims);
        claims.iter().flat_map(|claim| self.ahead(&claim.committed)).collect()
    }

    fn ahead(&self, committed: &[Option<i64>]) -> Vec<String> {
        let ahead = |(partition, (input, committed)): (usize, (&Input, &Option<i64>))| {
            let committed = committed.filter(|offset| *offset > input.contiguous)?;
            let done = input.contiguous;
            Some(format!(
                "partition {partition}: {committed} was committed, and the outputs of the event at {done} were not all there"
            ))
        };
        self.inputs
            .iter()
            .zip(committed)
            .enumerate()
            .filter_map(ahead)
            .collect()
    }

    /// At rest everything is done and committed, up to the end of each partition.
    pub(super) fn compare_ends(&self, places: &[Vec<u64>]) -> Vec<String> {
        let differs = |(partition, numbers): (usize, &Vec<u64>)| {
            let end = numbers.len() as i64;
            let input = self.inputs.get(partition);
            let done = input.map_or(0, |input| input.contiguous);
            let committed = input.and_then(|input| input.committed).unwrap_or(0);
            (done != end || committed != end).then(|| {
                format!(
                    "partition {partition}: it ends at {end}, outputs at {done}, and {committed} is committed at rest"
                )
            })
        };
        places.iter().enumerate().filter_map(differs).collect()
    }
}
