//! Writes the pictures of a recipe's data as tensors, for other programs: `train.images` (N, H, W, C) in u8,
//! `train.labels` (N), and the same of `test`.
//!
//! ```text
//! cargo run --release --example pictures -- recipes/sparse_vgg.toml concepts.safetensors data.difficulty=2
//! ```

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;

use candle_core::{Device, Tensor};
use interp::Catalog;
use interp::data::{Dataset, Split};
use interp::recipe::Recipe;

/// Pictures and labels of a split.
fn tensors(data: &dyn Dataset, split: Split) -> Result<[Tensor; 2], Box<dyn Error>> {
    let (info, count) = (data.info(), data.len(split));
    let (mut images, mut picture) = (Vec::with_capacity(count * info.pixels()), vec![0.0; info.pixels()]);
    for index in 0..count {
        data.image(split, index, &mut picture)?;
        images.extend(picture.iter().map(|value| (255.0 * value).round() as u8));
    }
    let labels: Vec<u32> = (0..count).map(|index| data.label(split, index)).collect();
    let shape = (count, info.height, info.width, info.channels);
    Ok([Tensor::from_vec(images, shape, &Device::Cpu)?, Tensor::from_vec(labels, count, &Device::Cpu)?])
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(recipe), Some(out)) = (arguments.next(), arguments.next()) else {
        return Err("usage: pictures RECIPE FILE [a.b=c]...".into());
    };
    let recipe = Recipe::read(Path::new(&recipe), &arguments.collect::<Vec<_>>(), &Catalog::default())?;
    let data = recipe.data.object.open(&|_, _| {})?;
    let [train, test] = [tensors(&*data, Split::Train)?, tensors(&*data, Split::Test)?];
    let names = ["train.images", "train.labels", "test.images", "test.labels"];
    let all: HashMap<&str, Tensor> = names.into_iter().zip(train.into_iter().chain(test)).collect();
    Ok(candle_core::safetensors::save(&all, out)?)
}
