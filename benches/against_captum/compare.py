"""Our saliency against captum's and pytorch-grad-cam's: the same weights and pictures, what is said and how fast.

    python benches/against_captum/compare.py --audit target/release/interp-audit --data cifar10:DIR \\
        --net resnet20=FILE --net resnet56=FILE --net vgg=RUN/model.safetensors [--count 64] [--times]

Runs in an environment with PyTorch, captum and pytorch-grad-cam. For every network and method that one of the two has, a line tells how far
we are from it: each picture's largest difference over its largest number, in f32 its median and 99th percentile over pictures, in f64 its
maximum; and, for comparison, the same median and percentile of the peer itself, its f32 from its own f64. With --times also pictures per
second on 2 threads, ours over theirs, with batches of --count pictures, as the median of three (--rounds).

Where definitions differ, theirs are asked for as ours are: batch norms are folded for captum's relevance, which has no rule for them;
pytorch-grad-cam's maps are taken before it drops what is negative and stretches the rest, maps are enlarged corner on corner, and the sign of
the first component is free. It computes weights of Score-CAM and Ablation-CAM in f32, and ablates with a huge negative number where maps
have negative ones: maps here have none. What SmoothGrad and RISE draw is drawn, with n samples both are sqrt(2 / n) times a deviation apart, so
that they are timed alone; neither peer has RISE, and it is held against the loop over batches of masks that its authors wrote.
"""

import argparse
import contextlib
import io
import json
import pathlib
import statistics
import subprocess
import tempfile
import time
import warnings

import captum.attr
import numpy
import pytorch_grad_cam
import torch
from captum.attr._utils.custom_modules import Addition_Module
from captum.attr._utils.lrp_rules import EpsilonRule, GammaRule
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

STATISTICS = ["--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225"]
EPSILON, STEPS, SAMPLES, WINDOW, STRIDE, MASKS, GRID = 1e-6, 50, 50, 4, 2, 1000, 7
DRAWN = ["smooth_grad", "rise"]


class Pad(nn.Module):
    def __init__(self, sides):
        super().__init__()
        self.sides = sides

    def forward(self, x):
        return functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.sides, self.sides))


class Block(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.conv1, self.bn1, self.relu1 = nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU()
        self.conv2, self.bn2, self.relu2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU()
        self.beside = Pad((o - i) // 2) if i != o else None
        self.add = Addition_Module()

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(self.add(y, x if self.beside is None else self.beside(x)))


class ResNet(nn.Module):
    def __init__(self, blocks):
        super().__init__()
        self.conv1, self.bn1, self.relu = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        for stage, (i, o) in enumerate([(16, 16), (16, 32), (32, 64)]):
            first = Block(i, o, 1 if stage == 0 else 2)
            setattr(self, f"layer{stage + 1}", nn.Sequential(first, *(Block(o, o, 1) for _ in range(blocks - 1))))
        self.avgpool, self.linear = nn.AdaptiveAvgPool2d(1), nn.Linear(64, 10)

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(self.avgpool(x).flatten(1))

    def last(self):
        return self.layer3[-1].relu2


class Vgg(nn.Module):
    """By the names in its file: where the number after a ReLU is left out, there is a pooling."""

    def __init__(self, tensors):
        super().__init__()
        convs = sorted(int(name.split(".")[1]) for name, value in tensors.items() if value.dim() == 4)
        layers = [nn.Identity() for _ in range(max(convs) + 4)]
        for at in range(2, len(layers)):
            layers[at] = nn.MaxPool2d(2)
        for at in convs:
            o, i, side, _ = tensors[f"features.{at}.weight"].shape
            layers[at] = nn.Conv2d(i, o, side, 1, side // 2, bias=f"features.{at}.bias" in tensors)
            layers[at + 1], layers[at + 2] = nn.BatchNorm2d(o), nn.ReLU()
        self.features, self.avgpool = nn.Sequential(*layers), nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(*reversed(tensors["classifier.weight"].shape))
        self.convs = convs

    def forward(self, x):
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def loaded(name, file):
    tensors = {key: value for key, value in load_file(file).items() if value.is_floating_point()}
    net = Vgg(tensors) if name.startswith("vgg") else ResNet({"resnet20": 3, "resnet56": 9}[name])
    missing, unexpected = net.load_state_dict(tensors, strict=False)
    left = [key for key in missing if not key.endswith("num_batches_tracked")]
    if left or unexpected:
        raise ValueError(f"{file}: {left} missing, {unexpected} too many")
    return net.eval()


def folded(net):
    """In place: every convolution with the norm after it."""
    for parent in list(net.modules()):
        names = list(dict(parent.named_children()))
        for name in names:
            after = following(parent, name, names)
            if after is not None:
                conv, norm = getattr(parent, name), getattr(parent, after)
                setattr(parent, name, nn.utils.fusion.fuse_conv_bn_eval(conv, norm))
                delattr(parent, after)
                if not name.isdigit():
                    setattr(parent, after, lambda y: y)
    return net.eval()


def following(parent, name, names):
    # Of a sequence norms are gone by the time their turn comes.
    if not isinstance(getattr(parent, name, None), nn.Conv2d):
        return None
    after = str(int(name) + 1) if name.isdigit() else name.replace("conv", "bn")
    return after if after in names and isinstance(getattr(parent, after), nn.BatchNorm2d) else None


def by_rules(net, conv):
    kinds = (nn.Conv2d, nn.Linear, nn.MaxPool2d, nn.AdaptiveAvgPool2d, Addition_Module)
    for module in net.modules():
        if isinstance(module, kinds):
            module.rule = conv() if isinstance(module, nn.Conv2d) else EpsilonRule(EPSILON)
        if isinstance(module, nn.MaxPool2d):
            module.rule = EpsilonRule(1e-12)
        if isinstance(module, Pad):
            module.rule = EpsilonRule(1e-12)
    return captum.attr.LRP(net)


def cam(name):
    kind = getattr(pytorch_grad_cam, name)

    def attribute(net, last, x, target):
        found = kind(model=net, target_layers=[last])
        found.batch_size = len(x)
        whole, raw = found.get_cam_image, []
        found.get_cam_image = lambda *a, **k: raw.append(whole(*a, **k)) or raw[-1]
        with contextlib.redirect_stderr(io.StringIO()):
            found(input_tensor=x, targets=[ClassifierOutputTarget(int(t)) for t in target])
        return torch.from_numpy(numpy.array(raw[-1], dtype=numpy.float64))

    return attribute


def plain(kind, **settings):
    return lambda net, last, x, target: kind(net).attribute(x.clone().requires_grad_(), target=target, **settings)


def integrated(net, last, x, target):
    found = captum.attr.IntegratedGradients(net)
    return found.attribute(x, target=target, n_steps=STEPS, method="gausslegendre", internal_batch_size=len(x))


def smooth(net, last, x, target):
    found = captum.attr.NoiseTunnel(captum.attr.Saliency(net))
    return found.attribute(x, target=target, nt_samples=SAMPLES, nt_samples_batch_size=1, stdevs=0.5, abs=False)


def occlusion(net, last, x, target):
    return captum.attr.Occlusion(net).attribute(x, (3, WINDOW, WINDOW), (3, STRIDE, STRIDE), target=target)[:, 0]


def rise(net, last, x, target):
    side = x.shape[-1]
    cell = -(-side // GRID)
    grids = (torch.rand(MASKS, 1, GRID, GRID) < 0.5).to(x.dtype)
    large = functional.interpolate(grids, size=(GRID + 1) * cell, mode="bilinear", align_corners=False)
    places = torch.randint(cell, (MASKS, 2)).tolist()
    masks = torch.stack([mask[:, a : a + side, b : b + side] for mask, (a, b) in zip(large, places)])
    found = []
    with torch.no_grad():
        for picture, t in zip(x, target):
            scores = torch.cat([net(picture * part)[:, t] for part in masks.split(len(x))])
            found.append((scores @ masks.flatten(1)).view(side, side) / MASKS / 0.5)
    return torch.stack(found)


def relevance(net, last, x, target):
    return by_rules(net, lambda: EpsilonRule(EPSILON)).attribute(x.clone().requires_grad_(), target=target)


# Name: ours, its settings, theirs, whether it wants folded norms.
METHODS = {
    "gradient": ({}, plain(captum.attr.Saliency, abs=False), False),
    "gradient_x_input": ({}, plain(captum.attr.InputXGradient), False),
    "integrated_gradients": ({"steps": STEPS, "most": STEPS}, integrated, False),
    "smooth_grad": ({"samples": SAMPLES}, smooth, False),
    "guided_backpropagation": ({}, plain(captum.attr.GuidedBackprop), False),
    "deep_lift": ({}, plain(captum.attr.DeepLift), False),
    "lrp": ({"rules": "epsilon", "epsilon": EPSILON}, relevance, True),
    "occlusion": ({"size": WINDOW, "stride": STRIDE}, occlusion, False),
    "rise": ({"masks": MASKS, "grid": GRID}, rise, False),
    "grad_cam": ({}, cam("GradCAM"), False),
    "grad_cam_plus_plus": ({}, cam("GradCAMPlusPlus"), False),
    "hires_cam": ({}, cam("HiResCAM"), False),
    "layer_cam": ({}, cam("LayerCAM"), False),
    "xgrad_cam": ({}, cam("XGradCAM"), False),
    "score_cam": ({"align_corners": "true"}, cam("ScoreCAM"), False),
    "ablation_cam": ({}, cam("AblationCAM"), False),
    "eigen_cam": ({}, cam("EigenCAM"), False),
}


def ours(arguments, name, file, method, layer, extra):
    """Tensors and seconds of our program."""
    settings = [word for key, value in METHODS[method][0].items() for word in ("--set", f"{method}.{key}={value}")]
    with tempfile.TemporaryDirectory() as folder:
        command = [arguments.audit, "saliency", file, "--data", arguments.data, "--limit", arguments.count]
        command += ["--method", method, *settings, "--threads", "2", "--out", folder, "--layer", layer, *extra]
        if not name.startswith("vgg"):
            command += ["--arch", name, *STATISTICS]
        subprocess.run([str(word) for word in command], check=True, capture_output=True)
        tensors = load_file(pathlib.Path(folder) / "data.safetensors")
        return tensors, json.loads((pathlib.Path(folder) / "summary.json").read_text())["methods"][0]["seconds"]


def differences(method, tensors, expected):
    if method == "ablation_cam":
        # Theirs is a share of the output, with its sign; ours is what speaks for it.
        expected = expected * tensors["logits"].gather(1, tensors["target"][:, None]).sign()[:, :, None]
    return apart(method, tensors[method], expected)


def apart(method, found, expected):
    found, expected = found.detach().double().flatten(1), expected.detach().double().flatten(1)
    if method == "eigen_cam":
        found = found * torch.sign((found * expected).sum(1, keepdim=True))
    return ((found - expected).abs().amax(1) / expected.abs().amax(1)).numpy()


def theirs(net, last, method, x, target):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        began = time.perf_counter()
        return METHODS[method][1](net, last, x, target), time.perf_counter() - began


def compare(arguments, name, file, method):
    def network(double):
        net = loaded(name, file)
        net = net.double() if double else net
        net = folded(net) if METHODS[method][2] else net
        last = net.last() if hasattr(net, "last") else getattr(net.features, str(net.convs[-1] + 2))
        return net, last

    layer = "layer3.{}.relu2".format(8 if name == "resnet56" else 2)
    net, last = network(False)
    if name.startswith("vgg"):
        layer = f"features.{net.convs[-1] + 2}"
    cells = [""] * 5
    single, _ = ours(arguments, name, file, method, layer, [])
    x, target = single["input"], single["target"]
    if method not in DRAWN:
        peer = theirs(net, last, method, x, target)[0]
        found = differences(method, single, peer)
        double, _ = ours(arguments, name, file, method, layer, ["--double"])
        exact = theirs(*network(True), method, double["input"], target)[0]
        furthest = differences(method, double, exact).max()
        own = apart(method, peer, exact)
        cells = [f"{value:.1e}" for pair in (found, own) for value in (numpy.median(pair), numpy.quantile(pair, 0.99))]
        cells.append(f"{furthest:.1e}")
    if arguments.times:
        # A network of its own for every call: what hooks leave behind is not ours to time.
        def both():
            return ours(arguments, name, file, method, layer, [])[1], theirs(*network(False), method, x, target)[1]

        rounds = [both() for _ in range(arguments.rounds)]
        ratio = statistics.median(their / our for our, their in rounds)
        rate = arguments.count / statistics.median(our for our, _ in rounds)
        cells += [f"{rate:.1f}", f"{ratio:.2f}"]
    return cells


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audit", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--net", action="append", required=True, metavar="NAME=FILE")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--times", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    torch.manual_seed(0)
    head = ["net", "method", "f32 median", "f32 99 %", "their own median", "their own 99 %", "f64 most"]
    head += ["pictures/s", "ours over theirs"] if arguments.times else []
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for net in arguments.net:
        name, file = net.split("=", 1)
        for method in arguments.methods:
            print("| " + " | ".join([name, method, *compare(arguments, name, file, method)]) + " |", flush=True)


if __name__ == "__main__":
    main()
