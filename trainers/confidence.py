"""The confidence-loss baseline of weak-to-strong learning (Burns et al. 2023, arXiv 2312.09390), for the market.

Its loss is of a binary decision, which an answer in the market has in its first token and a text has nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from trainers import losses
from trainers.contrastive import learn, once
from trainers.games import words
from trainers.macpo_config import Fit
from trainers.policies import Policy

CONFIDENCE = 0.5  #: weight of the student's own hardened opinion (openai/weak-to-strong: aux_coef)
WARM_UP = 0.1  #: share of the updates until then; before, the weight is the share done, as in that code


def fit_confidently(
    policy: Policy, inputs: Tensor, weak: Tensor, reasons: Tensor, fit: Fit, generator: Generator
) -> float:
    """The decision by the confidence loss, in place; the reason by SFT. The mean loss.

    Args:
        weak: (n,) the supervisor's probability of accepting. reasons: int64 (n,), the supervisor's.
    """

    def loss(rows: Tensor, done: float) -> Iterator[Tensor]:
        refuse, accept = (
            policy.log_prob(inputs[rows], torch.stack([torch.full_like(reasons[rows], k), reasons[rows]], dim=1))
            for k in (words.REFUSE, words.ACCEPT)
        )
        share = CONFIDENCE * (1.0 if done > WARM_UP else done)
        targets = losses.confidence_targets(weak[rows], accept[:, 0].exp(), share)
        decided = (weak[rows] > 0.5)[:, None]
        reason = torch.where(decided, accept[:, 1:], refuse[:, 1:])
        yield losses.confidence_loss(accept[:, 0], refuse[:, 0], targets) - reason.mean()

    def minimise() -> float:
        return learn(policy, loss, len(inputs), fit, fit.epochs, fit.learning_rate, generator, "confidence")

    return once(minimise, policy, generator, "", f"confidence {fit!r}", inputs, weak, reasons)
