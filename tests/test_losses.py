"""Losses against numbers computed by hand, against finite differences, and by their properties."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator

from trainers import losses
from trainers.policies import MLPPolicy

ALL = torch.ones(2, 3, dtype=torch.bool)


def test_advantages_are_reward_less_the_kl_to_go() -> None:
    old = torch.tensor([[-1.0, -2.0, -3.0], [-0.5, -0.5, -0.5]])
    reference = torch.tensor([[-1.5, -1.0, -3.5], [-0.5, -1.5, -0.5]])
    # log-ratios: .5 -1 .5 and 0 1 0; from each token to the end: 0 -.5 .5 and 1 1 0
    advantages = losses.reinforce_advantages(torch.tensor([1.0, 0.0]), old, reference, ALL, beta=0.1)
    assert advantages.tolist() == [pytest.approx([1.0, 1.05, 0.95]), pytest.approx([-0.1, -0.1, 0.0])]


def test_tokens_beyond_a_sequences_end_count_nowhere() -> None:
    mask = torch.tensor([[True, True, False], [True, True, True]])
    old, reference = torch.zeros(2, 3), torch.tensor([[0.0, 0.0, 99.0], [0.0, 0.0, 0.0]])
    advantages = losses.reinforce_advantages(torch.tensor([1.0, 0.0]), old, reference, mask, beta=1.0)
    assert advantages[0, :2].tolist() == [1, 1]
    normal = losses.normalise(torch.tensor([[1.0, 1.0, 99.0], [0.0, 0.0, 0.0]]), mask)
    # five tokens: mean .4, population standard deviation sqrt(.24)
    high, low = 0.6 / math.sqrt(0.24), -0.4 / math.sqrt(0.24)
    assert normal.tolist() == [pytest.approx([high, high, 0.0], abs=1e-5), pytest.approx([low, low, low], abs=1e-5)]
    loss = losses.clipped_policy_loss(old, old, normal, mask, 0.2)
    assert loss.item() == pytest.approx(-(high + low) / 2, abs=1e-5)  # 1/|y| first, then the mean over sequences


def test_equal_advantages_teach_nothing() -> None:
    assert losses.normalise(torch.full((4, 2), 3.0), torch.ones(4, 2, dtype=torch.bool)).abs().max() == 0


def test_the_ratio_is_clipped_on_the_side_that_would_gain() -> None:
    ratios = torch.tensor([[1.5, 0.5, 1.5], [0.5, 1.1, 0.9]])
    advantages = torch.tensor([[1.0, 1.0, -1.0], [-1.0, 1.0, -1.0]])
    # min(s A, clip(s) A): 1.2, .5, -1.5 and -.8, 1.1, -.9
    loss = losses.clipped_policy_loss(ratios.log(), torch.zeros(2, 3), advantages, ALL, clip=0.2)
    assert loss.item() == pytest.approx(-((1.2 + 0.5 - 1.5) / 3 + (-0.8 + 1.1 - 0.9) / 3) / 2)
    assert losses.clip_fraction(ratios.log(), torch.zeros(2, 3), ALL, 0.2).item() == pytest.approx(4 / 6)


def test_importance_weights_are_truncated() -> None:
    mask = torch.tensor([[True, True, True], [True, False, False]])
    ours = torch.tensor([[-1.0, -1.0, -3.0], [-2.0, -9.0, -9.0]], requires_grad=True)
    theirs = torch.tensor([[-1.0, -4.0, -2.0], [-2.0 - math.log(1.5), 0.0, 0.0]])
    weights = losses.truncated_importance_weights(ours, theirs, mask, cap=2.0)
    assert weights.tolist() == [pytest.approx([1.0, 2.0, math.exp(-1)]), pytest.approx([1.5, 0.0, 0.0])]
    assert not weights.requires_grad


def test_dpo_by_hand() -> None:
    chosen, rejected = torch.tensor([-1.0, -4.0]), torch.tensor([-2.0, -1.0])
    references = torch.tensor([-1.5, -4.0]), torch.tensor([-1.0, -2.0])
    # margins (.5 - -1) = 1.5 and (0 - 1) = -1, times beta .1
    first, second = (math.log(1 + math.exp(-0.1 * m)) for m in (1.5, -1.0))
    loss = losses.dpo_loss(chosen, rejected, *references, beta=0.1)
    assert loss.item() == pytest.approx((first + second) / 2)
    weighted = losses.dpo_loss(chosen, rejected, *references, beta=0.1, weights=torch.tensor([3.0, 1.0]))
    assert weighted.item() == pytest.approx((3 * first + second) / 4)
    assert losses.dpo_loss(chosen, chosen, chosen, chosen, beta=0.1).item() == pytest.approx(math.log(2))


def test_supervised_loss_is_a_mean_over_tokens_and_perplexity_a_geometric_mean() -> None:
    log_probs = torch.tensor([[-1.0, -2.0, -9.0], [-3.0, -3.0, -3.0]])
    mask = torch.tensor([[True, True, False], [True, True, True]])
    assert losses.sft_loss(log_probs, mask).item() == pytest.approx((1 + 2 + 9) / 5)
    assert losses.sequence_log_prob(log_probs, mask).tolist() == [-3, -9]
    assert losses.perplexity(log_probs, mask).tolist() == pytest.approx([math.exp(1.5), math.exp(3)])
    weights = torch.tensor([1.0, 0.0])
    assert losses.sft_loss(log_probs, mask, weights).item() == pytest.approx(1.5)


def test_confidence_targets_harden_the_student_at_the_weak_class_balance() -> None:
    weak = torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0])
    strong = torch.tensor([0.6, 0.7, 0.8, 0.9, 0.95])  # surely 1 at .5; but one in five is
    assert losses.confidence_targets(weak, strong, 0.5).tolist() == [0.5, 0, 0, 0, 0.5]
    assert losses.confidence_targets(weak, strong, 0.0).tolist() == weak.tolist()


@given(st.integers(0, 2**31 - 1))
def test_a_policys_gradient_is_that_of_finite_differences(seed: int) -> None:
    """Of both the clipped loss and DPO + SFT, in double precision, at one weight of every tensor."""
    generator = Generator().manual_seed(seed)
    policy = MLPPolicy(4, (2, 3), (5,), generator).double()
    with torch.no_grad():
        for weight in policy.parameters():
            weight += 0.3 * torch.randn(weight.shape, generator=generator, dtype=torch.double)
    inputs = torch.randn(6, 4, generator=generator, dtype=torch.double)
    tokens = torch.stack([torch.randint(2, (6,), generator=generator), torch.randint(3, (6,), generator=generator)], 1)
    other = (tokens + 1) % torch.tensor([2, 3])
    mask = torch.ones(6, 2, dtype=torch.bool)
    with torch.no_grad():
        old = policy.log_prob(inputs, tokens) + 0.1 * torch.randn(6, 2, generator=generator, dtype=torch.double)
    advantages = torch.randn(6, 2, generator=generator, dtype=torch.double)

    def loss() -> torch.Tensor:
        log_probs = policy.log_prob(inputs, tokens)
        clipped = losses.clipped_policy_loss(log_probs, old, advantages, mask, 10.0)  # no kinks in reach
        chosen, rejected = (losses.sequence_log_prob(policy.log_prob(inputs, t), mask) for t in (tokens, other))
        dpo = losses.dpo_loss(chosen, rejected, old.sum(1), old.sum(1), 0.5)
        return clipped + dpo + 0.2 * losses.sft_loss(log_probs, mask)

    policy.zero_grad()
    loss().backward()
    for weight in policy.parameters():
        flat, at = weight.data.view(-1), int(torch.randint(weight.numel(), (1,), generator=generator))
        assert weight.grad is not None
        here, step = float(flat[at]), 1e-6
        values = []
        for shifted in (here + step, here - step):
            flat[at] = shifted
            values.append(loss().item())
        flat[at] = here
        assert weight.grad.view(-1)[at].item() == pytest.approx((values[0] - values[1]) / (2 * step), abs=1e-6)
