//! The corpus of the fuzz target `pipeline_file` begins where the code is by now: what no seed has, fuzzing hardly finds.

use std::collections::BTreeSet;
use std::path::Path;

use eddy::file;
use eddy::settings::Source;
use serde_json::Value;

/// What `tests/fuzz/run` cuts inputs to.
const LONGEST: usize = 4096;

/// Names of all properties in a JSON schema.
fn keys_of_schema(schema: &Value, keys: &mut BTreeSet<String>) {
    match schema {
        Value::Object(members) => {
            for (key, value) in members {
                match value {
                    Value::Object(properties) if key == "properties" => {
                        keys.extend(properties.keys().cloned());
                        properties.values().for_each(|property| keys_of_schema(property, keys));
                    }
                    value => keys_of_schema(value, keys),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keys_of_schema(item, keys)),
        _ => {}
    }
}

fn keys_of_seed(value: &toml::Value, keys: &mut BTreeSet<String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                keys.insert(key.clone());
                keys_of_seed(value, keys);
            }
        }
        toml::Value::Array(items) => items.iter().for_each(|item| keys_of_seed(item, keys)),
        _ => {}
    }
}

#[test]
fn every_key_of_the_pipeline_file_is_in_a_seed_that_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus/pipeline_file");
    let mut seeded = BTreeSet::new();
    for entry in std::fs::read_dir(folder).expect("the corpus is there") {
        let Ok(seed) = std::fs::read_to_string(entry.expect("an entry").path()) else {
            continue;
        };
        let text = seed.split("\n#env\n").next().unwrap_or_default();
        let name = "pipeline.toml";
        if seed.len() <= LONGEST && file::read(Source { name, text }, []).is_ok() {
            keys_of_seed(&toml::from_str(text).expect("it was read"), &mut seeded);
        }
    }
    let schema = serde_json::from_str(&file::schema()).expect("the schema is JSON");
    let mut keys = BTreeSet::new();
    keys_of_schema(&schema, &mut keys);
    assert!(keys.contains("brokers"), "{keys:?}");
    let missing: Vec<_> = keys.difference(&seeded).collect();
    assert!(
        missing.is_empty(),
        "write these into a seed, such as `everything`: {missing:?}"
    );
}
