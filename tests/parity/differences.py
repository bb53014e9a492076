"""The worst difference of every quantity that was compared, and how often it was."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import numpy as np

from benchmarks.text_table import markdown

TOLERANCE = 1e-12


class Differences:
    """Where ours is NaN (undefined), SWARM must report its stand-in (0 or None)."""

    def __init__(self) -> None:
        self.worst: dict[str, float] = defaultdict(float)
        self.compared: dict[str, int] = defaultdict(int)
        self.nonzero: dict[str, int] = defaultdict(int)
        self.undefined: dict[str, int] = defaultdict(int)

    def add(self, name: str, ours: float, theirs: float | None, scale: float = 1.0) -> None:
        """One pair of values; `scale` divides their difference."""
        if math.isnan(ours):
            self.undefined[name] += 1
            self.worst[name] = max(self.worst[name], abs(theirs or 0.0))
        elif theirs is None:
            self.worst[name] = math.inf
        else:
            self.compared[name] += 1
            self.nonzero[name] += theirs != 0
            self.worst[name] = max(self.worst[name], 0.0 if ours == theirs else abs(ours - theirs) / scale)

    def add_arrays(self, name: str, ours: Any, theirs: Any) -> None:
        """Two arrays, element by element."""
        ours, theirs = np.asarray(ours, float), np.asarray(theirs, float)
        if ours.shape != theirs.shape:
            self.worst[name] = math.inf
            return
        for one, other in zip(ours.ravel(), theirs.ravel(), strict=True):
            self.add(name, float(one), float(other))

    @property
    def passed(self) -> bool:
        """Nothing differs by more than the tolerance."""
        return all(worst <= TOLERANCE for worst in self.worst.values())

    def report(self) -> bool:
        """Print the table; whether everything agrees. "not 0" counts the comparisons that say most."""
        rows = [
            (
                name,
                f"{self.worst[name]:.1e}" if self.worst[name] else "0",
                str(self.compared[name]),
                str(self.nonzero[name]),
                str(self.undefined[name]),
                "ok" if self.worst[name] <= TOLERANCE else "DIFFERS",
            )
            for name in sorted(self.worst)
        ]
        print(markdown(("quantity", "largest difference", "compared", "not 0", "undefined", ""), rows))
        return self.passed
