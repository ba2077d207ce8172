"""Small files that PyTorch has saved, and what PyTorch reads from them: what tests/pth.rs holds our reading of them against.

    python crates/interp-net/tests/data/make_pth.py

Writes the folder pth/ beside this file; expected.json in it has for every file that holds a state dict its tensors by name, each as
`[type, shape, numbers]`, the numbers as f64 row by row. What is refused is there too: whole modules, a file that would call os.system
(`echo`) where it is unpickled, several state dicts, types that are not read. What is expected is what torch.load reads
back. Python 2's way of writing a dict is imitated, since nothing here can save it.

The files in the repository were made by PyTorch 2.13.0 and safetensors 0.8.0.
"""

import collections
import json
import os
import pathlib
import zipfile

import torch
from safetensors.torch import save_file
from torch import nn

FOLDER = pathlib.Path(__file__).parent / "pth"
LEGACY = {"_use_new_zipfile_serialization": False}


def numbers(*shape, dtype=torch.float32):
    count = torch.Size(shape).numel()
    return (torch.arange(count, dtype=torch.float64) * 1.25 - 2).reshape(shape).to(dtype)


def all_types():
    """Numbers of every type, and tensors that are views of storages in every way."""
    base = numbers(4, 6)
    types = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8"]
    state = collections.OrderedDict((name, numbers(2, 3, dtype=getattr(torch, name))) for name in types)
    state["uint8"] = torch.tensor([0, 1, 255], dtype=torch.uint8)
    state["bool"] = torch.tensor([[True, False], [False, True]])
    state["bn.num_batches_tracked"] = torch.tensor(17)
    state["whole"] = base
    state["tied"] = base
    state["turned"] = base.t()
    state["part"] = base[1:3, 1::2]
    state["row"] = base[2]
    state["turned part"] = base.reshape(2, 2, 6)[1].permute(1, 0)[2:5]
    state["repeated"] = torch.tensor([[1.5], [-2.5]]).expand(2, 3)
    state["empty"] = torch.zeros(0, 3)
    state["channels last"] = numbers(2, 3, 2, 2).contiguous(memory_format=torch.channels_last)
    state["extremes"] = torch.tensor([float("inf"), float("-inf"), float("nan"), 1e-45, 3.4e38])
    return state


def network():
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 2))


class Python2Dict(dict):
    """Pickled as Python 2 did an OrderedDict: a call with a list of pairs."""

    def __reduce__(self):
        return collections.OrderedDict, ([[key, value] for key, value in self.items()],)


class Code:
    def __reduce__(self):
        return os.system, ("echo this was run",)


def listed(tensor):
    values = tensor.detach().to(torch.float64).flatten().tolist()
    names = {float("inf"): "inf", float("-inf"): "-inf"}
    values = ["nan" if value != value else names.get(value, value) for value in values]
    return [str(tensor.dtype).removeprefix("torch."), list(tensor.shape), values]


def save(expected, name, content, key=None, **options):
    torch.save(content, FOLDER / name, **options)
    read = torch.load(FOLDER / name, weights_only=False)
    expected[name] = {name: listed(tensor) for name, tensor in (read[key] if key else read).items()}


def state_dicts(expected):
    net = network()
    state = net.state_dict()
    save(expected, "types.pth", all_types())
    save(expected, "types_legacy.pth", all_types(), **LEGACY)
    save(expected, "module.pt", state)
    save(expected, "module_legacy.bin", state, **LEGACY)
    save(expected, "protocol4.pth", state, pickle_protocol=4)
    save(expected, "protocol4_legacy.pth", state, pickle_protocol=4, **LEGACY)
    save(expected, "parameters.pth", dict(net.named_parameters()))
    save(expected, "python2.pth", Python2Dict(state), **LEGACY)
    beside = {"epoch": 3, "arch": "net", "best_acc1": torch.tensor(0.5), "loss": 0.25, "optimizer": optimizer(net)}
    for key in ["state_dict", "model", "model_state_dict", "net"]:
        save(expected, f"nested_{key}.pth", beside | {key: state}, key)


def optimizer(net):
    net(torch.ones(2, 1, 3, 3)).sum().backward()
    sgd = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    sgd.step()
    return sgd.state_dict()


def shards(expected):
    state = network().state_dict()
    names = list(state)
    for kind, ending, write in [("model", "safetensors", save_file), ("pytorch_model", "bin", torch.save)]:
        parts = {f"{kind}-0000{part + 1}-of-00002.{ending}": names[part::2] for part in range(2)}
        for shard, part in parts.items():
            write({name: state[name] for name in part}, FOLDER / shard)
        index = {"metadata": {"total_size": 60}, "weight_map": {n: shard for shard, part in parts.items() for n in part}}
        name = f"{kind}.{ending}.index.json"
        (FOLDER / name).write_text(json.dumps(index, indent=2) + "\n")
        expected[name] = {key: listed(tensor) for key, tensor in state.items()}


def refused():
    state, tensor = network().state_dict(), numbers(2, 2)
    contents = {
        "whole_module": network(),
        "code": {"weight": tensor, "run": Code()},
        "several": {"model": state, "net": state},
        "elsewhere": {"generator": state, "discriminator": state},
        "none": {"epoch": 3, "note": "no tensors"},
        "list": [tensor],
        "complex": {"weight": torch.zeros(2, dtype=torch.complex64)},
        "sparse": {"weight": tensor.to_sparse()},
    }
    for name, content in contents.items():
        torch.save(content, FOLDER / f"refused_{name}.pth")
    torch.save(contents["code"], FOLDER / "refused_code_legacy.pth", **LEGACY)
    pack(FOLDER / "types.pth", FOLDER / "refused_bomb.pth")


def pack(source, target):
    """The same archive with a storage that grows a thousandfold where it is unpacked."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as new:
        for name in old.namelist():
            new.writestr(name, bytes(4 << 20) if name.endswith("/data/0") else old.read(name))


def main():
    FOLDER.mkdir(exist_ok=True)
    expected = {}
    state_dicts(expected)
    shards(expected)
    refused()
    lines = [f"{json.dumps(name)}: {json.dumps(tensors)}" for name, tensors in expected.items()]
    (FOLDER / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
