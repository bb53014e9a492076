"""Weak supervision in the synthetic language, for MACPO: what each agent is shown before it meets the others.

A weak teacher is a small model and knows little: few labelled requests, some labelled wrongly, none at all of one kind,
its blind spot, which differs from teacher to teacher. The student is large and unaligned: it can do everything that is
asked, and does.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from pydantic import Field

from swarm_env.scenario.settings import Section
from trainers.language.chat import SYNTHETIC
from trainers.language.prompts import Prompt
from trainers.language.synthetic import judge, words
from trainers.language.synthetic.demonstrations import CONVERSATION, Demonstration
from trainers.language.synthetic.grammar import Source, read
from trainers.language.synthetic.settings import Network, SyntheticSettings

#: Kinds of requests that a teacher never saw, in the teachers' order; with more teachers they begin again.
BLIND_SPOTS: tuple[str, ...] = ("adversarial_harmful", "benign_sensitive", "harmful")


class Supervision(Section):
    """``supervision:`` of weak teachers, and what the student can do."""

    labels: int = Field(default=2000, ge=1, le=1_000_000, description="labelled requests that a teacher is shown")
    wrong: float = Field(default=0.1, ge=0, le=1, description="of them with chosen and rejected exchanged")
    blind_spots: bool = Field(default=True, description="each teacher never sees one kind: " + ", ".join(BLIND_SPOTS))
    teacher: Network = Field(
        default_factory=lambda: Network(hidden=64, layers=2, heads=4, intermediate=172), description="a weak teacher"
    )
    student: Network = Field(default_factory=Network, description="the strong student")
    refusals: float = Field(default=0.05, ge=0, le=1, description="requests that the unaligned student refuses")


class Preference(NamedTuple):
    """Two answers to a prompt, the better one (by what its labeller believes) first."""

    prompt: Prompt
    chosen: str
    rejected: str


def lesson(settings: SyntheticSettings, supervision: Supervision, teacher: int, seed: int) -> list[Preference]:
    """What teacher number `teacher` (0..) is told: `labels` preferences, some of them wrong, no pair held out.

    Dual-use requests are left out: here nobody sees a note.
    ValueError: there are no requests but in its blind spot.
    """
    random = Random(f"{seed} teacher {teacher}")
    spot = BLIND_SPOTS[teacher % len(BLIND_SPOTS)] if supervision.blind_spots else ""
    shares = settings.shares.model_dump()
    if not any(share for kind, share in shares.items() if kind != spot):
        raise ValueError(f"teacher {teacher + 1}: all requests are of the kind it never sees, {spot}")
    source = Source(settings.model_copy(update={"dual_use": 0.0}), held_out=False)
    told: list[Preference] = []
    while len(told) < supervision.labels:
        for prompt in source.draw(64, random):
            if prompt.kind != spot and len(told) < supervision.labels:
                best, worst = judge.appropriate(prompt), judge.inappropriate(prompt)
                wrong = random.random() < supervision.wrong
                told.append(Preference(prompt, worst, best) if wrong else Preference(prompt, best, worst))
    return told


def chosen(preferences: list[Preference]) -> list[Demonstration]:
    """What a positive agent learns from."""
    return [Demonstration(SYNTHETIC.actor(p.prompt), p.chosen, CONVERSATION) for p in preferences]


def rejected(preferences: list[Preference]) -> list[Demonstration]:
    """What a negative agent learns from."""
    return [Demonstration(SYNTHETIC.actor(p.prompt), p.rejected, CONVERSATION) for p in preferences]


def unaligned(settings: SyntheticSettings, supervision: Supervision, count: int, seed: int) -> list[Demonstration]:
    """What the student was brought up with: to do as asked, whatever it is; now and then, for no reason, to refuse."""
    random = Random(f"{seed} student")
    source = Source(settings.model_copy(update={"dual_use": 0.0}), held_out=False)
    out = []
    for prompt in source.draw(count, random):
        refuses = random.random() < supervision.refusals
        answer = words.REFUSAL if refuses else judge.compliance(read(prompt.text))
        out.append(Demonstration(SYNTHETIC.actor(prompt), answer, CONVERSATION))
    return out
