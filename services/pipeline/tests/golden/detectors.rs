//! g02: river's detectors, on what they say and on what they remember. KSWIN (g02b) is not ported: it is never used.

use std::num::NonZeroU32;

use eddy_pipeline::drift::detect::{Adwin, Alarm, Detector};
use eddy_pipeline::yardstick::{Confidence, Ddm, Direction, Eddm, HddmA, HddmW, PageHinkley, PageHinkleySettings};
use serde_json::Value;

use super::{F64, assert_near, cases, golden, integer, number, numbers};

/// What a detector says of a stream, by position.
#[derive(Default)]
struct Said {
    drifts: Vec<usize>,
    warnings: Vec<usize>,
}

/// Runs a detector, comparing what `remembers` gives with the probes.
fn run<D: Detector>(
    case: &Value,
    stream: &[f64],
    mut detector: D,
    remembers: impl Fn(&D, Option<Alarm>) -> Vec<f64>,
) -> Said {
    run_told(
        case,
        stream,
        &mut detector,
        |_, alarm| alarm == Some(Alarm::Warning),
        remembers,
    )
}

fn run_told<D: Detector>(
    case: &Value,
    stream: &[f64],
    detector: &mut D,
    warns: impl Fn(&D, Option<Alarm>) -> bool,
    remembers: impl Fn(&D, Option<Alarm>) -> Vec<f64>,
) -> Said {
    let none = Vec::new();
    let mut probes = case["probe"].as_array().unwrap_or(&none).iter().peekable();
    let mut said = Said::default();
    for (at, x) in stream.iter().enumerate() {
        let alarm = detector.update(*x);
        if alarm == Some(Alarm::Drift) {
            said.drifts.push(at);
        }
        if warns(detector, alarm) {
            said.warnings.push(at);
        }
        if let Some(probe) = probes.next_if(|probe| integer(&probe[0]) == at) {
            let known: Vec<f64> = cases(probe)[1..]
                .iter()
                .filter(|value| !value.is_null())
                .map(number)
                .collect();
            assert_near(
                &format!("{} {at}", case["stream"]),
                &remembers(detector, alarm),
                &known,
                F64,
            );
        }
    }
    assert!(probes.next().is_none(), "every probe is compared");
    said
}

fn hddm(parameters: &Value) -> (Confidence, Direction) {
    let two_sided = parameters["two_sided_test"].as_bool().expect("a flag");
    let confidence = Confidence {
        drift: number(&parameters["drift_confidence"]),
        warning: number(&parameters["warning_confidence"]),
    };
    (confidence, if two_sided { Direction::Both } else { Direction::Up })
}

fn page_hinkley(parameters: &Value) -> PageHinkley {
    PageHinkley::new(PageHinkleySettings {
        min_instances: integer(&parameters["min_instances"]) as u64,
        delta: number(&parameters["delta"]),
        threshold: number(&parameters["threshold"]),
        alpha: number(&parameters["alpha"]),
        direction: match parameters["mode"].as_str() {
            Some("both") => Direction::Both,
            Some("up") => Direction::Up,
            mode => panic!("{mode:?} is not known"),
        },
    })
}

fn says(case: &Value, stream: &[f64]) -> Said {
    let parameters = &case["params"];
    let of = |name: &str| number(&parameters[name]);
    match case["detector"].as_str().expect("a name") {
        "ADWIN" => {
            assert_eq!(
                [of("max_buckets"), of("min_window_length"), of("grace_period")],
                [5.0, 5.0, 10.0]
            );
            let clock = NonZeroU32::new(of("clock") as u32).expect("not 0");
            // The last probe counts drifts since the start, which is 1 only where one is told.
            let detector = Adwin::new(of("delta"), clock);
            run(case, stream, detector, |d, alarm| {
                let drifts = f64::from(u8::from(alarm.is_some()));
                vec![d.width(), d.sum(), d.squares(), d.value(), drifts]
            })
        }
        "PageHinkley" => run(case, stream, page_hinkley(parameters), |d, _| {
            vec![d.sums().0, d.sums().1, d.mean()]
        }),
        "DDM" => {
            let warm_start = integer(&parameters["warm_start"]) as u64;
            let detector = Ddm::new(warm_start, of("warning_threshold"), of("drift_threshold"));
            run(case, stream, detector, |d, _| {
                let lowest = d.lowest().into_iter().flat_map(|(rate, deviation)| [rate, deviation]);
                [d.value(), d.count() as f64].into_iter().chain(lowest).collect()
            })
        }
        "EDDM" => {
            let warm_start = integer(&parameters["warm_start"]) as u64;
            let mut detector = Eddm::new(warm_start, of("alpha"), of("beta"));
            run_told(case, stream, &mut detector, |d, _| d.warns(), |_, _| Vec::new())
        }
        "HDDM_A" => {
            let (confidence, direction) = hddm(parameters);
            run(case, stream, HddmA::new(confidence, direction), |d, _| {
                vec![d.count(), d.value(), d.least().0, d.least().1]
            })
        }
        "HDDM_W" => {
            let (confidence, direction) = hddm(parameters);
            let detector = HddmW::new(confidence, of("lambda_val"), direction);
            run(case, stream, detector, |d, _| vec![d.value(), d.squared_weights()])
        }
        other => panic!("{other} is not ported"),
    }
}

#[test]
fn drifts_warnings_and_memory_of_rivers_detectors() {
    let file = golden("g02_detectors");
    assert_eq!(cases(&file["cases"]).len(), 113);
    for case in cases(&file["cases"]) {
        let name = case["stream"].as_str().expect("a name");
        let said = says(case, &numbers(&file["streams"][name]));
        let positions = |value: &Value| -> Vec<usize> {
            let positions = value.as_array().expect("positions");
            positions.iter().map(integer).collect()
        };
        let what = format!("{} {} {name}", case["detector"], case["params"]);
        assert_eq!(said.drifts, positions(&case["drift"]), "{what}");
        assert_eq!(said.warnings, positions(&case["warning"]), "{what}");
    }
}
