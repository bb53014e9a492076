"""Ranges of rows on several threads: each has its share, and whoever is done with that takes from the others'.

The same share in every call: rows stay in the caches of the core that they were on, if it is a thread's for longer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

#: Ranges a thread, if there are rows enough. Cores are not equally fast while neighbours are at work: with one range a
#: thread a step is over when the slowest one is.
RANGES = 8


class Crew:
    """The caller's thread and `threads` - 1 more.

    Args:
        rows: 0..rows-1 are to be worked on.
        block: rows that are never on two threads; every range is a whole number of such blocks, but the last.
        threads: at least 1; no more than there are blocks are started.
    """

    def __init__(self, rows: int, block: int, threads: int) -> None:
        blocks = -(-rows // block)
        threads = min(threads, blocks)
        count = min(blocks, threads * RANGES) if threads > 1 else 1
        bounds = [min(blocks * k // count * block, rows) for k in range(count + 1)]
        self.ranges = list(pairwise(bounds))
        self._shares = list(pairwise(count * k // threads for k in range(threads + 1)))
        self._others = threads - 1
        self._pool = ThreadPoolExecutor(self._others) if self._others else None

    def each(self, call: Callable[[int, int], object]) -> None:
        """call(lo, hi) for every range; compiled code that releases the GIL then runs side by side.

        Raises:
            Exception: what a call raised, after all threads have stopped.
        """
        if self._pool is None:
            call(*self.ranges[0])
            return
        shares = [deque(self.ranges[lo:hi]) for lo, hi in self._shares]  # whose pop and popleft are atomic

        def work(me: int) -> None:
            for share in (shares[me], *shares[me + 1 :], *shares[:me]):
                take = share.popleft if share is shares[me] else share.pop  # from where its owner comes last
                while True:
                    try:
                        lo, hi = take()
                    except IndexError:
                        break
                    call(lo, hi)

        others = [self._pool.submit(work, me) for me in range(1, self._others + 1)]
        try:
            work(0)
        finally:
            failed = [error for other in others if (error := other.exception()) is not None]
        if failed:
            raise failed[0]

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()
