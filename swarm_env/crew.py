"""Ranges of rows on several threads: whoever is done with one takes the next, so that nobody waits long for others."""

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
        waiting = deque(self.ranges)  # whose popleft is atomic

        def work() -> None:
            while True:
                try:
                    lo, hi = waiting.popleft()
                except IndexError:
                    return
                call(lo, hi)

        others = [self._pool.submit(work) for _ in range(self._others)]
        try:
            work()
        finally:
            failed = [error for other in others if (error := other.exception()) is not None]
        if failed:
            raise failed[0]

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()
