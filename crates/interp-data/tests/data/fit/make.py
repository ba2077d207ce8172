"""Makes photo.jpg and what Pillow and torchvision's Resize and CenterCrop make of it: RGB bytes, row by row.

    python make.py            (Pillow 11 or later, torchvision)
"""

import pathlib

import numpy
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

here = pathlib.Path(__file__).parent
rows, columns = numpy.mgrid[0:94, 0:123]
waves = [numpy.sin(columns * a + rows * b) + numpy.cos(columns * rows * c) for a, b, c in [(0.3, 0.1, 0.002), (0.05, 0.4, 0.001), (0.2, -0.2, 0.003)]]
picture = numpy.stack([127.5 + 60 * wave for wave in waves], axis=2).clip(0, 255).astype("uint8")
Image.fromarray(picture).save(here / "photo.jpg", quality=92)
photo = Image.open(here / "photo.jpg").convert("RGB")
for name, mode in [("bilinear", InterpolationMode.BILINEAR), ("bicubic", InterpolationMode.BICUBIC)]:
    for resize, size in [(32, 28), (47, 33), (120, 101)]:
        fitted = Compose([Resize(resize, mode, antialias=True), CenterCrop(size)])(photo)
        (here / f"{name}-{resize}-{size}.rgb").write_bytes(numpy.asarray(fitted).tobytes())
