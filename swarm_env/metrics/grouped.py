"""Statistics by group label, and the groups of a graph; labels are ints in 0..size-1."""

from __future__ import annotations

import numpy as np

from swarm_env.metrics.interactions import Floats, Ints


def sum_by(values: Floats | Ints, label: Ints, size: int) -> Floats:
    """Sum of the values of each label, shape (size,)."""
    total: Floats = np.bincount(label, weights=values, minlength=size).astype(np.float64)
    return total


def count_by(label: Ints, size: int) -> Ints:
    """Number of rows of each label, shape (size,)."""
    return np.bincount(label, minlength=size).astype(np.int64)


def ratio_by(part: Floats | Ints, whole: Floats | Ints, empty: float) -> Floats:
    """part / whole, element by element; `empty` where the whole is 0."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), empty)


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
