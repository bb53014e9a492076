"""The MLP policy: what it samples has the probabilities it says."""

from __future__ import annotations

import pytest
import torch
from torch import Generator

from trainers.policies import MLPPolicy


def policy(seed: int = 0) -> MLPPolicy:
    generator = Generator().manual_seed(seed)
    made = MLPPolicy(3, (2, 2, 4), (8, 8), generator)
    with torch.no_grad():
        for weight in made.parameters():  # a new one is near uniform, and its tables are 0
            weight += 0.5 * torch.randn(weight.shape, generator=generator)
    return made


def every() -> torch.Tensor:
    return torch.cartesian_prod(torch.arange(2), torch.arange(2), torch.arange(4))


def test_probabilities_of_all_sequences_add_up_to_one() -> None:
    inputs = torch.randn(1, 3, generator=Generator().manual_seed(1)).expand(16, 3)
    assert policy().log_prob(inputs, every()).sum(dim=1).exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_samples_come_as_often_as_their_probability_says() -> None:
    made, count = policy(), 200_000
    inputs = torch.randn(1, 3, generator=Generator().manual_seed(1))
    sample = made.sample(inputs.expand(count, 3), Generator().manual_seed(2))
    expected = made.log_prob(inputs.expand(16, 3), every()).sum(dim=1).exp()
    number = sample.tokens @ torch.tensor([8, 4, 1])
    found = torch.bincount(number, minlength=16) / count
    assert (found - expected).abs().max() < 5 * (0.25 / count) ** 0.5
    again = made.log_prob(inputs.expand(count, 3), sample.tokens)
    assert torch.allclose(sample.log_probs, again, atol=1e-5)
    assert sample.mask.all()


def test_later_tokens_depend_on_earlier_ones() -> None:
    made, inputs = policy(), torch.zeros(2, 3)
    log_probs = made.log_prob(inputs, torch.tensor([[0, 0, 0], [1, 0, 0]]))
    assert not torch.allclose(log_probs[0, 1:], log_probs[1, 1:])


def test_a_seed_repeats_and_the_global_generator_is_left_alone() -> None:
    inputs = torch.randn(50, 3, generator=Generator().manual_seed(1))
    before = torch.get_rng_state()
    one, two = (policy().sample(inputs, Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(one.tokens, two.tokens)
    assert torch.equal(before, torch.get_rng_state())


def test_greedy_takes_the_likeliest_token_each_time() -> None:
    made, inputs = policy(), torch.randn(20, 3, generator=Generator().manual_seed(1))
    tokens = made.greedy(inputs)
    for k, size in enumerate(made.sizes):
        here = made.log_prob(inputs, tokens)[:, k]
        for other in range(size):
            changed = tokens.clone()
            changed[:, k] = other
            assert (made.log_prob(inputs, changed)[:, k] <= here + 1e-6).all()


def test_a_copy_is_on_its_own() -> None:
    made = policy()
    other = made.copy()
    with torch.no_grad():
        for weight in other.parameters():
            weight += 1
    assert not any(torch.equal(a, b) for a, b in zip(made.parameters(), other.parameters(), strict=True))


def test_a_uniform_policys_tokens_are_as_likely_as_there_are_choices() -> None:
    made = MLPPolicy(3, (2, 4), (8,), Generator().manual_seed(0))
    with torch.no_grad():
        made.heads.weight.zero_()
    log_probs = made.log_prob(torch.ones(5, 3), torch.zeros(5, 2, dtype=torch.long))
    assert torch.allclose(log_probs, -torch.tensor([2.0, 4.0]).log().expand(5, 2))
