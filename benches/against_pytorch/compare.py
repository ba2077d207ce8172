"""Ours against PyTorch: the same networks from the same parameters on the same batches and threads, in turn, over rounds.

    python benches/against_pytorch/compare.py --python PYTHON_WITH_TORCH [--nets vgg4 resnet20] [--rounds 7]
    python benches/against_pytorch/compare.py --python PYTHON_WITH_TORCH --check

Prints one JSON line per case and a table last. A ratio is PyTorch's time over ours: above 1, ours is faster. The time of a
round is the median over its steps; ratios are taken within a round; of them the table has median, minimum and maximum. What
counts is `eager`: the better of PyTorch's two eager layouts, by its median time. Memory is what a process holds at most
above what it holds when it has trained a small network and read its batches (Linux only); its ratio is ours over PyTorch's:
below 1, ours takes less.

`difference` shows that both do the same: the largest relative difference of the first losses (in inference, the largest
difference of logits over the largest logit). They are the first three, which two steps with all their settings went
before, since each step makes rounding errors grow tenfold to thousandfold, and so differences of PyTorch's layouts among
each other. The script fails where no layout is within 5e-3; with --check that is all it looks at, in few steps.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
NETS = ["vgg4", "sparse-vgg", "vgg11", "resnet20", "resnet18"]
MODES = ["train", "infer"]
EAGER = ["nchw", "channels-last"]
LAYOUTS = [*EAGER, "compiled"]
# Losses that are held against each other.
FIRST = 3
# Rounding errors make 1e-7 (vgg4) to 1e-3 (resnet18) in the third loss; without Nesterov's momentum it is 1e-2 to 2e-2.
SAME = 5e-3


def build():
    """The path of our program."""
    command = ["cargo", "bench", "--bench", "step", "--no-run", "--message-format", "json"]
    lines = subprocess.run(command, cwd=HERE.parent.parent, check=True, capture_output=True, text=True).stdout
    messages = [json.loads(line) for line in lines.splitlines() if line.startswith("{")]
    return next(m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "step")


def call(command):
    command = [str(word) for word in command]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def run(command):
    """What a program has found: its time and memory, and what it computed."""
    found = json.loads(call(command).splitlines()[-1])
    kib = found["peak_kib"] - found["idle_kib"]
    return {"seconds": statistics.median(found["seconds"]), "kib": kib, "results": found["results"]}


def commands(case, ours, python, layouts, file):
    """By name, the programs that are to do the same. The file with which they start has been written."""
    size = ["--batch", case["batch"], "--steps", case["steps"]]
    same = ["--mode", case["mode"], "--threads", case["threads"]]
    call([ours, case["net"], *size, "--write", file])
    peers = {name: [python, HERE / "peer.py", case["net"], file, *same, "--layout", name] for name in layouts}
    return {"ours": [ours, case["net"], *size, *same]} | peers


def in_turn(commands, rounds):
    """What each program found, round by round, each round in another order."""
    found = {name: [] for name in commands}
    for index in range(rounds):
        names = list(commands)
        for name in names[index % len(names) :] + names[: index % len(names)]:
            found[name].append(run(commands[name]))
    return found


def summary(found):
    return {key: statistics.median(one[key] for one in found) for key in ("seconds", "kib")}


def difference(ours, theirs, mode):
    ours, theirs = ours[0]["results"], theirs[0]["results"]
    if len(ours) != len(theirs):
        raise ValueError("one of them has done more steps")
    if mode == "train":
        return max(abs(a / b - 1) for a, b in zip(ours[:FIRST], theirs))
    return max(abs(a - b) for a, b in zip(ours, theirs)) / max(map(abs, theirs))


def against(ours, theirs, mode):
    """One way of running PyTorch beside ours."""
    ratios = [their["seconds"] / our["seconds"] for our, their in zip(ours, theirs)]
    memory = summary(ours)["kib"] / max(summary(theirs)["kib"], 1)
    ratio = [statistics.median(ratios), min(ratios), max(ratios)]
    return summary(theirs) | {"ratio": ratio, "memory": memory, "difference": difference(ours, theirs, mode)}


def compare(case, commands, rounds):
    found = in_turn(commands, rounds)
    ours = found.pop("ours")
    peers = {name: against(ours, theirs, case["mode"]) for name, theirs in found.items()}
    row = case | {"ours": summary(ours)} | peers
    eager = [name for name in found if name in EAGER]
    return row | ({"eager": min(eager, key=lambda name: row[name]["seconds"])} if eager else {})


def table(rows, layouts):
    """Rows of Markdown."""
    shown = {"eager": "eager, the better"} | {name: name for name in layouts}
    header = ["net", "mode", "ours, ms", *shown.values()]
    lines = [header, ["---"] * len(header)]
    for row in rows:
        peers = [cell(row, row.get("eager") if key == "eager" else key) for key in shown]
        lines.append([row["net"], row["mode"], f"{1e3 * row['ours']['seconds']:.1f}", *peers])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cell(row, name):
    if name is None:
        return ""
    middle, low, high = row[name]["ratio"]
    return f"{middle:.2f} ({low:.2f} to {high:.2f}), memory {row[name]['memory']:.2f}"


def differences(row, layouts):
    return f"{row['net']:<11} {row['mode']:<6} " + ", ".join(f"{name} {row[name]['difference']:.1e}" for name in layouts)


def refuse_other_work(rows, layouts):
    """Fails where ours and PyTorch have not done the same."""
    wrong = [row for row in rows if not min(row[name]["difference"] for name in layouts) < SAME]
    if wrong:
        sys.exit("not the same work:\n" + "\n".join(differences(row, layouts) for row in wrong))


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--ours", help="the program of benches/step.rs, where it is not to be built")
    parser.add_argument("--nets", nargs="+", default=NETS, choices=NETS)
    parser.add_argument("--modes", nargs="+", default=MODES, choices=MODES)
    parser.add_argument("--layouts", nargs="+", default=LAYOUTS, choices=LAYOUTS)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    if arguments.check:
        arguments.rounds, arguments.steps = 1, 2
    return arguments


def cases(arguments):
    same = {key: getattr(arguments, key) for key in ("batch", "threads", "steps")}
    return [{"net": net, "mode": mode} | same for net in arguments.nets for mode in arguments.modes]


def main():
    arguments, rows = parse(), []
    ours, layouts = arguments.ours or build(), arguments.layouts
    for case in cases(arguments):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "start.safetensors"
            rows.append(compare(case, commands(case, ours, arguments.python, layouts, file), arguments.rounds))
        print(differences(rows[-1], layouts) if arguments.check else json.dumps(rows[-1]), flush=True)
    if not arguments.check:
        print(table(rows, layouts))
    refuse_other_work(rows, layouts)


if __name__ == "__main__":
    main()
