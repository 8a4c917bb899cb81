//! From settings to rules: a closed set of kinds, each with what it needs and nothing else.
//!
//! Owns: which settings fit which type of field, and the values that stand in for missing ones.

use super::category::{CategoryRule, TextRule};
use super::image::{LOOKS, Picture};
use super::number::{FloatRule, IntegerRule};
use super::settings::{DefaultValue, Element, FieldSettings, FieldType, NullRule, Scalar};
use super::store::Target;
use super::timestamp::{TimeReader, TimeRule};
use super::words::Place;
use crate::rejection::Rejection;
use crate::settings::Problem;

/// A compiled field.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// JSON pointer; for messages, and for the JSON format to find it.
    pub(crate) pointer: String,
    pub(crate) kind: Kind,
    pub(crate) null: NullRule,
    /// `None`: required.
    pub(crate) default: Option<Fill>,
    pub(crate) targets: Vec<Target>,
    /// Whether no value of it may be told.
    pub(crate) is_masked: bool,
}

impl Field {
    /// Where its value stands, for messages.
    #[inline]
    pub(crate) fn place(&self) -> Place<'_> {
        Place {
            is_masked: self.is_masked,
            ..Place::field(&self.name)
        }
    }

    /// Where one of its elements stands.
    #[inline]
    pub(crate) fn element(&self, at: usize) -> Place<'_> {
        Place {
            element: Some(at),
            ..self.place()
        }
    }
}

/// What a field holds, with its rules.
#[derive(Debug)]
pub(crate) enum Kind {
    Float(FloatRule),
    Integer(IntegerRule),
    Boolean(BooleanRule),
    Category(CategoryRule),
    Text(TextRule),
    Timestamp(TimeRule),
    Vector(VectorRule),
    Image(Box<Picture>),
}

/// What a boolean must be like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BooleanRule {
    pub(crate) parse_strings: bool,
    pub(crate) zero_one: bool,
}

/// What a vector must be like.
#[derive(Debug)]
pub(crate) struct VectorRule {
    pub(crate) length: usize,
    pub(crate) elements: ElementRule,
}

/// What each element of a vector must be like.
#[derive(Debug)]
pub(crate) enum ElementRule {
    Float(FloatRule),
    Integer(IntegerRule),
}

/// What stands in for a missing value, checked when the plan is compiled.
#[derive(Debug, Clone)]
pub(crate) enum Fill {
    Float(f64),
    Integer(i64),
    Boolean(bool),
    /// A word with its index.
    Category(String, i64),
    Text(String),
    TimeUs(i64),
    Floats(Vec<f64>),
    Integers(Vec<i64>),
}

impl Field {
    /// Compiles one field. `image` stands in for the image settings that the field does not have itself.
    pub(crate) fn compile(
        name: &str,
        settings: &FieldSettings,
        image: Option<&super::image::ImageSettings>,
        pixels: u64,
        problems: &mut Vec<Problem>,
    ) -> Option<Self> {
        let before = problems.len();
        let key = format!("fields.{name}");
        refuse_misplaced(&key, settings, problems);
        let kind = compile_kind(&key, settings, image, pixels, problems)?;
        let default = settings.default.as_ref().and_then(|value| {
            Fill::compile(name, &kind, value)
                .map_err(|why| problems.push(Problem::new(format!("{key}.default"), why)))
                .ok()
        });
        match (settings.required, &settings.default) {
            (Some(true), Some(_)) => problems.push(Problem::new(
                format!("{key}.required"),
                "a required field has no use for a `default`; remove one of the two",
            )),
            (Some(false), None) => problems.push(Problem::new(
                format!("{key}.required"),
                "a field that may be missing needs a `default` to stand in for it, such as \"nan\" or 0; add one",
            )),
            _ => {}
        }
        (problems.len() == before).then(|| Self {
            name: name.to_owned(),
            pointer: settings.pointer_or_default(name).into_owned(),
            kind,
            null: settings.null,
            default,
            targets: Vec::new(),
            is_masked: false,
        })
    }

    /// Columns that the field fills.
    pub(crate) fn width(&self) -> usize {
        match &self.kind {
            Kind::Timestamp(rule) => rule.parts.len(),
            Kind::Vector(rule) => rule.length,
            Kind::Image(picture) => picture.elements(),
            _ => 1,
        }
    }

    /// How many features it gives.
    pub(crate) fn features(&self) -> usize {
        match &self.kind {
            Kind::Image(_) => LOOKS.len(),
            _ => self.width(),
        }
    }

    /// The word of its type.
    pub(crate) fn type_name(&self) -> &'static str {
        match &self.kind {
            Kind::Float(_) => "float",
            Kind::Integer(_) => "integer",
            Kind::Boolean(_) => "boolean",
            Kind::Category(_) => "category",
            Kind::Text(_) => "string",
            Kind::Timestamp(_) => "timestamp",
            Kind::Vector(_) => "vector",
            Kind::Image(_) => "image",
        }
    }
}

fn compile_kind(
    key: &str,
    settings: &FieldSettings,
    image: Option<&super::image::ImageSettings>,
    pixels: u64,
    problems: &mut Vec<Problem>,
) -> Option<Kind> {
    Some(match settings.kind {
        FieldType::Float => Kind::Float(FloatRule::compile(key, settings, problems)),
        FieldType::Integer => Kind::Integer(IntegerRule::compile(key, settings, problems)),
        FieldType::Boolean => Kind::Boolean(BooleanRule {
            parse_strings: settings.parse_strings,
            zero_one: settings.zero_one,
        }),
        FieldType::Category => Kind::Category(CategoryRule::compile(key, settings, problems)),
        FieldType::String => Kind::Text(TextRule::compile(key, settings, problems)),
        FieldType::Timestamp => Kind::Timestamp(TimeRule::compile(key, settings, problems)),
        FieldType::Vector => {
            let length = settings.length.filter(|length| *length > 0);
            let Some(length) = length else {
                problems.push(Problem::new(
                    format!("{key}.length"),
                    "a vector needs its number of elements, at least 1; write `length = …`",
                ));
                return None;
            };
            let elements = match settings.elements {
                Element::Float => ElementRule::Float(FloatRule::compile(key, settings, problems)),
                Element::Integer => ElementRule::Integer(IntegerRule::compile(key, settings, problems)),
            };
            Kind::Vector(VectorRule { length, elements })
        }
        FieldType::Image => {
            let Some(image) = settings.image.as_ref().or(image) else {
                problems.push(Problem::new(
                    format!("{key}.image"),
                    "an image needs its size; write `image = { width = …, height = … }`",
                ));
                return None;
            };
            let found = image.check(&format!("{key}.image"));
            if !found.is_empty() {
                problems.extend(found);
                return None;
            }
            Kind::Image(Box::new(Picture::new(image, pixels)))
        }
    })
}

/// A setting that is there although the type of the field has no use for it misleads its reader.
fn refuse_misplaced(key: &str, settings: &FieldSettings, problems: &mut Vec<Problem>) {
    use FieldType::{Boolean, Category, Float, Image, Integer, String, Timestamp, Vector};
    let plain = FieldSettings::default();
    let integers = settings.elements == Element::Integer;
    let said: [(&str, bool, &[FieldType]); 15] = [
        ("min", settings.min.is_some(), &[Float, Integer, Vector]),
        ("max", settings.max.is_some(), &[Float, Integer, Vector]),
        (
            "out_of_range",
            settings.out_of_range != plain.out_of_range,
            &[Float, Integer, Vector],
        ),
        (
            "non_finite",
            settings.non_finite != plain.non_finite,
            if integers { &[Float] } else { &[Float, Vector] },
        ),
        ("allowed", settings.allowed.is_some(), &[Float, Integer, String]),
        (
            "parse_strings",
            settings.parse_strings,
            &[Float, Integer, Boolean, Timestamp, Vector],
        ),
        ("zero_one", settings.zero_one, &[Float, Integer, Boolean, Vector]),
        ("categories", settings.categories.is_some(), &[Category]),
        ("other", settings.other.is_some(), &[Category]),
        ("unit", settings.unit.is_some(), &[Timestamp]),
        ("parts", settings.parts.is_some(), &[Timestamp]),
        ("length", settings.length.is_some(), &[Vector]),
        ("elements", integers, &[Vector]),
        ("image", settings.image.is_some(), &[Image]),
        (
            "default",
            settings.default.is_some(),
            &[Float, Integer, Boolean, Category, String, Timestamp, Vector],
        ),
    ];
    for (name, present, types) in said {
        if present && !types.contains(&settings.kind) {
            let types: Vec<&str> = types.iter().map(|kind| kind.as_str()).collect();
            problems.push(Problem::new(
                format!("{key}.{name}"),
                format!(
                    "has no meaning for a field of type {}; it is for {}",
                    settings.kind.as_str(),
                    types.join(", ")
                ),
            ));
        }
    }
}

impl Fill {
    fn compile(name: &str, kind: &Kind, value: &DefaultValue) -> Result<Self, String> {
        let place = Place::field(name);
        let scalar = match (value, kind) {
            (DefaultValue::Many(list), Kind::Vector(rule)) => return Self::vector(name, rule, list),
            (DefaultValue::Many(_), _) => return Err("a list can only stand in for a vector; write one value".into()),
            (DefaultValue::One(scalar), _) => scalar,
        };
        let mended = |rejection: Rejection| format!("breaks the field's own rules: {}", rejection.detail);
        match (kind, scalar) {
            (Kind::Float(rule), _) => match number(scalar) {
                Some(x) if x.is_finite() => rule.admit(place, x).map(Self::Float).map_err(mended),
                Some(x) => Ok(Self::Float(x)),
                None => Err(unfit(scalar, "a number, \"nan\", \"inf\" or \"-inf\"")),
            },
            (Kind::Vector(rule), _) => match number(scalar) {
                Some(x) => Self::vector(name, rule, &vec![x; rule.length]),
                None => Err(unfit(scalar, "a number, \"nan\" or a list of numbers")),
            },
            (Kind::Integer(rule), Scalar::Integer(i)) => rule.admit(place, *i).map(Self::Integer).map_err(mended),
            (Kind::Boolean(_), Scalar::Boolean(b)) => Ok(Self::Boolean(*b)),
            (Kind::Category(rule), Scalar::Text(text)) => rule
                .admit(place, text)
                .map(|index| Self::Category(text.clone(), index))
                .map_err(mended),
            (Kind::Text(rule), Scalar::Text(text)) => rule
                .admit(place, text)
                .map(|()| Self::Text(text.clone()))
                .map_err(mended),
            (Kind::Timestamp(TimeRule { reader, .. }), _) => Self::time(place, *reader, scalar).map_err(mended),
            (Kind::Integer(_), _) => Err(unfit(scalar, "a whole number")),
            (Kind::Boolean(_), _) => Err(unfit(scalar, "true or false")),
            (Kind::Category(_) | Kind::Text(_), _) => Err(unfit(scalar, "a text in quotes")),
            (Kind::Image(_), _) => Err("nothing can stand in for an image; remove the default".into()),
        }
    }

    fn time(place: Place<'_>, reader: TimeReader, scalar: &Scalar) -> Result<Self, Rejection> {
        let us = match scalar {
            Scalar::Text(text) => reader.read_text(place, text),
            Scalar::Integer(i) => reader.read_integer(place, *i),
            Scalar::Float(x) => reader.read_float(place, *x),
            Scalar::Boolean(b) => Err(place.wrong_type(b, "a time")),
        };
        us.map(Self::TimeUs)
    }

    fn vector(name: &str, rule: &VectorRule, list: &[f64]) -> Result<Self, String> {
        if list.len() != rule.length {
            return Err(format!(
                "has {} elements for a vector of length {}; write one number or as many as the length",
                list.len(),
                rule.length
            ));
        }
        let each = list.iter().enumerate();
        let filled = match &rule.elements {
            ElementRule::Float(rule) => each
                .map(|(i, x)| {
                    if x.is_finite() {
                        rule.admit(Place::element(name, i), *x)
                    } else {
                        Ok(*x)
                    }
                })
                .collect::<Result<_, _>>()
                .map(Self::Floats),
            ElementRule::Integer(rule) => each
                .map(|(i, x)| rule.read_float(Place::element(name, i), *x))
                .collect::<Result<_, _>>()
                .map(Self::Integers),
        };
        filled.map_err(|rejection| format!("breaks the field's own rules: {}", rejection.detail))
    }
}

fn number(scalar: &Scalar) -> Option<f64> {
    match scalar {
        Scalar::Float(x) => Some(*x),
        Scalar::Integer(i) => Some(*i as f64),
        Scalar::Text(text) => match text.as_str() {
            "nan" | "NaN" => Some(f64::NAN),
            "inf" | "Infinity" => Some(f64::INFINITY),
            "-inf" | "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        Scalar::Boolean(_) => None,
    }
}

fn unfit(scalar: &Scalar, wanted: &str) -> String {
    format!("{scalar} is not a value of this field; write {wanted}")
}
