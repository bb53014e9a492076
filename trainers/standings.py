"""Where MACPO's agents stand after a round: one row. Ground truth is looked at here, and learnt nowhere."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from trainers.contrastive import answers
from trainers.policies import Policy
from trainers.preference_sets import vote
from trainers.society import Society

SHOWN = ("accuracy", "asr", "orr", "f1")


class Voter(NamedTuple):
    """A policy and the name by which the game knows what it sees and how it speaks."""

    name: str
    policy: Policy


class Said(NamedTuple):
    """n answers, and in whose tokens."""

    tokens: Tensor  # int64 (n, L)
    who: str


def pgr(student: float, weak: float, ceiling: float) -> float:
    """Performance gap recovered (Burns et al. 2023): (student - weak) / (ceiling - weak); NaN without a gap."""
    return (student - weak) / (ceiling - weak) if ceiling != weak else math.nan


def plain(row: Mapping[str, float]) -> dict[str, float | None]:
    """For JSON: undefined is null."""
    return {key: None if math.isnan(value) else value for key, value in row.items()}


def decide(society: Society, contexts: Any, *voters: Voter) -> Said:
    """Answers of one policy, or of the majority of several, in the student's tokens."""
    game, drawn = society.game, society.generator("judgement")
    each = [answers(policy, game.inputs(name, contexts), society.config.decoding, drawn) for name, policy in voters]
    if len(voters) == 1:
        return Said(each[0], voters[0].name)
    decisions = torch.stack(
        [game.decisions(contexts, said, voter.name) for said, voter in zip(each, voters, strict=True)], dim=1
    )
    heard = [game.heard(said, voter.name, "student") for said, voter in zip(each, voters, strict=True)]
    return Said(vote(torch.stack(heard, dim=1), decisions), "student")


def standings(society: Society) -> dict[str, float]:
    """All in [0, 1] but pgr and what the game says of itself; undefined is NaN.

    student/, teacher_<k>/, majority/ (of the teachers): accuracy, asr, orr, f1 on held-out contexts; blind: accuracy
    in the teacher's own blind spot.
    pgr: of the accuracy, from the mean of round 0's teachers to the ceiling; pgr_best: from the best of them.
    agreement: student and the teachers' majority decide alike; agreement_initial: with round 0's majority, on
    contexts that nothing else looks at.
    positives/: of what the student learnt from: accuracy, `MacpoGame.shape`, disagreement (teachers do not all
    decide alike).
    answers/: `MacpoGame.shape` of the student's held-out answers.
    And `MacpoGame.played`.
    """
    game = society.game
    tests, validation = game.held_out(society.round)
    student = Voter("student", society.student.positive)
    teachers = [Voter(teacher.name, teacher.positive) for teacher in society.teachers]
    before = [Voter(name, society.frozen[name]) for name in (f"initial_{teacher.name}" for teacher in society.teachers)]

    answered, voted = decide(society, tests, student), decide(society, tests, *teachers)
    row = _named("student", game.judged(tests, *answered))
    for k, teacher in enumerate(teachers):
        said = decide(society, tests, teacher)
        row |= _named(teacher.name, game.judged(tests, *said))
        hidden = game.blind(tests, k)
        row[f"{teacher.name}/blind"] = game.judged(tests[hidden], said.tokens[hidden], said.who)["accuracy"]
    row |= _named("majority", game.judged(tests, *voted))
    weak = [game.judged(tests, *decide(society, tests, voter))["accuracy"] for voter in before]
    ceiling = decide(society, tests, Voter("ceiling", society.frozen["ceiling"]))
    top = game.judged(tests, *ceiling)["accuracy"]
    row["pgr"] = pgr(row["student/accuracy"], sum(weak) / len(weak), top)
    row["pgr_best"] = pgr(row["student/accuracy"], max(weak), top)
    row["agreement"] = _alike(society, tests, answered, voted)
    first = decide(society, validation, *before)
    row["agreement_initial"] = _alike(society, validation, decide(society, validation, student), first)
    row |= _positives(society)
    row |= {f"answers/{name}": value for name, value in game.shape(tests, *answered).items()}
    row |= game.played(society)
    row["loss/student"] = society.losses.get("student", math.nan)
    of_teachers = [society.losses.get(teacher.name, math.nan) for teacher in society.teachers]
    return row | {"loss/teachers": sum(of_teachers) / len(of_teachers)}


def _named(who: str, found: dict[str, float]) -> dict[str, float]:
    return {f"{who}/{name}": found[name] for name in SHOWN}


def _alike(society: Society, contexts: Any, one: Said, other: Said) -> float:
    decided = [society.game.decisions(contexts, *said) for said in (one, other)]
    return float((decided[0] == decided[1]).float().mean())


def _positives(society: Society) -> dict[str, float]:
    game, chosen, contexts = society.game, society.held["chosen"], society.contexts("unlabelled")
    decisions = society.decided(society.held["candidates"])
    found = {
        "accuracy": game.judged(contexts, chosen, "student")["accuracy"],
        **game.shape(contexts, chosen, "student"),
    }
    found["disagreement"] = float((decisions != decisions[:, :1]).any(dim=1).float().mean())
    return {f"positives/{name}": value for name, value in found.items()}
