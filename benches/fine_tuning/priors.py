"""A trained ResNet-20 trained on with each prior: does the claim hold, and what is the accuracy before and after?

    python benches/fine_tuning/priors.py PROGRAM CIFAR10 RESNET20 [NAME...]

PROGRAM is a built interp-train, CIFAR10 a folder of CIFAR-10, RESNET20 the ResNet-20 of akamaster/pytorch_resnet_cifar10 as safetensors. Prints a
table in Markdown; runs that are finished are kept in checkpoints/fine_tuning, and stopped ones go on. Priors that need what this network or
CIFAR-10 has not (masks of objects, quantities that outputs rise with, experts) are not in the list.
"""

import json
import pathlib
import subprocess
import sys

CONVOLUTIONS = 'nodes=["conv1","layer*"]'
PRIORS = {
    "none": None,
    "l1": f'kind="l1",{CONVOLUTIONS},target=0.8,reached_at=0.5',
    "l0": 'kind="l0",nodes=["layer*.conv1"],target=0.25',
    "group_lasso": 'kind="group_lasso",nodes=["layer*.conv1"],groups="filters",target=0.25',
    "slimming": 'kind="slimming",nodes=["layer*.bn1"],target=0.25',
    "magnitude": f'kind="magnitude",{CONVOLUTIONS},target=0.8',
    "hoyer": f'kind="hoyer",{CONVOLUTIONS},target=0.5',
    "non_negative": 'kind="non_negative",nodes=["linear"]',
    "orthogonal": 'kind="orthogonal",nodes=["layer3*"],target=0.01',
    "decorrelated": 'kind="decorrelated",nodes=["layer1*"],target=0.05',
    "activity": 'kind="activity",nodes=["layer*.relu1"],target=0.6',
    "one_threshold": 'kind="one_threshold",nodes=["relu","layer*"]',
    "bounded_field": 'kind="bounded_field",nodes=["layer1.0.conv2"],pixels=7',
    "bank": 'kind="bank",nodes=["conv1"],bank="opponent"',
}
# What a prior asks of the network.
MODEL = {"one_threshold": ["model.activation=soft_threshold", "model.threshold=0.01"]}


def main():
    program, data, resnet20, *names = sys.argv[1:]
    out = pathlib.Path("checkpoints/fine_tuning")
    print(f"before: {before(program, data, resnet20)}\n")
    print("| prior | claim | measured | accuracy |")
    print("|---|---|---|---|")
    for name in names or PRIORS:
        folder = out / name
        if not (folder / "summary.json").exists():
            train(program, data, resnet20, name, folder)
        row(name, json.loads((folder / "summary.json").read_text()))


def before(program, data, resnet20):
    normalized = ["--arch", "resnet20", "--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225"]
    command = [program, "eval", resnet20, *normalized, "--data", f"cifar10:{data}", "--json"]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return f"{100 * told['accuracy']:.2f} % of {told['count']} test pictures"


def train(program, data, resnet20, name, folder):
    prior = f"prior=[{{{PRIORS[name]}}}]" if PRIORS[name] else "prior=[]"
    sets = ["twin=false", f"data.path={data}", f"init.path={resnet20}", prior, *MODEL.get(name, [])]
    command = [program, "recipes/finetune_resnet20.toml", "--out", folder, "--quiet"]
    command += [word for value in sets for word in ("--set", value)]
    command += ["--resume"] if folder.exists() else []
    subprocess.run(command, check=False)


def row(name, summary):
    claims = summary["claims"] or [{"statement": "none", "shown": "", "holds": True}]
    statement = "; ".join(claim["statement"] for claim in claims)
    shown = "; ".join(claim["shown"] + ("" if claim["holds"] else " **fails**") for claim in claims)
    accuracy = f"{100 * summary['test']['accuracy']:.2f} %"
    print(f"| `{name}` | {statement} | {shown} | {accuracy} |", flush=True)


main()
