//! How large the parts of a data set may be. What is larger is an error that names its place, never cut off.
//!
//! All of them lie above the pipeline's own default limits, so that whatever a pipeline would take can be read.

/// Most bytes of one row: a line of CSV or JSON with the lines that its quotes hold, or the JSON of a row of Parquet.
pub const ROW_BYTES: usize = 16 << 20;
/// Most bytes of one cell: a text, or the base64 of the bytes that a Parquet file holds.
pub const CELL_BYTES: usize = 8 << 20;
/// Most bytes of a column's name.
pub const NAME_BYTES: usize = 1 << 10;
/// Most columns.
pub const COLUMNS: usize = 16_384;
/// Deepest nesting of objects and lists within a row.
pub const DEPTH: usize = 64;
/// Most bytes of one image file.
pub const IMAGE_BYTES: u64 = 64 << 20;
/// Most images of one class: their names are sorted in memory.
pub const IMAGES_OF_A_CLASS: usize = 4_000_000;
/// Most classes of an image folder.
pub const CLASSES: usize = 100_000;
