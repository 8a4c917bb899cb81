//! Files that would do harm. Why each is refused was written down by the script that made it.

mod common;

use std::collections::BTreeMap;

use common::{fixtures, load, settings};
use eddy_model::Error;
use eddy_model::scan::{Limits, scan};

fn hostile() -> BTreeMap<String, Option<String>> {
    let text = std::fs::read_to_string(fixtures().join("hostile/expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn every_hostile_file_is_refused_for_its_own_reason_before_the_runtime_sees_it() {
    let mut count = 0;
    for (name, reason) in hostile() {
        let bytes = std::fs::read(fixtures().join(format!("hostile/{name}.onnx"))).unwrap();
        let found = scan(&bytes, &Limits::default())
            .err()
            .map(|refusal| refusal.reason.as_str());
        assert_eq!(found, reason.as_deref(), "{name}");
        if reason.is_none() {
            continue;
        }
        let error = load(&settings(format!("{name}.onnx")), &fixtures().join("hostile")).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Refused { .. }), "{name}: {text}");
        assert!(
            text.contains(&format!("hostile/{name}.onnx")) && !text.contains('\n'),
            "{text}"
        );
        count += 1;
    }
    assert!(count >= 14, "only {count} were found");
}
