use super::*;

fn words(line: &str) -> Result<Command, Stop> {
    parse(line.split_whitespace().map(OsString::from))
}

#[test]
fn the_definition_is_sound() {
    use clap::CommandFactory;
    CommandLine::command().debug_assert();
}

#[test]
fn every_command_is_understood() {
    let file = PathBuf::from("p.toml");
    assert_eq!(
        words("eddy run p.toml"),
        Ok(Command::Run(RunArguments { file: file.clone() }))
    );
    for (line, offline) in [("eddy check p.toml", false), ("eddy check --offline p.toml", true)] {
        let file = file.clone();
        assert_eq!(words(line), Ok(Command::Check(CheckArguments { file, offline })));
    }
    let schema = |pipeline: Option<&str>, topic, headers| {
        Ok(Command::Schema(SchemaArguments {
            pipeline: pipeline.map(PathBuf::from),
            topic,
            headers,
        }))
    };
    assert_eq!(words("eddy schema"), schema(None, None, false));
    assert_eq!(
        words("eddy schema p.toml --headers"),
        schema(Some("p.toml"), None, true)
    );
    assert_eq!(
        words("eddy schema --topic dead_letters"),
        schema(None, Some(OutputTopic::DeadLetters), false)
    );
    let order = "{}".to_owned();
    assert_eq!(words("eddy rehearse {}"), Ok(Command::Rehearse { order }));
}

#[test]
fn tests_have_limits_and_a_tolerance_that_can_be_set() {
    let tests = |line: &str| match words(line) {
        Ok(Command::Test(tests)) => tests,
        other => panic!("`{line}` runs tests: {other:?}"),
    };
    let usual = TestArguments {
        file: "p.toml".into(),
        update: false,
        tolerance: 1e-4,
        events: 10_000,
        bytes: Bytes::mib(64),
        json: false,
    };
    assert_eq!(tests("eddy test p.toml"), usual);
    assert_eq!(
        tests("eddy test p.toml --update --json --tolerance 0 --events 5 --bytes 1KiB"),
        TestArguments {
            update: true,
            tolerance: 0.0,
            events: 5,
            bytes: Bytes::kib(1),
            json: true,
            ..usual
        }
    );
    for wrong in [
        "--tolerance=-1",
        "--tolerance=nan",
        "--tolerance=inf",
        "--bytes=much",
        "--events=-1",
    ] {
        assert!(words(&format!("eddy test p.toml {wrong}")).is_err(), "{wrong}");
    }
}

fn built(command: &str) -> ProfileArguments {
    match words(command) {
        Ok(Command::Profile(ProfileCommand {
            action: None,
            build: Some(build),
        })) => build,
        other => panic!("`{command}` builds a profile: {other:?}"),
    }
}

#[test]
fn a_new_normal_needs_a_feature_and_a_time() {
    let Ok(Command::Profile(command)) = words("eddy profile accept p.toml --feature age --since 2d") else {
        panic!("that is a whole command");
    };
    let Some(ProfileAction::Accept(accept)) = command.action else {
        panic!("it accepts");
    };
    assert_eq!(
        (accept.feature.as_str(), accept.since),
        ("age", Moment::Ago(Span::seconds(2 * 86_400)))
    );
    assert_eq!((command.build, accept.until), (None, None));
    for incomplete in [
        "eddy profile accept p.toml --feature age",
        "eddy profile accept --since 2d",
        "eddy profile",
    ] {
        assert!(words(incomplete).is_err(), "{incomplete}");
    }
}

#[test]
fn a_model_and_its_data_are_all_that_init_needs() {
    let Ok(Command::Init(init)) = words("eddy init --model m.onnx --data t.csv") else {
        panic!("`eddy init` is a whole command");
    };
    assert_eq!((init.label, init.out, init.force), (None, None, false));
    let profile = built("eddy profile p.toml --data t.csv --label y --rows 5000");
    assert_eq!((profile.label.as_deref(), profile.rows), (Some("y"), Some(5000)));
}

#[test]
fn a_profile_is_recorded_from_data_or_from_a_span_of_the_stream() {
    let profile = built("eddy profile p.toml --since 2d --until 1d");
    assert_eq!(
        (profile.data, profile.since),
        (None, Some(Moment::Ago(Span::seconds(2 * 86_400))))
    );
}

#[test]
fn samples_are_those_of_the_last_week_unless_a_time_is_said() {
    let Ok(Command::Samples(samples)) = words("eddy samples p.toml --out week.parquet") else {
        panic!("`eddy samples` is a whole command");
    };
    assert_eq!(
        (samples.since, samples.until),
        (Moment::Ago(Span::seconds(7 * 86_400)), None)
    );
}

#[test]
fn a_replay_needs_a_span_or_a_file_and_takes_one_of_them() {
    let Ok(Command::Replay(replay)) = words("eddy replay p.toml --from 7d --against q.toml") else {
        panic!("that is a whole command");
    };
    assert_eq!(
        (replay.from, replay.to),
        (Some(Moment::Ago(Span::seconds(7 * 86_400))), None)
    );
    assert_eq!((replay.against, replay.data), (Some("q.toml".into()), None));
    assert!(words("eddy replay p.toml --data t.csv --rows 10").is_ok());
    for wrong in [
        "eddy replay p.toml",
        "eddy replay p.toml --from 7d --data t.csv",
        "eddy replay p.toml --data t.csv --to 1d",
        "eddy replay p.toml --data t.csv --rows 0",
    ] {
        assert!(words(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn the_demo_runs_without_options_until_it_is_stopped() {
    let Ok(Command::Demo(demo)) = words("eddy demo") else {
        panic!("`eddy demo` is a whole command");
    };
    assert_eq!((demo.brokers, demo.run_for, demo.summary), (None, None, Summary::Text));
}

#[test]
fn the_demo_takes_brokers_a_span_and_a_summary() {
    let Ok(Command::Demo(demo)) = words("eddy demo --brokers a:9092,b:9092 --for 1m --summary json") else {
        panic!("all of these are options");
    };
    assert_eq!(demo.brokers.as_deref(), Some("a:9092,b:9092"));
    assert_eq!((demo.run_for, demo.summary), (Some(Span::seconds(60)), Summary::Json));
}

fn url(text: &str) -> Url {
    text.parse().expect("a sound URL")
}

#[test]
fn the_person_on_call_names_replicas_and_a_token() {
    let line = "eddy pause --admin http://a:9180 --admin https://[::1]:9181/ --token-file t --ca c p.toml";
    let order = OrderArguments {
        replicas: ReplicaArguments {
            file: Some("p.toml".into()),
            admin: vec![url("http://a:9180"), url("https://[::1]:9181")],
            ca: Some("c".into()),
            ..ReplicaArguments::default()
        },
        token_file: Some("t".into()),
    };
    assert_eq!(words(line), Ok(Command::Pause(order)));
    let hosts = ["http://a:9180", "https://[::1]:9181/"].map(url);
    assert_eq!(hosts.each_ref().map(Url::host), ["a", "::1"]);
    assert_eq!(hosts.each_ref().map(Url::is_https), [false, true]);
    let none = OrderArguments::default();
    assert_eq!(words("eddy resume"), Ok(Command::Resume(none.clone())));
    let skip = SkipArguments {
        record: "events/0/17".into(),
        order: none,
    };
    assert_eq!(words("eddy skip events/0/17"), Ok(Command::Skip(skip)));
    let health = HealthArguments {
        replicas: ReplicaArguments::default(),
        ready: true,
    };
    assert_eq!(words("eddy health --ready"), Ok(Command::Health(health)));
}

#[test]
fn help_and_version_are_answers() {
    assert!(matches!(words("eddy --help"), Err(Stop::Answer(text)) if text.contains("pipeline file")));
    assert!(matches!(words("eddy --version"), Err(Stop::Answer(_))));
}

#[test]
fn what_makes_no_sense_is_a_usage_error() {
    for line in [
        "eddy",
        "eddy runn p.toml",
        "eddy run",
        "eddy demo --for soon",
        "eddy demo --rate 0",
        "eddy skip",
        "eddy skip events/0",
        "eddy skip events/0/-1",
        "eddy pause --admin 127.0.0.1:9180",
        "eddy pause --admin ftp://127.0.0.1:9180",
        "eddy health --certificate c",
        "eddy health --key k",
        "eddy pause --admin http://127.0.0.1",
        "eddy pause --admin http://127.0.0.1:9180/live",
        "eddy health --token-file x",
        "eddy init --model m.onnx",
        "eddy init --data t.csv",
        "eddy init --model m.onnx --data t.csv --expect-column y",
        "eddy profile p.toml",
        "eddy profile p.toml --until 1d",
        "eddy profile p.toml --data t.csv --since 1d",
        "eddy profile p.toml --data t.csv --until 1d",
        "eddy profile p.toml --since 1d --label y",
        "eddy samples p.toml",
        "eddy why p.toml",
        "eddy redrive p.toml --job j",
        "eddy redrive p.toml --from retraining",
        "eddy redrive p.toml --from events --job j",
        "eddy redrive p.toml --from retraining --job a/b",
        "eddy samples p.toml --out week.xlsx",
        "eddy samples p.toml --out week.csv --since soon",
        "eddy profile p.toml --data t.csv --rows 0",
    ] {
        assert!(matches!(words(line), Err(Stop::Usage(_))), "{line}");
    }
}

#[test]
fn a_span_without_its_unit_is_told_how_to_write_one() {
    assert!(matches!(words("eddy demo --for 60"), Err(Stop::Usage(text)) if text.contains("\"250ms\"")));
}
