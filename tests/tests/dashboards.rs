//! The dashboards: they read what is there, in PromQL that parses, and say what they show. These are the rules of Grafana's
//! own dashboard-linter and some more.

use std::collections::BTreeSet;
use std::path::Path;

use eddy_telemetry::catalogue::{ALL, Kind, Metric, Unit, Values};
use eddy_tests::dashboards::{Board, boards, expressions, fill, list, text};
use eddy_tests::rules::{Trial, names, passes, promtool, unknown};
use serde_json::{Value, json};

/// Okabe and Ito's palette, which the colour-blind can tell apart, with a grey.
const COLOURS: [&str; 8] = [
    "#0072B2", "#56B4E9", "#E69F00", "#D55E00", "#009E73", "#CC79A7", "#F0E442", "#999999",
];

fn for_each_panel(mut look: impl FnMut(&Board, &Value, &str)) {
    let mut count = 0;
    for board in boards() {
        for panel in board.panels() {
            count += 1;
            look(&board, panel, &format!("{}: {}", board.file, panel["title"]));
        }
    }
    assert!(count >= 60, "{count}");
}

#[test]
fn there_are_four_dashboards_with_names_and_ids_of_their_own() {
    let boards = boards();
    let files: Vec<&str> = boards.iter().map(|board| board.file.as_str()).collect();
    assert_eq!(
        files,
        ["drift.json", "operations.json", "overview.json", "samples.json"]
    );
    for key in ["uid", "title"] {
        let distinct: BTreeSet<&str> = boards.iter().map(|board| text(&board.json[key])).collect();
        assert_eq!(distinct.len(), boards.len(), "{distinct:?}");
    }
    for board in &boards {
        assert!(board.json["schemaVersion"].as_u64() >= Some(39), "{}", board.file);
        assert_eq!(board.json["editable"], false, "{}: the file is what counts", board.file);
        assert!(!text(&board.json["description"]).is_empty(), "{}", board.file);
        let panels = list(&board.json["panels"]);
        let ids: BTreeSet<u64> = panels
            .iter()
            .map(|panel| panel["id"].as_u64().expect("an id"))
            .collect();
        assert_eq!(ids.len(), panels.len(), "{}", board.file);
        let titles: BTreeSet<&str> = panels.iter().map(|panel| text(&panel["title"])).collect();
        assert_eq!(titles.len(), panels.len(), "{}", board.file);
    }
}

#[test]
fn every_panel_says_what_it_shows_and_in_which_unit_from_the_data_source_that_was_chosen() {
    for_each_panel(|_, panel, place| {
        assert!(!text(&panel["title"]).is_empty(), "{place}");
        assert!(text(&panel["description"]).ends_with('.'), "{place}");
        assert!(!text(&panel["fieldConfig"]["defaults"]["unit"]).is_empty(), "{place}");
        let targets = list(&panel["targets"]);
        assert!(!targets.is_empty(), "{place}");
        let of_targets = targets.iter().map(|target| &target["datasource"]);
        for source in of_targets.chain([&panel["datasource"]]) {
            assert_eq!(
                *source,
                json!({"type": "prometheus", "uid": "${datasource}"}),
                "{place}"
            );
        }
        let letters: BTreeSet<&str> = targets.iter().map(|target| text(&target["refId"])).collect();
        assert_eq!(letters.len(), targets.len(), "{place}");
    });
}

#[test]
fn no_panel_lies_on_another() {
    for board in boards() {
        let mut taken = BTreeSet::new();
        for panel in list(&board.json["panels"]) {
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().expect("a place"));
            assert!(w > 0 && h > 0 && x + w <= 24, "{}: {}", board.file, panel["title"]);
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                assert!(taken.insert(cell), "{}: {}", board.file, panel["title"]);
            }
        }
    }
}

#[test]
fn every_expression_of_a_panel_is_promql() {
    let mut asked: Vec<(String, String)> = expressions(&[])
        .into_iter()
        .map(|expression| (expression.place, expression.promql))
        .collect();
    for board in boards() {
        for annotation in list(&board.json["annotations"]["list"]) {
            if let Some(expression) = annotation["expr"].as_str() {
                asked.push((board.file.clone(), fill(expression, &[], &board.variables())));
            }
        }
    }
    assert!(asked.len() >= 100, "{}", asked.len());
    let folder = tempfile::tempdir().expect("a temporary folder");
    passes(&promtool(&["check", "rules", &recorded(folder.path(), &asked)]));
}

/// A file of rules that records each expression as `panel:` and its number.
fn recorded(folder: &Path, asked: &[(String, String)]) -> String {
    let rules: Vec<Value> = asked
        .iter()
        .enumerate()
        .map(|(n, (place, promql))| {
            let is_filled = promql
                .split('$')
                .skip(1)
                .all(|rest| !rest.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '{'));
            assert!(is_filled, "{place}: {promql}");
            // promtool names the rule that it cannot read.
            json!({"record": format!("panel:{n}"), "expr": promql, "labels": {"place": place}})
        })
        .collect();
    let path = folder.join("panels.yml");
    let file = json!({"groups": [{"name": "panels", "rules": rules}]});
    std::fs::write(&path, file.to_string()).expect("the folder takes a file");
    path.display().to_string()
}

/// Series of a metric as the catalogue describes it: one for each value that a label may have, in all else alike. Counters
/// grow by 100 a minute, flags are up, shares are a half.
fn series_of(metric: &Metric) -> Vec<Value> {
    let mut labels = vec![r#"namespace="n",pipeline="p",instance="0""#.to_owned()];
    for label in metric.labels {
        let values: Vec<&str> = match label.values {
            Values::Closed(words) => words(),
            // All events, or the events of a segment: the panels show all.
            Values::Configured(_) if label.name == "segment" => vec![""],
            Values::Configured(_) if label.name == "bin" => vec!["1.5", "+Inf"],
            Values::Configured(_) if label.name == "statistic" => vec!["psi", "js"],
            Values::Configured(_) if label.name == "output" => vec!["class", "confidence"],
            Values::Configured(_) => vec!["some"],
        };
        labels = labels
            .iter()
            .flat_map(|so_far| {
                values
                    .iter()
                    .map(move |value| format!("{so_far},{}=\"{value}\"", label.name))
            })
            .collect();
    }
    let (ends, values): (Vec<(String, String)>, &str) = match metric.kind {
        Kind::Counter => (vec![(String::new(), String::new())], "0+100x80"),
        Kind::Gauge if metric.unit == Unit::Ratio => (vec![(String::new(), String::new())], "0.5x80"),
        Kind::Gauge => (vec![(String::new(), String::new())], "1x80"),
        Kind::Histogram { buckets } => {
            let bounds = buckets
                .iter()
                .map(|bound| format!(",le=\"{bound}\""))
                .chain([",le=\"+Inf\"".to_owned()]);
            let mut ends: Vec<(String, String)> = bounds.map(|bound| ("_bucket".to_owned(), bound)).collect();
            ends.extend(["_sum", "_count"].map(|end| (end.to_owned(), String::new())));
            (ends, "0+100x80")
        }
    };
    let of = |labels: &String| -> Vec<Value> {
        ends.iter()
            .map(|(end, more)| json!({"series": format!("{}{end}{{{labels}{more}}}", metric.name), "values": values}))
            .collect()
    };
    labels.iter().flat_map(of).collect()
}

#[test]
fn every_panel_shows_something_of_a_service_that_has_all_that_is_in_the_catalogue() {
    let series = ALL.iter().flat_map(series_of).collect();
    let mut asked = Vec::new();
    for expression in expressions(&[]) {
        // A last week takes a week; what is not in the catalogue has a test of its own.
        let is_of_now = !expression.promql.contains("_week");
        if is_of_now && unknown(names(&expression.promql)).is_empty() {
            asked.push((expression.place, expression.promql));
        }
    }
    assert!(asked.len() >= 90, "{}", asked.len());
    let expected = asked.iter().enumerate().map(|(n, (place, _))| {
        json!({
            "expr": format!("count(panel:{n}{{place={place:?}}}) > bool 0"),
            "eval_time": "75m",
            "exp_samples": [{"labels": "{}", "value": 1}],
        })
    });
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut trial = Trial::new(series, expected.collect());
    trial.files.push(recorded(folder.path(), &asked));
    // Hours of the day's window need no more than their ends.
    trial.every = 5;
    trial.holds();
}

#[test]
fn every_metric_on_a_dashboard_is_one_that_eddy_shows_or_a_rule_records() {
    let mut read = BTreeSet::new();
    for board in boards() {
        let text = board.json.to_string();
        for window in ["1h", "24h"] {
            read.extend(names(&text.replace("$window", window)));
        }
    }
    assert!(read.len() >= 60, "{read:?}");
    let unknown = unknown(read);
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn counters_are_shown_as_rates_over_what_grafana_finds_fit_or_over_the_time_shown() {
    for_each_panel(|_, panel, place| {
        for target in list(&panel["targets"]) {
            let expression = text(&target["expr"]);
            for name in names(expression) {
                let is_counter = ["_total", "_bucket", "_sum", "_count"]
                    .iter()
                    .any(|end| name.ends_with(end));
                if !is_counter {
                    continue;
                }
                for (at, _) in expression.match_indices(&name) {
                    let before = &expression[..at];
                    assert!(
                        before.ends_with("rate(") || before.ends_with("increase("),
                        "{place}: {expression}"
                    );
                    let (_, after) = expression[at..].split_once('[').unwrap_or_default();
                    let span = after.split_once(']').unwrap_or_default().0;
                    assert!(
                        ["$__rate_interval", "$__range"].contains(&span),
                        "{place}: {expression}"
                    );
                }
            }
        }
    });
}

#[test]
fn every_variable_is_declared_and_used_and_every_panel_keeps_to_the_chosen_pipelines() {
    for board in boards() {
        let variables = board.variables();
        for needed in ["datasource", "cluster", "namespace", "pipeline", "model", "version"] {
            assert!(variables.contains(&needed), "{}: {needed}", board.file);
        }
        let panels = board.json["panels"].to_string();
        for variable in &variables {
            let is_used = panels.contains(&format!("${variable}")) || panels.contains(&format!("${{{variable}}}"));
            assert!(is_used, "{}: {variable}", board.file);
        }
        for panel in board.panels() {
            for target in list(&panel["targets"]) {
                let expression = text(&target["expr"]);
                for label in ["cluster", "namespace", "pipeline"] {
                    let kept = expression.matches(&format!("{label}=~\"${label}\"")).count();
                    assert_eq!(kept, expression.matches('{').count(), "{}: {expression}", board.file);
                }
            }
        }
    }
}

#[test]
fn every_colour_is_of_a_palette_that_the_colour_blind_can_tell_apart() {
    fn look(value: &Value, file: &str, seen: &mut u32) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    let names_a_colour = ["color", "fixedColor", "iconColor", "fill"].contains(&key.as_str());
                    if let Some(colour) = value
                        .as_str()
                        .filter(|colour| names_a_colour && !["dash", "solid"].contains(colour))
                    {
                        assert!(COLOURS.contains(&colour), "{file}: {key} {colour}");
                        *seen += 1;
                    }
                    if key == "mode" && value.is_string() {
                        assert!(
                            !text(value).starts_with("palette-classic"),
                            "{file}: it has red and green"
                        );
                    }
                    look(value, file, seen);
                }
            }
            Value::Array(members) => members.iter().for_each(|member| look(member, file, seen)),
            _ => {}
        }
    }
    for board in boards() {
        let mut seen = 0;
        look(&board.json, &board.file, &mut seen);
        assert!(seen >= 50, "{}: {seen}", board.file);
    }
}

#[test]
fn verdicts_are_shown_in_words_and_no_verdict_is_not_shown_as_a_good_one() {
    let mut shown = 0;
    for_each_panel(|_, panel, place| {
        let reads = |record: &str| {
            list(&panel["targets"])
                .iter()
                .any(|target| text(&target["expr"]).contains(record))
        };
        if !reads("eddy:feature:state{") && !reads("eddy:output:state{") {
            return;
        }
        shown += 1;
        let words = &panel["fieldConfig"]["defaults"]["mappings"][0]["options"];
        for (state, word) in [
            ("-2", "catching up"),
            ("-1", "too few events"),
            ("0", "quiet"),
            ("1", "warning"),
            ("2", "alert"),
        ] {
            assert_eq!(words[state]["text"], word, "{place}");
        }
        assert_ne!(words["-1"]["color"], words["0"]["color"], "{place}");
    });
    assert!(shown >= 4, "{shown}");
}
