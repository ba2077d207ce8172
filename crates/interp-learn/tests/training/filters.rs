//! Priors that give filters a place and a class of their own.

use super::*;

/// Pictures of 8x8 pixels: one of three signs of 3x3 pixels, bright or dark, each a class, somewhere in noise.
struct Signs(Info);

/// The pixels of a sign, in a square of 3x3.
const SIGNS: [&[usize]; 3] = [&[3, 4, 5], &[1, 4, 7], &[0, 4, 8]];

const CLASSES: usize = 6;

impl Signs {
    fn divided() -> Divided {
        let signs = ["bar", "post", "slope"];
        let classes = ["bright", "dark"].iter().flat_map(|tone| signs.map(|sign| format!("{tone} {sign}"))).collect();
        let (mean, std) = (vec![0.5], vec![0.25]);
        let info = Info { name: "signs".into(), classes, channels: 1, height: 8, width: 8, mean, std };
        Divided::new(Arc::new(Self(info)), &Divide::default()).unwrap()
    }
}

impl Dataset for Signs {
    fn info(&self) -> &Info {
        &self.0
    }

    fn len(&self, split: Split) -> usize {
        if split == Split::Train { 240 } else { 60 }
    }

    fn label(&self, _split: Split, index: usize) -> u32 {
        (index % CLASSES) as u32
    }

    fn image(&self, split: Split, index: usize, out: &mut [f32]) -> Result<(), DataError> {
        let draw = |i: usize| ((i + 100 * index + 100_000 * split as usize) as f64 * 0.618_033_988_749_895).fract();
        out.iter_mut().enumerate().for_each(|(i, value)| *value = 0.3 + 0.4 * draw(i * i) as f32);
        let [row, column] = [1, 2].map(|which| (6.0 * (draw(70 + which) * 89.0).fract()) as usize);
        let pixel = |&at: &usize| (row + at / 3) * 8 + column + at % 3;
        let tone = if index % CLASSES < 3 { 1.0 } else { 0.0 };
        SIGNS[index % 3].iter().map(pixel).for_each(|at| out[at] = tone);
        Ok(())
    }
}

fn signs() -> Network {
    let mut graph = Graph::new(1, 8, 8).unwrap();
    graph.then("conv", Op::conv(8, 3, 1, 1, false)).unwrap();
    graph.then("norm", Op::batch_norm()).unwrap();
    graph.then("relu", Op::Relu).unwrap();
    graph.then("conv2", Op::conv(12, 3, 1, 1, false)).unwrap();
    graph.then("norm2", Op::batch_norm()).unwrap();
    graph.then("relu2", Op::Relu).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    graph.then("head", Op::Linear { out_features: CLASSES, bias: true }).unwrap();
    Network::new(graph, 5).unwrap()
}

/// The network after the last step.
fn last(priors: &[Steering]) -> Network {
    let settings = Train { batch: 60, phase: vec![phase(80, 0.2)], ..two_steps() };
    let meets = |_: &Network| Ok(true);
    let task = Task { data: Arc::new(Signs::divided().learning()), ..task(&settings, priors, &meets) };
    let mut trainer = Trainer::new(signs(), &task).unwrap();
    fit(&task, &mut trainer, &mut |_, _| Ok(Flow::Continue)).unwrap();
    trainer.network
}

/// What the maps of the last layer are for pictures to be judged by: by picture and filter, cells.
fn maps(net: &Network) -> Vec<Vec<Vec<f32>>> {
    let data = Signs::divided().examining();
    let mut pictures = vec![0.0; 60 * 64];
    pictures.chunks_mut(64).enumerate().for_each(|(i, out)| data.image(Split::Test, i, out).unwrap());
    pictures.iter_mut().for_each(|value| *value = (*value - 0.5) / 0.25);
    let x = Tensor::from_vec(pictures, (60, 1, 8, 8), &Device::Cpu).unwrap();
    let tape = net.forward(&x, Mode::Eval, &Keep::All).unwrap();
    let output: Vec<Vec<f32>> = tape.output(&net.graph).unwrap().to_vec2().unwrap();
    let right = output.iter().enumerate().filter(|(i, row)| (0..CLASSES).all(|k| row[k] <= row[i % CLASSES])).count();
    assert!(right > 50, "{right} of 60 are right");
    tape.get(&net.graph, "relu2").unwrap().flatten_from(2).unwrap().to_vec3().unwrap()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    values.iter().sum::<f64>() / values.len() as f64
}

/// The mean over filters of the share of their activation that is in the largest cell of a picture and its four neighbors: of 8x8
/// cells no other is nearer to it than a quarter of the map.
fn near_peaks(net: &Network) -> f64 {
    let maps = maps(net);
    let near = |map: &[f32]| {
        let peak = (0..64).max_by(|&a, &b| map[a].total_cmp(&map[b])).unwrap();
        let steps = |cell: usize| (cell / 8).abs_diff(peak / 8) + (cell % 8).abs_diff(peak % 8);
        (0..64).filter(|&cell| steps(cell) <= 1).map(|cell| map[cell]).sum::<f32>()
    };
    let share = |filter: usize| {
        let all: f32 = maps.iter().flat_map(|picture| &picture[filter]).sum();
        (all > 0.0).then(|| f64::from(maps.iter().map(|picture| near(&picture[filter])).sum::<f32>() / all))
    };
    mean((0..12).filter_map(share))
}

/// The mean over channels of the share of the class that they speak for most.
fn of_one_class(net: &Network) -> f64 {
    let (maps, head) = (maps(net), &values(&net.params)[position(net, "head", Role::Weight)]);
    let share = |channel: usize| {
        let center = mean((0..CLASSES).map(|class| f64::from(head[class * 12 + channel])));
        let of_class = |class: usize| {
            let own =
                maps.iter().skip(class).step_by(CLASSES).map(|picture| f64::from(picture[channel].iter().sum::<f32>()));
            f64::max(mean(own) * (f64::from(head[class * 12 + channel]) - center), 0.0)
        };
        let classes: Vec<f64> = (0..CLASSES).map(of_class).collect();
        let sum: f64 = classes.iter().sum();
        (sum > 0.0).then(|| classes.into_iter().fold(0.0, f64::max) / sum)
    };
    mean((0..12).filter_map(share))
}

#[test]
fn filters_answer_in_one_place() {
    let prior = |by_class| PartFilters { strength: 0.1, target: 0.55, reached_at: 0.6, by_class };
    let found = |by_class| near_peaks(&last(&[steering(&signs(), "parts", prior(by_class), "relu2")]));
    let (without, with) = (near_peaks(&last(&[])), [true, false].map(found));
    assert!(without < 0.45 && with.iter().all(|&near| near >= 0.55), "{without}, {with:?}");
}

#[test]
fn channels_speak_for_one_class() {
    let prior = ClassFilters { strength: 1.0, target: 0.8 };
    let (without, with) =
        (of_one_class(&last(&[])), of_one_class(&last(&[steering(&signs(), "classes", prior, "head")])));
    assert!(without < 0.77 && with >= 0.8, "{without}, {with}");
}
