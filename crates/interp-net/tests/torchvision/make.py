"""What torchvision's and timm's networks are called and compute: what crates/interp-net/tests/torchvision holds ours against.

    python crates/interp-net/tests/torchvision/make.py

Writes expected.json beside this file. "tensors": by architecture, of its full size, the name and shape of each tensor but the
counters of batches. "logits": what networks tell of two pictures, computed in f64. Their weights and the pictures are f32
numbers by a formula of name, shape and position that the test repeats. Networks too large for a test have an eighth of the
width: torchvision's own modules, given fewer channels. Those of chenyaofo/pytorch-cifar-models are put together here from
torchvision's blocks. timm's residual networks have torchvision's tensors, which is asserted here.
The numbers in the repository are those of PyTorch 2.13.0, torchvision 0.28.0 and timm 1.0.31.
"""

import json
import pathlib

import numpy
import timm
import torch
import torchvision
from timm.layers import ClassifierHead
from timm.models.vgg import VGG as TimmVgg
from timm.models.vgg import ConvMlp
from torch import nn
from torchvision.models import resnet, vgg

CONFIGURATIONS = {"vgg11": "A", "vgg13": "B", "vgg16": "D", "vgg19": "E"}
OTHERS = ["resnet18", "resnet34", "resnet50", "resnet101", "alexnet", "squeezenet1_0", "squeezenet1_1"]


def unit(name, count):
    """Numbers in [-1, 1): SplitMix64 (Steele et al. 2014) from the FNV-1a hash of the name on."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    index = numpy.arange(count, dtype=numpy.uint64)
    z = (index + numpy.uint64(seed) + numpy.uint64(1)) * numpy.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> numpy.uint64(31))) >> numpy.uint64(11)).astype(numpy.float64) / 2.0**52 - 1.0


def value(name, shape):
    """Weights of He's variance; gains of what is added to a shortcut are smaller, so that sums do not grow."""
    u = unit(name, numpy.prod(shape, dtype=int))
    if len(shape) > 1:
        u = u * numpy.sqrt(6.0 / numpy.prod(shape[1:], dtype=int))
    elif name.endswith(".weight"):
        u = (0.5 if ".bn2." in name or ".bn3." in name else 1.0) + 0.25 * u
    elif name.endswith(".running_var"):
        u = 1.0 + 0.5 * u
    else:
        u = 0.1 * u
    return torch.from_numpy(u.astype(numpy.float32).reshape(shape))


def tensors(model):
    return {name: list(t.shape) for name, t in model.state_dict().items() if not name.endswith("num_batches_tracked")}


def listed(model):
    return ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in tensors(model).items())


def filled(model):
    model.load_state_dict({name: value(name, shape) for name, shape in tensors(model).items()}, strict=False)
    return model.double().eval()


def logits(model, size):
    """Of two pictures."""
    shape = [2, 3, *size]
    picture = torch.from_numpy(unit("picture", 6 * size[0] * size[1]).astype(numpy.float32).reshape(shape))
    with torch.no_grad():
        return filled(model)(picture.double()).tolist()


def narrow(name):
    return [v if v == "M" else v // 8 for v in vgg.cfgs[CONFIGURATIONS[name]]]


def narrow_vgg(name, batch_norm, classes):
    model = vgg.VGG(vgg.make_layers(narrow(name), batch_norm=batch_norm), init_weights=False)
    layers = [nn.Linear(64 * 49, 512), nn.ReLU(), nn.Dropout(), nn.Linear(512, 512), nn.ReLU(), nn.Dropout()]
    model.classifier = nn.Sequential(*layers, nn.Linear(512, classes))
    return model


def narrow_timm_vgg(name, classes):
    model = TimmVgg(narrow(name), norm_layer=nn.BatchNorm2d)
    model.pre_logits, model.head = ConvMlp(64, 512, 7), ClassifierHead(512, classes)
    return model


class CifarResNet(nn.Module):
    """As chenyaofo/pytorch-cifar-models has it."""

    def __init__(self, depth, classes):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        blocks = (depth - 2) // 6
        stages = [(16, 16, 1), (16, 32, 2), (32, 64, 2)]
        self.layer1, self.layer2, self.layer3 = (self.stage(*stage, blocks) for stage in stages)
        self.fc = nn.Linear(64, classes)

    def stage(self, before, filters, stride, blocks):
        beside = None
        if stride > 1:
            beside = nn.Sequential(nn.Conv2d(before, filters, 1, stride, bias=False), nn.BatchNorm2d(filters))
        rest = [resnet.BasicBlock(filters, filters) for _ in range(blocks - 1)]
        return nn.Sequential(resnet.BasicBlock(before, filters, stride, beside), *rest)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(self.bn1(self.conv1(x)).relu())))
        return self.fc(x.mean((2, 3)))


def cases():
    for name in CONFIGURATIONS:
        for batch_norm in (False, True):
            arch = name + "_bn" * batch_norm
            yield arch, 0.125, [70, 40] if batch_norm else [32, 100], lambda: narrow_vgg(name, batch_norm, 5)
    yield "vgg11", 0.125, [260, 230], lambda: narrow_vgg("vgg11", False, 5)
    yield "vgg11_bn timm", 0.125, [40, 70], lambda: narrow_timm_vgg("vgg11", 5)
    for name in OTHERS:
        for size in {"alexnet": [[63, 100]], "resnet101": [[64, 64]]}.get(name, [[64, 64], [75, 90]]):
            yield name, 1.0, size, lambda: getattr(torchvision.models, name)(weights=None, num_classes=5)
    for depth in (20, 44):
        yield f"cifar10_resnet{depth}", 1.0, [32, 32], lambda: CifarResNet(depth, 5)
    # Of the full size, for the test that is not run by itself.
    for name in ("vgg16", "vgg16_bn"):
        yield name, 1.0, [64, 96], lambda: getattr(torchvision.models, name)(weights=None, num_classes=5)


def names():
    for name in [f"{name}{suffix}" for name in CONFIGURATIONS for suffix in ("", "_bn")] + OTHERS:
        with torch.device("meta"):
            yield name, getattr(torchvision.models, name)(weights=None)
    with torch.device("meta"):
        yield "cifar100_resnet56", CifarResNet(56, 100)
    for name in ("vgg13", "vgg16_bn"):
        yield f"{name} timm", timm.create_model(name)


def case(arch, width, size, make):
    print(arch, width, size)
    return {"arch": arch, "width": width, "size": size, "logits": logits(make(), size)}


def main():
    for name in OTHERS[:4]:
        assert listed(timm.create_model(name)) == listed(getattr(torchvision.models, name)(weights=None))
    found = {
        "tensors": {name: listed(model) for name, model in names()},
        "logits": [case(*given) for given in cases()],
    }
    pathlib.Path(__file__).with_name("expected.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
