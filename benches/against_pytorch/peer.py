"""Training steps or inference passes of one network in PyTorch, timed as JSON: the peer of ../step.rs."""

import argparse
import json
import time

import torch
from torch import nn


def conv(i, o, k=3, s=1, p=1):
    return nn.Conv2d(i, o, k, s, p, bias=False)


def vgg(filters):
    """Blocks of filters: 3x3 convolutions with batch norm and ReLU, then pooling; mean and linear map."""
    layers, last = [], 3
    for block in filters:
        for out in block:
            layers += [conv(last, out), nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
            last = out
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(last, 10))


class Block(nn.Module):
    def __init__(self, i, o, stride, pad):
        super().__init__()
        self.conv1, self.bn1 = conv(i, o, 3, stride), nn.BatchNorm2d(o)
        self.conv2, self.bn2 = conv(o, o), nn.BatchNorm2d(o)
        self.stride, self.widen, self.side = nn.Identity(), None, 0
        if i != o and pad:
            self.side = (o - i) // 2
        elif i != o:
            self.widen = nn.Sequential(conv(i, o, 1, stride, 0), nn.BatchNorm2d(o))

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if self.side:
            x = nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.side, self.side))
        elif self.widen:
            x = self.widen(x)
        return torch.relu(y + x)


def resnet(stem, stages, blocks, pad):
    layers, last = stem, stages[0]
    for index, out in enumerate(stages):
        for block in range(blocks):
            layers.append(Block(last, out, 2 if index > 0 and block == 0 else 1, pad))
            last = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(last, 10))


def network(name):
    match name:
        case "vgg4":
            return vgg([[32], [64], [128], [128]]), 32
        case "sparse-vgg":
            return vgg([[32], [64], [128], [256], [256]]), 32
        case "vgg11":
            return vgg([[64], [128], [256, 256], [512, 512], [512, 512]]), 32
        case "resnet20":
            stem = [conv(3, 16), nn.BatchNorm2d(16), nn.ReLU(inplace=True)]
            return resnet(stem, [16, 32, 64], 3, pad=True), 32
        case "resnet18":
            stem = [conv(3, 64, 7, 2, 3), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
            return resnet(stem, [64, 128, 256, 512], 2, pad=False), 64


def memory(key):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(key))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("net")
    parser.add_argument("--mode", default="train")
    parser.add_argument("--layout", default="channels-last", choices=["nchw", "channels-last", "compiled"])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    idle = memory("VmRSS")
    model, side = network(arguments.net)
    x = torch.rand(arguments.batch, 3, side, side)
    y = torch.arange(arguments.batch) % 10
    if arguments.layout != "nchw":
        model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    run = torch.compile(model) if arguments.layout == "compiled" else model
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)
    loss = nn.CrossEntropyLoss()

    def train():
        optimizer.zero_grad(set_to_none=True)
        loss(run(x), y).backward()
        optimizer.step()

    @torch.inference_mode()
    def infer():
        run(x)

    model.train(arguments.mode == "train")
    step, seconds = (train if arguments.mode == "train" else infer), []
    for _ in range(arguments.steps + 3):
        began = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - began)
    found = {"seconds": seconds[3:], "batch": arguments.batch, "idle_kib": idle, "peak_kib": memory("VmHWM")}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
