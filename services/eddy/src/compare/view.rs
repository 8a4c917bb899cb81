//! The sections of a report, with their tables in words: what a terminal and a page show alike.

use eddy_pipeline::compare::{
    Difference, Distribution, First, Moved, Pair, Psi, SelectionChange, Share, Shown, SideReport,
};

use super::document::Document;

/// Most rows of a table that may be long; the JSON document has all of them.
const MOST_ROWS: usize = 40;
/// Values of a prediction that are written out.
const VALUES: usize = 6;

/// A part of the report.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) title: String,
    /// Sentences.
    pub(super) says: Vec<String>,
    pub(super) table: Option<Table>,
}

/// A table, the first column of which names its rows.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) head: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

/// The sections, in order.
pub(super) fn sections(document: &Document) -> Vec<Section> {
    let mut all = vec![sides(document), outcomes(document)];
    let report = &document.report;
    match &report.pair {
        Some(pair) => changes(document, pair, &mut all),
        None => all.extend(alone(&report.sides[0])),
    }
    for (who, word) in document.pipelines.iter().zip(["first", "second"]) {
        if let Some(profile) = &who.profile {
            let title = match document.pipelines.len() {
                1 => "Against the reference profile".to_owned(),
                _ => format!("The {word} against its reference profile"),
            };
            all.push(psi(title, profile));
        }
    }
    all.push(Section {
        title: "How to read this".to_owned(),
        says: document.notes.clone(),
        table: None,
    });
    all
}

fn sides(document: &Document) -> Section {
    let rows = document.pipelines.iter().zip(["first", "second"]).map(|(who, word)| {
        let digest: String = who.sha256.chars().take(12).collect();
        vec![
            word.to_owned(),
            who.file.clone(),
            who.model.clone(),
            who.version.clone(),
            digest,
            who.config.clone(),
        ]
    });
    Section {
        title: "What was replayed".to_owned(),
        says: vec![format!(
            "{} events of {}; of each the model says {}",
            document.report.read, document.source, document.report.answer
        )],
        table: Some(Table {
            head: words(&["pipeline", "file", "model", "version", "sha256", "configuration"]),
            rows: rows.collect(),
        }),
    }
}

/// Scored, and dead letters by reason, on each side.
fn outcomes(document: &Document) -> Section {
    let sides = &document.report.sides;
    let mut reasons: Vec<&String> = sides.iter().flat_map(|side| side.dead_letters.keys()).collect();
    reasons.sort();
    reasons.dedup();
    let row = |name: &str, count: &dyn Fn(&SideReport) -> u64| {
        let counts: Vec<u64> = sides.iter().map(count).collect();
        let mut row = vec![name.to_owned()];
        row.extend(counts.iter().map(u64::to_string));
        if let [first, second] = counts[..] {
            row.push(format!("{:+}", i128::from(second) - i128::from(first)));
        }
        row
    };
    let mut rows = vec![row("scored", &|side| side.scored)];
    rows.extend(reasons.into_iter().map(|reason| {
        row(&format!("dead letter: {reason}"), &|side| {
            side.dead_letters.get(reason).copied().unwrap_or(0)
        })
    }));
    if sides.iter().all(|side| side.selected.is_some()) {
        rows.push(row("selected", &|side| side.selected.map_or(0, |share| share.count)));
    }
    let head = ["outcome", "first", "second", "difference"];
    let head = if sides.len() > 1 {
        words(&head)
    } else {
        words(&["outcome", "events"])
    };
    Section {
        title: "Outcomes".to_owned(),
        says: Vec::new(),
        table: Some(Table { head, rows }),
    }
}

/// What one side says.
fn alone(side: &SideReport) -> Vec<Section> {
    let mut all = Vec::new();
    if !side.classes.is_empty() {
        let rows = side.classes.iter().map(|class| {
            let mut row = vec![class.class.clone()];
            row.extend(of_share(&class.share));
            row
        });
        all.push(cut(
            "Predictions".to_owned(),
            words(&["class", "events", "share", "95 % interval"]),
            rows.collect(),
        ));
    }
    if !side.numbers.is_empty() {
        all.push(distributions("Numbers", side.numbers.iter()));
    }
    all
}

fn changes(document: &Document, pair: &Pair, all: &mut Vec<Section>) {
    all.extend(differences(pair));
    all.extend(pair.changed.as_ref().map(|changed| decisions(pair, changed)));
    all.extend(labels(pair));
    numbers(document, pair, all);
    all.push(psi("Second against first".to_owned(), &pair.psi));
    all.extend(pair.selection.as_ref().map(selection));
    all.push(top(document, pair));
}

fn differences(pair: &Pair) -> Option<Section> {
    if pair.outcomes.is_empty() {
        return None;
    }
    let mut section = cut(
        "Outcomes that differ".to_owned(),
        words(&["first", "second", "events"]),
        pair.outcomes.iter().map(row).collect(),
    );
    section.says.push(format!("the first of them: {}", named(&pair.unlike)));
    Some(section)
}

fn decisions(pair: &Pair, changed: &Share) -> Section {
    let mut section = cut(
        "Decisions".to_owned(),
        words(&["first", "second", "events"]),
        pair.decisions.iter().map(row).collect(),
    );
    if pair.decisions.is_empty() {
        section.table = None;
    }
    let [count, share, interval] = of_share(changed);
    let of = changed.of;
    let said = format!("{count} of {of} decisions changed: {share}, 95 % interval {interval}");
    section.says.insert(0, said);
    section
}

fn row(it: &Difference) -> Vec<String> {
    vec![it.first.clone(), it.second.clone(), it.count.to_string()]
}

fn labels(pair: &Pair) -> Option<Section> {
    if pair.labels.is_empty() {
        return None;
    }
    let rows = pair.labels.iter().map(|label| {
        let counts = [label.both, label.only_first, label.only_second];
        let mut row = vec![label.label.clone()];
        row.extend(counts.iter().map(u64::to_string));
        row
    });
    let head = words(&["label", "set by both", "only by the first", "only by the second"]);
    Some(cut("Labels".to_owned(), head, rows.collect()))
}

fn selection(selection: &SelectionChange) -> Section {
    let row = |name: &str, share: &Share| {
        let mut row = vec![name.to_owned()];
        row.extend(of_share(share));
        row
    };
    let mut section = cut(
        "Selection".to_owned(),
        words(&["selected", "events", "share", "95 % interval"]),
        vec![
            row("only by the first", &selection.only_first),
            row("only by the second", &selection.only_second),
        ],
    );
    section.says.extend([
        format!("{} events are selected by both", selection.both),
        format!("only by the first: {}", named(&selection.only_first_events)),
        format!("only by the second: {}", named(&selection.only_second_events)),
    ]);
    section
}

fn numbers(document: &Document, pair: &Pair, all: &mut Vec<Section>) {
    for (side, word) in document.report.sides.iter().zip(["first", "second"]) {
        if !side.numbers.is_empty() {
            all.push(distributions(&format!("Numbers of the {word}"), side.numbers.iter()));
        }
    }
    if !pair.changes.is_empty() {
        let mut section = distributions("Change of numbers", pair.changes.iter().map(|change| &change.change));
        section
            .says
            .push("second minus first, of events that both scored".to_owned());
        for change in pair.changes.iter().take(MOST_ROWS) {
            if let Some(size) = change.mean_size {
                section
                    .says
                    .push(format!("{}: mean absolute change {}", change.change.name, number(size)));
            }
        }
        all.push(section);
    }
    all.push(distributions("How far events moved", [&pair.moved].into_iter()));
}

fn top(document: &Document, pair: &Pair) -> Section {
    let rows = pair.top.iter().map(|moved: &Moved| {
        vec![
            moved.event.id.clone(),
            moved.event.place.clone(),
            number(f64::from(moved.by)),
            prediction(document, &moved.a),
            prediction(document, &moved.b),
        ]
    });
    let mut section = cut(
        "The most changed events".to_owned(),
        words(&["event", "where", "moved by", "first", "second"]),
        rows.collect(),
    );
    section.says.push(format!("by the {}", pair.measure));
    section
}

fn prediction(document: &Document, shown: &Shown) -> String {
    let mut parts = Vec::new();
    if let Some(class) = shown.class {
        parts.push(
            document
                .classes
                .get(class as usize)
                .cloned()
                .unwrap_or_else(|| class.to_string()),
        );
    }
    if let Some(confidence) = shown.confidence {
        parts.push(format!("confidence {}", number(f64::from(confidence))));
    }
    if let Some(anomaly) = shown.anomaly {
        parts.push(format!("anomaly {}", number(f64::from(anomaly))));
    }
    if !shown.values.is_empty() {
        let values: Vec<String> = shown
            .values
            .iter()
            .take(VALUES)
            .map(|value| number(f64::from(*value)))
            .collect();
        let more = if shown.width > VALUES { ", …" } else { "" };
        parts.push(format!("[{}{more}]", values.join(", ")));
    }
    parts.join(", ")
}

fn psi(title: String, found: &[Psi]) -> Section {
    let shown = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), number);
    let rows = found.iter().map(|psi| {
        let is_above = matches!((psi.psi, psi.critical), (Some(psi), Some(critical)) if psi > critical);
        let verdict = if is_above { "above noise" } else { "within noise" };
        vec![
            psi.name.clone(),
            shown(psi.psi),
            shown(psi.expected),
            shown(psi.critical),
            psi.bins.to_string(),
            if psi.psi.is_some() {
                verdict
            } else {
                "nothing to compare"
            }
            .to_owned(),
        ]
    });
    let head = words(&["of", "PSI", "mean of noise", "1 in 1,000 above", "bins", "verdict"]);
    cut(title, head, rows.collect())
}

fn distributions<'a>(title: &str, all: impl Iterator<Item = &'a Distribution>) -> Section {
    let mut head = words(&["of", "events", "mean", "least"]);
    let mut rows = Vec::new();
    for it in all {
        let shown = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), number);
        let mut row = vec![
            it.name.clone(),
            it.count.to_string(),
            shown(it.mean),
            shown(it.least.map(f64::from)),
        ];
        row.extend(it.quantiles.iter().map(|(_, value)| number(*value)));
        row.push(shown(it.most.map(f64::from)));
        if head.len() < row.len() {
            head.truncate(4);
            head.extend(it.quantiles.iter().map(|(name, _)| (*name).to_owned()));
            head.push("greatest".to_owned());
        }
        rows.push(row);
    }
    cut(title.to_owned(), head, rows)
}

/// A section whose table says where it was cut.
fn cut(title: String, head: Vec<String>, mut rows: Vec<Vec<String>>) -> Section {
    let all = rows.len();
    rows.truncate(MOST_ROWS);
    let mut says = Vec::new();
    if all > MOST_ROWS {
        says.push(format!("the first {MOST_ROWS} of {all} rows; --json has them all"));
    }
    Section {
        title,
        says,
        table: (all > 0).then_some(Table { head, rows }),
    }
}

/// The first events of a kind, where they stand.
fn named(first: &First) -> String {
    let places = first.events().iter().map(|(event, word)| match word.as_str() {
        "" => event.place.clone(),
        word => format!("{} ({word})", event.place),
    });
    let places: Vec<String> = places.collect();
    if places.is_empty() {
        "none".to_owned()
    } else {
        places.join(", ")
    }
}

fn of_share(share: &Share) -> [String; 3] {
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    let interval = share.interval;
    [
        share.count.to_string(),
        percent(share.share),
        interval.map_or_else(
            || "–".to_owned(),
            |(low, high)| format!("{} to {}", percent(low), percent(high)),
        ),
    ]
}

/// A number with about four digits.
fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        "0".to_owned()
    } else if (1e-3..1e6).contains(&size) {
        let digits = (3 - size.log10().floor() as i32).clamp(0, 6) as usize;
        format!("{value:.digits$}")
    } else {
        format!("{value:.3e}")
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_shown_with_four_digits() {
        let shown = [0.0, 0.123_456, -1.234_567, 123.456, 123_456.7, 1.5e9, 2e-7].map(number);
        assert_eq!(
            shown,
            ["0", "0.1235", "-1.235", "123.5", "123457", "1.500e9", "2.000e-7"]
        );
    }

    #[test]
    fn a_long_table_says_that_it_was_cut() {
        let section = cut("t".into(), words(&["a"]), vec![words(&["x"]); 41]);
        assert_eq!(section.says, ["the first 40 of 41 rows; --json has them all"]);
        assert_eq!(section.table.map(|table| table.rows.len()), Some(40));
    }
}
