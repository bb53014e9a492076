"""Threats that show in single interactions or in one agent's record: injection, exfiltration, manipulation.

SWARM section 3 (Security). Its names stand for patterns in quality, flags and transfers; no content is read.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from swarm_env.metrics.dealings import ties
from swarm_env.metrics.grouped import count_by, sum_by
from swarm_env.metrics.interactions import Floats, Ints, Part, Record, Table

BAD = 0.3  # accepted with p below this: suspicious
MIN_RECORD = 3  # interactions initiated before an agent can count as a manipulator
MIN_TARGETED = 3  # proposals to one counterparty that count as targeting it


@dataclass(frozen=True)
class SecuritySettings:
    """Thresholds of the analysis; the defaults are SWARM's, with epochs in the place of minutes."""

    injection_threshold: float = 0.3  # injection score that counts, [0, 1]
    manipulation_threshold: float = 0.5  # success rate that counts, and threat score that flags an agent, [0, 1]
    laundering_trust_gap: float = 0.3  # gain of trust along a path that counts, >= 0
    contagion_velocity: float = 2.0  # deals of a chain per epoch that count, > 0
    min_chain_length: int = 3  # agents in a path or chain, both ends included, >= 2
    steps_per_epoch: int = 10  # length of an epoch in steps, >= 1

    def __post_init__(self) -> None:
        """Raise ValueError for a setting out of range."""
        for name, low, high in (
            ("injection_threshold", 0.0, 1.0),
            ("manipulation_threshold", 0.0, 1.0),
            ("laundering_trust_gap", 0.0, float("inf")),
            ("min_chain_length", 2, float("inf")),
            ("steps_per_epoch", 1, float("inf")),
        ):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be in [{low}, {high}], not {getattr(self, name)!r}")
        if not self.contagion_velocity > 0.0:
            raise ValueError(f"contagion_velocity must be > 0, not {self.contagion_velocity!r}")


def settings_of(record: Record) -> SecuritySettings:
    """The record's settings, else SWARM's."""
    return record.security or SecuritySettings()


class Indicators(NamedTuple):
    """k signs of one kind of threat, and the t agents that they struck."""

    source: Ints  # (k,) position in `Table.agents`
    severity: Floats  # (k,) [0, 1]; [0, 2] for manipulation
    confidence: Floats  # (k,) [0, 1]
    struck_by: Ints  # (t,) index of the indicator
    target: Ints  # (t,) position in `Table.agents`

    @property
    def risk(self) -> Floats:
        """severity * confidence, shape (k,)."""
        return self.severity * self.confidence

    def raise_to(self, own: Floats, suffered: Floats) -> None:
        """Raise, in place, the highest risk among an agent's signs and among those that struck it; (N,) each."""
        np.maximum.at(own, self.source, self.risk)
        np.maximum.at(suffered, self.target, self.risk[self.struck_by])


def one_target_each(source: Ints, target: Ints, severity: Floats, confidence: Floats) -> Indicators:
    """Indicators of which each struck one agent; arrays of shape (k,)."""
    return Indicators(source, severity, confidence, np.arange(source.size, dtype=np.int64), target)


def injection_scores(table: Table) -> Floats:
    """(.3-p if accepted with p < .3) + min(.4, .2*misuse) + min(.3, .15*rejections), shape (n,), [0, 1]."""
    low = np.where(table.accepted & (table.p < BAD), 0.3 * (BAD - table.p) / BAD, 0.0)
    scores: Floats = low + np.minimum(0.4, 0.2 * table.misuse) + np.minimum(0.3, 0.15 * table.rejections)
    return np.minimum(1.0, scores)


def injection(table: Table, threshold: float) -> Indicators:
    """One for each interaction that scores `threshold` or more; confidence min(.9, score + .2)."""
    score = injection_scores(table)
    hit = score >= threshold
    return one_target_each(table.a[hit], table.b[hit], score[hit], np.minimum(0.9, score[hit] + 0.2))


def exfiltration(table: Table) -> Indicators:
    """One for each interaction with two misuse flags or more; severity min(1, .3*misuse), confidence .6."""
    hit = table.misuse >= 2
    severity = np.minimum(1.0, 0.3 * table.misuse[hit])
    return one_target_each(table.a[hit], table.b[hit], severity, np.full(severity.size, 0.6))


def manipulation(table: Record, threshold: float) -> Indicators:
    """One for each agent that initiated 3 or more and succeeded in a share of them of `threshold` or more.

    Successes: accepted with p < .4 and r_a > 0; accepted with p < .5 and tau < -1. As in SWARM a deal that is
    both counts twice, so that the share, which is the severity, can reach 2. confidence min(.9, .5+.4*share).
    Struck: their counterparties, and those to whom it made 3 or more proposals, any of them with p < .5.
    """
    tie, size = table.once(ties), table.agents.size
    victim = (tie.successes > 0) | ((tie.number >= MIN_TARGETED) & (tie.poor > 0))
    made = sum_by(tie.number, tie.a, size)
    rate = sum_by(tie.successes, tie.a, size) / np.maximum(made, 1)
    caught = (made >= MIN_RECORD) & (count_by(tie.a[victim], size) > 0) & (rate >= threshold)
    number = np.cumsum(caught) - 1
    struck = victim & caught[tie.a]
    confidence = np.minimum(0.9, 0.5 + 0.4 * rate[caught])
    return Indicators(np.flatnonzero(caught), rate[caught], confidence, number[tie.a[struck]], tie.b[struck])


class Signs(Part):
    """Threats that show in single interactions: how many of each kind, and the highest risk by agent, (N,)."""

    def __init__(self, record: Record, rows: float) -> None:
        self.threshold = settings_of(record).injection_threshold
        self.found = Counter({"injection": 0, "exfiltration": 0})
        self.own: Floats = np.zeros(record.agents.size)  # of the signs that an agent gave
        self.suffered: Floats = np.zeros(record.agents.size)  # of those that struck it

    def add(self, table: Table) -> None:
        """Take in interactions."""
        for kind, signs in (("injection", injection(table, self.threshold)), ("exfiltration", exfiltration(table))):
            self.found[kind] += signs.source.size
            signs.raise_to(self.own, self.suffered)
