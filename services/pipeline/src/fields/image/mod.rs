//! Images: JPEG and PNG to normalised tensors, as Pillow and torchvision would do it.
mod settings;

pub use settings::{Channels, ExifOrientation, Filter, ImageSettings, Layout, Resize};
