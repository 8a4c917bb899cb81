//! Any bytes as a model file: looked through, rewritten, looked through again.
#![no_main]

use eddy_model::scan::{Limits, check_that_a_rewritten_model_passes, scan};
use eddy_pipeline::settings::Bytes;
use libfuzzer_sys::fuzz_target;

/// So narrow that a small file reaches them.
const NARROW: Limits = Limits {
    nodes: 6,
    tensors: 3,
    tensor_bytes: Bytes::kib(1),
    depth: 2,
};

fuzz_target!(|model: &[u8]| {
    let wide = Limits::default();
    let narrow = scan(model, &NARROW);
    match scan(model, &wide) {
        Ok(found) => {
            assert!(found.tensors <= wide.tensors && found.nodes <= wide.nodes);
            if let Ok(narrowly) = narrow {
                assert_eq!(
                    found, narrowly,
                    "limits change whether a file passes, not what is found"
                );
            }
        }
        Err(refusal) => {
            assert!(narrow.is_err(), "what wide limits refuse, narrow ones refuse as well");
            let text = refusal.to_string();
            assert!(
                (10..1500).contains(&text.len()) && !text.contains(char::is_control),
                "{text}"
            );
        }
    }
    check_that_a_rewritten_model_passes(model, &wide);
    check_that_a_rewritten_model_passes(model, &NARROW);
});
