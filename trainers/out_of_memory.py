"""What to do about too little memory, said where it happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from trainers.checkpoint import RunError

ON_CPU = "can't allocate memory"  #: in what torch's CPU allocator says


@contextmanager
def out_of_memory(setting: str, value: int | None) -> Iterator[None]:
    """Turn running out of memory into a RunError that names the setting to lower, and its value."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and ON_CPU not in str(error):
            raise
        now = "unset: a whole minibatch at once" if value is None else str(value)
        raise RunError(f"out of memory: lower {setting} (now {now}); the last checkpoint is good") from error
