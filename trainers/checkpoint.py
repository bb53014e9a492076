"""Checkpoints: one safetensors file each, tensors and JSON and nothing else. It appears whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import random
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

try:
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import save
except ImportError as error:
    raise ImportError("training needs safetensors: pip install 'swarm-env[train]'") from error

Tensors = dict[str, Tensor]
State = dict[str, Any]


class RunError(ValueError):
    """A run or a checkpoint that cannot be used; one line saying which and why."""


class Checkpoint(NamedTuple):
    """What a file holds."""

    path: Path
    tensors: Tensors
    state: State  # JSON


UNFINISHED = ".unfinished"  #: how the names of files end that are being written


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that nobody ever sees a part of it: temporary file, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=UNFINISHED, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # temporary files are private, results are not
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def clear_unfinished(folder: Path) -> None:
    """Remove what a killed process left of files that it was writing, anywhere below a folder that is nobody else's."""
    for path in folder.rglob(f".*{UNFINISHED}"):
        path.unlink(missing_ok=True)


def _digest(tensors: Mapping[str, Tensor], state: str) -> str:
    """SHA-256 over state and tensors: names, types, shapes and bytes."""
    total = hashlib.sha256(state.encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def write(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Write a checkpoint; equal content gives equal bytes. `state` is anything that JSON can hold exactly."""
    text = json.dumps(state, sort_keys=True, allow_nan=False)
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # one entry: safetensors writes several in any order, and equal content would not give equal bytes
    said = json.dumps({"digest": _digest(plain, text), "state": text})
    write_whole(path, save(plain, {"checkpoint": said}))


def read(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        RunError: not there, cut short, or not what was written.
    """
    try:
        with safe_open(path, framework="pt") as file:
            said = json.loads((file.metadata() or {})["checkpoint"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no mapping
        text, digest = said["state"], said["digest"]
    except FileNotFoundError as error:
        raise RunError(f"{path}: no such checkpoint") from error
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise RunError(f"{path}: not a whole checkpoint ({error}); without it the one before would be used") from error
    if _digest(tensors, text) != digest:
        raise RunError(f"{path}: damaged, its content is not what was written; without it the one before would be used")
    return Checkpoint(path, tensors, json.loads(text))


def part(tensors: Mapping[str, Tensor], prefix: str) -> Tensors:
    """The tensors whose names begin with the prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def pack_bytes(content: bytes) -> Tensor:
    """Bytes as a uint8 tensor (n,)."""
    return torch.from_numpy(np.frombuffer(content, np.uint8).copy())


def pack_optimizer(optimizer: torch.optim.Optimizer, prefix: str = "optimizer") -> tuple[Tensors, State]:
    """An optimiser's tensors, named prefix.<parameter>.<key>, and the rest of its state as JSON."""
    held = optimizer.state_dict()
    tensors, rest = {}, {}
    for number, entry in held["state"].items():
        for key, value in entry.items():
            if isinstance(value, Tensor):
                tensors[f"{prefix}.{number}.{key}"] = value
            else:
                rest[f"{number}.{key}"] = value
    return tensors, {"groups": held["param_groups"], "rest": rest}


def unpack_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], state: Mapping[str, Any], prefix: str = "optimizer"
) -> None:
    """Give an optimiser the state that `pack_optimizer` took."""
    entries: dict[int, dict[str, Any]] = {}
    named = {name.removeprefix(f"{prefix}."): x for name, x in tensors.items() if name.startswith(f"{prefix}.")}
    for name, value in {**named, **state["rest"]}.items():
        number, _, key = name.partition(".")
        entries.setdefault(int(number), {})[key] = value
    groups = [{**group, "betas": tuple(group["betas"])} if "betas" in group else group for group in state["groups"]]
    optimizer.load_state_dict({"state": entries, "param_groups": groups})


def pack_randomness() -> tuple[Tensors, State]:
    """The states of torch's, NumPy's and Python's global generators."""
    tensors = {"random.torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors |= {f"random.cuda.{k}": state for k, state in enumerate(torch.cuda.get_rng_state_all())}
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    tensors["random.numpy"] = torch.from_numpy(np.asarray(keys).astype(np.int64))
    version, inner, following = random.getstate()
    return tensors, {
        "numpy": [kind, int(position), int(has_gauss), float(gauss)],
        "python": [version, list(inner), following],
    }


def unpack_randomness(tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Set the global generators to what `pack_randomness` took."""
    torch.set_rng_state(tensors["random.torch"])
    cuda = sorted(name for name in tensors if name.startswith("random.cuda."))
    if cuda and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([tensors[name] for name in cuda])
    kind, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((kind, tensors["random.numpy"].numpy().astype(np.uint32), position, has_gauss, gauss))
    version, inner, following = state["python"]
    random.setstate((version, tuple(inner), following))
