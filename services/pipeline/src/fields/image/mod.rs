//! Images: JPEG and PNG to normalised tensors, as Pillow and torchvision would do it.
//!
//! Owns: decoding, orientation, colour conversion, resizing, cropping, normalising. Never does: decode an image before
//! its header has passed the pixel limit.
//!
//! **Agreement with Pillow**, in steps of one 255th, held by tests on images that Pillow has processed: decoding a PNG,
//! converting, turning, cropping and `nearest` are exact; the other filters are within 1 (both round to 8 bits between
//! their two passes, rows first); JPEG decoders differ among themselves, here by at most 3. The order is that of
//! torchvision: decode, turn, convert, resize, crop, scale, normalise.
//!
//! **What is taken:** PNG of every kind (palettes are looked up, transparency is dropped, of 16 bits the high 8 are
//! kept) and JPEG of every kind, CMYK too. Colour profiles are not applied, as Pillow does not. A truncated image is
//! refused, not filled up with grey.

mod decode;
mod looks;
mod picture;
mod resize;
mod settings;
#[cfg(test)]
mod tests;

pub(crate) use looks::LOOKS;
pub(crate) use picture::{Picture, Workshop};
pub use settings::{Channels, ExifOrientation, Filter, ImageSettings, Layout, Resize};
