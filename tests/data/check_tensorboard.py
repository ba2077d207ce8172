"""Holds the event files of a run against its log: TensorBoard's own reader must find every number of every epoch, and each once.

    pip install tensorboard
    interp-train RECIPE --out RUN --tensorboard
    python check_tensorboard.py RUN
"""

import json
import math
import pathlib
import sys

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

RUNS = {"main": "network", "twin": "twin"}


def scalars(line, tag=""):
    """The numbers in a part of the log's line, by tag."""
    if isinstance(line, dict):
        parts = [scalars(part, f"{tag}/{key}".lstrip("/")) for key, part in line.items()]
        return {tag: value for part in parts for tag, value in part.items()}
    return {} if tag in ("stage", "epoch") else {tag: np.float32(math.nan if line is None else line)}


def check(stage, lines, folder):
    """The folder has what the lines say, and no more."""
    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    tags = {tag for line in lines for tag in scalars(line)}
    assert set(reader.Tags()["scalars"]) == tags, set(reader.Tags()["scalars"]) ^ tags
    for tag in tags:
        expected = [(line["epoch"], scalars(line)[tag]) for line in lines if tag in scalars(line)]
        found = reader.Scalars(tag)
        assert [event.step for event in found] == [step for step, _ in expected], (stage, tag, found)
        np.testing.assert_array_equal([event.value for event in found], [value for _, value in expected], f"{stage} {tag}")
        times = [event.wall_time for event in found]
        assert times == sorted(times), (stage, tag, times)
    steps = [line["epoch"] for line in lines]
    print(f"{folder}: {len(tags)} tags, steps {steps[0]} to {steps[-1]}, as in the log")


run = pathlib.Path(sys.argv[1])
log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
for stage, name in RUNS.items():
    lines, folder = [line for line in log if line["stage"] == stage], run / "tensorboard" / name
    assert bool(lines) == folder.exists(), folder
    if lines:
        check(stage, lines, folder)
