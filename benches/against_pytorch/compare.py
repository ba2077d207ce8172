"""Ours against PyTorch: the same networks, batch and threads, in turn, over several rounds.

    python benches/against_pytorch/compare.py --python PYTHON_WITH_TORCH [--nets vgg4 resnet20] [--rounds 7]

Prints one JSON line per case and a table last. A ratio is PyTorch's time over ours: above 1, ours is faster.
The time of a round is the median over its steps; ratios are taken within a round.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
NETS = ["vgg4", "sparse-vgg", "vgg11", "resnet20", "resnet18"]


def build():
    """The path of our program."""
    command = ["cargo", "bench", "--bench", "step", "--no-run", "--message-format", "json"]
    lines = subprocess.run(command, cwd=HERE.parent.parent, check=True, capture_output=True, text=True).stdout
    messages = [json.loads(line) for line in lines.splitlines() if line.startswith("{")]
    return next(m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "step")


def run(command, case):
    options = [case["net"], "--mode", case["mode"], "--batch", case["batch"], "--threads", case["threads"]]
    options += ["--steps", case["steps"]]
    out = subprocess.run([*command, *map(str, options)], check=True, capture_output=True, text=True).stdout
    found = json.loads(out.splitlines()[-1])
    return statistics.median(found["seconds"]), found["peak_kib"] - found["idle_kib"]


def compare(case, commands, rounds):
    """Seconds and KiB of each program, round by round, each round in another order."""
    found = {name: [] for name in commands}
    for index in range(rounds):
        names = list(commands)
        for name in names[index % len(names) :] + names[: index % len(names)]:
            found[name].append(run(commands[name], case))
    ours = found.pop("ours")
    row = dict(case, ours={"ms": 1e3 * statistics.median(t for t, _ in ours), "kib": max(m for _, m in ours)})
    for name, theirs in found.items():
        ratios = [their / our for (our, _), (their, _) in zip(ours, theirs)]
        row[name] = {
            "ms": 1e3 * statistics.median(t for t, _ in theirs),
            "ratio": [statistics.median(ratios), min(ratios), max(ratios)],
            "kib": max(m for _, m in theirs),
        }
    return row


def table(rows, layouts):
    lines = [f"{'net':<11} {'mode':<6} {'ours':>8}" + "".join(f"  {layout:>30}" for layout in layouts)]
    for row in rows:
        line = f"{row['net']:<11} {row['mode']:<6} {row['ours']['ms']:5.1f} ms"
        for layout in layouts:
            middle, low, high = row[layout]["ratio"]
            memory = row["ours"]["kib"] / max(row[layout]["kib"], 1)
            line += f"  {middle:5.2f} ({low:4.2f} to {high:4.2f}) mem {memory:4.2f}"
        lines.append(line)
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--nets", nargs="+", default=NETS, choices=NETS)
    parser.add_argument("--modes", nargs="+", default=["train", "infer"])
    parser.add_argument("--layouts", nargs="+", default=["nchw", "channels-last"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    commands = {"ours": [build()]}
    for layout in arguments.layouts:
        commands[layout] = [arguments.python, str(HERE / "peer.py"), "--layout", layout]
    rows = []
    for net in arguments.nets:
        for mode in arguments.modes:
            case = {"net": net, "mode": mode, "batch": arguments.batch}
            case |= {"threads": arguments.threads, "steps": arguments.steps}
            rows.append(compare(case, commands, arguments.rounds))
            print(json.dumps(rows[-1]), flush=True)
    print(table(rows, arguments.layouts))


if __name__ == "__main__":
    main()
