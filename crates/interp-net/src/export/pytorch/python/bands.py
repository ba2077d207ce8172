def bands(x, count):
    """How much each pixel has of which octave of spatial frequencies: (N, 1, H, W) to (N, count, H, W)."""
    line = x.new_tensor([1, 4, 6, 4, 1]) / 16
    levels = [x]
    for step in (2**level for level in range(count)):
        rows = F.pad(levels[-1], (0, 0, 2 * step, 2 * step), mode="replicate")
        rows = F.conv2d(rows, line.view(1, 1, 5, 1), dilation=(step, 1))
        columns = F.pad(rows, (2 * step, 2 * step, 0, 0), mode="replicate")
        levels.append(F.conv2d(columns, line.view(1, 1, 1, 5), dilation=(1, step)))
    return torch.cat([(fine - coarse).abs() for fine, coarse in zip(levels, levels[1:])], 1)
