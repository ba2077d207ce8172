"""Writes events.tfevents: two epochs of a log as scalars, by TensorBoard's own messages and framing (TensorBoard 2.21).

    pip install tensorboard
    python make_events.py
"""

import math
import pathlib

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter

BEGUN = 1.6e9


def epoch(step, loss, seconds):
    """What the test makes again."""
    scalars = {
        "chosen": 1, "learning_rate": 0.12, "meets_claims": 0, "phase": 0, "priors/l1.strength": 0.0625, "seconds": seconds,
        "train/accuracy": 0.25, "train/loss": 1.7, "validation/accuracy": 0.5, "validation/loss": loss,
    }
    event = Event(wall_time=BEGUN + seconds, step=step)
    for tag, value in scalars.items():
        event.summary.value.add(tag=tag, simple_value=value)
    return event


with open(pathlib.Path(__file__).with_name("events.tfevents"), "wb") as file:
    writer = RecordWriter(file)
    for event in [Event(wall_time=BEGUN, file_version="brain.Event:2"), epoch(1, 2.5, 12.5), epoch(300, math.nan, 2500.25)]:
        writer.write(event.SerializeToString(deterministic=True))
