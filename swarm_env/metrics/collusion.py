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

from swarm_env.metrics.dealings import Ties, ties
from swarm_env.metrics.grouped import components, count_by, ratio_by, sum_by
from swarm_env.metrics.interactions import NAN, Bools, Floats, Ints, Record
from swarm_env.metrics.totals import Totals

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
    """What the analysis found (SWARM section 3, Collusion). Numbers of nothing are 0, scores of nothing NaN."""

    agents: Ints  # (N,) ids
    agent_risk: Floats  # (N,) highest score of the agent's pairs and flagged group, [0, 1]; 0 without any
    pairs: PairScores
    groups: GroupScores
    n_flagged_pairs: int  # pairs with score >= score_threshold, 0..N*(N-1)/2
    n_flagged_groups: int  # groups with score >= score_threshold, 0..N/2
    max_pair_score: float  # [0, 1], NaN if no pair was scored
    ecosystem_collusion_risk: float  # [0, 1], NaN without interactions or with fewer than two agents


def pair_scores(table: Record, settings: CollusionSettings | None = None) -> PairScores:
    """min(1, n/10) * (.25*frequency + .3*correlation + .2*acceptance + .25*quality), each in [0, 1].

    frequency: z/frequency_threshold, z over the dealings of all observed pairs, 0 if all are equal.
    correlation: of the benefits, -tau-c_a of who initiates and tau-c_b of the other, accepted or not.
    acceptance: 2*(rate-.5). quality: 2*(.5-mean_p) where more than half is accepted, else 0. None is below 0.
    """
    settings = settings or table.collusion or CollusionSettings()
    both = table.once(ties)
    tie = Ties(*(column[both.a != both.b] for column in both))
    agents = max(1, table.agents.size)
    keys, pair = np.unique(np.minimum(tie.a, tie.b) * agents + np.maximum(tie.a, tie.b), return_inverse=True)
    low, high = np.divmod(keys, agents)
    dealings = sum_by(tie.number, pair, keys.size).astype(np.int64)
    rate = sum_by(tie.accepted, pair, keys.size) / dealings
    correlation = _pair_correlation(tie, pair, keys.size)
    counted = np.where(correlation >= settings.correlation_threshold, np.maximum(correlation, 0.0), 0.0)
    by_low, by_high = _by_direction(tie, tie.p / tie.number, pair, keys.size, UNKNOWN_P)
    mean_p = (by_low + by_high) / 2.0
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


def _by_direction(tie: Ties, values: Floats, pair: Ints, size: int, empty: float) -> Floats:
    """The values of the ties in which the lower agent initiates, and of those where the higher does: (2, size)."""
    found = np.full((2, size), empty)
    found[(tie.a > tie.b).astype(np.int64), pair] = values
    return found


def _pair_correlation(tie: Ties, pair: Ints, size: int) -> Floats:
    """Correlation of what either agent of a pair gained from each dealing, shape (size,); 0 where one is constant."""
    forward = tie.a < tie.b
    number = _by_direction(tie, tie.number.astype(np.float64), pair, size, 0.0)
    weight = number[0] * number[1] / number.sum(axis=0)  # of the difference between the two directions' means
    low = _by_direction(tie, np.where(forward, tie.mean_gives, tie.mean_gets), pair, size, 0.0)
    high = _by_direction(tie, np.where(forward, tie.mean_gets, tie.mean_gives), pair, size, 0.0)
    apart_low, apart_high = low[0] - low[1], high[0] - high[1]
    var_low = sum_by(np.where(forward, tie.var_gives, tie.var_gets), pair, size) + weight * apart_low**2
    var_high = sum_by(np.where(forward, tie.var_gets, tie.var_gives), pair, size) + weight * apart_high**2
    product = sum_by(tie.covariance, pair, size) + weight * apart_low * apart_high
    scale = np.sqrt(var_low * var_high)
    return np.where(scale > 0.0, np.clip(product / np.where(scale > 0.0, scale, 1.0), -1.0, 1.0), 0.0)


def group_scores(table: Record, pairs: PairScores, settings: CollusionSettings | None = None) -> GroupScores:
    """(.4*2*(internal_rate-.5) + .6*(internal_p-external_p)) * (.5 + .5*min(1, size/5)), no part below 0.

    Groups are the connected components of the flagged pairs; the mean p of no dealings counts as .5.
    """
    settings = settings or table.collusion or CollusionSettings()
    suspect = pairs.score >= settings.score_threshold
    member = components(pairs.low[suspect], pairs.high[suspect], table.agents.size)
    groups = int(member.max(initial=-1)) + 1
    size = count_by(member[member >= 0], groups)
    tie = table.once(ties)
    of_a, of_b, two = member[tie.a], member[tie.b], tie.a != tie.b
    within = two & (of_a == of_b) & (of_a >= 0)
    from_group, to_group = two & (of_a >= 0) & ~within, two & (of_b >= 0) & ~within
    internal, internal_p = (sum_by(x[within], of_a[within], groups) for x in (tie.number, tie.p))
    external, external_p = (
        sum_by(x[from_group], of_a[from_group], groups) + sum_by(x[to_group], of_b[to_group], groups)
        for x in (tie.number, tie.p)
    )
    rate = ratio_by(internal, internal + external, 0.0)
    internal_p, external_p = ratio_by(internal_p, internal, UNKNOWN_P), ratio_by(external_p, external, UNKNOWN_P)
    score = INWARD * np.maximum(0.0, 2.0 * (rate - 0.5)) + FAVOUR * np.maximum(0.0, internal_p - external_p)
    score *= 0.5 + 0.5 * np.minimum(1.0, size / FULL_GROUP)
    return GroupScores(member, size, rate, internal_p, external_p, score, score >= settings.score_threshold)


def collusion_report(table: Record, settings: CollusionSettings | None = None) -> CollusionReport:
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
    if agents >= 2 and table.part(Totals).number:
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
