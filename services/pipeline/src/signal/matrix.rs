//! A borrowed matrix, row-major.

/// Rows of equally many numbers, row-major. The width may be 0.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    width: usize,
}

impl<'a> Matrix<'a> {
    /// Takes `rows * width` numbers.
    ///
    /// # Panics
    /// When there are not so many.
    pub const fn new(values: &'a [f32], rows: usize, width: usize) -> Self {
        assert!(values.len() == rows * width, "a matrix has rows * width numbers");
        Self { values, rows, width }
    }

    /// So many rows of nothing.
    pub const fn empty(rows: usize) -> Self {
        Self {
            values: &[],
            rows,
            width: 0,
        }
    }

    /// Number of rows.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Numbers of one row.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// All rows, one after the other.
    pub const fn values(&self) -> &'a [f32] {
        self.values
    }

    /// One row.
    pub fn row(&self, row: usize) -> &'a [f32] {
        &self.values[row * self.width..][..self.width]
    }
}
