"""A mean over seeds with its interval, as reports show it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from swarm_env import statistics
from swarm_env.statistics import Floats


class Estimate(NamedTuple):
    """Mean of n defined values, sample sd, 95 % bootstrap percentile interval; NaN where there are too few."""

    n: int
    mean: float
    sd: float
    low: float
    high: float


def defined(values: Floats) -> Floats:
    """Those that are."""
    kept: Floats = np.asarray(values, float)
    return kept[np.isfinite(kept)]


def estimate(values: Floats) -> Estimate:
    """Of values over seeds, (S,); undefined ones are left out, one alone has no interval."""
    kept = defined(values)
    if len(kept) < 2:
        return Estimate(len(kept), float(kept[0]) if len(kept) else np.nan, np.nan, np.nan, np.nan)
    low, high = statistics.stratified_interval([kept], np.mean)  # one stratum: the plain bootstrap, without scipy
    return Estimate(len(kept), float(kept.mean()), float(kept.std(ddof=1)), low, high)
