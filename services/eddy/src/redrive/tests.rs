//! Filters, letters and positions, without a Kafka.

use eddy_broker::settings::Events;

use super::*;
use crate::cli::{self, Command};
use crate::recall::output::tests::{SAMPLE, with_record};

fn arguments(more: &str) -> RedriveArguments {
    let line = format!("eddy redrive p.toml --job j {more}");
    match cli::parse(line.split_whitespace().map(Into::into)) {
        Ok(Command::Redrive(arguments)) => arguments,
        other => panic!("{line}: {other:?}"),
    }
}

fn filter(more: &str) -> Result<Filter, String> {
    Filter::of(&arguments(more), Events::from("events").reads(), ["m", "n"].into_iter())
}

fn judged(filter: &Filter, headers: &[(&str, &str)]) -> String {
    with_record(headers, b"{}", |record| match filter.judge(record) {
        Ok(verdict) => format!("{verdict:?}"),
        Err(error) => error.to_string(),
    })
}

fn is_sent(more: &str, headers: &[(&str, &str)]) -> bool {
    judged(&filter(more).expect("sound filters"), headers).starts_with("Send")
}

const DEAD: [(&str, &str); 5] = [
    ("eddy.format", "1"),
    ("eddy.id", "a"),
    ("eddy.source", "events/4/3"),
    ("eddy.reason", "malformed"),
    ("eddy.body", "original"),
];

#[test]
fn filters_are_by_reason_arm_and_model_and_several_mean_any_of_them() {
    assert!(is_sent("--from retraining", &SAMPLE));
    assert!(is_sent("--from retraining --reason anomaly --reason explore", &SAMPLE));
    assert!(!is_sent("--from retraining --reason anomaly", &SAMPLE));
    assert!(is_sent("--from retraining --model n", &SAMPLE));
    assert!(is_sent("--from dead_letters --reason malformed", &DEAD));
    assert!(!is_sent("--from dead_letters --reason tombstone", &DEAD));
    let only_m = SAMPLE.map(|(name, value)| match name {
        "eddy.selection" => (name, r#"[{"model":"m","arms":["explore"]}]"#),
        _ => (name, value),
    });
    assert!(!is_sent("--from retraining --model n", &only_m));
}

#[test]
fn a_word_that_is_none_is_told_from_the_nearest_one() {
    let why = filter("--from dead_letters --reason malformd").unwrap_err();
    assert!(why.contains("did you mean `malformed`?"), "{why}");
    let why = filter("--from retraining --reason malformed").unwrap_err();
    assert!(why.contains("there is no arm"), "{why}");
    assert!(filter("--from retraining --model o").is_err());
    assert!(filter("--from dead_letters --model m").is_err());
}

#[test]
fn only_original_bodies_are_sent_and_foreign_records_are_none_of_ours() {
    for body in ["masked", "omitted"] {
        let headers = DEAD.map(|(name, value)| (name, if name == "eddy.body" { body } else { value }));
        let verdict = judged(&filter("--from dead_letters").expect("sound"), &headers);
        assert_eq!(verdict, format!("NotOriginal({body:?})"));
    }
    assert_eq!(judged(&filter("--from dead_letters").expect("sound"), &[]), "Foreign");
    assert_eq!(judged(&filter("--from retraining").expect("sound"), &DEAD), "Foreign");
}

/// The same headers, one of them with another value.
fn with<const N: usize>(
    headers: [(&'static str, &'static str); N],
    name: &str,
    value: &'static str,
) -> [(&'static str, &'static str); N] {
    headers.map(|(one, old)| (one, if one == name { value } else { old }))
}

#[test]
fn what_came_in_on_another_topic_is_another_pipelines_and_is_not_sent() {
    let judged_of = |from: &str, headers: &[(&str, &str)]| judged(&filter(from).expect("sound"), headers);
    let sample = with(SAMPLE, "eddy.source", "others/0/3");
    assert_eq!(judged_of("--from retraining", &sample), "OtherPipeline");
    let dead = with(DEAD, "eddy.source", "others/0/3");
    assert_eq!(judged_of("--from dead_letters", &dead), "OtherPipeline");
    let nobodys = with(DEAD, "eddy.source", "no place");
    assert_eq!(judged_of("--from dead_letters", &nobodys), "Foreign");
}

#[test]
fn what_came_in_on_a_topic_that_was_not_asked_for_is_still_the_pipelines_own() {
    let events = Events::Several(vec!["events".to_owned(), "others".to_owned()]);
    for (from, headers) in [("retraining", &SAMPLE[..]), ("dead_letters", &DEAD[..])] {
        let filter = |topic: &str| {
            let arguments = arguments(&format!("--from {from} --topic {topic}"));
            Filter::of(&arguments, events.reads(), ["m", "n"].into_iter()).expect("sound filters")
        };
        assert!(judged(&filter("events"), headers).starts_with("Send"));
        assert_eq!(judged(&filter("others"), headers), "OtherTopic");
    }
}

#[test]
fn what_a_newer_release_wrote_ends_the_job_with_what_to_do() {
    for (from, headers) in [
        ("--from retraining", &with(SAMPLE, "eddy.format", "2")[..]),
        ("--from dead_letters", &with(DEAD, "eddy.format", "2")[..]),
    ] {
        let said = judged(&filter(from).expect("sound"), headers);
        assert!(
            said.starts_with("retraining/1/7 is of format 2") && said.contains("use the version that it comes from"),
            "{said}"
        );
    }
}

#[test]
fn an_empty_span_is_refused_before_the_job_is_touched() {
    let pipeline = crate::recall::fields::tests::pipeline("[fields.x]\ntype = \"float\"\n");
    let of = |more: &str| Job::of(&pipeline, &arguments(&format!("--from retraining {more}")));
    let why = of("--since 2026-05-02 --until 2026-05-01").unwrap_err();
    assert!(why.to_string().contains("is not before --until"), "{why}");
    assert_eq!(why.exit_code(), ExitCode::Usage);
    let why = of("--since 9000-01-01").unwrap_err();
    assert!(why.to_string().contains("has not come yet"), "{why}");
    let job = of("--since 2026-05-01 --until 2026-05-02").expect("a day");
    assert_eq!(
        (job.since, job.until),
        (Some(1_777_593_600_000), Some(1_777_680_000_000))
    );
    assert_eq!(of("--until 2026-05-01").expect("a beginning without end").since, None);
}

#[test]
fn it_is_said_when_a_job_that_had_begun_made_nothing_of_since() {
    let run = |since: Option<i64>, is_known: bool| Run {
        job: Job { since, ..job() },
        parts: vec![Part {
            number: 0,
            first: 0,
            at: 5,
            end: 9,
            is_known,
        }],
        sent: HashSet::new(),
        account: Account::default(),
    };
    assert!(run(Some(1), true).has_ignored_since());
    assert!(!run(None, true).has_ignored_since());
    assert!(!run(Some(1), false).has_ignored_since());
}

#[test]
fn a_letter_has_the_events_headers_and_of_eddys_only_the_id() {
    let headers = [&DEAD[..], &[("tenant", "north"), ("tenant", "again")]].concat();
    with_record(&headers, b"{}", |record| {
        let letter = Letter::of(record, "a", "events/4/3");
        let names: Vec<&str> = letter.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["eddy.id", "tenant", "tenant"]);
        assert_eq!((letter.value.as_deref(), letter.partition), (Some(&b"{}"[..]), 4));
    });
}

fn job() -> Job {
    let pipeline = crate::recall::fields::tests::pipeline("[fields.x]\ntype = \"float\"\n");
    Job::of(&pipeline, &arguments("--from retraining")).expect("a sound job")
}

#[test]
fn a_job_goes_on_where_it_was_and_refuses_to_become_another_one() {
    let job = job();
    let stretch = Stretch {
        partition: 2,
        offsets: 40..100,
    };
    let fresh = job.part(&stretch, None).expect("a fresh partition");
    assert_eq!((fresh.first, fresh.at, fresh.end), (40, 40, 100));
    let note = |what: String| {
        let note = Note {
            redrive: 1,
            what,
            first: 10,
        };
        Committed {
            offset: 60,
            note: serde_json::to_string(&note).expect("a note is JSON"),
        }
    };
    let known = job.part(&stretch, Some(&note(job.what()))).expect("its own note");
    assert_eq!((known.first, known.at, known.end), (10, 60, 100));
    let other = job.part(&stretch, Some(&note("from a to b".into()))).unwrap_err();
    assert!(other.to_string().contains("--job of its own"), "{other}");
    let foreign = Committed {
        offset: 60,
        note: String::new(),
    };
    let foreign = job.part(&stretch, Some(&foreign)).unwrap_err();
    assert!(foreign.to_string().contains("no redrive wrote"), "{foreign}");
    let newer = Committed {
        offset: 60,
        note: r#"{"redrive":2,"somewhere":"else"}"#.into(),
    };
    let newer = job.part(&stretch, Some(&newer)).unwrap_err();
    assert!(newer.to_string().contains("is of format 2"), "{newer}");
}

#[test]
fn a_frozen_note_is_read() {
    let note = Note::read(include_str!("../../../../tests/fixtures/frozen/format-1/job-note.json"));
    let expected = Note {
        redrive: 1,
        what: "from frozen-dead-letters to frozen-again reason any model any".into(),
        first: 0,
    };
    assert_eq!(note, Ok(expected));
}

#[test]
fn a_job_of_a_pipeline_has_a_group_of_its_own_that_begins_like_its_transactional_ids() {
    let job = job();
    assert_eq!(job.settings.group(), "eddy-p-redrive-j");
    assert!(job.settings.transactional_id(0).starts_with("eddy-p-"));
}

#[test]
fn an_account_names_every_record_that_was_not_sent() {
    let mut account = Account::default();
    account.send(&["reason malformed".into()]);
    account.again();
    account.skip(&Verdict::NotOriginal("omitted"));
    account.skip(&Verdict::OtherReason);
    account.skip(&Verdict::OtherModel);
    account.skip(&Verdict::Foreign);
    account.skip(&Verdict::OtherPipeline);
    account.skip(&Verdict::OtherTopic);
    assert_eq!((account.sent(), account.read()), (1, 8));
    let text = account.report("j", ("dead-letters", "events"), false);
    for part in [
        "of 8 records",
        "1  left out: of another pipeline",
        "1  left out: of another topic of events",
        "1 event",
        "1  reason malformed",
        "omitted",
        "sent the event before",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(account.report("j", ("a", "b"), true).contains("would be sent"));
}
