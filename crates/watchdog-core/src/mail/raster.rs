//! Dots of a few colours, and the PNG that they become.
//!
//! A palette of at most sixteen colours at four bits a dot: the plain shapes of a plot then take one or two kilobytes. The background is
//! clear, so that a picture stands on white paper and on a dark screen alike; the colours are chosen for both.

use miniz_oxide::deflate::compress_to_vec_zlib;

/// How hard to compress, of 10. A mail with a picture takes 5 million instructions to make, where it took 10 at an effort of 6 (0.3 without a
/// picture), and is a tenth larger: 22 KB of the 100 that mail programs show.
const EFFORT: u8 = 1;

/// One of the palette's colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    /// Nothing.
    Clear,
    /// What is used, as an area.
    Use,
    /// Its upper border.
    Edge,
    /// The limit.
    Limit,
    /// Lines that help to read.
    Rule,
    /// Now, and what is guessed.
    Guess,
}

/// Red, green, blue, in the order of [`Ink`]. Of Okabe and Ito's palette, which colour-blind people can tell apart: each line is at least three
/// times as bright or dark as both white and `#1c2128`, and the area has such a line for its border.
const PALETTE: [[u8; 3]; 6] =
    [[0, 0, 0], [0x6f, 0xa8, 0xd6], [0x1f, 0x7a, 0xbf], [0xd5, 0x5e, 0x00], [0x85, 0x8b, 0x93], [0xb0, 0x60, 0x9a]];

/// A canvas; whatever is drawn outside of it is not drawn.
pub(super) struct Canvas {
    width: usize,
    height: usize,
    dots: Vec<Ink>,
}

impl Canvas {
    pub(super) fn new(width: u16, height: u16) -> Self {
        let (width, height) = (usize::from(width), usize::from(height));
        Self { width, height, dots: vec![Ink::Clear; width * height] }
    }

    /// Fills from the left and top border inclusive to the right and bottom one exclusive.
    pub(super) fn fill(&mut self, (left, top): (i32, i32), (right, bottom): (i32, i32), ink: Ink) {
        let inside = |at: i32, most: usize| usize::try_from(at).unwrap_or(0).min(most);
        let (left, right) = (inside(left, self.width), inside(right, self.width));
        for y in inside(top, self.height)..inside(bottom, self.height) {
            let row = y * self.width;
            if let Some(dots) = self.dots.get_mut(row + left..row + right.max(left)) {
                dots.fill(ink);
            }
        }
    }

    /// A level line, `thick` dots high around `y`, of dashes and gaps of these lengths; a gap of zero makes it whole.
    pub(super) fn level(&mut self, (from, to): (i32, i32), y: i32, thick: i32, (dash, gap): (i32, i32), ink: Ink) {
        let mut x = from;
        while x < to {
            let end = if gap == 0 { to } else { (x + dash).min(to) };
            self.fill((x, y - thick / 2), (end, y - thick / 2 + thick), ink);
            x = end + gap.max(1);
        }
    }

    /// Square dots along the straight way between two points, `apart` from each other.
    pub(super) fn dotted(&mut self, from: (i32, i32), to: (i32, i32), size: i32, apart: i32, ink: Ink) {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let steps = (dx.abs().max(dy.abs()) / apart.max(1)).max(1);
        for n in 0..=steps {
            let (x, y) = (from.0 + dx * n / steps, from.1 + dy * n / steps);
            self.fill((x - size / 2, y - size / 2), (x - size / 2 + size, y - size / 2 + size), ink);
        }
    }

    /// As a PNG: the same dots are the same bytes.
    pub(super) fn png(&self) -> Vec<u8> {
        let mut raw = Vec::with_capacity(self.height * (self.width / 2 + 2));
        for row in self.dots.chunks(self.width.max(1)) {
            // Each row as it is: no filter is of use where a dot is an index.
            raw.push(0);
            raw.extend(row.chunks(2).map(|two| (two[0] as u8) << 4 | two.get(1).map_or(0, |ink| *ink as u8)));
        }
        let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
        let mut head = Vec::from(u32::try_from(self.width).unwrap_or(0).to_be_bytes());
        head.extend(u32::try_from(self.height).unwrap_or(0).to_be_bytes());
        // Four bits a dot, a palette, and the only compression, filtering and order that there is.
        head.extend([4, 3, 0, 0, 0]);
        chunk(&mut png, *b"IHDR", &head);
        chunk(&mut png, *b"PLTE", &PALETTE.concat());
        // The first colour is clear.
        chunk(&mut png, *b"tRNS", &[0]);
        chunk(&mut png, *b"IDAT", &compress_to_vec_zlib(&raw, EFFORT));
        chunk(&mut png, *b"IEND", &[]);
        png
    }
}

fn chunk(png: &mut Vec<u8>, name: [u8; 4], content: &[u8]) {
    png.extend(u32::try_from(content.len()).unwrap_or(0).to_be_bytes());
    let from = png.len();
    png.extend(name);
    png.extend(content);
    let sum = crc32fast::hash(png.get(from..).unwrap_or_default());
    png.extend(sum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use miniz_oxide::inflate::decompress_to_vec_zlib;

    use super::*;

    /// What is drawn, a character a dot.
    fn shown(canvas: &Canvas) -> String {
        let row = |row: &[Ink]| row.iter().map(|ink| ['.', 'u', 'e', 'L', 'r', 'g'][*ink as usize]).collect::<String>();
        canvas.dots.chunks(canvas.width).map(row).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn shapes_stay_on_the_canvas() {
        let mut canvas = Canvas::new(9, 5);
        canvas.fill((-4, 3), (3, 99), Ink::Use);
        canvas.level((1, 99), 1, 1, (2, 1), Ink::Rule);
        canvas.dotted((8, 4), (4, 0), 1, 2, Ink::Guess);
        canvas.fill((5, 5), (2, 2), Ink::Limit);
        assert_eq!(shown(&canvas), "....g....\n.rr.rr.rr\n......g..\nuuu......\nuuu.....g");
    }

    /// Read back with the format's own rules: each chunk's sum, the head, and every dot.
    #[test]
    fn the_png_holds_the_dots() {
        let mut canvas = Canvas::new(5, 3);
        canvas.fill((1, 1), (5, 3), Ink::Edge);
        canvas.fill((4, 2), (5, 3), Ink::Limit);
        let png = canvas.png();
        let mut rest = &png[8..];
        let mut chunks = Vec::new();
        while !rest.is_empty() {
            let length = usize::try_from(u32::from_be_bytes(rest[..4].try_into().unwrap())).unwrap();
            let (named, after) = rest[4..].split_at(4 + length);
            assert_eq!(crc32fast::hash(named).to_be_bytes(), after[..4]);
            chunks.push((std::str::from_utf8(&named[..4]).unwrap(), &named[4..]));
            rest = &after[4..];
        }
        let names: Vec<_> = chunks.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["IHDR", "PLTE", "tRNS", "IDAT", "IEND"]);
        assert_eq!(chunks[0].1, [0, 0, 0, 5, 0, 0, 0, 3, 4, 3, 0, 0, 0]);
        assert_eq!(chunks[1].1.len(), 18);
        let rows = [[0, 0x00, 0x00, 0x00], [0, 0x02, 0x22, 0x20], [0, 0x02, 0x22, 0x30]];
        assert_eq!(decompress_to_vec_zlib(chunks[3].1).unwrap(), rows.concat());
    }
}
