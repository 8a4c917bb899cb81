//! Whatever a table holds.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn property_whatever_a_table_holds_its_plan_reads_back_and_takes_every_row(
        names in prop::collection::hash_set("\\PC{1,6}", 7),
        rows in prop::collection::vec(
            (
                prop::option::of(any::<f64>()),
                prop::option::of("[a-c]"),
                prop::option::of(any::<i32>()),
                prop::option::of(any::<bool>()),
                prop::option::of(any::<[i16; 2]>()),
                prop::option::of(any::<[f64; 2]>()),
            ),
            1..30,
        ),
        dtype in prop::sample::select(vec![DType::Float32, DType::Float64, DType::Float16, DType::Int64, DType::Int32, DType::String]),
    ) {
        let names: Vec<String> = names.into_iter().collect();
        let mut text = String::new();
        for (x, word, n, b, whole, vector) in rows {
            let row = serde_json::json!({
                &names[0]: x, &names[1]: word, &names[2]: n, &names[3]: b, &names[4]: whole, &names[5]: { &names[0]: n }, &names[6]: vector,
            });
            writeln!(text, "{row}").unwrap();
        }
        let data = data("t.jsonl", &text);
        let mut open = spec("x", dtype, &[1]);
        open.row_shape = vec![None];
        let facts = model(vec![open], probabilities(2));
        // Columns that hold nothing, or nothing of the input's type, may leave nothing to feed the model with.
        if plan(&survey(&data.set), &facts).is_ok() {
            planned(&data.set, &facts);
        }
    }
}
