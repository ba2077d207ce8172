//! Writes small networks of every kind for other programs, each with pictures and what it makes of them: benches/against_pytorch/exported.py
//! holds those programs against it.
//!
//!     cargo run --release -p interp-net --example exported -- FOLDER

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code)]
#[path = "../tests/networks/mod.rs"]
mod networks;

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use interp_net::names::Naming;
use interp_net::zoo::{self, Activation, Architecture, Module, Shortcut};
use interp_net::{Keep, Mode, NetError, Network, Normalization, Op, Role, export};
use networks::waves;

fn main() {
    let folder = std::env::args().nth(1).expect("a folder to write to");
    for (name, network) in all() {
        let network = network.to_dtype(DType::F32).unwrap();
        write(&Path::new(&folder).join(name), &network);
    }
}

/// Networks by name, with parameters that are all different from what a new layer has.
fn all() -> Vec<(&'static str, Network)> {
    let vgg = || zoo::Vgg { depth: 8, width: 0.25, ..zoo::Vgg::default() };
    let activated = |activation: Activation| zoo::Vgg { activation, winners: 3, ..vgg() };
    let resnet = |shortcut: Shortcut| zoo::ResNet { width: 0.5, shortcut, ..zoo::ResNet::default() };
    let plain = zoo::Vgg { batch_norm: false, first_kernel: 5, on_off: true, saliency: true, ..vgg() };
    let modules =
        vec![Module::Color, Module::Layout, Module::Texture, Module::Pattern, Module::Frequency, Module::Shape];
    let luminance = zoo::Additive { modules: vec![Module::Texture, Module::Learned], width: 0.25 };
    vec![
        ("vgg", of(&vgg())),
        ("vgg_plain", of(&plain)),
        ("vgg_soft_threshold", of(&activated(Activation::SoftThreshold))),
        ("vgg_shared_threshold", of(&zoo::Vgg { shared_threshold: true, ..activated(Activation::SoftThreshold) })),
        ("vgg_hard_threshold", of(&activated(Activation::HardThreshold))),
        ("vgg_firm_threshold", of(&activated(Activation::FirmThreshold))),
        ("vgg_k_winners", of(&activated(Activation::KWinners))),
        ("vgg_compact", compact(of(&vgg()))),
        ("resnet", of(&resnet(Shortcut::Pad))),
        ("resnet_projection", of(&resnet(Shortcut::Projection))),
        ("resnet_compact", compact(of(&resnet(Shortcut::Pad)))),
        ("bagnet", of(&zoo::BagNet { width: 0.5, ..zoo::BagNet::default() })),
        ("bcos_resnet", of(&zoo::BCosResNet { width: 0.5, ..zoo::BCosResNet::default() })),
        ("bcos_resnet_b", of(&zoo::BCosResNet { width: 0.25, b: 1.5, ..zoo::BCosResNet::default() })),
        ("additive", of(&zoo::Additive { modules, width: 0.25 })),
        ("additive_luminance", of(&luminance)),
        ("mixture", of(&zoo::Mixture { width: 0.5, top: 2, ..zoo::Mixture::default() })),
        ("autoencoder", of(&zoo::SoftAutoencoder { border: 4, ..zoo::SoftAutoencoder::default() })),
        ("vae", of(&zoo::Vae::default())),
        ("imagenet_resnet", of(&zoo::ImagenetResNet { depth: 50, ..zoo::ImagenetResNet::default() })),
        ("imagenet_vgg", of(&zoo::ImagenetVgg { width: 0.125, ..zoo::ImagenetVgg::default() })),
        ("squeezenet", of(&zoo::SqueezeNet::default())),
        ("branched", networks::branched()),
        ("decoder", networks::decoder()),
        ("flattened", networks::flattened()),
        ("linear_for_each_picture", networks::linear_for_each_picture()),
        ("mixed", networks::mixed()),
        ("attentive", networks::attentive()),
        ("prototypical", networks::prototypical()),
        ("coded", networks::coded()),
    ]
}

fn of(architecture: &dyn Architecture) -> Network {
    let mut network = Network::new(architecture.graph([3, 32, 32], 10).unwrap(), 1).unwrap();
    for position in 0..network.params.list().len() {
        let param = &network.params.list()[position];
        let (middle, spread) = match param.role {
            Role::Weight => continue,
            Role::Gain | Role::RunningVariance => (1.0, 0.5),
            Role::Threshold => (0.2, 0.15),
            Role::Bias | Role::Shift | Role::RunningMean => (0.0, 0.2),
        };
        let values = waves(param.value.dims(), 1.7 + position as f64).affine(spread, middle).unwrap();
        network.params.set(position, values.to_dtype(DType::F32).unwrap()).unwrap();
    }
    network
}

/// The network without a third of its channels, which are zero.
fn compact(mut network: Network) -> Network {
    for position in 0..network.params.list().len() {
        let param = &network.params.list()[position];
        let is_cut = |channel: usize| channel.is_multiple_of(3);
        let changed = |values: Vec<f32>, cut: f32| {
            let values =
                values.into_iter().enumerate().map(|(channel, value)| if is_cut(channel) { cut } else { value });
            Tensor::from_iter(values, &Device::Cpu).unwrap()
        };
        let value = match param.role {
            Role::Gain => changed(param.value.to_vec1().unwrap(), 0.0),
            Role::Shift => changed(param.value.to_vec1().unwrap(), -0.1),
            _ => continue,
        };
        network.params.set(position, value).unwrap();
    }
    let compact = network.compact().unwrap();
    assert!(!compact.cuts.is_empty());
    compact.network
}

/// Pictures of slow and fast waves, with values from 0.05 to 0.95.
fn pictures([channels, height, width]: [usize; 3]) -> Tensor {
    let steps = [0.0023, 0.017, 0.37, 1.9];
    let pictures = steps.map(|step| waves(&[1, channels, height, width], step));
    Tensor::cat(&pictures, 0).unwrap().affine(0.45, 0.5).unwrap().to_dtype(DType::F32).unwrap()
}

fn write(folder: &Path, network: &Network) {
    fs::create_dir_all(folder).unwrap();
    let put = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).unwrap();
    let Op::Input { channels, height, width } = network.graph.nodes()[0].op else { panic!("no input") };
    let normalization = Normalization { mean: vec![0.4, 0.5, 0.6][..channels].into(), std: vec![0.25; channels] };
    put("model.py", export::pytorch(&network.graph, Some(&normalization)).unwrap().as_bytes());
    put("model.pth", &export::pth(network, Naming::Torchvision).unwrap());
    put("model.safetensors", &export::safetensors(network, Naming::Torchvision).unwrap());
    match export::onnx(network, Some(&normalization)) {
        Ok(model) => put("model.onnx", &model),
        Err(error @ NetError::NoForm { .. }) => put("no_onnx.txt", error.to_string().as_bytes()),
        Err(error) => panic!("{error}"),
    }
    let pictures = pictures([channels, height, width]);
    let tape = network.forward(&pictures, Mode::Eval, &Keep::Output).unwrap();
    let output = tape.output(&network.graph).unwrap().contiguous().unwrap();
    let tensors = HashMap::from([("pictures", pictures), ("output", output)]);
    candle_core::safetensors::save(&tensors, folder.join("seen.safetensors")).unwrap();
}
