//! Old names on settings of the tests' own: read, refused, rewritten.

use eddy_pipeline::format::{Format, Version};
use proptest::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use super::*;
use crate::settings::history::Renamed;
use crate::settings::read;

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Plan {
    #[serde(default)]
    format: u32,
    #[serde(default)]
    pump: Pump,
    #[serde(default)]
    tanks: Vec<Tank>,
}

#[derive(Debug, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Pump {
    strokes: u32,
    mode: String,
    loud: bool,
}

#[derive(Debug, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Tank {
    litres: u32,
    name: String,
}

/// Never dropped, as far as a test can see.
const LATE: Version = Version::new(u32::MAX, 0);

const HISTORY: History = History {
    format: &Format {
        of: "plans",
        written: 3,
        oldest: 1,
        stands: "",
    },
    renamed: &[
        Renamed {
            old: "pump.rate",
            new: "strokes",
            since: 2,
            dropped_in: LATE,
        },
        Renamed {
            old: "tanks[].size",
            new: "litres",
            since: 3,
            dropped_in: LATE,
        },
        Renamed {
            old: "pump.noisy",
            new: "loud",
            since: 2,
            dropped_in: Version::new(0, 1),
        },
    ],
};

/// The settings and what is deprecated, or what is wrong, line by line.
fn load(text: &str, variables: &[(&str, &str)]) -> Result<(Plan, Vec<String>), Vec<String>> {
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let source = Source {
        name: "plan.toml",
        text,
    };
    match read::<Plan>(source, variables, &HISTORY, |_| Vec::new()) {
        Ok(loaded) => Ok((loaded.settings, loaded.document.deprecated().lines().collect())),
        Err(problems) => Err(problems.lines().collect()),
    }
}

fn migrated(text: &str) -> Migrated {
    let source = Source {
        name: "plan.toml",
        text,
    };
    migrate(source, &HISTORY).unwrap_or_else(|problems| panic!("{problems}"))
}

fn refused(text: &str) -> String {
    let source = Source {
        name: "plan.toml",
        text,
    };
    migrate(source, &HISTORY).expect_err("it cannot be decided").to_string()
}

#[test]
fn an_old_name_is_read_in_a_file_of_its_format_and_told_with_its_place_and_its_end() {
    let (plan, deprecated) = load(
        "format = 1\n[pump]\nrate = 7\n[[tanks]]\nname = \"a\"\n[[tanks]]\nsize = 5\n",
        &[],
    )
    .unwrap();
    assert_eq!(
        (plan.pump.strokes, plan.tanks[0].litres, plan.tanks[1].litres),
        (7, 0, 5)
    );
    assert_eq!(
        deprecated,
        [
            "plan.toml:3:1: `pump.rate` is called `pump.strokes` since format 2, and version 4294967295.0 will no longer read \
             the old name; `eddy migrate plan.toml --write` renames it",
            "plan.toml:7:1: `tanks[1].size` is called `tanks[1].litres` since format 3, and version 4294967295.0 will no longer \
             read the old name; `eddy migrate plan.toml --write` renames it",
        ]
    );
}

#[test]
fn a_file_without_a_number_is_of_format_1() {
    let (plan, deprecated) = load("[pump]\nrate = 7\n", &[]).unwrap();
    assert_eq!((plan.pump.strokes, deprecated.len()), (7, 1));
}

#[test]
fn a_new_name_is_read_in_a_file_of_an_old_format() {
    let (plan, deprecated) = load("format = 1\n[pump]\nstrokes = 7\n", &[]).unwrap();
    assert_eq!((plan.pump.strokes, deprecated), (7, vec![]));
}

#[test]
fn an_old_name_in_a_file_of_a_format_that_has_the_new_one_is_a_mistake_and_the_only_one() {
    assert_eq!(
        load("format = 2\n[pump]\nrate = 7\n[[tanks]]\nsize = 1\n", &[]).unwrap_err(),
        [
            "plan.toml:3:1: `pump.rate` is called `pump.strokes` from format 2 on, and this file is of format 2; rename it"
        ]
    );
}

#[test]
fn both_names_together_are_refused_in_any_format() {
    for format in ["", "format = 1\n", "format = 3\n"] {
        let text = format!("{format}[pump]\nstrokes = 7\nrate = 7\n");
        let said = "`pump.rate` is the old name of `pump.strokes`, which stands there, too; remove the old one";
        let problems = load(&text, &[]).unwrap_err();
        assert!(problems.len() == 1 && problems[0].ends_with(said), "{problems:?}");
        assert!(refused(&text).ends_with(said));
    }
}

#[test]
fn a_name_that_was_dropped_is_refused_but_still_rewritten() {
    let text = "format = 1\n[pump]\nnoisy = true\n";
    assert_eq!(
        load(text, &[]).unwrap_err(),
        [
            "plan.toml:3:1: `pump.noisy` is called `pump.loud` since format 2, and the old name is no longer read since version \
             0.1; `eddy migrate plan.toml --write` renames it"
        ]
    );
    assert_eq!(migrated(text).text, "format = 3\n[pump]\nloud = true\n");
    assert!(load("", &[("EDDY__PUMP__NOISY", "true")]).unwrap_err()[0].contains("no longer read"));
}

#[test]
fn a_wrong_value_by_an_old_name_stands_where_it_was_written() {
    let problems = load("[pump]\nrate = \"fast\"\n", &[]).unwrap_err();
    assert_eq!(
        problems,
        ["plan.toml:2:8: `pump.strokes` must be a whole number; found a string"]
    );
}

#[test]
fn variables_may_be_called_by_either_name_over_either_file() {
    let strokes = |text, variables: &[(&str, &str)]| {
        let (plan, deprecated) = load(text, variables).unwrap();
        (plan.pump.strokes, deprecated)
    };
    let old = [("EDDY__PUMP__RATE", "9")];
    let said = vec![
        "environment variable EDDY__PUMP__RATE: `pump.rate` is called `pump.strokes` since format 2, and version \
         4294967295.0 will no longer read the old name; call it EDDY__PUMP__STROKES"
            .to_owned(),
    ];
    assert_eq!(strokes("format = 3\n[pump]\nstrokes = 7\n", &old), (9, said.clone()));
    assert_eq!(strokes("format = 3\n", &old), (9, said));
    let (number, deprecated) = strokes("[pump]\nrate = 7\n", &[("EDDY__PUMP__STROKES", "9")]);
    assert!(
        number == 9 && deprecated.len() == 1 && deprecated[0].starts_with("plan.toml:2:1"),
        "{deprecated:?}"
    );
    let (number, deprecated) = strokes("format = 3\n", &[("EDDY__PUMP", "{ rate = 9 }")]);
    assert!(
        number == 9 && deprecated[0].starts_with("environment variable EDDY__PUMP: `pump.rate`"),
        "{deprecated:?}"
    );
    let (plan, deprecated) = load("[[tanks]]\nname = \"a\"\n", &[("EDDY__tanks__0__Size", "4")]).unwrap();
    assert!(
        plan.tanks[0].litres == 4 && deprecated[0].ends_with("call it EDDY__tanks__0__LITRES"),
        "{deprecated:?}"
    );
}

#[test]
fn two_variables_for_one_key_are_refused() {
    let both = [("EDDY__PUMP__RATE", "9"), ("EDDY__PUMP__STROKES", "8")];
    assert_eq!(
        load("", &both).unwrap_err(),
        [
            "environment variable EDDY__PUMP__RATE: it is the old name of EDDY__PUMP__STROKES, which is set, too; remove the old one"
        ]
    );
}

#[test]
fn a_format_that_is_not_read_is_refused_before_anything_else_is_judged() {
    let newer = load("format = 4\ncolour = 1\n", &[]).unwrap_err();
    assert_eq!(
        newer,
        [
            "plan.toml:1:10: the file is of format 4, and this version of Eddy reads formats 1 to 3 of plans; use the version that \
             it comes from, or a newer one"
        ]
    );
    assert_eq!(refused("format = 4\ncolour = 1\n"), newer[0]);
    assert!(load("format = 0\n", &[]).unwrap_err()[0].contains("which there is not"));
    assert!(load("format = \"3\"\n", &[]).unwrap_err()[0].contains("must be a whole number"));
    assert!(refused("format = \"3\"\n").contains("must be a whole number"));
    assert!(refused("format = \n").contains("this is not TOML"));
}

#[test]
fn a_file_keeps_everything_but_names_and_number() {
    let old = "# A plan.\n\nformat   =  1   # as it was\n\n[ pump ] # here\n  # how fast\n  \"rate\"=7 # strokes\n\n\nmode = \"rate\"\n\n\
               [[tanks]]   # one\nname = 'size'\nsize = 0x10\n# two\n[[tanks]]\nsize=1_000";
    let new = "# A plan.\n\nformat   =  3   # as it was\n\n[ pump ] # here\n  # how fast\n  strokes=7 # strokes\n\n\nmode = \"rate\"\n\n\
               [[tanks]]   # one\nname = 'size'\nlitres = 0x10\n# two\n[[tanks]]\nlitres=1_000";
    let migrated = migrated(old);
    assert_eq!((migrated.text.as_str(), migrated.from, migrated.to), (new, 1, 3));
    let lines: Vec<String> = migrated
        .changes
        .lines()
        .map(|line| line.chars().take(34).collect())
        .collect();
    assert_eq!(
        lines,
        [
            "plan.toml:3:13: the file is of for",
            "plan.toml:7:3: `pump.rate` is call",
            "plan.toml:14:1: `tanks[0].size` is",
            "plan.toml:17:1: `tanks[1].size` is",
        ]
    );
}

#[test]
fn every_way_to_write_a_key_is_rewritten() {
    let text = |text: &str| migrated(text).text;
    assert_eq!(
        text("format = 2\npump.strokes = 1\ntanks = [{ size = 2 }, {name=\"ä\", 'size' = 3}]\n"),
        "format = 3\npump.strokes = 1\ntanks = [{ litres = 2 }, {name=\"ä\", litres = 3}]\n"
    );
    assert_eq!(text("format = 1\npump.rate = 1\n"), "format = 3\npump.strokes = 1\n");
    assert_eq!(
        text("format = 1\npump = { mode = \"ö\", \"r\\u0061te\" = 1 }\n"),
        "format = 3\npump = { mode = \"ö\", strokes = 1 }\n"
    );
    assert_eq!(
        text("format = 1\r\n[pump]\r\nrate = 1 # a\r\n"),
        "format = 3\r\n[pump]\r\nstrokes = 1 # a\r\n"
    );
}

#[test]
fn the_number_of_a_file_without_one_goes_below_its_title() {
    let text = |text: &str| migrated(text).text;
    assert_eq!(text("pump.rate = 1\n"), "format = 3\npump.strokes = 1\n");
    assert_eq!(
        text("# The pump.\n[pump]\nrate = 1\n"),
        "format = 3\n\n# The pump.\n[pump]\nstrokes = 1\n"
    );
    assert_eq!(
        text("# Ours.\n# A plan.\n\n[pump]\n"),
        "# Ours.\n# A plan.\n\nformat = 3\n\n[pump]\n"
    );
    assert_eq!(
        text("\u{feff}# Ours.\r\n\r\npump.rate = 1\r\n"),
        "\u{feff}# Ours.\r\n\r\nformat = 3\r\npump.strokes = 1\r\n"
    );
    assert_eq!(text(""), "format = 3\n");
}

#[test]
fn a_file_of_the_newest_format_stays_as_it_is() {
    let text = "format = 3\n[pump]\nstrokes = 1\n";
    let again = migrated(text);
    assert!(again.text == text && again.changes.is_empty() && again.from == again.to);
    assert!(
        refused("format = 3\n[pump]\nrate = 1\n").contains("rename it"),
        "what cannot be read is not sound"
    );
}

/// A plan in many spellings: `old` says whether old names are used.
fn plan() -> impl Strategy<Value = String> {
    let comment = prop::sample::select(vec!["", " # ä", "\t#rate = 1"]);
    let end = prop::sample::select(vec!["\n", "\r\n", "\n\n", "\n# size = 3\n"]);
    let number = prop::sample::select(vec![
        "",
        "format = 1\n",
        "format=+1 #\n",
        "# a\n\n",
        "# a\nformat = 0x1\n",
    ]);
    let rate = prop::sample::select(vec!["rate", "'rate'", "\"rate\"", "strokes", "\"\\u0072ate\""]);
    let size = prop::sample::select(vec!["size", "\"size\"", "litres"]);
    let tanks = prop::collection::vec((size, 0..9u32), 0..4);
    (number, rate, 0..9u32, tanks, comment, end, 0..3u8).prop_map(
        |(number, rate, strokes, tanks, comment, end, way)| {
            let tables = tanks
                .iter()
                .map(|(size, litres)| format!("[[tanks]]{comment}{end}{size} = {litres}{comment}{end}"));
            let items = tanks
                .iter()
                .map(|(size, litres)| format!("{{ name = \"rate\", {size} = {litres} }}"));
            let list = format!("tanks = [{}]{comment}{end}", items.collect::<Vec<_>>().join(", "));
            match way {
                0 => format!(
                    "{number}[pump]{end}{rate}={strokes}{comment}{end}{}",
                    tables.collect::<String>()
                ),
                1 => format!("{number}{list}pump.{rate} = {strokes}{comment}{end}"),
                _ => format!("{number}pump = {{ {rate} = {strokes} }}{comment}{end}{list}"),
            }
        },
    )
}

proptest! {
    #[test]
    fn property_a_rewritten_file_is_read_as_the_old_one_was_and_stays_as_it_is(text in plan()) {
        let new = migrated(&text);
        let (mut before, _) = load(&text, &[]).expect("it is sound");
        let (after, deprecated) = load(&new.text, &[]).expect("it stays sound");
        before.format = 3;
        prop_assert_eq!(after, before);
        prop_assert_eq!(deprecated, Vec::<String>::new());
        let comments = |text: &str| text.matches('#').count();
        prop_assert_eq!(comments(&new.text), comments(&text));
        let again = migrated(&new.text);
        prop_assert_eq!((&again.text, again.changes.is_empty()), (&new.text, true));
    }

    #[test]
    fn property_any_text_is_rewritten_or_refused_with_a_reason(text in "\\PC{0,200}") {
        let source = Source { name: "plan.toml", text: &text };
        if let Err(problems) = migrate(source, &HISTORY) {
            prop_assert!(!problems.is_empty());
        }
    }
}
