def luminance(x):
    """The luminance of ITU-R BT.709: (N, 3, H, W) to (N, 1, H, W)."""
    parts = x.new_tensor([0.2126, 0.7152, 0.0722])
    return (x * parts[:, None, None]).sum(1, keepdim=True)
