"""Collusion and security control over whole histories: what our levers remember and conclude, against SWARM's reports.

Random interactions are handed to the levers' own `remember`, one by one, and then assessed. Reputation earned is
what the market lets an interaction earn, p - .5 - c_a; on other values SWARM counts a manipulation twice.
"""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from swarm.metrics.collusion import CollusionDetector
from swarm.metrics.security import SecurityAnalyzer
from swarm.models.interaction import SoftInteraction

from swarm_env.core.levers import collusion, security
from swarm_env.core.types import Market
from swarm_env.testing import plain_market
from tests.parity.differences import Differences
from tests.parity.random_tables import STEPS_PER_EPOCH, Table, as_swarm, random_table

COLLUSION = {"frequency_threshold": 2.0, "min_interactions": 3, "score_threshold": 0.5}
SECURITY = {
    "injection_threshold": 0.3, "manipulation_threshold": 0.5, "laundering_trust_gap": 0.3,
    "contagion_velocity": 2.0, "min_chain_length": 3,
}  # fmt: skip


class Analyzer(SecurityAnalyzer):
    """SWARM's, less the two rules that our lever leaves out on purpose: see docs/parity.md, security."""

    def _deduplicate_chains(self, chains: list[Any]) -> list[Any]:
        """All of them: dropping a chain whose agents lie within another's needs memory that grows with chains."""
        return chains

    def _detect_manipulation(self, interactions: list[SoftInteraction], agent_ids: list[str]) -> list[Any]:
        """Victims are those taken from, not also those asked three times without success."""
        patterns = super()._detect_manipulation(interactions, agent_ids)
        for pattern in patterns:
            own = [i for i in interactions if i.initiator == pattern.manipulator and i.accepted]
            pattern.victims = {i.counterparty for i in own if i.tau < -1.0 and i.p < 0.5}
        return patterns


@cache
def _fresh(num_agents: int) -> Market:
    """A market of strangers with both levers on."""
    governance = {"collusion_detection_enabled": True, "security_enabled": True, "security_min_interactions": 1}
    return plain_market(
        {
            "scenario_id": "assessment",
            "agents": [{"type": "honest", "count": num_agents}],
            "simulation": {"steps_per_epoch": STEPS_PER_EPOCH},
            "governance": governance | {"collusion_correlation_threshold": 0.0},
            "market": {"history_per_agent": 64},
        }
    )


def _market(num_agents: int, table: Table, settings: dict[str, float]) -> Market:
    """A market that remembers the table."""
    fresh = _fresh(num_agents)
    market = Market(fresh.params.copy(), *(part.copy() for part in fresh[1:-1]), fresh.sizes)
    for name, value in settings.items():
        setattr(market.params, name, value)
    edges = {(k, int(c.peer)): e for k, seat in enumerate(market.seats) for e, c in _contacts(market, seat)}
    names = ("counterparty", "p", "accepted", "tau", "c_a", "c_b", "r_a", "misuse", "rejections")
    for n in range(len(table["p"])):
        i, deal = int(table["initiator"][n]), SimpleNamespace(**{name: table[name][n] for name in names})
        market.agents[i].proposed = edges[i, int(deal.counterparty)]
        market.row.step = table["step"][n]
        market.books[i].initiated += 1
        collusion.remember(market, i, deal)
        security.remember(market, i, deal)
    return market


def _contacts(market: Market, seat: Any) -> list[tuple[int, Any]]:
    return [(edge, market.edges[edge]) for edge in range(seat.start, seat.stop)]


def _settings(rng: np.random.Generator) -> tuple[dict[str, Any], dict[str, Any]]:
    """SWARM's defaults, or random ones."""
    if rng.random() < 0.4:
        return COLLUSION, SECURITY
    frequency, score, injection, manipulation, gap, velocity = rng.uniform(
        [0.2, 0.05, 0, 0, 0, 0.05], [3, 0.6, 0.8, 0.8, 0.5, 4]
    ).tolist()
    return (
        {"frequency_threshold": frequency, "min_interactions": int(rng.integers(1, 5)), "score_threshold": score},
        {
            "injection_threshold": injection, "manipulation_threshold": manipulation, "laundering_trust_gap": gap,
            "contagion_velocity": velocity, "min_chain_length": int(rng.integers(2, 5)),
        },
    )  # fmt: skip


def compare_assessments(seen: Differences, rng: np.random.Generator) -> None:
    """Every agent's collusion risk and threat, over one random history."""
    table, agents = random_table(rng)
    order = np.argsort(table["step"], kind="stable")  # a market remembers in the order of time
    table = {name: column[order] for name, column in table.items()}
    table["r_a"] = table["p"] - 0.5 - table["c_a"]
    collusive, secure = _settings(rng)
    prefixed = {f"collusion_{k}": v for k, v in collusive.items()} | {f"security_{k}": v for k, v in secure.items()}
    market = _market(agents, table, prefixed)
    names = [f"agent_{k:02d}" for k in range(agents)]
    rows = as_swarm(table)
    detector = CollusionDetector(
        frequency_threshold=collusive["frequency_threshold"],
        min_interactions_for_analysis=collusive["min_interactions"],
        collusion_score_threshold=collusive["score_threshold"],
    )
    risk = detector.analyze(rows, names).agent_collusion_risk
    collusion.assess(market)
    seen.add_arrays("collusion risk of a history", market.books.collusion_risk, [risk[name] for name in names])
    market.agents.reputation = rng.normal(0.5, 0.5, agents)
    analyzer = Analyzer(
        secure["injection_threshold"], secure["manipulation_threshold"], secure["laundering_trust_gap"],
        secure["contagion_velocity"], secure["min_chain_length"],
    )  # fmt: skip
    analyzer.set_agent_trust_scores(dict(zip(names, market.agents.reputation.tolist(), strict=True)))
    threat = analyzer.analyze(rows, names).agent_threat_scores
    security.assess(market)
    seen.add_arrays("threat of a history", market.books.threat, [threat[name] for name in names])
