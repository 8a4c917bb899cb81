//! The walk: messages within messages, by the tables.
//!
//! Owns: what holds for every message, and the counts. Never does: know what one kind of message means beyond asking
//! the module that does.
//! Invariant: each byte is looked at a fixed number of times, and messages are as deep in each other as Protocol
//! Buffers allow at most.

use super::format::{Holds, IR_VERSION, Kind, MODEL, MODEL_IR_VERSION, Message, Rule};
use super::operators::Functions;
use super::place::{Step, describe};
use super::{External, Limits, Reason, Refusal, Scan, tensor};
use crate::wire::{Field, Value, WireError, fields, read_varint};

/// Messages within each other, as many as Protocol Buffers allow.
const MAX_MESSAGES: usize = 100;

pub(super) struct Walk<'a> {
    limits: Limits,
    /// The messages that are open, the outermost first.
    place: Vec<Step<'a>>,
    /// Graphs that are open, and types.
    graphs: u32,
    types: u32,
    tensors: u64,
    functions: Functions<'a>,
    external: Vec<External<'a>>,
}

impl<'a> Walk<'a> {
    pub(super) fn over(model: &'a [u8], limits: &Limits) -> Result<Scan<'a>, Refusal> {
        let mut walk = Self {
            limits: limits.clone(),
            place: Vec::new(),
            graphs: 0,
            types: 0,
            tensors: 0,
            functions: Functions::default(),
            external: Vec::new(),
        };
        walk.functions = Functions::of(model).map_err(|error| walk.malformed(error))?;
        walk.message("model", &MODEL, model)?;
        let nodes = walk.functions.called_nodes(limits.nodes);
        let nodes = nodes.map_err(|fault| walk.refuse(Reason::Limit, fault))?;
        Ok(Scan {
            nodes,
            tensors: walk.tensors,
            external: walk.external,
        })
    }

    /// A message and all that it holds.
    fn message(&mut self, label: &'static str, message: &'static Message, bytes: &'a [u8]) -> Result<(), Refusal> {
        self.place.push(Step { label, message, bytes });
        if self.place.len() > MAX_MESSAGES {
            return Err(self.refuse(
                Reason::Limit,
                "is nested deeper than any loader goes; export the model with less nesting",
            ));
        }
        self.enter(message)?;
        let mut seen = 0u64;
        for field in fields(bytes) {
            let field = field.map_err(|error| self.malformed(error))?;
            let Some(rule) = message.rule(field.number) else {
                continue;
            };
            if !rule.is_repeated {
                let bit = 1 << rule.number;
                if seen & bit != 0 {
                    return Err(self.broken(rule, "twice"));
                }
                seen |= bit;
            }
            self.field(rule, &field)?;
        }
        self.leave(message, bytes)?;
        self.place.pop();
        Ok(())
    }

    fn field(&mut self, rule: &'static Rule, field: &Field<'a>) -> Result<(), Refusal> {
        match (rule.holds, field.value) {
            (Holds::Number | Holds::Numbers, Value::Varint(_))
            | (Holds::Fixed32 | Holds::Fixed32s, Value::Fixed32)
            | (Holds::Fixed64s, Value::Fixed64)
            | (Holds::Blob, Value::Bytes(_)) => Ok(()),
            (Holds::Numbers, Value::Bytes(mut packed)) => {
                while !packed.is_empty() {
                    read_varint(&mut packed).map_err(|error| self.malformed(error))?;
                }
                Ok(())
            }
            (Holds::Fixed32s, Value::Bytes(packed)) if packed.len().is_multiple_of(4) => Ok(()),
            (Holds::Fixed64s, Value::Bytes(packed)) if packed.len().is_multiple_of(8) => Ok(()),
            (Holds::Text, Value::Bytes(text)) => match std::str::from_utf8(text) {
                Ok(text) if !text.contains('\0') => Ok(()),
                _ => Err(self.broken(rule, "in characters that are no text")),
            },
            (Holds::Message(inner), Value::Bytes(bytes)) => self.message(rule.label, inner, bytes),
            _ => Err(self.broken(rule, "in a form that ONNX does not have")),
        }
    }

    fn enter(&mut self, message: &'static Message) -> Result<(), Refusal> {
        match message.kind {
            Kind::Graph | Kind::Type => {
                let (graphs, types) = match message.kind {
                    Kind::Graph => (1, 0),
                    _ => (0, 1),
                };
                self.graphs += graphs;
                self.types += types;
                // The outermost is no nesting.
                if self.graphs.max(self.types) > self.limits.depth + 1 {
                    let fault = format!(
                        "is nested deeper than {} levels; export the model with less nesting, or raise `limits.depth`",
                        self.limits.depth
                    );
                    return Err(self.refuse(Reason::Limit, fault));
                }
            }
            Kind::Tensor => {
                self.tensors += 1;
                if self.tensors > self.limits.tensors {
                    let fault = format!(
                        "is one tensor more than the {} that a model may have; export a smaller model, or raise \
                         `limits.tensors`",
                        self.limits.tensors
                    );
                    return Err(self.refuse(Reason::Limit, fault));
                }
            }
            Kind::Function => self.functions.open_next(),
            _ => {}
        }
        Ok(())
    }

    /// What is left to be said of a message whose parts are all sound.
    fn leave(&mut self, message: &'static Message, bytes: &'a [u8]) -> Result<(), Refusal> {
        match message.kind {
            Kind::Model => self.model(bytes),
            Kind::Graph => {
                self.graphs -= 1;
                Ok(())
            }
            Kind::Type => {
                self.types -= 1;
                Ok(())
            }
            Kind::Function => {
                self.functions.close();
                Ok(())
            }
            Kind::Node => self
                .functions
                .count(bytes, self.limits.nodes)
                .map_err(|(reason, fault)| self.refuse(reason, fault)),
            Kind::Tensor => self.tensor(bytes),
            Kind::SparseTensor => {
                tensor::check_sparse(bytes, &self.limits).map_err(|(reason, fault)| self.refuse(reason, fault))
            }
            Kind::Plain => Ok(()),
        }
    }

    fn model(&mut self, bytes: &'a [u8]) -> Result<(), Refusal> {
        let mut has_graph = false;
        for field in fields(bytes).map_while(Result::ok) {
            has_graph |= field.number == super::format::MODEL_GRAPH;
            if let (MODEL_IR_VERSION, Value::Varint(version)) = (field.number, field.value)
                && version > IR_VERSION
            {
                let fault = format!(
                    "is written in version {version} of the ONNX format, and this program knows up to {IR_VERSION}; export \
                     it for an older one, or use a newer Eddy"
                );
                return Err(self.refuse(Reason::Version, fault));
            }
        }
        match has_graph {
            true => Ok(()),
            false => Err(self.refuse(Reason::Malformed, "holds no graph")),
        }
    }

    fn tensor(&mut self, bytes: &'a [u8]) -> Result<(), Refusal> {
        let elsewhere = tensor::check(bytes, &self.limits).map_err(|(reason, fault)| self.refuse(reason, fault))?;
        let Some(elsewhere) = elsewhere else { return Ok(()) };
        if !self.is_initializer_of_the_main_graph() {
            return Err(self.refuse(
                Reason::ExternalData,
                "keeps its data in another file, which only initializers of the main graph may do; export the model \
                 with its data inside",
            ));
        }
        self.external.push(External {
            tensor: describe(&self.place),
            file: elsewhere.file,
            offset: elsewhere.offset,
            length: elsewhere.length,
        });
        Ok(())
    }

    fn is_initializer_of_the_main_graph(&self) -> bool {
        let labels = self.place.iter().map(|step| step.label);
        labels.eq(["model", "graph", "initializer"])
    }

    fn refuse(&self, reason: Reason, fault: impl Into<String>) -> Refusal {
        Refusal {
            reason,
            place: describe(&self.place),
            fault: fault.into(),
        }
    }

    fn malformed(&self, error: WireError) -> Refusal {
        self.refuse(Reason::Malformed, error.to_string())
    }

    fn broken(&self, rule: &Rule, how: &str) -> Refusal {
        self.refuse(Reason::Malformed, format!("has its {} {how}", rule.label))
    }
}
