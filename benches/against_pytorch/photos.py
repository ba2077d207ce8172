"""From JPEG files to logits: photographs as Pillow and torchvision bring them to a ResNet-18, and as interp-train does.

    python benches/against_pytorch/photos.py PROGRAM PHOTOS

PROGRAM is a built interp-train, PHOTOS a folder of JPEG files. Needs torch, torchvision, Pillow, safetensors, and cargo for the comparison of
pixels. Weights are random: nothing is downloaded.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file
from torchvision.transforms import CenterCrop, Compose, Normalize, Resize, ToTensor

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
CONFIG = {
    "architecture": "resnet18",
    "num_classes": 1000,
    "pretrained_cfg": {
        "input_size": [3, 224, 224],
        "interpolation": "bilinear",
        "crop_pct": 0.875,
        "crop_mode": "center",
        "mean": MEAN,
        "std": STD,
    },
}


def network():
    """A ResNet-18 whose running statistics are those of noise, so that its logits depend on the picture."""
    torch.manual_seed(0)
    model = torchvision.models.resnet18()
    model.train()
    with torch.no_grad():
        for _ in range(20):
            model(torch.randn(16, 3, 96, 96))
    return model.eval()


def ours(program, folder, photos):
    command = [program, "predict", folder, *photos, "--top", "1000", "--json"]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    logits = numpy.zeros([len(photos), 1000])
    for row, image in zip(logits, told["images"]):
        for one in image["classes"]:
            row[one["index"]] = numpy.log(one["confidence"])
    return logits


def main():
    program, source = sys.argv[1:]
    photos = sorted(str(path) for path in pathlib.Path(source).iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))
    fitted = Compose([Resize(256, antialias=True), CenterCrop(224)])
    with tempfile.TemporaryDirectory() as folder:
        pairs, model = pathlib.Path(folder, "pairs"), network()
        pairs.mkdir()
        save_file({name: value.contiguous() for name, value in model.state_dict().items()}, f"{folder}/model.safetensors")
        pathlib.Path(folder, "config.json").write_text(json.dumps(CONFIG))
        theirs = []
        for at, photo in enumerate(photos):
            picture = fitted(Image.open(photo).convert("RGB"))
            (pairs / f"{at}.jpg").symlink_to(pathlib.Path(photo).resolve())
            (pairs / f"{at}.rgb").write_bytes(numpy.asarray(picture).tobytes())
            theirs.append(Compose([ToTensor(), Normalize(MEAN, STD)])(picture))
        with torch.no_grad():
            theirs = torch.log_softmax(model(torch.stack(theirs)).double(), dim=1).numpy()
        own = ours(program, folder, photos)
        test = ["cargo", "test", "--locked", "--workspace", "--test", "fit", "--", "--ignored", "--nocapture"]
        said = subprocess.run(test, env=os.environ | {"INTERP_PHOTOS": str(pairs)}, capture_output=True, text=True)
        print(*[line for line in (said.stdout + said.stderr).splitlines() if "photographs:" in line or "panicked" in line])
    size = numpy.abs(theirs - theirs.mean(axis=1, keepdims=True)).max(axis=1)
    apart = numpy.abs(own - theirs).max(axis=1) / size
    print(f"logits: apart by {apart.mean():.2e} of the largest on average, {apart.max():.2e} at most;", end=" ")
    print(f"the same first class for {(own.argmax(1) == theirs.argmax(1)).sum()} of {len(photos)}")


main()
