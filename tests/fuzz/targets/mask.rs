//! Members that are masked: what comes out of a JSON event is what comes out of a tree of it, of which every value below a
//! pointer was taken away, and every value that stands where something with such members should.
#![no_main]

use eddy_fuzz::allow_caught_panics;
use eddy_pipeline::decode::EventSettings;
use eddy_pipeline::mask::{Mask, Masked};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

/// Masks; each pointer is the list of its parts.
const MASKS: [&[&[&str]]; 5] = [
    &[&["a"]],
    &[&["a", "*", "b"], &["b", "0"]],
    &[&["*", "a"], &["a", "b"]],
    &[&["a", "*", "*"], &["a", "1", "a"], &["b"]],
    &[&["0"], &["*", "*"]],
];

thread_local! {
    static COMPILED: Vec<Mask> = MASKS.iter().map(|pointers| compile(pointers)).collect();
}

fn compile(pointers: &[&[&str]]) -> Mask {
    let pointers: Vec<String> = pointers.iter().map(|parts| format!("/{}", parts.join("/"))).collect();
    let events: EventSettings =
        serde_json::from_value(json!({ "mask": pointers })).expect("the target's settings are sound");
    Mask::compile(&events).expect("the target's pointers are sound")
}

fn is_index(part: &str) -> bool {
    part.parse::<usize>().is_ok()
}

/// Whether members of these names can stand in such a value at all.
fn fits(value: &Value, rests: &[&[&str]]) -> bool {
    let mut named = rests.iter().map(|rest| rest[0]).filter(|first| *first != "*");
    match value {
        Value::Null => true,
        Value::Object(_) => !named.any(is_index),
        Value::Array(_) => named.all(is_index),
        _ => rests.is_empty(),
    }
}

fn hide(value: &mut Value, rests: &[&[&str]]) {
    if rests.iter().any(|rest| rest.is_empty()) || !fits(value, rests) {
        *value = Value::Null;
        return;
    }
    let below = |name: &str| -> Vec<&[&str]> {
        let leads = rests.iter().filter(|rest| rest[0] == name || rest[0] == "*");
        leads.map(|rest| &rest[1..]).collect()
    };
    match value {
        Value::Object(members) => members.iter_mut().for_each(|(name, member)| hide(member, &below(name))),
        Value::Array(elements) => {
            let elements = elements.iter_mut().enumerate();
            elements.for_each(|(at, element)| hide(element, &below(&at.to_string())));
        }
        _ => {}
    }
}

fuzz_target!(init: allow_caught_panics(), |bytes: &[u8]| {
    // A tree has its own limits, of depth and of numbers: what it does not take is only not to end the process.
    let tree = serde_json::from_slice::<Value>(bytes).ok();
    COMPILED.with(|masks| {
        for (mask, pointers) in masks.iter().zip(MASKS) {
            let mut out = Vec::new();
            let masked = mask.apply(bytes, &mut out);
            let Some(tree) = &tree else { continue };
            let mut expected = tree.clone();
            hide(&mut expected, pointers);
            match masked {
                Masked::Untouched => assert_eq!(tree, &expected, "{pointers:?}"),
                Masked::Withheld => assert!(!fits(tree, pointers), "{pointers:?} withheld {tree}"),
                Masked::Changed => {
                    let out: Value = serde_json::from_slice(&out).expect("what comes out is JSON");
                    assert!(fits(tree, pointers) && out == expected, "{pointers:?}: {out} of {tree}");
                }
            }
        }
    });
});
