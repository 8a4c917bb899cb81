//! TLS at the admin address: who is let in, whom a client trusts, and renewed certificates.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use eddy_host::{
    AdminServer, AdminSources, Answer, ClientTls, Error, ExitCode, NoControl, NoStatus, Place, Post, Readiness,
};
use eddy_host::{Trust, post, probe};
use eddy_pipeline::settings::Span;
use eddy_tests::service::wait_for;
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode, SslVersion};
use rustix::fs::{Mode, OFlags};

use super::*;

/// Asks for `/live` as a client that trusts so and shows this.
fn live(service: &Service, trust: Trust<'_>, ours: Option<(&Path, &Path)>) -> Result<Answer, Error> {
    let tls = ClientTls::new(trust, ours).expect("the files are sound");
    let place = Place {
        tls: Some(tls),
        ..service.address().into()
    };
    probe(place, "/live", PATIENCE)
}

/// Why a client and the server do not come together.
#[track_caller]
fn why(result: Result<Answer, Error>) -> String {
    match result {
        Err(error @ (Error::Untrusted { .. } | Error::Refused { .. })) => {
            assert_eq!(error.exit_code(), ExitCode::Configuration);
            error.to_string()
        }
        other => panic!("one does not trust the other: {other:?}"),
    }
}

fn authorities<'a>(path: &'a Path, host: Option<&'a str>) -> Trust<'a> {
    Trust::Authorities { path, host }
}

/// The service as it looks at its files, and waits for the certificate as on a mount whose server is gone.
struct Look<'a> {
    files: &'a Files,
    pipe: File,
}

impl<'a> Look<'a> {
    /// Waits until it looks. It has come to an end with every look before.
    fn begun(files: &'a Files) -> Self {
        let path = Self::pipe(files);
        Self::waiting_at(files, &path)
    }

    fn waiting_at(files: &'a Files, pipe: &Path) -> Self {
        let open = || {
            let flags = OFlags::WRONLY | OFlags::NONBLOCK;
            // Without a reader that fails.
            rustix::fs::open(pipe, flags, Mode::empty()).ok()
        };
        let pipe = wait_for("a look at the files", open).into();
        Self { files, pipe }
    }

    /// A pipe in the place of the certificate.
    fn pipe(files: &Files) -> PathBuf {
        let (new, path) = (files.path("new-pipe"), files.path("server.pem"));
        let made = Command::new("mkfifo").arg(&new).status().expect("there is mkfifo");
        assert!(made.success());
        std::fs::rename(new, &path).expect("it takes the place of the file");
        path
    }

    /// It finds this certificate; gives the look after it.
    fn reads(mut self, certificate: &str) -> Self {
        // The pipe of the next one lies there before this one ends.
        let path = Self::pipe(self.files);
        self.pipe.write_all(certificate.as_bytes()).expect("somebody reads");
        drop(self.pipe);
        Self::waiting_at(self.files, &path)
    }

    /// It finds this certificate, and so do all looks after it.
    fn ends_with(mut self, certificate: &str) {
        std::fs::remove_file(self.files.path("server.pem")).expect("the pipe is there");
        self.files.write("server.pem", certificate);
        self.pipe.write_all(certificate.as_bytes()).expect("somebody reads");
    }
}

/// The expiry that `/metrics` shows.
fn expiry(service: &Service) -> f64 {
    let text = service.metrics.gather();
    let line = text
        .lines()
        .find(|line| line.starts_with("eddy_certificate_expiry_time_seconds{"))
        .expect("there is a certificate");
    assert!(line.contains("table=\"admin.tls\""), "{line}");
    line.rsplit_once(' ').expect("a value").1.parse().expect("a number")
}

#[test]
fn a_client_talks_to_the_certificate_that_it_knows_and_to_no_other() {
    let files = Files::new();
    let service = Service::start(&files.settings());
    let own = files.path("server.pem");
    assert_eq!(
        live(&service, Trust::Certificate(&own), None)
            .expect("it answers")
            .status,
        200
    );

    let other = files.authority.issue("eddy", &["eddy.test"], Validity::Long);
    files.write("other.pem", &other.certificate_pem());
    let said = why(live(&service, Trust::Certificate(&files.path("other.pem")), None));
    assert!(
        said.contains("another certificate than the one in `admin.tls.certificate`"),
        "{said}"
    );
}

#[test]
fn a_client_talks_to_whom_its_authority_vouches_for_by_the_name_that_it_asked_for() {
    let files = Files::new();
    let service = Service::start(&files.settings());
    let (ca, stranger) = (files.path("ca.pem"), files.path("stranger.pem"));
    files.write("stranger.pem", &Authority::new("a stranger").pem());
    for host in [Some("eddy.test"), Some("127.0.0.1"), None] {
        let answer = live(&service, authorities(&ca, host), None);
        assert_eq!(answer.expect("it answers").status, 200, "{host:?}");
    }
    // Whom one names is trusted itself.
    let own = files.path("server.pem");
    assert_eq!(
        live(&service, authorities(&own, None), None)
            .expect("it answers")
            .status,
        200
    );
    for (path, host) in [
        (&ca, Some("other.test")),
        (&ca, Some("127.0.0.2")),
        (&stranger, Some("eddy.test")),
    ] {
        let said = why(live(&service, authorities(path, host), None));
        assert!(
            said.contains("its certificate is not to be trusted"),
            "{host:?}: {said}"
        );
    }
}

#[test]
fn a_token_travels_encrypted_and_changes_something() {
    let files = Files::new();
    let service = Service::start(&files.settings());
    let tls = ClientTls::new(Trust::Certificate(&files.path("server.pem")), None).expect("sound files");
    let place = Place {
        tls: Some(tls),
        ..service.address().into()
    };
    let request = Post {
        path: "/pause",
        token: Some(TOKEN),
        body: "",
    };
    assert_eq!(post(place, &request, PATIENCE).expect("it answers").status, 200);
    assert_eq!(service.changed.verbs(), ["pause"]);
}

#[test]
fn who_speaks_plainly_is_told_so_and_changes_nothing_even_with_the_token() {
    let files = Files::new();
    let service = Service::start(&files.settings());
    let answer = probe(service.address(), "/live", PATIENCE).expect("it answers");
    assert_eq!(answer.status, 400);
    assert!(
        answer.body.contains("`[admin.tls]`") && answer.body.contains("https://"),
        "{}",
        answer.body
    );
    let request = Post {
        path: "/pause",
        token: Some(TOKEN),
        body: "",
    };
    let answer = post(service.address(), &request, PATIENCE).expect("it answers");
    assert_eq!(answer.status, 400);
    assert_eq!(service.changed.verbs(), Vec::<String>::new());
}

#[test]
fn a_client_that_expects_encryption_where_there_is_none_is_told_so() {
    let files = Files::new();
    let service = Service::start(&settings(files.folder.path()));
    let said = why(live(&service, Trust::Certificate(&files.path("server.pem")), None));
    assert!(said.contains("[admin.tls]") && said.contains("http://"), "{said}");
}

#[test]
fn nothing_older_than_version_1_2_is_spoken() {
    let files = Files::new();
    let service = Service::start(&files.settings());
    let connects = |version: SslVersion| {
        let mut builder = SslConnector::builder(SslMethod::tls_client()).expect("a client");
        builder.set_verify(SslVerifyMode::NONE);
        // Else the client itself would refuse the old version.
        builder.set_cipher_list("ALL:@SECLEVEL=0").expect("ciphers");
        builder.set_min_proto_version(Some(version)).expect("a version");
        builder.set_max_proto_version(Some(version)).expect("a version");
        let stream = TcpStream::connect(service.address()).expect("it accepts");
        let mut configuration = builder.build().configure().expect("a client");
        configuration.set_verify_hostname(false);
        configuration.set_use_server_name_indication(false);
        configuration
            .connect("", stream)
            .map(drop)
            .map_err(|error| error.to_string())
    };
    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        assert_eq!(connects(version), Ok(()));
    }
    for version in [SslVersion::TLS1, SslVersion::TLS1_1] {
        let refused = connects(version).expect_err("it is too old");
        assert!(
            refused.contains("alert protocol version"),
            "it is the server that refuses: {refused}"
        );
    }
}

#[test]
fn where_clients_need_a_certificate_nobody_without_one_gets_a_page() {
    let files = Files::new();
    let theirs = Authority::new("the authority of clients");
    files.write("clients.pem", &theirs.pem());
    let (friend, stranger) = (
        theirs.issue("friend", &[], Validity::Now),
        files.authority.issue("stranger", &[], Validity::Now),
    );
    files.write_client("friend", &friend);
    files.write_client("stranger", &stranger);
    // For servers, which no client is.
    files.write_client("misused", &theirs.issue("misused", &["eddy.test"], Validity::Now));
    files.write_client("late", &theirs.issue("late", &[], Validity::Over));
    let mut settings = files.settings();
    settings.tls.as_mut().expect("it has TLS").client_ca = Some(files.path("clients.pem"));
    let service = Service::start(&settings);
    let own = files.path("server.pem");
    let shows = |name: &str| {
        let (certificate, key) = (files.path(&format!("{name}.pem")), files.path(&format!("{name}.key")));
        live(&service, Trust::Certificate(&own), Some((&certificate, &key)))
    };
    assert_eq!(shows("friend").expect("it answers").status, 200);
    for refused in [
        live(&service, Trust::Certificate(&own), None),
        shows("stranger"),
        shows("late"),
        shows("misused"),
    ] {
        let said = why(refused);
        assert!(said.contains("admin.tls.client_ca"), "{said}");
    }
    // Nor without encryption.
    assert_eq!(
        probe(service.address(), "/live", PATIENCE).expect("it answers").status,
        400
    );
}

#[test]
fn a_renewed_certificate_is_shown_without_a_restart_and_a_bad_one_changes_nothing() {
    let files = Files::new();
    let service = Service::start(&files.settings());
    let ca = files.path("ca.pem");
    let month = expiry(&service);
    let shown =
        |host: &str| live(&service, authorities(&ca, Some(host)), None).is_ok_and(|answer| answer.status == 200);
    assert!(shown("eddy.test") && !shown("renewed.test"));

    // Halfway there: the certificate without its key, without any, and no certificate at all.
    let renewed = files.authority.issue("eddy", &["renewed.test"], Validity::Now);
    let mut look = Look::begun(&files);
    for (certificate, is_without_key) in [
        (renewed.certificate_pem(), false),
        ("no certificate".into(), false),
        (renewed.certificate_pem(), true),
    ] {
        if is_without_key {
            std::fs::remove_file(files.path("server.key")).expect("it is there");
        }
        look = look.reads(&certificate);
        assert!(shown("eddy.test") && !shown("renewed.test"));
        assert_eq!(expiry(&service), month);
    }
    files.write("server.key", &renewed.key_pem());
    look.ends_with(&renewed.certificate_pem());
    wait_for("the renewed certificate", || shown("renewed.test").then_some(()));
    assert!(!shown("eddy.test"));
    // It is valid for two days, the first one was for thirty-one.
    let days = (month - expiry(&service)) / 86_400.0;
    assert_eq!(days.round(), 29.0);

    files.show(&files.authority.issue("eddy", &["again.test"], Validity::Now));
    wait_for("the certificate after that", || shown("again.test").then_some(()));
    assert!(!shown("renewed.test"));
}

#[test]
fn a_file_that_hangs_holds_up_nobody() {
    let files = Files::new();
    let service = Service::start(&files.settings());
    let ca = files.path("ca.pem");
    let _hangs = Look::begun(&files);
    for _ in 0..3 {
        let answer = live(&service, authorities(&ca, Some("eddy.test")), None);
        assert_eq!(answer.expect("it answers").status, 200);
    }
}

#[test]
fn a_folder_that_is_exchanged_as_a_whole_is_noticed() {
    let files = Files::new();
    // As Kubernetes mounts secrets: a link to the folder in force.
    let place = |name: &str, identity: &Identity| {
        let folder = files.path(name);
        std::fs::create_dir(&folder).expect("a folder");
        std::fs::write(folder.join("tls.crt"), identity.certificate_pem()).expect("a file");
        std::fs::write(folder.join("tls.key"), identity.key_pem()).expect("a file");
    };
    place("one", &files.authority.issue("eddy", &["one.test"], Validity::Now));
    place("two", &files.authority.issue("eddy", &["two.test"], Validity::Now));
    let link = |to: &str| {
        let new = files.path("new");
        std::os::unix::fs::symlink(files.path(to), &new).expect("a link");
        std::fs::rename(new, files.path("data")).expect("it takes the place of the old one");
    };
    link("one");
    let mut settings = files.settings();
    settings.tls = Some(AdminTls {
        certificate: files.path("data/tls.crt"),
        key: Secret::File(files.path("data/tls.key")),
        client_ca: None,
    });
    let service = Service::start(&settings);
    let ca = files.path("ca.pem");
    assert!(live(&service, authorities(&ca, Some("one.test")), None).is_ok());
    link("two");
    let is_shown = || live(&service, authorities(&ca, Some("two.test")), None).ok();
    wait_for("the other folder's certificate", is_shown);
}

/// One client says nothing, one begins to shake hands, and who comes then is answered. Gives the second.
fn answered_beside_those_who_do_not_shake_hands(service: &Service, files: &Files) -> TcpStream {
    let connect = || TcpStream::connect(service.address()).expect("it accepts");
    let (_silent, mut begun) = (connect(), connect());
    begun.write_all(&[0x16, 3, 1, 2]).expect("it reads");
    let own = files.path("server.pem");
    let answer = live(service, Trust::Certificate(&own), None);
    assert_eq!(answer.expect("it answers").status, 200);
    begun
}

#[test]
fn clients_that_do_not_shake_hands_make_room_for_others() {
    let files = Files::new();
    let mut settings = files.settings();
    settings.connections = 1;
    // It is that of the good client's handshake, too.
    settings.header_timeout = Span::seconds(1);
    let service = Service::start(&settings);
    let mut begun = answered_beside_those_who_do_not_shake_hands(&service, &files);
    begun.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    assert!(matches!(begun.read(&mut [0]), Ok(0) | Err(_)), "it was closed");
}

#[test]
fn clients_that_do_not_shake_hands_give_way_even_while_they_have_time() {
    let files = Files::new();
    let mut settings = files.settings();
    settings.connections = 2;
    settings.header_timeout = Span::seconds(600);
    settings.request_timeout = Span::seconds(600);
    answered_beside_those_who_do_not_shake_hands(&Service::start(&settings), &files);
}

#[test]
fn files_that_make_no_server_end_the_start_and_each_is_named() {
    let files = Files::new();
    let sources = || AdminSources {
        metrics: Metrics::new("digits", "0.1.0"),
        readiness: Readiness::starting(),
        status: Arc::new(NoStatus),
        control: Arc::new(NoControl),
    };
    let other = files.authority.issue("other", &["eddy.test"], Validity::Now);
    files.write("other.key", &other.key_pem());
    files.write("locked.key", &other.key_pem_under("a password"));
    files.write("text", "no PEM");
    let with = |certificate: &str, key: &str, client_ca: Option<&str>| AdminTls {
        certificate: files.path(certificate),
        key: Secret::File(files.path(key)),
        client_ca: client_ca.map(|name| files.path(name)),
    };
    for (tls, words) in [
        (
            with("nowhere", "server.key", None),
            &["admin.tls.certificate", "nowhere"][..],
        ),
        (
            with("text", "server.key", None),
            &["admin.tls.certificate", "no certificate in PEM"],
        ),
        (
            with("server.pem", "text", None),
            &["admin.tls.key", "no private key in PEM"],
        ),
        (
            with("server.pem", "locked.key", None),
            &["admin.tls.key", "has a password"],
        ),
        (
            with("server.pem", "other.key", None),
            &["admin.tls.key", "is not that of the certificate", "server.pem"],
        ),
        (
            with("server.pem", "server.key", Some("text")),
            &["admin.tls.client_ca", "no certificate in PEM"],
        ),
        (
            with("nowhere", "text", Some("nowhere-either")),
            &["admin.tls.certificate", "admin.tls.key", "admin.tls.client_ca"],
        ),
    ] {
        let settings = AdminSettings {
            tls: Some(tls.clone()),
            ..settings(files.folder.path())
        };
        let error = AdminServer::bind(&settings, sources()).expect_err("the files are unfit");
        assert!(matches!(error, Error::Tls(_)), "{error}");
        assert_eq!(error.exit_code(), ExitCode::Configuration);
        let said = error.to_string();
        let listed: Vec<String> = settings.file_problems().iter().map(ToString::to_string).collect();
        assert_eq!(said, listed.join("\n"), "`eddy check` says the same");
        for word in words {
            assert!(said.contains(word), "`{word}` is missing: {said}");
        }
        assert!(!said.contains("PRIVATE"), "{said}");
    }
}

#[test]
fn a_certificate_is_said_to_be_over_or_nearly_so_and_is_shown_all_the_same() {
    let files = Files::new();
    assert_eq!((files.tls().problems(), files.tls().warnings()), (vec![], vec![]));
    files.show(&files.authority.issue("eddy", &["eddy.test"], Validity::Now));
    assert_eq!(files.tls().problems(), []);
    let [warning] = files.tls().warnings().try_into().expect("one warning");
    assert!(
        warning.contains("server.pem") && warning.contains("renew it in time"),
        "{warning}"
    );
    files.show(&files.authority.issue("eddy", &["eddy.test"], Validity::Over));
    let [problem] = files.tls().problems().try_into().expect("one problem");
    assert_eq!(problem.key, "admin.tls.certificate");
    assert!(problem.message.contains("expired on"), "{}", problem.message);

    let service = Service::start(&files.settings());
    let said = why(live(
        &service,
        authorities(&files.path("ca.pem"), Some("eddy.test")),
        None,
    ));
    assert!(said.contains("certificate has expired"), "{said}");
    // Who knows this very certificate does not ask for its time: a probe must not end a service for it.
    let own = files.path("server.pem");
    assert_eq!(
        live(&service, Trust::Certificate(&own), None)
            .expect("it answers")
            .status,
        200
    );
}
