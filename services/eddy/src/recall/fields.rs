//! The fields of an event as the pipeline decodes them, each with its type.
//!
//! Owns: the column that each field becomes. Never does: know a rule of decoding; the pipeline's own decoder reads, into a row
//! of one input for each field.
//!
//! Invariant: a value that the event does not have, or that is masked, is no value here, whatever default the models got. Nor is
//! one that lies below a field which is masked in part.

use std::borrow::Cow;

use eddy_pipeline::decode::{Binding, Captured, Decoder};
use eddy_pipeline::event::Record;
use eddy_pipeline::fields::{DefaultValue, Element, FieldSettings, FieldType, Scalar, TimePart};
use eddy_pipeline::mask::{Mask, Masked};
use eddy_pipeline::rejection::Rejection;
use eddy_pipeline::settings::Problem;
use eddy_pipeline::tensor::{Buffer, DType, Inputs, TensorSpec};
use eddy_storage::table::{Cell, Column, ColumnType};
use indexmap::IndexMap;

use crate::file::PipelineFile;
use crate::schemas::{NoSchema, Shelf};

/// The name under which the decoder is asked for one input a field.
const READER: &str = "fields";

/// Reads the fields of events.
#[derive(Debug)]
pub(crate) struct Fields {
    decoder: Decoder,
    inputs: Vec<Inputs>,
    captured: Captured,
    fields: Vec<OneField>,
    mask: Mask,
    masked: Vec<u8>,
    shelf: Shelf,
}

#[derive(Debug)]
struct OneField {
    name: String,
    kind: ColumnType,
    is_masked: bool,
}

impl Fields {
    /// The fields of a pipeline whose schemas stand on this shelf.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn of(file: &PipelineFile, shelf: Shelf) -> Result<Self, Vec<Problem>> {
        let mask = Mask::compile(&file.events)?;
        let pointers = file
            .fields
            .iter()
            .map(|(name, settings)| settings.pointer_or_default(name));
        let covered: Vec<_> = pointers.filter(|pointer| mask.covers(pointer)).collect();
        // What is left of a field that is masked in part is no value that the field could have.
        let mask = mask.and(covered.iter().map(AsRef::as_ref));
        let is_masked = |name: &str, settings: &FieldSettings| mask.covers(&settings.pointer_or_default(name));
        let settings: IndexMap<String, FieldSettings> = file
            .fields
            .iter()
            .map(
                |(name, settings)| match mask.is_in_part() && is_masked(name, settings) {
                    true => (name.clone(), as_null(settings)),
                    false => (name.clone(), as_one_column(settings)),
                },
            )
            .collect();
        let specs: Vec<TensorSpec> = settings.iter().map(|(name, settings)| spec(name, settings)).collect();
        let bound: IndexMap<String, Vec<String>> =
            settings.keys().map(|name| (name.clone(), vec![name.clone()])).collect();
        let binding = Binding {
            model: READER,
            inputs: &specs,
            fields: &bound,
        };
        let decoder = shelf.serve(Decoder::compile(&file.events, &settings, &file.limits, &[binding])?);
        Ok(Self {
            inputs: vec![Inputs::with_capacity(decoder.resolved_inputs(READER), 1)],
            decoder,
            captured: Captured::default(),
            fields: file
                .fields
                .iter()
                .map(|(name, settings)| one_field(name, settings, is_masked(name, settings)))
                .collect(),
            mask,
            masked: Vec::new(),
            shelf,
        })
    }

    /// A column for each field, in the order of the file.
    pub(crate) fn columns(&self) -> impl Iterator<Item = Column> {
        self.fields.iter().map(|field| Column::new(&field.name, field.kind))
    }

    /// Waits for the schema of an event, before anything else is asked of it.
    ///
    /// # Errors
    /// When it does not come.
    pub(crate) fn prepare(&mut self, record: &Record<'_>) -> Result<(), NoSchema> {
        self.shelf.wait(|| self.decoder.prepare(record))
    }

    /// The values of an event, one for each column.
    ///
    /// # Errors
    /// Why this pipeline would not take the event.
    pub(crate) fn read(&mut self, record: &Record<'_>) -> Result<Vec<Cell<'static>>, Rejection> {
        self.decode(record)?;
        let fields = self.fields.iter().zip(&self.inputs[0].inputs).enumerate();
        let cells = fields.map(
            |(position, (field, input))| match self.decoder.had(position) && !field.is_masked {
                true => cell(field.kind, &input.data),
                false => Cell::Null,
            },
        );
        Ok(cells.collect())
    }

    /// Decodes an event as if it had come without what is masked, which it may have: samples have.
    fn decode(&mut self, record: &Record<'_>) -> Result<(), Rejection> {
        self.masked.clear();
        let is_changed = |value| self.mask.apply(value, &mut self.masked) == Masked::Changed;
        let value = match record.value.map(is_changed) {
            Some(true) => Some(self.masked.as_slice()),
            _ => record.value,
        };
        let record = Record { value, ..*record };
        self.decoder.decode(&record, &mut self.inputs, 0, &mut self.captured)
    }

    /// The id of an event, where a header or a field gives one. Also of an event that this pipeline would not take.
    pub(crate) fn id(&mut self, record: &Record<'_>) -> Option<&str> {
        // What is wrong with the rest of it does not matter here.
        drop(self.decode(record));
        self.captured.id.as_deref()
    }

    /// The event's own time, of the event that was read last.
    pub(crate) fn event_time_ms(&self) -> Option<i64> {
        self.captured.event_time_ms
    }
}

/// A field whose value is null by then, which is no fault of the event.
fn as_null(settings: &FieldSettings) -> FieldSettings {
    FieldSettings {
        pointer: settings.pointer.clone(),
        default: Some(DefaultValue::One(Scalar::Float(0.0))),
        ..FieldSettings::of(FieldType::Float)
    }
}

/// The same field as one column, whatever parts the models get.
fn as_one_column(settings: &FieldSettings) -> FieldSettings {
    let mut settings = settings.clone();
    if settings.kind == FieldType::Timestamp {
        settings.parts = Some(vec![TimePart::Epoch]);
    }
    settings
}

fn spec(name: &str, settings: &FieldSettings) -> TensorSpec {
    let dtype = match settings.kind {
        FieldType::Float | FieldType::Timestamp => DType::Float64,
        FieldType::Integer => DType::Int64,
        FieldType::Boolean => DType::Bool,
        FieldType::Category | FieldType::String => DType::String,
        FieldType::Vector => match settings.elements {
            Element::Float => DType::Float64,
            Element::Integer => DType::Int64,
        },
        FieldType::Image => DType::Float32,
    };
    TensorSpec {
        name: name.to_owned(),
        dtype,
        row_shape: vec![None],
    }
}

fn one_field(name: &str, settings: &FieldSettings, is_masked: bool) -> OneField {
    let kind = match settings.kind {
        FieldType::Float => ColumnType::Float,
        FieldType::Integer => ColumnType::Integer,
        FieldType::Boolean => ColumnType::Boolean,
        FieldType::Category | FieldType::String => ColumnType::Text,
        FieldType::Timestamp => ColumnType::Timestamp,
        FieldType::Vector => ColumnType::Floats,
        FieldType::Image => ColumnType::Floats32,
    };
    OneField {
        name: name.to_owned(),
        kind,
        is_masked,
    }
}

/// The value of a field in the row that was decoded.
fn cell(kind: ColumnType, data: &Buffer) -> Cell<'static> {
    match (kind, data) {
        // Seconds, whose fraction keeps microseconds in a double for centuries.
        (ColumnType::Timestamp, Buffer::Float64(x)) => Cell::TimestampMs((x[0] * 1000.0).round() as i64),
        (ColumnType::Float, Buffer::Float64(x)) => Cell::Float(x[0]),
        (ColumnType::Integer, Buffer::Int64(i)) => Cell::Integer(i[0]),
        (ColumnType::Boolean, Buffer::Bool(b)) => Cell::Boolean(b[0]),
        (ColumnType::Text, Buffer::String(text)) => Cell::Text(Cow::Owned(text[0].clone())),
        (ColumnType::Floats, Buffer::Float64(x)) => Cell::Floats(Cow::Owned(x.clone())),
        (ColumnType::Floats, Buffer::Int64(i)) => Cell::Floats(i.iter().map(|i| *i as f64).collect()),
        (ColumnType::Floats32, Buffer::Float32(x)) => Cell::Floats32(Cow::Owned(x.clone())),
        (kind, data) => unreachable!("{} are decoded as {}", kind.as_str(), data.dtype()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::output::tests::with_record;
    use super::*;
    use crate::file::Pipeline;
    use crate::settings::Source;

    /// A pipeline with these tables in its file.
    pub(crate) fn pipeline(tables: &str) -> Pipeline {
        let text = format!(
            "format = 1\nname = \"p\"\n{tables}\n[kafka]\nbrokers = \"b:1\"\nstart = \"earliest\"\n[[models]]\nname = \
             \"m\"\npath = \"m.onnx\"\nhead = {{ type = \"regression\" }}\n"
        );
        let source = Source {
            name: "p.toml",
            text: &text,
        };
        let loaded = crate::file::read(source, []).expect("a sound file");
        Pipeline {
            file: loaded.settings,
            folder: ".".into(),
            document: loaded.document,
        }
    }

    /// Its file.
    pub(crate) fn file(tables: &str) -> PipelineFile {
        pipeline(tables).file
    }

    const FIELDS: &str = r#"
[fields.age]
type = "float"
default = 40.0
[fields.count]
type = "integer"
parse_strings = true
[fields.yes]
type = "boolean"
zero_one = true
[fields.colour]
type = "category"
categories = ["red", "green"]
other = 9
[fields.note]
type = "string"
default = "none"
pointer = "/deep/note"
[fields.at]
type = "timestamp"
unit = "ms"
parts = ["hour", "age"]
[fields.v]
type = "vector"
length = 2
elements = "integer"
"#;

    fn read(value: &str) -> Result<Vec<Cell<'static>>, Rejection> {
        let mut fields = Fields::of(&file(FIELDS), Shelf::default()).expect("the fields fit");
        with_record(&[("eddy.id", "a")], value.as_bytes(), |record| fields.read(record))
    }

    #[test]
    fn each_field_is_a_column_of_its_own_type_by_the_rules_of_the_pipeline() {
        let fields = Fields::of(&file(FIELDS), Shelf::default()).expect("the fields fit");
        let kinds: Vec<ColumnType> = fields.columns().map(|column| column.kind).collect();
        use ColumnType::{Boolean, Float, Floats, Integer, Text, Timestamp};
        assert_eq!(kinds, [Float, Integer, Boolean, Text, Text, Timestamp, Floats]);
        let cells = read(
            r#"{"age": 31, "count": "9007199254740993", "yes": 1, "colour": "blue", "deep": {"note": "x"},
                "at": 1777593600123, "v": [1, 2.0]}"#,
        );
        let expected = [
            Cell::Float(31.0),
            Cell::Integer(9_007_199_254_740_993),
            Cell::Boolean(true),
            Cell::text("blue"),
            Cell::text("x"),
            Cell::TimestampMs(1_777_593_600_123),
            Cell::Floats(vec![1.0, 2.0].into()),
        ];
        assert_eq!(cells.expect("a sound event"), expected);
    }

    #[test]
    fn a_value_that_is_missing_or_null_is_none_whatever_its_default() {
        let cells = read(r#"{"deep": {"note": null}, "count": 1, "yes": 0, "colour": "red", "at": 0, "v": [0, 0]}"#);
        let cells = cells.expect("the defaults fill it");
        assert_eq!((&cells[0], &cells[4]), (&Cell::Null, &Cell::Null));
    }

    #[test]
    fn an_event_that_the_pipeline_would_not_take_says_why() {
        let rejection = read(r#"{"count": 1.5}"#).unwrap_err();
        assert!(rejection.detail.contains("count"), "{}", rejection.detail);
    }

    #[test]
    fn a_field_that_is_masked_in_part_has_no_value_and_the_others_have_theirs() {
        let tables = "[events]\nmask = [\"/v/0\", \"/deep/*\"]\n";
        let mut fields = Fields::of(&file(&format!("{tables}{FIELDS}")), Shelf::default()).expect("the fields fit");
        let event =
            r#"{"age": 31, "count": 1, "yes": 1, "colour": "red", "deep": {"note": "x"}, "at": 0, "v": [7, 8]}"#;
        let cells = with_record(&[("eddy.id", "a")], event.as_bytes(), |record| fields.read(record));
        let cells = cells.expect("a sound event");
        assert_eq!((&cells[0], &cells[1]), (&Cell::Float(31.0), &Cell::Integer(1)));
        assert_eq!((&cells[4], &cells[6]), (&Cell::Null, &Cell::Null));
    }

    #[test]
    fn raw_events_and_pictures_are_lists_of_numbers() {
        let raw =
            "[events]\nformat = \"raw\"\nraw = { dtype = \"float32\" }\n[fields.x]\ntype = \"vector\"\nlength = 2\n";
        let mut fields = Fields::of(&file(raw), Shelf::default()).expect("the field fits");
        let bytes: Vec<u8> = [0.5f32, -1.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        let cells = with_record(&[("eddy.id", "a")], &bytes, |record| fields.read(record));
        assert_eq!(cells.expect("eight bytes"), [Cell::Floats(vec![0.5, -1.0].into())]);
    }
}
