//! Schemas that do not fit the pipeline file: what `[events.evolution]` makes of their events, on a real Kafka.

use std::collections::BTreeMap;

use eddy_tests::oracle::Outputs;
use eddy_tests::registry::StandIn;
use eddy_tests::service::{Replica, wait_for};
use eddy_tests::stage::{EXACTLY_ONCE, Event, PICK, Plan, Stage};

use crate::BINARY;

/// A schema by how it does not fit: with its members behind `id` and `features`, Avro's bytes of their values, and the place
/// of what is found.
struct Changed {
    rule: &'static str,
    members: &'static str,
    values: &'static [u8],
    place: &'static str,
}

/// As the pipeline file has it: a text.
const FITTING: Changed = Changed {
    rule: "",
    members: r#",{"name":"note","type":"string"}"#,
    values: &[2, b'x'],
    place: "",
};

const CHANGES: [Changed; 3] = [
    Changed {
        rule: "unknown_field",
        members: r#",{"name":"note","type":"string"},{"name":"extra","type":"string"}"#,
        values: &[2, b'x', 2, b'y'],
        place: "/extra",
    },
    Changed {
        rule: "missing_field",
        members: "",
        values: &[],
        place: "/note",
    },
    Changed {
        rule: "changed_type",
        members: r#",{"name":"note","type":"long"}"#,
        values: &[14],
        place: "/note",
    },
];

impl Changed {
    fn register(&self, registry: &StandIn, subject: &str) -> u32 {
        let schema = format!(
            r#"{{"type":"record","name":"E","fields":[{{"name":"id","type":"string"}},
            {{"name":"features","type":{{"type":"array","items":"double"}}}}{}]}}"#,
            self.members
        );
        registry.put(subject, serde_json::json!({ "schema": schema }))
    }

    /// An event of that schema, as a serializer writes it.
    fn event(&self, schema: u32, id: &str) -> Event {
        let mut bytes = vec![0];
        bytes.extend(schema.to_be_bytes());
        bytes.push(id.len() as u8 * 2);
        bytes.extend(id.bytes());
        // A block of two numbers, and the end of the list.
        bytes.push(4);
        bytes.extend([3.0_f64, 1.0].iter().flat_map(|number| number.to_le_bytes()));
        bytes.push(0);
        bytes.extend(self.values);
        Event::new(bytes)
    }
}

/// A pipeline with a rule for each change.
fn stage(name: &str, registry: &StandIn, rules: [&str; 3]) -> Stage {
    let rules: Vec<String> = CHANGES
        .iter()
        .zip(rules)
        .map(|(change, rule)| format!("{} = \"{rule}\"\n", change.rule))
        .collect();
    let text = format!(
        "[registry]\nurl = \"{}\"\n[events]\nformat = \"avro\"\nid_field = \"/id\"\n[events.evolution]\n{}[dead_letters]\nflood_share \
         = 1.0\n{PICK}inputs = {{ features = [\"features\"] }}\n[fields.note]\ntype = \"string\"\ndefault = \"none\"\n",
        registry.url(),
        rules.concat()
    );
    Stage::new(&Plan {
        name,
        guarantee: EXACTLY_ONCE,
        partitions: 1,
        limits: &[],
        text: &text,
    })
}

/// Two events that fit, two of each change, and two that fit.
fn send_of_each(stage: &Stage, registry: &StandIn) {
    let subject = format!("{}-value", stage.topic("events"));
    let fitting = FITTING.register(registry, &subject);
    let mut events = vec![FITTING.event(fitting, "fits-1"), FITTING.event(fitting, "fits-2")];
    for change in &CHANGES {
        let schema = change.register(registry, &subject);
        events.extend((1..=2).map(|number| change.event(schema, &format!("{}-{number}", change.rule))));
    }
    events.extend([FITTING.event(fitting, "fits-3"), FITTING.event(fitting, "fits-4")]);
    stage.send(&events);
}

/// How often each change was found.
fn findings(replica: &Replica) -> BTreeMap<String, f64> {
    let text = replica.get("/metrics").expect("it answers");
    let series = text
        .lines()
        .filter_map(|line| line.strip_prefix("eddy_schema_findings_total{"));
    let series = series.map(|line| {
        let (labels, value) = line.rsplit_once(' ').expect("a value");
        let change = labels.split('"').nth(1).expect("a label");
        (change.to_owned(), value.parse().expect("a number"))
    });
    series.collect()
}

fn each_once() -> BTreeMap<String, f64> {
    CHANGES.iter().map(|change| (change.rule.to_owned(), 1.0)).collect()
}

/// Runs until every event has an outcome, and no cause keeps it from being ready.
fn outputs_and_findings(stage: &Stage) -> (Outputs, BTreeMap<String, f64>) {
    let mut replica = stage.start(BINARY, &[]);
    stage.wait_for_end(&mut replica);
    wait_for("it to be ready", || (replica.code("/ready") == Some(200)).then_some(()));
    let findings = findings(&replica);
    assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());
    (stage.outputs(), findings)
}

fn ids(messages: &[eddy_tests::kafka::Message]) -> Vec<&str> {
    messages
        .iter()
        .map(|message| message.header("eddy.id").expect("an id"))
        .collect()
}

#[test]
fn a_schema_that_is_accepted_is_counted_and_its_events_are_judged_by_the_rules_of_their_fields() {
    let registry = StandIn::start();
    let stage = stage("evolution-accept", &registry, ["accept"; 3]);
    send_of_each(&stage, &registry);
    let (outputs, findings) = outputs_and_findings(&stage);
    assert_eq!(findings, each_once());
    let predicted = [
        "fits-1",
        "fits-2",
        "unknown_field-1",
        "unknown_field-2",
        "missing_field-1",
        "missing_field-2",
        "fits-3",
        "fits-4",
    ];
    assert_eq!(ids(&outputs.predictions), predicted);
    assert_eq!(ids(&outputs.dead_letters), ["changed_type-1", "changed_type-2"]);
    for letter in &outputs.dead_letters {
        assert_eq!(letter.header("eddy.reason"), Some("wrong_type"));
    }
}

#[test]
fn a_schema_that_is_rejected_makes_dead_letters_of_its_events_that_name_it_and_the_place() {
    let registry = StandIn::start();
    let stage = stage("evolution-reject", &registry, ["reject"; 3]);
    send_of_each(&stage, &registry);
    let (outputs, findings) = outputs_and_findings(&stage);
    assert_eq!(findings, each_once());
    assert_eq!(ids(&outputs.predictions), ["fits-1", "fits-2", "fits-3", "fits-4"]);
    assert_eq!(outputs.dead_letters.len(), 6);
    for (at, letter) in outputs.dead_letters.iter().enumerate() {
        assert_eq!(letter.header("eddy.reason"), Some("schema_refused"));
        let value = letter.value.as_deref().expect("the event's bytes");
        let schema = u32::from_be_bytes(value[1..5].try_into().expect("four bytes"));
        let place = CHANGES[at / 2].place;
        let detail = letter.header("eddy.detail").expect("a sentence");
        assert!(
            detail.contains(&format!("schema {schema}, ")) && detail.contains(&format!("`{place}` is ")),
            "{detail}"
        );
    }
}

/// The stream stands before that event, its offsets untouched, and says why, everywhere where one looks.
fn stands_still(stage: &Stage, replica: &mut Replica, schema: u32, change: &Changed) {
    let page = wait_for("the page to name the cause", || {
        assert!(replica.is_running(), "{}", replica.log());
        replica.get("/ready").filter(|page| page.contains("lane 0: schema"))
    });
    let sentence = format!("schema {schema} does not fit the pipeline file: `{}` is ", change.place);
    assert!(
        page.contains(&sentence) && page.contains("`events.evolution`"),
        "{page}"
    );
    assert_eq!(replica.code("/ready"), Some(503));
    assert_eq!(replica.code("/live"), Some(200));
    let status = replica.status().expect("it answers");
    assert_eq!(status["lanes"][0]["paused"][0]["cause"], "schema", "{status}");
    wait_for("what came before to be durable", || {
        (stage.committed() == 2).then_some(())
    });
    assert_eq!(findings(replica)[change.rule], 1.0);
    let outputs = stage.outputs();
    assert_eq!(ids(&outputs.predictions), ["fits-1", "fits-2"]);
    assert!(outputs.dead_letters.is_empty(), "{:?}", outputs.dead_letters);
}

#[test]
fn a_schema_that_pauses_the_stream_leaves_offsets_untouched_until_the_file_says_otherwise() {
    for (at, change) in CHANGES.iter().enumerate() {
        let registry = StandIn::start();
        let mut rules = ["accept"; 3];
        rules[at] = "pause";
        let stage = stage(&format!("evolution-pause-{at}"), &registry, rules);
        let subject = format!("{}-value", stage.topic("events"));
        let (fitting, odd) = (
            FITTING.register(&registry, &subject),
            change.register(&registry, &subject),
        );
        let mut events: Vec<Event> = (1..=4)
            .map(|number| FITTING.event(fitting, &format!("fits-{number}")))
            .collect();
        events.insert(2, change.event(odd, "odd"));
        stage.send(&events);
        let mut replica = stage.start(BINARY, &[]);
        stands_still(&stage, &mut replica, odd, change);
        assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());
        assert_eq!(stage.committed(), 2, "a drain goes no further either");
        assert!(stage.outputs().dead_letters.is_empty());

        let key = format!("EDDY__EVENTS__EVOLUTION__{}", change.rule.to_uppercase());
        let outputs = stage.run(BINARY, &[(&key, "reject")]);
        assert_eq!(ids(&outputs.predictions), ["fits-1", "fits-2", "fits-3", "fits-4"]);
        let [letter] = outputs.dead_letters.as_slice() else {
            panic!("{:?}", outputs.dead_letters)
        };
        assert_eq!(letter.header("eddy.reason"), Some("schema_refused"));
        let third = format!("{}/0/2", stage.topic("events"));
        assert_eq!(letter.header("eddy.source"), Some(third.as_str()));
    }
}
