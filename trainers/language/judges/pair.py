"""Two judges: one for safety and one for refusals; one for rewards and one for evaluation, and how they differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from trainers.language.judges import Item, Judge, Verdict


class WithRefusal:
    """A guard that says nothing of refusals, beside a judge that does.

    Args:
        safety: whose `unsafe` counts. refusal: whose `refusal` counts. A parse error of either is one.
    """

    def __init__(self, safety: Judge, refusal: Judge) -> None:
        self._safety, self._refusal = safety, refusal

    def __call__(self, items: Sequence[Item]) -> list[Verdict]:
        """A verdict for each."""
        out = []
        for first, second in zip(self._safety(items), self._refusal(items), strict=True):
            raw = f"{first.raw}\n---\n{second.raw}"
            known = not (first.parse_error or second.parse_error)
            if known and first.unsafe is not None and second.refusal is not None:
                out.append(Verdict(first.unsafe, second.refusal, False, raw))
            else:
                out.append(Verdict(None, None, True, raw))
        return out


class Agreement(NamedTuple):
    """Of two judges on one question; nan where nothing is compared."""

    compared: int  # items that both could tell
    first_only: int  # where the first says yes and the second no
    second_only: int
    disagreement: float  # share of those compared
    kappa: float  # Cohen's (1960): agreement beyond chance, at most 1; nan where both always say the same


def agreement(first: Sequence[bool | None], second: Sequence[bool | None]) -> Agreement:
    """Of answers to the same items; None where a judge could not tell."""
    both = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    if not both:
        return Agreement(0, 0, 0, math.nan, math.nan)
    total = len(both)
    first_only, second_only = sum(a and not b for a, b in both), sum(b and not a for a, b in both)
    share = (first_only + second_only) / total
    yes = sum(a for a, _ in both) / total, sum(b for _, b in both) / total
    chance = yes[0] * yes[1] + (1 - yes[0]) * (1 - yes[1])
    kappa = (1 - share - chance) / (1 - chance) if chance < 1 else math.nan
    return Agreement(total, first_only, second_only, share, kappa)


def disagreement(first: Sequence[Verdict], second: Sequence[Verdict]) -> dict[str, float]:
    """How far two judges differ on the same items; a judge that trains should not be the only one that tests.

    Returns:
        items; first_parse_errors and second_parse_errors (counts); and of "unsafe" and "refusal" each:
        unsafe/compared, unsafe/first_only, unsafe/second_only (counts), unsafe/disagreement (share of compared) and
        unsafe/kappa (Cohen's; nan where undefined).
    """
    out: dict[str, float] = {
        "items": len(first),
        "first_parse_errors": sum(verdict.parse_error for verdict in first),
        "second_parse_errors": sum(verdict.parse_error for verdict in second),
    }
    for name in ("unsafe", "refusal"):
        found = agreement([getattr(v, name) for v in first], [getattr(v, name) for v in second])
        out |= {f"{name}/{key}": value for key, value in found._asdict().items()}
    return out


class JudgePair(NamedTuple):
    """Who gives rewards, and who tests what came of them."""

    reward: Judge
    evaluation: Judge

    def compare(self, items: Sequence[Item]) -> dict[str, float]:
        """See `disagreement`; the reward judge is the first."""
        return disagreement(self.reward(items), self.evaluation(items))
