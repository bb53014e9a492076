"""Threats that show in single interactions or in one agent's record: injection, exfiltration, manipulation.

SWARM section 3 (Security). Its names stand for patterns in quality, flags and transfers; no content is read.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from swarm_env.metrics.interactions import Bools, Floats, Ints, Table

BAD = 0.3  # accepted with p below this: suspicious
MIN_RECORD = 3  # interactions initiated before an agent can count as a manipulator
MIN_TARGETED = 3  # proposals to one counterparty that count as targeting it


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


def manipulation(table: Table, threshold: float) -> Indicators:
    """One for each agent that initiated 3 or more and succeeded in a share of them of `threshold` or more.

    Successes: accepted with p < .4 and r_a > 0; accepted with p < .5 and tau < -1. As in SWARM a deal that is
    both counts twice, so that the share, which is the severity, can reach 2. confidence min(.9, .5+.4*share).
    Struck: their counterparties, and those to whom it made 3 or more proposals, any of them with p < .5.
    """
    reputation = table.accepted & (table.p < 0.4) & (table.r_a > 0.0)
    extraction = table.accepted & (table.p < 0.5) & (table.tau < -1.0)
    victim = reputation | extraction | (_targeted(table) & (table.p < 0.5))
    size = table.agents.size
    made = np.bincount(table.a, minlength=size)
    succeeded = np.bincount(table.a, weights=reputation.astype(np.float64) + extraction, minlength=size)
    rate = succeeded / np.maximum(made, 1)
    has_victim = np.bincount(table.a[victim], minlength=size) > 0
    caught = (made >= MIN_RECORD) & has_victim & (rate >= threshold)
    number = np.cumsum(caught) - 1
    struck = np.unique(np.stack((table.a, table.b))[:, victim & caught[table.a]], axis=1)
    confidence = np.minimum(0.9, 0.5 + 0.4 * rate[caught])
    return Indicators(np.flatnonzero(caught), rate[caught], confidence, number[struck[0]], struck[1])


def _targeted(table: Table) -> Bools:
    """Whether the initiator made 3 or more proposals to this counterparty, shape (n,)."""
    _, pair, count = np.unique(table.a * table.agents.size + table.b, return_inverse=True, return_counts=True)
    targeted: Bools = count[pair] >= MIN_TARGETED
    return targeted
