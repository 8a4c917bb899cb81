//! Where mutants come from: sound models, and what is done to them.

use std::path::Path;

use eddy_model::scan::{Limits, admit};
use fastrand::Rng;

use crate::tree::{Field, Holds, each_message, message_at, put_varint, read, write};

/// Numbers at which arithmetic goes wrong, and lengths that no file has.
const NUMBERS: [u64; 14] = [
    0,
    1,
    2,
    63,
    0x7f,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0001,
    1 << 38,
    1 << 62,
    i64::MAX as u64,
    u64::MAX,
];
const OPERATORS: [&str; 16] = [
    "Identity",
    "Relu",
    "Gemm",
    "MatMul",
    "Reshape",
    "Transpose",
    "Gather",
    "Slice",
    "Concat",
    "Conv",
    "Loop",
    "If",
    "Cast",
    "Split",
    "Resize",
    "Einsum",
];
const PAGE: usize = 4096;

/// The models that mutants are made of.
pub(crate) struct Breed {
    files: Vec<Vec<u8>>,
    trees: Vec<Vec<Field>>,
    /// Strings that stand in the models.
    strings: Vec<Vec<u8>>,
    /// Each file cut off at each page.
    cuts: Vec<(usize, usize)>,
}

/// Of the hostile models, those that the runtime never sees: the others would do nothing but use up their time, again and
/// again.
fn is_caught_by_the_scan(path: &Path) -> bool {
    admit(&std::fs::read(path).unwrap(), &Limits::default()).is_err()
}

impl Breed {
    pub(crate) fn of(root: &Path) -> Self {
        let list = |folder: &str| {
            let entries = std::fs::read_dir(root.join(folder)).unwrap();
            let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
            paths.sort();
            paths.retain(|path| path.extension().is_some_and(|extension| extension == "onnx") || path.is_dir());
            paths
        };
        let examples = list("config").into_iter().map(|folder| folder.join("model.onnx"));
        let mut paths = list("tests/fixtures/models");
        paths.extend(
            list("tests/fixtures/models/hostile")
                .into_iter()
                .filter(|path| is_caught_by_the_scan(path)),
        );
        paths.extend(examples.filter(|path| path.exists()));
        paths.retain(|path| path.is_file());
        assert!(paths.len() > 30, "only {} models were found", paths.len());
        let files: Vec<_> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
        let trees: Vec<_> = files.iter().map(|file| read(file)).collect();
        let mut strings = Vec::new();
        for tree in &trees {
            each_message(tree, &mut |fields| {
                strings.extend(fields.iter().filter_map(|field| match &field.holds {
                    Holds::Bytes(bytes) if (1..40).contains(&bytes.len()) => Some(bytes.clone()),
                    _ => None,
                }));
            });
        }
        strings.sort();
        strings.dedup();
        let cuts = |(number, file): (usize, &Vec<u8>)| (0..file.len()).step_by(PAGE).map(move |cut| (number, cut));
        let cuts = files.iter().enumerate().flat_map(cuts).collect();
        Self {
            files,
            trees,
            strings,
            cuts,
        }
    }

    /// How many models there are.
    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    /// Mutant `number`: the first ones are all files cut off at all pages, the others are made by chance.
    pub(crate) fn mutant(&self, seed: u64, number: usize) -> Vec<u8> {
        if let Some((file, cut)) = self.cuts.get(number) {
            return self.files[*file][..*cut].to_vec();
        }
        let mut rng = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number as u64);
        let parent = rng.usize(..self.files.len());
        let mut mutant = match rng.u8(..3) {
            0 => self.files[parent].clone(),
            _ => {
                let mut tree = self.trees[parent].clone();
                for _ in 0..rng.usize(1..=3) {
                    self.damage_tree(&mut tree, &mut rng);
                }
                return write(&tree);
            }
        };
        for _ in 0..rng.usize(1..=4) {
            self.damage_bytes(&mut mutant, &mut rng);
        }
        mutant
    }

    fn damage_bytes(&self, file: &mut Vec<u8>, rng: &mut Rng) {
        if file.is_empty() {
            return;
        }
        // Weights are most of a file and forgive anything, so half the damage goes to its ends.
        let len = file.len();
        let place = match rng.bool() {
            true => rng.usize(..len),
            false => (len - len.min(300) + rng.usize(..600)) % len,
        };
        let piece = rng.usize(1..=(len - place).min(40));
        match rng.u8(..8) {
            0 | 1 => file[place] ^= 1 << rng.u8(..8),
            2 => file[place] = rng.u8(..),
            3 => file.truncate(place),
            4 => {
                let mut lie = Vec::new();
                put_varint(&mut lie, *rng.choice(&NUMBERS).expect("there are some"));
                let end = (place + lie.len()).min(len);
                file.splice(place..end, lie);
            }
            5 => drop(file.drain(place..place + piece)),
            6 => {
                let copy = file[place..place + piece].to_vec();
                let there = rng.usize(..=len);
                file.splice(there..there, copy);
            }
            _ => {
                let other = &self.files[rng.usize(..self.files.len())];
                let from = rng.usize(..other.len());
                let taken = other[from..other.len().min(from + 200)].to_vec();
                let end = (place + taken.len()).min(len);
                file.splice(place..end, taken);
            }
        }
    }

    fn damage_tree(&self, tree: &mut Vec<Field>, rng: &mut Rng) {
        let mut messages = 0;
        each_message(tree, &mut |_| messages += 1);
        let mut place = rng.usize(..messages);
        let fields = message_at(tree, &mut place).expect("the place was counted");
        if fields.is_empty() {
            return;
        }
        let there = rng.usize(..fields.len());
        match rng.u8(..8) {
            0 => drop(fields.remove(there)),
            1 => fields.insert(there, fields[there].clone()),
            2 => {
                let other = rng.usize(..fields.len());
                fields.swap(there, other);
            }
            3 => fields[there].number = rng.u64(1..=26),
            4 => {
                // A message of another model in the place of one of the same kind.
                let number = fields[there].number;
                let donor = &self.trees[rng.usize(..self.trees.len())];
                let mut found = Vec::new();
                each_message(donor, &mut |fields| {
                    found.extend(fields.iter().filter(|field| field.number == number));
                });
                if let Some(field) = rng.choice(&found) {
                    fields[there] = (*field).clone();
                }
            }
            _ => self.damage_field(&mut fields[there].holds, rng),
        }
    }

    fn damage_field(&self, holds: &mut Holds, rng: &mut Rng) {
        match holds {
            Holds::Number(number) => {
                *number = match rng.bool() {
                    true => *rng.choice(&NUMBERS).expect("there are some"),
                    false => number.wrapping_add(rng.u64(..5)).wrapping_sub(2),
                };
            }
            Holds::Fixed(bytes) => rng.fill(bytes),
            Holds::Bytes(bytes) if bytes.len() < 40 => {
                *bytes = match rng.u8(..4) {
                    0 => rng.choice(&OPERATORS).expect("there are some").as_bytes().to_vec(),
                    _ => rng.choice(&self.strings).expect("there are some").clone(),
                };
            }
            Holds::Bytes(bytes) => {
                let place = rng.usize(..bytes.len());
                match rng.u8(..3) {
                    0 => bytes[place] = rng.u8(..),
                    1 => bytes.truncate(place),
                    _ => bytes.extend_from_within(place..),
                }
            }
            Holds::Message(fields) => fields.clear(),
        }
    }
}
