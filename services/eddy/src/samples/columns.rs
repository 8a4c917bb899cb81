//! The columns of the table and the row of a sample.
//!
//! Owns: which columns there are, their names and their types. Never does: decode an event.
//!
//! Invariant: names that begin with `eddy_` are Eddy's, all others are fields of the event; a row has a cell for each column.
//! What is a model's stands behind its name and a `:`, which no model's name holds: `eddy_x:score` is no other model's.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use eddy_pipeline::event::{Record, place};
use eddy_pipeline::settings::Problem;
use eddy_storage::table::{Cell, Column, ColumnType};
use jiff::Timestamp;
use serde_json::Value;

use crate::recall::fields::Fields;
use crate::recall::output::{Sample, Selected};

/// What Eddy's columns begin with.
const OWN: &str = "eddy_";
/// Columns that every table has, before those of the fields.
const ABOUT: [(&str, ColumnType); 12] = [
    ("eddy_id", ColumnType::Text),
    ("eddy_time", ColumnType::Timestamp),
    ("eddy_selected_at", ColumnType::Timestamp),
    ("eddy_topic", ColumnType::Text),
    ("eddy_partition", ColumnType::Integer),
    ("eddy_offset", ColumnType::Integer),
    ("eddy_arms", ColumnType::Texts),
    ("eddy_probability", ColumnType::Float),
    ("eddy_weight", ColumnType::Float),
    ("eddy_config", ColumnType::Text),
    ("eddy_policy", ColumnType::Text),
    ("eddy_body", ColumnType::Text),
];
/// Columns that every model has: version, sha256, profile, arms.
const OF_MODEL: usize = 4;
/// Members of predictions that come first, in this order.
const FIRST: [&str; 10] = [
    "label",
    "labels",
    "value",
    "confidence",
    "score",
    "error",
    "spread",
    "interval",
    "probabilities",
    "embedding",
];

/// What a member of predictions holds, as far as it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Nothing but nulls and empty lists.
    Unknown,
    Text,
    Number,
    Texts,
    Numbers,
    /// Several of these, or something else: as JSON text.
    Mixed,
}

impl Shape {
    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Unknown,
            Value::String(_) => Self::Text,
            Value::Number(_) => Self::Number,
            Value::Array(list) if list.is_empty() => Self::Unknown,
            Value::Array(list) if list.iter().all(Value::is_string) => Self::Texts,
            Value::Array(list) if list.iter().all(|one| one.is_number() || one.is_null()) => Self::Numbers,
            _ => Self::Mixed,
        }
    }

    /// What holds both.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (one, other) if one == other => one,
            (Self::Unknown, one) | (one, Self::Unknown) => one,
            (Self::Number, Self::Numbers) | (Self::Numbers, Self::Number) => Self::Numbers,
            _ => Self::Mixed,
        }
    }

    /// The column that holds it; what was never seen is a list of labels, the only one that can be empty.
    const fn kind(self) -> ColumnType {
        match self {
            Self::Text | Self::Mixed => ColumnType::Text,
            Self::Number => ColumnType::Float,
            Self::Unknown | Self::Texts => ColumnType::Texts,
            Self::Numbers => ColumnType::Floats,
        }
    }
}

/// What the samples of one model hold.
#[derive(Debug, Default)]
struct OfModel {
    /// Members of predictions.
    members: BTreeMap<String, Shape>,
    /// Names of signals and scores.
    scores: BTreeSet<String>,
}

/// What samples were seen to hold, model by model.
#[derive(Debug, Default)]
pub(super) struct Seen {
    models: BTreeMap<String, OfModel>,
}

impl Seen {
    /// Takes note of a sample.
    pub(super) fn see(&mut self, sample: &Sample<'_>) {
        for selected in &sample.models {
            if !self.models.contains_key(&selected.model) {
                self.models.insert(selected.model.clone(), OfModel::default());
            }
            let model = self.models.get_mut(&selected.model).expect("it was just put in");
            for (member, value) in &selected.prediction {
                let shape = Shape::of(value);
                match model.members.get_mut(member) {
                    Some(seen) => *seen = seen.and(shape),
                    None => {
                        model.members.insert(member.clone(), shape);
                    }
                }
            }
            for score in selected.scores.keys() {
                if !model.scores.contains(score) {
                    model.scores.insert(score.clone());
                }
            }
        }
    }
}

/// The columns of one model, without its name.
#[derive(Debug)]
struct ModelColumns {
    name: String,
    members: Vec<(String, Shape)>,
    scores: Vec<String>,
}

/// The table's columns, and how a sample fills them.
#[derive(Debug)]
pub(super) struct Table {
    fields: Vec<Column>,
    models: Vec<ModelColumns>,
}

/// Finds out before anything is read whether the fields leave Eddy's columns their names.
///
/// # Errors
/// Every field that does not.
pub(super) fn check<'a>(fields: impl Iterator<Item = &'a String>) -> Result<(), Vec<Problem>> {
    let taken = fields.filter(|name| name.starts_with(OWN));
    let problems: Vec<Problem> = taken
        .map(|name| {
            let message = format!(
                "field `{name}` cannot be a column of samples: names that begin with `{OWN}` are those of Eddy's own columns; \
                 in a copy of the pipeline file, give it another name, here and in `inputs`, and this one as `pointer`"
            );
            Problem::new(format!("fields.{name}"), message)
        })
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

impl Table {
    /// The table of these fields and of what was seen.
    pub(super) fn new(fields: &Fields, seen: &Seen) -> Self {
        let rank = |member: &str| FIRST.iter().position(|first| *first == member).unwrap_or(FIRST.len());
        let models = seen.models.iter().map(|(name, model)| {
            let mut members: Vec<(String, Shape)> = model
                .members
                .iter()
                .map(|(member, shape)| (member.clone(), *shape))
                .collect();
            // Stable, so that the others keep the order of their names.
            members.sort_by_key(|(member, _)| rank(member));
            ModelColumns {
                name: name.clone(),
                members,
                scores: model.scores.iter().cloned().collect(),
            }
        });
        Self {
            fields: fields.columns().collect(),
            models: models.collect(),
        }
    }

    /// All columns in their order: about the sample, the fields of the event, then model by model.
    pub(super) fn columns(&self) -> Vec<Column> {
        let about = ABOUT.iter().map(|(name, kind)| Column::new(*name, *kind));
        let mut columns: Vec<Column> = about.chain(self.fields.iter().cloned()).collect();
        for model in &self.models {
            let mut add = |what: &str, kind| {
                columns.push(Column::new(format!("{OWN}{}:{what}", model.name), kind));
            };
            add("version", ColumnType::Text);
            add("sha256", ColumnType::Text);
            add("profile", ColumnType::Text);
            add("arms", ColumnType::Texts);
            for (member, shape) in &model.members {
                add(member, shape.kind());
            }
            for score in &model.scores {
                add(&format!("score:{score}"), ColumnType::Float);
            }
        }
        columns
    }

    /// The row of a sample, and whether a time in it was left out because no calendar has it: producers write what they
    /// like, and one odd time is no reason to write no table. `fields` are the cells of the event's fields, if they could
    /// be decoded.
    pub(super) fn row<'a>(
        &self,
        record: &Record<'_>,
        sample: &'a Sample<'_>,
        fields: Option<&'a [Cell<'static>]>,
    ) -> (Vec<Cell<'a>>, bool) {
        let mut row = about(record, sample);
        match fields {
            Some(cells) => row.extend_from_slice(cells),
            None => row.extend(self.fields.iter().map(|_| Cell::Null)),
        }
        for model in &self.models {
            match sample.models.iter().find(|selected| selected.model == model.name) {
                Some(selected) => model.fill(selected, &mut row),
                None => row.resize(
                    row.len() + OF_MODEL + model.members.len() + model.scores.len(),
                    Cell::Null,
                ),
            }
        }
        let mut has_odd_time = false;
        for cell in &mut row {
            if matches!(cell, Cell::TimestampMs(ms) if Timestamp::from_millisecond(*ms).is_err()) {
                *cell = Cell::Null;
                has_odd_time = true;
            }
        }
        (row, has_odd_time)
    }
}

fn about<'a>(record: &Record<'_>, sample: &'a Sample<'_>) -> Vec<Cell<'a>> {
    let time = |ms: Option<i64>| ms.map_or(Cell::Null, Cell::TimestampMs);
    let float = |x: Option<f64>| x.map_or(Cell::Null, Cell::Float);
    let arms: Vec<String> = sample.arms().into_iter().map(str::to_owned).collect();
    let (topic, partition, offset) = match place(sample.source) {
        Ok((topic, partition, offset)) => (
            Cell::text(topic),
            Cell::Integer(i64::from(partition)),
            Cell::Integer(offset),
        ),
        Err(_) => (Cell::Null, Cell::Null, Cell::Null),
    };
    vec![
        Cell::text(sample.id),
        time(sample.time_ms),
        time(record.timestamp_ms),
        topic,
        partition,
        offset,
        Cell::Texts(arms.into()),
        float(sample.probability),
        float(sample.weight()),
        sample.config.map_or(Cell::Null, Cell::text),
        sample.policy.map_or(Cell::Null, Cell::text),
        Cell::text(sample.body.as_str()),
    ]
}

impl ModelColumns {
    fn fill<'a>(&self, selected: &'a Selected, row: &mut Vec<Cell<'a>>) {
        row.push(Cell::text(&selected.version));
        row.push(Cell::text(&selected.sha256));
        row.push(selected.profile.as_deref().map_or(Cell::Null, Cell::text));
        row.push(Cell::Texts(Cow::Borrowed(&selected.arms)));
        let members = self.members.iter();
        row.extend(members.map(|(member, shape)| cell(*shape, selected.prediction.get(member))));
        let scores = self.scores.iter();
        row.extend(scores.map(|score| {
            selected
                .scores
                .get(score)
                .copied()
                .flatten()
                .map_or(Cell::Null, Cell::Float)
        }));
    }
}

fn cell(shape: Shape, value: Option<&Value>) -> Cell<'_> {
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    match (shape, value) {
        (_, None | Some(Value::Null)) => Cell::Null,
        (Shape::Mixed, Some(value)) => Cell::Text(value.to_string().into()),
        (Shape::Text, Some(value)) => value.as_str().map_or(Cell::Null, Cell::text),
        (Shape::Number, Some(value)) => Cell::Float(number(value)),
        (Shape::Numbers, Some(Value::Array(list))) => Cell::Floats(list.iter().map(number).collect()),
        (Shape::Numbers, Some(value)) => Cell::Floats(vec![number(value)].into()),
        (Shape::Texts | Shape::Unknown, Some(value)) => {
            let texts = value.as_array().into_iter().flatten();
            Cell::Texts(texts.filter_map(Value::as_str).map(str::to_owned).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use eddy_broker::settings::Events;
    use serde_json::json;

    use super::*;
    use crate::recall::fields::tests::file;
    use crate::recall::output::tests::{SAMPLE, with_record};
    use crate::schemas::Shelf;

    fn table(seen: &Seen) -> Table {
        let fields = Fields::of(&file("[fields.x]\ntype = \"integer\"\n"), Shelf::default()).expect("the field fits");
        Table::new(&fields, seen)
    }

    fn names(columns: &[Column]) -> Vec<&str> {
        columns.iter().map(|column| column.name.as_str()).collect()
    }

    #[test]
    fn a_sample_fills_one_cell_for_each_column() {
        with_record(&SAMPLE, b"{}", |record| {
            let sample = Sample::of(record, &Events::from("events").reads()).expect("a sound sample");
            let mut seen = Seen::default();
            seen.see(&sample);
            let table = table(&seen);
            let columns = table.columns();
            let (row, has_odd_time) = table.row(record, &sample, Some(&[Cell::Integer(5)]));
            let cell = |name: &str| &row[columns.iter().position(|column| column.name == name).expect(name)];
            assert_eq!(
                names(&columns)[ABOUT.len()..],
                [
                    "x",
                    "eddy_m:version",
                    "eddy_m:sha256",
                    "eddy_m:profile",
                    "eddy_m:arms",
                    "eddy_m:label",
                    "eddy_m:confidence",
                    "eddy_m:score:margin",
                    "eddy_n:version",
                    "eddy_n:sha256",
                    "eddy_n:profile",
                    "eddy_n:arms",
                ]
            );
            assert_eq!(cell("eddy_time"), &Cell::TimestampMs(1_777_593_600_000));
            assert_eq!(cell("eddy_selected_at"), &Cell::TimestampMs(1_777_593_600_500));
            assert_eq!(
                (cell("eddy_topic"), cell("eddy_offset")),
                (&Cell::text("events"), &Cell::Integer(3))
            );
            assert_eq!(
                (cell("eddy_probability"), cell("eddy_weight")),
                (&Cell::Float(0.5), &Cell::Float(2.0))
            );
            assert_eq!((cell("x"), cell("eddy_m:label")), (&Cell::Integer(5), &Cell::text("x")));
            assert_eq!(cell("eddy_m:score:margin"), &Cell::Float(0.25));
            for (column, cell) in columns.iter().zip(&row) {
                assert!(cell.kind().is_none_or(|kind| kind == column.kind), "{}", column.name);
            }
            assert_eq!(row.len(), columns.len());
            assert!(!has_odd_time);
            let (without, _) = table.row(record, &sample, None);
            assert_eq!((without.len(), &without[ABOUT.len()]), (columns.len(), &Cell::Null));
        });
    }

    /// The table of one sample with these fields, and what `see` makes of it.
    fn with_table<R>(headers: &[(&str, &str)], see: impl FnOnce(&Record<'_>, &Sample<'_>, &Table) -> R) -> R {
        with_record(headers, b"{}", |record| {
            let sample = Sample::of(record, &Events::from("events").reads()).expect("a sound sample");
            let mut seen = Seen::default();
            seen.see(&sample);
            see(record, &sample, &table(&seen))
        })
    }

    #[test]
    fn a_time_that_no_calendar_has_is_null_and_said_so_wherever_it_comes_from() {
        let odd = SAMPLE.map(|(name, value)| {
            (
                name,
                if name == "eddy.time" {
                    "1777593600000000000"
                } else {
                    value
                },
            )
        });
        let at = |name: &str| ABOUT.iter().position(|(about, _)| *about == name).expect(name);
        with_table(&odd, |record, sample, table| {
            let (row, has_odd_time) = table.row(record, sample, None);
            assert!(has_odd_time);
            assert_eq!(row[at("eddy_time")], Cell::Null);
            assert_eq!(row[at("eddy_selected_at")], Cell::TimestampMs(1_777_593_600_500));
        });
        with_table(&SAMPLE, |record, sample, table| {
            let field = [Cell::TimestampMs(i64::MAX)];
            let (row, has_odd_time) = table.row(record, sample, Some(&field));
            assert!(has_odd_time);
            assert_eq!(row[ABOUT.len()], Cell::Null);
        });
    }

    #[test]
    fn no_two_columns_share_a_name_whatever_models_are_called() {
        let selection = r#"[{"model":"x","prediction":{"score":0.5},"scores":{"score":0.25,"margin":1.0}},
                            {"model":"x_score","prediction":{"margin":0.5},"scores":{"margin":0.25}},
                            {"model":"id"},{"model":"x.score_margin"}]"#;
        let headers = SAMPLE.map(|(name, value)| (name, if name == "eddy.selection" { selection } else { value }));
        with_table(&headers, |_, _, table| {
            let columns = table.columns();
            let distinct: BTreeSet<&str> = names(&columns).into_iter().collect();
            assert_eq!(distinct.len(), columns.len(), "{:?}", names(&columns));
        });
    }

    #[test]
    fn a_field_that_is_called_like_a_column_of_eddys_is_refused_by_name() {
        let fields = ["x", "eddy_id", "teddy_id"].map(str::to_owned);
        let problems = check(fields.iter()).unwrap_err();
        assert_eq!(
            problems.iter().map(|one| one.key.as_str()).collect::<Vec<_>>(),
            ["fields.eddy_id"]
        );
        assert!(problems[0].message.contains("another name"), "{}", problems[0].message);
        assert_eq!(check(fields[..1].iter()), Ok(()));
    }

    #[test]
    fn a_member_of_predictions_is_a_column_that_holds_all_that_was_seen() {
        let cases = [
            (vec![json!("a"), json!(null)], ColumnType::Text),
            (vec![json!(1.5), json!(2)], ColumnType::Float),
            (vec![json!([1, null]), json!(2)], ColumnType::Floats),
            (vec![json!([]), json!(["a"])], ColumnType::Texts),
            (vec![json!([])], ColumnType::Texts),
            (vec![json!("a"), json!(1)], ColumnType::Text),
            (vec![json!({"a": 1})], ColumnType::Text),
        ];
        for (values, kind) in &cases {
            let shape = values.iter().map(Shape::of).fold(Shape::Unknown, Shape::and);
            assert_eq!(shape.kind(), *kind, "{values:?}");
            for value in values {
                let cell = cell(shape, Some(value));
                assert!(cell.kind().is_none_or(|found| found == *kind), "{value}");
            }
        }
    }

    #[test]
    fn without_samples_the_table_has_the_columns_of_the_event() {
        let columns = table(&Seen::default()).columns();
        assert_eq!(names(&columns)[ABOUT.len()..], ["x"]);
    }
}
