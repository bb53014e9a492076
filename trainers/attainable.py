"""What could be attained: the best decisions that what is seen allows, estimated by a large classifier.

The Bayes-optimal rule for F1 accepts where P(sound | what is seen) is above a threshold. The probability is learnt from
many labelled proposals, the threshold chosen on others, and both judged on a third part; the estimate is from below,
since a better classifier could only find more.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn

from trainers.games.live import Proposals
from trainers.games.market import Sees, seen
from trainers.judgement import f1, share
from trainers.policies import linear


class Classifier(NamedTuple):
    """P(sound | what is seen), and the threshold from which on to accept."""

    network: nn.Module
    mean: Tensor  # (F,) of the features
    std: Tensor  # (F,)
    threshold: float
    sees: Sees

    @torch.no_grad()
    def probability(self, contexts: Proposals) -> Tensor:
        """P(sound) (n,)."""
        logits: Tensor = self.network((features(contexts, self.sees) - self.mean) / self.std)
        return logits[:, 0].sigmoid()

    def accepts(self, contexts: Proposals) -> Tensor:
        """The decision int64 (n,), 1 = accept."""
        return (self.probability(contexts) > self.threshold).long()


def features(contexts: Proposals, sees: Sees) -> Tensor:
    """What is seen, (n, F)."""
    return torch.cat(seen(contexts, sees), dim=1)


def fit(
    contexts: Proposals, p_threshold: float, sees: Sees, generator: Generator, *, hidden: int = 96, epochs: int = 12
) -> Classifier:
    """Learn from four fifths of the contexts, choose the threshold of the best F1 on the last fifth.

    Args:
        p_threshold: p from which on a proposal is sound.
        sees: what the decision may rest on.
    """
    sound, inputs = (contexts.p >= p_threshold).float(), features(contexts, sees)
    mean, std = inputs.mean(dim=0), inputs.std(dim=0) + 1e-6
    inputs = (inputs - mean) / std
    first, second = linear(inputs.shape[1], hidden, 1.0, generator), linear(hidden, hidden, 1.0, generator)
    last = linear(hidden, 1, 1.0, generator)
    network = nn.Sequential(first, nn.SiLU(), second, nn.SiLU(), last)
    cut, size = len(inputs) * 4 // 5, 1024
    steps = max(epochs * cut // size, 1)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / steps)
        rows = torch.randint(cut, (size,), generator=generator)
        loss = nn.functional.binary_cross_entropy_with_logits(network(inputs[rows])[:, 0], sound[rows])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    with torch.no_grad():
        chance = network(inputs[cut:])[:, 0].sigmoid()
    return Classifier(network, mean, std, best_threshold(chance, sound[cut:] > 0), sees)


def best_threshold(chance: Tensor, sound: Tensor) -> float:
    """The threshold of P(sound) (n,) whose decisions have the best F1 for truths bool (n,)."""

    def score(threshold: float) -> float:
        accept = chance > threshold
        return f1(share(accept, ~sound), share(~accept, sound))

    return max((k / 200 for k in range(1, 200)), key=score)
