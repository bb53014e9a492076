"""Statistics by group label, and the groups of a graph; labels are ints in 0..size-1."""

from __future__ import annotations

import numpy as np

from swarm_env.metrics.interactions import Bools, Floats, Ints


def sum_by(values: Floats, label: Ints, size: int) -> Floats:
    """Sum of the values of each label, shape (size,)."""
    total: Floats = np.bincount(label, weights=values, minlength=size).astype(np.float64)
    return total


def count_by(label: Ints, size: int) -> Ints:
    """Number of rows of each label, shape (size,)."""
    return np.bincount(label, minlength=size).astype(np.int64)


def mean_by(values: Floats, label: Ints, size: int, empty: float) -> Floats:
    """Mean of the values of each label, shape (size,); `empty` where there are none."""
    count = count_by(label, size)
    return np.where(count > 0, sum_by(values, label, size) / np.maximum(count, 1), empty)


def correlation_by(x: Floats, y: Floats, label: Ints, size: int) -> Floats:
    """Pearson correlation of x and y within each label, shape (size,); 0 where either does not vary."""
    dx = np.where(_varies(x, label, size), x - mean_by(x, label, size, 0.0)[label], 0.0)
    dy = np.where(_varies(y, label, size), y - mean_by(y, label, size, 0.0)[label], 0.0)
    scale = np.sqrt(sum_by(dx * dx, label, size) * sum_by(dy * dy, label, size))
    product = sum_by(dx * dy, label, size)
    return np.where(scale > 0.0, np.clip(product / np.where(scale > 0.0, scale, 1.0), -1.0, 1.0), 0.0)


def _varies(x: Floats, label: Ints, size: int) -> Bools:
    """Whether x takes two values or more in the row's label, shape (n,): exact, unlike a variance."""
    low, high = np.full(size, np.inf), np.full(size, -np.inf)
    np.minimum.at(low, label, x)
    np.maximum.at(high, label, x)
    spans: Bools = low < high
    return spans[label]


def components(low: Ints, high: Ints, size: int) -> Ints:
    """Connected component of each node given edges low-high, numbered from 0; -1 for a node without edges."""
    label = np.arange(size, dtype=np.int64)
    while True:
        least = np.minimum(label[low], label[high])
        lowered = label.copy()
        np.minimum.at(lowered, low, least)
        np.minimum.at(lowered, high, least)
        lowered = lowered[lowered]
        if np.array_equal(lowered, label):
            break
        label = lowered
    touched = np.zeros(size, dtype=np.bool_)
    touched[low] = touched[high] = True
    member = np.full(size, -1, dtype=np.int64)
    member[touched] = np.unique(label[touched], return_inverse=True)[1]
    return member
