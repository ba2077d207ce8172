"""Writes descriptors.json: a picture with its local binary patterns, and the histograms of oriented gradients of ramps, by
scikit-image (0.26 with NumPy 2).

    python make_descriptors.py
"""

import json
import pathlib

import numpy as np
from skimage.feature import local_binary_pattern
from skimage.feature._hoghistogram import hog_histograms

SIZE, CELL, BINS = 12, 4, 9


def histograms(picture):
    """Of all cells, before the normalization of blocks: what skimage.feature.hog computes first."""
    rows, columns = np.zeros(picture.shape), np.zeros(picture.shape)
    rows[1:-1] = picture[2:] - picture[:-2]
    columns[:, 1:-1] = picture[:, 2:] - picture[:, :-2]
    cells = SIZE // CELL
    out = np.zeros((cells, cells, BINS))
    hog_histograms(columns, rows, CELL, CELL, SIZE, SIZE, cells, cells, BINS, out)
    return out


def ramp(angle, slope):
    """What the test makes again."""
    down, right = np.mgrid[:SIZE, :SIZE]
    return slope * (right * np.cos(angle) + down * np.sin(angle))


random = np.random.default_rng(0)
picture = random.random((SIZE, SIZE)).round(3)
patterns = local_binary_pattern(picture, P=8, R=1, method="uniform")
angles = [(bin + 0.5) * np.pi / BINS for bin in range(BINS)]
ramps = [ramp(angle, 0.01 * (bin + 1)) for bin, angle in enumerate(angles)]
written = {
    "size": SIZE,
    "picture": picture.ravel().tolist(),
    # Beyond the borders scikit-image sees 0: the outer pixels have patterns of their own.
    "inner_patterns": patterns[1:-1, 1:-1].astype(int).ravel().tolist(),
    "middle_cells": [histograms(ramp)[1, 1].round(6).tolist() for ramp in ramps],
}
path = pathlib.Path(__file__).with_name("descriptors.json")
path.write_text(json.dumps(written) + "\n")
