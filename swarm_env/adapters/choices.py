"""What learners chose, in shares: verbs, conduct of their proposals, answers. For logs and evaluations."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from swarm_env.core.types import CONDUCTS, PROPOSE, VERBS

#: Names of what `shares` returns, in its order.
SHARES: tuple[str, ...] = (
    *(f"verb_{verb}" for verb in VERBS), *(f"conduct_{conduct}" for conduct in CONDUCTS), "accepts",
)  # fmt: skip


def shares(actions: NDArray[Any], masks: NDArray[Any]) -> dict[str, float]:
    """Shares in [0, 1] over n actions; NaN where nothing was chosen.

    Args:
        actions: whole numbers (n, I+3), as the environments take them.
        masks: (n, M), the masks they were chosen under.

    Returns:
        verb_<verb>: of all actions; conduct_<conduct>: of the proposals; accepts: of the proposals in inbox slots
        that could be accepted, those that were.
    """
    actions = np.asarray(actions).astype(np.int64)
    inbox = actions.shape[1] - 3
    verbs, proposals = actions[:, inbox], actions[:, inbox] == PROPOSE
    open_slots = np.asarray(masks)[:, 1 : 2 * inbox : 2] > 0
    accepted = actions[:, :inbox][open_slots] == 1
    values = [
        *_shares(verbs, len(VERBS)),
        *_shares(actions[proposals, inbox + 2], len(CONDUCTS)),
        float(accepted.mean()) if len(accepted) else np.nan,
    ]
    return dict(zip(SHARES, values, strict=True))


def _shares(chosen: NDArray[np.int64], choices: int) -> list[float]:
    counts = np.bincount(chosen, minlength=choices)[:choices]
    return (counts / len(chosen)).tolist() if len(chosen) else [np.nan] * choices
