"""Weak supervision in the market: what is right and wrong to answer, and how little of it each teacher is told.

A teacher is weak because of what it learns from: few labelled proposals, some labelled wrongly, and none at all of one
kind, its blind spot. Blind spots differ, so that errors are complementary.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from swarm_env.oversight import RECORD, REPUTATION, SIGNAL, VIEW
from swarm_env.scenario.settings import Section
from trainers.games import words
from trainers.games.live import Proposals
from trainers.games.market import TALK, MarketRules
from trainers.macpo_game import Preferences

#: Blind spots in the teachers' order; with more teachers they begin again.
BLIND_SPOTS: tuple[str, ...] = ("disguised", "sensitive", "low_reputation")
#: What teachers of partial view see of a proposal besides everything about themselves and the market, likewise.
PARTIAL: tuple[tuple[str, ...], ...] = (("signal", "mean_p"), ("reading", "trust"), ("reading", "reputation"))
OWN = SIGNAL  #: columns of VIEW that are of the agent itself and of the market
REASONS: tuple[str, ...] = ("looks_sound", "looks_harmful", "unsure")  #: what ground truth's reasons mean
LOOKS_SOUND, LOOKS_HARMFUL, UNSURE = range(words.NUM_REASONS)
LOW_REPUTATION = 0.75  #: what counts as low, about the lowest quarter of those who are proposed by


class Supervision(Section):
    """``supervision:``."""

    labels: int = Field(default=100, ge=1, le=1_000_000, description="labelled proposals that a teacher is shown")
    wrong: float = Field(default=0.1, ge=0, le=1, description="of them with chosen and rejected exchanged")
    blind_spots: bool = Field(default=True, description="each teacher never sees one kind: " + ", ".join(BLIND_SPOTS))
    view: Literal["full", "partial"] = Field(
        default="full", description="of teachers; partial: two of a proposal's features each"
    )


def explained(contexts: Proposals, accept: Tensor) -> Tensor:
    """Answers int64 (n, 2): a decision bool (n,), and how the surface looks if it speaks for that, else unsure."""
    sound = contexts.signal > 0
    looks = torch.where(sound, LOOKS_SOUND, LOOKS_HARMFUL)
    return torch.stack([accept.long(), torch.where(sound == accept, looks, UNSURE)], dim=1)


def unfounded(contexts: Proposals, answers: Tensor) -> Tensor:
    """bool (n,): the reason is not true of the proposal's surface, or speaks against the decision."""
    sound, accept, reason = contexts.signal > 0, answers[:, 0] == words.ACCEPT, answers[:, 1]
    says_sound, says_harmful = reason == LOOKS_SOUND, reason == LOOKS_HARMFUL
    return (says_sound & (~sound | ~accept)) | (says_harmful & (sound | accept))


def preferences(rules: MarketRules, contexts: Proposals) -> Preferences:
    """Ground truth: the right decision, and the wrong one, each with its reason."""
    sound = contexts.p >= rules.threshold
    return Preferences(explained(contexts, sound), explained(contexts, ~sound))


def blind_to(rules: MarketRules, contexts: Proposals, spot: str) -> Tensor:
    """bool (n,): proposals of a blind spot. low_reputation: sound ones of an initiator whose reputation is low."""
    kinds = rules.kinds(contexts)
    if spot == "low_reputation":
        return kinds["sound"] & (contexts.view[:, REPUTATION] < LOW_REPUTATION)
    return kinds[spot]


def lesson(
    rules: MarketRules, contexts: Proposals, teacher: int, supervision: Supervision, generator: Generator
) -> tuple[Tensor, Preferences]:
    """What a teacher (0..) is told: rows int64 (m,) of the contexts, m <= labels, and their labels.

    Raises:
        ValueError: all contexts are in its blind spot.
    """
    spot = BLIND_SPOTS[teacher % len(BLIND_SPOTS)]
    hidden = blind_to(rules, contexts, spot)
    seen = (~hidden).nonzero()[:, 0] if supervision.blind_spots else torch.arange(len(contexts))
    if not len(seen):
        raise ValueError(f"teacher {teacher + 1}: all {len(contexts)} labelled proposals are in its blind spot, {spot}")
    rows = seen[torch.randperm(len(seen), generator=generator)[: supervision.labels]]
    truth = preferences(rules, contexts[rows])
    wrong = (torch.rand(len(rows), generator=generator) < supervision.wrong)[:, None]
    chosen = torch.where(wrong, truth.rejected, truth.chosen)
    return rows, Preferences(chosen, torch.where(wrong, truth.chosen, truth.rejected))


def view_of(rules: MarketRules, teacher: int, supervision: Supervision) -> Tensor:
    """float32 (actor_inputs,): 1 where a teacher sees an input, 0 where it does not."""
    if supervision.view == "full":
        return torch.ones(rules.actor_inputs)
    sees = PARTIAL[teacher % len(PARTIAL)]
    names = [*VIEW, *(RECORD if rules.actor_sees == "ledger" else ())]
    about = [k < OWN or name in sees for k, name in enumerate(names)]
    return torch.tensor([*about, *[True] * TALK]).float()
