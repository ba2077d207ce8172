def holding(layer, parts):
    """A layer with others under its name."""
    for name, part in parts.items():
        layer.add_module(name, part)
    return layer
