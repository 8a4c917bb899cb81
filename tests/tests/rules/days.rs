//! The rules of the last day are those of the last hour, written once: YAML has no way to say so.

use eddy_tests::rules::root;

const HEAD: &str = "\
# Generated from drift.rules.yml: the same over the last 24 whole hours, for what has too few events in one. It adds up the hours
# that were recorded, which costs little however many replicas there are. UPDATE_REFERENCE=1 cargo test -p eddy-tests --test rules
# writes this file anew.
groups:
";

/// One rule or the head of a group, with the comments above it.
type Block<'a> = Vec<&'a str>;

fn blocks(hour: &str) -> Vec<Block<'_>> {
    let (_, groups) = hour.split_once("groups:\n").expect("there are groups");
    let mut blocks: Vec<Block<'_>> = vec![Vec::new()];
    for line in groups.lines() {
        let begins = ["  - name:", "      - record:", "      #"]
            .iter()
            .any(|word| line.starts_with(word));
        let last = blocks.last_mut().expect("it begins with one");
        let has_rule = last
            .iter()
            .any(|line| line.contains("expr:") || line.contains("rules:"));
        if begins && has_rule {
            blocks.push(vec![line]);
        } else {
            last.push(line);
        }
    }
    blocks
}

/// `count1h` becomes `count24h`; the step of `[6d:1h]` stays.
fn widen(line: &str) -> String {
    let mut wide = String::new();
    for (place, part) in line.split("1h").enumerate() {
        if place > 0 {
            let is_name = wide.ends_with(|c: char| c.is_ascii_lowercase());
            wide.push_str(if is_name { "24h" } else { "1h" });
        }
        wide.push_str(part);
    }
    wide
}

fn of_the_day(block: &Block<'_>) -> Vec<String> {
    if let Some(group) = block.iter().find(|line| line.starts_with("  - name:")) {
        // Half of the time in which Prometheus takes a value for current.
        return vec![format!("{group}_day"), "    interval: 2m".into(), "    rules:".into()];
    }
    let name = block
        .iter()
        .find_map(|line| line.strip_prefix("      - record: "))
        .expect("a rule");
    if !name.ends_with("1h") {
        // The reference has no window.
        return Vec::new();
    }
    if !block.iter().any(|line| line.contains("increase(")) {
        return block.iter().map(|line| widen(line)).collect();
    }
    let record = format!("      - record: {}", widen(name));
    vec![record, format!("        expr: sum_over_time({name}[24h:1h])")]
}

#[test]
fn the_rules_of_the_day_are_those_of_the_hour_over_recorded_hours() {
    let folder = root().join("dashboards/prometheus");
    let hour = std::fs::read_to_string(folder.join("drift.rules.yml")).expect("the rules can be read");
    let groups: Vec<Vec<String>> = blocks(&hour).iter().map(of_the_day).collect();
    let mut text = HEAD.to_owned();
    for (place, line) in groups.concat().iter().enumerate() {
        if place > 0 && line.starts_with("  - name:") {
            text.push('\n');
        }
        if !line.is_empty() {
            text.push_str(line);
            text.push('\n');
        }
    }
    let path = folder.join("drift.day.rules.yml");
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(&path, &text).expect("the rules can be written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "{} is old: UPDATE_REFERENCE=1 cargo test -p eddy-tests --test rules",
        path.display()
    );
}
