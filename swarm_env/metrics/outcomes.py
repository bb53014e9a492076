"""Statistics of labels p beside drawn outcomes v: sums, reliability bins, and how many of either class by p."""

from __future__ import annotations

import numpy as np

from swarm_env.metrics.grouped import count_by, sum_by
from swarm_env.metrics.interactions import Bools, Floats, Ints, Part, Record, Table
from swarm_env.metrics.quality import quality_bins
from swarm_env.metrics.sums import Sums

BINS = 10
LOG_FLOOR = 1e-15  # p is kept this far from 0 and 1 before its logarithm is taken (SWARM section 3)
EXACT_OUTCOMES = 2**20  # outcomes of a stream that are remembered one by one
PIECES = 1024  # arrays in which outcomes may lie about
FINE = 2**20  # bins of equal width into which more of them are counted


def binned(p: Floats, positive: Bools, bins: int) -> tuple[Ints, Floats, Ints]:
    """By bin of p: number of outcomes, sum of p, number of v = +1; shape (bins,) each."""
    place = quality_bins(p, bins)
    return count_by(place, bins), sum_by(p, place, bins), count_by(place[positive], bins)


class Outcomes(Part):
    """Over the interactions with a drawn v. 8 bytes an outcome up to 2**20, 16 MiB beyond.

    A finite number of rows is known to fit into memory: then all are remembered, and nothing is ever binned.
    """

    def __init__(self, record: Record, rows: float) -> None:
        self.limit = rows if np.isfinite(rows) else EXACT_OUTCOMES
        self.total = 0
        self.sums = Sums("brier", "loss", "p")
        self.number: Ints = np.zeros(BINS, dtype=np.int64)
        self.p: Floats = np.zeros(BINS)
        self.positive: Ints = np.zeros(BINS, dtype=np.int64)
        self.seen: list[Ints] = []  # outcomes as whole numbers that sort by p, the last bit being v = +1
        self.fine: Ints | None = None  # (2, FINE) negatives and positives by bin, once there are too many to remember

    @property
    def coarse(self) -> bool:
        """Whether outcomes are counted by bin, no longer one by one."""
        return self.fine is not None

    def add(self, table: Table) -> None:
        """Take in interactions."""
        drawn = ~np.isnan(table.v)
        p, positive = table.p[drawn], table.v[drawn] > 0
        kept = np.clip(p, LOG_FLOOR, 1.0 - LOG_FLOOR)
        self.total += p.size
        self.sums.add(
            brier=float(((p - positive) ** 2).sum()),
            loss=float(-np.log(np.where(positive, kept, 1.0 - kept)).sum()),
            p=float(p.sum()),
        )
        number, p_sum, positives = binned(p, positive, BINS)
        self.number, self.p, self.positive = self.number + number, self.p + p_sum, self.positive + positives
        # the bits of floats >= 0 sort as the floats do, and those up to 1 leave a bit to spare; + 0 mends -0
        self.seen.append(((p + 0.0).view(np.int64) << 1) | positive)
        if self.total > self.limit:
            self._count()
        elif len(self.seen) > PIECES:
            self.seen = [np.concatenate(self.seen)]

    def _count(self) -> None:
        """Turn what is remembered into counts by bin."""
        fine = np.zeros((2, FINE), dtype=np.int64) if self.fine is None else self.fine
        for key in self.seen:
            p = (key >> 1).view(np.float64)
            np.add.at(fine.reshape(-1), (key & 1) * FINE + np.minimum((p * FINE).astype(np.int64), FINE - 1), 1)
        self.fine, self.seen = fine, []

    def ranks(self) -> tuple[Ints, Ints]:
        """Numbers of v = +1 and of v = -1 at each distinct p, or in each fine bin, ascending."""
        if self.fine is not None:
            return self.fine[1], self.fine[0]
        key = np.sort(np.concatenate([np.empty(0, dtype=np.int64), *self.seen]))
        if not key.size:
            return key, key
        self.seen = [key]
        bits = key >> 1
        starts = np.flatnonzero(np.append(True, bits[1:] != bits[:-1]))
        positive = np.add.reduceat(key & 1, starts)
        return positive, np.diff(np.append(starts, key.size)) - positive
