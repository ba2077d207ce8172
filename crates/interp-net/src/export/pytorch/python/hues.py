def between(x, low, middle, high):
    """Shares of three centers in numbers; beyond the outer ones all is theirs."""
    lower = ((x - low) / (middle - low)).clamp(0, 1)
    upper = ((x - middle) / (high - middle)).clamp(0, 1)
    return 1 - lower, lower - upper, upper


def hues(x, bins):
    """The shares of pale and vivid hues, black, gray and white in each pixel: (N, 3, H, W) to (N, 2 bins + 3, H, W)."""
    r, g, b = x.unbind(1)
    u, v = (2 * r - g - b) / 2, math.sqrt(3) / 2 * (g - b)
    hue = around(torch.atan2(v, u) * bins / (2 * math.pi), bins)
    gray, pale, vivid = (share[:, None] for share in between(torch.hypot(u, v), 0, 0.1, 0.3))
    grays = torch.stack(between((r + g + b) / 3, 0, 0.5, 1), 1)
    return torch.cat([pale * hue, vivid * hue, gray * grays], 1)
