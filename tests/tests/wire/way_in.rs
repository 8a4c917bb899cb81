//! Getting in, or being told why not.

use std::sync::OnceLock;

use eddy_tests::certificates::{Authority, Validity};
use eddy_tests::legacy;
use eddy_tests::secure::{Door, SecureKafka, password_of};
use eddy_tests::service::wait_for;
use eddy_tests::stage::Stage;

use crate::{CONFIGURATION, Client, EXACTLY_ONCE, UNREACHABLE, allow_all, said, stage};

/// Topics that nobody gets to.
fn unreached() -> &'static Stage {
    static STAGE: OnceLock<Stage> = OnceLock::new();
    STAGE.get_or_init(|| stage("wire-unreached", EXACTLY_ONCE))
}

#[track_caller]
fn refused(client: &Client, words: &[&str]) {
    client.fails(unreached(), CONFIGURATION, words);
}

#[test]
fn scram_over_tls_works() {
    SecureKafka::shared().kafka().add_scram_user("scram", "correct-horse");
    let stage = stage("wire-scram", EXACTLY_ONCE);
    allow_all(&stage, "User:scram");
    Client::through(Door::Sasl)
        .named("SCRAM-SHA-512", "scram", "correct-horse")
        .works(&stage);
}

#[test]
fn plain_over_tls_works() {
    let stage = stage("wire-plain", EXACTLY_ONCE);
    allow_all(&stage, "User:plain");
    Client::through(Door::Sasl)
        .named("PLAIN", "plain", &password_of("plain"))
        .works(&stage);
}

#[test]
fn a_certificate_of_ours_works_whose_key_has_a_password() {
    let stage = stage("wire-mutual", EXACTLY_ONCE);
    allow_all(&stage, "User:CN=mutual\\, or not,O=Eddy tests");
    let ours = SecureKafka::shared()
        .authority()
        .issue("mutual, or not", &[], Validity::Now);
    Client::through(Door::Mutual)
        .presenting(&ours, Some("battery staple"))
        .works(&stage);
}

#[test]
fn a_certificate_of_ours_that_will_expire_soon_is_told_of_and_another_is_not() {
    let stage = stage("wire-soon", EXACTLY_ONCE);
    allow_all(&stage, "User:CN=soon,O=Eddy tests");
    let sentence = "client.pem` expires on ";
    for (validity, is_told) in [(Validity::Now, true), (Validity::Long, false)] {
        let ours = SecureKafka::shared().authority().issue("soon", &[], validity);
        let client = Client::through(Door::Mutual).presenting(&ours, None);
        let checked = said(&client.check(&stage), 0);
        assert_eq!(checked.contains(sentence), is_told, "{checked}");
        let mut replica = client.start(&stage);
        wait_for("it to be ready", || (replica.code("/ready") == Some(200)).then_some(()));
        assert_eq!(replica.terminate().code(), Some(0));
        assert_eq!(replica.log().contains(sentence), is_told, "{}", replica.log());
    }
}

#[test]
fn a_wrong_password_is_named_with_its_user_and_its_file() {
    SecureKafka::shared().kafka().add_scram_user("changed", "correct-horse");
    for (mechanism, user) in [("SCRAM-SHA-512", "changed"), ("PLAIN", "plain")] {
        let client = Client::through(Door::Sasl).named(mechanism, user, "battery-staple");
        let place = format!("file `{}/password`", client.folder.path().display());
        refused(
            &client,
            &[
                &format!("do not let in user `{user}`"),
                &place,
                "correct kafka.sasl.username or the password",
            ],
        );
    }
}

#[test]
fn an_unknown_user_is_named() {
    for mechanism in ["SCRAM-SHA-512", "PLAIN"] {
        let client = Client::through(Door::Sasl).named(mechanism, "unknown", "correct-horse");
        refused(
            &client,
            &["do not let in user `unknown`", "add the user to the brokers"],
        );
    }
}

#[test]
fn a_mechanism_that_the_brokers_do_not_take_is_answered_with_theirs() {
    let client = Client::through(Door::Sasl).named("SCRAM-SHA-256", "plain", "correct-horse");
    refused(
        &client,
        &["does not take SCRAM-SHA-256; it takes: ", "SCRAM-SHA-512", "PLAIN"],
    );
}

#[test]
fn a_broker_that_nobody_we_trust_vouches_for_is_refused_with_the_authority_that_does() {
    let address = SecureKafka::shared().address(Door::Sasl);
    let issuer = "was issued by `CN=the tests' authority,O=Eddy tests`";
    let other = Client::at(&address).trusting(&Authority::new("another authority"));
    refused(
        &other,
        &[
            &address,
            issuer,
            "kafka.tls.ca",
            "ca.pem",
            "write that authority's certificate there",
        ],
    );
    let system = Client::at(&address).set("TLS", "{}");
    refused(
        &system,
        &[&address, issuer, "this system does not know", "kafka.tls.ca"],
    );
}

#[test]
fn without_an_authority_of_its_own_a_client_trusts_those_of_the_system() {
    let secure = SecureKafka::shared();
    let stage = stage("wire-system", EXACTLY_ONCE);
    allow_all(&stage, "User:system");
    secure.kafka().add_scram_user("system", "correct-horse");
    let client = Client::at(&secure.address(Door::Sasl)).named("SCRAM-SHA-512", "system", "correct-horse");
    let mut client = client.set("TLS", "{}");
    // What a distribution calls its bundle, OpenSSL's own variable names too.
    let bundle = client.write("bundle.pem", &secure.authority().pem());
    client.settings.push(("SSL_CERT_FILE".into(), bundle.clone()));
    client.works(&stage);
    std::fs::write(&bundle, "").expect("the temporary folder takes a file");
    client.fails(
        &stage,
        CONFIGURATION,
        &["kafka.tls.ca", "bundle.pem", "holds no certificate"],
    );
}

#[test]
fn a_preset_gets_in_with_name_password_and_authority_alone_and_check_says_what_it_sets() {
    let secure = SecureKafka::shared();
    let stage = stage("wire-preset", EXACTLY_ONCE);
    allow_all(&stage, "User:preset");
    secure.kafka().add_scram_user("preset", "correct-horse");
    let client = Client::through(Door::Sasl).set("PRESET", "msk-scram");
    let unnamed = said(&client.check(&stage), CONFIGURATION);
    for word in ["kafka.sasl.username", "AmazonMSK_", "kafka.sasl.password", "{ env = "] {
        assert!(unnamed.contains(word), "{word}: {unnamed}");
    }
    let file = client.write("password", "correct-horse");
    let client = client
        .set("SASL__USERNAME", "preset")
        .set("SASL__PASSWORD", &format!("{{ file = \"{file}\" }}"));
    let report = said(&client.check(&stage), 0);
    for line in [
        "Amazon MSK",
        "sasl.mechanism = SCRAM-SHA-512",
        "socket.keepalive.enable\" = true",
        "kafka.tls.ca",
    ] {
        assert!(report.contains(line), "{line}: {report}");
    }
    client.works(&stage);
}

#[test]
fn a_broker_whose_certificate_expired_is_named_with_the_day() {
    let address = SecureKafka::shared().address(Door::Expired);
    let words = [
        &address,
        "the certificate `CN=broker,O=Eddy tests`",
        " expired on ",
        " GMT; renew it on the broker",
    ];
    Client::through(Door::Expired).fails(unreached(), UNREACHABLE, &words);
}

#[test]
fn a_broker_with_the_certificate_of_another_host_is_refused_with_that_host() {
    let address = SecureKafka::shared().address(Door::Stranger);
    let words = [
        address.as_str(),
        "is for `elsewhere.example`",
        "kafka.brokers",
        "advertised.listeners",
    ];
    refused(&Client::through(Door::Stranger), &words);
    // A name, where the certificate has but an address.
    let port = SecureKafka::shared().address(Door::Sasl).replace("127.0.0.1", "");
    let address = format!("localhost{port}");
    let by_name = Client::through(Door::Sasl).set("BROKERS", &address);
    refused(&by_name, &[&address, "is for `127.0.0.1`", "kafka.brokers"]);
}

#[test]
fn a_broker_that_wants_a_certificate_says_so() {
    let words = ["wants a certificate from us", "kafka.tls.certificate and kafka.tls.key"];
    refused(&Client::through(Door::Mutual), &words);
}

#[test]
fn a_certificate_of_ours_that_expired_is_named_with_its_file_and_the_day() {
    let ours = SecureKafka::shared().authority().issue("eddy", &[], Validity::Over);
    let client = Client::through(Door::Mutual).presenting(&ours, None);
    refused(
        &client,
        &["our certificate `", "client.pem` expired on ", "have it renewed"],
    );
}

#[test]
fn a_certificate_of_ours_from_an_authority_that_the_brokers_do_not_trust_is_named() {
    let ours = Authority::new("another authority").issue("eddy", &[], Validity::Now);
    let client = Client::through(Door::Mutual).presenting(&ours, None);
    let words = [
        "does not accept our certificate `CN=eddy,O=Eddy tests`",
        "client.pem",
        "an authority that the brokers trust",
    ];
    refused(&client, &words);
}

#[test]
fn a_key_that_does_not_open_or_does_not_belong_is_named() {
    let authority = SecureKafka::shared().authority();
    let [ours, other] = ["eddy", "other"].map(|name| authority.issue(name, &[], Validity::Now));
    let locked = Client::through(Door::Mutual).presenting(&ours, Some("battery staple"));
    locked.write("key-password", "wrong");
    refused(
        &locked,
        &["client.key` does not open with the password in file `", "key-password"],
    );
    let mixed = Client::through(Door::Mutual).presenting(&ours, None);
    mixed.write("client.key", &other.key_pem());
    refused(&mixed, &["client.key` is not that of the certificate `", "client.pem"]);
}

#[test]
fn a_broker_that_speaks_tls_only_says_so() {
    let address = SecureKafka::shared().address(Door::Sasl);
    refused(&Client::at(&address), &[&address, "speaks TLS", "write [kafka.tls]"]);
}

#[test]
fn a_broker_that_does_not_speak_tls_says_so() {
    let secure = SecureKafka::shared();
    let address = secure.kafka().bootstrap();
    let client = Client::at(&address).trusting(secure.authority());
    // It ends the connection without a word, as one does that goes down.
    let words = [&address, "does not speak TLS", "remove [kafka.tls]"];
    client.fails(unreached(), UNREACHABLE, &words);
}

#[test]
fn a_broker_that_asks_who_we_are_says_so_and_one_that_does_not_as_well() {
    refused(
        &Client::through(Door::Sasl),
        &["lets nobody in who does not say who he is", "write [kafka.sasl]"],
    );
    let ours = SecureKafka::shared().authority().issue("eddy", &[], Validity::Now);
    let client = Client::through(Door::Mutual).presenting(&ours, None);
    let client = client.named("PLAIN", "plain", &password_of("plain"));
    refused(&client, &["does not ask who we are", "remove [kafka.sasl]"]);
}

#[test]
fn a_version_of_tls_that_protects_nothing_is_not_spoken() {
    let secure = SecureKafka::shared();
    let server = legacy::Server::start(secure.authority());
    let client = Client::at(&server.address()).trusting(secure.authority());
    refused(&client, &[&server.address(), "from TLS 1.2 on"]);
    assert!(server.shook_hands_with_a_careless_client(), "it does speak TLS 1.1");
}
