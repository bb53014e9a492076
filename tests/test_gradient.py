"""Steps in micro-batches: the gradient of the whole, bit by bit where there is one, and nothing done on a bad loss."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from trainers import gradient, losses, reinforce
from trainers.checkpoint import RunError
from trainers.policies import MLPPolicy
from trainers.rollouts import Samples


def setup() -> tuple[MLPPolicy, Samples]:
    generator = Generator().manual_seed(0)
    policy = MLPPolicy(3, (2, 3), (16,), generator)
    inputs = torch.randn(30, 3, generator=generator)
    sample = policy.sample(inputs, generator)
    return policy, Samples(inputs, sample, (sample.tokens[:, 1] == 2).float())


def weights(policy: nn.Module) -> Tensor:
    return torch.cat([value.detach().reshape(-1) for value in policy.parameters()])


def updated(micro_batch: int | None) -> Tensor:
    policy, samples = setup()
    learner = reinforce.Learner(policy, 0.01)
    reinforce.update(
        learner, samples, beta=0.1, clip=0.2, update_epochs=2, minibatches=4, max_grad_norm=0.5,
        generator=Generator().manual_seed(1), micro_batch=micro_batch,
    )  # fmt: skip
    return weights(policy)


def test_micro_batches_add_up_to_the_whole() -> None:
    whole = updated(None)
    assert torch.equal(updated(8), whole)  # larger than a minibatch: one micro-batch
    for size in (1, 3, 7):
        assert torch.allclose(updated(size), whole, atol=1e-5)
        assert not torch.equal(whole, weights(setup()[0]))


def test_one_micro_batch_is_the_plain_step_bit_by_bit() -> None:
    policy, (inputs, (tokens, old, mask), rewards) = setup()
    optimizer = torch.optim.Adam(policy.parameters(), lr=0.01)
    with torch.no_grad():
        reference = policy.log_prob(inputs, tokens)
    advantages = losses.normalise(losses.reinforce_advantages(rewards, old, reference, mask, 0.1), mask)
    generator = Generator().manual_seed(1)
    for _ in range(2):
        for rows in torch.randperm(len(rewards), generator=generator).chunk(4):
            log_probs = policy.log_prob(inputs[rows], tokens[rows])
            loss = losses.clipped_policy_loss(log_probs, old[rows], advantages[rows], mask[rows], 0.2)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(policy.parameters(), 0.5)
            optimizer.step()
    assert torch.equal(updated(None), weights(policy))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_bad_loss_in_any_micro_batch_stops_before_the_step(bad: float) -> None:
    value = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([value], lr=1.0)

    def contribution(rows: Tensor) -> Tensor:
        return value.sum() * (bad if 4 in rows else 1.0)

    with pytest.raises(RunError, match="the policy's loss is"):
        gradient.step([value], optimizer, torch.arange(6), contribution, max_grad_norm=1.0, micro_batch=2)
    assert value.item() == 1.0
    assert value.grad is None
    gradient.step([value], optimizer, torch.arange(3), contribution, max_grad_norm=1.0, micro_batch=2)
    assert value.item() == pytest.approx(0.0, abs=1e-5)  # the gradient, 2, was clipped to 1


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_too_little_memory_says_what_to_lower(error: RuntimeError, monkeypatch: pytest.MonkeyPatch) -> None:
    policy, samples = setup()
    learner = reinforce.Learner(policy, 0.01)

    def full(*_: Any) -> Tensor:
        raise error

    monkeypatch.setattr(policy, "log_prob", full)
    more = {"beta": 0.1, "clip": 0.2, "update_epochs": 1, "minibatches": 1, "max_grad_norm": 1.0}
    with pytest.raises(RunError, match=r"out of memory: lower micro_batch \(now 4\); the last checkpoint is good"):
        reinforce.update(learner, samples, generator=Generator(), micro_batch=4, **more)  # type: ignore[arg-type]


def test_other_errors_stay_what_they_are() -> None:
    def broken(rows: Tensor) -> Tensor:
        raise RuntimeError("shapes do not match")

    value = nn.Parameter(torch.ones(1))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        gradient.step([value], torch.optim.SGD([value]), torch.arange(2), broken, max_grad_norm=1.0)


def test_no_samples_no_step() -> None:
    policy, samples = setup()
    learner = reinforce.Learner(policy, 0.01)
    before = weights(policy)
    none = Samples(samples.inputs[:0], type(samples.sample)(*(x[:0] for x in samples.sample)), samples.rewards[:0])
    log = reinforce.update(
        learner, none, beta=0.1, clip=0.2, update_epochs=1, minibatches=2, max_grad_norm=1.0, generator=Generator()
    )
    assert torch.equal(weights(policy), before)
    assert all(value != value for value in log.values())  # NaN: undefined
