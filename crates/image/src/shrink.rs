//! Shrinks an image by a whole number while it is read row by row, so that a huge one never stands in memory as a whole.

use super::raster::{Pixel, Raster};

/// Takes rows and keeps the mean of each square of `by` × `by` pixels. Colours count as much as they are opaque.
pub(super) struct Shrinker {
    width: usize,
    height: u32,
    by: usize,
    pixel: Pixel,
    sums: Vec<u32>,
    rows_in: u32,
    held: u32,
    data: Vec<u8>,
}

impl Shrinker {
    /// The largest whole number that leaves at least twice the size that is wanted, so that the rest is left to a better filter.
    pub(super) fn divisor(factor: f64) -> u32 {
        let most = (0.5 / factor.max(1e-6)).floor();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 1..=64")]
        let by = most.clamp(1.0, 64.0) as u32;
        by
    }

    /// Bytes that it holds in the end.
    pub(super) fn size_of(width: u32, height: u32, pixel: Pixel, by: u32) -> u64 {
        u64::from(width.div_ceil(by)) * u64::from(height.div_ceil(by)) * pixel.channels() as u64
    }

    pub(super) fn new(width: u32, height: u32, pixel: Pixel, by: u32) -> Self {
        let bytes = usize::try_from(Self::size_of(width, height, pixel, by)).unwrap_or(0);
        let columns = width.div_ceil(by) as usize;
        Self {
            width: width as usize,
            height,
            by: by as usize,
            pixel,
            sums: vec![0; columns * pixel.channels()],
            rows_in: 0,
            held: 0,
            data: Vec::with_capacity(bytes),
        }
    }

    /// Takes the next row.
    pub(super) fn push(&mut self, row: &[u8]) {
        self.rows_in += 1;
        if self.by == 1 {
            self.data.extend_from_slice(row);
            return;
        }
        let channels = self.pixel.channels();
        let has_alpha = self.pixel == Pixel::Rgba;
        for (square, sums) in row.chunks(self.by * channels).zip(self.sums.chunks_exact_mut(channels)) {
            for pixel in square.chunks_exact(channels) {
                if has_alpha {
                    let alpha = u32::from(pixel[3]);
                    for (sum, &value) in sums.iter_mut().zip(&pixel[..3]) {
                        *sum += u32::from(value) * alpha;
                    }
                    sums[3] += alpha;
                } else {
                    for (sum, &value) in sums.iter_mut().zip(pixel) {
                        *sum += u32::from(value);
                    }
                }
            }
        }
        self.held += 1;
        if self.held as usize == self.by || self.rows_in == self.height {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let channels = self.pixel.channels();
        let mean = |sum: u32, count: u32| u8::try_from((sum + count / 2).checked_div(count).unwrap_or(0)).unwrap_or(u8::MAX);
        for (column, sums) in self.sums.chunks_exact(channels).enumerate() {
            let across = self.by.min(self.width - column * self.by);
            let count = u32::try_from(across).unwrap_or(1) * self.held;
            if self.pixel == Pixel::Rgba {
                let colors = [mean(sums[0], sums[3]), mean(sums[1], sums[3]), mean(sums[2], sums[3])];
                self.data.extend_from_slice(&colors);
                self.data.push(mean(sums[3], count));
            } else {
                self.data.extend(sums.iter().map(|&sum| mean(sum, count)));
            }
        }
        self.sums.fill(0);
        self.held = 0;
    }

    /// The shrunken image, after all rows were added.
    pub(super) fn finish(self) -> Raster {
        let by = u32::try_from(self.by).unwrap_or(1);
        let width = u32::try_from(self.width).unwrap_or(1);
        let raster = Raster::new(width.div_ceil(by), self.height.div_ceil(by), self.pixel, self.data);
        raster.covering(f64::from(width) / f64::from(by), f64::from(self.height) / f64::from(by))
    }
}
