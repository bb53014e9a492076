"""What a decision on a proposal can rest on: what the agent that is asked sees, and the overseers' ledger.

Nothing latent is in it. The layout does not depend on the scenario, so that who decides in one market can decide in
another.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from swarm_env.core.features import INBOX, LEDGER, OWN

#: Of the agent itself and the market, then of the proposal (without `present`, which is always 1 here).
VIEW: tuple[str, ...] = (*OWN, *list(INBOX)[1:])
RECORD: tuple[str, ...] = tuple(LEDGER)
#: Columns of VIEW.
SIGNAL, REPUTATION, TRUST = (VIEW.index(name, len(OWN)) for name in ("signal", "reputation", "trust"))


class Offers(NamedTuple):
    """n proposals that wait for an answer."""

    view: NDArray[np.float32]  # (n, len(VIEW)): the part of the agent's observation that speaks of this proposal
    ledger: NDArray[np.float32]  # (n, len(RECORD)): for overseers only


def offers(
    waiting: NDArray[Any], learner: NDArray[np.int64], observation: NDArray[np.float32], ledger: NDArray[np.float32]
) -> Offers:
    """What is seen of proposals; fresh arrays.

    Args:
        waiting: (n,), see `swarm_env.deals.pending`.
        learner: (n,) row of the observations that belongs to each responder.
        observation: (B, L, F). ledger: (B, L, I, len(RECORD)).
    """
    row, slot = waiting["row"], waiting["slot"]
    view = np.empty((len(row), len(VIEW)), dtype=np.float32)
    view[:, : len(OWN)] = observation[row, learner, : len(OWN)]
    at = len(OWN) + len(INBOX) * slot
    for k in range(1, len(INBOX)):
        view[:, len(OWN) + k - 1] = observation[row, learner, at + k]
    return Offers(view, ledger[row, learner, slot])
