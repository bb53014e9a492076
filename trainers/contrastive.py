"""What MACPO's agents do: answer, learn answers (SFT), learn pairs (DPO + gamma * SFT)."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Generator, Tensor

from trainers import losses
from trainers.checkpoint import RunError
from trainers.macpo_config import Contrast, Fit
from trainers.macpo_game import spoken
from trainers.out_of_memory import out_of_memory
from trainers.policies import Policy

MICRO_BATCH = "model.micro_batch"  #: the setting to lower where memory runs out


class Agent:
    """A policy and its negative twin, which see the same of a context.

    Args:
        name: student, or teacher_1 and so on.
        positive: what learns. negative: what its familiar negatives come from.
        memory: see `MacpoGame.memory`. micro: see `MacpoGame.micro_batch`.
    """

    def __init__(self, name: str, positive: Policy, negative: Policy, memory: str | None, micro: int | None) -> None:
        self.name, self.positive, self.negative, self.memory, self.micro = name, positive, negative, memory, micro


def answers(policy: Policy, inputs: Any, decoding: str, generator: Generator) -> Tensor:
    """int64 (n, L)."""
    return policy.greedy(inputs) if decoding == "greedy" else policy.sample(inputs, generator).tokens


@torch.no_grad()
def log_probs(policy: Policy, inputs: Any, said: Tensor) -> Tensor:
    """Of each token, (n, L), without gradients."""
    return policy.log_prob(inputs, said)


def _minibatches(count: int, batch: int, epochs: int, generator: Generator) -> Iterator[tuple[Tensor, float]]:
    """Rows of each update, and the share of updates already done; every epoch passes over all rows."""
    size = math.ceil(count / batch)
    for epoch in range(epochs):
        order = torch.randperm(count, generator=generator)
        for k in range(size):
            yield order[k * batch : (k + 1) * batch], (epoch * size + k) / (epochs * size)


#: Rows of an update, and the share of updates done, to parts whose sum is the loss; each is done with before the next.
Loss = Callable[[Tensor, float], Iterator[Tensor]]


def learn(
    policy: Policy, loss: Loss, count: int, fit: Fit | Contrast, epochs: int, rate: float, generator: Generator,
    who: str,
) -> float:  # fmt: skip
    """Minimise a loss over rows 0..count by a fresh Adam with a cosine schedule; the mean loss.

    Raises:
        RunError: a loss that is not finite.
    """
    parameters = list(policy.parameters())
    optimizer = torch.optim.Adam(parameters, lr=rate, fused=True)  # small networks: half the time
    limit = fit.max_grad_norm if isinstance(fit, Contrast) else math.inf
    total, updates = 0.0, 0
    for rows, done in _minibatches(count, fit.batch, epochs, generator):
        for group in optimizer.param_groups:
            group["lr"] = rate * 0.5 * (1.0 + math.cos(math.pi * done))
        optimizer.zero_grad()
        for value in loss(rows, done):
            if not bool(torch.isfinite(value)):
                raise RunError(
                    f"{who}: the loss is {float(value.detach())} at update {updates + 1}; checkpoints so far are kept"
                )
            value.backward()  # type: ignore[no-untyped-call]
            total += float(value.detach())
        if limit < math.inf:
            torch.nn.utils.clip_grad_norm_(parameters, limit)
        optimizer.step()
        updates += 1
    return total / updates


def _sft(
    policy: Policy, inputs: Any, targets: Tensor, weights: Tensor | None, rows: Tensor, micro: int | None
) -> Iterator[Tensor]:
    """The loss on rows, in parts: each part's token mean, times its share of the tokens."""
    whole = _weight(targets[rows], weights, rows)
    for part in torch.split(rows, micro or len(rows)):
        said = targets[part]
        mean = losses.sft_loss(
            policy.log_prob(inputs[part], said), spoken(said), None if weights is None else weights[part]
        )
        yield mean * (_weight(said, weights, part) / whole)


def _weight(said: Tensor, weights: Tensor | None, rows: Tensor) -> float:
    """Tokens of sequences (n, L), each weighted as its sequence is."""
    tokens = spoken(said).sum(dim=1)
    return float(tokens.sum() if weights is None else (tokens * weights[rows].double()).sum())


def fit_answers(
    agent: Agent, policy: Policy, inputs: Any, targets: Tensor, fit: Fit, epochs: int, generator: Generator, who: str
) -> float:
    """SFT on targets (n, L) for n inputs, in place; the mean loss.

    Args:
        agent: whose policy it is, or one like its.
    """

    def loss(rows: Tensor, _: float) -> Iterator[Tensor]:
        return _sft(policy, inputs, targets, None, rows, agent.micro)

    def minimise() -> float:
        with out_of_memory(MICRO_BATCH, agent.micro):
            return learn(policy, loss, len(targets), fit, epochs, fit.learning_rate, generator, who)

    return once(minimise, policy, generator, agent.memory, f"{fit!r} {epochs}", inputs, targets)


def once(
    minimise: Callable[[], float], policy: Policy, generator: Generator, memory: str | None, said: str, *given: Tensor
) -> float:
    """What `minimise` does to a policy and a generator, done once for equal ones and equal arguments.

    Runs of a study differ in few settings, and most of them start alike. Nothing is rounded or approximated: a key is
    a hash over all that the result depends on. Without a `memory` it is done every time.
    """
    if memory is None:
        return minimise()
    before = hashlib.sha256(f"{memory} {said}".encode())
    for tensor in (*policy.state_dict().values(), generator.get_state(), *given):
        before.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        before.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    key = before.digest()
    if key not in _REMEMBERED:
        loss = minimise()
        weights = {name: value.detach().clone() for name, value in policy.state_dict().items()}
        _REMEMBERED[key] = (weights, generator.get_state(), loss)
        if len(_REMEMBERED) > REMEMBERED:
            _REMEMBERED.popitem(last=False)
    weights, state, loss = _REMEMBERED[key]
    _REMEMBERED.move_to_end(key)
    policy.load_state_dict(weights)
    generator.set_state(state)
    return loss


REMEMBERED = 64  #: results that `once` keeps
_REMEMBERED: OrderedDict[bytes, tuple[dict[str, Tensor], Tensor, float]] = OrderedDict()


def contrast(
    agent: Agent, reference: Policy, inputs: Any, chosen: Tensor, rejected: Tensor | None, weights: Tensor,
    settings: Contrast, rate: float, generator: Generator, who: str,
) -> float:  # fmt: skip
    """A round of an agent's contrastive preference optimisation, in place; the mean loss.

    Args:
        inputs: n of them. chosen, rejected: (n, L); no rejected ones: SFT on the chosen (-HN). weights: (n,).
        rate: Adam's, at the start.
    """
    policy, micro = agent.positive, agent.micro

    def of_reference(said: Tensor) -> Tensor:
        found = log_probs(reference, inputs, said)
        return losses.sequence_log_prob(found, spoken(said))

    if rejected is None:

        def loss(rows: Tensor, _: float) -> Iterator[Tensor]:
            return _sft(policy, inputs, chosen, weights, rows, micro)

    else:
        of_chosen, of_rejected = of_reference(chosen), of_reference(rejected)

        def loss(rows: Tensor, _: float) -> Iterator[Tensor]:
            pairs, tokens = float(weights[rows].double().sum()), _weight(chosen[rows], weights, rows)
            for part in torch.split(rows, max(micro // 2, 1) if micro else len(rows)):
                seen, better, worse = inputs[part], chosen[part], rejected[part]
                both = policy.log_prob(torch.cat([seen, seen]), torch.cat([better, worse]))
                good, bad = torch.split(both, len(part))
                # DPO is a mean over pairs, SFT one over tokens: each part counts by its share of either
                share = float(weights[part].double().sum()) / pairs
                gamma = settings.gamma * (_weight(better, weights, part) / tokens / share)
                yield share * losses.contrastive_preference_loss(
                    good, bad, spoken(better), spoken(worse), of_chosen[part], of_rejected[part], settings.beta,
                    gamma, weights[part],
                )  # fmt: skip

    with out_of_memory(MICRO_BATCH, micro):
        return learn(policy, loss, len(chosen), settings, settings.epochs, rate, generator, who)
