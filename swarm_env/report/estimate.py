"""Means over seeds with bootstrap intervals, and paired differences, as evaluations have them; without scipy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from swarm_env.evaluation import statistics
from swarm_env.evaluation.statistics import Floats


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
    low, high = statistics.stratified_interval([kept], np.mean)
    return Estimate(len(kept), float(kept.mean()), float(kept.std(ddof=1)), low, high)


def effect_size(differences: Floats) -> float:
    """Mean over sample sd of the paired differences (Cohen's d_z); NaN where they do not vary."""
    kept = np.asarray(differences, float)
    return statistics.effect_size(kept[np.isfinite(kept)])
