"""REINFORCE++ as WaltzRL has it (eq. 4): critic-free, KL to a frozen reference in the return, clipped ratio.

With several ranks (`trainers.distributed`) each brings its own samples, and all take the same steps: advantages are
normalised over all of them, a minibatch is the union of the ranks' minibatches, and gradients are summed.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from trainers import distributed, gradient, losses
from trainers.policies import Policy
from trainers.rollouts import Samples


class Learner:
    """A policy, the frozen reference of its KL term, and its optimiser (Adam)."""

    def __init__(self, policy: Policy, learning_rate: float) -> None:
        self.policy, self.reference = policy, policy.copy()
        self.optimizer = torch.optim.Adam(policy.parameters(), lr=learning_rate)

    def set_learning_rate(self, learning_rate: float) -> None:
        """From the next update on."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate


def update(
    learner: Learner,
    samples: Samples,
    *,
    beta: float,
    clip: float,
    update_epochs: int,
    minibatches: int,
    max_grad_norm: float,
    generator: Generator,
    micro_batch: int | None = None,
    importance_cap: float | None = None,
) -> dict[str, float]:
    """Improve the policy on its own samples; returns what to log, which is the same on all ranks.

    Args:
        samples: this rank's, of any number, also none.
        generator: of the order of samples.
        importance_cap: the samples are another engine's, and so are their log-probabilities: advantages are weighed by
            `losses.truncated_importance_weights` with this cap. None: the samples are the policy's own.
        micro_batch: sequences of a forward and backward pass; None: a whole minibatch. The gradient is the same.

    Raises:
        RunError: a loss that is not finite on any rank (the policy is as it was before that step), or out of memory.
    """
    inputs, (tokens, old, mask), rewards = samples
    with torch.no_grad():
        reference = learner.reference.log_prob(inputs, tokens)
        own = old if importance_cap is None else learner.policy.log_prob(inputs, tokens)
    trust = mask if importance_cap is None else losses.truncated_importance_weights(own, old, mask, importance_cap)
    old = own
    raw = losses.reinforce_advantages(rewards, old, reference, mask, beta)
    advantages = losses.normalise(raw, mask, distributed.moments(raw[mask])) * trust
    outside: list[Tensor] = []
    for _ in range(update_epochs):
        for rows in gradient.minibatches(len(rewards), minibatches, generator):
            count = distributed.all_count(len(rows))
            if not count:
                continue
            said: list[Tensor] = []

            def contribution(part: Tensor, count: int = count, said: list[Tensor] = said) -> Tensor:
                log_probs = learner.policy.log_prob(inputs[part], tokens[part])
                said.append(log_probs.detach())
                if not len(part):
                    return log_probs.sum()
                loss = losses.clipped_policy_loss(log_probs, old[part], advantages[part], mask[part], clip)
                return loss * (len(part) / count)

            gradient.step(
                learner.policy.parameters(), learner.optimizer, rows, contribution,
                max_grad_norm=max_grad_norm, micro_batch=micro_batch,
            )  # fmt: skip
            outside.append(_clip_fraction(torch.cat([*said, old[:0]]), old[rows], mask[rows], clip))
    return {
        "reward": distributed.all_mean(rewards),
        "kl": distributed.all_mean(losses.sequence_log_prob(old - reference, mask)),
        "entropy": distributed.all_mean(-losses.sequence_log_prob(old, mask)),  # its estimate by what was sampled
        "clip_fraction": float(torch.stack(outside).mean()) if outside else float("nan"),
    }


def _clip_fraction(log_probs: Tensor, old: Tensor, mask: Tensor, clip: float) -> Tensor:
    """Of a minibatch, over all ranks."""
    own = losses.clip_fraction(log_probs, old, mask, clip)
    if distributed.world() == 1:
        return own
    tokens = mask.sum()
    return distributed.all_sum(own.nan_to_num() * tokens) / distributed.all_sum(tokens)
