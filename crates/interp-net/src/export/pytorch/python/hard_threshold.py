class HardThreshold(nn.Module):
    """x where |x| > theta, else 0, with a threshold for each channel, or one for all. Thresholds have no gradient."""

    def __init__(self, thresholds):
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(thresholds))

    def forward(self, x):
        theta = self.theta.view(-1, *[1] * (x.dim() - 2))
        return x * (x.abs() > theta)
