use eddy_broker::Fault;
use eddy_broker::kafka::{CheckError, KafkaBroker, check};
use eddy_broker::settings::Guarantee;

use crate::driver::{Lane, cluster, settings, settings_at};

#[test]
fn a_missing_topic_is_named_with_the_command_that_creates_it() {
    let cluster = cluster(1);
    let mut settings = settings(&cluster, Guarantee::AtLeastOnce);
    settings.topics.retraining = "nowhere".into();
    let error = KafkaBroker::open(&settings, 0).unwrap_err();
    assert_eq!(error.fault, Fault::Refused);
    assert!(
        error.to_string().contains("`nowhere`") && error.to_string().contains("kafka-topics.sh --create"),
        "{error}"
    );
    settings.topics.retraining = "retraining".into();
    settings.topics.events = "nothing".into();
    assert!(
        KafkaBroker::open(&settings, 0)
            .unwrap_err()
            .to_string()
            .contains("`nothing`")
    );
}

#[test]
fn brokers_that_do_not_answer_are_reported_with_the_clients_own_words() {
    // Nobody listens on the port of TCP's own multiplexer.
    let settings = settings_at("127.0.0.1:1", Guarantee::AtLeastOnce);
    let error = KafkaBroker::open(&settings, 0).unwrap_err();
    assert_eq!(error.fault, Fault::Retriable);
    assert!(
        error.to_string().contains("kafka.brokers") && error.to_string().contains("refused"),
        "{error}"
    );
}

#[test]
fn a_check_lists_every_topic() {
    let cluster = cluster(3);
    let mut settings = settings(&cluster, Guarantee::ExactlyOnce);
    settings.kafka.lanes = 4;
    let report = check(&settings).unwrap();
    assert_eq!(report.brokers, 1);
    let topics: Vec<_> = report
        .topics
        .iter()
        .map(|topic| (topic.key, topic.partitions))
        .collect();
    let expected = [
        ("topics.events", 3),
        ("topics.predictions", 2),
        ("topics.retraining", 2),
        ("topics.dead_letters", 2),
    ];
    assert_eq!(topics, expected);
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains("kafka.lanes is 4")),
        "{report:?}"
    );
}

#[test]
fn a_check_reports_all_missing_topics_at_once() {
    let cluster = cluster(1);
    let mut settings = settings(&cluster, Guarantee::ExactlyOnce);
    settings.topics.events = "nothing".into();
    settings.topics.dead_letters = "nowhere".into();
    let Err(CheckError::Problems(problems)) = check(&settings) else {
        panic!("they were found")
    };
    let keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["topics.events", "topics.dead_letters"]);
}

#[test]
fn a_check_disturbs_nobody() {
    let cluster = cluster(1);
    let settings = settings(&cluster, Guarantee::AtLeastOnce);
    let mut lane = Lane::with_everything(&settings);
    check(&settings).unwrap();
    for _ in 0..50 {
        assert_eq!(lane.poll(), eddy_broker::Polled::Idle);
    }
}
