use std::collections::BTreeMap;

use super::super::camera::Pose;
use super::super::tally::{BARS, Prediction};
use super::*;

fn facts() -> Facts {
    let mut histogram = [0; BARS];
    histogram[9] = 100;
    Facts {
        events: 12_345,
        predictions: 12_300,
        selected: 615,
        samples: 615,
        dead_letters: BTreeMap::from([("malformed".to_owned(), 40), ("tombstone".to_owned(), 5)]),
        accuracy_before: Some(0.998),
        outcomes_per_second: 199.6,
        confidence: (0..60).map(|second| Some(1.0 - second as f32 / 100.0)).collect(),
        histogram,
        newest_samples: (0..8)
            .map(|number| Sample {
                number: 12_000 - number,
                reasons: vec!["uncertainty".to_owned()],
                said: Some((7, 0.41)),
            })
            .collect(),
        ..Facts::default()
    }
}

fn seen() -> Seen {
    let mut picture = [0; 64];
    picture[0] = 255;
    Seen {
        picture,
        label: 1,
        prediction: Prediction {
            digit: 7,
            confidence: 0.41,
            selected: true,
        },
    }
}

fn text(palette: Palette, size: (usize, usize)) -> Vec<String> {
    let (facts, seen) = (facts(), seen());
    let pages = ["/", "/status", "/metrics"].map(|path| format!("http://127.0.0.1:9180{path}"));
    let scene = Scene {
        broker: "broker: librdkafka's mock cluster in this process; at least once",
        pages: &pages,
        moment: Some(Moment {
            phase: Phase::Tilting,
            pose: Pose {
                degrees: 23.2,
                blur_pixels: 0.4,
            },
        }),
        trouble: Some("no outcome for 12 s"),
        elapsed_seconds: 75,
        shown: Some(&seen),
        facts: &facts,
    };
    let lines = frame(&scene, palette, size);
    let flat = |line: &Line| line.iter().map(|piece| piece.text.as_str()).collect::<String>();
    lines.iter().map(flat).collect()
}

#[test]
fn everything_fits_on_80_by_24_and_is_shown() {
    let whole = text(Palette::Letters, (80, 24)).join("\n");
    for part in [
        "01:15",
        "librdkafka's mock cluster in this process; at least once",
        "camera tilting, 23°",
        "the model says 7   wrong, it is 1",
        "████████░░░░░░░░░░░░ 0.41  flows back",
        "no outcome for 12 s",
        "12,345   200/s",
        "615   5.0 %",
        "straight 99.8 %, askew –",
        "#12000",
        "said 7, 0.41 sure",
        "uncertainty",
        "40 malformed",
        "http://127.0.0.1:9180/  /status  /metrics",
        "Ctrl-C",
    ] {
        assert!(whole.contains(part), "`{part}` is missing in:\n{whole}");
    }
}

#[test]
fn no_line_is_wider_and_no_frame_higher_than_the_screen() {
    for size in [(80, 24), (200, 60), (79, 23), (40, 10), (10, 3), (1, 1), (0, 0)] {
        for palette in [Palette::Colours, Palette::Letters] {
            let lines = text(palette, size);
            assert!(lines.len() <= size.1, "{size:?}: {} lines", lines.len());
            assert!(lines.iter().all(|line| line.chars().count() <= size.0), "{size:?}");
        }
    }
}

#[test]
fn a_low_screen_still_says_how_to_stop() {
    let lines = text(Palette::Letters, (80, 8));
    assert_eq!(lines.len(), 8);
    assert!(lines[7].starts_with("Ctrl-C"), "{lines:?}");
    assert!(lines[0].starts_with("Eddy demo"), "{lines:?}");
}

#[test]
fn bright_pixels_are_dark_letters_and_two_columns_wide() {
    let lines = text(Palette::Letters, (80, 24));
    assert!(lines[3].starts_with("@@              "), "{:?}", lines[3]);
}

#[test]
fn the_sparkline_falls_as_confidence_does() {
    let mut facts = Facts {
        confidence: vec![Some(1.0), Some(0.75), Some(0.5), Some(0.25), None],
        ..Facts::default()
    };
    let rows = |facts: &Facts| {
        timeline(facts)[1..3]
            .iter()
            .map(|line| line[0].text.trim_end().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(rows(&facts), ["█▄", "███▄"]);
    facts.confidence.clear();
    assert_eq!(rows(&facts), ["", ""]);
}

#[test]
fn text_from_outside_cannot_steer_the_terminal() {
    let mut facts = facts();
    facts.newest_samples[0].reasons = vec!["\u{1b}[2Jgone\n".to_owned()];
    facts.dead_letters.insert("\u{7}bell".to_owned(), 1_000);
    let lines = lists(&facts);
    let mut pieces = lines.iter().flatten();
    assert!(pieces.all(|piece| !piece.text.chars().any(char::is_control)));
}

#[test]
fn before_the_first_event_nothing_is_claimed() {
    let facts = Facts::default();
    let scene = Scene {
        broker: "broker",
        pages: &[],
        moment: None,
        trouble: None,
        elapsed_seconds: 0,
        shown: None,
        facts: &facts,
    };
    let line = plain_line(&scene);
    assert!(
        line.contains("waiting for the service") && line.contains("confidence –"),
        "{line}"
    );
    assert!(frame(&scene, Palette::Letters, (80, 24)).len() <= 24);
}
