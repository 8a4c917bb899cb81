//! The dashboards of `dashboards/grafana`.

use serde_json::Value;

use crate::rules::root;

/// One dashboard.
#[derive(Debug)]
pub struct Board {
    /// The name of its file.
    pub file: String,
    /// Its JSON.
    pub json: Value,
}

/// One expression of a panel.
#[derive(Debug)]
pub struct Expression {
    /// The file of the dashboard, and the title of the panel.
    pub place: String,
    /// PromQL in which no variable is left.
    pub promql: String,
}

/// What stands for a variable that nobody chose; a label that must equal one may then have any value.
const DEFAULTS: [(&str, &str); 4] = [
    ("__rate_interval", "5m"),
    ("__range", "6h"),
    ("segment", "^$"),
    ("window", "1h"),
];

/// Every dashboard, in the order of the files' names.
pub fn boards() -> Vec<Board> {
    let folder = root().join("dashboards/grafana");
    let files = std::fs::read_dir(folder).expect("the dashboards are there");
    let paths = files.map(|file| file.expect("the folder can be read").path());
    let mut boards: Vec<Board> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a dashboard can be read");
            let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Board { file, json }
        })
        .collect();
    boards.sort_by(|a, b| a.file.cmp(&b.file));
    boards
}

impl Board {
    /// Its panels, but for the heads of rows.
    pub fn panels(&self) -> Vec<&Value> {
        let panels = list(&self.json["panels"]);
        panels.iter().filter(|panel| panel["type"] != "row").collect()
    }

    /// The names of its variables.
    pub fn variables(&self) -> Vec<&str> {
        let variables = list(&self.json["templating"]["list"]);
        variables.iter().map(|variable| text(&variable["name"])).collect()
    }
}

/// Every expression of every panel, with what was chosen for variables; the others stand for everything.
pub fn expressions(chosen: &[(&str, &str)]) -> Vec<Expression> {
    let mut expressions = Vec::new();
    for board in boards() {
        for panel in board.panels() {
            let place = format!("{}: {}", board.file, text(&panel["title"]));
            for target in list(&panel["targets"]) {
                expressions.push(Expression {
                    place: place.clone(),
                    promql: fill(text(&target["expr"]), chosen, &board.variables()),
                });
            }
        }
    }
    expressions
}

/// Puts values in the place of variables.
pub fn fill(expression: &str, chosen: &[(&str, &str)], variables: &[&str]) -> String {
    let mut filled = expression.to_owned();
    for (name, value) in chosen.iter().chain(&DEFAULTS) {
        filled = filled.replace(&format!("${name}"), value);
    }
    for name in variables {
        filled = filled.replace(&format!("=\"${name}\""), "=~\".*\"");
        filled = filled.replace(&format!("${name}"), ".*");
    }
    filled
}

/// The members of a list.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A text, or nothing.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
