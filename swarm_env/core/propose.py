"""What a proposal is worth and what it looks like: drawn when it is made (market.md, 'Quality of one interaction')."""

from __future__ import annotations

from typing import Any

import numpy as np

from swarm_env.core import random
from swarm_env.core.compiled import natural, rule
from swarm_env.core.proxy import clip, quality, v_hat
from swarm_env.core.types import ADVERSARIAL, DECEPTIVE, HONEST

#: Per conduct: task progress U(low, high), engagement U(low, high) (SWARM 1.4).
PROGRESS = np.array([[0.3, 0.8], [0.1, 0.5], [0.2, 0.6], [-0.3, 0.2]])
ENGAGEMENT = np.array([[0.2, 0.6], [-0.2, 0.3], [0.0, 0.4], [-0.5, -0.1]])
#: Per conduct: whole numbers low..high, both ends included.
REWORK = np.array([[0, 1], [0, 2], [0, 2], [1, 3]])
REJECTIONS = np.array([[0, 0], [0, 1], [0, 1], [1, 2]])
MISUSE = np.array([[0, 0], [0, 0], [0, 0], [0, 1]])
_COUNTS = [1.0 + table[:, 1] - table[:, 0] for table in (REWORK, REJECTIONS, MISUSE)]
_ONES = np.ones(len(PROGRESS))
#: Per conduct: width of the range, or how many whole numbers, of each of a proposal's draws, in the order of
#: `random.STREAMS`; disguise and the signal's noise take U[0, 1).
SPANS = np.stack(
    [PROGRESS[:, 1] - PROGRESS[:, 0], *_COUNTS, ENGAGEMENT[:, 1] - ENGAGEMENT[:, 0], _ONES, _ONES, _ONES], axis=1
)


@rule
def reputation_factor(reputation: float) -> float:
    """Reputation scales progress and engagement by .5 (at -1) to 1 (at +1) [S]."""
    return 0.75 + 0.25 * clip(reputation, -1.0, 1.0)


@rule
def surface_bias(params: Any, conduct: int, u: float) -> float:
    """Deceptive looks better than it is; adversarial sometimes much; honest work sometimes looks suspicious."""
    # no branch, see `picks`
    disguise, sensitive = float(params.disguise_bias), float(params.sensitive_bias)
    bias = float(params.deceptive_bias) if conduct == DECEPTIVE else 0.0
    bias = disguise if (conduct == ADVERSARIAL) & (u < params.disguise_probability) else bias
    return sensitive if (conduct == HONEST) & (u < params.sensitive_probability) else bias


@rule
def draw_proposal(params: Any, proposal: Any, conduct: int, reputation: float, key: Any, i: int) -> None:
    """Draw observables, latent quality and surface signal of agent i's proposal."""
    c, factor = natural(conduct), reputation_factor(reputation)
    draws = random.spread(key, i, SPANS, c)
    progress = factor * (PROGRESS[c, 0] + draws[random.PROGRESS])
    engagement = factor * (ENGAGEMENT[c, 0] + draws[random.ENGAGEMENT])
    rework = REWORK[c, 0] + int(draws[random.REWORK])
    rejections = REJECTIONS[c, 0] + int(draws[random.REJECTIONS])
    misuse = MISUSE[c, 0] + int(draws[random.MISUSE])
    value = v_hat(params, progress, natural(rework), natural(rejections), natural(misuse), engagement)
    bias = surface_bias(params, conduct, draws[random.DISGUISE])
    noise = params.signal_noise * random.bell(draws[random.SIGNAL_A], draws[random.SIGNAL_B])
    proposal.conduct, proposal.progress, proposal.engagement = conduct, progress, engagement
    proposal.rework, proposal.rejections, proposal.misuse = rework, rejections, misuse
    proposal.p = quality(params, value)
    proposal.signal = value + bias + noise


@rule
def ledger_reading(params: Any, proposal: Any, key: Any, i: int) -> float:
    """What overseers read of v_hat, apart from the signal; `key` is of the step in which agent i proposed.

    Drawn when the ledger is opened, not with the proposal: it costs as much as the rest, and few runs have overseers.
    """
    value = v_hat(params, proposal.progress, proposal.rework, proposal.rejections, proposal.misuse, proposal.engagement)
    return value + params.ledger_noise * random.normal(key, i, random.READING_A, random.READING_B)
