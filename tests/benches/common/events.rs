//! The events: JSON objects of 32 named floats in the order of the pipeline file, about 600 bytes each.
//!
//! Owns: their names, their bytes, and the struct that a program would write for them by hand.
//! Invariant: event number n is the same in every process.

use std::fmt::Write as _;

use serde::Deserialize;

/// Different events; the topic repeats them. Together they are larger than any cache.
const DIFFERENT: usize = 50_000;
/// Fields of an event.
pub(crate) const WIDTH: usize = 32;

macro_rules! event {
    ($($field:ident)*) => {
        /// An event as a program knows it that was written for nothing else.
        #[derive(Deserialize)]
        pub(crate) struct Event {
            $($field: f32,)*
        }

        /// Names of the fields in their order.
        pub(crate) const NAMES: [&str; WIDTH] = [$(stringify!($field)),*];

        impl Event {
            /// The values in their order.
            pub(crate) fn row(&self) -> [f32; WIDTH] {
                [$(self.$field),*]
            }
        }
    };
}

event! {
    field_00 field_01 field_02 field_03 field_04 field_05 field_06 field_07
    field_08 field_09 field_10 field_11 field_12 field_13 field_14 field_15
    field_16 field_17 field_18 field_19 field_20 field_21 field_22 field_23
    field_24 field_25 field_26 field_27 field_28 field_29 field_30 field_31
}

/// The different events.
pub(crate) fn different() -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(20_240_229);
    (0..DIFFERENT).map(|_| event(&mut random)).collect()
}

/// Numbers of an event that is one vector.
pub(crate) const LENGTH: usize = 512;

/// Events of one vector, about 3,600 bytes each.
pub(crate) fn vectors() -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(20_240_301);
    let vector = |_| {
        let numbers: Vec<String> = (0..LENGTH)
            .map(|_| format!("{:.3}", random.f64() * 6.0 - 3.0))
            .collect();
        format!("{{\"features\":[{}]}}", numbers.join(","))
    };
    (0..DIFFERENT / 10).map(vector).collect()
}

fn event(random: &mut fastrand::Rng) -> String {
    let mut text = String::with_capacity(640);
    for (at, name) in NAMES.iter().enumerate() {
        let opening = if at == 0 { '{' } else { ',' };
        let value = random.f64() * 6.0 - 3.0;
        write!(text, "{opening}\"{name}\":{value:.4}").expect("writing to a String cannot fail");
    }
    text.push('}');
    text
}
