//! `[fields.NAME.image]` and `[events.image]`: how a JPEG or PNG becomes a tensor.
//!
//! Owns: the words and their checks. The model's training code is the authority; the words follow torchvision.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::Problem;

/// How an image is brought to the size that the model takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Resize {
    /// Both sides to `width` and `height`; the aspect ratio may change.
    #[default]
    Exact,
    /// The shorter side to `shorter_side`, keeping the aspect ratio, then `width` × `height` from the centre.
    ShorterSide,
    /// The image keeps its size; `width` × `height` from the centre. What an image lacks is padded with black.
    None,
}

/// How pixels are weighed when an image is resized. All but `nearest` look at every source pixel, as Pillow does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// A triangle; the default of torchvision.
    #[default]
    Bilinear,
    /// Cubic with a = -0.5; the default of Pillow.
    Bicubic,
    /// One source pixel.
    Nearest,
    /// Three lobes of a windowed sinc.
    Lanczos,
}

/// The channels that the model takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// Red, green, blue.
    #[default]
    Rgb,
    /// Blue, green, red, as OpenCV has them.
    Bgr,
    /// One channel of luminance (ITU-R 601, as Pillow's `convert("L")`).
    Grey,
}

impl Channels {
    /// How many there are.
    pub const fn count(self) -> usize {
        match self {
            Self::Rgb | Self::Bgr => 3,
            Self::Grey => 1,
        }
    }
}

/// The order of a tensor's dimensions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Channel, row, column: PyTorch.
    #[default]
    Chw,
    /// Row, column, channel: TensorFlow.
    Hwc,
}

/// What to do with the orientation in an image's EXIF data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExifOrientation {
    /// Turn the image as a viewer would.
    #[default]
    Apply,
    /// Take the pixels as they are stored, as Pillow does unless told otherwise.
    Ignore,
}

/// How a JPEG or PNG becomes a normalised tensor: `(pixel * scale - mean) / std`, pixels being 0 to 255.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageSettings {
    /// Width of the tensor in pixels; at least 1, at most 8192.
    pub width: u32,
    /// Height of the tensor in pixels; at least 1, at most 8192.
    pub height: u32,
    /// How the image is brought to that size. Default: `exact`.
    #[serde(default)]
    pub resize: Resize,
    /// Length of the shorter side before the centre is cut out, 1 to 8192; only with `resize = "shorter-side"`. Default:
    /// the larger of `width` and `height`. Where it leaves less than those, the rest is padded with black.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shorter_side: Option<u32>,
    /// How pixels are weighed when resizing. Default: `bilinear`.
    #[serde(default)]
    pub filter: Filter,
    /// The channels that the model takes. Default: `rgb`. An image of another kind is converted; transparency is
    /// dropped.
    #[serde(default)]
    pub channels: Channels,
    /// The order of the tensor's dimensions. Default: `chw`.
    #[serde(default)]
    pub layout: Layout,
    /// Factor on pixels from 0 to 255. Default: 1/255.
    #[serde(default = "one_255th")]
    pub scale: f64,
    /// Subtracted after scaling: one number for all channels, or one for each in the order of `channels`. Default: 0.
    #[serde(default = "zero")]
    pub mean: Vec<f64>,
    /// Divisor after that: one number for all channels, or one for each. Default: 1. Zero is refused.
    #[serde(default = "one")]
    pub std: Vec<f64>,
    /// What to do with the orientation in the EXIF data. Default: `apply`.
    #[serde(default)]
    pub orientation: ExifOrientation,
}

fn one_255th() -> f64 {
    1.0 / 255.0
}

fn zero() -> Vec<f64> {
    vec![0.0]
}

fn one() -> Vec<f64> {
    vec![1.0]
}

/// Largest factor on pixels; no model was trained on more.
const LARGEST_SCALE: f64 = 65_536.0;
/// Largest side of a tensor made from an image.
const LARGEST_SIDE: u32 = 8192;

impl ImageSettings {
    /// Plain settings for a size: RGB, CHW, 0 to 1.
    pub fn of_size(width: u32, height: u32) -> Self {
        Self {
            width,
            height,
            resize: Resize::default(),
            shorter_side: None,
            filter: Filter::default(),
            channels: Channels::default(),
            layout: Layout::default(),
            scale: one_255th(),
            mean: zero(),
            std: one(),
            orientation: ExifOrientation::default(),
        }
    }

    /// The shape of the tensor, in the order of its layout.
    pub fn shape(&self) -> [usize; 3] {
        let (width, height, channels) = (self.width as usize, self.height as usize, self.channels.count());
        match self.layout {
            Layout::Chw => [channels, height, width],
            Layout::Hwc => [height, width, channels],
        }
    }

    /// Elements of the tensor.
    pub fn elements(&self) -> usize {
        self.shape().iter().product()
    }

    /// What is wrong, with keys below `key`.
    pub fn check(&self, key: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut wrong = |name: &str, message: String| problems.push(Problem::new(format!("{key}.{name}"), message));
        for (name, side) in [("width", self.width), ("height", self.height)] {
            if side == 0 || side > LARGEST_SIDE {
                wrong(
                    name,
                    format!("{side} pixels is not a side of a tensor; write 1 to {LARGEST_SIDE}"),
                );
            }
        }
        match (self.resize, self.shorter_side) {
            (Resize::Exact | Resize::None, Some(_)) => wrong(
                "shorter_side",
                "has no effect without resize = \"shorter-side\"; remove it or write that".into(),
            ),
            (Resize::ShorterSide, Some(side)) if side == 0 || side > LARGEST_SIDE => wrong(
                "shorter_side",
                format!("{side} pixels is not a side of an image; write 1 to {LARGEST_SIDE}"),
            ),
            _ => {}
        }
        if !self.scale.is_finite() || self.scale.abs() > LARGEST_SCALE {
            wrong(
                "scale",
                format!(
                    "{} is not a factor from -{LARGEST_SCALE} to {LARGEST_SCALE}",
                    self.scale
                ),
            );
        }
        for (name, list) in [("mean", &self.mean), ("std", &self.std)] {
            if list.len() != 1 && list.len() != self.channels.count() {
                wrong(
                    name,
                    format!(
                        "{} numbers for {} channels; write one number, or one for each channel",
                        list.len(),
                        self.channels.count()
                    ),
                );
            }
            if list.iter().any(|x| !x.is_finite() || (name == "std" && *x == 0.0)) {
                wrong(name, "every number must be finite, and no divisor zero".into());
            }
        }
        problems
    }
}
