def largest(x, count):
    """The largest channels at every position as they are, `count` of them, and 0 for the others; of equal ones the first stay."""
    places = x.argsort(dim=1, descending=True, stable=True)[:, :count]
    return torch.zeros_like(x).scatter(1, places, x.gather(1, places))
