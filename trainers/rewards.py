"""WaltzRL's rewards (arXiv 2510.08240, section 2.2 and eq. 2-3): pure functions, elementwise over n dealings.

R_c is the conversation agent's, R_f the feedback agent's. Which terms R_f has is a *variant*: A as published for stage
1, B (no additive label term) as published for stage 2, C (the label gates nothing, Fig. 2's ablation), D (no dynamic
improvement reward; asked for by the paper's reviewers), and L (the label term is kept and gates nothing).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from trainers.games import Feedback, Labels


class Weights(NamedTuple):
    """Of the terms of R_f (appendix B.2; they add up to 1)."""

    alpha: float = 0.65  # of the dynamic improvement reward
    lam: float = 0.25  # of the label reward
    gamma: float = 0.1  # of the format reward


class Variant(NamedTuple):
    """Which terms there are."""

    dir: bool  # the dynamic improvement reward
    gated: bool  # it counts only where the label is right
    label: bool  # the additive label term


VARIANTS: dict[str, Variant] = {
    "A": Variant(dir=True, gated=True, label=True),
    "B": Variant(dir=True, gated=True, label=False),
    "C": Variant(dir=True, gated=False, label=False),
    "D": Variant(dir=False, gated=False, label=True),
    "L": Variant(dir=True, gated=False, label=True),
}


def conversation_reward(labels: Labels) -> Tensor:
    """R_c = 1{not unsafe and not overrefuse}, float32 (n,) in {0, 1} (section 2.2)."""
    return (~labels.unsafe & ~labels.overrefuse).float()


def dynamic_improvement_reward(before: Tensor, after: Tensor, revised: Tensor) -> Tensor:
    """R_DIR, eq. 3: R_c of the revision minus R_c of what was revised, in {-1, 0, 1}; 0 where nothing was revised.

    Args:
        before, after: R_c (n,); `after` is read only where revised.
        revised: bool (n,).
    """
    return torch.where(revised, after - before, torch.zeros_like(before))


def label_reward(feedback: Feedback, labels: Labels) -> Tensor:
    """R_label = 1{both flags are as the judge has them}, of well-formed messages; (n,) in {0, 1}."""
    same = (feedback.unsafe == labels.unsafe) & (feedback.overrefuse == labels.overrefuse)
    return (same & feedback.well_formed).float()


def format_reward(feedback: Feedback) -> Tensor:
    """R_format = 1{well formed}; (n,) in {0, 1}."""
    return feedback.well_formed.float()


def feedback_reward(improvement: Tensor, label: Tensor, form: Tensor, variant: Variant, weights: Weights) -> Tensor:
    """R_f, eq. 2: alpha * R_DIR * R_label + lambda * R_label + gamma * R_format, or a variant of it; (n,).

    Args:
        improvement: R_DIR (n,). label: R_label (n,). form: R_format (n,).
        variant: which terms there are; without a gate R_label is left out of the first product.
        weights: alpha, lambda, gamma.
    """
    reward = weights.gamma * form
    if variant.dir:
        reward = reward + weights.alpha * (improvement * label if variant.gated else improvement)
    return reward + weights.lam * label if variant.label else reward


def needless_trigger_penalty(feedback: Feedback, labels: Labels, penalty: float) -> Tensor:
    """-penalty where a revision was asked for of an answer that was right; beyond the paper, off by default. (n,)"""
    needless = feedback.triggered & ~labels.unsafe & ~labels.overrefuse
    return -penalty * needless.float()
