class Prototypes(nn.Module):
    """How much each position (N, D, H, W) is like each prototype (P, D): ln((d^2 + 1) / (d^2 + 1e-4)), or relu(cosine) / 1.01 (arXiv 1806.10574)."""

    def __init__(self, count, channels, cosine=False):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(count, channels))
        self.cosine = cosine

    def forward(self, x):
        if self.cosine:
            x, weight = F.normalize(x, eps=1e-8), F.normalize(self.weight, eps=1e-8)
            return F.relu(F.conv2d(x, weight[:, :, None, None])) / 1.01
        distance = (x[:, None] - self.weight[None, :, :, None, None]).square().sum(2)
        return ((distance + 1) / (distance + 1e-4)).log()
