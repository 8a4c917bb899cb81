//! The catalogue as a page for people.

use std::fmt::Write;

use crate::catalogue::{ALL, Kind, Label, Metric, PIPELINE, Values};

/// The reference of all metrics, in Markdown. The file `config/reference/metrics.md` holds it; a test keeps it fresh.
pub fn catalogue_markdown() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         Generated from the catalogue in `services/telemetry/src/catalogue.rs`; \
         `UPDATE_REFERENCE=1 cargo test -p eddy-telemetry` writes it anew.\n\n\
         The page `/metrics` of the admin address serves these. ",
    );
    writeln!(page, "Every metric also carries the label {}.\n", describe(&PIPELINE)).expect(STRING);
    page.push_str("| metric | kind | unit | labels | meaning |\n|---|---|---|---|---|\n");
    for metric in ALL {
        row(&mut page, metric);
    }
    page.push_str("\n## Labels\n\n| label | values |\n|---|---|\n");
    for label in labels() {
        writeln!(page, "| `{}` | {} |", label.name, values(label)).expect(STRING);
    }
    page.push_str("\n## Buckets\n\n| histogram | upper bounds |\n|---|---|\n");
    for metric in ALL {
        if let Kind::Histogram { buckets } = metric.kind {
            let bounds: Vec<String> = buckets.iter().map(f64::to_string).collect();
            writeln!(page, "| `{}` | {} |", metric.name, bounds.join(", ")).expect(STRING);
        }
    }
    page
}

const STRING: &str = "writing into a string does not fail";

fn row(page: &mut String, metric: &Metric) {
    let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{}`", label.name)).collect();
    writeln!(
        page,
        "| `{}` | {} | {} | {} | {} |",
        metric.name,
        metric.kind.as_str(),
        metric.unit.as_str(),
        labels.join(", "),
        metric.full_help()
    )
    .expect(STRING);
}

/// Each label once, by name.
fn labels() -> Vec<&'static Label> {
    let mut labels: Vec<_> = ALL.iter().flat_map(|metric| metric.labels).collect();
    labels.sort_by_key(|label| label.name);
    labels.dedup_by_key(|label| label.name);
    labels
}

fn values(label: &Label) -> String {
    match label.values {
        Values::Closed(words) => {
            let words: Vec<String> = words().iter().map(|word| format!("`{word}`")).collect();
            words.join(", ")
        }
        Values::Configured(what) => what.to_owned(),
    }
}

fn describe(label: &Label) -> String {
    format!("`{}`: the {}", label.name, values(label))
}
