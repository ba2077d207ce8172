//! Whether a network decides by the object of a picture, or by what is around it.

use interp_data::Batch;
use interp_net::ops::scalars::largest;
use interp_net::ops::scalars::log_softmax;
use interp_net::{Keep, Mode, Network};
use rayon::prelude::*;

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
    /// The object in front of the mean color of what is around it.
    pub flat: Part,
    /// The object in front of the mean color of what is around that of the next picture; of the last of 256 the first of these is next.
    pub swapped: Part,
    /// How much of the probability goes to other classes when the color around the object is the next picture's in place of its own: half of the sum of all
    /// differences between the last two (their total variation distance), 0 to 1.
    pub moved: f64,
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
        let shown = |batch: &Batch| -> Result<Vec<Vec<f64>>> {
            let tape = net.forward(&images(net, batch)?, Mode::Eval, &Keep::Output)?;
            let rows = finite_rows(net, net.graph.output(), tape.output(&net.graph)?)?;
            Ok(rows.iter().map(|logits| probabilities(logits)).collect())
        };
        let wholes = finite_rows(net, net.graph.output(), sample.tape.output(&net.graph)?)?;
        let wholes: Vec<Vec<f64>> = wholes.iter().map(|logits| probabilities(logits)).collect();
        let (objects, contexts) = (shown(&parts(batch, masks, Rest::Mean))?, shown(&parts(batch, masks, Rest::Alone))?);
        let (flats, swapped) = (shown(&parts(batch, masks, Rest::Own))?, shown(&parts(batch, masks, Rest::Next))?);
        for (at, whole) in wholes.iter().enumerate() {
            let part = |found: &[f64]| Part { class: largest(found), probability: found[largest(whole)] };
            let differences = flats[at].iter().zip(&swapped[at]).map(|(flat, swapped)| (flat - swapped).abs());
            found.push(Parts {
                index: batch.indices[at],
                label: batch.labels[at] as usize,
                whole: part(whole),
                object: part(&objects[at]),
                context: part(&contexts[at]),
                flat: part(&flats[at]),
                swapped: part(&swapped[at]),
                moved: differences.sum::<f64>() / 2.0,
            });
        }
        Ok(())
    })?;
    Ok(found)
}

fn probabilities(logits: &[f64]) -> Vec<f64> {
    log_softmax(logits.iter().copied(), 1.0).into_iter().map(f64::exp).collect()
}

/// What is seen around an object.
#[derive(Clone, Copy, PartialEq)]
enum Rest {
    /// The mean of the data.
    Mean,
    /// The mean color of what is there.
    Own,
    /// That of the next picture.
    Next,
    /// What is there; its mean color takes the object's place.
    Alone,
}

/// A batch of pictures, (H, W, C) and normalized, of which the object or the rest alone is kept.
fn parts(batch: &Batch, masks: &[f32], rest: Rest) -> Batch {
    let count = batch.labels.len().max(1);
    let (pixels, values) = ((masks.len() / count).max(1), (batch.images.len() / count).max(1));
    let channels = values / pixels;
    let colors: Vec<Vec<f32>> = match rest {
        Rest::Mean => vec![vec![0.0; channels]; count],
        _ => batch.images.chunks_exact(values).zip(masks.chunks_exact(pixels)).map(|(p, m)| around(p, m)).collect(),
    };
    let mut changed = batch.clone();
    let pictures = changed.images.par_chunks_exact_mut(values).zip(masks.par_chunks_exact(pixels));
    pictures.enumerate().for_each(|(at, (picture, mask))| {
        let color = &colors[if rest == Rest::Next { (at + 1) % colors.len() } else { at }];
        for (pixel, &mask) in picture.chunks_exact_mut(channels.max(1)).zip(mask) {
            let kept = if rest == Rest::Alone { 1.0 - mask } else { mask };
            pixel.iter_mut().zip(color).for_each(|(value, color)| *value = kept * *value + (1.0 - kept) * color);
        }
    });
    changed
}

/// The mean color of what is not in the mask; the mean of the data, where nothing is.
fn around(picture: &[f32], mask: &[f32]) -> Vec<f32> {
    let channels = (picture.len() / mask.len().max(1)).max(1);
    let all: f32 = mask.iter().map(|mask| 1.0 - mask).sum();
    let mut color = vec![0.0; channels];
    for (pixel, mask) in picture.chunks_exact(channels).zip(mask).filter(|_| all > 0.0) {
        color.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += (1.0 - mask) * value / all);
    }
    color
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use candle_core::{Device, Tensor};
    use interp_data::{Dataset, Info, Mask, Split, Truth};
    use interp_net::{Graph, Op, Role};

    use super::*;

    // Two pictures of three pixels of two channels; the object is the first pixel and a half of the second.
    #[test]
    fn parts_by_hand() {
        let images = vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.0, 0.0, 0.0, 0.0, 9.0, 3.0];
        let (batch, masks) =
            (Batch { images, labels: vec![0; 2], indices: vec![0, 1], masks: None }, [1.0, 0.5, 0.0].repeat(2));
        let first = |rest| parts(&batch, &masks, rest).images[..6].to_vec();
        // Around the first object are a half of its second pixel and the third; around the other 6 and 2 on average.
        let own = [(1.5 + 5.0) / 1.5, (2.0 + 6.0) / 1.5];
        assert_eq!(first(Rest::Mean), [1.0, 2.0, 1.5, 2.0, 0.0, 0.0]);
        for (rest, expected) in [
            (Rest::Own, [1.0, 2.0, 1.5 + own[0] / 2.0, 2.0 + own[1] / 2.0, own[0], own[1]]),
            (Rest::Next, [1.0, 2.0, 4.5, 3.0, 6.0, 2.0]),
            (Rest::Alone, [own[0], own[1], 1.5 + own[0] / 2.0, 2.0 + own[1] / 2.0, 5.0, 6.0]),
        ] {
            let found = first(rest);
            assert!(
                found.iter().zip(expected).all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-5),
                "{found:?}, not {expected:?}"
            );
        }
    }

    /// One pixel of object, 1, beside one of context, -1; and the same beside 3.
    struct Two(Info);

    impl Dataset for Two {
        fn info(&self) -> &Info {
            &self.0
        }

        fn len(&self, _: Split) -> usize {
            2
        }

        fn label(&self, _: Split, _: usize) -> u32 {
            1
        }

        fn image(&self, _: Split, index: usize, out: &mut [f32]) -> interp_data::Result<()> {
            out.copy_from_slice(&[1.0, [-1.0, 3.0][index]]);
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
        // With the other's 3 around it the class is the other one; its own color is what it was.
        assert!(found.flat == found.whole && found.swapped.class == 0);
        assert!((found.moved - (sigmoid(4.0) - sigmoid(-12.0))).abs() < 1e-6, "{}", found.moved);
        assert_eq!(bias(4.0, 0.0).moved, 0.0);
    }
}
