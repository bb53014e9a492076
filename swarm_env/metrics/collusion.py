"""Collusion: pairs that deal suspiciously often, favourably and badly, and the groups that they form.

SWARM section 3 (Collusion), without votes. On purpose different: a correlation counts from
`correlation_threshold` on (0 is SWARM's formula; its own threshold is unused); benefits that never change
have correlation 0 exactly (rounding can give SWARM +-1); an agent's dealings with itself are left out; the
highest of no scores, and the risk of a market without interactions, are NaN, not 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from swarm_env.metrics.grouped import components, correlation_by, count_by, mean_by
from swarm_env.metrics.interactions import NAN, Bools, Floats, Ints, Table

FREQUENCY, CORRELATION, ACCEPTANCE, QUALITY = 0.25, 0.30, 0.20, 0.25  # weights of a pair's score
INWARD, FAVOUR = 0.4, 0.6  # weights of a group's score
FULL_RECORD = 10  # dealings from which on a pair's score counts in full
FULL_GROUP = 5  # members from which on a group's score counts in full
UNKNOWN_P = 0.5  # stands for the mean p of no dealings


@dataclass(frozen=True)
class CollusionSettings:
    """Thresholds of the analysis; the defaults are SWARM's."""

    frequency_threshold: float = 2.0  # z-score of a pair's dealings at which the frequency term is full, > 0
    correlation_threshold: float = 0.0  # benefit correlation from which on it counts, [0, 1]
    min_interactions: int = 3  # dealings before a pair is scored, >= 1
    score_threshold: float = 0.5  # score at which a pair or group is flagged, [0, 1]

    def __post_init__(self) -> None:
        """Raise ValueError for a setting out of range."""
        if not 0.0 < self.frequency_threshold < float("inf"):
            raise ValueError(f"frequency_threshold must be > 0, not {self.frequency_threshold!r}")
        if not self.min_interactions >= 1:
            raise ValueError(f"min_interactions must be >= 1, not {self.min_interactions!r}")
        for name in ("correlation_threshold", "score_threshold"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be in [0, 1], not {getattr(self, name)!r}")


class PairScores(NamedTuple):
    """Unordered pairs with min_interactions dealings or more, shape (m,) each, ordered by (low, high)."""

    low: Ints  # position in `Table.agents`
    high: Ints  # position in `Table.agents`, above low
    dealings: Ints
    acceptance: Floats  # [0, 1]
    correlation: Floats  # of the two benefits, [-1, 1]; 0 where one of them never changes
    mean_p: Floats  # [0, 1], mean of the means by who initiates
    score: Floats  # [0, 1]


class GroupScores(NamedTuple):
    """Connected groups of flagged pairs, shape (g,) each but the first."""

    member: Ints  # (N,) group of each of `Table.agents`, -1 for none
    size: Ints
    internal_rate: Floats  # share of the dealings that touch the group which stay within it, [0, 1]
    internal_p: Floats  # [0, 1]
    external_p: Floats  # [0, 1]
    score: Floats  # [0, 1]
    flagged: Bools  # score >= score_threshold


class CollusionReport(NamedTuple):
    """What the analysis found."""

    agents: Ints  # (N,) ids
    agent_risk: Floats  # (N,) highest score of the agent's pairs and flagged group, [0, 1]; 0 without any
    pairs: PairScores
    groups: GroupScores
    n_flagged_pairs: int
    n_flagged_groups: int
    max_pair_score: float  # [0, 1], NaN if no pair was scored
    ecosystem_collusion_risk: float  # [0, 1], NaN without interactions or with fewer than two agents


def pair_scores(table: Table, settings: CollusionSettings | None = None) -> PairScores:
    """min(1, n/10) * (.25*frequency + .3*correlation + .2*acceptance + .25*quality), each in [0, 1].

    frequency: z/frequency_threshold, z over the dealings of all observed pairs, 0 if all are equal.
    correlation: of the benefits, -tau-c_a of who initiates and tau-c_b of the other, accepted or not.
    acceptance: 2*(rate-.5). quality: 2*(.5-mean_p) where more than half is accepted, else 0. None is below 0.
    """
    settings = settings or table.collusion or CollusionSettings()
    two = table.a != table.b
    a, b = table.a[two], table.b[two]
    keys, pair = np.unique(np.minimum(a, b) * table.agents.size + np.maximum(a, b), return_inverse=True)
    low, high = np.divmod(keys, max(1, table.agents.size))
    dealings = count_by(pair, keys.size)
    rate = mean_by(table.accepted[two].astype(np.float64), pair, keys.size, NAN)
    correlation = _pair_correlation(table, two, pair, keys.size)
    counted = np.where(correlation >= settings.correlation_threshold, np.maximum(correlation, 0.0), 0.0)
    mean_p = _pair_quality(table, two, pair, keys.size)
    score = FREQUENCY * np.clip(_z_scores(dealings) / settings.frequency_threshold, 0.0, 1.0)
    score += CORRELATION * counted
    score += ACCEPTANCE * np.maximum(0.0, 2.0 * (rate - 0.5))
    score += QUALITY * np.where(rate > 0.5, np.maximum(0.0, 2.0 * (0.5 - mean_p)), 0.0)
    score *= np.minimum(1.0, dealings / FULL_RECORD)
    kept = dealings >= settings.min_interactions
    return PairScores(low[kept], high[kept], dealings[kept], rate[kept], correlation[kept], mean_p[kept], score[kept])


def _z_scores(x: Ints) -> Floats:
    """(x - mean)/std with the population's std; 0 where all are equal."""
    return (x - x.mean()) / x.std() if np.unique(x).size > 1 else np.zeros(x.size)


def _pair_correlation(table: Table, two: Bools, pair: Ints, size: int) -> Floats:
    """Correlation of what either agent of a pair gained from each dealing, shape (size,)."""
    gives, gets = (-table.tau - table.c_a)[two], (table.tau - table.c_b)[two]
    forward = (table.a < table.b)[two]
    return correlation_by(np.where(forward, gives, gets), np.where(forward, gets, gives), pair, size)


def _pair_quality(table: Table, two: Bools, pair: Ints, size: int) -> Floats:
    """Mean p of what the lower agent initiated and of what the higher did, averaged; .5 for no dealings."""
    forward, p = (table.a < table.b)[two], table.p[two]
    by_low = mean_by(p[forward], pair[forward], size, UNKNOWN_P)
    return (by_low + mean_by(p[~forward], pair[~forward], size, UNKNOWN_P)) / 2.0


def group_scores(table: Table, pairs: PairScores, settings: CollusionSettings | None = None) -> GroupScores:
    """(.4*2*(internal_rate-.5) + .6*(internal_p-external_p)) * (.5 + .5*min(1, size/5)), no part below 0.

    Groups are the connected components of the flagged pairs; the mean p of no dealings counts as .5.
    """
    settings = settings or table.collusion or CollusionSettings()
    suspect = pairs.score >= settings.score_threshold
    member = components(pairs.low[suspect], pairs.high[suspect], table.agents.size)
    groups = int(member.max(initial=-1)) + 1
    size = count_by(member[member >= 0], groups)
    two = table.a != table.b
    of_a, of_b, p = member[table.a[two]], member[table.b[two]], table.p[two]
    within = (of_a == of_b) & (of_a >= 0)
    from_group, to_group = (of_a >= 0) & ~within, (of_b >= 0) & ~within
    across = np.concatenate((of_a[from_group], of_b[to_group]))
    internal = count_by(of_a[within], groups)
    rate = internal / np.maximum(internal + count_by(across, groups), 1)
    internal_p = mean_by(p[within], of_a[within], groups, UNKNOWN_P)
    external_p = mean_by(np.concatenate((p[from_group], p[to_group])), across, groups, UNKNOWN_P)
    score = INWARD * np.maximum(0.0, 2.0 * (rate - 0.5)) + FAVOUR * np.maximum(0.0, internal_p - external_p)
    score *= 0.5 + 0.5 * np.minimum(1.0, size / FULL_GROUP)
    return GroupScores(member, size, rate, internal_p, external_p, score, score >= settings.score_threshold)


def collusion_report(table: Table, settings: CollusionSettings | None = None) -> CollusionReport:
    """The whole analysis; settings: the table's, else SWARM's.

    ecosystem risk = min(1, .3*flagged pairs/(N*(N-1)/2) + .3*share of agents in flagged groups + .4*highest
    score of a flagged group).
    """
    settings = settings or table.collusion or CollusionSettings()
    pairs = pair_scores(table, settings)
    groups = group_scores(table, pairs, settings)
    agents = table.agents.size
    risk = np.zeros(agents)
    np.maximum.at(risk, np.concatenate((pairs.low, pairs.high)), np.tile(pairs.score, 2))
    group_risk = np.append(np.where(groups.flagged, groups.score, 0.0), 0.0)[groups.member]  # -1: the appended 0
    suspects, n_groups = int((pairs.score >= settings.score_threshold).sum()), int(groups.flagged.sum())
    ecosystem = NAN
    if agents >= 2 and table.p.size:
        in_groups = int(groups.size[groups.flagged].sum())
        parts = 0.3 * suspects / (agents * (agents - 1) / 2) + 0.3 * in_groups / agents
        ecosystem = min(1.0, parts + 0.4 * float(group_risk.max()))
    return CollusionReport(
        agents=table.agents,
        agent_risk=np.maximum(risk, group_risk),
        pairs=pairs,
        groups=groups,
        n_flagged_pairs=suspects,
        n_flagged_groups=n_groups,
        max_pair_score=float(pairs.score.max()) if pairs.score.size else NAN,
        ecosystem_collusion_risk=ecosystem,
    )
