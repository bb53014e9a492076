"""Sums that come in pieces: equal, to rounding, to the sum of the whole, however it was cut."""

from __future__ import annotations

import math
from dataclasses import dataclass

from swarm_env.metrics.interactions import NAN, Floats


class Sums:
    """Named sums. Compensated (Neumaier 1974), so that ten million small pieces lose no more than a few do."""

    def __init__(self, *names: str) -> None:
        self._total = dict.fromkeys(names, 0.0)
        self._lost = dict.fromkeys(names, 0.0)

    def add(self, **terms: float) -> None:
        """Add a finite number to each of these sums."""
        for name, term in terms.items():
            total = self._total[name]
            raised = total + term
            big, small = (total, term) if abs(total) >= abs(term) else (term, total)
            self._lost[name] += (big - raised) + small
            self._total[name] = raised

    def __getitem__(self, name: str) -> float:
        return self._total[name] + self._lost[name]


@dataclass
class Moments:
    """Number, mean and spread of values that come in pieces (Chan, Golub and LeVeque 1979)."""

    number: int = 0
    mean: float = NAN  # of nothing
    squares: float = 0.0  # sum of squared distances from the mean
    low: float = math.inf
    high: float = -math.inf

    def add(self, values: Floats) -> None:
        """Take values of shape (m,) in."""
        if not values.size:
            return
        mean = float(values.mean())
        centred = values - mean
        centred *= centred
        number, squares = self.number + values.size, float(centred.sum())
        if self.number:
            gap = mean - self.mean
            squares += self.squares + gap * gap * (self.number * values.size / number)
            mean = self.mean + gap * (values.size / number)
        self.number, self.mean, self.squares = number, mean, squares
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))

    @property
    def variance(self) -> float:
        """Population variance >= 0; exactly 0 for equal values (one value included), NaN of nothing."""
        if not self.number:
            return NAN
        return 0.0 if self.low == self.high else self.squares / self.number


def ratio(part: float, whole: float) -> float:
    """part / whole; NaN of nothing."""
    return part / whole if whole else NAN
