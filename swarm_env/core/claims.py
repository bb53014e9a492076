"""Which rows a thread plays next, where several share a step.

Every thread has rows of its own, of which it takes a block at a time, and takes from the others' once these are gone.
So a step is one call a thread, nobody waits for a thread that is held up but for a block, and rows are on the same core
from step to step, in its caches.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from swarm_env.core.addresses import element
from swarm_env.core.compiled import alternative, rule
from swarm_env.core.tables import LINE, tables

#: Claims are int64 (threads, WIDTH), a cache line a thread: its first row that nobody has taken, where its rows end,
#: and how many are taken at a time.
NEXT, STOP, BLOCK, WIDTH = 0, 1, 2, LINE // 8
_ONE_AT_A_TIME = threading.Lock()


def claims_for(shares: Sequence[tuple[int, int]], block: int) -> NDArray[np.int64]:
    """Claims of as many threads, nothing taken yet. shares: (lo, hi) of each."""
    claims = tables([(np.dtype(np.int64), (len(shares), WIDTH))])[0]
    for k, (lo, hi) in enumerate(shares):
        claims[k, NEXT], claims[k, STOP], claims[k, BLOCK] = lo, hi, block
    return claims


#: For a kernel whose caller is alone: no claims, and no number among the threads.
ALONE: tuple[NDArray[np.int64], int] = (claims_for([], 1), 0)


@intrinsic
def _add(context: Any, claims: Any, who: Any, rows: Any) -> Any:
    """claims[who, NEXT] += rows, in one piece; returns what was there before."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind, who, rows = signature.args[0], arguments[1], arguments[2]
        where = element(target, builder, kind, arguments[0], who, ir.IntType(64)(NEXT))
        # no order beside it is needed: rows share nothing, and the threads meet in Python after a step
        return builder.atomic_rmw("add", where, rows, "monotonic")

    return types.int64(claims, types.int64, types.int64), generate


@rule
def _add_in_kernels(claims: NDArray[np.int64], who: int, rows: int) -> int:
    return _add(claims, who, rows)  # type: ignore[call-arg]


def _add_in_python(claims: NDArray[np.int64], who: int, rows: int) -> int:
    with _ONE_AT_A_TIME:
        before = int(claims[who, NEXT])
        claims[who, NEXT] = before + rows
    return before


_taken = alternative(_add_in_kernels, _add_in_python)


@rule
def take(claims: NDArray[np.int64], me: int) -> tuple[int, int]:
    """(lo, hi) of rows that are now thread me's to play; (0, 0) once all are taken."""
    for k in range(len(claims)):
        who = (me + k) % len(claims)
        lo = _taken(claims, who, claims[who, BLOCK])
        if lo < claims[who, STOP]:
            return lo, min(lo + claims[who, BLOCK], claims[who, STOP])
    return 0, 0
