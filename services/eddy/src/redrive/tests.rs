//! Filters, letters and positions, without a Kafka.

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
    Filter::of(&arguments(more), ["m", "n"].into_iter())
}

fn judged(filter: &Filter, headers: &[(&str, &str)]) -> String {
    with_record(headers, b"{}", |record| format!("{:?}", filter.judge(record)))
}

fn is_sent(more: &str, headers: &[(&str, &str)]) -> bool {
    judged(&filter(more).expect("sound filters"), headers).starts_with("Send")
}

const DEAD: [(&str, &str); 4] = [
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

#[test]
fn a_letter_has_the_events_headers_and_of_eddys_only_the_id() {
    let headers = [&DEAD[..], &[("tenant", "north"), ("tenant", "again")]].concat();
    with_record(&headers, b"{}", |record| {
        let letter = Letter::of(record, "a", Some("events/4/3"));
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
    assert_eq!((account.sent(), account.read()), (1, 6));
    let text = account.report("j", ("dead-letters", "events"), false);
    for part in [
        "of 6 records",
        "1 event",
        "1  reason malformed",
        "omitted",
        "sent the event before",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(account.report("j", ("a", "b"), true).contains("would be sent"));
}
