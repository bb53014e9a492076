"""From observables to v_hat to p: the soft label on which everything rests (market.md; SWARM section 1)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from swarm_env.core.compiled import kernel, rule
from swarm_env.core.elementary import sigmoid
from swarm_env.core.tables import table


@rule
def clip(x: float, low: float, high: float) -> float:
    """x held to [low, high]."""
    return min(max(x, low), high)


@rule
def count_signal(count: float, decay: float) -> float:
    """2*decay**count - 1: 1 for none, towards -1 for many."""
    return 2.0 * decay**count - 1.0


@rule
def weigh(params: Any, progress: float, rework: float, rejections: float, misuse: float, engagement: float) -> float:
    """Weighted sum of the signals, those of the counts as `count_signal` has them; in [-1, 1].

    `params.weights` sum to one.
    """
    weights, verifier = params.weights, 0.5 * (rejections + misuse)
    value = (
        weights[0] * clip(progress, -1.0, 1.0)
        + weights[1] * rework
        + weights[2] * verifier
        + weights[3] * clip(engagement, -1.0, 1.0)
    )
    return clip(value, -1.0, 1.0)


@rule
def v_hat(params: Any, progress: float, rework: int, rejections: int, misuse: int, engagement: float) -> float:
    """What the market makes of the observables of an interaction; the counts are such as a conduct can have."""
    signals = params.count_signals  # powers are dear
    return weigh(params, progress, signals[0, rework], signals[1, rejections], signals[2, misuse], engagement)


@rule
def quality(params: Any, value: float) -> float:
    """p = 1/(1+exp(-k*v_hat))."""
    return sigmoid(params.sigmoid_k * value)


@kernel
def _score(params: Any, columns: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    for n in range(columns.shape[1]):
        rework = count_signal(columns[1, n], params[0].decays[0])
        rejections = count_signal(columns[2, n], params[0].decays[1])
        misuse = count_signal(columns[3, n], params[0].decays[2])
        value = weigh(params[0], columns[0, n], rework, rejections, misuse, columns[4, n])
        out[0, n] = value
        out[1, n] = quality(params[0], value)


def score(
    progress: ArrayLike,
    rework: ArrayLike,
    rejections: ArrayLike,
    misuse: ArrayLike,
    engagement: ArrayLike,
    *,
    k: float = 2.0,
    weights: ArrayLike = (0.4, 0.2, 0.2, 0.2),
    decays: ArrayLike = (0.3, 0.4, 0.5),
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """v_hat and p of any number of interactions; the arguments broadcast against each other.

    Args:
        progress: task progress, clipped to [-1, 1].
        rework: count >= 0.
        rejections: verifier rejections, count >= 0.
        misuse: tool misuse flags, count >= 0.
        engagement: counterparty engagement, clipped to [-1, 1].
        k: slope, in (0, 100].
        weights: of progress, rework, verifier, engagement: >= 0, normalised to sum 1; all zero means equal.
        decays: of rework, rejections, misuse: in [.01, 1).

    Returns:
        (v_hat in [-1, 1], p in (0, 1)), float64, in the broadcast shape.

    Raises:
        ValueError: a negative count, or a parameter out of its range.
    """
    arrays = np.broadcast_arrays(
        *(np.asarray(x, dtype=np.float64) for x in (progress, rework, rejections, misuse, engagement))
    )
    for name, counts in zip(("rework", "rejections", "misuse"), arrays[1:4], strict=True):
        if np.any(counts < 0):
            raise ValueError(f"{name} must be >= 0, got {counts.min()}")
    params = _proxy_params(k, weights, decays)
    out = np.empty((2, arrays[0].size))
    _score(params, np.stack([a.ravel() for a in arrays]), out)
    return out[0].reshape(arrays[0].shape), out[1].reshape(arrays[0].shape)


def _proxy_params(k: float, weights: ArrayLike, decays: ArrayLike) -> NDArray[Any]:
    w, d = np.asarray(weights, dtype=np.float64), np.asarray(decays, dtype=np.float64)
    if not 0 < k <= 100:
        raise ValueError(f"k must be in (0, 100], got {k}")
    if w.shape != (4,) or not np.all((w >= 0) & np.isfinite(w)):
        raise ValueError(f"weights must be four numbers >= 0, got {weights!r}")
    if d.shape != (3,) or not np.all((d >= 0.01) & (d < 1)):
        raise ValueError(f"decays must be three numbers in [.01, 1), got {decays!r}")
    params = table(np.dtype([("sigmoid_k", "f8"), ("weights", "f8", 4), ("decays", "f8", 3)]), 1)
    params["sigmoid_k"], params["decays"] = k, d
    params["weights"] = w / w.sum() if w.sum() > 0 else 0.25
    return params
