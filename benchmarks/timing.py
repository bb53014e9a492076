"""Commands timed from outside: medians over interleaved repeats, so that a burst does not fall on one alone.

Processor time stands beside wall time: on a machine of one's own they agree, on a shared one the first tells what the
work took and the second what the neighbours left of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent


class Measured(NamedTuple):
    """Median, lowest and highest of several repeats by the wall clock, and the median in processor time."""

    median: float
    low: float
    high: float
    processor: float

    def show(self, digits: int = 0) -> tuple[str, str, str]:
        """Median, range, and median in processor time."""
        span = f"{self.low:,.{digits}f}..{self.high:,.{digits}f}"
        return f"{self.median:,.{digits}f}", span, f"{self.processor:,.{digits}f}"


def _measured(pairs: Sequence[tuple[float, float]]) -> Measured:
    wall, processor = zip(*pairs, strict=True)
    return Measured(median(wall), min(wall), max(wall), median(processor))


def walls(commands: Mapping[str, Sequence[str]], repeats: int, folder: str) -> dict[str, Measured]:
    """Seconds that each command takes, process start included; its first run does not count."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for repeat in range(repeats + 1):
        for name, command in commands.items():
            start, used = time.perf_counter(), _children()
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"{name} failed: {done.stderr.strip()[-500:]}")
            if repeat:
                seen[name].append((time.perf_counter() - start, _children() - used))
    return {name: _measured(values) for name, values in seen.items()}


def _children() -> float:
    """Processor seconds of the processes this one has waited for."""
    times = os.times()
    return times.children_user + times.children_system


def python(code: str) -> list[str]:
    """A command that runs `code` in a fresh interpreter."""
    return [sys.executable, "-c", code]


def footprint(make: Callable[[], object]) -> int:
    """Bytes that `make` allocates and its result keeps, NumPy's arrays included; whatever it imports is warm."""
    make()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = make()
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    del kept
    return used
