//! Whatever comes over one connection to the admin address: what is answered is HTTP, and nothing is changed without the token.
#![no_main]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use eddy_host::{AdminPages, AdminSettings, AdminSources, Control, NoStatus, Readiness, Refusal, Reply};
use eddy_pipeline::settings::Bytes;
use eddy_secret::Secret;
use eddy_telemetry::Metrics;
use libfuzzer_sys::fuzz_target;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::runtime::{Builder, Runtime};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// Less than an input may have, so that the limit is met.
const BODY_BYTES: u64 = 64;

/// Lengths of the bodies of what was changed.
#[derive(Debug, Default)]
struct Changed(Mutex<Vec<usize>>);

impl Control for Changed {
    fn verbs(&self) -> &'static [&'static str] {
        &["pause", "log"]
    }

    fn perform(&self, _: &str, body: &[u8], _: &str) -> Result<Reply, Refusal> {
        self.0.lock().expect("nobody panics").push(body.len());
        Ok(json!({ "answer": "it is done" }).into())
    }
}

struct Stage {
    runtime: Runtime,
    pages: AdminPages,
    changed: Arc<Changed>,
}

thread_local! {
    static STAGE: Stage = Stage::new();
}

impl Stage {
    fn new() -> Self {
        let mut token = Secret::Env("TOKEN".into());
        eddy_secret::take_all([&mut token].into_iter(), |_| Some(TOKEN.into()));
        let settings = AdminSettings {
            token: Some(token),
            attempts: u32::MAX,
            body_bytes: Bytes(BODY_BYTES),
            ..AdminSettings::default()
        };
        let changed = Arc::new(Changed::default());
        let sources = AdminSources {
            metrics: Metrics::new("fuzz", "0"),
            readiness: Readiness::starting(),
            status: Arc::new(NoStatus),
            control: changed.clone(),
        };
        Self {
            runtime: Builder::new_current_thread().enable_time().build().expect("a runtime"),
            pages: AdminPages::new(&settings, sources).expect("the token is fit"),
            changed,
        }
    }

    /// Everything that is answered to these bytes, after which nothing comes.
    fn answer(&self, bytes: &[u8]) -> Vec<u8> {
        let (mut client, server) = duplex(64 << 10);
        let from = SocketAddr::from(([127, 0, 0, 1], 1));
        let mut answer = Vec::new();
        let ask = async {
            // The other side may have heard enough.
            if client.write_all(bytes).await.is_ok() {
                drop(client.shutdown().await);
            }
            client.read_to_end(&mut answer).await.expect("memory can be read");
        };
        self.runtime
            .block_on(async { tokio::join!(self.pages.clone().answer(server, from), ask) });
        answer
    }
}

fuzz_target!(|bytes: &[u8]| {
    STAGE.with(|stage| {
        let answer = stage.answer(bytes);
        let changed = std::mem::take(&mut *stage.changed.0.lock().expect("nobody panics"));
        let has_token = bytes.windows(TOKEN.len()).any(|part| part == TOKEN.as_bytes());
        assert!(
            changed.is_empty() || (has_token && changed.len() == 1),
            "changed: {changed:?}"
        );
        assert!(
            changed.iter().all(|length| *length as u64 <= BODY_BYTES),
            "too large: {changed:?}"
        );
        let head = answer.get(..13).unwrap_or_default();
        let is_answer = head.starts_with(b"HTTP/1.") && head[9..12].iter().all(u8::is_ascii_digit);
        assert!(answer.is_empty() || is_answer, "{}", String::from_utf8_lossy(&answer));
    });
});
