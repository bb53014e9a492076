"""The threads that work on a batch's rows."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

from swarm_env.core.claims import ALONE, NEXT, claims_for


class Crew:
    """The caller's thread and `threads` - 1 more, each with its share of the rows, the same in every call.

    Args:
        rows: 0..rows-1 are to be worked on.
        block: rows that are never on two threads; every share is a whole number of such blocks, but the last.
        threads: at least 1; no more than there are blocks are started.

    Attributes:
        shares: (lo, hi) by thread.
    """

    def __init__(self, rows: int, block: int, threads: int) -> None:
        blocks = -(-rows // block)
        threads = min(threads, blocks)
        self.shares = list(pairwise(min(blocks * k // threads * block, rows) for k in range(threads + 1)))
        self._claims = claims_for(self.shares, block)
        self._pool = ThreadPoolExecutor(threads - 1) if threads > 1 else None

    def each(self, call: Callable[[int, int], object]) -> None:
        """call(lo, hi) for every share; compiled code that releases the GIL then runs side by side.

        Raises:
            Exception: what a call raised, after all threads have stopped.
        """
        self._together(lambda me: call(*self.shares[me]), all_must=True)

    def play(self, call: Callable[..., object]) -> None:
        """call(lo, hi, claims, me) for every thread, to work on rows lo..hi-1, then on what it can `claims.take`.

        Threads that have not come yet when everything has been taken are not waited for.

        Raises:
            Exception: as from `each`.
        """
        if self._pool is None:
            call(*self.shares[0], *ALONE)
            return
        self._claims[:, NEXT] = [lo for lo, _ in self.shares]
        self._together(lambda me: call(0, 0, self._claims, me), all_must=False)

    def _together(self, work: Callable[[int], Any], all_must: bool) -> None:
        """work(0) here and work(1), ... on the others; without `all_must` on those that begin before it is done."""
        if self._pool is None:
            work(0)
            return
        others = [self._pool.submit(work, me) for me in range(1, len(self.shares))]
        try:
            work(0)
        finally:
            begun = [other for other in others if all_must or not other.cancel()]
            failed = [error for other in begun if (error := other.exception()) is not None]
        if failed:
            raise failed[0]

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()
