//! What the gradient is of.

use super::*;

// With logits of ln 2, three of them, each class has the probability 1/2 for itself: biases go down by half of the rate each, and up
// by the rate times how often theirs is the label; -0.1 (3/2 - 1) together. A softmax would leave their sum.
#[test]
fn a_yes_or_no_for_each_class() {
    let mut net = network(false);
    let [weight, bias] = [Role::Weight, Role::Bias].map(|role| position(&net, "head", role));
    net.params.set(weight, net.params.list()[weight].value.zeros_like().unwrap()).unwrap();
    net.params.set(bias, Tensor::new(&[std::f32::consts::LN_2; 3], &Device::Cpu).unwrap()).unwrap();
    let binary = Train { loss: ClassLoss::Binary, ..two_steps() };
    let (path, _) = train(&binary, net, &[]);
    let sum = |step: usize| path[step][bias].iter().sum::<f32>();
    assert!((sum(1) - sum(0) + 0.05).abs() < 1e-6, "{}", sum(1) - sum(0));
}

/// One step of plain descent at rate 0.1 on all pictures, from a head that gives its bias whatever it sees: how
/// the bias moved, and what was the gradient's mean over pictures, `weight(y) (softmax(bias) - target(y))`.
fn step_of_the_bias(settings: &Train, weights: Option<&[f64]>, target: impl Fn(usize, usize) -> f64) -> [Vec<f32>; 2] {
    let mut net = network(false);
    let [weight, bias] = [Role::Weight, Role::Bias].map(|role| position(&net, "head", role));
    net.params.set(weight, net.params.list()[weight].value.zeros_like().unwrap()).unwrap();
    let meets = |_: &Network| Ok(true);
    let task = Task { class_weights: weights, ..task(settings, &[], &meets) };
    let labels: Vec<usize> =
        (0..task.data.len(Split::Train)).map(|i| task.data.label(Split::Train, i) as usize).collect();
    let mut trainer = Trainer::new(net, &task).unwrap();
    let before = values(&trainer.network.params)[bias].clone();
    fit(&task, &mut trainer, &mut |_, _| Ok(Flow::Continue)).unwrap();
    let after = values(&trainer.network.params)[bias].clone();
    let moved = after.iter().zip(&before).map(|(after, before)| after - before);
    let powers: Vec<f64> = before.iter().map(|&b| f64::from(b).exp()).collect();
    let weight = |label: usize| weights.map_or(1.0, |weights| weights[label]);
    let all: f64 = labels.iter().map(|&label| weight(label)).sum();
    let gradient = |class: usize| {
        let softmax = powers[class] / powers.iter().sum::<f64>();
        labels.iter().map(|&label| weight(label) * (softmax - target(label, class))).sum::<f64>() / all
    };
    [moved.collect(), (0..3).map(|class| (-0.1 * gradient(class)) as f32).collect()]
}

fn hot(label: usize, class: usize) -> f64 {
    f64::from(u8::from(label == class))
}

#[test]
fn smoothed_labels_are_spread_over_all_classes() {
    let settings = Train { label_smoothing: 0.3, ..one_step() };
    let [moved, expected] = step_of_the_bias(&settings, None, |label, class| 0.7 * hot(label, class) + 0.1);
    close(&moved, &expected, 1e-7);
}

#[test]
fn classes_weigh_in_the_loss_as_they_are_told_to() {
    let [moved, expected] = step_of_the_bias(&one_step(), Some(&[0.5, 3.0, 1.0]), hot);
    close(&moved, &expected, 1e-7);
}
