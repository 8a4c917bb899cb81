//! The matching of a head with a model's outputs, and the reading of numbers out of them.

use half::slice::HalfFloatSliceExt;

use crate::score::{RunError, RunFault};
use crate::settings::{Problem, nearest};
use crate::tensor::{DType, Data, TensorSpec, View};

/// What a model gives, as far as a head can know before it runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ModelOutputs<'a> {
    /// The outputs, in the model's order.
    pub specs: &'a [TensorSpec],
    /// Class names that the model carries, in the order of its probabilities.
    pub class_names: Option<&'a [String]>,
}

/// What a head needs one output to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Need {
    /// The setting that names the output.
    pub key: &'static str,
    /// What its elements are.
    pub elements: Elements,
    /// How many a row has.
    pub width: WidthNeed,
    /// The same in words that follow "needs": `one floating-point output [N,C]`.
    pub words: &'static str,
}

/// Types of elements that a head can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Elements {
    /// Any floating-point type; 64-bit numbers are rounded to 32 bits.
    Floats,
    /// 64-bit integers or strings.
    Labels,
}

/// How many elements of a row a head can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WidthNeed {
    /// Exactly so many.
    Exactly(usize),
    /// Not fewer than so many.
    AtLeast(usize),
    /// Not more than so many.
    AtMost(usize),
}

impl WidthNeed {
    /// Whether a row may have so many elements.
    pub(crate) const fn allows(self, width: usize) -> bool {
        match self {
            Self::Exactly(n) => width == n,
            Self::AtLeast(n) => width >= n,
            Self::AtMost(n) => width >= 1 && width <= n,
        }
    }
}

impl std::fmt::Display for WidthNeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exactly(n) => write!(f, "{n}"),
            Self::AtLeast(n) => write!(f, "at least {n}"),
            Self::AtMost(n) => write!(f, "at most {n}"),
        }
    }
}

impl<'a> ModelOutputs<'a> {
    /// The output that a setting names, or the only one that fits.
    pub(crate) fn find(&self, need: &Need, named: Option<&str>) -> Result<Output, Problem> {
        self.find_beside(need, named, &[])
    }

    /// The same, when other outputs are taken already. A name may still name one of them.
    pub(crate) fn find_beside(&self, need: &Need, named: Option<&str>, taken: &[&str]) -> Result<Output, Problem> {
        match named {
            Some(name) => self.named(need, name),
            None => self.only_fitting(need, taken),
        }
    }

    fn named(&self, need: &Need, name: &str) -> Result<Output, Problem> {
        let Some(index) = self.specs.iter().position(|spec| spec.name == name) else {
            let meant = match nearest(name, self.specs.iter().map(|spec| spec.name.as_str())) {
                Some(meant) => format!(" (did you mean `{meant}`?)"),
                None => String::new(),
            };
            let list = self.list();
            return Err(problem(
                need.key,
                format!("the model has no output `{name}`{meant}; it has {list}"),
            ));
        };
        if !fits(need, &self.specs[index]) {
            let (spec, words, list) = (&self.specs[index], need.words, self.list());
            return Err(problem(
                need.key,
                format!("this head needs {words}, and {spec} is none; the model has {list}"),
            ));
        }
        Ok(self.output(index, need))
    }

    fn only_fitting(&self, need: &Need, taken: &[&str]) -> Result<Output, Problem> {
        let fitting: Vec<usize> = (0..self.specs.len())
            .filter(|index| !taken.contains(&self.specs[*index].name.as_str()))
            .filter(|index| fits(need, &self.specs[*index]))
            .collect();
        let (words, key, list) = (need.words, need.key, self.list());
        match fitting[..] {
            [index] => Ok(self.output(index, need)),
            [] => Err(problem(
                key,
                format!(
                    "this head needs {words}, and the model has {list}; choose another head or export the model anew"
                ),
            )),
            _ => Err(problem(
                key,
                format!(
                    "this head needs {words}, and several fit; name one of them with `{key}`. The model has {list}"
                ),
            )),
        }
    }

    fn output(&self, index: usize, need: &Need) -> Output {
        let spec = &self.specs[index];
        Output {
            index,
            name: spec.name.clone(),
            width: spec.row_width(),
            allowed: need.width,
        }
    }

    fn list(&self) -> String {
        if self.specs.is_empty() {
            return "no outputs".to_owned();
        }
        let outputs: Vec<String> = self.specs.iter().map(ToString::to_string).collect();
        outputs.join(", ")
    }
}

/// A problem at a key of the head's table.
pub(crate) fn problem(key: &str, message: impl Into<String>) -> Problem {
    Problem::new(format!("head.{key}"), message)
}

fn fits(need: &Need, spec: &TensorSpec) -> bool {
    let is_vector = spec.row_shape.iter().filter(|dim| **dim != Some(1)).count() <= 1;
    let right_elements = match need.elements {
        Elements::Floats => matches!(spec.dtype, DType::Float32 | DType::Float64 | DType::Float16),
        Elements::Labels => matches!(spec.dtype, DType::Int64 | DType::String),
    };
    let right_width = spec.row_width().is_none_or(|width| need.width.allows(width));
    is_vector && right_elements && right_width
}

/// One output of the model that a head reads.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    index: usize,
    /// Name in the model.
    pub name: String,
    /// Elements of one row, where the model says so.
    pub width: Option<usize>,
    /// Elements of one row that the head can read.
    allowed: WidthNeed,
}

impl Output {
    /// Elements of one row in this run: what the model says, or what came out where it leaves that open.
    pub(crate) fn width_of(&self, outputs: &[View<'_>]) -> Result<usize, RunError> {
        let view = self.view(outputs)?;
        let expected = self.width.map_or(self.allowed, WidthNeed::Exactly);
        if expected.allows(view.width) && self.allowed.allows(view.width) {
            Ok(view.width)
        } else {
            let (name, width) = (&self.name, view.width);
            Err(bad(format!(
                "output `{name}` has {width} values a row, and the head reads {expected}"
            )))
        }
    }

    /// Checks that a row has exactly so many elements in this run.
    pub(crate) fn expect_width(&self, outputs: &[View<'_>], expected: usize) -> Result<(), RunError> {
        let width = self.view(outputs)?.width;
        if width == expected {
            return Ok(());
        }
        let name = &self.name;
        Err(bad(format!(
            "output `{name}` has {width} values a row, and the head reads {expected}"
        )))
    }

    /// Copies all elements as 32-bit floats into `into`, which has room for the rows that were run.
    pub(crate) fn floats(&self, outputs: &[View<'_>], into: &mut [f32]) -> Result<(), RunError> {
        let view = self.view(outputs)?;
        match view.data {
            Data::Float32(data) => {
                self.check_len(data.len(), into.len())?;
                into.copy_from_slice(data);
            }
            Data::Float64(data) => {
                self.check_len(data.len(), into.len())?;
                for (to, from) in into.iter_mut().zip(data) {
                    *to = *from as f32;
                }
            }
            Data::Float16(data) => {
                self.check_len(data.len(), into.len())?;
                data.convert_to_f32_slice(into);
            }
            _ => return Err(self.wrong_type("floating-point numbers")),
        }
        Ok(())
    }

    /// Copies all elements as 32-bit floats to every other place of `into`: the even ones from 0, the odd ones from 1.
    pub(crate) fn every_other_float(
        &self,
        outputs: &[View<'_>],
        from: usize,
        into: &mut [f32],
    ) -> Result<(), RunError> {
        let places = into.len() / 2;
        let into = into.iter_mut().skip(from).step_by(2);
        match self.view(outputs)?.data {
            Data::Float32(data) => {
                self.check_len(data.len(), places)?;
                into.zip(data).for_each(|(to, from)| *to = *from);
            }
            Data::Float64(data) => {
                self.check_len(data.len(), places)?;
                into.zip(data).for_each(|(to, from)| *to = *from as f32);
            }
            Data::Float16(data) => {
                self.check_len(data.len(), places)?;
                into.zip(data).for_each(|(to, from)| *to = from.to_f32());
            }
            _ => return Err(self.wrong_type("floating-point numbers")),
        }
        Ok(())
    }

    /// The labels of `rows` rows, one each.
    pub(crate) fn labels<'a>(&self, outputs: &[View<'a>], rows: usize) -> Result<Labels<'a>, RunError> {
        match self.view(outputs)?.data {
            Data::Int64(labels) => {
                self.check_len(labels.len(), rows)?;
                Ok(Labels::Integers(labels))
            }
            Data::String(labels) => {
                self.check_len(labels.len(), rows)?;
                Ok(Labels::Strings(labels))
            }
            _ => Err(self.wrong_type("labels (64-bit integers or strings)")),
        }
    }

    fn view<'a>(&self, outputs: &[View<'a>]) -> Result<View<'a>, RunError> {
        outputs.get(self.index).copied().ok_or_else(|| {
            bad(format!(
                "output `{}` is missing: the run gave {} outputs",
                self.name,
                outputs.len()
            ))
        })
    }

    fn check_len(&self, len: usize, expected: usize) -> Result<(), RunError> {
        if len == expected {
            return Ok(());
        }
        let name = &self.name;
        Err(bad(format!(
            "output `{name}` has {len} elements, and these rows should have {expected}"
        )))
    }

    fn wrong_type(&self, expected: &str) -> RunError {
        bad(format!("output `{}` does not hold {expected}", self.name))
    }
}

/// One label a row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Labels<'a> {
    /// As numbers.
    Integers(&'a [i64]),
    /// As names.
    Strings(&'a [String]),
}

/// A run whose output is not what the head can read.
pub(crate) fn bad(message: String) -> RunError {
    RunError {
        fault: RunFault::BadOutput,
        message,
    }
}
