"""Calibration of the soft label p against an outcome v that was drawn with P(v = +1) = p.

Formulas: SWARM section 3, over the interactions with a drawn v (y = 1 for v = +1, else 0). Where SWARM
returns None for want of outcomes, these return NaN.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from swarm_env.metrics.grouped import count_by, mean_by
from swarm_env.metrics.interactions import NAN, Floats, Ints, Table, mean
from swarm_env.metrics.quality import quality_bins

BINS = 10
LOG_FLOOR = 1e-15  # p is kept this far from 0 and 1 before its logarithm is taken (SWARM section 3)


class CalibrationCurve(NamedTuple):
    """By bin of p, shape (bins,) each: mean p, fraction with v = +1 (both NaN in an empty bin), number."""

    mean_p: Floats
    fraction_positive: Floats
    number: Ints


def outcomes(table: Table) -> tuple[Floats, Floats]:
    """p and y (1 for v = +1, else 0) of the interactions with a drawn v, shape (m,) each."""
    drawn = ~np.isnan(table.v)
    return table.p[drawn], (table.v[drawn] > 0).astype(np.float64)


def brier_score(table: Table) -> float:
    """mean (p-y)^2 in [0, 1]; .25 for p = .5 throughout; NaN without outcomes."""
    p, y = outcomes(table)
    return mean((p - y) ** 2)


def log_loss(table: Table) -> float:
    """-mean(y*log(p) + (1-y)*log(1-p)) >= 0 with p kept in [1e-15, 1-1e-15]; NaN without outcomes."""
    p, y = outcomes(table)
    p = np.clip(p, LOG_FLOOR, 1.0 - LOG_FLOOR)
    return mean(-(y * np.log(p) + (1.0 - y) * np.log(1.0 - p)))


def calibration_error(table: Table) -> float:
    """mean(p) - mean(y) in [-1, 1], positive for a label that flatters; NaN without outcomes."""
    p, y = outcomes(table)
    return mean(p) - mean(y)


def calibration_curve(table: Table, bins: int = BINS) -> CalibrationCurve:
    """Reliability diagram over left-closed bins; NaN in an empty bin, where SWARM gives (midpoint, 0)."""
    p, y = outcomes(table)
    place = quality_bins(p, bins)
    return CalibrationCurve(mean_by(p, place, bins, NAN), mean_by(y, place, bins, NAN), count_by(place, bins))


def expected_calibration_error(table: Table) -> float:
    """sum over 10 bins of (n_b/n)*|mean p - fraction positive|, in [0, 1]; NaN without outcomes."""
    curve = calibration_curve(table)
    if not curve.number.any():
        return NAN
    filled = curve.number > 0
    gaps = np.abs(curve.mean_p - curve.fraction_positive)[filled]
    return float((gaps * curve.number[filled]).sum() / curve.number.sum())


def discrimination_auc(table: Table) -> float:
    """P(p of a positive > p of a negative), ties half (Mann-Whitney), in [0, 1].

    NaN unless both classes occur.
    """
    p, y = outcomes(table)
    _, place = np.unique(p, return_inverse=True)
    positive = np.bincount(place, weights=y)
    negative = np.bincount(place, weights=1.0 - y)
    pairs = float(positive.sum() * negative.sum())
    if pairs == 0.0:
        return NAN
    below = np.cumsum(negative) - negative
    return float((positive * (below + 0.5 * negative)).sum()) / pairs
