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
