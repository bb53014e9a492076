"""The rules as CUDA kernels, one thread an environment. Importing this needs numba-cuda, or Numba's CUDA simulator.

A kernel calls the rule that the CPU's kernel calls for the same row: numba-cuda compiles a rule as a device function
where it meets one, so nothing of the market is written twice. Tables, views and actions are arrays on the device.
With ``NUMBA_ENABLE_CUDASIM=1`` kernels and rules run as plain Python on the host.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from numba import cuda

from swarm_env.core import observe, step
from swarm_env.core.sizes import UNKNOWN

BLOCK = 64  #: threads a block: few, so that some thousand rows reach every multiprocessor

#: Whether kernels run in Numba's simulator: slowly, in Python, on arrays in host memory.
SIMULATED: bool = bool(cuda.config.ENABLE_CUDASIM)


@cuda.jit  # type: ignore[untyped-decorator,unused-ignore]
def advance(scene: Any, state: Any, view: Any, actions: Any) -> None:
    """Play one step of every row. actions: int64 (B, L, I+3)."""
    b = cuda.grid(1)
    if b < len(actions):
        step.advance_row(scene, state, view, actions, b, UNKNOWN)


@cuda.jit  # type: ignore[untyped-decorator,unused-ignore]
def reset(scene: Any, initial: Any, state: Any, view: Any, rows: Any) -> None:
    """Start the episodes that `rows.seed` and `rows.episode` name. rows: int64 (k,), no row twice."""
    k = cuda.grid(1)
    if k < len(rows):
        step.reset_row(scene, initial, state, view, rows[k])


@cuda.jit  # type: ignore[untyped-decorator,unused-ignore]
def global_state(scene: Any, state: Any, out: Any) -> None:
    """See `observe.global_state`: out (B, S) float32."""
    b = cuda.grid(1)
    if b < len(out):
        observe.global_state_row(scene, state, out[b], b)


@cuda.jit  # type: ignore[untyped-decorator,unused-ignore]
def ledger(scene: Any, state: Any, out: Any) -> None:
    """See `observe.ledger`: out (B, N, I, len(LEDGER)) float32, zeroed."""
    b = cuda.grid(1)
    if b < len(out):
        observe.ledger_row(scene, state, out[b], b)


@contextmanager
def unfused() -> Iterator[None]:
    """What is compiled in here rounds a*b and then a*b + c, as the CPU's code does, instead of both at once.

    NVVM fuses the two unless told otherwise, and numba-cuda has no option to tell it.
    """
    if SIMULATED:
        yield
        return
    from numba.cuda.cudadrv import nvvm

    compile_ir = nvvm.compile_ir
    nvvm.compile_ir = partial(compile_ir, fma=False)
    try:
        yield
    finally:
        nvvm.compile_ir = compile_ir


def launch(kernel: Any, threads: int, stream: Any, *arguments: Any) -> None:
    """Run a kernel in at least that many threads; the first launch for arrays of a layout compiles it."""
    warns = cuda.config.CUDA_LOW_OCCUPANCY_WARNINGS
    cuda.config.CUDA_LOW_OCCUPANCY_WARNINGS = 0  # a few rows leave most of a GPU idle: that is no mistake
    try:
        with unfused():
            kernel[(threads + BLOCK - 1) // BLOCK, BLOCK, stream](*arguments)
    finally:
        cuda.config.CUDA_LOW_OCCUPANCY_WARNINGS = warns
