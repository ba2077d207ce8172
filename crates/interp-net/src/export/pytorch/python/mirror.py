def mirror(x, border):
    """The maps with their mirror image around them, the cells at the border first."""
    for axis in (2, 3):
        before = x.narrow(axis, 0, border).flip(axis)
        after = x.narrow(axis, x.shape[axis] - border, border).flip(axis)
        x = torch.cat([before, x, after], axis)
    return x
