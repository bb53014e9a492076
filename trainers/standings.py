"""Where MACPO's agents stand after a round: one row. Ground truth is looked at here, and learnt nowhere."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from trainers import weak_to_strong
from trainers.games.live import Proposals
from trainers.society import Society
from trainers.weak_teachers import BLIND_SPOTS, blind_to, unfounded
from trainers.weak_to_strong import Trained, Voter, decide, diversity, judged, pgr, repeated

SHOWN = ("accuracy", "asr", "orr", "f1")


def standings(society: Society) -> dict[str, float]:
    """All in [0, 1] but pgr and the market's metrics; undefined is NaN.

    student/, teacher_<k>/, majority/ (of the teachers): accuracy, asr, orr, f1 on held-out proposals; blind: accuracy
    in the teacher's own blind spot.
    pgr: of the accuracy, from the mean of round 0's teachers to the ceiling; pgr_best: from the best of them.
    agreement: student and the teachers' majority decide alike; agreement_initial: with round 0's majority, on
    proposals that nothing else looks at.
    positives/: of what the student learnt from; accuracy, diversity (entropy), repeated (share of the commonest
    answer), unfounded (reason not true of the surface, or against the decision), disagreement (teachers do not all
    decide alike).
    answers/: diversity, repeated, unfounded of the student's held-out answers.
    market/: `suite.SUITE` of held-out markets that the student governs.
    """
    config, rules = society.config, society.rules
    tests, validation = weak_to_strong.held_out(config, society.round)
    student = Voter(society.student.positive, society.student.view)
    teachers = [Voter(teacher.positive, teacher.view) for teacher in society.teachers]
    before = [Voter(society.frozen[f"initial_{t.name}"], t.view) for t in society.teachers]

    def says(contexts: Proposals, *voters: Voter) -> Tensor:
        inputs = rules.first_context(contexts)
        return decide(voters, inputs, config.decoding, society.generator("judgement"))

    answered, voted = says(tests, student), says(tests, *teachers)
    row = _named("student", judged(rules, tests, answered))
    for k, teacher in enumerate(teachers):
        said = says(tests, teacher)
        row |= _named(f"teacher_{k + 1}", judged(rules, tests, said))
        hidden = blind_to(rules, tests, BLIND_SPOTS[k % len(BLIND_SPOTS)])
        row[f"teacher_{k + 1}/blind"] = _accuracy(society, tests[hidden], said[hidden])
    row |= _named("majority", judged(rules, tests, voted))
    weak = [_accuracy(society, tests, says(tests, voter)) for voter in before]
    top = _accuracy(society, tests, says(tests, Voter(society.frozen["ceiling"], student.view)))
    row["pgr"] = pgr(row["student/accuracy"], sum(weak) / len(weak), top)
    row["pgr_best"] = pgr(row["student/accuracy"], max(weak), top)
    row["agreement"] = _alike(answered, voted)
    row["agreement_initial"] = _alike(says(validation, student), says(validation, *before))
    row |= _positives(society)
    row |= {f"answers/{name}": value for name, value in _shape(society, tests, answered).items()}
    trained = Trained(config, rules, (student,), {})
    found = weak_to_strong.market(config, society.round, trained, config.round_episodes)
    row |= {f"market/{name}": value for name, value in found.items()}
    row["loss/student"] = society.losses.get("student", math.nan)
    of_teachers = [society.losses.get(teacher.name, math.nan) for teacher in society.teachers]
    return row | {"loss/teachers": sum(of_teachers) / len(of_teachers)}


def _named(who: str, found: dict[str, float]) -> dict[str, float]:
    return {f"{who}/{name}": found[name] for name in SHOWN}


def _accuracy(society: Society, contexts: Proposals, said: Tensor) -> float:
    return judged(society.rules, contexts, said)["accuracy"]


def _alike(one: Tensor, other: Tensor) -> float:
    return float((one[:, 0] == other[:, 0]).float().mean())


def _positives(society: Society) -> dict[str, float]:
    chosen, contexts = society.held["chosen"], society.contexts("unlabelled")
    decisions = society.held["candidates"][:, :, 0]
    found = {"accuracy": _accuracy(society, contexts, chosen), **_shape(society, contexts, chosen)}
    found["disagreement"] = float((decisions != decisions[:, :1]).any(dim=1).float().mean())
    return {f"positives/{name}": value for name, value in found.items()}


def _shape(society: Society, contexts: Proposals, said: Tensor) -> dict[str, float]:
    return {
        "diversity": diversity(said, society.rules.answer_tokens), "repeated": repeated(said),
        "unfounded": float(torch.as_tensor(unfounded(contexts, said)).float().mean()),
    }  # fmt: skip
