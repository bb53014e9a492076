"""Calibration of the soft label p against an outcome v that was drawn with P(v = +1) = p.

Formulas: SWARM section 3, over the interactions with a drawn v (y = 1 for v = +1, else 0). Where SWARM
returns None for want of outcomes, these return NaN.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from swarm_env.metrics.grouped import ratio_by
from swarm_env.metrics.interactions import NAN, Floats, Ints, Record, Table
from swarm_env.metrics.outcomes import BINS, Outcomes, binned
from swarm_env.metrics.sums import ratio


class CalibrationCurve(NamedTuple):
    """By bin of p, shape (bins,) each: mean p, fraction with v = +1 (both NaN in an empty bin), number."""

    mean_p: Floats
    fraction_positive: Floats
    number: Ints


def brier_score(table: Record) -> float:
    """mean (p-y)^2 in [0, 1]; .25 for p = .5 throughout; NaN without outcomes."""
    return ratio(table.part(Outcomes).sums["brier"], table.part(Outcomes).total)


def log_loss(table: Record) -> float:
    """-mean(y*log(p) + (1-y)*log(1-p)) >= 0 with p kept in [1e-15, 1-1e-15]; NaN without outcomes."""
    return ratio(table.part(Outcomes).sums["loss"], table.part(Outcomes).total)


def calibration_error(table: Record) -> float:
    """mean(p) - mean(y) in [-1, 1], positive for a label that flatters; NaN without outcomes."""
    found = table.part(Outcomes)
    return ratio(found.sums["p"], found.total) - ratio(float(found.positive.sum()), found.total)


def calibration_curve(table: Table, bins: int = BINS) -> CalibrationCurve:
    """Reliability diagram over left-closed bins; NaN in an empty bin, where SWARM gives (midpoint, 0)."""
    drawn = ~np.isnan(table.v)
    return _curve(*binned(table.p[drawn], table.v[drawn] > 0, bins))


def _curve(number: Ints, p: Floats, positive: Ints) -> CalibrationCurve:
    """The curve of bins with these numbers of outcomes, sums of p and numbers of v = +1."""
    return CalibrationCurve(ratio_by(p, number, NAN), ratio_by(positive, number, NAN), number)


def expected_calibration_error(table: Record) -> float:
    """sum over 10 bins of (n_b/n)*|mean p - fraction positive|, in [0, 1]; NaN without outcomes."""
    found = table.part(Outcomes)
    curve = _curve(found.number, found.p, found.positive)
    filled = curve.number > 0
    gaps = np.abs(curve.mean_p - curve.fraction_positive)[filled]
    return ratio(float((gaps * curve.number[filled]).sum()), found.total)


def discrimination_auc(table: Record) -> float:
    """P(p of a positive > p of a negative), ties half (Mann-Whitney), in [0, 1].

    NaN unless both classes occur. Exact; in a `Stream` of more than 2**20 outcomes p counts as tied within
    bins of 2**-20, which is wrong by half the share of the pairs that share a bin at most: see `auc_error`.
    """
    positive, negative = (x.astype(np.float64) for x in table.part(Outcomes).ranks())
    pairs = float(positive.sum() * negative.sum())
    below = np.cumsum(negative) - negative
    return ratio(float((positive * (below + 0.5 * negative)).sum()), pairs)


def auc_error(table: Record) -> float:
    """Bound of the error of `discrimination_auc`, in [0, .5]: 0 where it is exact, NaN where it is undefined.

    Half the share of (positive, negative) pairs in one bin: a pair counts half there, and is worth 0, half or 1. Ours.
    """
    found = table.part(Outcomes)
    positive, negative = (x.astype(np.float64) for x in found.ranks())
    tied = 0.5 * float((positive * negative).sum()) if found.coarse else 0.0
    return ratio(tied, float(positive.sum() * negative.sum()))
