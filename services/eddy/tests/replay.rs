//! `eddy replay` over files as a whole command. The model doubles its three numbers, so what each side says of an event is
//! arithmetic, which these tests do by themselves.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use eddy::cli::{ProfileArguments, ReplayArguments};
use eddy::compare::{self, Error};
use eddy_host::ExitCode;
use serde_json::Value;

const LOGITS: &str = r#"{ type = "classification", from = "logits", output = "doubled", classes = ["x", "y", "z"] }"#;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/models")
        .join(name)
}

/// A folder with the data of a test and its pipelines.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new(events: &[Event]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lines: String = events.iter().map(|event| event.json() + "\n").collect();
        std::fs::write(folder.path().join("events.jsonl"), lines).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A pipeline whose model reads the numbers at `pointer`.
    fn pipeline(&self, name: &str, pointer: &str, head: &str, more: &str) -> PathBuf {
        let model = fixture("two_outputs.onnx");
        let text = format!(
            "format = 1\nname = \"{name}\"\n[kafka]\nbrokers = \"localhost:1\"\nstart = \"earliest\"\n\
             [fields.features]\ntype = \"vector\"\nlength = 3\npointer = \"/{pointer}\"\n\
             [[models]]\nname = \"double\"\npath = {model:?}\nhead = {head}\n{more}\n"
        );
        let path = self.path(&format!("{name}.toml"));
        std::fs::write(&path, text).unwrap();
        path
    }

    fn arguments(&self, first: PathBuf, second: Option<PathBuf>) -> ReplayArguments {
        ReplayArguments {
            topic: None,
            pipeline: first,
            from: None,
            to: None,
            data: Some(self.path("events.jsonl")),
            against: second,
            model: None,
            html: None,
            json: true,
            rows: None,
            resume: None,
        }
    }
}

/// An event with the numbers of both versions; some lack those of the second.
#[derive(Clone)]
struct Event {
    a: [f32; 3],
    b: Option<[f32; 3]>,
}

impl Event {
    fn json(&self) -> String {
        match self.b {
            Some(b) => format!(r#"{{"a":{:?},"b":{b:?}}}"#, self.a),
            None => format!(r#"{{"a":{:?}}}"#, self.a),
        }
    }
}

/// Events that look drawn, and are the same each time; the second version's numbers lie near the first's.
fn events(count: usize) -> Vec<Event> {
    let mut state = 7u64;
    let mut draw = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) as f64 / f64::from(1u32 << 31) - 0.5) as f32
    };
    (0..count)
        .map(|number| {
            let a = [draw(), draw(), draw()];
            let b = [a[0] + 0.2 * draw() + 0.03, a[1] + 0.2 * draw(), a[2] + 0.2 * draw()];
            Event {
                a,
                b: (number % 97 != 5).then_some(b),
            }
        })
        .collect()
}

/// What is said of an event: class and probabilities.
type Said = (usize, [f64; 3]);
/// The number of an event, and what both versions say of it.
type Both = (usize, Said, Said);
/// The numbers of an event in both versions.
type Numbers = ([f64; 3], [f64; 3]);

/// Class and probabilities by arithmetic of double precision.
fn said(numbers: [f32; 3]) -> Said {
    let powers = numbers.map(|number| (2.0 * f64::from(number)).exp());
    let sum: f64 = powers.iter().sum();
    let class = (0..3).fold(0, |best, at| if numbers[at] > numbers[best] { at } else { best });
    (class, powers.map(|power| power / sum))
}

fn json(arguments: &ReplayArguments) -> Value {
    let report = compare::run(arguments, Vec::new(), &AtomicBool::new(false));
    serde_json::from_str(&report.unwrap_or_else(|error| panic!("{error}"))).unwrap()
}

#[track_caller]
fn refused(arguments: &ReplayArguments, code: ExitCode) -> String {
    let error = compare::run(arguments, Vec::new(), &AtomicBool::new(false)).expect_err("it is wrong on purpose");
    assert_eq!(error.exit_code(), code, "{error}");
    error.to_string()
}

#[track_caller]
fn near(found: &Value, expected: f64, tolerance: f64) {
    let found = found.as_f64().unwrap_or_else(|| panic!("{found} is no number"));
    assert!((found - expected).abs() <= tolerance, "{found} is not {expected}");
}

fn count(rows: &Value, first: &str, second: &str) -> u64 {
    let mut rows = rows.as_array().unwrap().iter();
    let row = rows.find(|row| row["first"] == first && row["second"] == second);
    row.map_or(0, |row| row["count"].as_u64().unwrap())
}

#[test]
fn the_report_on_a_hundred_thousand_events_is_what_arithmetic_says() {
    let events = events(100_000);
    let bench = Bench::new(&events);
    let first = bench.pipeline("one", "a", LOGITS, "[select]\nconfidence_below = 0.5");
    let second = bench.pipeline("two", "b", LOGITS, "[select]\nconfidence_below = 0.5");
    let mut arguments = bench.arguments(first, Some(second));
    arguments.html = Some(bench.path("report.html"));
    let report = json(&arguments);

    let both: Vec<Both> = events
        .iter()
        .enumerate()
        .filter_map(|(at, event)| Some((at, said(event.a), said(event.b?))))
        .collect();
    let dead = (events.len() - both.len()) as u64;
    assert_eq!(report["read"], 100_000);
    assert_eq!(
        (&report["sides"][0]["scored"], &report["sides"][1]["scored"]),
        (&100_000.into(), &both.len().into())
    );
    assert_eq!(report["sides"][1]["dead_letters"]["missing_field"], dead);
    assert_eq!(count(&report["pair"]["outcomes"], "scored", "missing_field"), dead);

    let names = ["x", "y", "z"];
    for (a, name_a) in names.iter().enumerate() {
        for (b, name_b) in names.iter().enumerate() {
            let expected = both.iter().filter(|(_, one, other)| (one.0, other.0) == (a, b)).count();
            assert_eq!(
                count(&report["pair"]["decisions"], name_a, name_b),
                expected as u64,
                "{name_a} {name_b}"
            );
        }
    }
    let changed = both.iter().filter(|(_, one, other)| one.0 != other.0).count();
    assert_eq!(report["pair"]["changed"]["count"], changed);

    changes_of_confidence(&report, &both);
    the_most_changed(&report, &both);

    // Near the threshold a probability of single precision may lie on the other side of it.
    let selected = |said: &Said| said.1[said.0] < 0.5;
    let only_first = both
        .iter()
        .filter(|(_, one, other)| selected(one) && !selected(other))
        .count();
    near(
        &report["pair"]["selection"]["only_first"]["count"],
        only_first as f64,
        2.0,
    );

    let page = std::fs::read_to_string(bench.path("report.html")).unwrap();
    assert!(
        page.contains(&format!("{changed} of {} decisions changed", both.len())),
        "{page}"
    );
}

fn changes_of_confidence(report: &Value, both: &[Both]) {
    let mut changes: Vec<f64> = both
        .iter()
        .map(|(_, one, other)| other.1[other.0] - one.1[one.0])
        .collect();
    let change = &report["pair"]["changes"][0];
    near(
        &change["change"]["mean"],
        changes.iter().sum::<f64>() / changes.len() as f64,
        1e-7,
    );
    near(
        &change["mean_size"],
        changes.iter().map(|it| it.abs()).sum::<f64>() / changes.len() as f64,
        1e-7,
    );
    changes.sort_by(f64::total_cmp);
    for (at, share) in [(0, 0.01), (3, 0.5), (6, 0.99)] {
        let exact = changes[(changes.len() as f64 * share).ceil() as usize - 1];
        near(
            &change["change"]["quantiles"][at][1],
            exact,
            exact.abs() / 1000.0 + 1e-6,
        );
    }
    // PSI of decisions: shares with half an event added to each of three bins.
    let share = |class: usize, first: bool, all: f64| {
        let hits = both
            .iter()
            .filter(|(_, one, other)| if first { one.0 == class } else { other.0 == class })
            .count();
        (hits as f64 + 0.5) / (all + 1.5)
    };
    // The first side counts events that the second does not score, too, so its shares differ by a little.
    let psi: f64 = (0..3)
        .map(|class| {
            let (p, q) = (
                share(class, true, both.len() as f64),
                share(class, false, both.len() as f64),
            );
            (q - p) * (q / p).ln()
        })
        .sum();
    let found = &report["pair"]["psi"][0];
    assert_eq!(found["name"], "class");
    near(&found["psi"], psi, psi * 0.05);
}

fn the_most_changed(report: &Value, both: &[Both]) {
    let moved = |one: &[f64; 3], other: &[f64; 3]| (0..3).map(|at| (other[at] - one[at]).abs()).fold(0.0, f64::max);
    let mut far: Vec<(f64, usize)> = both
        .iter()
        .map(|(at, one, other)| (moved(&one.1, &other.1), *at))
        .collect();
    far.sort_by(|one, other| other.0.total_cmp(&one.0));
    let top = report["pair"]["top"].as_array().unwrap();
    assert_eq!(top.len(), 20);
    for (found, (by, at)) in top.iter().zip(&far) {
        near(&found["by"], *by, 1e-6);
        assert_eq!(found["event"]["place"], format!("line {}", at + 1));
        let (_, one, _) = both.iter().find(|(number, ..)| number == at).unwrap();
        near(&found["a"]["values"][1], one.1[1], 1e-6);
    }
}

#[test]
fn rows_keep_their_own_ids_and_those_without_one_are_scored_all_the_same() {
    let bench = Bench::new(&[]);
    let lines = "{\"id\":\"mine\",\"a\":[1,0,0],\"b\":[0,1,0]}\n{\"a\":[1,0,0],\"b\":[0,0,1]}\n";
    std::fs::write(bench.path("events.jsonl"), lines).unwrap();
    let pipeline = |name: &str, pointer: &str| bench.pipeline(name, pointer, LOGITS, "[events]\nid_field = \"/id\"");
    let report = json(&bench.arguments(pipeline("one", "a"), Some(pipeline("two", "b"))));
    for (at, id) in ["mine", "data/0/1"].into_iter().enumerate() {
        assert_eq!(report["pair"]["top"][at]["event"]["id"], id, "{report}");
    }
}

#[test]
fn a_run_that_was_stopped_again_and_again_ends_as_one_that_was_not() {
    let bench = Bench::new(&events(3_000));
    let (first, second) = (
        bench.pipeline("one", "a", LOGITS, ""),
        bench.pipeline("two", "b", LOGITS, ""),
    );
    let mut arguments = bench.arguments(first, Some(second));
    let whole = json(&arguments);
    arguments.resume = Some(bench.path("state.json"));
    let mut stops = 0;
    let report = loop {
        match compare::run(&arguments, Vec::new(), &AtomicBool::new(true)) {
            Err(error @ Error::Stopped { .. }) => {
                stops += 1;
                assert_eq!(error.exit_code(), ExitCode::DrainMissed);
                assert!(error.to_string().contains("--resume"), "{error}");
            }
            other => break other.unwrap_or_else(|error| panic!("{error}")),
        }
        assert!(stops < 10, "each run goes on");
    };
    assert!(stops >= 2, "3,000 events are several chunks: {stops}");
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report, whole);
    assert_eq!(json(&arguments), whole, "a run that has ended tells its result again");
}

#[test]
fn a_state_goes_on_with_nothing_but_its_own_run() {
    let bench = Bench::new(&events(1_500));
    let (first, second) = (
        bench.pipeline("one", "a", LOGITS, ""),
        bench.pipeline("two", "b", LOGITS, ""),
    );
    let mut arguments = bench.arguments(first, Some(second));
    arguments.resume = Some(bench.path("state.json"));
    json(&arguments);

    let mut other = arguments.clone();
    other.against = Some(bench.pipeline("three", "b", LOGITS, "[select]\nconfidence_below = 0.5"));
    let said = refused(&other, ExitCode::Configuration);
    assert!(
        said.contains("other pipelines or models") && said.contains("state.json"),
        "{said}"
    );
    let mut other = arguments.clone();
    other.rows = Some(10);
    assert!(refused(&other, ExitCode::Configuration).contains("--rows"));
    std::fs::write(bench.path("events.jsonl"), "{\"a\":[1,2,3]}\n").unwrap();
    assert!(refused(&arguments, ExitCode::Configuration).contains("another span"));

    let whole = std::fs::read(bench.path("state.json")).unwrap();
    let newer = String::from_utf8(whole.clone())
        .unwrap()
        .replacen("\"format\":1", "\"format\":9", 1);
    let forged = String::from_utf8(whole.clone())
        .unwrap()
        .replacen("\"read\":1500", "\"read\":1499", 1);
    assert_ne!(forged.as_bytes(), whole);
    for (text, words) in [
        (&whole[..whole.len() / 2], "broken"),
        (&b"{}"[..], "broken"),
        (newer.as_bytes(), "format 9"),
        (forged.as_bytes(), "checksum"),
    ] {
        std::fs::write(bench.path("state.json"), text).unwrap();
        let said = refused(&arguments, ExitCode::Configuration);
        assert!(said.contains(words) && said.contains("begin anew"), "{said}");
    }
}

#[test]
fn what_cannot_be_compared_is_refused_with_what_differs() {
    let bench = Bench::new(&events(10));
    let first = bench.pipeline("one", "a", LOGITS, "");
    let against = |head: &str| bench.arguments(first.clone(), Some(bench.pipeline("two", "b", head, "")));
    let other = LOGITS.replace("\"z\"", "\"w\"");
    let said = refused(&against(&other), ExitCode::Configuration);
    assert!(
        said.contains("only the first has `z`") && said.contains("only the second has `w`"),
        "{said}"
    );
    let said = refused(
        &against(r#"{ type = "embedding", output = "doubled" }"#),
        ExitCode::Configuration,
    );
    assert!(said.contains("one class") && said.contains("an embedding"), "{said}");

    let mut unknown = bench.arguments(first.clone(), None);
    unknown.model = Some("triple".into());
    let said = refused(&unknown, ExitCode::Usage);
    assert!(said.contains("`triple`") && said.contains("`double`"), "{said}");

    std::fs::write(bench.path("events.jsonl"), "\n").unwrap();
    let said = refused(&bench.arguments(first, None), ExitCode::Configuration);
    assert!(
        said.contains("events.jsonl") && said.contains("holds no JSON objects"),
        "{said}"
    );
}

#[test]
fn numbers_move_by_their_difference_and_embeddings_by_their_angle() {
    let events: Vec<Event> = events(600).into_iter().filter(|event| event.b.is_some()).collect();
    let bench = Bench::new(&events);
    let pairs: Vec<Numbers> = events
        .iter()
        .map(|event| (event.a.map(f64::from), event.b.unwrap().map(f64::from)))
        .collect();
    let report = |head: &str| {
        json(&bench.arguments(
            bench.pipeline("one", "a", head, ""),
            Some(bench.pipeline("two", "b", head, "")),
        ))
    };
    let mean = |each: &dyn Fn(&Numbers) -> f64| pairs.iter().map(each).sum::<f64>() / pairs.len() as f64;

    let found = report(r#"{ type = "regression", output = "doubled" }"#);
    let furthest = |(a, b): &Numbers| (0..3).map(|at| 2.0 * (b[at] - a[at]).abs()).fold(0.0, f64::max);
    near(&found["pair"]["moved"]["mean"], mean(&furthest), 1e-6);
    near(
        &found["pair"]["changes"][0]["change"]["mean"],
        mean(&|(a, b)| 2.0 * (b[0] - a[0])),
        1e-6,
    );
    assert_eq!(found["pair"]["changed"], Value::Null);

    let found = report(r#"{ type = "embedding", output = "doubled" }"#);
    let cosine = |(a, b): &Numbers| {
        let dot = |x: &[f64; 3], y: &[f64; 3]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        1.0 - dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    };
    near(&found["pair"]["moved"]["mean"], mean(&cosine), 1e-6);
    assert_eq!(found["pair"]["measure"], "cosine distance");

    let found = report(r#"{ type = "anomaly", output = "total", higher_is = "anomalous" }"#);
    let total = |numbers: &[f64; 3]| numbers.iter().sum::<f64>();
    near(
        &found["pair"]["moved"]["mean"],
        mean(&|(a, b)| (total(b) - total(a)).abs()),
        1e-6,
    );

    let found = report(r#"{ type = "multi-label", output = "doubled", from = "logits", classes = ["x", "y", "z"] }"#);
    let is_set = |number: f64| 1.0 / (1.0 + (-2.0 * number).exp()) >= 0.5;
    let only_first = pairs.iter().filter(|(a, b)| is_set(a[1]) && !is_set(b[1])).count();
    assert_eq!(found["pair"]["labels"][1]["only_first"], only_first);
    let changed = pairs
        .iter()
        .filter(|(a, b)| (0..3).any(|at| is_set(a[at]) != is_set(b[at])))
        .count();
    assert_eq!(found["pair"]["changed"]["count"], changed);
}

#[test]
fn one_pipeline_alone_is_held_against_its_reference_profile() {
    let mut drifted = events(4_000);
    let bench = Bench::new(&drifted);
    let bare = bench.pipeline("one", "a", LOGITS, "");
    let profile = ProfileArguments {
        topic: None,
        pipeline: bare,
        data: Some(bench.path("events.jsonl")),
        since: None,
        until: None,
        model: None,
        label: None,
        segment: None,
        out: Some(bench.path("profile.json")),
        rows: None,
    };
    eddy::profile::build(&profile, Vec::new()).unwrap_or_else(|error| panic!("{error}"));
    let pipeline = bench.pipeline("one", "a", LOGITS, "profile = \"profile.json\"");
    let arguments = bench.arguments(pipeline, None);
    let psi_of_class = |report: &Value| {
        let rows = report["pipelines"][0]["profile"].as_array().unwrap().clone();
        let row = rows.into_iter().find(|row| row["name"] == "output class");
        row.unwrap_or_else(|| panic!("{report}"))
    };
    let report = json(&arguments);
    near(&psi_of_class(&report)["psi"], 0.0, 1e-12);
    assert_eq!(report["pair"], Value::Null);
    let of_x = drifted.iter().filter(|event| said(event.a).0 == 0).count();
    assert_eq!(report["sides"][0]["classes"][0]["share"]["count"], of_x);

    // A third class that is hardly decided for any more.
    drifted.iter_mut().for_each(|event| event.a[2] -= 1.0);
    let lines: String = drifted.iter().map(|event| event.json() + "\n").collect();
    std::fs::write(bench.path("events.jsonl"), lines).unwrap();
    let found = psi_of_class(&json(&arguments));
    assert!(found["psi"].as_f64() > found["critical"].as_f64(), "{found}");
    let mut told = arguments;
    told.json = false;
    let text = compare::run(&told, Vec::new(), &AtomicBool::new(false)).unwrap();
    assert!(
        text.contains("Against the reference profile") && text.contains("above noise"),
        "{text}"
    );
}

#[test]
fn a_page_shows_names_with_markup_as_text_and_a_budget_is_said_to_depend_on_order() {
    let bench = Bench::new(&events(300));
    let head = LOGITS.replace("\"x\"", "\"<img src=x onerror=alert(1)>\"");
    let first = bench.pipeline("one", "a", &head, "[select]\nfraction = 0.1");
    let second = bench.pipeline("two", "b", &head, "");
    let mut arguments = bench.arguments(first, Some(second));
    arguments.html = Some(bench.path("report.html"));
    let report = json(&arguments);
    assert_eq!(report["pair"]["selection"], Value::Null);
    let notes = report["notes"].to_string();
    assert!(notes.contains("the first pipeline selects under a budget"), "{notes}");
    let page = std::fs::read_to_string(bench.path("report.html")).unwrap();
    assert!(
        !page.contains("<img") && page.contains("&lt;img src=x onerror=alert(1)&gt;"),
        "{page}"
    );
}
