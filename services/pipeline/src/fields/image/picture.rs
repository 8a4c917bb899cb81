//! From an encoded image to the numbers of a tensor.

use std::panic::{AssertUnwindSafe, catch_unwind};

use fast_image_resize::Resizer;
use half::f16;

use super::decode::{Pixels, Task};
use super::looks::LOOKS;
use super::resize::{centre, resize, target_size};
use super::settings::{Channels, Filter, ImageSettings, Layout};
use crate::fields::store::Cells;
use crate::fields::words::Place;
use crate::rejection::{Reason, Rejection};

/// Most pixels of the intermediate size before the centre is cut out, as a multiple of the image's limit. A sliver of an
/// image has a very long longer side.
const GROWTH: u64 = 4;

/// What turns images into tensors; compiled once.
#[derive(Debug)]
pub(crate) struct Picture {
    settings: ImageSettings,
    pixel_limit: u64,
    /// For each channel of the tensor the value of each of the 256 pixel values.
    tables: Tables,
}

#[derive(Debug)]
struct Tables {
    float32: Vec<[f32; 256]>,
    float64: Vec<[f64; 256]>,
    float16: Vec<[f16; 256]>,
}

/// Buffers that outlive one image.
#[derive(Debug, Default)]
pub(crate) struct Workshop {
    resizer: Resizer,
    decoded: Vec<u8>,
    resized: Vec<u8>,
}

impl Workshop {
    /// Takes the buffer of a finished image back.
    pub(crate) fn take_back(&mut self, pixels: Pixels) {
        if pixels.data.capacity() > self.decoded.capacity() {
            self.decoded = pixels.data;
        } else {
            self.resized = pixels.data;
        }
    }
}

impl Picture {
    /// Compiles settings that [`ImageSettings::check`] found sound.
    pub(crate) fn new(settings: &ImageSettings, pixel_limit: u64) -> Self {
        let of = |list: &[f64], channel: usize| if list.len() == 1 { list[0] } else { list[channel] };
        let float64: Vec<[f64; 256]> = (0..settings.channels.count())
            .map(|channel| {
                let (mean, std) = (of(&settings.mean, channel), of(&settings.std, channel));
                std::array::from_fn(|pixel| (pixel as f64 * settings.scale - mean) / std)
            })
            .collect();
        Self {
            settings: settings.clone(),
            pixel_limit,
            tables: Tables {
                float32: float64.iter().map(|table| table.map(|x| x as f32)).collect(),
                float16: float64.iter().map(|table| table.map(f16::from_f64)).collect(),
                float64,
            },
        }
    }

    pub(crate) fn shape(&self) -> [usize; 3] {
        self.settings.shape()
    }

    pub(crate) fn elements(&self) -> usize {
        self.settings.elements()
    }

    /// Decodes, turns, converts and resizes; the centre is cut out when the tensor is written. `look` is given what the image
    /// looks like.
    pub(crate) fn decode(
        &self,
        place: Place<'_>,
        bytes: &[u8],
        workshop: &mut Workshop,
        look: Option<&mut [f32; LOOKS.len()]>,
    ) -> Result<Pixels, Rejection> {
        let task = Task {
            place,
            pixel_limit: self.pixel_limit,
            orientation: self.settings.orientation,
        };
        let spare = std::mem::take(&mut workshop.decoded);
        // The decoders are other people's code, and a panic in them must cost one event, not the lane.
        let decoded = catch_unwind(AssertUnwindSafe(|| task.decode(bytes, spare)))
            .unwrap_or_else(|_| Err(place.reject(Reason::Malformed, "is an image that breaks its decoder")))?;
        if let Some(look) = look {
            *look = decoded.looks();
        }
        let pixels = match self.settings.channels {
            Channels::Grey => decoded.grey(),
            Channels::Rgb | Channels::Bgr => decoded.colour(),
        };
        if pixels.width == 0 || pixels.height == 0 {
            return Err(place.reject(Reason::WrongShape, "is an image without pixels"));
        }
        let size = target_size(&self.settings, pixels.width, pixels.height);
        let tallest = u64::from(size.1.max(pixels.height));
        if u64::from(size.0).saturating_mul(tallest) > self.pixel_limit.saturating_mul(GROWTH) {
            return Err(place.reject(
                Reason::LimitExceeded,
                format_args!(
                    "is an image of {} by {} pixels, which would be {} by {} after resizing: too narrow",
                    pixels.width, pixels.height, size.0, size.1
                ),
            ));
        }
        let filter = self.settings.filter;
        let Workshop { resizer, resized, .. } = workshop;
        // Pillow always resizes the rows first and rounds between its passes, which shows where a filter overshoots.
        let wide = if filter == Filter::Nearest {
            pixels
        } else {
            let height = pixels.height;
            resize(pixels, (size.0, height), filter, resizer, resized)
        };
        Ok(resize(wide, size, filter, resizer, resized))
    }

    /// Writes the tensor.
    pub(crate) fn write(&self, pixels: &Pixels, cells: Cells<'_>) {
        match cells {
            Cells::Float32(cells) => self.write_as(pixels, cells, &self.tables.float32),
            Cells::Float64(cells) => self.write_as(pixels, cells, &self.tables.float64),
            Cells::Float16(cells) => self.write_as(pixels, cells, &self.tables.float16),
        }
    }

    fn write_as<T: Copy>(&self, pixels: &Pixels, cells: &mut [T], tables: &[[T; 256]]) {
        let (width, height) = (self.settings.width as usize, self.settings.height as usize);
        let channels = pixels.channels;
        let (left, top) = (
            centre(self.settings.width, pixels.width),
            centre(self.settings.height, pixels.height),
        );
        // Columns of the tensor that lie within the image; all others are black.
        let first = usize::try_from(-left).unwrap_or(0);
        let last = width.min(usize::try_from(i64::from(pixels.width) - left).unwrap_or(0));
        for (channel, table) in tables.iter().enumerate() {
            let source = if self.settings.channels == Channels::Bgr {
                channels - 1 - channel
            } else {
                channel
            };
            for y in 0..height {
                let (start, step) = match self.settings.layout {
                    Layout::Chw => ((channel * height + y) * width, 1),
                    Layout::Hwc => (y * width * channels + channel, channels),
                };
                let row = usize::try_from(y as i64 + top)
                    .ok()
                    .filter(|row| *row < pixels.height as usize);
                let Some(row) = row else {
                    (0..width).for_each(|x| cells[start + x * step] = table[0]);
                    continue;
                };
                (0..first)
                    .chain(last..width)
                    .for_each(|x| cells[start + x * step] = table[0]);
                let begin = (row * pixels.width as usize + usize::try_from(left).unwrap_or(0)) * channels + source;
                let bytes = pixels.data[begin.min(pixels.data.len())..].iter().step_by(channels);
                for (x, byte) in (first..last).zip(bytes) {
                    cells[start + x * step] = table[usize::from(*byte)];
                }
            }
        }
    }
}
