"""Security report: every indicator of threat, what it makes of each agent, and of the market as a whole.

SWARM section 3 (Security), without containment. On purpose different: rates and levels of a market without
interactions are NaN, not 0; an agent's threat is at most 1 (SWARM's reaches 1.8); see also `propagation`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from swarm_env.metrics.interactions import NAN, Bools, Floats, Ints, Table
from swarm_env.metrics.propagation import Contagion, contagion, contagion_indicators, laundering
from swarm_env.metrics.threats import Indicators, exfiltration, injection, manipulation

STRUCK_SHARE = 0.3  # of an indicator's risk, carried by the agents it struck
DENSE = 5  # indicators per agent at which the density term is full
DEEP = 5  # contagion depth at which its term is full


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


class SecurityReport(NamedTuple):
    """What the analysis found; agent_threat and flagged speak of `agents`, shape (N,)."""

    agents: Ints
    indicators: dict[str, Indicators]  # by kind
    contagion: Contagion
    agent_threat: Floats  # [0, 1], 0 without evidence
    flagged: Bools  # agent_threat >= manipulation_threshold
    active_threats: int
    exfiltration_attempts: int
    contagion_depth: int  # of the deepest chain, 0 without any
    injection_rate: float  # indicators per interaction, [0, 1]
    manipulation_rate: float  # manipulators per agent, [0, 1]
    laundering_rate: float  # paths per interaction, >= 0
    ecosystem_threat_level: float  # [0, 1]


def security_report(table: Table, settings: SecuritySettings | None = None) -> SecurityReport:
    """The whole analysis; settings: the table's, else SWARM's.

    agent_threat = the highest risk among its own indicators and .3 * those that struck it. threat level =
    min(1, .25*indicators/(5N) + .25*share flagged + .3*min(1, depth/5) + .2*manipulation_rate). Without
    interactions rates and the level are NaN, counts 0.
    """
    settings = settings or table.security or SecuritySettings()
    chains = contagion(table, settings.contagion_velocity, settings.min_chain_length, settings.steps_per_epoch)
    indicators = {
        "injection": injection(table, settings.injection_threshold),
        "exfiltration": exfiltration(table),
        "manipulation": manipulation(table, settings.manipulation_threshold),
        "laundering": laundering(table, settings.laundering_trust_gap, settings.min_chain_length),
        "contagion": contagion_indicators(chains),
    }
    found = {kind: signs.source.size for kind, signs in indicators.items()}
    threat = agent_threats(indicators, table.agents.size)
    flagged, deepest = threat >= settings.manipulation_threshold, int(chains.depth.max(initial=0))
    n, agents = (table.p.size, table.agents.size) if table.p.size else (NAN, NAN)
    level = 0.25 * sum(found.values()) / (DENSE * agents) + 0.25 * int(flagged.sum()) / agents
    level += 0.30 * min(1.0, deepest / DEEP) + 0.20 * found["manipulation"] / agents
    return SecurityReport(
        agents=table.agents,
        indicators=indicators,
        contagion=chains,
        agent_threat=threat,
        flagged=flagged,
        active_threats=sum(found.values()),
        exfiltration_attempts=found["exfiltration"],
        contagion_depth=deepest,
        injection_rate=found["injection"] / n,
        manipulation_rate=found["manipulation"] / agents,
        laundering_rate=found["laundering"] / n,
        ecosystem_threat_level=float(np.minimum(1.0, level)),
    )


def agent_threats(indicators: dict[str, Indicators], num_agents: int) -> Floats:
    """Highest risk of an agent's indicators and .3 * of those that struck it, at most 1; (num_agents,)."""
    threat = np.zeros(num_agents)
    for signs in indicators.values():
        np.maximum.at(threat, signs.source, signs.risk)
        np.maximum.at(threat, signs.target, STRUCK_SHARE * signs.risk[signs.struck_by])
    return np.minimum(1.0, threat)
