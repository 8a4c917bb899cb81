//! Whatever stands in the file and in the environment is read or refused with a reason, never a panic.

use eddy::file;
use eddy::settings::Source;
use proptest::prelude::*;

const EXAMPLE: &str = include_str!("../../../config/digits/pipeline.toml");

fn is_read_or_refused_with_a_reason(text: &str, variables: Vec<(String, String)>) {
    let source = Source {
        name: "pipeline.toml",
        text,
    };
    if let Err(problems) = file::read(source, variables) {
        assert!(
            !problems.is_empty() && !problems.to_string().is_empty(),
            "refused without a reason: {text}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn property_any_text_is_read_or_refused_with_a_reason(text in "\\PC{0,200}") {
        is_read_or_refused_with_a_reason(&text, Vec::new());
    }

    #[test]
    fn property_a_damaged_file_is_read_or_refused_with_a_reason(
        from in 0..EXAMPLE.chars().count(), length in 0..40usize, instead in "[\\[\\]{}=\"'\\n.,#a-z0-9 äß-]{0,6}",
    ) {
        let before = EXAMPLE.chars().take(from);
        let after = EXAMPLE.chars().skip(from + length);
        let text: String = before.chain(instead.chars()).chain(after).collect();
        is_read_or_refused_with_a_reason(&text, Vec::new());
    }

    #[test]
    fn property_any_variable_is_taken_or_refused_with_a_reason(
        section in prop::sample::select(vec!["KAFKA", "MODELS", "FIELDS", "SELECT", "FORMAT", ""]),
        rest in "(__[A-Z0-9_]{0,8}){0,3}", value in "[\\[\\]{}=\"a-z0-9.,: -]{0,12}",
    ) {
        is_read_or_refused_with_a_reason(EXAMPLE, vec![(format!("EDDY__{section}{rest}"), value)]);
    }
}

#[test]
fn a_deep_file_is_refused_before_the_stack_ends() {
    for (open, close) in [("[", "]"), ("{a=", "}")] {
        let text = format!("{EXAMPLE}\ndeep = {}1{}", open.repeat(20_000), close.repeat(20_000));
        is_read_or_refused_with_a_reason(&text, Vec::new());
        let value = format!("{}1{}", open.repeat(20_000), close.repeat(20_000));
        is_read_or_refused_with_a_reason(EXAMPLE, vec![("EDDY__MODELS".to_owned(), value)]);
    }
    let name = format!("EDDY__FIELDS{}", "__A".repeat(10_000));
    is_read_or_refused_with_a_reason(EXAMPLE, vec![(name, "1".to_owned())]);
    let name = format!("EDDY__KAFKA__PROPERTIES{}", "__A".repeat(10_000));
    is_read_or_refused_with_a_reason(EXAMPLE, vec![(name, "1".to_owned())]);
}
