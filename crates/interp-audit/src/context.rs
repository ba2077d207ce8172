//! Whether a network decides by the object of a picture, or by what is around it.

use interp_data::Batch;
use interp_net::{Keep, Mode, Network};
use rayon::prelude::*;

use crate::answers::log_softmax;
use crate::contributions::largest;
use crate::pass::{Pass, finite_rows, images};
use crate::{Pictures, Result};

/// What a network makes of one part of a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// The class that it takes it for.
    pub class: usize,
    /// The probability of the class that it takes the whole picture for.
    pub probability: f64,
}

/// A picture, and its parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parts {
    /// Its position in the split.
    pub index: usize,
    /// Its label.
    pub label: usize,
    /// All of it.
    pub whole: Part,
    /// The object alone, with the mean color of the data around it.
    pub object: Part,
    /// What is around the object alone, whose mean color takes the object's place.
    pub context: Part,
}

impl Parts {
    /// `p(context) / (p(context) + p(object))`, with the probabilities of the class that the whole picture is taken for: 0 where the object alone speaks
    /// for it, 1 where what is around it alone does.
    pub fn bias(&self) -> f64 {
        let [object, context] = [self.object.probability, self.context.probability];
        // Both are 0 where neither is anything to the network.
        if object + context > 0.0 { context / (object + context) } else { 0.5 }
    }
}

/// Shows a network all pictures, the object of each alone, and what is around it alone (context bias; with the background swapped, Xiao et al. 2021,
/// arXiv 2006.09994, section 3).
///
/// # Errors
/// If the data set does not know where objects are, pictures cannot be had or do not fit the network, or a logit is no finite number.
pub fn context(net: &Network, pictures: &Pictures) -> Result<Vec<Parts>> {
    let mut found = vec![];
    let pass = Pass { masks: true, ..Pass::keeping(Keep::Output) };
    pass.over(net, pictures, |sample| {
        let batch = sample.batch;
        let Some(masks) = &batch.masks else { return Ok(()) };
        let logits = |batch: &Batch| -> Result<Vec<Vec<f64>>> {
            let tape = net.forward(&images(net, batch)?, Mode::Eval, &Keep::Output)?;
            finite_rows(net, net.graph.output(), tape.output(&net.graph)?)
        };
        let wholes = finite_rows(net, net.graph.output(), sample.tape.output(&net.graph)?)?;
        let objects = logits(&with(batch, masks, |pixels, mask| keep(pixels, mask, false)))?;
        let contexts = logits(&with(batch, masks, |pixels, mask| keep(pixels, mask, true)))?;
        for (at, ((whole, object), context)) in wholes.iter().zip(&objects).zip(&contexts).enumerate() {
            let class = largest(whole);
            let part = |logits: &Vec<f64>| Part {
                class: largest(logits),
                probability: log_softmax(logits.iter().copied(), 1.0)[class].exp(),
            };
            let (index, label) = (batch.indices[at], batch.labels[at] as usize);
            found.push(Parts { index, label, whole: part(whole), object: part(object), context: part(context) });
        }
        Ok(())
    })?;
    Ok(found)
}

/// A batch whose pictures, (H, W, C) and normalized, are changed by their masks.
fn with(batch: &Batch, masks: &[f32], change: impl Fn(&mut [f32], &[f32]) + Sync) -> Batch {
    let mut changed = batch.clone();
    let count = batch.labels.len().max(1);
    let pictures = changed.images.par_chunks_exact_mut((batch.images.len() / count).max(1));
    pictures
        .zip(masks.par_chunks_exact((masks.len() / count).max(1)))
        .for_each(|(picture, mask)| change(picture, mask));
    changed
}

/// Keeps of a picture what is in the mask, or what is not; the rest becomes the mean of the data, which is 0, or of what is kept.
fn keep(picture: &mut [f32], mask: &[f32], around: bool) {
    let channels = picture.len() / mask.len().max(1);
    let part = |mask: f32| if around { 1.0 - mask } else { mask };
    let all: f32 = mask.iter().map(|&mask| part(mask)).sum();
    let mut color = vec![0.0; channels];
    if around && all > 0.0 {
        for (pixel, &mask) in picture.chunks_exact(channels.max(1)).zip(mask) {
            color.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += part(mask) * value / all);
        }
    }
    for (pixel, &mask) in picture.chunks_exact_mut(channels.max(1)).zip(mask) {
        let kept = part(mask);
        pixel.iter_mut().zip(&color).for_each(|(value, color)| *value = kept * *value + (1.0 - kept) * color);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use candle_core::{Device, Tensor};
    use interp_data::{Dataset, Info, Mask, Split, Truth};
    use interp_net::{Graph, Op, Role};

    use super::*;

    #[test]
    fn parts_by_hand() {
        let (picture, mask) = (vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 0.5, 0.0]);
        let kept = |around| {
            let mut picture = picture.clone();
            keep(&mut picture, &mask, around);
            picture
        };
        assert_eq!(kept(false), [1.0, 2.0, 1.5, 2.0, 0.0, 0.0]);
        // Around it are a half of the second pixel and the third: of the means 13/3 and 16/3.
        let mean = [(1.5 + 5.0) / 1.5, (2.0 + 6.0) / 1.5];
        let expected = [mean[0], mean[1], 1.5 + mean[0] / 2.0, 2.0 + mean[1] / 2.0, 5.0, 6.0];
        assert!(kept(true).iter().zip(expected).all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6), "{:?}", kept(true));
    }

    /// One pixel of object, 1, beside one of context, -1.
    struct Two(Info);

    impl Dataset for Two {
        fn info(&self) -> &Info {
            &self.0
        }

        fn len(&self, _: Split) -> usize {
            1
        }

        fn label(&self, _: Split, _: usize) -> u32 {
            1
        }

        fn image(&self, _: Split, _: usize, out: &mut [f32]) -> interp_data::Result<()> {
            out.copy_from_slice(&[1.0, -1.0]);
            Ok(())
        }

        fn truth(&self, _: Split, _: usize) -> interp_data::Result<Option<Truth>> {
            let object = Some(Mask { height: 1, width: 2, coverage: vec![255, 0] });
            Ok(Some(Truth { factors: vec![], object, concepts: vec![] }))
        }
    }

    /// Logits of two classes: nothing, and a times the object's pixel less b times the other.
    fn bias(a: f32, b: f32) -> Parts {
        let mut graph = Graph::new(1, 1, 2).unwrap();
        let linear = graph.then("linear", Op::Linear { out_features: 2, bias: true }).unwrap();
        let mut net = Network::new(graph, 0).unwrap();
        for (role, values, shape) in
            [(Role::Weight, vec![0.0, 0.0, a, -b], vec![2, 2]), (Role::Bias, vec![0.0; 2], vec![2])]
        {
            let position = net.params.position(linear, role).unwrap();
            net.params.set(position, Tensor::from_vec(values, shape, &Device::Cpu).unwrap()).unwrap();
        }
        let (mean, std) = (vec![0.0], vec![1.0]);
        let info = Info {
            name: "two".into(),
            classes: vec!["a".into(), "b".into()],
            channels: 1,
            height: 1,
            width: 2,
            mean,
            std,
        };
        let pictures = Pictures { data: Arc::new(Two(info)), split: Split::Test, noise: None, workers: 0 };
        context(&net, &pictures).unwrap()[0]
    }

    // The object alone gives logits 0 and a; what is around it, in the object's place too, -(a) + b.
    #[test]
    fn a_network_that_reads_one_part_has_the_bias_of_its_softmax() {
        let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp());
        let found = bias(4.0, 0.0);
        assert!((found.whole.probability - sigmoid(4.0)).abs() < 1e-6 && found.whole.class == 1);
        assert!((found.object.probability - sigmoid(4.0)).abs() < 1e-6);
        assert!((found.context.probability - sigmoid(-4.0)).abs() < 1e-6 && found.context.class == 0);
        assert!((found.bias() - sigmoid(-4.0) / (sigmoid(4.0) + sigmoid(-4.0))).abs() < 1e-6);
        let found = bias(0.0, 4.0);
        assert!(
            (found.object.probability - 0.5).abs() < 1e-6 && (found.context.probability - sigmoid(4.0)).abs() < 1e-6
        );
        assert!(found.bias() > 0.6);
    }
}
