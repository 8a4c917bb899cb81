//! The pipeline file with the environment laid over it: it is read, or every mistake is a line with its place.
//!
//! An input is a file; what follows the line `#env` is a variable a line, `EDDY__KAFKA__BROKERS=…`. Both are TOML to the
//! eye, so that the corpus can be read.
#![no_main]

use eddy::file;
use eddy::settings::Source;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let (text, environment) = input.split_once("\n#env\n").unwrap_or((input, ""));
    let variables: Vec<(String, String)> = environment
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let name = "pipeline.toml";
    match file::read(Source { name, text }, variables) {
        Ok(loaded) => again(&loaded.settings),
        Err(problems) => {
            assert!(!problems.is_empty(), "it was refused without a reason");
            for line in problems.to_string().lines() {
                let is_placed = ["pipeline.toml:", "environment variable ", "    "];
                assert!(
                    is_placed.iter().any(|start| line.starts_with(start)),
                    "no place: {line:?}"
                );
            }
        }
    }
});

/// Settings that were read can be written down, and mean the same when they are read again.
fn again(settings: &file::PipelineFile) {
    let Ok(text) = toml::to_string(settings) else { return };
    let name = "again.toml";
    let again = file::read(Source { name, text: &text }, []);
    match again {
        Ok(loaded) => assert_eq!(format!("{:?}", loaded.settings), format!("{settings:?}"), "{text}"),
        Err(problems) => panic!("settings were read and cannot be read again: {problems}\n{text}"),
    }
}
