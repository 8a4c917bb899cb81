//! The engine on settings of its own.
#![allow(dead_code)]

use std::collections::BTreeMap;

use eddy_pipeline::format::Format;
use eddy_pipeline::settings::{Bytes, Problem, Span};
use schemars::JsonSchema;
use serde::Deserialize;

use super::history::History;
use super::{Source, read, reference};

const HISTORY: History = History::of(&Format {
    of: "plants",
    written: 1,
    oldest: 1,
    stands: "",
});

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Plant {
    /// Name of the plant.
    name: String,
    pump: Pump,
    #[serde(default)]
    tanks: Vec<Tank>,
    #[serde(default)]
    sensors: BTreeMap<String, Sensor>,
    #[serde(default)]
    door: Option<Key>,
    #[serde(default)]
    limit: Option<Limit>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
struct Pump {
    mode: Mode,
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 64))]
    lanes: u32,
    #[serde(default = "second")]
    interval: Span,
    #[serde(default = "kib")]
    room: Bytes,
    #[serde(default)]
    hosts: Vec<String>,
    #[serde(default)]
    share: Option<f32>,
    #[serde(default)]
    verbose: bool,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    /// Full speed.
    FullSpeed,
    /// Half speed.
    Half,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Tank {
    path: String,
    #[serde(default)]
    head: Option<Head>,
    #[serde(default)]
    range: Option<[f64; 2]>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Head {
    Round(Round),
    Flat(Flat),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Round {
    radius: f64,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Flat {
    #[serde(default)]
    width: f64,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sensor {
    #[serde(default)]
    low: f64,
    #[serde(default)]
    high: f64,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Key {
    File(KeyFile),
    Env(KeyEnv),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    file: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct KeyEnv {
    env: String,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(untagged)]
enum Limit {
    Word(String),
    Rows(u32),
}

fn one() -> u32 {
    1
}
fn second() -> Span {
    Span::seconds(1)
}
fn kib() -> Bytes {
    Bytes::kib(1)
}

fn check(plant: &Plant) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, sensor) in &plant.sensors {
        if sensor.low > sensor.high {
            problems.push(Problem::new(
                format!("sensors.{name}.low"),
                "is above `high`; swap them",
            ));
        }
    }
    for (index, tank) in plant.tanks.iter().enumerate() {
        if tank.path.is_empty() {
            problems.push(Problem::new(format!("tanks[{index}].path"), "names no file"));
        }
    }
    if plant.pump.lanes == 13 {
        problems.push(Problem::new("pump.lanes", "brings bad luck"));
    }
    problems
}

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Plant, Vec<String>> {
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let source = Source {
        name: "plant.toml",
        text,
    };
    match read(source, variables, &HISTORY, check) {
        Ok(loaded) => Ok(loaded.settings),
        Err(problems) => Err(problems.to_string().lines().map(str::to_owned).collect()),
    }
}

fn problems(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    load(text, variables).expect_err("the text is wrong on purpose")
}

const SOUND: &str = r#"name = "north"

[pump]
mode = "half"
"#;

#[test]
fn sound_text_gives_settings_with_defaults() {
    let plant = load(SOUND, &[]).unwrap();
    assert_eq!(plant.name, "north");
    assert_eq!(
        (plant.pump.lanes, plant.pump.interval, plant.pump.room),
        (1, Span::seconds(1), Bytes::kib(1))
    );
}

#[test]
fn every_kind_of_mistake_is_one_line_with_its_place() {
    let text = r#"name = 7
colour = "red"

[pmup]
mode = "haf"
lanes = 65
interval = "5 lightyears"
room = -1
hosts = ["a", 2]
shaer = 0.5
verbose = "yes"

[[tanks]]
path = "a"
head = { type = "squar" }

[[tanks]]
range = [1.0, 2.0, 3.0]

[sensors.north]
low = "deep"
hihg = 3
"#;
    assert_eq!(
        problems(text, &[]),
        [
            "plant.toml:1:8: `name` must be a string; found a whole number",
            "plant.toml:2:1: unknown key `colour`; known here: name, pump, tanks, sensors, door, limit",
            "plant.toml:4:2: unknown key `pmup`; did you mean `pump`?",
            "plant.toml:5:8: `pmup.mode` cannot be \"haf\"; did you mean \"half\"? It takes one of \"full-speed\", \"half\"",
            "plant.toml:6:9: `pmup.lanes` is 65; it must be at least 1 and at most 64",
            "plant.toml:7:12: `pmup.interval` cannot be read: `5 lightyears` is not a span of time; write a number with a unit, such as \"250ms\", \"5s\" or \"1m\"",
            "plant.toml:8:8: `pmup.room` is -1; a size cannot be less than nothing",
            "plant.toml:9:15: `pmup.hosts[1]` must be a string; found a whole number",
            "plant.toml:10:1: unknown key `pmup.shaer`; did you mean `share`?",
            "plant.toml:11:11: `pmup.verbose` must be true or false; found a string",
            "plant.toml:15:17: `tanks[0].head.type` cannot be \"squar\"; it takes one of \"round\", \"flat\"",
            "plant.toml:17:1: `tanks[1]` needs the key `path`: a string",
            "plant.toml:18:9: `tanks[1].range` has 3 items; it takes exactly 2 items",
            "plant.toml:21:7: `sensors.north.low` must be a number; found a string",
            "plant.toml:22:1: unknown key `sensors.north.hihg`; did you mean `high`?",
        ]
    );
}

#[test]
fn problems_of_the_typed_checks_come_with_the_others() {
    let text = "name = \"n\"\ncolour = 1\n[pump]\nmode = \"half\"\nlanes = 13\n[[tanks]]\npath = \"\"\n[sensors.\"a.b\"]\nlow = 2\n";
    assert_eq!(
        problems(text, &[]),
        [
            "plant.toml:2:1: unknown key `colour`; known here: name, pump, tanks, sensors, door, limit",
            "plant.toml:5:9: `pump.lanes`: brings bad luck",
            "plant.toml:7:8: `tanks[0].path`: names no file",
            "plant.toml:9:7: `sensors.a.b.low`: is above `high`; swap them",
        ]
    );
}

#[test]
fn nothing_is_said_about_values_that_the_author_did_not_write() {
    let text = "name = \"n\"\n[pump]\nmode = \"half\"\n[sensors.s]\nlow = 2\nhigh = \"3\"\n";
    assert_eq!(
        problems(text, &[]),
        ["plant.toml:6:8: `sensors.s.high` must be a number; found a string"]
    );
}

#[test]
fn a_missing_table_names_itself_and_a_misspelt_one_only_its_name() {
    assert_eq!(
        problems("name = \"n\"", &[]),
        ["plant.toml:1:1: the file needs the key `pump`: a table { mode = … }"]
    );
    assert_eq!(
        problems("name = \"n\"\n[pum]\nmode = \"half\"", &[]),
        ["plant.toml:2:2: unknown key `pum`; did you mean `pump`?"]
    );
}

#[test]
fn a_key_under_the_wrong_header_is_shown_its_table() {
    let text = "[pump]\nmode = \"half\"\nname = \"n\"\n";
    assert!(
        problems(text, &[]).contains(
            &"plant.toml:3:1: unknown key `pump.name`; it belongs at the top of the file, above the first [table]"
                .to_owned()
        )
    );
    let text = "name = \"n\"\nverbose = true\n[pump]\nmode = \"half\"\n";
    assert_eq!(
        problems(text, &[]),
        ["plant.toml:2:1: unknown key `verbose`; it belongs in [pump]"]
    );
}

#[test]
fn text_that_is_not_toml_has_a_place() {
    let lines = problems("name = \"n\"\npump = {\n", &[]);
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].starts_with("plant.toml:") && lines[0].contains("this is not TOML"),
        "{lines:?}"
    );
    assert_eq!(
        problems("name = \"n\"\nname = \"m\"\n", &[]),
        ["plant.toml:2:1: this key stands twice in the same table; keep one of the two"]
    );
}

#[test]
fn columns_count_characters_not_bytes() {
    let text = "name = \"n\"\ndoor = { fiel = \"ä\", file = \"ö\" }\n[pump]\nmode = \"half\"\n";
    assert!(problems(text, &[])[0].starts_with("plant.toml:2:10: unknown key `door.fiel`"));
    let text = "name = \"n\"\ntanks = [{ path = \"äöü\", rnge = [1, 2] }]\n[pump]\nmode = \"half\"\n";
    assert_eq!(
        problems(text, &[]),
        ["plant.toml:2:26: unknown key `tanks[0].rnge`; did you mean `range`?"]
    );
}

#[test]
fn variants_are_told_apart_by_their_tag() {
    let with = |head: &str| format!("{SOUND}[[tanks]]\npath = \"a\"\nhead = {head}\n");
    assert!(load(&with("{ type = \"round\", radius = 1 }"), &[]).is_ok());
    assert_eq!(
        problems(&with("{ type = \"round\", width = 1.0 }"), &[]),
        [
            "plant.toml:7:8: `tanks[0].head` needs the key `radius`: a number",
            "plant.toml:7:26: unknown key `tanks[0].head.width`; known here: type, radius",
        ]
    );
    assert_eq!(
        problems(&with("{ tpye = \"round\", radius = 1 }"), &[]),
        ["plant.toml:7:10: unknown key `tanks[0].head.tpye`; did you mean `type`?"]
    );
    assert_eq!(
        problems(&with("{ radius = 1 }"), &[]),
        ["plant.toml:7:8: `tanks[0].head` needs the key `type`: one of \"round\", \"flat\""]
    );
}

#[test]
fn a_string_where_a_table_belongs_is_never_printed() {
    let text = format!("door = \"hunter2\"\n{SOUND}");
    let lines = problems(&text, &[("EDDY__PUMP__LANES", "hunter2")]);
    assert_eq!(
        lines,
        [
            "plant.toml:1:8: `door` must be a table { file = … } or a table { env = … }; found a string",
            "environment variable EDDY__PUMP__LANES: `pump.lanes` must be a whole number; found a string",
        ]
    );
}

#[test]
fn an_untagged_table_is_judged_by_the_variant_that_fits_best() {
    let text = format!("door = {{ fle = \"x\" }}\n{SOUND}");
    assert_eq!(
        problems(&text, &[]),
        ["plant.toml:1:10: unknown key `door.fle`; did you mean `file`?"]
    );
}

#[test]
fn every_setting_can_come_from_the_environment() {
    let plant = load(
        SOUND,
        &[
            ("EDDY__NAME", "south"),
            ("EDDY__PUMP__MODE", "full-speed"),
            ("EDDY__Pump__Lanes", "2"),
            ("EDDY__PUMP__INTERVAL", "5s"),
            ("EDDY__PUMP__ROOM", "2048"),
            ("EDDY__PUMP__HOSTS", "a, b"),
            ("EDDY__PUMP__SHARE", "1e-1"),
            ("EDDY__PUMP__VERBOSE", "true"),
            ("EDDY__TANKS__0__PATH", "first"),
            ("EDDY__TANKS__1", "{ path = \"second\" }"),
            ("EDDY__TANKS__1__HEAD", "{\"type\": \"flat\", \"width\": 2.5}"),
            ("EDDY__TANKS__1__RANGE__0", "-1"),
            ("EDDY__TANKS__1__RANGE__1", "1.5"),
            ("EDDY__SENSORS__NEW__HIGH", "3"),
            ("EDDY__DOOR__ENV", "DOOR_KEY"),
            ("EDDY__LIMIT", "12"),
            ("EDDY_ONNXRUNTIME", "not ours"),
        ],
    )
    .unwrap();
    assert_eq!((plant.name.as_str(), plant.pump.mode), ("south", Mode::FullSpeed));
    assert_eq!(
        (plant.pump.lanes, plant.pump.interval, plant.pump.room),
        (2, Span::seconds(5), Bytes(2048))
    );
    assert_eq!(
        (plant.pump.hosts, plant.pump.share, plant.pump.verbose),
        (vec!["a".into(), "b".into()], Some(0.1), true)
    );
    assert_eq!(
        (plant.tanks[0].path.as_str(), plant.tanks[1].path.as_str()),
        ("first", "second")
    );
    assert!(matches!(&plant.tanks[1].head, Some(Head::Flat(flat)) if flat.width == 2.5));
    assert_eq!(plant.tanks[1].range, Some([-1.0, 1.5]));
    assert_eq!(plant.sensors["new"].high, 3.0);
    assert!(matches!(&plant.door, Some(Key::Env(key)) if key.env == "DOOR_KEY"));
    assert_eq!(plant.limit, Some(Limit::Rows(12)));
}

#[test]
fn variables_mend_what_the_file_has_wrong_or_lacks() {
    assert!(load("name = 7\n", &[("EDDY__NAME", "n"), ("EDDY__PUMP__MODE", "half")]).is_ok());
}

#[test]
fn unknown_variables_are_refused_with_the_nearest_one() {
    let lines = problems(
        SOUND,
        &[
            ("EDDY__PMUP__MODE", "half"),
            ("EDDY__PUMP__LANS", "2"),
            ("EDDY__PUMP__LANES__0", "2"),
            ("EDDY__TANKS__1__PATH", "a"),
            ("EDDY__TANKS", "[{ path = "),
        ],
    );
    assert_eq!(
        lines,
        [
            "environment variable EDDY__PMUP__MODE: unknown key `pmup`; did you mean EDDY__PUMP?",
            "environment variable EDDY__PUMP__LANES__0: unknown key `pump.lanes.0`; `pump.lanes` has no keys of its own",
            "environment variable EDDY__PUMP__LANS: unknown key `pump.lans`; did you mean EDDY__PUMP__LANES?",
            "environment variable EDDY__TANKS: `tanks` is neither TOML nor JSON; write a list as [\"a\", \"b\"], a table as { key = \"value\" }",
            "environment variable EDDY__TANKS__1__PATH: there is no `tanks[1]`: `tanks` has 0; the next is 0",
        ]
    );
}

#[test]
fn every_variable_name_leads_back_to_its_key() {
    assert_eq!(
        super::environment::variable_name("models[0].path"),
        "EDDY__MODELS__0__PATH"
    );
}

#[test]
fn the_reference_names_every_key_with_type_default_and_meaning() {
    let text = reference::markdown::<Plant>();
    assert!(
        text.contains("| `name` | string | required | Name of the plant. |"),
        "{text}"
    );
    assert!(text.contains("## `[pump]`"), "{text}");
    assert!(text.contains("## `[tanks.head]` with `type = \"round\"`"), "{text}");
    assert!(text.contains("## `[sensors.NAME]`"), "{text}");
    assert!(
        text.contains("| `mode` | \"full-speed\", \"half\" | required |"),
        "{text}"
    );
}

#[test]
fn garbage_is_refused_without_a_panic() {
    for text in [
        "\0",
        "[",
        "[[tanks]]\n[tanks]",
        "name.x = 1\nname = 2",
        "ä = 1",
        "= 1",
        "[pump]\n[pump]",
        "a.b.c = [[[[1]]]]",
    ] {
        assert!(load(text, &[]).is_err(), "{text:?}");
    }
}
