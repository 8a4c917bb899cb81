//! Resizing and cutting out the centre, with the rounding rules of Pillow and torchvision.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use super::decode::Pixels;
use super::settings::{Filter, ImageSettings, Resize};

/// The size that an image is resized to before its centre is cut out.
pub(super) fn target_size(settings: &ImageSettings, width: u32, height: u32) -> (u32, u32) {
    match settings.resize {
        Resize::Exact => (settings.width, settings.height),
        Resize::None => (width, height),
        Resize::ShorterSide => {
            let side = settings.shorter_side.unwrap_or(settings.width.max(settings.height));
            let (short, long) = (u64::from(width.min(height)), u64::from(width.max(height)));
            let longer = u32::try_from(u64::from(side) * long / short.max(1)).unwrap_or(u32::MAX);
            if width <= height {
                (side, longer)
            } else {
                (longer, side)
            }
        }
    }
}

/// Resizes; `spare` lends its allocation and gets the old one.
pub(super) fn resize(
    pixels: Pixels,
    (width, height): (u32, u32),
    filter: Filter,
    resizer: &mut Resizer,
    spare: &mut Vec<u8>,
) -> Pixels {
    if (pixels.width, pixels.height) == (width, height) {
        return pixels;
    }
    const FITS: &str = "the buffers were made for these sizes";
    let kind = if pixels.channels == 1 {
        PixelType::U8
    } else {
        PixelType::U8x3
    };
    let mut data = std::mem::take(spare);
    data.clear();
    data.resize(width as usize * height as usize * pixels.channels, 0);
    let source = ImageRef::new(pixels.width, pixels.height, &pixels.data, kind).expect(FITS);
    let mut target = Image::from_slice_u8(width, height, &mut data, kind).expect(FITS);
    let algorithm = match filter {
        Filter::Nearest => ResizeAlg::Nearest,
        Filter::Bilinear => ResizeAlg::Convolution(FilterType::Bilinear),
        Filter::Bicubic => ResizeAlg::Convolution(FilterType::CatmullRom),
        Filter::Lanczos => ResizeAlg::Convolution(FilterType::Lanczos3),
    };
    let options = ResizeOptions::new().resize_alg(algorithm).use_alpha(false);
    resizer.resize(&source, &mut target, &options).expect(FITS);
    *spare = pixels.data;
    Pixels {
        width,
        height,
        channels: pixels.channels,
        data,
    }
}

/// Where the centre of `size` pixels begins in `of` pixels; negative where it must be padded.
pub(super) fn centre(size: u32, of: u32) -> i64 {
    let (size, of) = (i64::from(size), i64::from(of));
    if size > of {
        return -((size - of) / 2);
    }
    // torchvision rounds halves to the even number.
    let (half, odd) = ((of - size) / 2, (of - size) % 2);
    half + if odd == 1 { half % 2 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_centre_begins_where_torchvision_rounds_it_to() {
        // int(round((of - size) / 2.0)) in Python: 0.5 → 0, 1.5 → 2, 2.5 → 2, 3.5 → 4.
        let begins: Vec<i64> = [1, 3, 5, 7, 4].iter().map(|more| centre(10, 10 + more)).collect();
        assert_eq!(begins, [0, 2, 2, 4, 2]);
        assert_eq!(centre(10, 7), -1);
    }

    #[test]
    fn the_longer_side_is_truncated() {
        let settings = ImageSettings {
            resize: Resize::ShorterSide,
            shorter_side: Some(32),
            ..ImageSettings::of_size(32, 32)
        };
        assert_eq!(target_size(&settings, 101, 67), (48, 32));
        assert_eq!(target_size(&settings, 67, 101), (32, 48));
    }
}
