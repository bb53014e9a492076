"""Steps count on from epoch to epoch: no step of an epoch comes before one of an earlier epoch."""

from __future__ import annotations

import numpy as np

from swarm_env.metrics.interactions import Ints

REMEMBERED = 2**16  # epochs that a stream tells apart


class Clock:
    """First and last step of every epoch seen, 24 bytes each; beyond `limit` epochs the older half counts as one."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.epochs: Ints = np.empty((3, 0), dtype=np.int64)  # epoch, first step, last step; by epoch

    def advance(self, epoch: Ints, step: Ints) -> None:
        """Take in interactions of these epochs and steps, (m,) each, in any order.

        ValueError, and nothing taken in, where they contradict each other or what was seen.
        """
        self.epochs = self.after(epoch, step)

    def after(self, epoch: Ints, step: Ints) -> Ints:
        """What `epochs` would be after these interactions; ValueError as for `advance`."""
        if not epoch.size:
            return self.epochs
        starts = np.flatnonzero(np.append(True, epoch[1:] != epoch[:-1]))
        new = np.stack((epoch[starts], np.minimum.reduceat(step, starts), np.maximum.reduceat(step, starts)))
        if self.epochs.size:
            np.maximum(new[0], self.epochs[0, 0], out=new[0])
        known = _merged(np.concatenate((self.epochs, new), axis=1))
        if (known[2, :-1] > known[1, 1:]).any():
            raise ValueError("step must count on from epoch to epoch (epoch * steps_per_epoch + step in epoch)")
        if known.shape[1] > self.limit:
            half = known.shape[1] // 2
            known[0, :half] = known[0, half - 1]
            known = _merged(known)
        return known


def _merged(epochs: Ints) -> Ints:
    """One column for each epoch, ascending."""
    epochs = epochs[:, np.argsort(epochs[0], kind="stable")]
    starts = np.flatnonzero(np.append(True, epochs[0, 1:] != epochs[0, :-1]))
    first, last = np.minimum.reduceat(epochs[1], starts), np.maximum.reduceat(epochs[2], starts)
    return np.stack((epochs[0, starts], first, last))
