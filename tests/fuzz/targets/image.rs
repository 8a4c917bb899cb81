//! Image events: encoded pictures to tensors, in every way of resizing, within the limit on pixels.
#![no_main]

use std::cell::RefCell;

use eddy_fuzz::{Rig, allow_caught_panics};
use eddy_pipeline::tensor::{Buffer, DType};
use libfuzzer_sys::fuzz_target;

/// The largest picture, small enough that thousands are decoded a second.
const PIXELS: u64 = 4096;

thread_local! {
    static RIGS: RefCell<Vec<Rig>> = RefCell::new(rigs());
}

fn rigs() -> Vec<Rig> {
    let ways = [
        r#"resize = "exact", channels = "rgb", layout = "chw", filter = "bicubic""#,
        r#"resize = "shorter-side", shorter_side = 9, channels = "bgr", layout = "hwc", filter = "bilinear""#,
        r#"resize = "none", channels = "grey", filter = "nearest", orientation = "ignore""#,
        r#"resize = "shorter-side", channels = "grey", filter = "lanczos""#,
    ];
    ways.map(|way| {
        let channels = if way.contains("grey") { 1 } else { 3 };
        let file = format!(
            r#"
            [events]
            format = "image"
            [limits]
            pixels = {PIXELS}
            [fields.image]
            type = "image"
            image = {{ width = 7, height = 5, {way} }}
            "#
        );
        Rig::new(&file, &[("x", DType::Float32, &["image"], channels * 7 * 5)])
    })
    .into_iter()
    .collect()
}

fuzz_target!(init: allow_caught_panics(), |bytes: &[u8]| {
    RIGS.with_borrow_mut(|rigs| {
        for rig in rigs {
            if rig.decode(bytes).is_err() {
                continue;
            }
            let Buffer::Float32(row) = rig.row(0) else {
                unreachable!("a float32 input was asked for");
            };
            assert!(row.iter().all(|x| (0.0..=1.0).contains(x)), "{row:?} is no picture of 0 to 1");
        }
    });
});
