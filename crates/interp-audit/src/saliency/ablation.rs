//! Ablation-CAM.

use candle_core::{Device, Tensor};
use interp_net::finding::{Entry, build};
use interp_net::{Keep, Mode, NetError};

use super::class_activation::{channels_last, weighed};
use super::question::column_of;
use super::{Attribution, Channels, Method, NoSettings, Question};
use crate::Result;

/// A layer's maps, each weighed by the share of the output that is lost without it: with 0 in its place (Desai and Ramaswamy 2020,
/// "Ablation-CAM", equation 5). Only what comes after the layer runs again.
struct AblationCam;

pub(super) const ENTRY: Entry<dyn Method> = Entry {
    name: "ablation_cam",
    summary: "a layer's maps, each weighed by the share of the output that is lost without it",
    example: "kind = \"ablation_cam\"\n",
    build: |section| build(section, |NoSettings {}| Box::new(AblationCam)),
    schema: || schemars::schema_for!(NoSettings),
};

impl Method for AblationCam {
    fn attribute(&self, question: &Question<'_>) -> Result<Attribution> {
        let (net, layer) = (question.net, question.layer);
        let values = question.in_parts(1, |first, x, _| {
            let tape = net.run_to(x, layer, Mode::Eval, &Keep::Output)?;
            let maps = channels_last(tape.at(&net.graph, layer)?)?; // (N, h, w, C)
            let of = |at: usize| of_picture(question, first + at, &maps.narrow(0, at, 1)?);
            Ok(Tensor::cat(&(0..x.dim(0)?).map(of).collect::<Result<Vec<_>>>()?, 0)?)
        })?;
        Ok(Attribution::of(values, Channels::Sum))
    }
}

/// Of maps (1, h, w, C).
fn of_picture(question: &Question<'_>, at: usize, maps: &Tensor) -> Result<Tensor> {
    let (channels, target) = (maps.dim(3)?, question.targets[at]);
    // The first has all maps, each other lacks one.
    let mut scores = Vec::with_capacity(channels + 1);
    // Where a path leads around the layer two passes are kept.
    for part in question.parts(channels + 1, 2) {
        let count = part.len();
        let kept = |(row, channel): (usize, usize)| f64::from(u8::from(row != channel + 1));
        let rows = part.flat_map(|row| (0..channels).map(move |channel| (row, channel)));
        let kept = Tensor::from_vec(rows.map(kept).collect::<Vec<_>>(), (count, 1, 1, channels), &Device::Cpu)?;
        let without = maps.broadcast_mul(&question.like(kept)?)?.permute((0, 3, 1, 2))?;
        scores.extend(column_of(&outputs(question, at, &without)?, target)?);
    }
    let whole = scores[0];
    // What is lost speaks for the output, whatever its sign; of an output of nothing there are no shares.
    let share = |without: &f64| if whole == 0.0 { whole - without } else { (whole - without) / whole.abs() };
    let weights: Vec<f64> = scores[1..].iter().map(share).collect();
    weighed(maps, &question.like(Tensor::from_vec(weights, (1, channels), &Device::Cpu)?)?)
}

/// The outputs for picture number `at` where its maps are `maps`, (n, C, h, w).
fn outputs(question: &Question<'_>, at: usize, maps: &Tensor) -> Result<Tensor> {
    let net = question.net;
    let tape = match net.run_from(question.layer, maps, Mode::Eval, &Keep::Output) {
        // A path leads around the layer: what comes along it is that of the picture.
        Err(NetError::NotKept(_)) => {
            let picture = question.pictures.narrow(0, at, 1)?;
            let copies = picture.repeat((maps.dim(0)?, 1, 1, 1))?;
            net.rerun(&net.forward(&copies, Mode::Eval, &Keep::All)?, question.layer, maps)?
        }
        other => other?,
    };
    Ok(tape.output(&net.graph)?.clone())
}
