//! Contact sheets: many pictures of a data set in one.

use image::{Rgb, RgbImage};

use crate::{DataError, Dataset, Result, Split};

/// Pixels between pictures.
const GAP: usize = 2;

/// Color between pictures.
const GROUND: Rgb<u8> = Rgb([128; 3]);

/// Pictures narrower than this are shown at twice their size, each pixel as four.
const SMALL: usize = 64;

/// The first `columns` pictures of each of the first `rows` classes, one row per class in the order
/// of the classes. A class with fewer pictures leaves its row short.
///
/// # Errors
/// Where there is nothing to show, the pictures have other than 1 or 3 channels, or one cannot be
/// read.
pub fn contact_sheet(data: &dyn Dataset, split: Split, rows: usize, columns: usize) -> Result<RgbImage> {
    let info = data.info();
    let rows = rows.min(info.classes.len());
    // Those asked for beyond that cannot be there, and would make the sheet larger than memory.
    let columns = columns.min(data.len(split));
    if rows == 0 || columns == 0 || data.len(split) == 0 {
        let count = data.len(split);
        let problem = format!("{split:?} has {count} pictures: none to show in {rows} rows of {columns}");
        return Err(DataError::Settings(format!("{}: {problem}", info.name)));
    }
    if info.channels != 1 && info.channels != 3 {
        let problem = format!("pictures of {} channels cannot be shown, only of 1 or 3", info.channels);
        return Err(DataError::Settings(format!("{}: {problem}", info.name)));
    }
    let scale = if info.width < SMALL { 2 } else { 1 };
    let extent = |count: usize, pixels: usize| (count * (pixels * scale + GAP) + GAP) as u32;
    let mut sheet = RgbImage::from_pixel(extent(columns, info.width), extent(rows, info.height), GROUND);
    for (row, indices) in first_of_each_class(data, split, rows, columns).iter().enumerate() {
        for (column, &index) in indices.iter().enumerate() {
            let corner = [column * (info.width * scale + GAP) + GAP, row * (info.height * scale + GAP) + GAP];
            place(data, split, index, scale, corner, &mut sheet)?;
        }
    }
    Ok(sheet)
}

/// Indices of the first `count` pictures of each of the first `classes` classes.
fn first_of_each_class(data: &dyn Dataset, split: Split, classes: usize, count: usize) -> Vec<Vec<usize>> {
    let mut found = vec![Vec::new(); classes];
    let mut missing = classes * count;
    for index in 0..data.len(split) {
        if missing == 0 {
            break;
        }
        if let Some(row) = found.get_mut(data.label(split, index) as usize).filter(|row| row.len() < count) {
            row.push(index);
            missing -= 1;
        }
    }
    found
}

/// Draws one picture with its top left pixel at `corner`, each pixel as `scale` by `scale`.
fn place(
    data: &dyn Dataset,
    split: Split,
    index: usize,
    scale: usize,
    corner: [usize; 2],
    sheet: &mut RgbImage,
) -> Result<()> {
    let info = data.info();
    let mut picture = vec![0.0; info.pixels()];
    data.image(split, index, &mut picture)?;
    for (at, pixel) in picture.chunks_exact(info.channels).enumerate() {
        // A gray pixel has one value, which stands for all three.
        let color = Rgb([0, 1, 2].map(|channel| (pixel[channel.min(info.channels - 1)] * 255.0 + 0.5) as u8));
        let (x, y) = (corner[0] + at % info.width * scale, corner[1] + at / info.width * scale);
        (0..scale * scale).for_each(|i| sheet.put_pixel((x + i % scale) as u32, (y + i / scale) as u32, color));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::concepts::{Concepts, ConceptsSource};

    fn concepts(size: usize) -> Concepts {
        let source = ConceptsSource { size, train: 30, val: 0, test: 0, ..ConceptsSource::default() };
        Concepts::open(&source, &|_, _| {}).unwrap()
    }

    #[test]
    fn each_class_has_its_row() {
        let data = concepts(16);
        let sheet = contact_sheet(&data, Split::Train, 10, 3).unwrap();
        assert_eq!(sheet.dimensions(), (3 * 34 + 2, 10 * 34 + 2));
        let third = (0..30).filter(|&index| data.label(Split::Train, index) == 4).nth(2).unwrap();
        let mut picture = vec![0.0; data.info().pixels()];
        data.image(Split::Train, third, &mut picture).unwrap();
        for (row, column) in [(0, 0), (7, 9), (15, 15)] {
            let pixel = &picture[(row * 16 + column) * 3..][..3];
            let expected = [0, 1, 2].map(|channel: usize| (pixel[channel] * 255.0).round() as u8);
            for (down, right) in [(0, 0), (1, 1)] {
                let (x, y) = (2 * 34 + 2 + 2 * column + right, 4 * 34 + 2 + 2 * row + down);
                assert_eq!(sheet.get_pixel(x as u32, y as u32).0, expected);
            }
        }
    }

    #[test]
    fn a_class_with_few_pictures_has_a_short_row() {
        let sheet = contact_sheet(&concepts(64), Split::Train, 2, 5).unwrap();
        assert_eq!(sheet.dimensions(), (5 * 66 + 2, 2 * 66 + 2));
        assert_eq!(*sheet.get_pixel(4 * 66 + 20, 20), GROUND);
    }

    #[test]
    fn nothing_to_show_is_an_error() {
        let data = concepts(16);
        for (split, rows, columns) in [(Split::Test, 10, 3), (Split::Train, 0, 3), (Split::Train, 10, 0)] {
            assert!(contact_sheet(&data, split, rows, columns).unwrap_err().to_string().contains("none to show"));
        }
    }
}
