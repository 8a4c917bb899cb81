use super::*;

const ADDRESS: &str = "brokers = \"broker.example:9092\"\nstart = \"earliest\"\n";

fn read(preset: Preset, more: &str) -> Kafka {
    let text = format!("{ADDRESS}preset = \"{}\"\n{more}", preset.as_str());
    let mut kafka: Kafka = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    kafka.apply_preset();
    kafka
}

fn property<'a>(kafka: &'a Kafka, name: &str) -> Option<&'a PropertyValue> {
    kafka.properties.get(name)
}

fn said(kafka: &Kafka) -> Vec<(String, String)> {
    let problems = kafka.problems().into_iter();
    problems.map(|problem| (problem.key, problem.message)).collect()
}

/// Complete settings of each preset, and what it is to set: mechanism, session, compression.
const COMPLETE: [(Preset, &str, Option<Mechanism>); 8] = [
    (Preset::ConfluentCloud, NAMED, Some(Mechanism::Plain)),
    (Preset::MskScram, NAMED, Some(Mechanism::ScramSha512)),
    (Preset::MskCertificate, CERTIFICATE, None),
    (
        Preset::EventHubs,
        "sasl = { password = { env = \"P\" } }",
        Some(Mechanism::Plain),
    ),
    (Preset::Aiven, NAMED_BY_AUTHORITY, Some(Mechanism::ScramSha256)),
    (
        Preset::AivenCertificate,
        "tls = { ca = \"ca\", certificate = \"c\", key = \"k\" }",
        None,
    ),
    (Preset::RedpandaCloud, NAMED, Some(Mechanism::ScramSha256)),
    (Preset::GoogleManagedKafka, NAMED, Some(Mechanism::Plain)),
];
const NAMED: &str = "sasl = { username = \"u\", password = { env = \"P\" } }";
const NAMED_BY_AUTHORITY: &str = "sasl = { username = \"u\", password = { env = \"P\" } }\ntls = { ca = \"ca.pem\" }";
const CERTIFICATE: &str = "tls = { certificate = \"c\", key = \"k\" }";

#[test]
fn each_preset_encrypts_and_says_who_we_are_as_its_service_wants() {
    assert_eq!(COMPLETE.map(|(preset, ..)| preset), Preset::ALL);
    for (preset, more, mechanism) in COMPLETE {
        let kafka = read(preset, more);
        assert_eq!(said(&kafka), [], "{preset:?}");
        assert!(kafka.tls.is_some(), "{preset:?}");
        assert_eq!(kafka.sasl.as_ref().map(Sasl::mechanism), mechanism, "{preset:?}");
        let keeps_alive = Some(&PropertyValue::Flag(true));
        assert_eq!(property(&kafka, "socket.keepalive.enable"), keeps_alive, "{preset:?}");
        let mut again = kafka.clone();
        again.apply_preset();
        assert_eq!(again, kafka);
    }
}

#[test]
fn each_preset_names_what_is_still_to_be_given() {
    for (preset, ..) in COMPLETE {
        let found = said(&read(preset, ""));
        let keys: Vec<&str> = found.iter().map(|(key, _)| key.as_str()).collect();
        let expected: &[&str] = match preset {
            Preset::MskCertificate => &["kafka.tls.certificate"],
            Preset::AivenCertificate => &["kafka.tls.ca", "kafka.tls.certificate"],
            Preset::Aiven => &["kafka.sasl.username", "kafka.sasl.password", "kafka.tls.ca"],
            Preset::EventHubs => &["kafka.sasl.password"],
            _ => &["kafka.sasl.username", "kafka.sasl.password"],
        };
        assert_eq!(keys, expected, "{preset:?}: {found:?}");
        let name = preset.service().name;
        assert!(found.iter().all(|(_, message)| message.contains(name)), "{found:?}");
    }
    let [username, password] = &said(&read(Preset::ConfluentCloud, ""))[..] else {
        panic!("two things are missing");
    };
    assert!(username.1.contains("the API key;"), "{username:?}");
    assert!(
        password.1.contains("secret") && password.1.contains("{ file = "),
        "{password:?}"
    );
}

#[test]
fn the_files_own_settings_win() {
    let more = "session_timeout = \"20s\"\ncompression = \"gzip\"\nconsumer = { \"metadata.max.age.ms\" = 60000 }\n\
                properties = { \"socket.keepalive.enable\" = false }\n\
                sasl = { mechanism = \"SCRAM-SHA-512\", username = \"u\", password = { env = \"P\" } }";
    let kafka = read(Preset::EventHubs, more);
    assert_eq!(said(&kafka), []);
    assert_eq!(kafka.session_timeout(), Span::seconds(20));
    assert_eq!(kafka.compression(), Compression::Gzip);
    let sasl = kafka.sasl.as_ref().expect("there is one");
    assert_eq!(
        (sasl.mechanism(), sasl.username.as_deref()),
        (Mechanism::ScramSha512, Some("u"))
    );
    // The consumer's own says nothing of the producer, whose connections Event Hubs ends as well.
    assert_eq!(
        property(&kafka, "metadata.max.age.ms"),
        Some(&PropertyValue::Integer(180_000))
    );
    assert_eq!(
        kafka.consumer.get("metadata.max.age.ms"),
        Some(&PropertyValue::Integer(60_000))
    );
    assert_eq!(
        property(&kafka, "socket.keepalive.enable"),
        Some(&PropertyValue::Flag(false))
    );
    let lines = kafka.preset_lines();
    assert_eq!(
        lines.iter().filter(|line| line.ends_with("(the file's own)")).count(),
        6,
        "{lines:#?}"
    );
}

#[test]
fn what_a_preset_sets_is_told() {
    let kafka = read(Preset::EventHubs, "sasl = { password = { env = \"P\" } }");
    let expected = [
        "tls = by the public authorities that this system knows",
        "sasl.mechanism = PLAIN",
        "sasl.username = $ConnectionString",
        "session_timeout = 30s",
        "compression = none",
        "properties.\"socket.keepalive.enable\" = true",
        "properties.\"metadata.max.age.ms\" = 180000",
    ];
    assert_eq!(kafka.preset_lines(), expected);
    let confluent = read(Preset::ConfluentCloud, NAMED);
    assert_eq!(confluent.session_timeout(), Span::seconds(45));
    let plain: Kafka = toml::from_str(ADDRESS).expect("sound");
    assert_eq!(
        (plain.session_timeout(), plain.compression()),
        (Span::seconds(15), Compression::Lz4)
    );
    assert!(plain.preset_lines().is_empty());
}

#[test]
fn what_a_service_cannot_do_is_said_by_name() {
    let mut kafka = read(Preset::MskScram, NAMED);
    kafka.brokers = "a.example:9096,b.example:9098".into();
    let [(key, message)] = &said(&kafka)[..] else {
        panic!("one thing is wrong");
    };
    assert_eq!(key, "kafka.brokers");
    assert!(
        message.contains("`b.example:9098`") && message.contains("IAM") && message.contains("9096"),
        "{message}"
    );
    let mut hubs = read(Preset::EventHubs, "sasl = { password = { env = \"P\" } }");
    assert!(
        hubs.warnings().iter().any(|warning| warning.contains("Premium")),
        "{:?}",
        hubs.warnings()
    );
    hubs.guarantee = Guarantee::AtLeastOnce;
    assert_eq!(hubs.warnings(), Vec::<String>::new());
}
