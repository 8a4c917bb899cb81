//! Replicas under a real Prometheus with the project's rules: what a fleet shows is what its events give, computed apart; and
//! a restart neither doubles nor loses more than was never scraped.

use std::collections::BTreeMap;

use eddy_tests::prometheus::{Prometheus, every_second};
use eddy_tests::service::{Replica, wait_for};
use eddy_tests::stage::{EXACTLY_ONCE, Event, PICK, Plan, Stage};
use serde_json::{Map, Value};

use super::onboarding::{Onboarded, fixture, passengers, rows};

/// Counts by feature and bin.
type Counts = BTreeMap<(String, String), f64>;

/// A pipeline with a profile, two partitions and events that are not like the profile's.
pub(super) struct Fleet {
    onboarded: Onboarded,
    profile: Value,
    moved: Vec<Map<String, Value>>,
}

impl Fleet {
    fn new(name: &str) -> Self {
        let csv = passengers(&fixture("titanic.csv"));
        let stage = Stage::new(&Plan {
            name,
            guarantee: EXACTLY_ONCE,
            partitions: 2,
            limits: &[],
            text: PICK,
        });
        let onboarded = Onboarded::over(stage, "titanic", &csv);
        let profile = std::fs::read(onboarded.beside("profile.json")).expect("there are enough rows for one");
        let rows = rows(&csv, "survived").into_iter().map(|(members, _)| members);
        Self {
            profile: serde_json::from_slice(&profile).expect("it is JSON"),
            moved: rows.filter(|row| row["fare"].as_f64() > Some(12.0)).collect(),
            onboarded,
        }
    }

    /// The same, which watches the words of a field apart.
    pub(super) fn with_segments(name: &str, field: &str) -> Self {
        let fleet = Self::new(name);
        let at = |name: &str| fleet.onboarded.beside(name).display().to_string();
        let (file, data, out) = (at("pipeline.toml"), at("train.csv"), at("profile.json"));
        let words = [
            "profile",
            &file,
            "--data",
            &data,
            "--label",
            "survived",
            "--segment",
            field,
            "--out",
            &out,
        ];
        fleet.onboarded.eddy(&words);
        fleet.onboarded.write(
            "",
            &format!(
                "\n[drift]\nsegment = {field:?}\nwindow = \"30s\"\n{}",
                fleet.onboarded.selection()
            ),
        );
        fleet
    }

    /// Makes what a feature is like in the events so far its new normal.
    pub(super) fn accept(&self, feature: &str) -> String {
        let file = self.onboarded.beside("pipeline.toml").display().to_string();
        self.onboarded
            .eddy(&["profile", "accept", &file, "--feature", feature, "--since", "1h"])
    }

    /// Sends events that become dead letters.
    pub(super) fn send_broken(&self) {
        let events: Vec<Event> = (0..10).map(|number| Event::new("{").at(number % 2)).collect();
        self.onboarded.stage.send(&events);
    }

    pub(super) fn start(&self, name: &str) -> Replica {
        let settings = [
            ("EDDY__DRAIN__LAST_SCRAPE", "30s"),
            ("EDDY__DRIFT__WINDOW", "1m"),
            // Small steps, so that a kill finds some of the work done.
            ("EDDY__CHECKPOINT__RECORDS", "100"),
        ];
        let replica = self.onboarded.start(name, &settings);
        wait_for("the replica to be ready", || {
            replica.get("/ready").filter(|page| page.contains("\"ready\":true"))
        });
        replica
    }

    /// Waits until each replica holds a partition.
    fn wait_for_shares(replicas: &[&Replica]) {
        wait_for("each replica to hold a partition", || {
            let holds_one = |replica: &&Replica| {
                let page = replica.get("/status")?;
                let status: Value = serde_json::from_str(&page).ok()?;
                (status["lanes"][0]["partitions"].as_array()?.len() == 1).then_some(())
            };
            replicas
                .iter()
                .all(|replica| holds_one(replica).is_some())
                .then_some(())
        });
    }

    pub(super) fn send(&self) {
        let event = |(number, members): (usize, &Map<String, Value>)| {
            let event = Event::new(Value::from(members.clone()).to_string());
            event.named(&number.to_string()).at((number % 2) as i32)
        };
        let events: Vec<Event> = self.moved.iter().enumerate().map(event).collect();
        self.onboarded.stage.send(&events);
    }

    fn features(&self) -> impl Iterator<Item = (&str, &Value)> {
        let features = self.profile["features"].as_array().expect("features").iter();
        features.map(|feature| {
            let (kind, feature) = feature
                .as_object()
                .and_then(|only| only.iter().next())
                .expect("a feature");
            (kind.as_str(), feature)
        })
    }

    /// What the events give, counted here: so many times over.
    fn offline(&self, times: f64) -> Counts {
        let mut counts = Counts::new();
        for (kind, feature) in self.features() {
            let name = feature["name"].as_str().expect("a name");
            for row in &self.moved {
                if let Some(bin) = bin(kind, feature, &row.get(name).cloned().unwrap_or(Value::Null)) {
                    *counts.entry((name.to_owned(), bin)).or_default() += times;
                }
            }
        }
        counts
    }

    /// PSI of each feature by its formula, with half a count added to each bin.
    fn psi(&self, counts: &Counts) -> BTreeMap<String, f64> {
        let mut all = BTreeMap::new();
        for (kind, feature) in self.features() {
            let name = feature["name"].as_str().expect("a name");
            let reference: Vec<f64> = feature["counts"]
                .as_array()
                .expect("counts")
                .iter()
                .filter_map(Value::as_f64)
                .collect();
            let current: Vec<f64> = labels(kind, feature)
                .into_iter()
                .map(|label| counts.get(&(name.to_owned(), label)).copied().unwrap_or(0.0))
                .collect();
            let share = |counts: &[f64], at: usize| {
                (counts[at] + 0.5) / (counts.iter().sum::<f64>() + counts.len() as f64 / 2.0)
            };
            let terms = (0..reference.len()).map(|at| {
                let (p, q) = (share(&reference, at), share(&current, at));
                (q - p) * (q / p).ln()
            });
            all.insert(name.to_owned(), terms.sum());
        }
        all
    }

    pub(super) fn wait_for_end(&self) {
        wait_for("every event to be committed", || {
            (self.onboarded.stage.lag() == 0).then_some(())
        });
    }
}

/// The labels of a feature's bins.
pub(super) fn labels(kind: &str, feature: &Value) -> Vec<String> {
    match kind {
        "number" => {
            let edges = feature["edges"].as_array().expect("edges").iter();
            let edges = edges.map(|edge| format!("{:?}", edge.as_f64().expect("an edge") as f32));
            edges.chain(["+Inf".to_owned()]).collect()
        }
        _ => {
            let words = feature["categories"].as_array().expect("words").iter();
            let words = words.map(|word| word.as_str().expect("a word").to_owned());
            words.chain(["(other)".to_owned()]).collect()
        }
    }
}

/// The bin of a value; none for a missing one.
fn bin(kind: &str, feature: &Value, value: &Value) -> Option<String> {
    let labels = labels(kind, feature);
    if kind == "number" {
        let value = value.as_f64()? as f32;
        let edges = feature["edges"].as_array().expect("edges").iter();
        let below = edges
            .filter(|edge| (edge.as_f64().expect("an edge") as f32) < value)
            .count();
        return labels.into_iter().nth(below);
    }
    let word = value.as_str()?;
    let known = labels.iter().find(|label| *label == word).cloned();
    known.or(labels.last().cloned())
}

/// What Prometheus has seen of each bin, over all processes that there were. Each process begins at 0 and only grows.
fn scraped(prometheus: &Prometheus) -> Counts {
    let most = "sum by (feature, bin) (max_over_time(eddy_feature_bin_total{segment=\"\"}[1h]))";
    let samples = prometheus.query(most).into_iter();
    let all = samples.map(|sample| {
        (
            (sample.label("feature").to_owned(), sample.label("bin").to_owned()),
            sample.value,
        )
    });
    all.filter(|(_, count)| *count > 0.0).collect()
}

fn wait_until_scraped(prometheus: &Prometheus, instances: usize) {
    // The zeros at the beginning, too: only from there on is an increase one.
    wait_for("every replica to be scraped", || {
        let series = prometheus.number("count(count by (instance) (eddy_feature_bin_total))");
        (series == instances as f64).then_some(())
    });
}

fn psi_of_rules(prometheus: &Prometheus) -> BTreeMap<String, f64> {
    let samples = prometheus.query("eddy:feature:psi1h").into_iter();
    samples
        .map(|sample| (sample.label("feature").to_owned(), sample.value))
        .collect()
}

#[test]
fn the_psi_of_a_fleet_by_the_rules_is_that_of_all_its_events_together() {
    let fleet = Fleet::new("fleet");
    let raw = Prometheus::start(|rules| raw_counters(&every_second(rules)));
    let as_they_are = Prometheus::start(every_second);
    let replicas = ["replica-0", "replica-1"].map(|name| fleet.start(name));
    let [first, second] = &replicas;
    for server in [&raw, &as_they_are] {
        server.scrape(&[(first.port(), "a", "n"), (second.port(), "b", "n")]);
        wait_until_scraped(server, 2);
    }
    Fleet::wait_for_shares(&[first, second]);
    fleet.send();
    fleet.wait_for_end();
    let offline = fleet.offline(1.0);
    for server in [&raw, &as_they_are] {
        wait_for("every count to be scraped", || {
            (scraped(server) == offline).then_some(())
        });
    }
    let expected = fleet.psi(&offline);
    assert!(
        expected.values().any(|psi| *psi > 0.2),
        "the events are not like the reference: {expected:?}"
    );
    let seen = wait_for("the rules to be evaluated on all of it", || {
        let seen = psi_of_rules(&raw);
        let is_near =
            |(feature, psi): (&String, &f64)| seen.get(feature).is_some_and(|seen| (seen - psi).abs() <= 1e-6);
        expected.iter().all(is_near).then_some(seen)
    });
    assert_eq!(seen.len(), expected.len());
    // `increase` extends each replica's counts to the ends of the window, by nearly the same factor.
    wait_for("the rules as they are to come near", || {
        let seen = psi_of_rules(&as_they_are);
        let is_near = |(feature, psi): (&String, &f64)| {
            seen.get(feature)
                .is_some_and(|seen| (seen - psi).abs() <= 0.01 * psi.max(0.01))
        };
        expected.iter().all(is_near).then_some(())
    });
    // Both replicas had a part in it, so that this was a sum.
    let parts = raw.query("sum by (instance) (eddy_feature_bin_total)");
    assert!(
        parts.len() == 2 && parts.iter().all(|part| part.value > 1_000.0),
        "{parts:?}"
    );
}

/// The rules on the counters themselves: what is compared with a number is then not also an extrapolation.
fn raw_counters(rules: &str) -> String {
    let mut text = String::new();
    let mut rest = rules;
    while let Some((before, after)) = rest.split_once("increase(") {
        let (counter, behind) = after.split_once(')').expect("a parenthesis closes");
        let (counter, _window) = counter.split_once('[').expect("an increase has a window");
        text.push_str(before);
        text.push_str(counter);
        rest = behind;
    }
    text + rest
}

#[test]
fn a_restart_loses_no_count_that_was_asked_for_and_a_kill_at_most_what_was_not_scraped_and_neither_doubles_any() {
    let fleet = Fleet::new("restarts");
    let prometheus = Prometheus::start(every_second);
    let mut replicas = vec![fleet.start("replica-0"), fleet.start("replica-1")];
    let mut targets = vec![(replicas[0].port(), "0", "n"), (replicas[1].port(), "1", "n")];
    prometheus.scrape(&targets);
    wait_until_scraped(&prometheus, 2);
    Fleet::wait_for_shares(&[&replicas[0], &replicas[1]]);

    // In the middle of the work one is asked to end, and another takes its place.
    let is_under_way = |least: f64| {
        wait_for("some of it to be scraped", || {
            (scraped(&prometheus).values().sum::<f64>() > least).then_some(())
        });
    };
    (0..4).for_each(|_| fleet.send());
    is_under_way(0.0);
    let mut first = replicas.remove(0);
    assert_eq!(first.terminate().code(), Some(0), "{}", first.log());
    replicas.push(fleet.start("replica-2"));
    targets.push((replicas[1].port(), "2", "n"));
    prometheus.scrape(&targets);
    fleet.wait_for_end();
    let after_term = fleet.offline(4.0);
    wait_for(
        "every count to be scraped, also the last ones of the one that ended",
        || (scraped(&prometheus) == after_term).then_some(()),
    );

    // The same with a kill.
    (0..4).for_each(|_| fleet.send());
    is_under_way(after_term.values().sum());
    replicas[0].kill();
    replicas.push(fleet.start("replica-3"));
    targets.push((replicas[2].port(), "3", "n"));
    prometheus.scrape(&targets);
    fleet.wait_for_end();
    let all = fleet.offline(8.0);
    let idle = |replica: &Replica| {
        let page = replica.get("/metrics")?;
        page.contains("eddy_events_in_flight{pipeline=\"titanic\"} 0")
            .then_some(())
    };
    wait_for("the others to have shown everything", || {
        idle(&replicas[1]).and(idle(&replicas[2]))
    });
    let living = |counts: &str| {
        prometheus.number(&format!(
            "sum(max_over_time(eddy_feature_bin_total{{instance=~\"2|3\"}}[1h])) {counts}"
        ))
    };
    let shown: f64 = replicas[1..]
        .iter()
        .map(|replica| total(&replica.get("/metrics").expect("it answers")))
        .sum();
    wait_for("that to be scraped", || (living("") == shown).then_some(()));
    let seen = scraped(&prometheus);
    for (bin, count) in &all {
        let seen = seen.get(bin).copied().unwrap_or(0.0);
        assert!(seen <= *count, "{bin:?}: {seen} of {count} is more than there was");
        // Whatever was scraped before the kill is there for good.
        assert!(seen >= after_term[bin], "{bin:?}: {seen} of {count}");
    }
    // It cannot have lost more than it had: the events of its partition that came since.
    let sum = |counts: &Counts| counts.values().sum::<f64>();
    let lost = sum(&all) - sum(&seen);
    assert!(lost <= (sum(&all) - sum(&after_term)) / 2.0, "{lost} of {}", sum(&all));
}

/// All counts of bins on a page.
fn total(page: &str) -> f64 {
    let lines = page.lines().filter(|line| line.starts_with("eddy_feature_bin_total{"));
    lines
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

#[test]
fn a_new_normal_that_was_accepted_is_no_drift_and_everything_else_still_is() {
    let fleet = Fleet::new("accepted");
    fleet.send();
    let before = fleet.psi(&fleet.offline(1.0));
    assert!(before["fare"] > 0.2, "{before:?}");
    let said = fleet.accept("fare");
    assert!(said.contains("feature `fare` is as it was from"), "{said}");
    let replica = fleet.start("replica-0");
    let drift = wait_for("the first comparison of all of it", || {
        let drift: Value = serde_json::from_str(&replica.get("/drift")?).ok()?;
        let features = drift["features"].as_array()?;
        let counted = features
            .iter()
            .any(|feature| feature["events"].as_u64() == Some(fleet.moved.len() as u64));
        counted.then_some(drift)
    });
    let of = |name: &str| {
        let features = drift["features"].as_array().expect("features").iter();
        let mut own = features.filter(|feature| feature["name"] == name);
        own.next().cloned().expect("it is watched")
    };
    assert!(
        of("fare")["psi"].as_f64().expect("it is compared") < 1e-9,
        "{}",
        of("fare")
    );
    let others = before.iter().filter(|(feature, _)| *feature != "fare");
    for (feature, psi) in others {
        let seen = of(feature)["psi"].as_f64().unwrap_or_default();
        assert!((seen - psi).abs() < 1e-6, "{feature}: {seen} and {psi}");
    }
    assert!(
        replica
            .get("/metrics")
            .is_some_and(|page| page.contains("eddy_feature_accepted_time_seconds{feature=\"fare\""))
    );
}

#[test]
fn check_counts_the_series_that_a_replica_will_have() {
    let fleet = Fleet::with_segments("forecast", "sex");
    let file = fleet.onboarded.beside("pipeline.toml").display().to_string();
    let said = fleet.onboarded.eddy(&["check", &file]);
    let (_, forecast) = said.split_once("Prometheus: ").expect("it tells of Prometheus");
    let forecast: usize = forecast
        .split(' ')
        .next()
        .and_then(|count| count.parse().ok())
        .expect("a number");
    let replica = fleet.start("replica-0");
    fleet.send();
    fleet.send_broken();
    fleet.wait_for_end();
    let series = |page: &str| page.lines().filter(|line| !line.starts_with('#')).count();
    // The last ones come with the first comparison and the first look at the lag.
    let seen = wait_for("every series that was foretold", || {
        let seen = series(&replica.get("/metrics")?);
        (seen * 100 >= forecast * 98).then_some(seen)
    });
    assert!(seen <= forecast, "{seen} of {forecast}");
}
