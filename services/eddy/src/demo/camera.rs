//! The camera: a digit, how the camera hangs, and the picture it takes.
//!
//! Owns: the held-out digits that came with the binary, rotation, blur, PNG.
//! Never does: decide when the camera tilts; that is [`super::script`].
//!
//! Invariant: a camera that hangs straight and is in focus hands on the digit's own pixels, untouched.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

/// Width and height of a digit.
pub(super) const SIDE: usize = 8;

/// A grey picture, row by row, 0 black to 255 white.
pub(super) type Pixels = [u8; SIDE * SIDE];

/// Digits that no model was trained on, 64 bytes each, and one byte for each true digit, in the same order.
const HELD_OUT: &[u8] = include_bytes!("../../../../config/digits/heldout.bin");
const LABELS: &[u8] = include_bytes!("../../../../config/digits/heldout.labels");

/// How the camera hangs.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Pose {
    /// Rotation, anticlockwise.
    pub(super) degrees: f32,
    /// Standard deviation of the blur, in pixels; 0 is in focus.
    pub(super) blur_pixels: f32,
}

/// Number of digits that there are to photograph.
pub(super) const fn digits() -> usize {
    LABELS.len()
}

/// A digit and what it truly is. Numbers beyond the last start over.
pub(super) fn digit(number: usize) -> (Pixels, u8) {
    let at = number % digits();
    let pixels = HELD_OUT[at * SIDE * SIDE..][..SIDE * SIDE].try_into();
    (
        pixels.expect("the held-out file has 64 bytes for each label"),
        LABELS[at],
    )
}

/// What a camera in this pose sees of a digit.
pub(super) fn photograph(digit: &Pixels, pose: Pose) -> Pixels {
    let light = blurred(rotated(digit.map(f32::from), pose.degrees), pose.blur_pixels);
    light.map(|value| value.round().clamp(0.0, 255.0) as u8)
}

/// Around the middle of the picture, bilinear; what was outside the picture is black.
fn rotated(from: [f32; SIDE * SIDE], degrees: f32) -> [f32; SIDE * SIDE] {
    if degrees == 0.0 {
        return from;
    }
    let (sin, cos) = degrees.to_radians().sin_cos();
    let middle = (SIDE - 1) as f32 / 2.0;
    std::array::from_fn(|at| {
        let (y, x) = ((at / SIDE) as f32 - middle, (at % SIDE) as f32 - middle);
        interpolated(&from, cos * y + sin * x + middle, cos * x - sin * y + middle)
    })
}

fn interpolated(from: &[f32; SIDE * SIDE], y: f32, x: f32) -> f32 {
    // A quarter turn meets the border only up to rounding.
    const TOLERANCE: f32 = 1e-4;
    let last = (SIDE - 1) as f32;
    let inside = -TOLERANCE..=last + TOLERANCE;
    if !inside.contains(&y) || !inside.contains(&x) {
        return 0.0;
    }
    let (y, x) = (y.clamp(0.0, last), x.clamp(0.0, last));
    let (top, left) = (y as usize, x as usize);
    let (bottom, right) = ((top + 1).min(SIDE - 1), (left + 1).min(SIDE - 1));
    let (down, across) = (y - top as f32, x - left as f32);
    let between = |row: usize| from[row * SIDE + left] * (1.0 - across) + from[row * SIDE + right] * across;
    between(top) * (1.0 - down) + between(bottom) * down
}

/// By a Gaussian that reaches four deviations far; beyond the border it is dark.
fn blurred(from: [f32; SIDE * SIDE], deviation_pixels: f32) -> [f32; SIDE * SIDE] {
    let reach = (4.0 * deviation_pixels + 0.5) as usize;
    if reach == 0 {
        return from;
    }
    let weight = |distance: usize| (-0.5 * (distance as f32 / deviation_pixels).powi(2)).exp();
    let sum: f32 = weight(0) + 2.0 * (1..=reach).map(weight).sum::<f32>();
    let along = |from: &[f32; SIDE * SIDE], y: usize, x: usize, stride: usize, position: usize| -> f32 {
        let line_start = y * SIDE + x - position * stride;
        (0..SIDE)
            .filter(|other| other.abs_diff(position) <= reach)
            .map(|other| weight(other.abs_diff(position)) / sum * from[line_start + other * stride])
            .sum()
    };
    let downwards: [f32; SIDE * SIDE] = std::array::from_fn(|at| along(&from, at / SIDE, at % SIDE, SIDE, at / SIDE));
    std::array::from_fn(|at| along(&downwards, at / SIDE, at % SIDE, 1, at % SIDE))
}

/// A picture as an 8-bit grey PNG.
pub(super) fn png(pixels: &Pixels) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(192);
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::NoFilter)
        .write_image(pixels, SIDE as u32, SIDE as u32, ExtendedColorType::L8)
        .expect("a grey picture of matching size can be written to memory");
    bytes
}

/// The same PNG, but its header claims a picture of 60,000×60,000: what a decoder that trusts it would need 3.6 GB for.
pub(super) fn png_that_claims_to_be_huge(pixels: &Pixels) -> Vec<u8> {
    /// Where the chunk with the header begins its name, and where its checksum stands behind its 13 bytes.
    const NAME: usize = 12;
    const CHECKSUM: usize = NAME + 4 + 13;
    const SIDES: u32 = 60_000;
    let mut bytes = png(pixels);
    bytes[NAME + 4..NAME + 8].copy_from_slice(&SIDES.to_be_bytes());
    bytes[NAME + 8..NAME + 12].copy_from_slice(&SIDES.to_be_bytes());
    let checksum = crc32(&bytes[NAME..CHECKSUM]);
    bytes[CHECKSUM..CHECKSUM + 4].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

/// The checksum of PNG's chunks.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ (0xEDB8_8320 & 0_u32.wrapping_sub(crc & 1));
    !bytes
        .iter()
        .fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by SciPy 1.17: `ndimage.rotate(order=1, reshape=False)`, then `ndimage.gaussian_filter(mode="constant")`,
    /// on the first held-out digit, as the example's `train.py` does it.
    const TURNED_20: Pixels = [
        0, 0, 0, 139, 39, 0, 0, 0, 0, 137, 129, 149, 110, 23, 0, 0, 0, 81, 49, 119, 152, 33, 0, 0, 0, 0, 34, 216, 208,
        134, 14, 2, 0, 0, 0, 85, 99, 160, 116, 44, 0, 1, 6, 14, 5, 72, 145, 85, 0, 5, 43, 130, 79, 127, 215, 0, 0, 0,
        41, 128, 194, 0, 0, 0,
    ];
    const BLURRED: Pixels = [
        1, 23, 92, 135, 114, 46, 7, 0, 1, 25, 87, 112, 134, 81, 18, 1, 0, 8, 37, 92, 150, 91, 19, 1, 0, 2, 35, 133,
        173, 98, 23, 2, 1, 4, 23, 78, 127, 133, 56, 9, 5, 24, 42, 40, 66, 123, 88, 21, 10, 53, 110, 101, 103, 136, 94,
        23, 4, 31, 94, 137, 154, 140, 62, 11,
    ];
    const TURNED_35_AND_BLURRED: Pixels = [
        10, 34, 39, 40, 21, 4, 0, 0, 41, 114, 117, 106, 62, 18, 3, 1, 49, 100, 109, 145, 114, 64, 29, 11, 19, 42, 71,
        145, 153, 136, 89, 45, 2, 8, 30, 83, 96, 107, 117, 86, 0, 1, 11, 35, 50, 82, 128, 92, 0, 2, 15, 50, 86, 105,
        123, 53, 0, 2, 16, 52, 75, 48, 37, 12,
    ];

    fn pose(degrees: f32, blur_pixels: f32) -> Pose {
        Pose { degrees, blur_pixels }
    }

    #[track_caller]
    fn same_but_for_rounding(ours: Pixels, theirs: Pixels) {
        for (at, (a, b)) in ours.iter().zip(theirs).enumerate() {
            assert!(a.abs_diff(b) <= 1, "pixel {at}: {a} here, {b} there");
        }
    }

    #[test]
    fn there_are_900_digits_with_their_labels() {
        assert_eq!((digits(), HELD_OUT.len()), (900, 900 * 64));
        assert!(LABELS.iter().all(|label| *label < 10));
    }

    #[test]
    fn a_straight_camera_hands_on_the_digit_untouched() {
        let (pixels, label) = digit(0);
        assert_eq!(label, 3);
        assert_eq!(photograph(&pixels, Pose::default()), pixels);
    }

    #[test]
    fn a_turned_digit_is_what_scipy_makes_of_it() {
        same_but_for_rounding(photograph(&digit(0).0, pose(20.0, 0.0)), TURNED_20);
    }

    #[test]
    fn a_blurred_digit_is_what_scipy_makes_of_it() {
        same_but_for_rounding(photograph(&digit(0).0, pose(0.0, 0.7)), BLURRED);
        same_but_for_rounding(photograph(&digit(0).0, pose(35.0, 0.7)), TURNED_35_AND_BLURRED);
    }

    #[test]
    fn four_quarter_turns_come_back_to_the_start() {
        let (pixels, _) = digit(7);
        let turned = (0..4).fold(pixels, |picture, _| photograph(&picture, pose(90.0, 0.0)));
        assert_eq!(turned, pixels);
    }

    #[test]
    fn a_png_holds_the_very_pixels() {
        let (pixels, _) = digit(42);
        let read = image::load_from_memory(&png(&pixels))
            .expect("it is a PNG")
            .into_luma8();
        assert_eq!(
            (read.dimensions(), read.as_raw().as_slice()),
            ((8, 8), pixels.as_slice())
        );
    }

    #[test]
    fn the_checksum_is_the_one_of_the_standard() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn a_png_can_claim_to_be_huge_with_a_sound_header() {
        let bytes = png_that_claims_to_be_huge(&digit(42).0);
        let reader = image::ImageReader::new(std::io::Cursor::new(&bytes)).with_guessed_format();
        let claimed = reader
            .expect("memory can be read")
            .into_dimensions()
            .expect("the header is sound");
        assert_eq!(claimed, (60_000, 60_000));
        assert_eq!(bytes.len(), png(&digit(42).0).len());
    }
}
