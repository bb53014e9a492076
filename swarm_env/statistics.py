"""What may be said of a few seeds: means, interquartile means, paired differences, each with its uncertainty.

The unit is the seed: what is passed in are values by seed (S,), each the mean over that seed's episodes. NaN is
undefined and left out, and counted. Formulas and sources: docs/evaluation.md. Every draw comes from a generator of a
fixed seed, so that equal values give equal intervals. Intervals hold 95 % and are percentiles of the bootstrap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

NAN = float("nan")
CONFIDENCE = 0.95
RESAMPLES = 5_000  #: of a bootstrap: the ends of a 95 % interval then vary by about a fiftieth of its width
EXACT = 14  #: pairs up to which all 2^n signs are tried
DRAWN_SIGNS = 20_000  #: patterns of signs drawn where there are more pairs
TRIM = 0.25  #: share cut off each end of an interquartile mean
ROUNDING = 1e-12  #: relative; sums that differ by less are equal


class Spread(NamedTuple):
    """A set of seeds in numbers."""

    n: int  # seeds with a value
    undefined: int  # seeds without
    mean: float
    sd: float  # sample standard deviation (ddof 1); NaN below two seeds, and so are the intervals
    low: float  # 95 % bootstrap interval of the mean
    high: float
    iqm: float  # interquartile mean
    iqm_low: float  # 95 % stratified bootstrap interval of it
    iqm_high: float


class Difference(NamedTuple):
    """A policy less its baseline, seed by seed."""

    n: int  # seeds on which both have a value
    undefined: int
    difference: float  # mean of the differences
    low: float  # 95 % bootstrap interval of it
    high: float
    effect_size: float  # paired Cohen's d_z; NaN if the differences do not vary
    p: float  # two-sided, by `sign_flip_p`


def require_scipy() -> Any:
    """`scipy.stats`; ImportError says how to install it."""
    try:
        import scipy.stats
    except ImportError as error:
        raise ImportError("evaluation needs scipy: pip install 'swarm-env[eval]'") from error
    return scipy.stats


def interquartile_mean(values: ArrayLike, axis: int | None = None) -> Any:
    """Mean of the middle half: a quarter of the values, rounded down, is cut off each end.

    That is the 25 % trimmed mean, as rliable has it (Agarwal et al. 2021, arXiv 2108.13264, section 4.3;
    ``scipy.stats.trim_mean(values, 0.25)``). NaN of nothing. axis: as for `numpy.mean`.
    """
    array = np.asarray(values, dtype=np.float64)
    array = array.reshape(-1) if axis is None else np.moveaxis(array, axis, -1)
    size = array.shape[-1]
    if size == 0:
        return NAN
    cut = int(TRIM * size)
    return np.sort(array, axis=-1)[..., cut : size - cut].mean(axis=-1)


def mean_interval(values: Floats) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean of values (n,), by `scipy.stats.bootstrap`; NaN below two."""
    if len(values) < 2:
        return NAN, NAN
    if values.min() == values.max():  # what scipy warns of as degenerate
        return float(values[0]), float(values[0])
    found = require_scipy().bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, confidence_level=CONFIDENCE, method="percentile",
        vectorized=True, rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    return float(found.low), float(found.high)


def stratified_interval(
    strata: Sequence[Floats], statistic: Callable[..., Any] = interquartile_mean
) -> tuple[float, float]:
    """95 % percentile bootstrap interval of a statistic of all values together.

    Each stratum, one array (n_k,) of values by seed for each scenario, is resampled within itself, as rliable resamples
    runs within tasks (arXiv 2108.13264, section 4.1). NaN unless every stratum has two values.
    """
    if not strata or min(len(values) for values in strata) < 2:
        return NAN, NAN
    rng = np.random.default_rng(0)
    drawn = [values[rng.integers(0, len(values), (RESAMPLES, len(values)))] for values in strata]
    tail = 50.0 * (1.0 - CONFIDENCE)
    low, high = np.percentile(statistic(np.concatenate(drawn, axis=1), axis=1), [tail, 100.0 - tail])
    return float(low), float(high)


def spread(strata: Sequence[ArrayLike]) -> Spread:
    """`Spread` of values by seed.

    Args:
        strata: one array (S,) of values by seed, or several, one a scenario, for their aggregate over all values
            together, resampled within scenarios; NaN is undefined.
    """
    arrays = [np.asarray(values, dtype=np.float64) for values in strata]
    kept = [values[~np.isnan(values)] for values in arrays]
    whole = np.concatenate(kept) if kept else np.zeros(0)
    n = len(whole)
    undefined = sum(map(len, arrays)) - n
    if n == 0:
        return Spread(0, undefined, *[NAN] * 7)
    filled = [values for values in kept if len(values)]
    of_mean = mean_interval(whole) if len(filled) == 1 else stratified_interval(filled, np.mean)
    iqm = float(interquartile_mean(whole))
    return Spread(n, undefined, _mean(whole), _deviation(whole), *of_mean, iqm, *stratified_interval(filled))


def _mean(values: Floats) -> float:
    """Their mean; exactly the value that all of them have, if they do."""
    return float(values[0]) if values.min() == values.max() else math.fsum(values) / len(values)


def _deviation(values: Floats) -> float:
    """Sample standard deviation; exactly 0 if all are equal, NaN of fewer than two."""
    if len(values) < 2:
        return NAN
    return 0.0 if values.min() == values.max() else float(values.std(ddof=1))


def compare(values: ArrayLike, baseline: ArrayLike) -> Difference:
    """`Difference` of values (S,) from a baseline's (S,) on the same seeds; pairs with a NaN in them are left out."""
    pairs = np.asarray(values, dtype=np.float64) - np.asarray(baseline, dtype=np.float64)
    kept = pairs[~np.isnan(pairs)]
    undefined = len(pairs) - len(kept)
    if not len(kept):
        return Difference(0, undefined, *[NAN] * 5)
    return Difference(
        len(kept), undefined, _mean(kept), *mean_interval(kept), effect_size(kept), sign_flip_p(kept)
    )  # fmt: skip


def effect_size(differences: Floats) -> float:
    """Paired Cohen's d_z = mean / sample sd of differences (n,); NaN below two of them or if they do not vary.

    Cohen (1988, section 2.3.5); Lakens (2013, doi 10.3389/fpsyg.2013.00863, equation 6).
    """
    deviation = _deviation(differences)
    return _mean(differences) / deviation if deviation > 0.0 else NAN


def sign_flip_p(differences: Floats) -> float:
    """Two-sided p of differences (n,) by the paired permutation (sign-flip) test; NaN below two of them.

    If policy and baseline are exchangeable on every seed, each difference is as likely as its negative (Fisher 1935,
    section 21). p is the share of sign patterns whose mean is at least as far from 0 as the one that was seen. Exact,
    over all 2^n patterns, up to n = 14: never below 2/2^n. Beyond, over 20,000 drawn patterns and the one seen:
    (1 + hits) / 20,001 (Phipson and Smyth 2010, arXiv 1603.05766).
    """
    n = len(differences)
    if n < 2:
        return NAN
    scale = float(np.abs(differences).max())
    if scale == 0.0:
        return 1.0
    seen = abs(float(differences.sum())) - ROUNDING * scale * n
    hits = int(np.sum(np.abs(_signs(n) @ differences) >= seen))
    return hits / len(_signs(n)) if n <= EXACT else (1 + hits) / (1 + DRAWN_SIGNS)


@cache
def _signs(n: int) -> Floats:
    """Patterns of n signs: all that begin with +, since a mirror image is as far from 0, or as many as are drawn."""
    if n <= EXACT:
        return np.array([(1.0, *rest) for rest in product((1.0, -1.0), repeat=n - 1)])
    return np.random.default_rng(0).choice((1.0, -1.0), (DRAWN_SIGNS, n))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (Scandinavian Journal of Statistics 6, 1979): the family-wise error is kept.

    Of m p values in rising order, the k-th (from 0) becomes min(1, max over j <= k of (m - j) * p_j). NaN stays NaN and
    does not count.
    """
    defined = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    corrected, highest = [NAN] * len(p_values), 0.0
    for k, (p, place) in enumerate(defined):
        highest = max(highest, min(1.0, (len(defined) - k) * p))
        corrected[place] = highest
    return corrected
