"""What a study's numbers say in words: levels, changes, and whether a change is for the better."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from swarm_env.metrics import METRICS
from swarm_env.study.claims import ALPHA
from swarm_env.study.plan import Found

#: Which way is better, of numbers that are no metrics of the registry.
BETTER: dict[str, str] = {
    "governance_cost": "lower", "intervention_rate_sound": "lower", "quarantines": "", "freezes": "",
    "return.honest": "higher", "charged.honest": "lower", "sidelined.honest": "lower",
}  # fmt: skip


def better(metric: str) -> str:
    """lower, higher, or nothing where neither is."""
    if metric in METRICS:
        return METRICS[metric].better or ""
    return BETTER.get(metric, "")


def text(value: float) -> str:
    """Three decimals, one from a hundred on, two digits of what is smaller than they show; undefined is a dash."""
    if math.isnan(value):
        return "-"
    if 0.0 < abs(value) < 0.001:
        return f"{value:.1e}"
    return f"{value + 0.0:.{1 if abs(value) >= 100 else 3}f}"


def interval(row: dict[str, Any]) -> str:
    """The 95 % interval of a row."""
    return "" if math.isnan(row["low"]) else f"[{text(row['low'])}, {text(row['high'])}]"


def p_text(p: float) -> str:
    """A p value."""
    return "-" if math.isnan(p) else "<.0001" if p < 1e-4 else f"{p:.4f}".lstrip("0")


class Change(NamedTuple):
    """How a metric differs between two arms."""

    metric: str
    row: dict[str, Any]

    @property
    def sign(self) -> int:
        """-1, 0 or 1: where it is clear, after correction."""
        low, high, p = self.row["low"], self.row["high"], self.row["p_holm"]
        if not p <= ALPHA or low <= 0.0 <= high:
            return 0
        return 1 if low > 0.0 else -1

    @property
    def good(self) -> int:
        """1: clearly better, -1: clearly worse, 0: neither."""
        return {"higher": 1, "lower": -1}.get(better(self.metric), 0) * self.sign

    def __str__(self) -> str:
        word = {1: "rises by", -1: "falls by", 0: "shows no clear change,"}[self.sign]
        size = self.row["difference"] if self.sign == 0 else abs(self.row["difference"])
        return f"`{self.metric}` {word} {text(size)} {interval(self.row)}".rstrip()


class Reader:
    """Looks numbers of a study up."""

    def __init__(self, found: Found) -> None:
        self.found = found

    def level(self, arm: str, metric: str) -> str:
        """Mean and interval."""
        row = self.found.summary(arm, metric)
        return f"{text(row['mean'])} {interval(row)}".rstrip()

    def mean(self, arm: str, metric: str) -> float:
        """The mean."""
        value: float = self.found.summary(arm, metric)["mean"]
        return value

    def change(self, arm: str, against: str, metric: str) -> Change:
        """One arm less another."""
        return Change(metric, self.found.comparison(arm, against, metric))

    def changes(self, arm: str, against: str, *metrics: str) -> list[Change]:
        """Those of the metrics that both arms have."""
        rows = self.found.document["comparisons"]
        there = {row["metric"] for row in rows if (row["arm"], row["against"]) == (arm, against)}
        return [self.change(arm, against, metric) for metric in metrics if metric in there]

    @property
    def arms(self) -> list[str]:
        """Names of all arms."""
        return [arm["arm"] for arm in self.found.document["arms"]]


def joined(changes: list[Change], nothing: str = "nothing to compare") -> str:
    """In one sentence."""
    return "; ".join(map(str, changes)) or nothing
