//! What an image looks like, in a few numbers that are watched as features.

use super::decode::Pixels;

/// The names of these numbers, behind the field's and a point.
pub(crate) const LOOKS: [&str; 5] = ["brightness", "contrast", "sharpness", "width", "height"];

/// Pixels that are looked at, about.
const MOST_PIXELS: usize = 1 << 18;

impl Pixels {
    /// Of the decoded, upright image, before it is resized: the mean of its grey values and their standard deviation, both
    /// from 0 to 1; its sharpness, the variance of the Laplacian (Pertuz, Puig & Garcia, Pattern Recognition 2013) on that
    /// scale, 0 for images of less than three pixels in a direction; its width and height in pixels.
    pub(super) fn looks(&self) -> [f32; LOOKS.len()] {
        let (width, height) = (self.width as usize, self.height as usize);
        let grey = |x: usize, y: usize| self.luma((y * width + x) * self.channels);
        let (mut values, mut edges) = (Spread::default(), Spread::default());
        // Of a large image every so manyth pixel in both directions, each with its own neighbours.
        let step = ((width * height).div_ceil(MOST_PIXELS)).isqrt().max(1);
        for y in (0..height).step_by(step) {
            for x in (0..width).step_by(step) {
                let here = grey(x, y);
                values.push(here);
                if x > 0 && y > 0 && x + 1 < width && y + 1 < height {
                    edges.push(grey(x - 1, y) + grey(x + 1, y) + grey(x, y - 1) + grey(x, y + 1) - 4 * here);
                }
            }
        }
        let (mean, variance) = values.moments();
        [
            (mean / 255.0) as f32,
            (variance.sqrt() / 255.0) as f32,
            (edges.moments().1 / (255.0 * 255.0)) as f32,
            self.width as f32,
            self.height as f32,
        ]
    }

    /// The grey value of the pixel at a byte, by the weights of ITU-R 601 as Pillow rounds them.
    fn luma(&self, at: usize) -> i64 {
        let of = |channel: usize| i64::from(self.data[at + channel]);
        match self.channels {
            1 => of(0),
            _ => (of(0) * 19_595 + of(1) * 38_470 + of(2) * 7_471 + 0x8000) >> 16,
        }
    }
}

/// Sums of whole numbers, which are exact for any image within the limits.
#[derive(Debug, Default)]
struct Spread {
    count: u64,
    sum: i64,
    squares: i64,
}

impl Spread {
    fn push(&mut self, x: i64) {
        self.count += 1;
        self.sum += x;
        self.squares += x * x;
    }

    /// Mean and variance of the population; 0 of nothing.
    fn moments(&self) -> (f64, f64) {
        if self.count == 0 {
            return (0.0, 0.0);
        }
        let n = self.count as f64;
        let mean = self.sum as f64 / n;
        (mean, (self.squares as f64 / n - mean * mean).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(width: u32, channels: usize, data: &[u8]) -> [f32; 5] {
        let pixels = Pixels {
            width,
            height: (data.len() / channels) as u32 / width,
            channels,
            data: data.to_vec(),
        };
        pixels.looks()
    }

    // Mean and deviation of the grey values and the variance of the 4-neighbour Laplacian inside, computed apart in Python.
    #[test]
    fn brightness_contrast_and_sharpness_are_those_of_the_formulas() {
        let checker: Vec<u8> = (0..16u8)
            .map(|at| if (at / 4 + at % 4) % 2 == 0 { 255 } else { 0 })
            .collect();
        assert_eq!(looks(4, 1, &checker), [0.5, 0.5, 16.0, 4.0, 4.0]);
        let ramp: Vec<u8> = (0..9).map(|at| at * 10).collect();
        let [brightness, contrast, sharpness, width, height] = looks(3, 1, &ramp);
        assert!((brightness - 40.0 / 255.0).abs() < 1e-7 && (contrast - 25.819_89 / 255.0).abs() < 1e-6);
        assert_eq!([sharpness, width, height], [0.0, 3.0, 3.0]);
        let uneven = [0, 50, 100, 200, 255, 10, 20, 30, 40, 90, 80, 70];
        let [brightness, contrast, sharpness, ..] = looks(4, 1, &uneven);
        assert!((brightness - 0.308_823_5).abs() < 1e-6, "{brightness}");
        assert!((contrast - 0.289_741_4).abs() < 1e-6, "{contrast}");
        assert!((sharpness - 0.212_322_2).abs() < 1e-6, "{sharpness}");
    }

    #[test]
    fn colours_count_by_their_weight_and_slivers_have_no_sharpness() {
        assert!((looks(1, 3, &[255, 0, 0])[0] - 76.0 / 255.0).abs() < 1e-7);
        assert_eq!(looks(2, 1, &[0, 255]), [0.5, 0.5, 0.0, 2.0, 1.0]);
    }
}
