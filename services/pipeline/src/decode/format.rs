//! The plug point: what a format is asked, and which formats there are.

use std::sync::Arc;

use super::settings::{EventFormat, EventSettings, LimitSettings};
use super::{Awaited, Captured, NewSchema, Schemas, avro, image, json, json_schema, protobuf, raw};
use crate::fields::{Field, Row};
use crate::rejection::Rejection;
use crate::settings::Problem;

/// Reads the values of one format.
///
/// Called from the lane's thread, once for every record that passed the limits on its size, between two polls of the
/// broker: it costs what a record costs, never waits, and allocates nothing per event in the steady state (images
/// and Protobuf excepted). One instance belongs to one lane.
///
/// Laws, tested for every format in [`FORMATS`]: arbitrary bytes never panic; the same bytes twice give the same row; no
/// other row is touched; what is larger than the limits is rejected.
pub(crate) trait Format: Send + std::fmt::Debug {
    /// Where to ask for schemas, in formats that need them.
    fn connect(&mut self, _schemas: Arc<dyn Schemas>) {}

    /// Gets ready for one event. Asked before each.
    ///
    /// # Errors
    /// When the schema that it says it was written with is not there yet, or not to be read.
    fn prepare(&mut self, _value: &[u8]) -> Result<(), Awaited> {
        Ok(())
    }

    /// Whether events that had to wait for this schema can be judged now.
    ///
    /// # Errors
    /// As [`Self::prepare`].
    fn ready(&mut self, _schema: u32) -> Result<(), Awaited> {
        Ok(())
    }

    /// Takes what was found out about schemas since the last call.
    fn take_new_schemas(&mut self) -> Vec<NewSchema> {
        Vec::new()
    }

    /// Hands every value that the event holds to its row, and captures what is asked for. Need not call
    /// [`Row::finish`].
    ///
    /// # Errors
    /// The first reason why the event cannot be scored.
    fn read(&mut self, value: &[u8], event: &mut Event<'_>) -> Result<(), Rejection>;

    /// Looks for the id of an event that was rejected before its id was met, so that its dead letter has a name. Called
    /// for rejected events only.
    fn salvage(&mut self, _value: &[u8], _captured: &mut Captured) {}
}

/// What a format fills.
#[derive(Debug)]
pub(crate) struct Event<'a> {
    pub(crate) row: Row<'a>,
    pub(crate) captured: &'a mut Captured,
}

/// What a format is compiled from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sources<'a> {
    pub(crate) events: &'a EventSettings,
    pub(crate) limits: &'a LimitSettings,
    /// In the order of the file.
    pub(crate) fields: &'a [Field],
}

type Compile = fn(&Sources<'_>) -> Result<Box<dyn Format>, Vec<Problem>>;

/// Every format: one line each.
pub(crate) const FORMATS: &[(EventFormat, Compile)] = &[
    (EventFormat::Json, json::compile),
    (EventFormat::Raw, raw::compile),
    (EventFormat::Image, image::compile),
    (EventFormat::Avro, avro::compile),
    (EventFormat::Protobuf, protobuf::compile),
    (EventFormat::JsonSchema, json_schema::compile),
];

/// Compiles the format that the settings name.
pub(crate) fn compile(sources: &Sources<'_>) -> Result<Box<dyn Format>, Vec<Problem>> {
    let (_, compile) = FORMATS
        .iter()
        .find(|(format, _)| *format == sources.events.format)
        .expect("every format is registered");
    compile(sources)
}

/// Settings that only JSON events have a use for.
pub(crate) fn refuse_pointers(events: &EventSettings, problems: &mut Vec<Problem>) {
    let said = [
        ("id_field", events.id_field.is_some()),
        ("time_field", events.time_field.is_some()),
        ("time_unit", events.time_unit.is_some()),
        ("pass_through", !events.pass_through.is_empty()),
    ];
    for (name, present) in said {
        if present {
            problems.push(Problem::new(
                format!("events.{name}"),
                format!(
                    "has no meaning for {} events, which have no members; remove it",
                    events.format.as_str()
                ),
            ));
        }
    }
}
