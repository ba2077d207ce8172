class FirmThreshold(nn.Module):
    """0 up to theta, x from 2 theta on, a straight line between, with a threshold for each channel, or one for all."""

    def __init__(self, thresholds):
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(thresholds))

    def forward(self, x):
        theta = self.theta.view(-1, *[1] * (x.dim() - 2))
        return torch.where(x.abs() > 2 * theta, x, 2 * x.sign() * F.relu(x.abs() - theta))
