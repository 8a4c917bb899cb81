//! Images against what Pillow makes of them: `tests/fixtures/images`, written by Pillow and never by us.
#![expect(clippy::disallowed_methods, reason = "fixtures are files")]

use std::path::PathBuf;

use serde::Deserialize;

use super::*;
use crate::fields::store::Cells;
use crate::fields::words::Place;
use crate::rejection::{Reason, Rejection};

const PLACE: Place<'static> = Place::field("photo");

#[derive(Deserialize)]
struct Expected {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    file: String,
    channels: String,
    resize: Option<Resizing>,
    crop: Option<serde_json::Value>,
    scale: Option<String>,
    mean: Option<Vec<f64>>,
    std: Option<Vec<f64>>,
    order: String,
    layout: Layout,
    #[serde(rename = "type")]
    kind: String,
    shape: [usize; 3],
    data: String,
    steps: u8,
}

#[derive(Deserialize)]
struct Resizing {
    filter: Filter,
    shorter: Option<u32>,
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/images"))
}

fn cases() -> Vec<Case> {
    let text = std::fs::read_to_string(folder().join("expected.json")).unwrap();
    serde_json::from_str::<Expected>(&text).unwrap().cases
}

impl Case {
    fn settings(&self) -> ImageSettings {
        let [height, width] = match self.layout {
            Layout::Chw => [self.shape[1], self.shape[2]],
            Layout::Hwc => [self.shape[0], self.shape[1]],
        };
        let shorter_side = self.resize.as_ref().and_then(|resize| resize.shorter);
        let resize = match (shorter_side, &self.crop) {
            (Some(_), _) => Resize::ShorterSide,
            (None, Some(_)) => Resize::None,
            (None, None) => Resize::Exact,
        };
        let plain = ImageSettings::of_size(width as u32, height as u32);
        ImageSettings {
            resize,
            shorter_side,
            filter: self.resize.as_ref().map_or(Filter::Bilinear, |resize| resize.filter),
            channels: match (self.channels.as_str(), self.order.as_str()) {
                ("grey", _) => Channels::Grey,
                (_, "bgr") => Channels::Bgr,
                _ => Channels::Rgb,
            },
            layout: self.layout,
            scale: if self.scale.is_some() { plain.scale } else { 1.0 },
            mean: self.mean.clone().unwrap_or(plain.mean),
            std: self.std.clone().unwrap_or(plain.std),
            ..ImageSettings::of_size(width as u32, height as u32)
        }
    }

    fn expected(&self) -> Vec<f32> {
        let bytes = std::fs::read(folder().join(&self.data)).unwrap();
        if self.kind == "u8" {
            return bytes.iter().map(|byte| f32::from(*byte)).collect();
        }
        let (floats, _) = bytes.as_chunks::<4>();
        floats.iter().map(|float| f32::from_le_bytes(*float)).collect()
    }
}

fn tensor(settings: &ImageSettings, bytes: &[u8]) -> Result<Vec<f32>, Rejection> {
    assert_eq!(settings.check("image"), []);
    let picture = Picture::new(settings, 1 << 20);
    let mut workshop = Workshop::default();
    let mut cells = vec![f32::NAN; picture.elements()];
    // Twice, so that the second image meets the first one's buffers.
    for _ in 0..2 {
        let pixels = picture.decode(PLACE, bytes, &mut workshop, None)?;
        picture.write(&pixels, Cells::Float32(&mut cells));
        workshop.take_back(pixels);
    }
    Ok(cells)
}

#[test]
fn every_image_agrees_with_pillow_within_the_stated_steps() {
    let cases = cases();
    assert!(cases.len() > 50);
    let mut failures = Vec::new();
    for case in cases {
        let settings = case.settings();
        assert_eq!(settings.shape(), case.shape, "{}", case.name);
        let bytes = std::fs::read(folder().join(&case.file)).unwrap();
        let have = match tensor(&settings, &bytes) {
            Ok(have) => have,
            Err(rejection) => {
                failures.push(format!("{}: {rejection}", case.name));
                continue;
            }
        };
        let std = settings.std.iter().copied().fold(f64::INFINITY, f64::min);
        let allowed = f64::from(case.steps) * settings.scale / std;
        let expected = case.expected();
        assert_eq!(have.len(), expected.len(), "{}", case.name);
        let agrees = |have: f32, expected: f32| {
            let rounding = 1e-5 * f64::from(expected.abs().max(1.0));
            f64::from((have - expected).abs()) <= allowed + rounding
        };
        let wrong = have
            .iter()
            .zip(&expected)
            .find(|(have, expected)| !agrees(**have, **expected));
        if let Some((have, expected)) = wrong {
            failures.push(format!(
                "{}: {have} instead of {expected}, allowed {allowed}",
                case.name
            ));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn broken_images_are_refused_with_a_sentence() {
    let settings = ImageSettings::of_size(8, 8);
    for entry in std::fs::read_dir(folder().join("broken")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let rejection = tensor(&settings, &std::fs::read(&path).unwrap()).expect_err(&name);
        let reason = if name.starts_with("bomb") {
            Reason::LimitExceeded
        } else {
            Reason::Malformed
        };
        assert_eq!(rejection.reason, reason, "{name}: {rejection}");
        assert!(rejection.detail.starts_with("field `photo` is"), "{name}: {rejection}");
    }
}

#[test]
fn a_sliver_is_refused_before_it_is_blown_up() {
    let settings = ImageSettings {
        resize: Resize::ShorterSide,
        shorter_side: Some(8192),
        ..ImageSettings::of_size(8, 8)
    };
    let bytes = std::fs::read(folder().join("rgb.png")).unwrap();
    assert_eq!(tensor(&settings, &bytes).unwrap_err().reason, Reason::LimitExceeded);
}

#[test]
fn settings_that_make_no_tensor_are_problems() {
    let keys = |settings: ImageSettings| -> Vec<String> {
        let problems = settings.check("fields.photo.image");
        problems.into_iter().map(|problem| problem.key).collect()
    };
    let plain = ImageSettings::of_size(8, 8);
    assert_eq!(
        keys(ImageSettings {
            mean: vec![0.0; 2],
            std: vec![0.0],
            ..ImageSettings::of_size(8, 8)
        }),
        ["fields.photo.image.mean", "fields.photo.image.std"]
    );
    assert_eq!(
        keys(ImageSettings {
            shorter_side: Some(9),
            ..plain.clone()
        }),
        ["fields.photo.image.shorter_side"]
    );
    assert_eq!(
        keys(ImageSettings { scale: 1e9, ..plain }),
        ["fields.photo.image.scale"]
    );
}
