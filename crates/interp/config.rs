//! What timm's `config.json` says of a checkpoint: its architecture, and what its pictures go through first.

use interp_data::{Fit, Folder, Info, Interpolation};
use interp_net::{Meta, Normalization};
use serde::Deserialize;
use serde_json::{Value, json};

/// What a checkpoint's `config.json` says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    /// The architecture's name: `vgg16_bn`.
    pub(crate) architecture: String,
    /// What is subtracted and divided by, per channel.
    pub(crate) normalization: Normalization,
    /// How pictures are brought to their size.
    pub(crate) fit: Fit,
    /// Height and width in pixels.
    pub(crate) size: [usize; 2],
    /// The names of the classes, where it has them.
    pub(crate) classes: Vec<String>,
}

/// The least share of a scaled picture that is cut out, of a side.
const LEAST_SHARE: f64 = 0.25;

/// The part that is read. Older files have all of it at the top, newer ones in `pretrained_cfg`.
#[derive(Deserialize)]
struct Said {
    input_size: [usize; 3],
    mean: Vec<f32>,
    std: Vec<f32>,
    interpolation: String,
    crop_pct: f64,
    #[serde(default = "center")]
    crop_mode: String,
}

fn center() -> String {
    "center".into()
}

/// Networks that take larger pictures are not told from mistakes.
const LARGEST: usize = 4096;

impl Config {
    /// Reads the file's text; `None` where it is of no picture network of timm.
    ///
    /// # Errors
    /// What is missing in it, or cannot be had here.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, String> {
        let root: Value = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
        let Some(architecture) = root["architecture"].as_str() else { return Ok(None) };
        let inner = if root["pretrained_cfg"].is_object() { &root["pretrained_cfg"] } else { &root };
        let said = Said::deserialize(inner)
            .map_err(|error| format!("it does not say what pictures go through first ({error})"))?;
        let [channels, height, width] = said.input_size;
        if height != width || !(1..=LARGEST).contains(&height) || !matches!(channels, 1 | 3) {
            return Err(format!("pictures of {channels} channel(s) and {height}x{width} pixels are not read here"));
        }
        let normalization = Normalization { mean: said.mean.clone(), std: said.std.clone() };
        normalization.check(channels)?;
        let classes = root["label_names"].as_array().into_iter().flatten();
        let classes = classes.map(|name| name.as_str().unwrap_or_default().to_owned()).collect();
        let (architecture, fit) = (architecture.to_owned(), said.fit(height)?);
        Ok(Some(Self { architecture, normalization, fit, size: [height, width], classes }))
    }

    /// That of a network whose pictures are as `info` says, and brought to their size by `fit`.
    pub(crate) fn of(architecture: &str, info: &Info, fit: Fit) -> Self {
        let normalization = Normalization { mean: info.mean.clone(), std: info.std.clone() };
        let (size, classes) = ([info.height, info.width], info.classes.clone());
        Self { architecture: architecture.to_owned(), normalization, fit, size, classes }
    }

    /// That of a file of ours that says how its pictures are brought to their size.
    pub(crate) fn of_file(meta: &Meta) -> Option<Self> {
        let &[_, height, width] = meta.graph.shape(0) else { return None };
        let (normalization, classes) = (meta.normalization.clone(), meta.classes.clone());
        Some(Self { architecture: String::new(), normalization, fit: meta.fit?, size: [height, width], classes })
    }

    /// The file's text, as timm reads it, of a network with so many outputs.
    pub(crate) fn written(&self, outputs: usize) -> String {
        let [height, width] = self.size;
        let Normalization { mean, std } = &self.normalization;
        let crop = self.fit.resize.map_or(1.0, |resize| share(height, resize));
        let (head, first) = match self.architecture.starts_with("vgg") {
            true => ("head.fc", "features.0"),
            false => ("fc", "conv1"),
        };
        let own = json!({
            "input_size": [mean.len(), height, width], "interpolation": self.fit.interpolation, "crop_pct": crop,
            "crop_mode": "center", "mean": mean, "std": std, "num_classes": outputs, "classifier": head,
            "first_conv": first,
        });
        let mut all = json!({ "architecture": self.architecture, "num_classes": outputs, "pretrained_cfg": own });
        if !self.classes.is_empty() {
            all["label_names"] = json!(self.classes);
        }
        format!("{all:#}\n")
    }

    /// A folder of pictures, brought to their size as the network wants them.
    pub(crate) fn folder(&self, path: &str) -> Folder {
        let Normalization { mean, std } = self.normalization.clone();
        let Fit { resize, interpolation, .. } = self.fit;
        let size = self.size[0];
        Folder { path: path.into(), size, resize, interpolation, csv: None, mean: Some(mean), std: Some(std) }
    }
}

/// The share of which timm makes `resize` again: it rounds down.
fn share(size: usize, resize: u32) -> f64 {
    let exact = size as f64 / f64::from(resize);
    let is_read_back = (size as f64 / exact).floor() as u32 == resize;
    if is_read_back { exact } else { size as f64 / (f64::from(resize) + 0.25) }
}

impl Said {
    /// timm's: the shorter side is scaled to `size / crop_pct`, rounded down, and the middle cut out.
    fn fit(&self, size: usize) -> Result<Fit, String> {
        let interpolation = match self.interpolation.as_str() {
            "bilinear" => Interpolation::Bilinear,
            "bicubic" => Interpolation::Bicubic,
            other => return Err(format!("its interpolation `{other}` is neither bilinear nor bicubic")),
        };
        if self.crop_mode != "center" {
            return Err(format!("its crop mode `{}` is not `center`", self.crop_mode));
        }
        let share = self.crop_pct;
        if !(LEAST_SHARE..=1.0).contains(&share) {
            return Err(format!("its crop_pct {share} is not from {LEAST_SHARE} to 1"));
        }
        let resize = Some((size as f64 / share).floor() as u32);
        Ok(Fit { border: 0, resize, interpolation })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VGG: &str = r#"{"architecture": "vgg16_bn", "num_classes": 1000, "pretrained_cfg": {"tag": "tv_in1k",
        "input_size": [3, 224, 224], "interpolation": "bilinear", "crop_pct": 0.875, "crop_mode": "center",
        "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "classifier": "head.fc"}}"#;

    #[test]
    fn the_usual_numbers_are_read() {
        let config = Config::parse(VGG).unwrap().unwrap();
        assert_eq!((config.architecture.as_str(), config.size), ("vgg16_bn", [224, 224]));
        assert_eq!(config.fit, Fit { border: 0, resize: Some(256), interpolation: Interpolation::Bilinear });
        assert_eq!(config.normalization.mean, [0.485, 0.456, 0.406]);
        let older = VGG.replace("\"pretrained_cfg\": {", "").replacen("}}", "}", 1);
        assert_eq!(Config::parse(&older).unwrap().unwrap(), config);
    }

    #[test]
    fn what_is_written_is_read_back() {
        for (size, resize) in [(224, 256), (64, 93), (32, 93), (20, 29), (64, 99), (288, 288)] {
            let fit = Fit { border: 0, resize: Some(resize), interpolation: Interpolation::Bicubic };
            let config = Config { size: [size; 2], fit, ..Config::parse(VGG).unwrap().unwrap() };
            assert_eq!(Config::parse(&config.written(7)).unwrap().unwrap(), config);
            assert!(config.written(7).contains("\"num_classes\": 7") && !config.written(7).contains("label_names"));
        }
    }

    #[test]
    fn what_is_missing_or_cannot_be_had_is_told() {
        for (from, to, problem) in [
            ("\"mean\"", "\"maen\"", "missing field `mean`"),
            ("\"bilinear\"", "\"lanczos\"", "neither bilinear nor bicubic"),
            ("\"center\"", "\"squash\"", "crop mode `squash`"),
            ("0.875", "0.0", "crop_pct 0"),
            ("[3, 224, 224]", "[3, 224, 99999]", "224x99999"),
            ("0.229", "0.0", "std above 0"),
            ("{", "<html>{", "no JSON"),
        ] {
            let error = Config::parse(&VGG.replacen(from, to, 1)).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
        assert_eq!(Config::parse("{\"model_type\": \"bert\"}"), Ok(None));
    }
}
