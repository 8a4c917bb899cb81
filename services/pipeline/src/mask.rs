//! Members of events whose values never leave the process: `events.mask`.
//!
//! Owns: which members those are, and a document without their values. Never does: look at any other value, or find a masked
//! member that stands at another place or under another name.
//!
//! Invariant: what comes out holds no value of a masked member, and no value that stands where it should be; a document that
//! cannot be read comes out not at all.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::decode::{EventFormat, EventSettings, FRAME, parse_pointer};
use crate::settings::Problem;

/// In a pointer, every member of an object and every element of a list.
const EVERY: &str = "*";

/// Which members are masked. Without any, everything goes out as it came.
#[derive(Debug, Clone, Default)]
pub struct Mask {
    root: Node,
    text: Text,
}

/// Where in a value the JSON stands.
#[derive(Debug, Clone, Copy, Default)]
enum Text {
    /// Nowhere: it cannot be masked in part.
    #[default]
    None,
    /// Behind so many bytes of a frame.
    Behind(usize),
}

#[derive(Debug, Clone, Default)]
struct Node {
    is_masked: bool,
    members: Vec<(String, Node)>,
    every: Option<Box<Node>>,
}

/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Masked {
    /// It has no masked member and goes out as it is.
    Untouched,
    /// Some members are `null` now.
    Changed,
    /// It must not go out at all: it is no JSON, all of it is masked, or it is no object or list as the mask expects.
    Withheld,
}

impl Node {
    fn is_empty(&self) -> bool {
        !self.is_masked && self.members.is_empty() && self.every.is_none()
    }

    fn plant(&mut self, parts: &[String]) {
        let Some((first, rest)) = parts.split_first() else {
            self.is_masked = true;
            return;
        };
        if first == EVERY {
            return self.every.get_or_insert_default().plant(rest);
        }
        let known = self.members.iter().position(|(name, _)| name == first);
        let at = known.unwrap_or_else(|| {
            self.members.push((first.clone(), Self::default()));
            self.members.len() - 1
        });
        self.members[at].1.plant(rest);
    }

    /// What is masked in a member or element.
    fn within<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        let named = self.members.iter().filter(move |(member, _)| member == name);
        named.map(|(_, node)| node).chain(self.every.as_deref())
    }

    /// Whether a list can have all the members that this is about.
    fn is_of_list(&self) -> bool {
        self.members.iter().all(|(name, _)| is_index(name))
    }

    /// Whether an object can. A name that is an index stands for an element.
    fn is_of_object(&self) -> bool {
        !self.members.iter().any(|(name, _)| is_index(name))
    }

    fn covers(&self, parts: &[String]) -> bool {
        match parts.split_first() {
            _ if self.is_masked => true,
            None => !self.is_empty(),
            Some((first, rest)) => self.within(first).any(|node| node.covers(rest)),
        }
    }
}

fn is_index(name: &str) -> bool {
    let may_begin = matches!(name.as_bytes(), [b'0'] | [b'1'..=b'9', ..]);
    may_begin && name.bytes().all(|byte| byte.is_ascii_digit())
}

impl Mask {
    /// Compiles the pointers.
    ///
    /// # Errors
    /// Pointers that are none, a format without members, and settings that would tell what is masked.
    pub fn compile(events: &EventSettings) -> Result<Self, Vec<Problem>> {
        let mut mask = Self {
            root: Node::default(),
            text: match events.format {
                EventFormat::Json => Text::Behind(0),
                EventFormat::JsonSchema => Text::Behind(FRAME),
                _ => Text::None,
            },
        };
        let mut problems = Vec::new();
        for (position, pointer) in events.mask.iter().enumerate() {
            match parse_pointer(pointer) {
                Ok(parts) => mask.root.plant(&parts),
                Err(why) => problems.push(Problem::new(format!("events.mask[{position}]"), why)),
            }
        }
        let is_in_part = events.mask.iter().any(|pointer| !pointer.is_empty());
        if is_in_part && events.format != EventFormat::Json && !events.format.has_schemas() {
            problems.push(Problem::new(
                "events.mask",
                format!(
                    "has no meaning for {} events, which have no members; remove it, or write [\"\"] to leave events out of \
                     samples and dead letters",
                    events.format.as_str()
                ),
            ));
        }
        let told = [
            ("events.id_field", &events.id_field),
            ("events.time_field", &events.time_field),
        ];
        let told = told
            .into_iter()
            .filter_map(|(key, pointer)| Some((key.to_owned(), pointer.as_ref()?)));
        let passed = events.pass_through.iter().enumerate();
        let passed = passed.map(|(position, pointer)| (format!("events.pass_through[{position}]"), pointer));
        for (key, pointer) in told.chain(passed).filter(|(_, pointer)| mask.covers(pointer)) {
            problems.push(Problem::new(
                key,
                format!(
                    "stands in every output, and {pointer:?} is masked by `events.mask`; remove it from one of the two"
                ),
            ));
        }
        if problems.is_empty() { Ok(mask) } else { Err(problems) }
    }

    /// The same with all of what stands at these pointers.
    #[must_use]
    pub fn and<'a>(mut self, pointers: impl IntoIterator<Item = &'a str>) -> Self {
        for parts in pointers.into_iter().filter_map(|pointer| parse_pointer(pointer).ok()) {
            self.root.plant(&parts);
        }
        self
    }

    /// Whether nothing is masked.
    pub fn is_empty(&self) -> bool {
        self.root.is_empty()
    }

    /// Whether a value can go out in part.
    pub fn is_in_part(&self) -> bool {
        matches!(self.text, Text::Behind(_)) && !self.root.is_masked && !self.is_empty()
    }

    /// Whether a value at this pointer is masked, in part or as a part.
    pub fn covers(&self, pointer: &str) -> bool {
        parse_pointer(pointer).is_ok_and(|parts| self.root.covers(&parts))
    }

    /// Writes a value to `out`, which is empty, with `null` for what is masked. What is in `out` counts only if that says
    /// [`Masked::Changed`].
    pub fn apply(&self, value: &[u8], out: &mut Vec<u8>) -> Masked {
        match self.text {
            _ if self.is_empty() => Masked::Untouched,
            Text::Behind(frame) if self.is_in_part() => {
                let Some((frame, document)) = value.split_at_checked(frame) else {
                    return Masked::Withheld;
                };
                match serde_json::from_slice::<&RawValue>(document) {
                    Ok(raw) if !is_of_another_shape(&[&self.root], raw) => {
                        out.extend_from_slice(frame);
                        match write(&[&self.root], raw, out) {
                            Ok(true) => Masked::Changed,
                            Ok(false) => Masked::Untouched,
                            Err(_) => Masked::Withheld,
                        }
                    }
                    _ => Masked::Withheld,
                }
            }
            _ => Masked::Withheld,
        }
    }
}

/// Whether a value cannot have the members that these nodes are about, so that they may stand in it in some other form: a
/// text instead of a person, a list instead of one.
fn is_of_another_shape(nodes: &[&Node], raw: &RawValue) -> bool {
    match raw.get().as_bytes() {
        _ if nodes.is_empty() => false,
        b"null" => false,
        [b'{', ..] => !nodes.iter().all(|node| node.is_of_object()),
        [b'[', ..] => !nodes.iter().all(|node| node.is_of_list()),
        _ => true,
    }
}

/// Writes a value in which these nodes say what is masked. Returns whether anything was.
fn write(nodes: &[&Node], raw: &RawValue, out: &mut Vec<u8>) -> serde_json::Result<bool> {
    if nodes.iter().any(|node| node.is_masked) || is_of_another_shape(nodes, raw) {
        out.extend_from_slice(b"null");
        return Ok(true);
    }
    let mut is_changed = false;
    match raw.get().as_bytes() {
        _ if nodes.is_empty() => out.extend_from_slice(raw.get().as_bytes()),
        [b'{', ..] => {
            let Members(members) = serde_json::from_str(raw.get())?;
            let mut separator = b'{';
            for (Name(name), value) in members {
                out.push(std::mem::replace(&mut separator, b','));
                serde_json::to_writer(&mut *out, &name)?;
                out.push(b':');
                is_changed |= write(&within(nodes, &name), value, out)?;
            }
            // Of an object without members, the bracket is still to come.
            out.extend_from_slice(if separator == b'{' { b"{}" } else { b"}" });
        }
        [b'[', ..] => {
            let elements: Vec<&RawValue> = serde_json::from_str(raw.get())?;
            out.push(b'[');
            for (at, element) in elements.into_iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                is_changed |= write(&within(nodes, itoa::Buffer::new().format(at)), element, out)?;
            }
            out.push(b']');
        }
        scalar => out.extend_from_slice(scalar),
    }
    Ok(is_changed)
}

fn within<'a>(nodes: &[&'a Node], name: &'a str) -> Vec<&'a Node> {
    nodes.iter().flat_map(|node| node.within(name)).collect()
}

/// A name as it stands in the document, unless it is written with escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The members of an object in their order, those with the same name too.
struct Members<'a>(Vec<(Name<'a>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfObject;
        impl<'de> Visitor<'de> for OfObject {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(OfObject)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn events(json: serde_json::Value) -> EventSettings {
        serde_json::from_value(json).expect("sound settings")
    }

    fn mask(pointers: &[&str]) -> Mask {
        Mask::compile(&events(serde_json::json!({ "mask": pointers }))).expect("it compiles")
    }

    fn masked(pointers: &[&str], document: &str) -> (Masked, String) {
        let mut out = Vec::new();
        let masked = mask(pointers).apply(document.as_bytes(), &mut out);
        (masked, String::from_utf8(out).expect("text"))
    }

    #[test]
    fn what_is_masked_is_null_and_the_rest_stays_as_it_was_written() {
        let document = r#"{ "x": 1.50, "who": {"name": "Ada", "age": 36, "tags": ["a"]}, "é\n": [1, 2] }"#;
        let expected = r#"{"x":1.50,"who":{"name":null,"age":36,"tags":["a"]},"é\n":[1, 2]}"#;
        assert_eq!(masked(&["/who/name"], document), (Masked::Changed, expected.to_owned()));
        let expected = r#"{"x":1.50,"who":null,"é\n":[1,null]}"#;
        assert_eq!(masked(&["/who", "/é\n/1"], document).1, expected);
    }

    #[test]
    fn every_member_and_every_element_can_be_meant() {
        let document = r#"{"people":[{"name":"Ada","age":36},{"age":41},7,[]],"by":{"a":{"name":"x"},"b":{}}}"#;
        // The 7 and the list stand where a person should, so who it is may stand in them.
        let expected = r#"{"people":[{"name":null,"age":36},{"age":41},null,null],"by":{"a":{"name":null},"b":{}}}"#;
        assert_eq!(masked(&["/people/*/name", "/by/*/name"], document).1, expected);
        // Both ways to one member count.
        assert_eq!(
            masked(&["/by/a/x", "/by/*/name"], document).1,
            document.replace(r#""x""#, "null")
        );
    }

    #[test]
    fn what_stands_where_something_with_masked_members_should_is_masked_whole() {
        for (pointer, document, expected) in [
            (
                "/items/*/card",
                r#"{"items":{"card":"4111"},"x":1}"#,
                r#"{"items":{"card":null},"x":1}"#,
            ),
            (
                "/items/*/card",
                r#"{"items":["4111",null]}"#,
                r#"{"items":[null,null]}"#,
            ),
            ("/person/name", r#"{"person":"Ada","x":1}"#, r#"{"person":null,"x":1}"#),
            ("/person/name", r#"{"person":true}"#, r#"{"person":null}"#),
            (
                "/person/name",
                r#"{"person":"{\"name\":\"Ada\"}"}"#,
                r#"{"person":null}"#,
            ),
            ("/person/name", r#"{"person":[{"name":"Ada"}]}"#, r#"{"person":null}"#),
            ("/v/0", r#"{"v":[7,8]}"#, r#"{"v":[null,8]}"#),
            ("/v/0", r#"{"v":7}"#, r#"{"v":null}"#),
            ("/v/", r#"{"v":[7]}"#, r#"{"v":null}"#),
            ("/v/0/x", r#"{"v":{"x":7}}"#, r#"{"v":null}"#),
        ] {
            assert_eq!(
                masked(&[pointer], document),
                (Masked::Changed, expected.to_owned()),
                "{document}"
            );
        }
        assert_eq!(masked(&["/person/name"], r#"{"person":null}"#).0, Masked::Untouched);
    }

    #[test]
    fn a_document_that_is_no_object_is_withheld_unless_the_mask_is_about_lists() {
        for document in [r#""{\"name\":\"Ada\"}""#, r#"[{"name":"Ada"}]"#, "7", "[]"] {
            assert_eq!(masked(&["/name"], document).0, Masked::Withheld, "{document}");
        }
        let expected = (Masked::Changed, r#"[{"name":null}]"#.to_owned());
        assert_eq!(masked(&["/*/name"], r#"[{"name":"Ada"}]"#), expected);
        assert_eq!(masked(&["/*/name"], "7").0, Masked::Withheld);
    }

    #[test]
    fn a_pointer_to_elements_does_not_make_a_list_of_what_another_takes_for_an_object() {
        assert_eq!(masked(&["/name", "/*/ssn"], r#"[{"name":"Ada"}]"#).0, Masked::Withheld);
        assert_eq!(masked(&["/v/name", "/v/0"], r#"{"v":["Ada","Bo"]}"#).1, r#"{"v":null}"#);
    }

    /// Every scalar of a document but null, as it is written.
    fn scalars(document: &serde_json::Value, found: &mut Vec<String>) {
        match document {
            serde_json::Value::Array(elements) => elements.iter().for_each(|element| scalars(element, found)),
            serde_json::Value::Object(members) => members.values().for_each(|member| scalars(member, found)),
            serde_json::Value::Null => {}
            scalar => found.push(scalar.to_string()),
        }
    }

    /// Small documents whose scalars are all different, so that each can be told.
    fn documents() -> impl Strategy<Value = serde_json::Value> {
        let leaf = (0u32..1_000_000).prop_map(serde_json::Value::from);
        leaf.prop_recursive(3, 24, 3, |inner| {
            let name = prop_oneof!["[ab]", "[01]"];
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(serde_json::Value::from),
                proptest::collection::btree_map(name, inner, 0..3)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn revealed(pointers: &[String], document: &serde_json::Value) -> Vec<String> {
        let pointers: Vec<&str> = pointers.iter().map(String::as_str).collect();
        let mut found = Vec::new();
        match masked(&pointers, &document.to_string()) {
            (Masked::Untouched, _) => scalars(document, &mut found),
            (Masked::Changed, text) => scalars(&serde_json::from_str(&text).expect("it is JSON"), &mut found),
            (Masked::Withheld, _) => {}
        }
        found
    }

    proptest! {
        #[test]
        fn another_pointer_never_reveals_more(
            document in documents(),
            pointers in proptest::collection::vec("(/[ab01*]){1,3}", 1..4),
            another in "(/[ab01*]){1,3}",
        ) {
            let before = revealed(&pointers, &document);
            let more: Vec<String> = pointers.into_iter().chain([another]).collect();
            for scalar in revealed(&more, &document) {
                prop_assert!(before.contains(&scalar), "{scalar} of {document}");
            }
        }
    }

    #[test]
    fn all_members_of_one_name_are_masked_however_it_is_written() {
        let document = r#"{"name":"Ada","n\u0061me":"Grace"}"#;
        assert_eq!(masked(&["/name"], document).1, r#"{"name":null,"name":null}"#);
        assert_eq!(
            masked(&["/a~1b/m~0n"], r#"{"a/b":{"m~n":1}}"#).1,
            r#"{"a/b":{"m~n":null}}"#
        );
    }

    #[test]
    fn a_document_without_them_is_untouched() {
        assert_eq!(
            masked(&["/name", "/a/b"], r#"{"a":{"c":1},"x":{"name":2}}"#).0,
            Masked::Untouched
        );
        assert_eq!(mask(&[]).apply(b"no json", &mut Vec::new()), Masked::Untouched);
    }

    #[test]
    fn what_cannot_be_read_is_withheld() {
        for document in ["", "{", r#"{"name":"Ada"} x"#, "\u{feff}{}", r#"{"name":}"#] {
            assert_eq!(masked(&["/name"], document).0, Masked::Withheld, "{document}");
        }
        assert_eq!(
            mask(&["/name"]).apply(b"{\"name\":\"\xff\"}", &mut Vec::new()),
            Masked::Withheld
        );
        assert_eq!(masked(&[""], "{}").0, Masked::Withheld);
    }

    #[test]
    fn a_frame_stays_and_binary_events_are_withheld_whole() {
        let framed = events(serde_json::json!({ "format": "json_schema", "mask": ["/name"] }));
        let framed = Mask::compile(&framed).expect("it compiles");
        let mut out = Vec::new();
        assert_eq!(framed.apply(b"\0\0\0\0\x07{\"name\":1}", &mut out), Masked::Changed);
        assert_eq!(out, b"\0\0\0\0\x07{\"name\":null}");
        assert_eq!(framed.apply(b"\0\0\0", &mut Vec::new()), Masked::Withheld);
        let avro = events(serde_json::json!({ "format": "avro", "mask": ["/name"] }));
        let avro = Mask::compile(&avro).expect("it compiles");
        assert_eq!(avro.apply(b"{}", &mut Vec::new()), Masked::Withheld);
    }

    #[test]
    fn a_field_is_covered_with_its_parts_and_as_a_part() {
        let mask = mask(&["/who/name", "/v/0", "/l/*/x"]);
        for covered in ["/who", "/who/name", "/who/name/first", "/v", "/v/0", "/l/3/x"] {
            assert!(mask.covers(covered), "{covered}");
        }
        for open in ["/who/age", "/v/1", "/name", "/l/3/y"] {
            assert!(!mask.covers(open), "{open}");
        }
    }

    #[test]
    fn settings_that_would_tell_what_is_masked_are_problems() {
        let keys = |json| {
            let problems = Mask::compile(&events(json)).expect_err("a problem");
            problems.into_iter().map(|problem| problem.key).collect::<Vec<_>>()
        };
        let told = serde_json::json!({
            "mask": ["/who"], "id_field": "/who/id", "time_field": "/at", "pass_through": ["/x", "/who/name"],
        });
        assert_eq!(keys(told), ["events.id_field", "events.pass_through[1]"]);
        assert_eq!(keys(serde_json::json!({ "mask": ["/a", "name"] })), ["events.mask[1]"]);
        assert_eq!(
            keys(serde_json::json!({ "format": "raw", "mask": ["/a"] })),
            ["events.mask"]
        );
        assert!(Mask::compile(&events(serde_json::json!({ "format": "image", "mask": [""] }))).is_ok());
    }
}
