"""Collusion control: pairs and groups that deal suspiciously are scored and fined."""

from __future__ import annotations

import math
from typing import Any

from pydantic import Field

from swarm_env.core.compiled import natural, rule
from swarm_env.core.contacts import pair_of
from swarm_env.core.effect import Effect, change, costs, nothing
from swarm_env.core.prefetch_large import ask_for_pair, is_large
from swarm_env.core.section import Section
from swarm_env.core.sizes import agents_in, contacts_of
from swarm_env.core.types import Market


class Config(Section):
    """Off unless enabled."""

    collusion_detection_enabled: bool = Field(default=False, description="turns the lever on")
    collusion_frequency_threshold: float = Field(
        default=2.0,
        gt=0,
        le=1e6,
        description="z-score of a pair's dealings at which the frequency term is full",
    )
    collusion_correlation_threshold: float = Field(
        default=0.7, ge=0, le=1, description="benefit correlation from which on it counts towards the score"
    )
    collusion_min_interactions: int = Field(
        default=3, ge=1, le=1_000_000, description="dealings before a pair is scored"
    )
    collusion_score_threshold: float = Field(default=0.5, ge=0, le=1, description="score at which a pair is flagged")
    collusion_penalty_multiplier: float = Field(default=1.0, ge=0, le=1e6, description="scale of the epoch penalties")
    collusion_realtime_penalty: bool = Field(default=False, description="also fine each dealing of two flagged agents")
    collusion_realtime_rate: float = Field(default=0.1, ge=0, le=1e6, description="realtime fine per unit of mean risk")
    collusion_clear_history_on_epoch: bool = Field(default=False, description="forget the dealings after each epoch")


CHARGES = True  #: its costs have a column in infos


@rule
def pair_score(params: Any, count: int, accepted: float, correlation: float, mean_p: float, z: float) -> float:
    """Suspicion of a pair in [0, 1] [S]: .25 frequency + .3 correlation + .2 acceptance + .25 low quality.

    `accepted` is the share of its `count` interactions, `z` the z-score of `count` over all pairs. A correlation
    below the threshold does not count (SWARM ignores that setting).
    """
    frequency = min(max(z / params.collusion_frequency_threshold, 0.0), 1.0)
    agreement = max(correlation, 0.0) if correlation >= params.collusion_correlation_threshold else 0.0
    acceptance = max(0.0, 2.0 * (accepted - 0.5))
    harm = max(0.0, 2.0 * (0.5 - mean_p)) if accepted > 0.5 else 0.0
    score = 0.25 * frequency + 0.30 * agreement + 0.20 * acceptance + 0.25 * harm
    return score * min(1.0, count / 10.0)


@rule
def group_score(size: int, n_in: float, p_in: float, n_out: float, p_out: float) -> float:
    """Suspicion of a group from counts and sums of p of its interactions inside and across its border [S]."""
    bias = max(0.0, 2.0 * (n_in / (n_in + n_out) - 0.5)) if n_in + n_out > 0 else 0.0
    inside = p_in / n_in if n_in > 0 else 0.5
    outside = p_out / n_out if n_out > 0 else 0.5
    return (0.4 * bias + 0.6 * max(0.0, inside - outside)) * (0.5 + 0.5 * min(1.0, size / 5.0))


@rule
def remember(market: Market, i: int, deal: Any) -> None:
    """Add a settled interaction to its pair's record (Welford's update of means and co-moments)."""
    if not market.params.collusion_detection_enabled:
        return
    edge = natural(market.agents[i].proposed)
    dealings, pair = market.relations[edge], pair_of(market, edge)
    dealings.initiated += 1
    dealings.initiated_p += deal.p
    if deal.accepted:
        dealings.accepted += 1
    benefit_i, benefit_j = -deal.tau - deal.c_a, deal.tau - deal.c_b
    lower = i < deal.counterparty
    x = benefit_i if lower else benefit_j
    y = benefit_j if lower else benefit_i
    count = pair.count + 1
    dx, dy = x - pair.mean_x, y - pair.mean_y
    mean_x, mean_y = pair.mean_x + dx / count, pair.mean_y + dy / count
    pair.count, pair.mean_x, pair.mean_y = count, mean_x, mean_y
    pair.m2_x += dx * (x - mean_x)
    pair.m2_y += dy * (y - mean_y)
    pair.m_xy += dx * (y - mean_y)


@rule
def _correlation(pair: Any) -> float:
    spread = pair.m2_x * pair.m2_y
    return pair.m_xy / math.sqrt(spread) if pair.count >= 2 and spread > 0.0 else 0.0


@rule
def _root(work: Any, i: int) -> int:
    """The representative of i's group, halving the path on the way."""
    while work[natural(i)].parent != i:
        record = work[natural(i)]
        record.parent = work[natural(record.parent)].parent
        i = record.parent
    return i


@rule
def assess(market: Market) -> None:
    """Score all pairs and groups; writes `collusion_risk` of every agent. Linear in contacts."""
    if not market.params.collusion_detection_enabled:
        return
    for i in range(agents_in(market)):
        market.books[i].collusion_risk = 0.0
    pairs, interactions, squares = 0, 0, 0.0
    for k in range(len(market.pairs)):
        count = market.pairs[k].count
        if count > 0:
            pairs += 1
            interactions += count
            squares += float(count) * count
    if interactions >= market.params.collusion_min_interactions:
        mean = interactions / pairs
        if _score_pairs(market, mean, math.sqrt(max(squares / pairs - mean * mean, 0.0))):
            _score_groups(market)
    if market.params.collusion_clear_history_on_epoch:
        _forget(market)


@rule
def _score_pairs(market: Market, mean: float, sd: float) -> bool:
    """Returns whether any was flagged; else there are no groups."""
    work, least, flagged = market.assessments, max(market.params.collusion_min_interactions, 1), False
    for k in range(len(market.pairs)):
        if is_large(market):
            ask_for_pair(market, k)
        pair = market.pairs[k]
        count = pair.count
        if count < least:
            continue
        edge = natural(market.edges[k].forward)
        back = natural(market.edges[edge].back)
        there, here = market.relations[edge], market.relations[back]
        p_i = there.initiated_p / there.initiated if there.initiated > 0 else 0.5
        p_j = here.initiated_p / here.initiated if here.initiated > 0 else 0.5
        accepted = (there.accepted + here.accepted) / count
        z = (count - mean) / sd if sd > 0.0 else 0.0
        correlation = _correlation(pair) if pair.m_xy > 0.0 else 0.0  # a negative one counts as none
        score = pair_score(market.params, count, accepted, correlation, 0.5 * (p_i + p_j), z)
        i, j = market.edges[back].peer, market.edges[edge].peer
        _raise(market.books[natural(i)], score)
        _raise(market.books[natural(j)], score)
        if score >= market.params.collusion_score_threshold:
            if not flagged:
                _separate(market)
            work[natural(_root(work, i))].parent = _root(work, j)
            flagged = True
    return flagged


@rule
def _raise(book: Any, score: float) -> None:
    book.collusion_risk = max(book.collusion_risk, score)


@rule
def _separate(market: Market) -> None:
    """Everybody is a group of its own."""
    for i in range(agents_in(market)):
        market.assessments[i].parent = i


@rule
def _score_groups(market: Market) -> None:
    work, num_agents = market.assessments, agents_in(market)
    for i in range(num_agents):
        work[i].members, work[i].n_in, work[i].p_in = 0, 0.0, 0.0
        work[i].n_out, work[i].p_out, work[i].near = 0.0, 0.0, False
    for i in range(num_agents):
        work[_root(work, i)].members += 1
    _mark_groups(market)
    for i in range(num_agents):
        group = _root(work, i)
        for edge in range(market.seats[i].start, market.seats[i].stop if work[i].near else market.seats[i].start):
            dealing = market.relations[edge]
            other = _root(work, market.edges[edge].peer)
            if group == other:
                work[group].n_in += dealing.initiated
                work[group].p_in += dealing.initiated_p
            else:
                work[group].n_out += dealing.initiated
                work[group].p_out += dealing.initiated_p
                work[other].n_out += dealing.initiated
                work[other].p_out += dealing.initiated_p
    for i in range(num_agents):
        group = work[_root(work, i)]
        if group.members >= 2:
            score = group_score(group.members, group.n_in, group.p_in, group.n_out, group.p_out)
            if score >= market.params.collusion_score_threshold:
                market.books[i].collusion_risk = max(market.books[i].collusion_risk, score)


@rule
def _mark_groups(market: Market) -> None:
    """`near`: whose dealings may lie in a group of several or cross its border; of the others nobody is scored."""
    work = market.assessments
    for i in range(agents_in(market)):
        if work[_root(work, i)].members >= 2:
            work[i].near = True
            for edge in contacts_of(market, i):
                work[market.edges[edge].peer].near = True


@rule
def _forget(market: Market) -> None:
    for edge in range(len(market.relations)):
        relation = market.relations[edge]
        relation.initiated, relation.accepted, relation.initiated_p = 0, 0, 0.0
    for k in range(len(market.pairs)):
        pair = market.pairs[k]
        pair.count, pair.mean_x, pair.mean_y = 0, 0.0, 0.0
        pair.m2_x, pair.m2_y, pair.m_xy = 0.0, 0.0, 0.0


@rule
def epoch_start(market: Market, i: int) -> Effect:
    """Flagged agents lose risk*multiplier of reputation and ten times that of resources [S]."""
    risk = market.books[i].collusion_risk
    if not market.params.collusion_detection_enabled or risk < market.params.collusion_score_threshold or risk == 0.0:
        return nothing()
    fine = risk * market.params.collusion_penalty_multiplier
    return change(-fine, -10.0 * fine)


@rule
def on_interaction(market: Market, i: int, deal: Any) -> Effect:
    """Realtime: two flagged agents dealing with each other pay rate * their mean risk, each [S]."""
    if not (market.params.collusion_detection_enabled and market.params.collusion_realtime_penalty):
        return nothing()
    risk_i = market.books[i].collusion_risk
    if risk_i < market.params.collusion_score_threshold:  # by itself: the other's book is seldom at hand
        return nothing()
    risk_j = market.books[natural(deal.counterparty)].collusion_risk
    if risk_j < market.params.collusion_score_threshold:
        return nothing()
    fine = market.params.collusion_realtime_rate * 0.5 * (risk_i + risk_j)
    return costs(fine, fine)
