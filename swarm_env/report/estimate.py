"""Means over seeds with bootstrap intervals, and paired differences."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
RESAMPLES = 2000  #: of the bootstrap


class Estimate(NamedTuple):
    """Mean of n defined values, sample sd, 95 % bootstrap percentile interval; NaN where there are too few."""

    n: int
    mean: float
    sd: float
    low: float
    high: float


def estimate(values: Floats) -> Estimate:
    """Of values over seeds, (S,); undefined ones are left out, one alone has no interval."""
    kept = np.asarray(values, float)
    kept = kept[np.isfinite(kept)]
    if len(kept) < 2:
        return Estimate(len(kept), float(kept[0]) if len(kept) else np.nan, np.nan, np.nan, np.nan)
    draws = np.random.default_rng(0).integers(0, len(kept), (RESAMPLES, len(kept)))
    low, high = np.percentile(kept[draws].mean(axis=1), [2.5, 97.5])
    return Estimate(len(kept), float(kept.mean()), float(kept.std(ddof=1)), float(low), float(high))


def effect_size(differences: Floats) -> float:
    """Mean over sample sd of the paired differences (Cohen's d_z); NaN where they do not vary."""
    kept = differences[np.isfinite(differences)]
    sd = float(kept.std(ddof=1)) if len(kept) > 1 else 0.0
    return float(kept.mean()) / sd if sd > 0 else float("nan")
