//! `eddy health`, `pause` and `log` at an admin address with TLS, and what they say when one does not trust the other.

use std::path::PathBuf;
use std::process::{Command, Output};

use eddy_tests::service::said;

use super::*;

const BINARY: &str = env!("CARGO_BIN_EXE_eddy-under-test");
const UNREACHABLE: i32 = 69;
const CONFIGURATION: i32 = 78;

fn eddy(words: &[&str]) -> Output {
    Command::new(BINARY).args(words).output().expect("the program runs")
}

/// The same with these variables of the environment.
fn eddy_under(variables: &[(&str, &str)], words: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    let command = command.args(words).envs(variables.iter().copied());
    command.output().expect("the program runs")
}

impl Files {
    /// A pipeline file with the admin address of this service and these files.
    fn pipeline(&self, service: &Service) -> PathBuf {
        let text = format!(
            "format = 2\nname = \"digits\"\n[kafka]\nbrokers = \"localhost:9092\"\nstart = \"latest\"\n[fields.x]\ntype = \"float\"\n\
             [[models]]\nname = \"m\"\npath = \"m.onnx\"\nhead = {{ type = \"classification\", from = \"probabilities\" }}\n\
             [admin]\naddress = \"{}\"\ntoken = {{ file = \"token\" }}\n\
             [admin.tls]\ncertificate = \"server.pem\"\nkey = {{ file = \"server.key\" }}\n",
            service.address()
        );
        self.write("pipeline.toml", &text);
        self.path("pipeline.toml")
    }
}

#[test]
fn a_pipeline_file_is_all_that_the_commands_need() {
    let files = Files::new();
    let service = Service::start(&files.settings());
    let pipeline = files.pipeline(&service);
    let pipeline = pipeline.to_str().expect("a plain path");
    let url = format!("https://{}", service.address());
    assert_eq!(said(&eddy(&["health", pipeline]), 0), format!("{url}: alive\n"));
    assert_eq!(said(&eddy(&["pause", pipeline]), 0), format!("{url}: pause is done\n"));
    said(&eddy(&["log", "debug", pipeline, "--for", "30s"]), 0);
    said(&eddy(&["log", "configured", pipeline]), 0);
    let changed = service.changed.0.lock().expect("nobody panics");
    let bodies: Vec<&[u8]> = changed.iter().map(|(_, body)| body.as_slice()).collect();
    let log = [
        br#"{"level":"debug","for":"30s"}"#.as_slice(),
        br#"{"level":"configured"}"#.as_slice(),
    ];
    assert_eq!(bodies, [b"".as_slice(), log[0], log[1]]);
}

#[test]
fn a_replica_is_found_alive_whatever_became_of_the_files_that_it_was_started_with() {
    let files = Files::new();
    let service = Service::start(&files.settings());
    let pipeline = files.pipeline(&service);
    let pipeline = pipeline.to_str().expect("a plain path");
    let url = format!("https://{}", service.address());

    // Half renewed, then gone: the service goes on with the certificate that it has.
    let renewed = files.authority.issue("eddy", &["renewed.test"], Validity::Over);
    files.write("server.pem", &renewed.certificate_pem());
    assert_eq!(said(&eddy(&["health", pipeline]), 0), format!("{url}: alive\n"));
    for name in ["server.pem", "server.key", "token"] {
        std::fs::remove_file(files.path(name)).expect("it is there");
    }
    said(&eddy(&["health", pipeline]), 0);

    // The file itself is one that no service would start with.
    let text = std::fs::read_to_string(pipeline).expect("it is there");
    for (right, wrong) in [
        ("start = \"latest\"", "start = \"yesterday\""),
        ("[fields.x]", "[feilds.x]"),
        ("format = 2", "format = 99"),
    ] {
        assert!(text.contains(right), "{text}");
        files.write("pipeline.toml", &text.replace(right, wrong));
        said(&eddy(&["health", pipeline]), 0);
        let unknown = [("EDDY__MODELS__0__NO_SUCH_KEY", "1")];
        said(&eddy_under(&unknown, &["health", pipeline]), 0);
    }
    files.write("pipeline.toml", &text.replace("[admin]", "[admin]\nadress = \"off\""));
    let broken = said(&eddy(&["health", pipeline]), CONFIGURATION);
    assert!(broken.contains("did you mean `address`?"), "{broken}");
    let missing = said(&eddy(&["health", "/nowhere/pipeline.toml"]), CONFIGURATION);
    assert!(missing.contains("/nowhere/pipeline.toml: cannot be read"), "{missing}");
    // Where a replica is named, the file does not matter.
    let ca = files.path("ca.pem");
    let ca = ca.to_str().expect("a plain path");
    said(&eddy(&["health", "--admin", &url, "--ca", ca, pipeline]), 0);
}

#[test]
fn without_a_file_the_environment_says_where_the_admin_address_is_and_how_it_speaks() {
    let files = Files::new();
    let service = Service::start(&files.settings());
    let address = service.address().to_string();
    let path = |name: &str| files.path(name).to_str().expect("a plain path").to_owned();
    let key = format!("{{ file = \"{}\" }}", path("server.key"));
    let token = format!("{{ file = \"{}\" }}", path("token"));
    let variables = [
        ("EDDY__ADMIN__ADDRESS", address.as_str()),
        ("EDDY__ADMIN__TLS__CERTIFICATE", &path("server.pem")),
        ("EDDY__ADMIN__TLS__KEY", &key),
        ("EDDY__ADMIN__TOKEN", &token),
        ("EDDY__KAFKA__INSTANCE", "another-table"),
    ];
    assert_eq!(
        said(&eddy_under(&variables, &["health"]), 0),
        format!("https://{address}: alive\n")
    );
    said(&eddy_under(&variables, &["pause"]), 0);
    assert_eq!(service.changed.verbs(), ["pause"]);
    let plain = said(&eddy_under(&variables[..1], &["health"]), UNREACHABLE);
    assert!(plain.contains("https://"), "{plain}");
    let off = said(
        &eddy_under(&[("EDDY__ADMIN__ADDRESS", "off")], &["health"]),
        CONFIGURATION,
    );
    assert!(off.contains("`admin.address` is \"off\""), "{off}");
    let unknown = said(
        &eddy_under(&[("EDDY__ADMIN__ADRESS", "off")], &["health"]),
        CONFIGURATION,
    );
    assert!(unknown.contains("did you mean EDDY__ADMIN__ADDRESS?"), "{unknown}");
}

#[test]
fn a_token_is_not_sent_in_the_open_nor_to_whom_any_public_authority_vouches_for() {
    let files = Files::new();
    let service = Service::start(&files.settings());
    let pipeline = files.pipeline(&service);
    let pipeline = pipeline.to_str().expect("a plain path");
    let plain = format!("http://{}", service.address());
    let refused = said(&eddy(&["pause", "--admin", &plain, pipeline]), CONFIGURATION);
    assert!(
        refused.contains("in the open") && refused.contains("https://"),
        "{refused}"
    );

    let encrypted = format!("https://{}", service.address());
    let path = |name: &str| files.path(name).to_str().expect("a plain path").to_owned();
    // As if its authority were one of the public.
    let public = [("SSL_CERT_FILE", path("ca.pem"))];
    let public = public.each_ref().map(|(name, value)| (*name, value.as_str()));
    let words = ["pause", "--admin", &encrypted, "--token-file", &path("token")];
    let refused = said(&eddy_under(&public, &words), CONFIGURATION);
    assert!(refused.contains("--ca"), "{refused}");
    assert_eq!(service.changed.verbs(), Vec::<String>::new());
    // Health is no secret.
    said(&eddy_under(&public, &["health", "--admin", &encrypted]), 0);
}

#[test]
fn a_named_replica_is_trusted_by_its_authority_and_on_this_machine_by_any_name() {
    let files = Files::new();
    files.show(&files.authority.issue("eddy", &["elsewhere.test"], Validity::Long));
    let service = Service::start(&files.settings());
    let url = format!("https://{}", service.address());
    let ca = files.path("ca.pem");
    let ca = ca.to_str().expect("a plain path");
    said(&eddy(&["health", "--admin", &url, "--ca", ca]), 0);
    let token = files.path("token");
    let token = token.to_str().expect("a plain path");
    said(&eddy(&["pause", "--admin", &url, "--ca", ca, "--token-file", token]), 0);
    assert_eq!(service.changed.verbs(), ["pause"]);
}

#[test]
fn who_is_not_to_be_trusted_gets_no_token_and_the_command_says_why() {
    let files = Files::new();
    let service = Service::start(&files.settings());
    let url = format!("https://{}", service.address());
    files.write("stranger.pem", &Authority::new("a stranger").pem());
    let path = |name: &str| files.path(name).to_str().expect("a plain path").to_owned();
    let pause = |more: &[&str]| {
        let token = path("token");
        let words = ["pause", "--admin", &url, "--token-file", &token];
        eddy(&[&words, more].concat())
    };
    let stranger = said(&pause(&["--ca", &path("stranger.pem")]), CONFIGURATION);
    assert!(
        stranger.contains("not to be trusted") && stranger.contains("--ca"),
        "{stranger}"
    );
    let nothing = said(&pause(&["--ca", &path("nowhere.pem")]), CONFIGURATION);
    assert!(nothing.contains("nowhere.pem"), "{nothing}");
    // An authority of the public does not know it.
    let output = Command::new(BINARY)
        .args(["health", "--admin", &url])
        .env("SSL_CERT_FILE", path("stranger.pem"))
        .output()
        .expect("the program runs");
    assert!(said(&output, CONFIGURATION).contains("--ca"));
    assert_eq!(service.changed.verbs(), Vec::<String>::new());

    // The pipeline file's certificate is not the one that is shown: a stale file, or somebody else.
    let pipeline = files.pipeline(&service);
    let other = files.authority.issue("eddy", &["eddy.test"], Validity::Long);
    files.write("other.pem", &other.certificate_pem());
    let output = Command::new(BINARY)
        .args(["pause", pipeline.to_str().expect("a plain path")])
        .env("EDDY__ADMIN__TLS__CERTIFICATE", "other.pem")
        .output()
        .expect("the program runs");
    let other = said(&output, CONFIGURATION);
    assert!(other.contains("admin.tls.certificate"), "{other}");
    assert_eq!(service.changed.verbs(), Vec::<String>::new());
}

#[test]
fn eddy_check_names_files_that_are_not_fit_and_offline_reads_none() {
    let files = Files::new();
    let service = Service::start(&files.settings());
    let pipeline = files.pipeline(&service);
    let pipeline = pipeline.to_str().expect("a plain path");
    let other = files.authority.issue("eddy", &["eddy.test"], Validity::Over);
    files.write("server.pem", &other.certificate_pem());
    files.write("server.key", &other.key_pem());
    let over = said(&eddy(&["check", pipeline]), CONFIGURATION);
    assert!(
        over.contains("`admin.tls.certificate`") && over.contains("expired on"),
        "{over}"
    );
    let offline = said(&eddy(&["check", "--offline", pipeline]), CONFIGURATION);
    assert!(offline.contains("m.onnx") && !offline.contains("admin"), "{offline}");
}

#[test]
fn a_client_certificate_is_shown_where_one_is_wanted() {
    let files = Files::new();
    files.write_client("friend", &files.authority.issue("friend", &[], Validity::Now));
    let mut settings = files.settings();
    settings.tls.as_mut().expect("it has TLS").client_ca = Some(files.path("ca.pem"));
    let service = Service::start(&settings);
    let pipeline = files.pipeline(&service);
    let path = |name: &str| files.path(name).to_str().expect("a plain path").to_owned();
    let pipeline = pipeline.to_str().expect("a plain path");
    let ours = ["--certificate", &path("friend.pem"), "--key", &path("friend.key")];
    said(&eddy(&[&["health", pipeline], &ours[..]].concat()), 0);
    said(&eddy(&[&["pause", pipeline], &ours[..]].concat()), 0);
    for words in [["pause", pipeline].as_slice(), &["health", "--ready", pipeline]] {
        let refused = said(&eddy(words), CONFIGURATION);
        assert!(
            refused.contains("admin.tls.client_ca") && refused.contains("--certificate"),
            "{refused}"
        );
    }
    assert_eq!(service.changed.verbs(), ["pause"]);
    // A restart mends no certificate of ours: who refuses it lives, where the settings say that one is wanted. Else it may be
    // somebody who has taken the port.
    files.write_client("late", &files.authority.issue("late", &[], Validity::Over));
    let late = ["--certificate", &path("late.pem"), "--key", &path("late.key")];
    let words = [&["health", pipeline], &late[..]].concat();
    let unexpected = said(&eddy(&words), CONFIGURATION);
    assert!(unexpected.contains("certificate expired"), "{unexpected}");
    let lives = said(&eddy_under(&[("EDDY__ADMIN__TLS__CLIENT_CA", "ca.pem")], &words), 0);
    assert!(
        lives.contains("alive, and") && lives.contains("certificate expired"),
        "{lives}"
    );
}

#[test]
fn a_plain_question_to_an_encrypted_address_is_told_what_to_write() {
    let files = Files::new();
    let service = Service::start(&files.settings());
    let plain = format!("http://{}", service.address());
    let said = said(&eddy(&["health", "--admin", &plain]), UNREACHABLE);
    assert!(said.contains("https://"), "{said}");
}
