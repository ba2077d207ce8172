"""The tables of "How hard it is" in docs/concepts.md, with PyTorch.

    cargo run --release --example pictures -- recipes/sparse_vgg.toml concepts.safetensors
    python docs/difficulty/train.py concepts.safetensors linear cnn cnn-long vgg vgg-pruned resnet20

Needs torch and safetensors. For another difficulty, give `data.difficulty=2` to the first command. Prints the
accuracy on all test pictures after the last epoch.
"""

import sys
import time

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

BATCH = 64


def convolution(inputs, outputs, stride=1):
    return [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)]


def plain(*widths):
    """Convolutions with batch norm, ReLU and 2x2 max pooling each; the mean over positions; a linear map."""
    layers = []
    for inputs, outputs in zip((3, *widths), widths):
        layers += [*convolution(inputs, outputs), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 10))


class Block(nn.Module):
    """A residual block with the shortcut without parameters (He et al. 2016, option A)."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.stride, self.wider = stride, (outputs - inputs) // 2
        self.body = nn.Sequential(*convolution(inputs, outputs, stride), nn.ReLU(), *convolution(outputs, outputs))

    def forward(self, x):
        shortcut = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.wider, self.wider))
        return F.relu(self.body(x) + shortcut)


def resnet20():
    blocks = [(16, 16, 1)] * 3 + [(16, 32, 2)] + [(32, 32, 1)] * 2 + [(32, 64, 2)] + [(64, 64, 1)] * 2
    stem = [*convolution(3, 16), nn.ReLU()]
    return nn.Sequential(
        *stem, *(Block(*b) for b in blocks), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)
    )


# Network, epochs, peak of the learning rate, weight decay, share of the convolution weights that is pruned.
RUNS = {
    "linear": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(3072, 10)), 25, 0.001, 1e-2, 0.0),
    "cnn": (lambda: plain(16, 32, 64), 8, 0.1, 5e-4, 0.0),
    "cnn-long": (lambda: plain(16, 32, 64), 24, 0.1, 5e-4, 0.0),
    "vgg": (lambda: plain(32, 64, 128, 256, 256), 8, 0.1, 5e-4, 0.0),
    "vgg-pruned": (lambda: plain(32, 64, 128, 256, 256), 8, 0.1, 5e-4, 0.9),
    "resnet20": (resnet20, 8, 0.1, 5e-4, 0.0),
}


def prune(network, share):
    """Sets the smallest weights of all convolutions together to zero."""
    weights = [m.weight.data for m in network.modules() if isinstance(m, nn.Conv2d)]
    sizes = torch.cat([w.abs().flatten() for w in weights])
    limit = sizes.kthvalue(int(share * len(sizes))).values
    for w in weights:
        w[w.abs() <= limit] = 0.0


def tensors(data, split):
    """Pictures, with the mean and deviation of the train split taken out, and labels."""
    images, train = (data[f"{s}.images"].permute(0, 3, 1, 2).float() / 255 for s in (split, "train"))
    mean, deviation = train.mean((0, 2, 3), keepdim=True), train.std((0, 2, 3), keepdim=True)
    return (images - mean) / deviation, data[f"{split}.labels"].long()


def run(data, make, epochs, peak, decay, share):
    torch.manual_seed(0)
    images, labels = tensors(data, "train")
    network = make().to(memory_format=torch.channels_last)
    weights = [p for p in network.parameters() if p.dim() > 1]
    others = [p for p in network.parameters() if p.dim() <= 1]
    groups = [{"params": weights, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=peak, momentum=0.9, nesterov=True)
    steps = epochs * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, steps, pct_start=0.2, cycle_momentum=False)
    for step in range(steps):
        at = step % (len(images) // BATCH)
        if at == 0:
            order = torch.randperm(len(images))
        batch = order[at * BATCH : (at + 1) * BATCH]
        optimizer.zero_grad()
        F.cross_entropy(network(images[batch]), labels[batch]).backward()
        optimizer.step()
        schedule.step()
        ramp = min(1.0, step / (0.6 * steps))
        now = share * (1 - (1 - ramp) ** 3)  # Zhu and Gupta 2017
        if now > 0:
            prune(network, now)
    network.eval()
    images, labels = tensors(data, "test")
    with torch.no_grad():
        found = torch.cat([network(batch).argmax(1) for batch in images.split(500)])
    return (found == labels).double().mean().item()


def main():
    data = load_file(sys.argv[1])
    for name in sys.argv[2:]:
        start = time.time()
        print(f"{name}: {100 * run(data, *RUNS[name]):.1f} % ({time.time() - start:.0f} s)", flush=True)


main()
