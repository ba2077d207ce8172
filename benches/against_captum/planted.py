"""The methods of captum and pytorch-grad-cam on the networks of a planted audit, judged as ours are.

    target/release/interp-audit planted --out DIR
    python benches/against_captum/planted.py DIR

Runs in an environment with PyTorch, captum and pytorch-grad-cam. The networks, the pictures, and where the shortcut and its placebo lie are those that the
audit left in DIR; which networks use the shortcut is what it measured. A line for each place and method tells in how many of these it sees the
shortcut, in how many networks without one, and the same of our method of that name. captum's relevance goes by the epsilon rule alone, ours by that for linear layers and positive parts for convolutions.
"""

import argparse
import json
import math
import pathlib
import statistics

import torch
from compare import METHODS, folded, loaded, theirs
from safetensors.torch import load_file
from scipy.stats import t as student
from torch.nn import functional


def maps(found, method, size):
    if found.dim() == 4:
        return found.abs().amax(1) if method == "gradient" or method == "guided_backpropagation" else found.sum(1)
    found = found.unsqueeze(1)
    return functional.interpolate(found, size=size, mode="bilinear", align_corners=False)[:, 0]


def excess(net, last, method, x, target, masks):
    found = theirs(net, last, method, x, target)[0].detach().double()
    positive = maps(found, method, x.shape[-2:]).clamp(min=0)
    total = positive.sum((1, 2))
    heard = total > 0
    shares = [((positive * mask).sum((1, 2))[heard] / total[heard]).mean().item() if heard.any() else 0.0 for mask in masks]
    return shares[0] - shares[1]


def bound(values):
    n = len(values)
    return statistics.mean(values) + student.ppf(0.995, n - 1) * statistics.stdev(values) * math.sqrt(1 + 1 / n)


def judge(folder, summary, tensors, at, method):
    place = summary["shortcuts"][at]
    name = place["place"]
    x = tensors[f"{name}.input"]
    masks = [tensors[f"{name}.{which}"].double() for which in ("shortcut", "placebo")]

    def of(network):
        net = loaded("vgg", folder / "networks" / network["run"] / "model.safetensors")
        with torch.no_grad():
            target = net(x).argmax(1)
        net = folded(net) if METHODS[method][2] else net
        return excess(net, dict(net.named_modules())[summary["layer"]], method, x, target, masks)

    threshold = bound([of(network) for network in place["calibration"]])
    seen = [(network, threshold < 1 and of(network) > threshold + 1e-9) for network in place["networks"]]
    used = [is_seen for network, is_seen in seen if network["strength"] > 0 and network["used"]]
    clean = [is_seen for network, is_seen in seen if network["strength"] == 0]
    (ours,) = [v for v in summary["verdicts"] if v["place"] == name and v["method"] == method]
    cells = [name, method, f"{sum(used)} of {len(used)}", f"{sum(clean)} of {len(clean)}"]
    return [*cells, *("{} of {}".format(*ours[key]) for key in ("found", "alarms"))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), help="by default all that were asked of ours")
    arguments = parser.parse_args()
    folder = arguments.folder
    torch.set_num_threads(2)
    summary = json.loads((folder / "summary.json").read_text())
    tensors = load_file(folder / "data.safetensors")
    head = ["place", "method", "found", "false alarms", "ours: found", "ours: false alarms"]
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for at in range(len(summary["shortcuts"])):
        for method in arguments.methods or summary["methods"]:
            if method in METHODS and method in summary["methods"]:
                print("| " + " | ".join(judge(folder, summary, tensors, at, method)) + " |", flush=True)


if __name__ == "__main__":
    main()
