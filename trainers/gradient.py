"""One optimiser step from a minibatch that may not fit: in micro-batches, and over ranks (`trainers.distributed`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from trainers import distributed
from trainers.checkpoint import RunError
from trainers.out_of_memory import out_of_memory

SETTING = "micro_batch"


def step(
    parameters: Any,
    optimizer: torch.optim.Optimizer,
    rows: Tensor,
    contribution: Callable[[Tensor], Tensor],
    *,
    max_grad_norm: float,
    micro_batch: int | None = None,
) -> Tensor:
    """Take a step down the gradient of a loss that is a sum over rows; returns the loss, a scalar.

    Args:
        rows: int64 (n,), this rank's part of the minibatch, perhaps none of it. Ranks must take steps together.
        contribution: rows (m,) to what they add to the minibatch's loss (over all ranks), a scalar with gradients. It
            is called with micro_batch rows at most, on every rank equally often, and then perhaps with none.
        max_grad_norm: the gradient is clipped to this norm.
        micro_batch: None: all rows at once.

    Raises:
        RunError: on every rank, a loss that is not finite on one of them; on this one, out of memory. Nothing is done.
    """
    parameters = list(parameters)
    optimizer.zero_grad()
    total = torch.zeros(())
    with out_of_memory(SETTING, micro_batch):
        for part in parts(rows, micro_batch):
            loss = contribution(part)
            total = total + loss.detach()
            if loss.requires_grad:  # what no row adds to may have none
                loss.backward()  # type: ignore[no-untyped-call]
    total = distributed.all_sum(total)
    if not torch.isfinite(total):
        optimizer.zero_grad()
        raise RunError(f"the policy's loss is {total.item()}: lower the learning rate; the last checkpoint is good")
    distributed.sum_gradients(parameters)
    torch.nn.utils.clip_grad_norm_(parameters, max_grad_norm)
    optimizer.step()
    return total


def parts(rows: Tensor, micro_batch: int | None) -> Iterator[Tensor]:
    """Rows in parts of micro_batch at most; as many on every rank, the last ones perhaps empty."""
    size = max(len(rows), 1) if micro_batch is None else micro_batch
    for k in range(distributed.all_max(-(-len(rows) // size))):
        yield rows[k * size : (k + 1) * size]


def minibatches(count: int, number: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Rows 0..count-1 in random order, cut into at most `number` minibatches; with several ranks exactly so many."""
    order = torch.randperm(count, generator=generator)
    # ranks have different counts: chunk would give them different numbers of minibatches
    yield from order.chunk(number) if distributed.world() == 1 else order.tensor_split(number)
