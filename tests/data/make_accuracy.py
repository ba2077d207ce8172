"""How far PyTorch's f32 results are from its f64 results: what crates/interp-ops/tests/accuracy.rs holds ours against.

    python tests/data/make_accuracy.py

Writes accuracy.json beside this file: cases with, for every result, [maximum, root mean square] over its elements of

    |f32 - f64| / (eps * size),    eps = 2^-23,

`size` being in f64 what the same sum gives when all of its terms are taken without their signs (for a convolution, that of
|x| and |w|). Each of the numbers is the smaller of those in NCHW and in channels-last. Inputs are f32 numbers by a formula
that the test repeats; "sums" are those of all exact results and of all sizes, without signs, by which it knows that it has
the same. The numbers in the repository are those of PyTorch 2.13.0 on a processor with AVX-512.
"""

import json
import pathlib

import numpy
import torch
from torch.nn import functional

EPS = 2.0**-23
NORM_EPS = 1e-5
LAYOUTS = [torch.contiguous_format, torch.channels_last]
# Of the random numbers of each tensor.
SEEDS = {"x": 1, "weight": 2, "bias": 3, "gain": 4, "shift": 5, "grad": 6}


def noise(shape, name):
    """Numbers in [-1, 1): SplitMix64 (Steele et al. 2014) of the seed and the position, rounded to f32."""
    index = numpy.arange(numpy.prod(shape, dtype=int), dtype=numpy.uint64)
    z = (index + numpy.uint64(SEEDS[name] << 28) + numpy.uint64(1)) * numpy.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    unit = ((z ^ (z >> numpy.uint64(31))) >> numpy.uint64(11)).astype(numpy.float64) / 2.0**52 - 1.0
    return torch.from_numpy(unit.astype(numpy.float32).reshape(shape))


def conv(x, weight, **settings):
    """A convolution without bias, once of noise and once of its positive part, which is what a ReLU leaves."""
    shape = {"op": "conv2d", "x": x, "weight": weight, "stride": 1, "padding": weight[2] // 2, "groups": 1} | settings
    return [shape | {"positive": positive} for positive in (False, True)]


def cases():
    # Those that fast algorithms for 3x3 take: first layer, thin and wide, maps of even and odd size.
    for x in [[2, 3, 32, 32], [2, 16, 32, 32], [4, 16, 7, 7], [2, 64, 16, 16], [3, 64, 8, 8], [2, 128, 8, 8]]:
        yield from conv(x, [max(x[1], 16), x[1], 3, 3])
    for x in [[3, 128, 7, 7], [8, 256, 4, 4], [2, 256, 8, 8]]:
        yield from conv(x, [x[1], x[1], 3, 3])
    # What is left of such layers when channels are cut out.
    for x, outputs in [([2, 23, 16, 16], 37), ([3, 10, 15, 17], 16)]:
        yield from conv(x, [outputs, x[1], 3, 3])
    yield from conv([2, 16, 32, 32], [32, 16, 3, 3], stride=2)
    yield from conv([3, 64, 15, 13], [96, 64, 3, 3], stride=2)
    yield from conv([2, 3, 45, 46], [32, 3, 7, 7], stride=2)
    yield from conv([2, 5, 11, 9], [7, 5, 3, 3])
    yield from conv([2, 24, 9, 10], [40, 24, 5, 5], padding=0)
    yield from conv([2, 128, 9, 9], [64, 128, 1, 1])
    yield from conv([2, 64, 13, 14], [128, 64, 1, 1], stride=2)
    yield from conv([4, 48, 14, 13], [48, 1, 3, 3], groups=48)
    yield from conv([2, 32, 12, 11], [64, 8, 3, 3], groups=4)
    for x, outputs in [([32, 512], 10), ([9, 100], 33)]:
        yield from [{"op": "linear", "x": x, "outputs": outputs, "positive": positive} for positive in (False, True)]
    for x in [[8, 16, 14, 13], [4, 64, 4, 4]]:
        yield from [{"op": "batch_norm", "x": x, "positive": positive} for positive in (False, True)]
    for op in ["max_pool2d", "avg_pool2d"]:
        yield {"op": op, "x": [4, 24, 15, 14], "kernel": 3, "stride": 2, "padding": 1}
        yield {"op": op, "x": [4, 24, 15, 14], "kernel": 2, "stride": 2, "padding": 0}
    yield {"op": "global_avg_pool", "x": [8, 64, 7, 9]}
    yield from [{"op": "cross_entropy", "x": x} for x in ([64, 10], [8, 1000])]


def inputs(case):
    x = noise(case["x"], "x")
    x = x.relu() if case.get("positive") else x
    match case["op"]:
        case "conv2d":
            return {"x": x, "weight": noise(case["weight"], "weight")}
        case "linear":
            outputs = case["outputs"]
            return {"x": x, "weight": noise([outputs, case["x"][1]], "weight"), "bias": noise([outputs], "bias")}
        case "batch_norm":
            return {"x": x} | {name: noise([case["x"][1]], name) for name in ("gain", "shift")}
        case "cross_entropy":
            return {"x": 8 * x}
    return {"x": x}


def forward(case, tensors):
    x, *others = tensors.values()
    match case["op"]:
        case "conv2d":
            return functional.conv2d(x, *others, None, case["stride"], case["padding"], 1, case["groups"])
        case "linear":
            return functional.linear(x, *others)
        case "batch_norm":
            return functional.batch_norm(x, None, None, *others, training=True, eps=NORM_EPS)
        case "max_pool2d":
            return functional.max_pool2d(x, case["kernel"], case["stride"], case["padding"])
        case "avg_pool2d":
            return functional.avg_pool2d(x, case["kernel"], case["stride"], case["padding"])
        case "global_avg_pool":
            return x.mean((2, 3))
        case "cross_entropy":
            return functional.cross_entropy(x, classes(case))


def classes(case):
    rows, count = case["x"]
    return torch.arange(rows) * 7 % count


def upstream(case, output):
    return torch.tensor(1.0) if case["op"] == "cross_entropy" else noise(output.shape, "grad")


def results(case, tensors, grad=None):
    """The output and the gradients with respect to all inputs, by name."""
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in tensors.items()}
    output = forward(case, leaves)
    grad = upstream(case, output).to(output.dtype) if grad is None else grad
    if output.dim() == 4 and not output.is_contiguous():
        grad = grad.contiguous(memory_format=torch.channels_last)
    grads = torch.autograd.grad(output, list(leaves.values()), grad)
    return {"output": output.detach()} | dict(zip(leaves, grads))


def sizes(case, tensors, exact):
    """For every result the sum of its terms without their signs, from f64 inputs and results."""
    grad = upstream(case, exact["output"]).double().abs()
    match case["op"]:
        case "batch_norm":
            return norm_sizes(tensors, grad)
        case "cross_entropy":
            of_target = torch.zeros_like(tensors["x"]).scatter_(1, classes(case)[:, None], 1.0)
            target = (tensors["x"] * of_target).sum(1).abs().mean()
            return {"output": exact["output"] + 2 * target, "x": exact["x"] + 2 * of_target / len(of_target)}
        case "max_pool2d":
            return results(case, tensors, grad)
    return results(case, {name: tensor.abs() for name, tensor in tensors.items()}, grad)


def norm_sizes(tensors, grad):
    x, gain, shift = tensors["x"], tensors["gain"], tensors["shift"]

    def mean(numbers):
        return numbers.mean((0, 2, 3), keepdim=True)

    inverse = 1 / (mean(x**2) - mean(x) ** 2 + NORM_EPS).sqrt()
    normed, scale = (x.abs() + mean(x).abs()) * inverse, gain.abs()[:, None, None] * inverse
    return {
        "output": scale * (x.abs() + mean(x.abs())) + shift.abs()[:, None, None],
        "x": scale * (grad + mean(grad) + normed * mean(grad * normed)),
        "gain": (grad * normed).sum((0, 2, 3)),
        "shift": grad.sum((0, 2, 3)),
    }


def in_layout(tensor, layout):
    return tensor.contiguous(memory_format=layout) if tensor.dim() == 4 else tensor


def measured(case):
    """The case with the sums and PyTorch's errors, each the smaller of both layouts'."""
    tensors = inputs(case)
    double = {name: tensor.double() for name, tensor in tensors.items()}
    exact = results(case, double)
    size = sizes(case, double, exact)
    found = []
    for layout in LAYOUTS:
        rounded = results(case, {name: in_layout(tensor, layout) for name, tensor in tensors.items()})
        found.append({name: errors(rounded[name], exact[name], size[name]) for name in exact})
    smaller = {name: [min(pair) for pair in zip(*(errors[name] for errors in found))] for name in exact}
    return case | {"sums": [total(exact), total(size)], "torch": smaller}


def total(tensors):
    return float(f"{sum(tensor.abs().sum().item() for tensor in tensors.values()):.12g}")


def errors(rounded, exact, size):
    """[maximum, root mean square]."""
    # Where no term is other than 0, so are all three.
    error = (rounded.double() - exact).abs() / (EPS * size).clamp(min=1e-300)
    return [float(f"{number:.3g}") for number in (error.max(), error.square().mean().sqrt())]


def main():
    torch.set_num_threads(2)
    lines = [json.dumps(measured(case)) for case in cases()]
    text = "[\n" + ",\n".join(lines) + "\n]\n"
    pathlib.Path(__file__).with_name("accuracy.json").write_text(text)


if __name__ == "__main__":
    main()
