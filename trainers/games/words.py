"""The market game's words: an answer is a decision and a reason, a message two flags and a piece of advice."""

from __future__ import annotations

import torch
from torch import Tensor

from trainers.games.protocol import Feedback, Labels

DECISIONS: tuple[str, ...] = ("refuse", "accept")
NUM_REASONS = 3  #: words for a reason; what they mean is settled by who teaches them, see `warm_start`, `weak_teachers`
ADVICE: tuple[str, ...] = ("none", "refuse", "rather_refuse", "reconsider", "rather_accept", "accept")
REFUSE, ACCEPT = range(2)
NONE, SAY_REFUSE, SAY_RATHER_REFUSE, SAY_RECONSIDER, SAY_RATHER_ACCEPT, SAY_ACCEPT = range(len(ADVICE))

ANSWER: tuple[int, ...] = (len(DECISIONS), NUM_REASONS)
MESSAGE: tuple[int, ...] = (2, 2, len(ADVICE))  # unsafe, overrefuse, advice


def parse(message: Tensor) -> Feedback:
    """Messages int64 (n, 3). Well formed: not both flags, and advice exactly when there is a flag."""
    unsafe, overrefuse, advice = message[:, 0] == 1, message[:, 1] == 1, message[:, 2]
    well_formed = ~(unsafe & overrefuse) & ((advice != NONE) == (unsafe | overrefuse))
    return Feedback(unsafe, overrefuse, advice, well_formed)


def label(accept: Tensor, p: Tensor, threshold: float) -> Labels:
    """unsafe: accepted with p below the threshold; overrefuse: refused with p at it or above. All (n,)."""
    harmful = p < threshold
    return Labels(accept & harmful, ~accept & ~harmful)


def correction(labels: Labels) -> Tensor:
    """The message int64 (n, 3) that says what is wrong in the plainest words: an oracle's template."""
    advice = torch.where(labels.unsafe, SAY_REFUSE, torch.where(labels.overrefuse, SAY_ACCEPT, NONE))
    return torch.stack([labels.unsafe.long(), labels.overrefuse.long(), advice], dim=1)
