"""Security control: injection, exfiltration, manipulation, laundering and contagion are scored and contained."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from swarm_env.core.compiled import natural, rule
from swarm_env.core.effect import Effect, costs, nothing
from swarm_env.core.laundering import find_laundering
from swarm_env.core.prefetch import hint
from swarm_env.core.prefetch_large import STRIDE, ask_for_oldest, ask_for_parties, is_large
from swarm_env.core.section import Section
from swarm_env.core.sizes import agents_in
from swarm_env.core.types import Market


class Config(Section):
    """Off unless enabled."""

    security_enabled: bool = Field(default=False, description="turns the lever on")
    security_injection_threshold: float = Field(
        default=0.3, ge=0, le=1, description="injection score that counts as a threat"
    )
    security_manipulation_threshold: float = Field(
        default=0.5, ge=0, le=1, description="success rate that counts as manipulation"
    )
    security_laundering_trust_gap: float = Field(
        default=0.3, ge=0, le=2, description="gain of reputation along a chain that counts as laundering"
    )
    security_contagion_velocity: float = Field(
        default=2.0, gt=0, le=1e6, description="harmful dealings of a chain per epoch that count as contagion"
    )
    security_min_chain_length: int = Field(default=3, ge=2, le=64, description="agents in a chain, both ends included")
    security_min_interactions: int = Field(
        default=5, ge=1, le=1_000_000, description="interactions before anything is scored"
    )
    security_penalty_threshold: float = Field(default=0.3, ge=0, le=1, description="threat score that is fined")
    security_quarantine_threshold: float = Field(
        default=0.7, ge=0, le=1, description="threat score that is quarantined"
    )
    security_penalty_multiplier: float = Field(default=1.0, ge=0, le=1e6, description="scale of the epoch penalties")
    security_realtime_penalty: bool = Field(default=False, description="also fine single suspicious interactions")
    security_realtime_threshold: float = Field(default=0.5, ge=0, le=1, description="realtime score that is fined")
    security_realtime_rate: float = Field(default=0.2, ge=0, le=1e6, description="realtime fine per unit of score")
    security_clear_history_on_epoch: bool = Field(default=False, description="forget the interactions after each epoch")


CHARGES = True  #: its costs have a column in infos


CHAIN = 5  #: harmful dealings followed from each victim (SWARM 3)


@rule
def injection_score(accepted: bool, p: float, misuse: int, rejections: int) -> float:
    """[S]: low quality that was accepted all the same, tool misuse, verifier rejections; in [0, 1]."""
    low = 0.3 * (0.3 - p) / 0.3 if accepted and p < 0.3 else 0.0
    return min(1.0, low + min(0.4, 0.2 * misuse) + min(0.3, 0.15 * rejections))


@rule
def injection_risk(score: float) -> float:
    """Severity * confidence of an injection threat [S]."""
    return score * min(0.9, score + 0.2)


@rule
def exfiltration_risk(misuse: int) -> float:
    """Severity * confidence of an exfiltration threat [S]; from two misuses on."""
    return min(1.0, 0.3 * misuse) * 0.6 if misuse >= 2 else 0.0


@rule
def manipulation_risk(success_rate: float) -> float:
    """Severity * confidence of manipulation [S]."""
    return min(1.0, success_rate) * min(0.9, 0.5 + 0.4 * success_rate)


@rule
def contagion_risk(depth: int, velocity: float) -> float:
    """Severity * confidence of a contagion chain [S]; velocity in harmful dealings per epoch [O]."""
    return min(1.0, depth / 5.0) * min(0.9, 0.5 + velocity / 10.0)


@rule
def remember(market: Market, i: int, deal: Any) -> None:
    """Write a settled interaction to the window, over the oldest when it is full."""
    if not market.params.security_enabled:
        return
    row, history, contact = market.row, market.history, natural(market.agents[i].proposed)
    past, following = history[natural(row.oldest)], row.oldest + 1
    ask_for_oldest(market)
    if row.remembered >= len(history):
        _forget(market, past)
    past.contact, past.step, past.accepted = contact, row.step, deal.accepted
    past.suspicious = _list(market, contact, deal)
    if deal.accepted:
        market.relations[contact].launders += 1
        market.relations[contact].laundered = row.step
    row.remembered += 1
    row.oldest = following if following < len(history) else 0


@rule
def _forget(market: Market, past: Any) -> None:
    """The oldest interaction leaves the window."""
    row = market.row
    if past.accepted:
        market.relations[natural(past.contact)].launders -= 1
    if past.suspicious:
        row.suspect = row.suspect + 1 if row.suspect + 1 < len(market.history) else 0
        row.suspects -= 1
    initiator = market.books[_initiator(market, past.contact)]
    if past.step >= initiator.judged:
        initiator.lapsed += 1


@rule
def _list(market: Market, contact: int, deal: Any) -> bool:
    """Put an interaction on the list of suspicious ones, if it is one."""
    risk, success, harm = _dealing_risk(market.params, deal), _is_success(deal), deal.accepted and deal.p < 0.3
    if not (risk > 0.0 or success or harm):
        return False
    entry = market.history[_place(market, market.row.suspects)]
    entry.listed, entry.listed_step = contact, market.row.step
    entry.risk, entry.success, entry.harm = risk, success, harm
    market.row.suspects += 1
    return True


@rule
def _place(market: Market, n: int) -> Any:
    """Where in history the suspicious interaction n is listed, from 0, the oldest."""
    place = market.row.suspect + n
    return natural(place if place < len(market.history) else place - len(market.history))


@rule
def _ask_for_listed(market: Market, n: int) -> None:
    """Ask for who dealt in the suspicious interactions that are looked at after number n."""
    if is_large(market):
        last = market.row.suspects - 1
        far, mid = _place(market, min(n + 3 * STRIDE, last)), _place(market, min(n + 2 * STRIDE, last))
        near = market.history[_place(market, min(n + STRIDE, last))].listed
        ask_for_parties(market, market.history[far].listed, market.history[mid].listed, near)
        hint(market.assessments, _initiator(market, near))


@rule
def _initiator(market: Market, contact: int) -> Any:
    return natural(market.edges[natural(market.edges[natural(contact)].back)].peer)


@rule
def _target(market: Market, contact: int) -> Any:
    return natural(market.edges[natural(contact)].peer)


@rule
def _dealing_risk(params: Any, deal: Any) -> float:
    """What one interaction by itself adds to its initiator's threat: injection or exfiltration."""
    score = injection_score(deal.accepted, deal.p, deal.misuse, deal.rejections)
    risk = injection_risk(score) if score >= params.security_injection_threshold else 0.0
    return max(risk, exfiltration_risk(deal.misuse))


@rule
def _is_success(deal: Any) -> bool:
    """The initiator gained from poor quality: reputation, or more than one unit of resources."""
    return deal.accepted and ((deal.p < 0.4 and deal.r_a > 0.0) or (deal.p < 0.5 and deal.tau < -1.0))


@rule
def _raise(market: Market, source: int, target: int, risk: float) -> None:
    """A threat scores its source in full and its target at three tenths [S]."""
    initiator, counterparty = market.books[source], market.books[target]
    initiator.threat = max(initiator.threat, risk)
    counterparty.threat = max(counterparty.threat, 0.3 * risk)


@rule
def assess(market: Market) -> None:
    """Score every agent's `threat` over the window. Linear in agents, contacts and suspicious interactions."""
    if not market.params.security_enabled:
        return
    row = market.row
    for i in range(agents_in(market)):
        market.books[i].threat = 0.0
    if min(row.remembered, len(market.history)) >= market.params.security_min_interactions:
        harms = _find_injection(market)
        _find_manipulation(market)
        if harms >= 3:  # one received and two passed on
            _find_contagion(market)
        find_laundering(market)
    if market.params.security_clear_history_on_epoch:
        row.remembered, row.oldest, row.suspect, row.suspects = 0, 0, 0, 0
        for i in range(agents_in(market)):
            market.books[i].lapsed = market.books[i].initiated
        for edge in range(len(market.relations)):
            market.relations[edge].launders = 0


@rule
def _find_injection(market: Market) -> int:
    """The risks of single interactions. On the way: each agent's hits; returns how many did harm."""
    work, harms = market.assessments, 0
    for i in range(agents_in(market)):
        work[i].hits = 0
    for n in range(market.row.suspects):
        past = market.history[_place(market, n)]
        _ask_for_listed(market, n)
        source = _initiator(market, past.listed)
        harms += past.harm
        if past.listed_step >= market.books[source].judged:  # else it was quarantined for it
            work[source].hits += past.success
            _raise(market, source, _target(market, past.listed), past.risk)
    return harms


@rule
def _find_manipulation(market: Market) -> None:
    """Sources of at least three interactions that succeed with poor quality too often."""
    work, found = market.assessments, False
    for i in range(agents_in(market)):
        tally, hits = market.books[i].initiated - market.books[i].lapsed, work[i].hits
        enough = tally >= 3 and hits > 0
        rate = hits / tally if enough else 0.0
        work[i].risk = (
            manipulation_risk(rate) if enough and rate >= market.params.security_manipulation_threshold else 0.0
        )
        found = found or work[i].risk > 0.0
    for n in range(market.row.suspects if found else 0):
        past = market.history[_place(market, n)]
        _ask_for_listed(market, n)
        source = _initiator(market, past.listed)
        if past.success and past.listed_step >= market.books[source].judged:
            _raise(market, source, _target(market, past.listed), work[source].risk)


@rule
def _find_contagion(market: Market) -> None:
    """Harm received, then passed on at least twice.

    Read from the newest interaction back, so that what a victim did in later steps is known when the interaction that
    made it one is met. What settled in one step is simultaneous: a step's harm is entered once the step is left.
    """
    params, history = market.params, market.history
    for i in range(agents_in(market)):
        market.assessments[i].tally = 0
    entered = market.row.suspects - 1
    for n in range(market.row.suspects - 1, -1, -1):
        past = history[_place(market, n)]
        if not past.harm:
            continue
        while history[_place(market, entered)].listed_step > past.listed_step:
            _enter(market, history[_place(market, entered)])
            entered -= 1
        source, target = _initiator(market, past.listed), _target(market, past.listed)
        victim = market.assessments[target]
        if victim.tally < 2 or past.listed_step < market.books[source].judged:
            continue
        agents, velocity = _chain(params, past.listed_step, source, target, victim)
        if agents >= params.security_min_chain_length and velocity >= params.security_contagion_velocity:
            risk = contagion_risk(agents - 1, velocity)
            _raise(market, source, target, risk)
            for k in range(min(victim.tally, CHAIN)):
                _raise(market, source, natural(victim.chain[(victim.tally - 1 - k) % CHAIN]), risk)


@rule
def _enter(market: Market, past: Any) -> None:
    """Note a harmful dealing of its initiator."""
    if not past.harm:
        return
    source = market.assessments[_initiator(market, past.listed)]
    if source.tally == 0:
        source.hits = past.listed_step  # of its latest one
    source.chain[source.tally % CHAIN] = market.edges[past.listed].peer
    source.tally += 1


@rule
def _chain(params: Any, step: int, source: int, target: int, victim: Any) -> tuple[int, float]:
    """Distinct agents of the chain that starts with a dealing of that step, and its dealings per epoch."""
    agents = 2
    for k in range(min(victim.tally, CHAIN)):
        peer = victim.chain[(victim.tally - 1 - k) % CHAIN]
        fresh = peer != source and peer != target
        for earlier in range(k):
            fresh = fresh and peer != victim.chain[(victim.tally - 1 - earlier) % CHAIN]
        agents += 1 if fresh else 0
    epochs = (victim.hits - step) / params.steps_per_epoch
    return agents, (agents - 1) / (epochs + 0.01)


@rule
def epoch_start(market: Market, i: int) -> Effect:
    """Threats are fined, grave ones quarantined for `freeze_duration_epochs` ([S]; there for ever)."""
    params, threat = market.params, market.books[i].threat
    if not params.security_enabled or threat == 0.0:
        return nothing()
    fine = threat * params.security_penalty_multiplier if threat >= params.security_penalty_threshold else 0.0
    epochs = params.freeze_duration_epochs if threat >= params.security_quarantine_threshold else 0
    return Effect(0.0, 0.0, -fine, -5.0 * fine, 0, 0, 0, epochs, 0)


@rule
def on_interaction(market: Market, i: int, deal: Any) -> Effect:
    """Realtime: a suspicious interaction costs the initiator rate * score, the counterparty half [S]."""
    if not (market.params.security_enabled and market.params.security_realtime_penalty):
        return nothing()
    score = 0.3 if deal.accepted and deal.p < 0.3 else 0.0
    score += min(0.4, 0.2 * deal.misuse) + min(0.3, 0.15 * deal.rejections)
    score = min(1.0, score + 0.3 * market.books[i].threat)
    if score < market.params.security_realtime_threshold:
        return nothing()
    fine = market.params.security_realtime_rate * score
    return costs(fine, 0.5 * fine)
