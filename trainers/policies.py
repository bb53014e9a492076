"""Policies: contexts in, short sequences of tokens out, with their log-probabilities.

The protocol is what a language model can do as well; `MLPPolicy` is a small network with one categorical head a token.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, Self

import torch
from torch import Generator, Tensor, nn


class Sample(NamedTuple):
    """n sequences of at most L tokens."""

    tokens: Tensor  # int64 (n, L)
    log_probs: Tensor  # float32 (n, L), of each token given those before it; 0 where mask is False
    mask: Tensor  # bool (n, L), False beyond a sequence's end


class Policy(Protocol):
    """A trainable policy."""

    def sample(self, contexts: Any, generator: Generator) -> Sample:
        """Draw a sequence for each context, without gradients."""
        ...

    def greedy(self, contexts: Any) -> Tensor:
        """The likeliest next token at each position, int64 (n, L), without gradients."""
        ...

    def log_prob(self, contexts: Any, tokens: Tensor) -> Tensor:
        """Of each token given those before it, float32 (n, L), with gradients."""
        ...

    def parameters(self) -> Any:
        """The trainable parameters."""
        ...

    def copy(self) -> Self:
        """A policy of its own with the same weights."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Weights, for checkpoints."""
        ...

    def load_state_dict(self, weights: Any) -> Any:
        """Take weights from `state_dict`."""
        ...


def linear(inputs: int, outputs: int, gain: float, generator: Generator) -> nn.Linear:
    """A layer with orthogonal weights and zero bias; the global generator does not notice."""
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, inputs, outputs)  # type: ignore[no-untyped-call]
    nn.init.orthogonal_(layer.weight, gain, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer


class MLPPolicy(nn.Module):
    """Contexts float32 (n, F); every sequence has one token a head.

    Head k sees the trunk's output and, added to it, what it has learnt of each token before: logits_k = W_k trunk(x) +
    sum over j < k of U_kj[token_j].

    Args:
        num_inputs: F.
        sizes: vocabulary at each position, L of them.
        hidden: units of the trunk's layers (tanh).
        generator: of the initial weights (orthogonal; heads near zero, so that a new policy is near uniform).
    """

    def __init__(self, num_inputs: int, sizes: Sequence[int], hidden: Sequence[int], generator: Generator) -> None:
        super().__init__()
        self.num_inputs, self.sizes, self.hidden = num_inputs, tuple(sizes), tuple(hidden)
        layers: list[nn.Module] = []
        width = num_inputs
        for units in self.hidden:
            layer = linear(width, units, 2.0**0.5, generator)
            layers += [layer, nn.Tanh()]
            width = units
        self.trunk = nn.Sequential(*layers)
        # one matrix for all heads, one table for all earlier tokens: few, large operations
        self.heads = linear(width, sum(self.sizes), 0.01, generator)
        self.before = nn.ParameterList(
            nn.Parameter(torch.zeros(size, sum(self.sizes[k + 1 :]))) for k, size in enumerate(self.sizes[:-1])
        )

    @property
    def starts(self) -> list[int]:
        """Where each head's logits begin."""
        return [sum(self.sizes[:k]) for k in range(len(self.sizes))]

    def _logits(self, contexts: Tensor, tokens: Tensor) -> Tensor:
        """Every head's (n, sum of sizes), given the tokens."""
        logits = self.heads(self.trunk(contexts))
        for k, table in enumerate(self.before):
            at = self.starts[k] + self.sizes[k]
            logits = torch.cat([logits[:, :at], logits[:, at:] + table[tokens[:, k]]], dim=1)
        return logits  # type: ignore[no-any-return]

    def _decode(self, contexts: Tensor, choose: Any) -> tuple[Tensor, Tensor]:
        """Tokens, by choose(log-probabilities (n, V)), and their log-probabilities."""
        logits, tokens, chosen = self.heads(self.trunk(contexts)), [], []
        for k, (start, size) in enumerate(zip(self.starts, self.sizes, strict=True)):
            log_probs = logits[:, start : start + size].log_softmax(dim=1)
            token = choose(log_probs)
            tokens.append(token)
            chosen.append(log_probs.gather(1, token[:, None])[:, 0])
            if k < len(self.before):
                logits[:, start + size :] += self.before[k][token]
        return torch.stack(tokens, dim=1), torch.stack(chosen, dim=1)

    @torch.no_grad()
    def sample(self, contexts: Tensor, generator: Generator) -> Sample:
        """See `Policy.sample`; every sequence is L tokens long."""

        def draw(log_probs: Tensor) -> Tensor:
            u = torch.rand(len(log_probs), 1, generator=generator)
            # the last bound may fall short of 1 by rounding
            return (log_probs.exp().cumsum(dim=1)[:, :-1] <= u).sum(dim=1)

        tokens, log_probs = self._decode(contexts, draw)
        return Sample(tokens, log_probs, torch.ones_like(tokens, dtype=torch.bool))

    @torch.no_grad()
    def greedy(self, contexts: Tensor) -> Tensor:
        """See `Policy.greedy`."""
        return self._decode(contexts, lambda log_probs: log_probs.argmax(dim=1))[0]

    def log_prob(self, contexts: Tensor, tokens: Tensor) -> Tensor:
        """See `Policy.log_prob`."""
        heads = torch.split(self._logits(contexts, tokens), list(self.sizes), dim=1)
        each = (head.log_softmax(dim=1).gather(1, tokens[:, k : k + 1]) for k, head in enumerate(heads))
        return torch.cat(list(each), dim=1)

    def copy(self) -> Self:
        """See `Policy.copy`."""
        return copy.deepcopy(self)
