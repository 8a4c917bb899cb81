use super::*;

fn read(text: &str) -> Result<Kafka, String> {
    toml::from_str(text).map_err(|error| error.message().to_owned())
}

fn settings(kafka: Kafka) -> Settings {
    Settings {
        pipeline: "digits".into(),
        kafka,
        topics: Topics::default(),
    }
}

fn minimal() -> Kafka {
    read("brokers = \"localhost:9092\"\nstart = \"earliest\"").unwrap()
}

fn keys(problems: &[Problem]) -> Vec<&str> {
    problems.iter().map(|problem| problem.key.as_str()).collect()
}

#[test]
fn brokers_and_start_are_all_that_is_required() {
    let kafka = minimal();
    assert_eq!(kafka.problems(), vec![]);
    assert_eq!(kafka.guarantee, Guarantee::ExactlyOnce);
    assert_eq!(kafka.session_timeout(), Span::seconds(15));
    assert_eq!(kafka.transaction_timeout, Span::seconds(10));
    assert_eq!(settings(kafka).group(), "eddy-digits");
    assert!(read("brokers = \"localhost:9092\"").unwrap_err().contains("`start`"));
}

#[test]
fn unknown_keys_are_refused() {
    let message = read("brokers = \"a:1\"\nstart = \"latest\"\nlane = 2").unwrap_err();
    assert!(message.contains("unknown field `lane`"), "{message}");
}

#[test]
fn every_value_out_of_range_is_reported_with_its_key() {
    let kafka = read(
        "brokers = \"a:1,,b:1\"\nstart = \"latest\"\ngroup = \"\"\ninstance = \" \"\nlanes = 65\nlinger = \"2s\"\n\
         session_timeout = \"1ms\"\ntransaction_timeout = \"1h\"\nmax_output_bytes = 1",
    )
    .unwrap();
    let expected = [
        "kafka.brokers",
        "kafka.group",
        "kafka.instance",
        "kafka.lanes",
        "kafka.session_timeout",
        "kafka.transaction_timeout",
        "kafka.linger",
        "kafka.max_output_bytes",
    ];
    assert_eq!(keys(&kafka.problems()), expected);
}

#[test]
fn guarded_properties_are_refused_in_all_three_tables() {
    let kafka = read(
        "brokers = \"a:1\"\nstart = \"latest\"\nproperties = { \"enable.auto.commit\" = true }\n\
         consumer = { \"group.id\" = \"x\" }\nproducer = { \"acks\" = 1 }",
    )
    .unwrap();
    let expected = [
        "kafka.properties.\"enable.auto.commit\"",
        "kafka.consumer.\"group.id\"",
        "kafka.producer.\"acks\"",
    ];
    assert_eq!(keys(&kafka.problems()), expected);
}

#[test]
fn secrets_never_show_in_debug_output() {
    let kafka = read(
        "brokers = \"a:1\"\nstart = \"latest\"\ntls = { key = \"k\", certificate = \"c\", key_password = { env = \"HUNTER\" } }\n\
         sasl = { mechanism = \"PLAIN\", username = \"u\", password = { file = \"hunter2\" } }",
    )
    .unwrap();
    assert_eq!(kafka.problems(), vec![]);
    let shown = format!("{kafka:?}");
    assert!(
        shown.contains("***") && !shown.to_lowercase().contains("hunter"),
        "{shown}"
    );
}

#[test]
fn what_a_mechanism_lacks_or_does_not_use_is_reported() {
    let sasl = |text: &str| keys_of(&format!("brokers = \"a:1\"\nstart = \"latest\"\nsasl = {text}"));
    assert_eq!(
        sasl("{ mechanism = \"PLAIN\" }"),
        ["kafka.sasl.username", "kafka.sasl.password"]
    );
    assert_eq!(
        sasl("{ mechanism = \"OAUTHBEARER\", username = \"u\" }"),
        ["kafka.sasl.username", "kafka.sasl.token"]
    );
}

fn keys_of(text: &str) -> Vec<String> {
    read(text)
        .unwrap()
        .problems()
        .into_iter()
        .map(|problem| problem.key)
        .collect()
}

#[test]
fn a_certificate_without_its_key_is_reported() {
    let text = "brokers = \"a:1\"\nstart = \"latest\"\ntls = { certificate = \"c\", key_password = { env = \"X\" } }";
    assert_eq!(keys_of(text), ["kafka.tls", "kafka.tls.key_password"]);
}

#[test]
fn paths_start_at_the_pipeline_file() {
    let mut kafka = read(
        "brokers = \"a:1\"\nstart = \"latest\"\ntls = { ca = \"ca.pem\", key = \"/k\" }\n\
         sasl = { mechanism = \"OAUTHBEARER\", token = { file = \"token\" } }",
    )
    .unwrap();
    kafka.resolve_paths(Path::new("/etc/eddy"));
    let tls = kafka.tls.unwrap();
    assert_eq!((tls.ca, tls.key), (Some("/etc/eddy/ca.pem".into()), Some("/k".into())));
    assert_eq!(kafka.sasl.unwrap().token, Some(Secret::File("/etc/eddy/token".into())));
}

#[test]
fn only_unencrypted_remote_brokers_are_warned_about() {
    let warnings = |brokers: &str| {
        settings(Kafka {
            brokers: brokers.into(),
            ..minimal()
        })
        .warnings()
    };
    for local in ["localhost:9092", "127.0.0.1:1, [::1]:2", "PLAINTEXT://localhost:9092"] {
        assert_eq!(warnings(local), Vec::<String>::new(), "{local}");
    }
    assert!(warnings("localhost:1,kafka.example:9092")[0].contains("`kafka.example:9092`"));
    let encrypted = Kafka {
        brokers: "kafka.example:1".into(),
        tls: Some(Tls::default()),
        ..minimal()
    };
    assert_eq!(settings(encrypted).warnings(), Vec::<String>::new());
}

#[test]
fn each_topic_is_named_once_and_rightly() {
    assert_eq!(Topics::default().problems(), vec![]);
    let topics = Topics {
        predictions: "events".into(),
        retraining: "a b".into(),
        ..Topics::default()
    };
    assert_eq!(keys(&topics.problems()), ["topics.predictions", "topics.retraining"]);
}

#[test]
fn no_output_is_read_again_whether_events_are_listed_or_matched() {
    let listed = Topics {
        events: Events::Several(vec!["events".into(), "dead-letters".into()]),
        ..Topics::default()
    };
    assert_eq!(keys(&listed.problems()), ["topics.dead_letters"]);
    let matched = Topics {
        events: toml::from_str::<Topics>("events = { pattern = \"^.*s$\" }")
            .unwrap()
            .events,
        ..Topics::default()
    };
    assert_eq!(keys(&matched.problems()), ["topics.predictions", "topics.dead_letters"]);
    let said = matched.problems()[0].to_string();
    assert!(said.contains("`^.*s$`") && said.contains("in circles"), "{said}");
}

#[test]
fn own_properties_come_last_and_recommended_ones_first() {
    let mut kafka = minimal();
    kafka
        .properties
        .insert("isolation.level".into(), PropertyValue::Text("read_uncommitted".into()));
    kafka
        .properties
        .insert("fetch.wait.max.ms".into(), PropertyValue::Integer(7));
    kafka
        .consumer
        .insert("fetch.wait.max.ms".into(), PropertyValue::Integer(8));
    let config = settings(kafka).consumer_config(0).unwrap();
    assert_eq!(config.get("isolation.level"), Some("read_committed"));
    assert_eq!(config.get("fetch.wait.max.ms"), Some("8"));
}

#[test]
fn a_member_may_be_busy_for_as_long_as_its_session_lasts_at_least() {
    let longest = |session_timeout| {
        let config = settings(Kafka {
            session_timeout: Some(session_timeout),
            ..minimal()
        });
        let config = config.consumer_config(0).unwrap();
        config.get("max.poll.interval.ms").map(str::to_owned)
    };
    assert_eq!(longest(Span::seconds(15)).as_deref(), Some("300000"));
    assert_eq!(longest(Span::seconds(1800)).as_deref(), Some("1800000"));
}

#[test]
fn each_guarantee_has_its_own_properties() {
    let exactly = settings(minimal());
    assert_eq!(
        exactly.consumer_config(2).unwrap().get("enable.auto.commit"),
        Some("false")
    );
    let id = exactly.transactional_id(2);
    assert!(id.starts_with("eddy-digits-") && id.ends_with("-2"), "{id}");
    assert_eq!(
        exactly.producer_config(2).unwrap().get("transactional.id"),
        Some(id.as_str())
    );

    let at_least = settings(Kafka {
        guarantee: Guarantee::AtLeastOnce,
        ..minimal()
    });
    let consumer = at_least.consumer_config(0).unwrap();
    assert_eq!(consumer.get("enable.auto.commit"), Some("true"));
    assert_eq!(consumer.get("enable.auto.offset.store"), Some("false"));
    let producer = at_least.producer_config(0).unwrap();
    assert_eq!(producer.get("transactional.id"), None);
    assert_eq!(producer.get("enable.idempotence"), Some("true"));
}

#[test]
fn a_secret_that_cannot_be_read_is_named_before_anything_connects() {
    let text = "brokers = \"a:1\"\nstart = \"latest\"\n\
                sasl = { mechanism = \"PLAIN\", username = \"u\", password = { env = \"EDDY_TEST_MISSING\" } }";
    let message = settings(read(text).unwrap()).consumer_config(0).unwrap_err();
    assert!(message.contains("`EDDY_TEST_MISSING`"), "{message}");
}

#[test]
fn the_schema_describes_every_field() {
    let schema = serde_json::to_value(schemars::schema_for!(Kafka)).unwrap();
    for (name, field) in schema["properties"].as_object().unwrap() {
        assert!(field["description"].is_string(), "{name}");
    }
}

#[test]
fn a_pattern_whose_topics_begin_anyhow_allows_nobody_to_write_every_topic() {
    let writes = |pattern: &str| {
        let mut settings = settings(minimal());
        settings.topics.events = Events::Matching(Matching {
            pattern: pattern.to_owned(),
            most: 100,
        });
        let permissions = settings.recall_permissions().into_iter();
        let writes = permissions.filter(|one| one.operation == Operation::Write && one.resource == Resource::Topics);
        writes.map(|one| one.name).collect::<Vec<_>>()
    };
    assert_eq!(writes("^(orders|returns)-.*$"), ["orders-", "returns-"]);
    assert_eq!(writes("^.*-orders$"), [""; 0]);
}
