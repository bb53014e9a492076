"""The action space of a market agent: MultiDiscrete that samples under a flat mask, as PettingZoo's tests hand it."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray


class MaskedMultiDiscrete(gymnasium.spaces.MultiDiscrete):
    """`MultiDiscrete` whose `sample` also takes one flat int8 mask, the heads' masks one after the other.

    That is the `action_mask` of the observations, and the mask that MaskablePPO wants; PettingZoo's checks
    want it to be one array, plain MultiDiscrete wants a tuple.
    """

    def sample(self, mask: Any = None, probability: Any = None) -> NDArray[np.int64]:
        """A random action; with a mask (flat, or a tuple of the heads' masks), a legal one."""
        if isinstance(mask, np.ndarray):
            mask = tuple(np.split(mask.astype(np.int8, copy=False), np.cumsum(self.nvec)[:-1]))
        return super().sample(mask=mask, probability=probability)
