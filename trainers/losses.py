"""Losses and advantages: one equation, one pure function. Sequences are (n, L) with a mask, bool (n, L).

They know nothing of networks: what they take are log-probabilities of tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

EPSILON = 1e-8  #: keeps the normalisation of equal advantages at 0


def kl_to_go(log_probs: Tensor, reference: Tensor, mask: Tensor) -> Tensor:
    """sum over t >= i of log(pi(y_t)/pi_ref(y_t)), (n, L): the k1 estimate of what KL is still to come."""
    ratio = torch.where(mask, log_probs - reference, torch.zeros_like(log_probs))
    return ratio.flip(1).cumsum(1).flip(1)


def reinforce_advantages(rewards: Tensor, log_probs: Tensor, reference: Tensor, mask: Tensor, beta: float) -> Tensor:
    """A_{x,i} of WaltzRL eq. 4 (REINFORCE++): R(x, y) - beta * KL to go, (n, L), before normalisation.

    Args:
        rewards: (n,), of whole sequences.
        log_probs: (n, L), of the policy that sampled. reference: (n, L), of the frozen one.
        beta: weight of the KL term, at least 0.
    """
    return rewards[:, None] - beta * kl_to_go(log_probs, reference, mask)


def normalise(advantages: Tensor, mask: Tensor, moments: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """(A - mean) / std over all tokens of the batch (population std), (n, L); 0 outside the mask.

    Args:
        moments: mean and std, where the batch is part of a larger one; None: this batch's own.
    """
    kept = advantages[mask]
    if not len(kept):
        return torch.zeros_like(advantages)
    mean, std = (kept.mean(), kept.std(correction=0)) if moments is None else moments
    centred = (advantages - mean) / (std + EPSILON)
    return torch.where(mask, centred, torch.zeros_like(centred))


def clipped_policy_loss(log_probs: Tensor, old: Tensor, advantages: Tensor, mask: Tensor, clip: float) -> Tensor:
    """WaltzRL eq. 4, negated: -E[(1/|y|) sum_i min(s_i A_i, clip(s_i, 1-eps, 1+eps) A_i)], a scalar.

    Args:
        log_probs: (n, L), with gradients. old: (n, L), of the policy that sampled.
        advantages: (n, L), normalised.
        clip: eps > 0.
    """
    ratio = torch.where(mask, log_probs - old, torch.zeros_like(log_probs)).exp()
    least = torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages)
    per_sequence = (least * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
    return -per_sequence.mean()


def truncated_importance_weights(log_probs: Tensor, behaviour: Tensor, mask: Tensor, cap: float) -> Tensor:
    """min(pi(y_t) / mu(y_t), cap) of each token, (n, L), without gradients; 0 outside the mask.

    Corrects a loss on tokens that another engine's mu sampled (Ionides 2008, with a fixed cap; for rollouts of
    inference servers: Yao et al. 2025, "Your Efficient RL Framework Secretly Brings You Off-Policy RL Training").

    Args:
        log_probs: (n, L), of the policy in training, before its update. behaviour: (n, L), as the server said.
        cap: above 0; 2 in that work.
    """
    ratio = torch.where(mask, log_probs.detach() - behaviour, torch.zeros_like(behaviour)).exp()
    return ratio.clamp(max=cap) * mask


def clip_fraction(log_probs: Tensor, old: Tensor, mask: Tensor, clip: float) -> Tensor:
    """Share of the tokens whose ratio has left [1-eps, 1+eps], a scalar."""
    outside = ((log_probs - old).exp() - 1.0).abs() > clip
    return outside[mask].float().mean()


def sequence_log_prob(log_probs: Tensor, mask: Tensor) -> Tensor:
    """log pi(y|x): the sum over the sequence, (n,)."""
    return (log_probs * mask).sum(dim=1)


def perplexity(log_probs: Tensor, mask: Tensor) -> Tensor:
    """MACPO eq. 6 as its geometric mean: exp(-(1/n) sum_m log P(y_m | x, y_<m)), (n,), at least 1."""
    length = mask.sum(dim=1).clamp(min=1)
    return (-sequence_log_prob(log_probs, mask) / length).exp()


def sft_loss(log_probs: Tensor, mask: Tensor, weights: Tensor | None = None) -> Tensor:
    """Token-mean cross-entropy over the batch, a scalar: -sum of log-probabilities / number of tokens.

    Args:
        weights: (n,) of the sequences, or None for 1 each; the loss is then the weighted mean over tokens.
    """
    share = mask.float() if weights is None else mask * weights[:, None]
    return -(log_probs * share).sum() / share.sum().clamp(min=EPSILON)


def dpo_loss(
    chosen: Tensor, rejected: Tensor, reference_chosen: Tensor, reference_rejected: Tensor, beta: float,
    weights: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """DPO (Rafailov et al. 2023, eq. 7): -E log sigmoid(beta [log pi/ref (chosen) - log pi/ref (rejected)]), a scalar.

    Args:
        chosen, rejected: (n,), sums over sequences, with gradients. reference_*: (n,), of the reference policy.
        beta: above 0.
        weights: (n,) of the pairs, or None for 1 each; the loss is then the weighted mean.
    """
    margin = (chosen - reference_chosen) - (rejected - reference_rejected)
    losses = -logsigmoid(beta * margin)
    return losses.mean() if weights is None else (losses * weights).sum() / weights.sum().clamp(min=EPSILON)


def confidence_targets(weak: Tensor, strong: Tensor, alpha: float) -> Tensor:
    """Targets of the confidence loss (Burns et al. 2023, eq. 1): (1 - alpha) weak + alpha hardened strong, (n,).

    Args:
        weak: soft labels in [0, 1]. strong: the student's probabilities (n,), taken without gradients.
        alpha: in [0, 1]. The student is hardened at the threshold that gives it the weak labels' class balance.
    """
    strong = strong.detach()
    share = weak.mean()
    threshold = torch.quantile(strong, (1.0 - share).clamp(0.0, 1.0))
    return (1.0 - alpha) * weak + alpha * (strong > threshold).float()


def contrastive_preference_loss(
    chosen: Tensor, rejected: Tensor, chosen_mask: Tensor, rejected_mask: Tensor, reference_chosen: Tensor,
    reference_rejected: Tensor, beta: float, gamma: float, weights: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """MACPO's loss of one agent, DPO + gamma * SFT on the chosen, a scalar (section 3.4; released code: dpo_ftx).

    DPO takes sums of log-probabilities over sequences, SFT their mean over tokens, as the released code does.

    Args:
        chosen, rejected: (n, L), of tokens, with gradients; masks bool (n, L). reference_*: (n,), sums.
        weights: (n,) of the pairs, or None for 1 each.
    """
    of_chosen, of_rejected = sequence_log_prob(chosen, chosen_mask), sequence_log_prob(rejected, rejected_mask)
    contrast = dpo_loss(of_chosen, of_rejected, reference_chosen, reference_rejected, beta, weights)
    return contrast + gamma * sft_loss(chosen, chosen_mask, weights)


def confidence_loss(accept: Tensor, refuse: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of a binary decision with soft targets (Burns et al. 2023, eq. 1), a scalar.

    Args:
        accept, refuse: (n,) log-probabilities of the two decisions, with gradients.
        targets: (n,) in [0, 1], of accepting, see `confidence_targets`.
    """
    return -(targets * accept + (1.0 - targets) * refuse).mean()
