//! Pictures of one code after another: what changes where one code does.

use candle_core::{DType, Device};
use interp_audit::AuditError;
use interp_finding::Figure;
use interp_finding::random::stream;
use interp_learn::gan::{Code, pictures, vectors};
use interp_net::zoo::Latent;
use interp_net::{Keep, Mode, Network, Normalization};

use crate::Result;
use crate::programs::tiles::{Tile, mosaic};

/// Pictures that are made at once.
const BATCH: usize = 256;
/// Columns of a sheet, each with other noise and other codes.
const COLUMNS: usize = 12;
/// Rows of a sheet of a continuous code.
const VALUES: usize = 7;
/// Rows of a sheet of a categorical code, at most.
const CATEGORIES: usize = 20;
/// Pixels of a picture's longer side on a sheet, at most.
const SIDE: usize = 64;

/// The pixel values that a generator makes of codes, (N, H, W, C) in [0, 1].
pub(crate) fn made(generator: &Network, latent: &Latent, codes: &[Code]) -> Result<Vec<f32>> {
    let channels = generator.graph.shape(generator.graph.output())[0];
    let as_they_are = Normalization { mean: vec![0.0; channels], std: vec![1.0; channels] };
    let mut all = vec![];
    for codes in codes.chunks(BATCH) {
        let tape = generator.forward(&vectors(codes, latent)?, Mode::Eval, &Keep::Output)?;
        let made = pictures(tape.output(&generator.graph)?, &as_they_are)?.to_device(&Device::Cpu)?;
        all.extend(made.permute((0, 2, 3, 1))?.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?);
    }
    match all.iter().all(|value| value.is_finite()) {
        true => Ok(all),
        false => Err(AuditError::NotANumber(generator.graph.nodes()[generator.graph.output()].name.clone()).into()),
    }
}

/// One code at each of its values, the first row at the first, all else as it is in its column.
fn sheet_codes(latent: &Latent, code: usize, seed: u64) -> Vec<Code> {
    let column = |column: usize| Code::draw(latent, &mut stream(seed, "traversal", 0, column as u64));
    let columns: Vec<Code> = (0..COLUMNS).map(column).collect();
    let rows = latent.categorical.get(code).map_or(VALUES, |&count| count.min(CATEGORIES));
    let with = |row: usize, column: &Code| {
        let mut own = column.clone();
        match code.checked_sub(latent.categorical.len()) {
            None => own.categories[code] = row,
            Some(number) => own.numbers[number] = -1.0 + 2.0 * row as f32 / (VALUES - 1) as f32,
        }
        own
    };
    (0..rows).flat_map(|row| columns.iter().map(move |column| with(row, column)).collect::<Vec<_>>()).collect()
}

/// The sheet of a code: a row for each category, or for values from -1 to 1, a column for each draw of all else.
pub(crate) fn sheet(generator: &Network, latent: &Latent, code: usize, title: String, seed: u64) -> Result<Figure> {
    let codes = sheet_codes(latent, code, seed);
    let &[channels, height, width] = generator.graph.shape(generator.graph.output()) else {
        return Err(crate::Error::Usage("a generator makes pictures, and this network none".into()));
    };
    let pixels = made(generator, latent, &codes)?;
    let tiles: Vec<Tile<'_>> =
        pixels.chunks_exact(channels * height * width).map(|pixels| Tile { pixels, share: 1.0 }).collect();
    let (width, height, rgb) = mosaic(&tiles, COLUMNS, [height, width, channels], SIDE);
    let caption = match latent.categorical.get(code) {
        Some(_) => "Rows: the categories. Columns: other noise and other codes, the same within a column.",
        None => "Rows: the code from -1, above, to 1. Columns: other noise and other codes, the same within a column.",
    };
    Ok(Figure::Picture { title, caption: caption.into(), width, height, rgb, zoom: 2 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_code_changes_from_row_to_row_and_all_else_from_column_to_column() {
        let latent = Latent { categorical: vec![3, 40], continuous: 1, noise: 2, factors: vec![] };
        let same_but = |code: usize, clear: fn(&mut Code)| {
            let codes = sheet_codes(&latent, code, 5);
            let bare = |code: &Code| {
                let mut code = code.clone();
                clear(&mut code);
                code
            };
            assert!(codes.chunks(COLUMNS).all(|row| row.iter().map(bare).eq(codes[..COLUMNS].iter().map(bare))));
            assert!(codes[0].noise != codes[1].noise);
            codes
        };
        let first = same_but(0, |code| code.categories[0] = 0);
        assert!(first.iter().enumerate().all(|(at, code)| code.categories[0] == at / COLUMNS) && first.len() == 36);
        assert_eq!(same_but(1, |code| code.categories[1] = 0).len(), CATEGORIES * COLUMNS);
        let numbers: Vec<f32> =
            same_but(2, |code| code.numbers[0] = 0.0).iter().step_by(COLUMNS).map(|code| code.numbers[0]).collect();
        assert!((numbers[0], numbers[3], numbers[6]) == (-1.0, 0.0, 1.0) && numbers.len() == 7, "{numbers:?}");
    }
}
