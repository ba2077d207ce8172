"""Training steps or inference passes of one network in PyTorch, timed as JSON: the peer of ../step.rs.

The file that `step --write` leaves brings first parameters and batches; these lie ready in the layout that they are used in.
"""

import argparse
import json
import time
from collections import OrderedDict

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

WARM = 3


def conv(i, o, k=3, s=1, p=1):
    return nn.Conv2d(i, o, k, s, p, bias=False)


def relu():
    return nn.ReLU(inplace=True)


def head(inputs, mean, linear):
    return {mean: nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), linear: nn.Linear(inputs, 10)}


def blocks(filters):
    layers, last = {}, 3
    for block, out in enumerate(filters):
        layers |= {f"conv{block}": conv(last, out), f"norm{block}": nn.BatchNorm2d(out)}
        layers |= {f"relu{block}": relu(), f"pool{block}": nn.MaxPool2d(2)}
        last = out
    return layers | head(last, "mean", "head")


def vgg(filters):
    layers, last = [], 3
    for block in filters:
        for out in block:
            layers += [conv(last, out), nn.BatchNorm2d(out), relu()]
            last = out
        layers.append(nn.MaxPool2d(2))
    return {"features": nn.Sequential(*layers)} | head(last, "avgpool", "classifier")


class Block(nn.Module):
    """Two convolutions beside the identity, or beside what makes it fit: padding with zeros or a projection."""

    def __init__(self, i, o, stride, pad):
        super().__init__()
        self.conv1, self.bn1 = conv(i, o, 3, stride), nn.BatchNorm2d(o)
        self.conv2, self.bn2 = conv(o, o), nn.BatchNorm2d(o)
        self.relu, self.pad = relu(), (o - i) // 2 if pad else 0
        if i != o and not pad:
            self.downsample = nn.Sequential(conv(i, o, 1, stride, 0), nn.BatchNorm2d(o))

    def beside(self, x):
        if self.pad:
            return functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad))
        return self.downsample(x) if hasattr(self, "downsample") else x

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += self.beside(x)
        return self.relu(y)


def stages(filters, blocks, pad):
    layers, last = {}, filters[0]
    for index, out in enumerate(filters):
        strides = [2 if index > 0 and block == 0 else 1 for block in range(blocks)]
        inputs = [last] + [out] * (blocks - 1)
        layers[f"layer{index + 1}"] = nn.Sequential(*(Block(i, out, s, pad) for i, s in zip(inputs, strides)))
        last = out
    return layers


def resnet20():
    stem = {"conv1": conv(3, 16), "bn1": nn.BatchNorm2d(16), "relu": relu()}
    return stem | stages([16, 32, 64], 3, pad=True) | head(64, "avgpool", "linear")


def resnet18():
    stem = {"conv1": conv(3, 64, 7, 2, 3), "bn1": nn.BatchNorm2d(64), "relu": relu(), "maxpool": nn.MaxPool2d(3, 2, 1)}
    return stem | stages([64, 128, 256, 512], 2, pad=False) | head(512, "avgpool", "fc")


# Nodes are named as ours are.
NETS = {
    "vgg4": lambda: blocks([32, 64, 128, 128]),
    "sparse-vgg": lambda: vgg([[32], [64], [128], [256], [256]]),
    "vgg11": lambda: vgg([[64], [128], [256, 256], [512, 512], [512, 512]]),
    "resnet20": resnet20,
    "resnet18": resnet18,
}


def network(layers, layout):
    """The network, and what is called: itself, or what it was compiled to."""
    net = nn.Sequential(OrderedDict(layers))
    if layout != "nchw":
        net = net.to(memory_format=torch.channels_last)
    return net, torch.compile(net, dynamic=False) if layout == "compiled" else net


def in_layout(images, layout):
    """(N, H, W, C) in memory as (N, C, H, W), so that its memory is channels-last, or copied to be in that order too."""
    images = images.permute(0, 3, 1, 2)
    return images.contiguous() if layout == "nchw" else images


def load(net, tensors):
    """Parameters and statistics; all but the counters of batches must be there, and nothing else."""
    missing, unexpected = net.load_state_dict(tensors, strict=False)
    wrong = unexpected + [name for name in missing if not name.endswith("num_batches_tracked")]
    if wrong:
        raise ValueError(f"parameters that only one of the networks has: {wrong}")


def sgd(net):
    """Our default: decay of weights alone. One pass over memory, which is faster than PyTorch's default."""
    weights = [p for p in net.parameters() if p.dim() > 1]
    others = [p for p in net.parameters() if p.dim() == 1]
    groups = [{"params": weights, "weight_decay": 5e-4}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=0.01, momentum=0.9, nesterov=True, fused=True)


def train(net, call, batches):
    """Seconds and losses of a step on each batch."""
    net.train()
    optimizer, loss = sgd(net), nn.CrossEntropyLoss()
    seconds, losses = [], []
    for images, labels in batches:
        began = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        value = loss(call(images), labels)
        value.backward()
        optimizer.step()
        losses.append(value.item())
        seconds.append(time.perf_counter() - began)
    return seconds, losses


@torch.inference_mode()
def infer(net, call, batches):
    """Seconds of each pass of the first batch, and its logits."""
    net.eval()
    images, seconds = batches[0][0], []
    for _ in batches:
        began = time.perf_counter()
        logits = call(images)
        seconds.append(time.perf_counter() - began)
    return seconds, logits.flatten().tolist()


def memory(key):
    """The memory of this process in KiB as Linux counts it: VmRSS is now, VmHWM the most so far."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(key))


def idle_memory():
    """The memory now, from where on the most is counted anew."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    return memory("VmRSS")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("net", choices=NETS)
    parser.add_argument("read", help="what `step --write` has written")
    parser.add_argument("--mode", default="train", choices=["train", "infer"])
    parser.add_argument("--layout", default="channels-last", choices=["nchw", "channels-last", "compiled"])
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    run, layout = train if arguments.mode == "train" else infer, arguments.layout
    # Copies, since the file's own pages would be read, and counted, when they are first used.
    tensors = {name: tensor.clone() for name, tensor in load_file(arguments.read).items()}
    images, labels = tensors.pop("batches"), tensors.pop("labels")
    batches = [(in_layout(step, layout), label) for step, label in zip(images, labels)]
    # What the first steps of any network bring into memory, threads and code, counts as idle.
    run(*network(blocks([8]), layout), [(in_layout(torch.rand(2, 8, 8, 3), layout), torch.tensor([0, 1]))] * 2)
    idle = idle_memory()
    net, call = network(NETS[arguments.net](), layout)
    load(net, tensors)
    seconds, results = run(net, call, batches)
    found = {"seconds": seconds[WARM:], "results": results, "idle_kib": idle, "peak_kib": memory("VmHWM")}
    print(json.dumps(found | {"torch": torch.__version__}))


if __name__ == "__main__":
    main()
