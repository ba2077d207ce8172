class SoftThreshold(nn.Module):
    """sign(x) max(|x| - theta, 0), with a threshold for each channel, or one for all."""

    def __init__(self, thresholds):
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(thresholds))

    def forward(self, x):
        theta = self.theta.view(-1, *[1] * (x.dim() - 2))
        return x.sign() * F.relu(x.abs() - theta)
