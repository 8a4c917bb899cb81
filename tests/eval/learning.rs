//! What learning from selected labels only is worth; and selection for learners outside, one line an event.

use std::io::{BufRead as _, Write as _};
use std::process::{Command, Stdio};

use clap::Args;
use eddy_pipeline::select::{Selection, Served};
use eddy_pipeline::signal::{Matrix, Signal, Subject};
use serde_json::{Value, json};

use crate::data::folder;
use crate::model::Model;
use crate::report::Report;
use crate::stream::{self, Event, at};

/// How to select.
#[derive(Debug, Args)]
pub(crate) struct Select {
    /// Share of events that may be selected.
    #[arg(long)]
    budget: f64,
    /// Share of the control arm in the budget; the arm uncertainty has the rest.
    #[arg(long)]
    explore: f64,
    /// Makes the ids of the events.
    #[arg(long)]
    seed: u64,
    /// Number of classes.
    #[arg(long)]
    classes: usize,
}

/// Reads the class probabilities of an event a line and answers each with `1` or `0`, and with the probability with which
/// it was to be selected.
pub(crate) fn serve(select: &Select) {
    let served = Served {
        model: "model".to_owned(),
        signals: vec![(Signal::Margin, None)],
        classes: select.classes,
    };
    let shares = json!({"explore": select.explore, "uncertainty": 1.0 - select.explore});
    let settings = json!({"fraction": select.budget, "shares": shares, "duplicates": {"suppress": false}});
    let mut selection = Selection::new(stream::plan(settings, served));
    let mut out = std::io::stdout().lock();
    for (number, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line.expect("the input can be read");
        let words = line.split_whitespace();
        let probabilities: Vec<f32> = words.map(|word| word.parse().expect("a probability")).collect();
        let event = Event {
            id: format!("{}/{number}", select.seed),
            partition: 0,
            margin: margin(&probabilities),
            anomaly: f32::NAN,
        };
        stream::decide(&mut selection, &[event], at(0), |_, pick| {
            let is_selected = u8::from(!pick.all_arms().is_empty());
            writeln!(out, "{is_selected} {}", pick.probability).expect("the output can be written");
        });
        out.flush().expect("the output can be written");
    }
}

fn margin(probabilities: &[f32]) -> f32 {
    let model = Model::classes(probabilities);
    let measure = Signal::Margin
        .measure(&Subject::bare(model.head.holds()))
        .expect("a classification has a margin");
    model.measured(&*measure, Matrix::empty(1))[0]
}

/// Adds the table.
pub(crate) fn report(report: &mut Report) {
    report.section(
        "Learning",
        "Prequential accuracy of river's learners: every event is predicted first, and its label is learned only if it is \
         selected; the first 50 events are learned. `random` is the control arm alone, `Eddy` has 30 % of the budget in the \
         control arm and the rest in the arm uncertainty (margin), and with all labels every event is learned. Means and \
         standard deviations of 3 seeds, which change what is drawn, not the stream; two differ for certain only where the \
         deviations are far apart. Shuttle tells anomalies from ordinary rows, and 93 % of all its rows are ordinary.",
    );
    let folder = folder();
    let child = Command::new(folder.join("python/bin/python"))
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/eval/learn.py"))
        .arg(std::env::current_exe().expect("this program has a path"))
        .arg(folder.join("data/census.csv"))
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|e| panic!("the learners do not start: {e}; run tests/setup/eval"));
    assert!(child.status.success(), "the learners ended with {}", child.status);
    let text = String::from_utf8(child.stdout).expect("text");
    let cells: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a cell"))
        .collect();
    let number = |cell: &Value, key: &str| cell[key].as_f64().expect("a number");
    let (mut rows, mut wins, mut losses) = (Vec::new(), 0, 0);
    for block in cells.chunk_by(|a, b| a["stream"] == b["stream"] && a["learner"] == b["learner"]) {
        let [all, selected @ ..] = block else { continue };
        for pair in selected.chunks_exact(2) {
            let [random, eddy] = [&pair[0], &pair[1]];
            let gain = number(eddy, "accuracy") - number(random, "accuracy");
            let spread = number(eddy, "deviation") + number(random, "deviation");
            wins += usize::from(gain > spread);
            losses += usize::from(-gain > spread);
            let accuracy = |cell: &Value| {
                let (mean, deviation) = (number(cell, "accuracy"), number(cell, "deviation"));
                format!("{mean:.3} ± {deviation:.3}")
            };
            rows.push(vec![
                format!("{} ({})", all["stream"].as_str().unwrap_or_default(), all["events"]),
                all["learner"].as_str().unwrap_or_default().to_owned(),
                format!("{} %", number(eddy, "budget") * 100.0),
                format!("{:.3}", number(all, "accuracy")),
                accuracy(random),
                accuracy(eddy),
                format!("{gain:+.3}"),
                format!(
                    "{:.2} % / {:.2} %",
                    number(random, "selected") * 100.0,
                    number(eddy, "selected") * 100.0
                ),
            ]);
        }
    }
    report.table(
        &[
            "stream (events)",
            "learner",
            "budget",
            "all labels",
            "random",
            "Eddy",
            "gain",
            "selected: random / Eddy",
        ],
        &rows,
    );
    report.say(format!(
        "Of {} cells, Eddy's selection is better than random selection by more than both deviations in {wins}, and worse \
         by as much in {losses}.",
        rows.len()
    ));
}
