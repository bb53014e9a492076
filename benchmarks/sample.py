"""One timed repeat, and the clocks it is taken with.

Processor time stands beside wall time: on a machine of one's own they agree, on a shared one the first tells what the
work took and the second what the neighbours left of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

Facts = dict[str, Any]


class Skip(Exception):
    """A measurement that this machine must not try; the message says why."""


class Sample(NamedTuple):
    """What one repeat did and took.

    Attributes:
        count: units of work (the plan says which: agent-steps, env-steps, bytes).
        wall, cpu: seconds by the clock, and of processor time over all threads.
        parts: of a repeat that is measured in pieces: name -> (count, wall, cpu).
    """

    count: int
    wall: float
    cpu: float
    parts: dict[str, tuple[int, float, float]] | None = None


class Stopwatch:
    """Adds up what passes between `start` and `stop`."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0

    def start(self) -> None:
        """Go on counting."""
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def stop(self) -> None:
        """Count no longer."""
        wall, cpu = time.perf_counter(), time.process_time()
        self.wall += wall - self._wall
        self.cpu += cpu - self._cpu


def until(seconds: float, play: Callable[[], int]) -> Sample:
    """Call `play`, which returns its units of work, again and again until `seconds` of wall time have passed."""
    count, watch = 0, Stopwatch()
    while count == 0 or watch.wall < seconds:
        watch.start()
        count += play()
        watch.stop()
    return Sample(count, watch.wall, watch.cpu)
