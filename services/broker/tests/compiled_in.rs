//! What the client library was built with. Its default build has no TLS, no SCRAM and no zstd, and says so only when a
//! client is made.

use rdkafka::ClientConfig;
use rdkafka::error::KafkaResult;
use rdkafka::producer::BaseProducer;

fn make(properties: &[(&str, &str)]) -> KafkaResult<BaseProducer> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", "127.0.0.1:9");
    for (name, value) in properties {
        config.set(*name, *value);
    }
    config.create()
}

#[test]
fn tls_and_every_sasl_mechanism_of_the_settings_are_there() {
    assert!(make(&[("security.protocol", "SSL")]).is_ok());
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] {
        let made = make(&[
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", mechanism),
            ("sasl.username", "somebody"),
            ("sasl.password", "secret"),
        ]);
        assert!(made.is_ok(), "{mechanism}: {:?}", made.err());
    }
}

#[test]
fn every_compression_of_the_settings_is_there() {
    for compression in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let made = make(&[("compression.type", compression)]);
        assert!(made.is_ok(), "{compression}: {:?}", made.err());
    }
}

#[test]
fn what_is_not_compiled_in_would_be_noticed() {
    // Kerberos is deliberately absent: the same call that passes above fails here.
    assert!(make(&[("security.protocol", "SASL_SSL"), ("sasl.mechanism", "GSSAPI")]).is_err());
}
