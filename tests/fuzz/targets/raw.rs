//! Raw events: bytes to elements, of every type that has bytes. Checked against the conversion written out by hand.
#![no_main]

use std::cell::RefCell;

use eddy_fuzz::Rig;
use eddy_pipeline::rejection::Reason;
use eddy_pipeline::tensor::{Buffer, DType};
use half::f16;
use libfuzzer_sys::fuzz_target;

/// Elements of an event.
const LENGTH: usize = 3;

struct Case {
    dtype: DType,
    width: usize,
    rig: Rig,
}

thread_local! {
    static CASES: RefCell<Vec<Case>> = RefCell::new(cases());
}

fn cases() -> Vec<Case> {
    let types = [
        (DType::Bool, 1),
        (DType::Float16, 2),
        (DType::Float32, 4),
        (DType::Float64, 8),
        (DType::Int32, 4),
        (DType::Int64, 8),
    ];
    types.map(case).into_iter().collect()
}

fn case((dtype, width): (DType, usize)) -> Case {
    let is_float = matches!(dtype, DType::Float16 | DType::Float32 | DType::Float64);
    let elements = if is_float { "float" } else { "integer" };
    let file = format!(
        r#"
        [events]
        format = "raw"
        raw = {{ dtype = "{dtype}" }}
        [fields.v]
        type = "vector"
        length = {LENGTH}
        elements = "{elements}"
        "#
    );
    // The widest of its kind, so that whatever is taken is kept as it is.
    let input = if is_float { DType::Float64 } else { DType::Int64 };
    let rig = Rig::new(&file, &[("x", input, &["v"], LENGTH)]);
    Case { dtype, width, rig }
}

fuzz_target!(|bytes: &[u8]| {
    CASES.with_borrow_mut(|cases| cases.iter_mut().for_each(|case| case.check(bytes)));
});

impl Case {
    fn check(&mut self, bytes: &[u8]) {
        let result = self.rig.decode(bytes);
        if bytes.len() != LENGTH * self.width {
            assert_eq!(result.unwrap_err().reason, Reason::Malformed);
            return;
        }
        let elements = bytes.chunks(self.width);
        match self.rig.row(0) {
            Buffer::Float64(row) => {
                let wanted: Vec<f64> = elements.map(|element| float(self.dtype, element)).collect();
                match result {
                    Ok(()) => assert_eq!(row, wanted),
                    Err(rejection) => {
                        assert_eq!(rejection.reason, Reason::NotFinite);
                        assert!(wanted.iter().any(|x| !x.is_finite()));
                    }
                }
            }
            Buffer::Int64(row) => {
                let wanted: Option<Vec<i64>> = elements.map(|element| integer(self.dtype, element)).collect();
                match result {
                    Ok(()) => assert_eq!(Some(row), wanted),
                    Err(rejection) => assert_eq!((rejection.reason, wanted), (Reason::WrongType, None)),
                }
            }
            other => unreachable!("{other:?} was not asked for"),
        }
    }
}

fn float(dtype: DType, bytes: &[u8]) -> f64 {
    match dtype {
        DType::Float16 => f16::from_le_bytes(bytes.try_into().unwrap()).to_f64(),
        DType::Float32 => f32::from_le_bytes(bytes.try_into().unwrap()).into(),
        _ => f64::from_le_bytes(bytes.try_into().unwrap()),
    }
}

/// None: no such element.
fn integer(dtype: DType, bytes: &[u8]) -> Option<i64> {
    match dtype {
        DType::Bool => matches!(bytes, [0] | [1]).then(|| i64::from(bytes[0])),
        DType::Int32 => Some(i32::from_le_bytes(bytes.try_into().unwrap()).into()),
        _ => Some(i64::from_le_bytes(bytes.try_into().unwrap())),
    }
}
