def around(at, bins):
    """Shares of bins around a circle in positions (N, H, W), counted in bins: (N, bins, H, W). Between centers they are linear."""
    share = (at - at.floor())[..., None]
    first = at.floor().long() % bins
    second = (first + 1) % bins
    shares = (1 - share) * F.one_hot(first, bins) + share * F.one_hot(second, bins)
    return shares.movedim(-1, 1)
