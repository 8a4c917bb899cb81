//! Encoded bytes to 8-bit pixels of one or three channels.

use std::io::Cursor;

use image::codecs::png::PngDecoder;
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, GrayImage, ImageDecoder, Limits, RgbImage};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::settings::ExifOrientation;
use crate::fields::words::{Place, clip};
use crate::rejection::{Reason, Rejection};

/// Pixels of 8 bits, row by row, channels interleaved.
#[derive(Debug, Default)]
pub(crate) struct Pixels {
    pub(super) width: u32,
    pub(super) height: u32,
    /// 1 or 3.
    pub(super) channels: usize,
    pub(super) data: Vec<u8>,
}

/// Which image, and what holds for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Task<'a> {
    pub(super) place: Place<'a>,
    pub(super) pixel_limit: u64,
    pub(super) orientation: ExifOrientation,
}

impl Task<'_> {
    #[cold]
    fn broken(&self, kind: &str, why: impl std::fmt::Display) -> Rejection {
        let why = why.to_string().replace('\n', " ");
        self.place.reject(
            Reason::Malformed,
            format_args!("is a {kind} that does not decode: {}", clip(&why)),
        )
    }

    /// Looks at the size that the header claims, before anything of that size is made.
    fn within_limit(&self, width: u64, height: u64) -> Result<(), Rejection> {
        if width.saturating_mul(height) <= self.pixel_limit {
            return Ok(());
        }
        Err(self.place.reject(
            Reason::LimitExceeded,
            format_args!(
                "is an image of {width} by {height} pixels, more than `limits.pixels` of {}",
                self.pixel_limit
            ),
        ))
    }

    /// Decodes; `spare` lends its allocation.
    pub(super) fn decode(&self, bytes: &[u8], spare: Vec<u8>) -> Result<Pixels, Rejection> {
        if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            self.png(bytes, spare)
        } else if bytes.starts_with(&[0xFF, 0xD8, 0xFF]) {
            self.jpeg(bytes, spare)
        } else {
            Err(self.place.reject(
                Reason::Malformed,
                "is neither a JPEG nor a PNG, going by its first bytes",
            ))
        }
    }

    fn png(&self, bytes: &[u8], mut data: Vec<u8>) -> Result<Pixels, Rejection> {
        let mut limits = Limits::no_limits();
        // Eight bytes a pixel is the most that any PNG takes; the rest is for chunks beside the pixels.
        limits.max_alloc = Some(self.pixel_limit.saturating_mul(8).saturating_add(1 << 20));
        let broken = |error: image::ImageError| self.broken("PNG", error);
        let mut decoder = PngDecoder::with_limits(Cursor::new(bytes), limits).map_err(broken)?;
        let (width, height) = decoder.dimensions();
        self.within_limit(u64::from(width), u64::from(height))?;
        let orientation = match self.orientation {
            ExifOrientation::Apply => decoder.orientation().map_err(broken)?,
            ExifOrientation::Ignore => Orientation::NoTransforms,
        };
        let color = decoder.color_type();
        data.clear();
        data.resize(decoder.total_bytes() as usize, 0);
        decoder.read_image(&mut data).map_err(broken)?;
        let channels = match color {
            ColorType::L8 => 1,
            ColorType::Rgb8 => 3,
            ColorType::La8 => keep::<2, 1>(&mut data, [0]),
            ColorType::Rgba8 => keep::<4, 3>(&mut data, [0, 1, 2]),
            // Of sixteen bits the high eight are kept; `image` gives them in the machine's order.
            ColorType::L16 => keep::<2, 1>(&mut data, [HIGH]),
            ColorType::La16 => keep::<4, 1>(&mut data, [HIGH]),
            ColorType::Rgb16 => keep::<6, 3>(&mut data, [HIGH, 2 + HIGH, 4 + HIGH]),
            ColorType::Rgba16 => keep::<8, 3>(&mut data, [HIGH, 2 + HIGH, 4 + HIGH]),
            other => return Err(self.broken("PNG", format_args!("unknown colours {other:?}"))),
        };
        let pixels = Pixels {
            width,
            height,
            channels,
            data,
        };
        Ok(pixels.turned(orientation))
    }

    fn jpeg(&self, bytes: &[u8], mut data: Vec<u8>) -> Result<Pixels, Rejection> {
        let options = DecoderOptions::default()
            .set_strict_mode(true)
            .set_max_width(usize::MAX)
            .set_max_height(usize::MAX);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
        decoder
            .decode_headers()
            .map_err(|error| self.broken("JPEG", format_args!("{error:?}")))?;
        let (width, height) = decoder.dimensions().unwrap_or_default();
        self.within_limit(width as u64, height as u64)?;
        let (color, channels) = match decoder.input_colorspace() {
            Some(ColorSpace::Luma) => (ColorSpace::Luma, 1),
            _ => (ColorSpace::RGB, 3),
        };
        decoder.set_options(options.jpeg_set_out_colorspace(color));
        data.clear();
        data.resize(width * height * channels, 0);
        decoder
            .decode_into(&mut data)
            .map_err(|error| self.broken("JPEG", format_args!("{error:?}")))?;
        let orientation = match (self.orientation, decoder.exif()) {
            (ExifOrientation::Apply, Some(exif)) => Orientation::from_exif_chunk(exif),
            _ => None,
        };
        let pixels = Pixels {
            width: width as u32,
            height: height as u32,
            channels,
            data,
        };
        Ok(pixels.turned(orientation.unwrap_or(Orientation::NoTransforms)))
    }
}

/// Where the high byte of a 16-bit sample stands.
const HIGH: usize = if cfg!(target_endian = "little") { 1 } else { 0 };

/// Keeps some bytes of every pixel, in place; gives the number of bytes that are left of each.
fn keep<const FROM: usize, const TO: usize>(data: &mut Vec<u8>, bytes: [usize; TO]) -> usize {
    let pixels = data.len() / FROM;
    for pixel in 0..pixels {
        for (to, from) in bytes.iter().enumerate() {
            data[pixel * TO + to] = data[pixel * FROM + from];
        }
    }
    data.truncate(pixels * TO);
    TO
}

impl Pixels {
    fn turned(self, orientation: Orientation) -> Self {
        if orientation == Orientation::NoTransforms {
            return self;
        }
        const FITS: &str = "the buffer was made for this size";
        let mut image = if self.channels == 1 {
            DynamicImage::ImageLuma8(GrayImage::from_raw(self.width, self.height, self.data).expect(FITS))
        } else {
            DynamicImage::ImageRgb8(RgbImage::from_raw(self.width, self.height, self.data).expect(FITS))
        };
        image.apply_orientation(orientation);
        Self {
            width: image.width(),
            height: image.height(),
            channels: self.channels,
            data: image.into_bytes(),
        }
    }

    /// To one channel, by the weights of ITU-R 601 as Pillow rounds them.
    pub(super) fn grey(mut self) -> Self {
        if self.channels == 3 {
            let pixels = self.data.len() / 3;
            for pixel in 0..pixels {
                let [red, green, blue] = [0, 1, 2].map(|c| u32::from(self.data[pixel * 3 + c]));
                self.data[pixel] = ((red * 19_595 + green * 38_470 + blue * 7_471 + 0x8000) >> 16) as u8;
            }
            self.data.truncate(pixels);
            self.channels = 1;
        }
        self
    }

    /// To three channels.
    pub(super) fn colour(mut self) -> Self {
        if self.channels == 1 {
            self.data = self.data.iter().flat_map(|grey| [*grey; 3]).collect();
            self.channels = 3;
        }
        self
    }
}
