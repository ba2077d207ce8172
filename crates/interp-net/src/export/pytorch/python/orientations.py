def orientations(x, bins):
    """The strength of the edge in each pixel, by direction: (N, 1, H, W) to (N, bins, H, W)."""
    across, down = torch.zeros_like(x), torch.zeros_like(x)
    across[..., 1:-1] = x[..., 2:] - x[..., :-2]
    down[..., 1:-1, :] = x[..., 2:, :] - x[..., :-2, :]
    at = torch.atan2(down, across) * bins / math.pi - 0.5
    return torch.hypot(across, down) * around(at[:, 0], bins)
