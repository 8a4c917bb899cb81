//! What a field can be read from, judged by the type that a schema gives it and not by a value.
//!
//! Invariant: agrees with what a [`Row`](super::Row) does with values of these sorts, but for single values that break a
//! rule: a word among texts that is no number, a fraction for an integer.

use super::rule::{ElementRule, Field, Kind};
use crate::decode::Sort;

impl Field {
    /// Whether values of this sort can be read, one by one.
    pub(crate) fn reads(&self, sort: Sort) -> bool {
        match &self.kind {
            Kind::Float(rule) => reads_number(sort, rule.parse_strings, rule.zero_one),
            Kind::Integer(rule) => reads_number(sort, rule.parse_strings, rule.zero_one),
            Kind::Boolean(rule) => match sort {
                Sort::Boolean => true,
                Sort::Integer | Sort::Float | Sort::Decimal | Sort::Time | Sort::TimeOfDay => rule.zero_one,
                Sort::Text => rule.parse_strings,
                _ => false,
            },
            Kind::Category(_) => !matches!(sort, Sort::Null | Sort::Boolean | Sort::Float | Sort::Bytes),
            Kind::Text(_) => matches!(
                sort,
                Sort::Text | Sort::Time | Sort::TimeOfDay | Sort::Decimal | Sort::Uuid
            ),
            Kind::Timestamp(rule) => match sort {
                Sort::Text | Sort::Time => true,
                Sort::Integer | Sort::Float | Sort::Decimal => rule.reader.unit.is_some(),
                _ => false,
            },
            Kind::Image(_) => matches!(sort, Sort::Bytes | Sort::Text),
            Kind::Vector(_) => false,
        }
    }

    /// Whether it takes lists of values of this sort.
    pub(crate) fn reads_elements(&self, sort: Sort) -> bool {
        match &self.kind {
            Kind::Vector(rule) => match &rule.elements {
                ElementRule::Float(rule) => reads_number(sort, rule.parse_strings, rule.zero_one),
                ElementRule::Integer(rule) => reads_number(sort, rule.parse_strings, rule.zero_one),
            },
            _ => false,
        }
    }
}

fn reads_number(sort: Sort, parse_strings: bool, zero_one: bool) -> bool {
    match sort {
        Sort::Integer | Sort::Float | Sort::Decimal | Sort::Time | Sort::TimeOfDay => true,
        Sort::Text => parse_strings,
        Sort::Boolean => zero_one,
        Sort::Null | Sort::Bytes | Sort::Uuid => false,
    }
}
