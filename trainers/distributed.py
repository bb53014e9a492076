"""Data parallelism by torchrun: sums over ranks, equal replicas, and a base that is sharded over them (FSDP2).

Without a process group there is one rank, and nothing here does anything. Models are never wrapped in DDP: what is
trained is small (adapters), and its gradients are summed by hand.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from trainers.checkpoint import RunError

PATIENCE = timedelta(hours=2)  #: with a rank that does something alone, such as an evaluation


def world() -> int:
    """Number of ranks."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's number, from 0."""
    return dist.get_rank() if world() > 1 else 0


def is_main() -> bool:
    """Whether this process is the one that writes files and speaks."""
    return rank() == 0


def init_from_env() -> bool:
    """Join the group that torchrun's environment variables describe; True where there is one.

    CPU tensors go by gloo, CUDA tensors by NCCL.

    Raises:
        RunError: more processes on a machine than it has GPUs.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return False
    if dist.is_initialized():
        return True
    if torch.cuda.is_available():
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if local >= torch.cuda.device_count():
            raise RunError(f"process {local} of this machine has no GPU: it has {torch.cuda.device_count()}")
        torch.cuda.set_device(local)
        dist.init_process_group("cpu:gloo,cuda:nccl", timeout=PATIENCE)
    else:
        dist.init_process_group("gloo", timeout=PATIENCE)
    return True


def all_sum(values: Tensor) -> Tensor:
    """The sum over ranks, of the same shape; values are left alone."""
    if world() == 1:
        return values
    total = values.detach().clone()
    dist.all_reduce(total)
    return total


def all_count(number: int) -> int:
    """The sum over ranks of a whole number."""
    return int(all_sum(torch.tensor(number)))


def all_max(number: int) -> int:
    """The greatest over ranks."""
    if world() == 1:
        return number
    most = torch.tensor(number)
    dist.all_reduce(most, dist.ReduceOp.MAX)
    return int(most)


def all_mean(values: Tensor) -> float:
    """The mean over all ranks' values; NaN where there are none."""
    if world() == 1:
        return float(values.mean())
    total, count = all_sum(torch.stack([values.double().sum().cpu(), torch.tensor(float(values.numel()))]).double())
    return float(total / count)


def moments(values: Tensor) -> tuple[Tensor, Tensor] | None:
    """Mean and population standard deviation over all ranks' values (k,); None where there is one rank or no value."""
    count = all_count(len(values))
    if world() == 1 or not count:
        return None
    mean = all_sum(values.double().sum()) / count
    variance = all_sum(((values.double() - mean) ** 2).sum()) / count
    return mean.to(values.dtype), variance.sqrt().to(values.dtype)


@torch.no_grad()
def sum_gradients(parameters: Iterable[Tensor]) -> None:
    """Replace each gradient by its sum over ranks; a rank without one adds 0."""
    if world() == 1:
        return
    groups: dict[tuple[torch.device, torch.dtype], list[Tensor]] = {}
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        groups.setdefault((parameter.device, parameter.dtype), []).append(parameter.grad)
    for gradients in groups.values():
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, total in zip(gradients, torch.split(flat, sizes), strict=True):
            gradient.copy_(total.view_as(gradient))


@torch.no_grad()
def broadcast(parameters: Iterable[Tensor]) -> None:
    """Give every rank the values of rank 0."""
    if world() > 1:
        for parameter in parameters:
            dist.broadcast(parameter.data, 0)


@torch.no_grad()
def check_replicas(parameters: Iterable[Tensor], what: str) -> None:
    """See that all ranks hold the same values, bit by bit.

    Raises:
        RunError: on every rank, where they do not.
    """
    if world() == 1:
        return
    differing = 0
    for parameter in parameters:
        first = parameter.detach().clone()
        dist.broadcast(first, 0)
        differing += int(not torch.equal(first, parameter))
    if all_count(differing):
        raise RunError(f"{what}: the processes' weights differ; all must start from the same seed and files")


def shard(model: Any) -> None:
    """Cut a causal LM's weights over all ranks (FSDP2): each of its layers, then what is left of it.

    Adapters that are put in later are not cut: every rank holds them whole, and `sum_gradients` keeps them equal. The
    model itself is the root, so that its own `generate` meets the hooks that gather weights.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh("cuda" if torch.cuda.is_available() else "cpu", (world(),))
    for layer in layers(model):
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)


def layers(model: Any) -> list[Any]:
    """The repeated blocks of a causal LM.

    Raises:
        RunError: it does not say which they are.
    """
    names = set(getattr(model, "_no_split_modules", None) or ())
    found = [module for module in model.modules() if type(module).__name__ in names]
    if not found:
        raise RunError(f"{type(model).__name__} does not name its layers: it cannot be sharded")
    return found
