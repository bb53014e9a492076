"""What MACPO's agents do: answer, learn answers (SFT), learn pairs (DPO + gamma * SFT)."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Self

import torch
from torch import Generator, Tensor

from trainers import losses
from trainers.checkpoint import RunError
from trainers.games import words
from trainers.macpo_config import Contrast, Fit
from trainers.policies import MLPPolicy, Policy


class Agent:
    """A policy and its negative twin, which see the same part of the inputs.

    Args:
        name: student, or teacher_1 and so on.
        positive: what learns. negative: what its familiar negatives come from.
        view: float32 (F,), see `weak_teachers.view_of`.
    """

    def __init__(self, name: str, positive: MLPPolicy, view: Tensor) -> None:
        self.name, self.positive, self.negative, self.view = name, positive, positive.copy(), view

    def seen(self, inputs: Tensor) -> Tensor:
        """What it sees of inputs (n, F)."""
        return inputs * self.view

    def copy(self) -> Self:
        """One of its own with the same weights."""
        other = type(self)(self.name, self.positive.copy(), self.view)
        other.negative = self.negative.copy()
        return other


def answers(policy: Policy, inputs: Tensor, decoding: str, generator: Generator) -> Tensor:
    """int64 (n, L)."""
    return policy.greedy(inputs) if decoding == "greedy" else policy.sample(inputs, generator).tokens


def _minibatches(count: int, batch: int, epochs: int, generator: Generator) -> Iterator[tuple[Tensor, float]]:
    """Rows of each update, and the share of updates already done; every epoch passes over all rows."""
    size = math.ceil(count / batch)
    for epoch in range(epochs):
        order = torch.randperm(count, generator=generator)
        for k in range(size):
            yield order[k * batch : (k + 1) * batch], (epoch * size + k) / (epochs * size)


def _learn(
    policy: Policy, loss: Callable[[Tensor, float], Tensor], count: int, fit: Fit | Contrast, epochs: int, rate: float,
    generator: Generator, who: str,
) -> float:  # fmt: skip
    """Minimise loss(rows, share done) by a fresh Adam with a cosine schedule; the mean loss.

    Raises:
        RunError: a loss that is not finite.
    """
    optimizer = torch.optim.Adam(policy.parameters(), lr=rate, fused=True)  # small networks: half the time
    limit = fit.max_grad_norm if isinstance(fit, Contrast) else math.inf
    total, updates = 0.0, 0
    for rows, done in _minibatches(count, fit.batch, epochs, generator):
        for group in optimizer.param_groups:
            group["lr"] = rate * 0.5 * (1.0 + math.cos(math.pi * done))
        value = loss(rows, done)
        if not bool(torch.isfinite(value)):
            raise RunError(
                f"{who}: the loss is {float(value.detach())} at update {updates + 1}; checkpoints so far are kept"
            )
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        if limit < math.inf:
            torch.nn.utils.clip_grad_norm_(policy.parameters(), limit)
        optimizer.step()
        total, updates = total + float(value.detach()), updates + 1
    return total / updates


def fit_answers(
    policy: Policy, inputs: Tensor, targets: Tensor, fit: Fit, epochs: int, generator: Generator, who: str
) -> float:
    """SFT on targets (n, L) for inputs (n, F), in place; the mean loss."""

    def loss(rows: Tensor, _: float) -> Tensor:
        log_probs = policy.log_prob(inputs[rows], targets[rows])
        return losses.sft_loss(log_probs, torch.ones_like(log_probs, dtype=torch.bool))

    def learn() -> float:
        return _learn(policy, loss, len(inputs), fit, epochs, fit.learning_rate, generator, who)

    return _once(learn, policy, generator, f"{fit!r} {epochs}", inputs, targets)


def _once(learn: Callable[[], float], policy: Policy, generator: Generator, said: str, *given: Tensor) -> float:
    """What `learn` does to a policy and a generator, done once for equal ones and equal arguments.

    Runs of a study differ in few settings, and most of them start alike. Nothing is rounded or approximated: a key is
    a hash over all that the result depends on.
    """
    before = hashlib.sha256(said.encode())
    for tensor in (*policy.state_dict().values(), generator.get_state(), *given):
        before.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        before.update(tensor.contiguous().numpy().tobytes())
    key = before.digest()
    if key not in _REMEMBERED:
        loss = learn()
        weights = {name: value.clone() for name, value in policy.state_dict().items()}
        _REMEMBERED[key] = (weights, generator.get_state(), loss)
        if len(_REMEMBERED) > REMEMBERED:
            _REMEMBERED.popitem(last=False)
    weights, state, loss = _REMEMBERED[key]
    _REMEMBERED.move_to_end(key)
    policy.load_state_dict(weights)
    generator.set_state(state)
    return loss


REMEMBERED = 64  #: results that `_once` keeps
_REMEMBERED: OrderedDict[bytes, tuple[dict[str, Tensor], Tensor, float]] = OrderedDict()


def contrast(
    policy: Policy, reference: Policy, inputs: Tensor, chosen: Tensor, rejected: Tensor | None, weights: Tensor,
    settings: Contrast, rate: float, generator: Generator, who: str,
) -> float:  # fmt: skip
    """A round of contrastive preference optimisation, in place; the mean loss.

    Args:
        inputs: (n, F). chosen, rejected: (n, L); no rejected ones: SFT on the chosen (-HN). weights: (n,).
        rate: Adam's, at the start.
    """
    whole = torch.ones_like(chosen, dtype=torch.bool)
    with torch.no_grad():
        of_chosen = reference.log_prob(inputs, chosen).sum(dim=1)
        of_rejected = None if rejected is None else reference.log_prob(inputs, rejected).sum(dim=1)

    def loss(rows: Tensor, _: float) -> Tensor:
        seen, mask = inputs[rows], whole[rows]
        if rejected is None or of_rejected is None:
            return losses.sft_loss(policy.log_prob(seen, chosen[rows]), mask, weights[rows])
        both = policy.log_prob(torch.cat([seen, seen]), torch.cat([chosen[rows], rejected[rows]]))
        good, bad = both.split(len(seen))  # type: ignore[no-untyped-call]
        return losses.contrastive_preference_loss(
            good, bad, mask, mask, of_chosen[rows], of_rejected[rows], settings.beta, settings.gamma, weights[rows]
        )

    return _learn(policy, loss, len(inputs), settings, settings.epochs, rate, generator, who)


CONFIDENCE = 0.5  #: weight of the student's own hardened opinion (openai/weak-to-strong: aux_coef)
WARM_UP = 0.1  #: share of the updates until then; before, the weight is the share done, as in that code


def fit_confidently(
    policy: Policy, inputs: Tensor, weak: Tensor, reasons: Tensor, fit: Fit, generator: Generator
) -> float:
    """The confidence-loss baseline (Burns et al. 2023), in place: its decision; its reason by SFT. The mean loss.

    Args:
        weak: (n,) the supervisor's probability of accepting. reasons: int64 (n,), the supervisor's.
    """

    def loss(rows: Tensor, done: float) -> Tensor:
        refuse, accept = (
            policy.log_prob(inputs[rows], torch.stack([torch.full_like(reasons[rows], k), reasons[rows]], dim=1))
            for k in (words.REFUSE, words.ACCEPT)
        )
        share = CONFIDENCE * (1.0 if done > WARM_UP else done)
        targets = losses.confidence_targets(weak[rows], accept[:, 0].exp(), share)
        decided = (weak[rows] > 0.5)[:, None]
        reason = torch.where(decided, accept[:, 1:], refuse[:, 1:])
        return losses.confidence_loss(accept[:, 0], refuse[:, 0], targets) - reason.mean()

    def learn() -> float:
        return _learn(policy, loss, len(inputs), fit, fit.epochs, fit.learning_rate, generator, "confidence")

    return _once(learn, policy, generator, f"confidence {fit!r}", inputs, weak, reasons)
