//! The reference of the metrics is generated, and never stale.

use std::path::Path;

use eddy_telemetry::catalogue_markdown;

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the person at the keyboard asks for a rewrite this way"
)]
fn the_reference_of_the_metrics_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/reference/metrics.md");
    let fresh = catalogue_markdown();
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::create_dir_all(path.parent().expect("the file is in a folder")).expect("the folder can be made");
        std::fs::write(&path, &fresh).expect("the reference can be written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == fresh,
        "config/reference/metrics.md is stale; `UPDATE_REFERENCE=1 cargo test -p eddy-telemetry` writes it anew"
    );
}
