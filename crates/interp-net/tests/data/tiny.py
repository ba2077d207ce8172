"""A network written out from its graph: (N, 1, 6, 6) goes in, (N, 2) comes out. Pictures in [0, 1] go in as (x - MEAN) / STD, by channel.

    model = Network()
    model.load_state_dict(state)  # as torch.load or safetensors.torch.load_file reads it
    model.eval()
"""

import torch
from torch import nn
from torch.nn import functional as F


MEAN = [0.5]
STD = [0.25]


class BCosConv2d(nn.Conv2d):
    """u |u / n|^(b - 1): u is the convolution with filters of length 1, n the norm of the patch that a filter sees (arXiv 2205.10268)."""

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, b=2.0):
        super().__init__(in_channels, out_channels, kernel_size, stride=stride, padding=padding, bias=False)
        self.b = b

    def forward(self, x):
        unit = F.normalize(self.weight.flatten(1)).view_as(self.weight)
        u = F.conv2d(x, unit, None, self.stride, self.padding)
        ones = torch.ones_like(self.weight[:1, :1])
        squares = F.conv2d(x.square().sum(1, keepdim=True), ones, None, self.stride, self.padding)
        return u * (u / (squares + 1e-6).sqrt()).abs() ** (self.b - 1)


class UncenteredNorm(nn.Module):
    """Batch normalization that only scales: no mean is subtracted and nothing added (arXiv 2306.10898)."""

    def __init__(self, channels, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x):
        variance = self.running_var
        if self.training:
            variance = x.var((0, 2, 3), correction=0)
            with torch.no_grad():
                self.running_var.lerp_(x.var((0, 2, 3)), self.momentum)
        scale = self.weight / (variance + self.eps).sqrt()
        return x * scale[:, None, None]


class SoftThreshold(nn.Module):
    """sign(x) max(|x| - theta, 0), with a threshold for each channel, or one for all."""

    def __init__(self, thresholds):
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(thresholds))

    def forward(self, x):
        theta = self.theta.view(-1, *[1] * (x.dim() - 2))
        return x.sign() * F.relu(x.abs() - theta)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.ModuleList([
            nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU(),
        ])
        self.block = nn.ModuleDict({
            "conv": BCosConv2d(4, 4, 3, padding=1, b=1.5),
            "norm": UncenteredNorm(4),
            "shrink": SoftThreshold(4),
        })
        self.head = nn.Linear(7, 2)

    def forward(self, x):
        x = torch.cat([x, -x], 1)  # both
        x = self.features[0](x)
        x = self.features[1](x)
        features_2 = self.features[2](x)
        x = self.block.conv(features_2)
        x = self.block.norm(x)
        x = self.block.shrink(x)
        x = x + features_2  # block.add
        x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 1, 2))  # wider
        x = x.mean((2, 3))  # mean
        return self.head(x)
