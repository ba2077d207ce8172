"""What is exported against ours: every kind of network as a module of PyTorch, as a state dict and as ONNX, on the same pictures.

    python benches/against_pytorch/exported.py [--folder FOLDER]

Runs in a Python with torch, safetensors, onnx and onnxruntime. The networks, their parameters random, are written by the example `exported` of
interp-net; where FOLDER is given, it is one that the example has written to. Of each network:

- model.py is imported, takes model.pth (`weights_only=True`) and model.safetensors, strictly, and computes;
- model.onnx is checked in full by onnx.checker and computed by onnxruntime, for one picture and for several.

Prints a table: the largest difference to our outputs, over the largest output. Fails where one is above 1e-4.
"""

import argparse
import importlib.util
import pathlib
import subprocess
import sys
import tempfile

import numpy
import onnx
import onnxruntime
import torch
from safetensors.torch import load_file

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SAME = 1e-4


def written(folder):
    command = ["cargo", "run", "--release", "--quiet", "-p", "interp-net", "--example", "exported", "--", folder]
    subprocess.run(command, cwd=ROOT, check=True)


def difference(found, expected):
    found, expected = numpy.asarray(found), numpy.asarray(expected)
    if found.shape != expected.shape:
        raise ValueError(f"shape {found.shape}, not {expected.shape}")
    return float(abs(found - expected).max() / abs(expected).max())


def module_in(path):
    spec = importlib.util.spec_from_file_location(path.parent.name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Network()


def by_pytorch(folder, seen):
    """The largest difference, the parameters being those of either file."""
    worst = 0
    for state in (torch.load(folder / "model.pth", weights_only=True), load_file(folder / "model.safetensors")):
        model = module_in(folder / "model.py")
        model.load_state_dict(state, strict=True)
        model.eval()
        with torch.no_grad():
            worst = max(worst, difference(model(seen["pictures"]), seen["output"]))
    return worst


def by_onnx(folder, seen):
    model = onnx.load(folder / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    pictures, expected = seen["pictures"].numpy(), seen["output"].numpy()
    return max(difference(session.run(None, {name: pictures[:n]})[0], expected[:n]) for n in (1, len(pictures)))


def row(folder):
    seen = load_file(folder / "seen.safetensors")
    refused = folder / "no_onnx.txt"
    onnx_says = refused.read_text() if refused.exists() else by_onnx(folder, seen)
    return folder.name, by_pytorch(folder, seen), onnx_says


def shown(value):
    return value if isinstance(value, str) else f"{value:.1e}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=pathlib.Path)
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as new:
        if folder is None:
            folder = pathlib.Path(new)
            written(folder)
        rows = [row(network) for network in sorted(folder.iterdir())]
    print("| network | PyTorch | onnxruntime |\n|---|---|---|")
    for name, *differences in rows:
        print(f"| {name} | {' | '.join(map(shown, differences))} |")
    wrong = [name for name, *differences in rows for d in differences if not isinstance(d, str) and not d < SAME]
    if wrong:
        sys.exit(f"not the same: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
