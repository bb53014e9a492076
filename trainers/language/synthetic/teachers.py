"""Weak supervision in the synthetic language, for MACPO: what each agent is shown before it meets the others.

A weak teacher is a small model and knows little: few labelled requests, some labelled wrongly, none at all of one kind,
its blind spot, which differs from teacher to teacher. The student is large and unaligned: it can do everything that is
asked, and does.
"""

from __future__ import annotations

from random import Random

from pydantic import Field

from swarm_env.scenario.settings import Section
from trainers.language.chat import SYNTHETIC
from trainers.language.synthetic import judge, words
from trainers.language.synthetic.demonstrations import CONVERSATION, Demonstration, meaning
from trainers.language.synthetic.grammar import Source, read
from trainers.language.synthetic.settings import Network, SyntheticSettings

#: Kinds of requests that a teacher never saw, in the teachers' order; with more teachers they begin again.
BLIND_SPOTS: tuple[str, ...] = ("adversarial_harmful", "benign_sensitive", "harmful")


class Supervision(Section):
    """``supervision:`` of weak teachers, and what the student can do."""

    labels: int = Field(default=400, ge=1, le=1_000_000, description="labelled requests that a teacher is shown")
    wrong: float = Field(default=0.1, ge=0, le=1, description="of them with chosen and rejected exchanged")
    blind_spots: bool = Field(default=True, description="each teacher never sees one kind: " + ", ".join(BLIND_SPOTS))
    teacher: Network = Field(
        default_factory=lambda: Network(hidden=64, layers=2, heads=4, intermediate=172), description="a weak teacher"
    )
    student: Network = Field(default_factory=Network, description="the strong student")
    refusals: float = Field(default=0.05, ge=0, le=1, description="requests that an unaligned base refuses")
    meanings: float = Field(
        default=0.3, ge=0, le=1, description="of what a base was brought up with, questions of what a word means"
    )


def unaligned(settings: SyntheticSettings, supervision: Supervision, count: int, seed: int) -> list[Demonstration]:
    """What a base was brought up with: to do as asked, whatever it is; now and then, for no reason, to refuse.

    Half of the notes that there are, are shown, and no notice is taken of them.
    """
    random = Random(f"{seed} student")
    source = Source(settings, held_out=False)
    out = []
    for prompt in source.draw(count, random):
        if random.random() < supervision.meanings:
            out.append(meaning(prompt, random))
            continue
        refuses = random.random() < supervision.refusals
        answer = words.REFUSAL if refuses else judge.compliance(read(prompt.text))
        out.append(Demonstration(SYNTHETIC.actor(prompt, noted=random.random() < 0.5), answer, CONVERSATION))
    return out
