//! Tokens from an identity provider, on a broker that checks their signature with the provider's key.

use std::time::Duration;

use eddy_tests::certificates::{Authority, Validity};
use eddy_tests::identity_provider::IdentityProvider;
use eddy_tests::secure::{Door, SecureKafka, TOKEN_CLIENT, TOKEN_SECRET};
use eddy_tests::service::wait_for;
use eddy_tests::stage::by_id;

use crate::{BINARY, CONFIGURATION, Client, EXACTLY_ONCE, UNREACHABLE, allow_all, events, stage};

/// A pipeline that gets its tokens from the provider whose key the broker knows.
fn client(provider: &IdentityProvider, secret: &str) -> Client {
    let client = Client::through(Door::Token)
        .set("SASL__MECHANISM", "OAUTHBEARER")
        .set("SASL__OIDC__TOKEN_ENDPOINT", &provider.endpoint())
        .set("SASL__OIDC__CLIENT_ID", TOKEN_CLIENT)
        .set("SASL__OIDC__SCOPE", "kafka");
    let file = client.write("client-secret", secret);
    client.set("SASL__OIDC__CLIENT_SECRET", &format!("{{ file = \"{file}\" }}"))
}

#[test]
fn a_token_that_is_fetched_lets_us_in_and_so_does_one_that_is_put_there() {
    let provider = SecureKafka::shared().provider();
    let stage = stage("wire-token", EXACTLY_ONCE);
    allow_all(&stage, "User:token-client");
    client(provider, TOKEN_SECRET).works(&stage);

    let put = Client::through(Door::Token).set("SASL__MECHANISM", "OAUTHBEARER");
    let file = put.write("token", &provider.token());
    let put = put.set("SASL__TOKEN", &format!("{{ file = \"{file}\" }}"));
    stage.send(&events(60));
    let outputs = stage.run(BINARY, &put.settings());
    assert_eq!(by_id(&outputs.predictions).len(), 120);
}

#[test]
fn without_permission_the_subject_of_the_token_is_who_lacks_it() {
    let stage = stage("wire-token-nobody", EXACTLY_ONCE);
    let words = [
        "allow our principal `User:token-client`",
        "--allow-principal 'User:token-client'",
    ];
    client(SecureKafka::shared().provider(), TOKEN_SECRET).fails(&stage, CONFIGURATION, &words);
}

#[test]
fn a_wrong_secret_is_named_with_its_client_and_the_words_of_the_endpoint() {
    let provider = SecureKafka::shared().provider();
    let stage = stage("wire-token-secret", EXACTLY_ONCE);
    let words = [
        provider.endpoint(),
        "does not let in client `token-client`".into(),
        "client-secret`".into(),
        "invalid_client: as the test wants it".into(),
    ];
    client(provider, "wrong").fails(&stage, CONFIGURATION, &words.each_ref().map(String::as_str));
}

#[test]
fn an_endpoint_that_is_not_there_or_in_trouble_is_named() {
    let stage = stage("wire-token-nowhere", EXACTLY_ONCE);
    let nowhere = client(SecureKafka::shared().provider(), TOKEN_SECRET)
        .set("SASL__OIDC__TOKEN_ENDPOINT", "http://127.0.0.1:1/t");
    nowhere.fails(
        &stage,
        UNREACHABLE,
        &["the token endpoint `http://127.0.0.1:1/t` does not answer"],
    );
    let troubled = IdentityProvider::start(TOKEN_CLIENT, TOKEN_SECRET);
    troubled.set_away(true);
    client(&troubled, TOKEN_SECRET).fails(
        &stage,
        UNREACHABLE,
        &["is in trouble: HTTP status 503, temporarily_unavailable"],
    );
}

#[test]
fn a_token_is_fetched_over_tls_where_an_authority_that_we_trust_vouches_for_the_endpoint() {
    let secure = SecureKafka::shared();
    let identity = secure.authority().issue("provider", &["127.0.0.1"], Validity::Now);
    let provider = secure.provider().twin_over_tls(&identity);
    let stage = stage("wire-token-tls", EXACTLY_ONCE);
    allow_all(&stage, "User:token-client");
    over_tls(&provider, secure.authority()).works(&stage);
}

#[test]
fn an_endpoint_that_is_not_who_it_should_be_gets_no_secret_and_is_named_with_the_reason() {
    let secure = SecureKafka::shared();
    let (ours, other) = (secure.authority(), Authority::new("another authority"));
    let stage = stage("wire-token-distrusted", EXACTLY_ONCE);
    let host = ["127.0.0.1"].as_slice();
    let cases = [
        (
            other.issue("provider", host, Validity::Now),
            CONFIGURATION,
            [
                "kafka.sasl.oidc.ca",
                "not to be trusted: unable to get local issuer certificate;",
            ],
        ),
        (
            ours.issue("provider", &["elsewhere.example"], Validity::Now),
            CONFIGURATION,
            ["write the host", "not to be trusted: IP address mismatch;"],
        ),
        (
            ours.issue("provider", host, Validity::Over),
            UNREACHABLE,
            ["renew its certificate", "not to be trusted: certificate has expired;"],
        ),
    ];
    for (identity, code, [step, reason]) in cases {
        let provider = secure.provider().twin_over_tls(&identity);
        let endpoint = format!("`{}`", provider.endpoint());
        over_tls(&provider, ours).fails(&stage, code, &[&endpoint, step, reason]);
        assert_eq!((provider.granted(), provider.turned_away()), (0, 0), "it was asked");
    }
}

/// The endpoint's authority is ours.
fn over_tls(provider: &IdentityProvider, authority: &Authority) -> Client {
    let client = client(provider, TOKEN_SECRET);
    let ca = client.write("endpoint-ca.pem", &authority.pem());
    client.set("SASL__OIDC__CA", &ca)
}

#[test]
fn tokens_of_a_provider_that_the_brokers_do_not_know_are_refused() {
    let stage = stage("wire-token-foreign", EXACTLY_ONCE);
    let foreign = IdentityProvider::start(TOKEN_CLIENT, TOKEN_SECRET);
    let words = ["the brokers do not accept our token", "issuer, audience, scope and key"];
    client(&foreign, TOKEN_SECRET).fails(&stage, CONFIGURATION, &words);
}

#[test]
fn tokens_are_replaced_while_events_flow_through_an_outage_of_the_provider() {
    // A provider of its own, with the key that the broker knows, so that only this stream sees the outage.
    let provider = SecureKafka::shared().provider().twin();
    provider.issue_for(Duration::from_secs(10));
    let stage = stage("wire-token-replaced", EXACTLY_ONCE);
    allow_all(&stage, "User:token-client");
    let client = client(&provider, TOKEN_SECRET);
    let mut replica = client.start(&stage);
    stage.send(&events(0));
    stage.wait_for_end(&mut replica);
    wait_for("a second token", || (provider.granted() >= 2).then_some(()));

    provider.set_away(true);
    wait_for("the provider to be missed", || {
        (provider.turned_away() >= 3).then_some(())
    });
    provider.set_away(false);
    let before = provider.granted();
    wait_for("another token", || (provider.granted() > before).then_some(()));
    stage.send(&events(60));
    stage.wait_for_end(&mut replica);
    assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());
    assert_eq!(by_id(&stage.outputs().predictions).len(), 120);
}
