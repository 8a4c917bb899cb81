//! The client and a real registry.

use eddy_broker::registry::SchemaRegistry;
use eddy_pipeline::decode::{Found, SchemaKind, Schemas as _};
use eddy_tests::registry::Apicurio;
use eddy_tests::service::wait_for;
use serde_json::json;

use crate::client::settings;

#[test]
fn a_real_registry_takes_schemas_gives_them_by_number_and_says_which_it_does_not_have() {
    let url = Apicurio::shared().url();
    let client = SchemaRegistry::start(settings(json!({ "url": url }))).expect("there is a thread");
    let schemas = [
        (
            SchemaKind::Avro,
            r#"{"type":"record","name":"A","fields":[{"name":"x","type":"int"}]}"#,
        ),
        (
            SchemaKind::Protobuf,
            "syntax = \"proto3\";\nmessage A {\n  int32 x = 1;\n}\n",
        ),
        (
            SchemaKind::Json,
            r#"{"type":"object","properties":{"x":{"type":"integer"}}}"#,
        ),
    ];
    for (kind, text) in schemas {
        let subject = format!("real/{}-value", kind.as_str());
        let missing = client
            .number(&subject, kind, text, false)
            .expect_err("it is not there yet");
        assert!(missing.sentence.contains("has none"), "{missing}");
        let id = client.number(&subject, kind, text, true).expect("it is taken");
        assert_eq!(client.number(&subject, kind, text, false).expect("it is there"), id);
        let found = wait_for("the schema", || match client.find(id) {
            Found::Known(schema) => Some(schema),
            Found::Unknown => panic!("schema {id} was registered"),
            Found::Awaited(_) => None,
        });
        assert_eq!((found.id, found.kind), (id, kind));
        assert!(found.text.contains('x'), "{}", found.text);
        assert_eq!(client.latest(&subject).expect("it is there").schema, *found);
    }
    wait_for("word that there is none", || {
        (client.find(u32::MAX >> 1) == Found::Unknown).then_some(())
    });
}
