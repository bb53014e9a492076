"""What this machine can do at best, measured beside the market: memory bandwidth, and writing what is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from benchmarks.sample import Facts, Sample, until

WORDS = 2**23  #: float64s in each of the three arrays: 64 MiB, beyond the caches


@njit(cache=False)
def _triad(a: Any, b: Any, c: Any) -> None:
    for k in range(len(a)):
        a[k] = b[k] + 3.0 * c[k]


@njit(cache=False, error_model="numpy")
def _show(values: Any, observation: Any, mask: Any) -> None:
    """One multiplication, one clip, one conversion and one store an entry: the least that observing takes."""
    for i in range(observation.shape[0]):
        for k in range(observation.shape[1]):
            observation[i, k] = min(max(values[i & 7, k] * 0.5, -1.0), 1.0)
        for k in range(mask.shape[1]):
            mask[i, k] = values[i & 7, k] > 0.5


def triad(seconds: float) -> tuple[Callable[[], Sample], Facts]:
    """STREAM's triad on one thread; counts bytes read and written, 24 an element."""
    a, b, c = (np.full(WORDS, 1.0 + k) for k in range(3))

    def play() -> int:
        _triad(a, b, c)
        return 24 * WORDS

    return lambda: until(seconds, play), {"array_bytes": 8 * WORDS}


def show(seconds: float, rows: int, agents: int) -> tuple[Callable[[], Sample], Facts]:
    """Filling observations and masks of the market's shape with next to no thought; counts agent-steps."""
    import swarm_env
    from benchmarks.populations import scenario

    env = swarm_env.vector_env(scenario("all", agents), num_envs=1)
    seen, _ = env.reset()
    entries, masks = seen["observation"].shape[-1], seen["action_mask"].shape[-1]
    observation = np.zeros((rows * agents, entries), dtype=np.float32)
    mask = np.zeros((rows * agents, masks), dtype=np.int8)
    values = np.random.default_rng(0).random((8, max(entries, masks)))

    def play() -> int:
        _show(values, observation, mask)
        return rows * agents

    return lambda: until(seconds, play), {"entries": entries, "masks": masks}
