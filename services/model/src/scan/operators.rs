//! Operators that ONNX Runtime has, and functions that a model brings along.
//!
//! Owns: the list of domains, and how many nodes a model has once its functions are written out. Never does: know the
//! operators of a domain; the runtime does.
//! Invariant: functions are counted without being written out, so a small file that would grow without end is found out.

use std::collections::HashMap;

use super::Reason;
use super::format::{
    FUNCTION_DOMAIN, FUNCTION_NAME, FUNCTION_OVERLOAD, MODEL_FUNCTION, NODE_DOMAIN, NODE_OPERATOR, NODE_OVERLOAD,
};
use super::place::{shown, text};
use super::tensor::Fault;
use crate::wire::{WireError, fields};

/// Domains whose operators ONNX Runtime brings along and that a model may come with. Not among them: those that its
/// optimiser uses between itself and one machine (`com.microsoft.nchwc`, `com.ms.internal.nhwc`), and those that need
/// another library.
const DOMAINS: [&str; 7] = [
    "",
    "ai.onnx",
    "ai.onnx.ml",
    "ai.onnx.preview",
    "ai.onnx.preview.training",
    "ai.onnx.training",
    "com.microsoft",
];
/// Operators of these domains that hold code for one device, or name a file with it.
const DEVICE_CODE: [&str; 1] = ["EPContext"];

/// Domain, name and overload.
type Id<'a> = (&'a [u8], &'a [u8], &'a [u8]);

/// The functions of a model, and what each of them and the main graph hold.
#[derive(Debug, Default)]
pub(super) struct Functions<'a> {
    index: HashMap<Id<'a>, usize>,
    /// One for each function, in the order of the file.
    bodies: Vec<Body>,
    main: Body,
    /// The function that is being walked over, and how many were.
    open: Option<usize>,
    walked: usize,
    nodes: u64,
}

#[derive(Debug, Default, Clone)]
struct Body {
    nodes: u64,
    calls: Vec<usize>,
}

impl<'a> Functions<'a> {
    /// Those that a model defines, before any node is looked at.
    pub(super) fn of(model: &'a [u8]) -> Result<Self, WireError> {
        let mut functions = Self::default();
        for field in fields(model) {
            if let Some(function) = field?.bytes(MODEL_FUNCTION) {
                let id = id(function, (FUNCTION_DOMAIN, FUNCTION_NAME, FUNCTION_OVERLOAD));
                let place = functions.bodies.len();
                functions.index.entry(id).or_insert(place);
                functions.bodies.push(Body::default());
            }
        }
        Ok(functions)
    }

    pub(super) fn open_next(&mut self) {
        self.open = Some(self.walked);
        self.walked += 1;
    }

    pub(super) fn close(&mut self) {
        self.open = None;
    }

    /// Counts a node, whose operator must be known.
    pub(super) fn count(&mut self, node: &'a [u8], limit: u64) -> Result<(), Fault> {
        let id = id(node, (NODE_DOMAIN, NODE_OPERATOR, NODE_OVERLOAD));
        let (domain, operator, _) = id;
        let called = self.index.get(&id).copied();
        if called.is_none() {
            check_operator(domain, operator)?;
        }
        self.nodes += 1;
        if self.nodes > limit {
            return Err((Reason::Limit, too_many(limit)));
        }
        let body = match self.open {
            Some(place) => &mut self.bodies[place],
            None => &mut self.main,
        };
        body.nodes += 1;
        body.calls.extend(called);
        Ok(())
    }

    /// Nodes of the model with every call replaced by what it calls.
    ///
    /// # Errors
    /// What to say of a model that has too many, or whose functions call themselves.
    pub(super) fn called_nodes(&self, limit: u64) -> Result<u64, String> {
        let mut sizes: Vec<Option<u64>> = vec![None; self.bodies.len()];
        // A function, and how many of its calls have been seen to.
        let mut open: Vec<(usize, usize)> = Vec::new();
        let mut is_open = vec![false; self.bodies.len()];
        for start in 0..self.bodies.len() {
            if sizes[start].is_none() {
                open.push((start, 0));
                is_open[start] = true;
            }
            while let Some((place, seen)) = open.last_mut() {
                let body = &self.bodies[*place];
                match body.calls.get(*seen) {
                    Some(call) => {
                        *seen += 1;
                        if is_open[*call] {
                            return Err("has functions that call themselves; export it without them".into());
                        }
                        if sizes[*call].is_none() {
                            is_open[*call] = true;
                            open.push((*call, 0));
                        }
                    }
                    None => {
                        sizes[*place] = Some(size(body, &sizes));
                        is_open[*place] = false;
                        open.pop();
                    }
                }
            }
        }
        let nodes = size(&self.main, &sizes);
        match nodes > limit {
            true => Err(too_many(limit)),
            false => Ok(nodes),
        }
    }
}

/// Nodes of a body whose calls have all been counted.
fn size(body: &Body, sizes: &[Option<u64>]) -> u64 {
    let called = body.calls.iter().filter_map(|call| sizes[*call]);
    called.fold(body.nodes, u64::saturating_add)
}

fn too_many(limit: u64) -> String {
    format!("has more nodes than the {limit} that a model may have; export a smaller model, or raise `limits.nodes`")
}

fn id<'a>(message: &'a [u8], (domain, name, overload): (u64, u64, u64)) -> Id<'a> {
    let text = |field| text(message, field).unwrap_or_default();
    let domain = match text(domain) {
        b"ai.onnx" => b"",
        other => other,
    };
    (domain, text(name), text(overload))
}

fn check_operator(domain: &[u8], operator: &[u8]) -> Result<(), Fault> {
    if !DOMAINS.iter().any(|known| known.as_bytes() == domain) {
        let known = DOMAINS[1..].join("`, `");
        let fault = format!(
            "uses an operator of the domain `{}`, and ONNX Runtime brings along those of `{known}`; export the model with \
             these, or with the operator as a function inside the model",
            shown(domain)
        );
        return Err((Reason::Operator, fault));
    }
    if DEVICE_CODE.iter().any(|refused| refused.as_bytes() == operator) {
        let fault = format!(
            "holds code for one device (`{}`), which is not run; use the model that it was compiled from",
            shown(operator)
        );
        return Err((Reason::Operator, fault));
    }
    Ok(())
}
