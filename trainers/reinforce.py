"""REINFORCE++ as WaltzRL has it (eq. 4): critic-free, KL to a frozen reference in the return, clipped ratio."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from trainers import losses
from trainers.checkpoint import RunError
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
) -> dict[str, float]:
    """Improve the policy on its own samples; returns what to log.

    Raises:
        RunError: a loss that is not finite; the policy is as it was before that step.
    """
    inputs, (tokens, old, mask), rewards = samples
    with torch.no_grad():
        reference = learner.reference.log_prob(inputs, tokens)
    advantages = losses.normalise(losses.reinforce_advantages(rewards, old, reference, mask, beta), mask)
    fractions = []
    for rows in _minibatches(len(rewards), update_epochs, minibatches, generator):
        log_probs = learner.policy.log_prob(inputs[rows], tokens[rows])
        loss = losses.clipped_policy_loss(log_probs, old[rows], advantages[rows], mask[rows], clip)
        if not torch.isfinite(loss):
            raise RunError(f"the policy's loss is {loss.item()}: lower the learning rate; the last checkpoint is good")
        learner.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(learner.policy.parameters(), max_grad_norm)
        learner.optimizer.step()
        fractions.append(losses.clip_fraction(log_probs.detach(), old[rows], mask[rows], clip))
    with torch.no_grad():
        entropy = learner.policy.entropy(inputs, tokens)
    return {
        "reward": float(rewards.mean()),
        "kl": float(losses.sequence_log_prob(old - reference, mask).mean()),
        "entropy": float((entropy * mask).sum(dim=1).mean()),
        "clip_fraction": float(torch.stack(fractions).mean()),
    }


def _minibatches(count: int, epochs: int, parts: int, generator: Generator) -> Iterator[Tensor]:
    for _ in range(epochs):
        yield from torch.randperm(count, generator=generator).chunk(parts)
