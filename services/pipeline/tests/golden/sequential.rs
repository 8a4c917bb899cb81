//! g13: e-detectors and confidence sequences, from the formulas of their papers.

use eddy_pipeline::drift::detect::{Detector, ESr};
use eddy_pipeline::yardstick::{ECusum, EmpiricalBernstein, Hoeffding};
use serde_json::Value;

use super::{F64, assert_near, cases, golden, integer, number, numbers, rows};

#[test]
fn alarms_and_sums_of_e_detectors() {
    let file = golden("g13_sequential");
    let stream = |name: &Value| {
        let of = cases(&file["confseq"]).iter().find(|case| case["stream"] == *name);
        numbers(&of.expect("the stream is there")["x"])
    };
    for case in cases(&file["edetectors"]) {
        let (mean, rate) = (number(&case["mu0"]), number(&case["alpha"]));
        let mut detector: Box<dyn Detector> = match case["kind"].as_str() {
            Some("sr") => Box::new(ESr::new(mean, rate).expect("it is right")),
            Some("cusum") => Box::new(ECusum::new(mean, rate).expect("it is right")),
            kind => panic!("{kind:?} is not known"),
        };
        let (mut alarms, mut trace) = (Vec::new(), Vec::new());
        for (at, x) in stream(&case["stream"]).into_iter().enumerate() {
            if detector.update(x).is_some() {
                alarms.push(at);
            }
            if (at + 1) % 50 == 0 {
                trace.extend([at as f64, detector.value().exp()]);
            }
        }
        let what = format!("{} {} {mean} {rate}", case["stream"], case["kind"]);
        let expected: Vec<usize> = case["alarms"].as_array().expect("alarms").iter().map(integer).collect();
        assert_eq!(alarms, expected, "{what}");
        assert_near(&what, &trace, &rows(&case["trace"]).concat(), F64);
    }
}

#[test]
fn confidence_sequences() {
    for case in cases(&golden("g13_sequential")["confseq"]) {
        let alpha = number(&case["alpha"]);
        let (mut bernstein, mut hoeffding) = (EmpiricalBernstein::new(alpha), Hoeffding::new(alpha));
        let shown: Vec<usize> = cases(&case["index"]).iter().map(integer).collect();
        let (mut of_bernstein, mut of_hoeffding) = (Vec::new(), Vec::new());
        for (at, x) in numbers(&case["x"]).into_iter().enumerate() {
            bernstein.update(x);
            hoeffding.update(x);
            if shown.contains(&at) {
                of_bernstein.extend(<[f64; 2]>::from(bernstein.interval()));
                of_hoeffding.extend(<[f64; 2]>::from(hoeffding.interval()));
            }
        }
        let what = case["stream"].to_string();
        assert_near(&what, &of_bernstein, &rows(&case["prpl_eb"]).concat(), F64);
        assert_near(&what, &of_hoeffding, &rows(&case["prpl_hoeffding"]).concat(), F64);
    }
}
