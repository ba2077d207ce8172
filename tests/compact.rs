use candle_core::{Device, Tensor};
use interp::net::finding::{Claim, Indices, Quantity, Relation};
use interp::net::zoo::{Architecture, Vgg};
use interp::net::{Checkpoint, Keep, Meta, Mode, Network, Normalization, Role};

use crate::common::{program, run};

/// A file with a network of 10 classes, of which two channels of the first layer have gain 0 and a shift below it.
fn slim(at: &std::path::Path) {
    let graph = Vgg { depth: 8, width: 0.125, ..Vgg::default() }.graph([3, 32, 32], 10).unwrap();
    let mut net = Network::new(graph, 0).unwrap();
    for (role, value) in [(Role::Gain, 0.0), (Role::Shift, -0.1)] {
        let position = net.params.position(net.graph.id("features.1").unwrap(), role).unwrap();
        let mut values = net.params.list()[position].value.to_vec1::<f32>().unwrap();
        values[1..3].fill(value);
        net.params.set(position, Tensor::new(values, &Device::Cpu).unwrap()).unwrap();
    }
    let normalization = Normalization { mean: vec![0.5; 3], std: vec![0.25; 3] };
    let classes = (0..10).map(|class| class.to_string()).collect();
    let claim = |quantity, bound| Claim {
        quantity,
        nodes: vec!["features.0".into()],
        scope: "features.0".into(),
        relation: Relation::AtMost,
        bound,
    };
    let mut meta = Meta::new(net.graph.clone(), classes, normalization);
    let few = |list: &[usize]| Indices::try_from(list.to_vec()).unwrap();
    let slope = Quantity::Slope { outputs: few(&[0]), rises: few(&[3]), falls: few(&[]) };
    let removable = claim(Quantity::RemovableChannels, 0.5);
    // Channel 3 of the first layer is another one afterwards; that of the last is not.
    let last = Claim { nodes: vec!["avgpool".into()], ..claim(slope, 10.0) };
    meta.claims = vec![removable, claim(Quantity::FieldSize, 3.0), claim(slope, 10.0), last];
    Checkpoint::write(at, &net.params, &meta).unwrap();
}

#[test]
fn a_compact_file_is_smaller_and_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    slim(&folder.path().join("slim.safetensors"));
    let compact = |more: &[&str]| {
        run(program("interp-train", folder.path()).args([&["compact", "slim.safetensors"], more].concat()))
    };
    let (status, stdout, stderr) = compact(&["--dry-run"]);
    assert_eq!(status, 0, "{stderr}");
    // Filters of 3 x 3 x 3; 32 x 32 positions each.
    let line = stdout.lines().find(|line| line.starts_with("features.0 ")).unwrap().split_whitespace();
    assert_eq!(line.collect::<Vec<_>>(), ["features.0", "8", "6", "216", "162", "221,184", "165,888"], "{stdout}");
    assert!(stdout.contains("batch of 64"), "{stdout}");
    assert!(!folder.path().join("compact.safetensors").exists());
    let (status, stdout, _) = compact(&[]);
    let gone: Vec<&str> = stdout.lines().filter(|line| line.contains("channels that are gone")).collect();
    assert_eq!((status, gone.len()), (0, 2), "{stdout}");
    assert!(gone[0].contains("can be cut out") && gone[1].contains("least slope"), "{stdout}");
    let (status, _, stderr) = compact(&[]);
    assert!(status == 2 && stderr.contains("--overwrite"), "{stderr}");
    let read = |name: &str| {
        let path = folder.path().join(name);
        Checkpoint::read(&path).unwrap().network(&path, None, [32, 32]).unwrap()
    };
    let meta = Checkpoint::read(&folder.path().join("compact.safetensors")).unwrap().meta.unwrap();
    let left = meta.claims.iter().map(|claim| (claim.quantity.show(claim.bound), claim.nodes[0].as_str()));
    assert_eq!(left.collect::<Vec<_>>(), [("3".into(), "features.0"), ("1.0e1".into(), "avgpool")]);
    assert_eq!(meta.edits, ["channels without effect were cut out"]);
    let (status, stdout, _) = run(program("interp-audit", folder.path()).args(["claims", "compact.safetensors"]));
    assert!(status == 0 && stdout.contains("≤ 3: 3, holds"), "{stdout}");
    let (large, small) = (read("slim.safetensors"), read("compact.safetensors"));
    assert!(small.parameters() < large.parameters());
    let numbers: Vec<f32> = (0..2 * 3 * 32 * 32).map(|i| (i as f32 * 0.37).sin()).collect();
    let x = Tensor::from_vec(numbers, (2, 3, 32, 32), &Device::Cpu).unwrap();
    let [a, b] = [&large, &small].map(|net| {
        let tape = net.forward(&x, Mode::Eval, &Keep::Output).unwrap();
        tape.output(&net.graph).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
    });
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-5), "{a:?} {b:?}");
    let (status, stdout, _) =
        run(program("interp-train", folder.path()).args(["compact", "compact.safetensors", "--dry-run"]));
    assert!(status == 0 && stdout.contains("nothing to cut"), "{stdout}");
}
