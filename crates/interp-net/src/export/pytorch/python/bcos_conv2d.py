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
