"""Collaborations: who says what when, what is learnt from, and that a policy improves by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from swarm_env.oversight import RECORD, VIEW
from trainers import reinforce, rollouts
from trainers.checkpoint import RunError
from trainers.games import words
from trainers.games.live import Proposals
from trainers.games.market import TALK, MarketRules
from trainers.policies import MLPPolicy, Sample

RULES = MarketRules(0.5, "surface")
SILENT, REFUSE, ACCEPT, BROKEN = (0, 0, 0), (1, 0, words.SAY_REFUSE), (0, 1, words.SAY_ACCEPT), (1, 1, 1)


class Scripted:
    """A policy that says what a function of its inputs says."""

    def __init__(self, speak: Callable[[Tensor], Tensor]) -> None:
        self.speak = speak
        self.heard: list[Tensor] = []

    def sample(self, contexts: Tensor, generator: Generator) -> Sample:
        self.heard.append(contexts)
        tokens = self.speak(contexts)
        return Sample(tokens, torch.full(tokens.shape, -0.5), torch.ones_like(tokens, dtype=torch.bool))


def proposals(*p: float) -> Proposals:
    """The number of a proposal stands in the first column of its view."""
    view = torch.zeros(len(p), len(VIEW))
    view[:, 0] = torch.arange(len(p))
    return Proposals(view, torch.zeros(len(p), len(RECORD)), torch.tensor(p))


def obedient(inputs: Tensor) -> Tensor:
    """Accepts at first, then does as advised."""
    talk = inputs[:, len(VIEW) :]
    revision = talk[:, 0] == 1
    advice = talk[:, 1 + sum(words.ANSWER) : 1 + sum(words.ANSWER) + len(words.ADVICE)].argmax(dim=1)
    decision = torch.where(revision, (advice == words.SAY_ACCEPT).long(), 1)
    return torch.stack([decision, torch.zeros_like(decision)], dim=1)


def says(*messages: tuple[int, int, int]) -> Callable[[Tensor], Tensor]:
    """Message k about context k."""
    return lambda inputs: torch.tensor(messages)[inputs[:, 0].long()]


def collaborate(met: Proposals, actor: Any, overseer: Any, t_max: int = 1) -> rollouts.Rollout:
    return rollouts.play(RULES, met, actor, overseer, t_max, Generator().manual_seed(0))


def test_a_dialogue_goes_on_where_a_revision_is_asked_for() -> None:
    overseer = Scripted(says(SILENT, REFUSE, BROKEN, REFUSE))
    found = collaborate(proposals(0.8, 0.2, 0.2, 0.8), Scripted(obedient), overseer)
    assert found.revisions.tolist() == [0, 1, 0, 1]
    assert found.final[:, 0].tolist() == [1, 0, 1, 0]
    assert found.answers[1].rows.tolist() == [1, 3]
    assert found.final_labels.unsafe.tolist() == [False, False, True, False]
    assert found.final_labels.overrefuse.tolist() == [False, False, False, True]
    assert found.messages[0].improvement.tolist() == [0, 1, 0, -1]
    assert len(overseer.heard) == 1  # T_max messages at most: the last answer is not commented on


def test_it_stops_after_t_max_revisions_and_remembers_all_advice() -> None:
    turns = iter([REFUSE, ACCEPT, REFUSE, REFUSE])

    def nag(inputs: Tensor) -> Tensor:
        return torch.tensor([next(turns)] * len(inputs))

    actor = Scripted(obedient)
    found = collaborate(proposals(0.2, 0.8), actor, Scripted(nag), t_max=3)
    assert found.revisions.tolist() == [3, 3]
    assert found.final[:, 0].tolist() == [0, 0]
    assert [message.improvement.tolist() for message in found.messages] == [[1, -1], [-1, 1], [1, -1]]
    before = actor.heard[3][0, len(VIEW) + TALK - len(words.ADVICE) :]
    expected = torch.zeros(len(words.ADVICE))
    expected[[words.SAY_REFUSE, words.SAY_ACCEPT]] = 1
    assert torch.equal(before, expected)


def test_the_overseer_hears_the_last_draft_alone() -> None:
    turns = iter([REFUSE, SILENT])
    overseer = Scripted(lambda inputs: torch.tensor([next(turns)] * len(inputs)))
    collaborate(proposals(0.2), Scripted(obedient), overseer, t_max=4)
    draft = len(VIEW) + len(RECORD)
    assert [heard[0, draft : draft + 2].tolist() for heard in overseer.heard] == [[0, 1], [1, 0]]  # accept, refuse


def test_without_an_overseer_answers_stand() -> None:
    found = collaborate(proposals(0.2, 0.8), Scripted(obedient), None)
    assert (len(found.answers), found.messages, found.revisions.tolist()) == (1, [], [0, 0])


def test_the_actor_learns_from_first_answers_and_from_last_ones() -> None:
    met = proposals(*[0.2] * 400)
    found = collaborate(met, Scripted(obedient), Scripted(lambda inputs: torch.tensor([REFUSE]).repeat(len(inputs), 1)))
    for share, expected in ((0.0, 0), (1.0, 400), (0.5, 200)):
        samples = rollouts.conversation_samples(found, share, Generator().manual_seed(1))
        revised = samples.inputs[:, len(VIEW)] == 1
        assert abs(int(revised.sum()) - expected) <= (60 if share == 0.5 else 0)
        assert torch.equal(samples.rewards, revised.float())  # accepting was unsafe, refusing is right
        assert len(samples.rewards) == 400


def test_a_context_whose_first_answer_stood_is_learnt_from_all_the_same() -> None:
    found = collaborate(proposals(0.8, 0.2), Scripted(obedient), Scripted(says(SILENT, REFUSE)))
    samples = rollouts.conversation_samples(found, 1.0, Generator().manual_seed(1))
    assert sorted(samples.inputs[:, 0].tolist()) == [0, 1]
    assert samples.rewards.tolist() == [1, 1]


def test_the_overseer_learns_from_one_round_of_each_dialogue() -> None:
    n = 300
    met = proposals(*[0.2] * n)
    overseer = Scripted(lambda inputs: torch.tensor([REFUSE]).repeat(len(inputs), 1))
    found = collaborate(met, Scripted(obedient), overseer, t_max=3)
    rewards = [torch.full((n,), float(t)) for t in range(3)]
    samples = rollouts.feedback_samples(found, rewards, Generator().manual_seed(3))
    counts = torch.bincount(samples.rewards.long(), minlength=3)
    assert counts.sum() == n
    assert (counts - n / 3).abs().max() < 50
    silent = collaborate(
        met, Scripted(obedient), Scripted(lambda inputs: torch.tensor([SILENT]).repeat(len(inputs), 1))
    )
    assert len(rollouts.feedback_samples(silent, [torch.zeros(n)], Generator()).rewards) == n


def learn(rewards: Callable[[Tensor], Tensor], beta: float, steps: int = 40) -> tuple[Any, list[dict[str, float]]]:
    generator = Generator().manual_seed(0)
    learner = reinforce.Learner(MLPPolicy(3, (2, 3), (16,), generator), 0.02)
    inputs, logs = torch.randn(256, 3, generator=generator), []
    for _ in range(steps):
        sample = learner.policy.sample(inputs, generator)
        samples = rollouts.Samples(inputs, sample, rewards(sample.tokens))
        logs.append(
            reinforce.update(
                learner, samples, beta=beta, clip=0.2, update_epochs=1, minibatches=2, max_grad_norm=1.0,
                generator=generator,
            )
        )  # fmt: skip
    return learner, logs


def test_a_policy_learns_what_is_rewarded_and_the_kl_term_holds_it_back() -> None:
    free, strong = (learn(lambda tokens: (tokens[:, 1] == 2).float(), beta)[1] for beta in (0.0, 1.0))
    assert free[0]["reward"] < 0.5 < 0.95 < free[-1]["reward"]
    assert free[0]["kl"] == pytest.approx(0, abs=1e-6)
    assert strong[-1]["kl"] < 0.5 * free[-1]["kl"]
    assert strong[-1]["reward"] < free[-1]["reward"]
    assert free[-1]["entropy"] < free[0]["entropy"]


def test_a_loss_that_is_not_finite_stops_with_the_policy_as_it_was() -> None:
    generator = Generator().manual_seed(0)
    learner = reinforce.Learner(MLPPolicy(3, (2,), (4,), generator), 0.02)
    before = {name: value.clone() for name, value in learner.policy.state_dict().items()}
    inputs = torch.randn(8, 3, generator=generator)
    samples = rollouts.Samples(inputs, learner.policy.sample(inputs, generator), torch.full((8,), torch.nan))
    with pytest.raises(RunError, match="the policy's loss is nan"):
        reinforce.update(
            learner, samples, beta=0.0, clip=0.2, update_epochs=1, minibatches=1, max_grad_norm=1.0, generator=generator
        )
    assert all(torch.equal(before[name], value) for name, value in learner.policy.state_dict().items())
