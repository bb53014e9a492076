"""Security report: every indicator of threat, what it makes of each agent, and of the market as a whole.

SWARM section 3 (Security), without containment. On purpose different: rates and levels of a market without
interactions are NaN, not 0; an agent's threat is at most 1 (SWARM's reaches 1.8); see also `propagation`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from swarm_env.metrics.interactions import NAN, Bools, Floats, Ints, Record, Table
from swarm_env.metrics.propagation import Contagion, contagion, contagion_indicators, laundering, laundering_levels
from swarm_env.metrics.threats import (
    Indicators,
    SecuritySettings,
    Signs,
    exfiltration,
    injection,
    manipulation,
    settings_of,
)
from swarm_env.metrics.totals import Totals

STRUCK_SHARE = 0.3  # of an indicator's risk, carried by the agents it struck
DENSE = 5  # indicators per agent at which the density term is full
DEEP = 5  # contagion depth at which its term is full


class SecurityLevels(NamedTuple):
    """What the analysis makes of it all (SWARM section 3, Security); agent_threat and flagged have shape (N,).

    Rates and the level are NaN without interactions; numbers are 0 then, and where nothing was found.
    """

    agent_threat: Floats  # [0, 1], 0 without evidence
    flagged: Bools  # agent_threat >= manipulation_threshold
    active_threats: int  # indicators of all five kinds, >= 0
    exfiltration_attempts: int  # interactions with misuse >= 2, >= 0
    contagion_depth: int  # agents that the deepest chain reached, 0..6; 0 without any
    injection_rate: float  # indicators per interaction, [0, 1]
    manipulation_rate: float  # manipulators per agent, [0, 1]
    laundering_rate: float  # paths per interaction, >= 0
    ecosystem_threat_level: float  # [0, 1]


class SecurityReport(NamedTuple):
    """What the analysis found; agent_threat and flagged speak of `agents`, shape (N,)."""

    agents: Ints
    indicators: dict[str, Indicators]  # by kind
    contagion: Contagion
    agent_threat: Floats  # these and the following: see `SecurityLevels`
    flagged: Bools
    active_threats: int
    exfiltration_attempts: int
    contagion_depth: int
    injection_rate: float
    manipulation_rate: float
    laundering_rate: float
    ecosystem_threat_level: float


def security_levels(record: Record) -> SecurityLevels:
    """Threat of each agent and of the market, by the record's settings, else SWARM's.

    agent_threat = the highest risk among its own indicators and .3 * those that struck it. threat level =
    min(1, .25*indicators/(5N) + .25*share flagged + .3*min(1, depth/5) + .2*manipulation_rate). Without
    interactions rates and the level are NaN, counts 0.
    """
    settings, signs = settings_of(record), record.part(Signs)
    chains = record.once(spread_of)
    found, own, suffered = dict(signs.found), signs.own.copy(), signs.suffered.copy()
    for kind, indicators in record.once(_slow_indicators).items():
        found[kind] = indicators.source.size
        indicators.raise_to(own, suffered)
    paths = laundering_levels(record, settings.laundering_trust_gap, settings.min_chain_length)
    found["laundering"] = paths.paths
    own, suffered = np.maximum(own, paths.own), np.maximum(suffered, paths.suffered)
    threat: Floats = np.minimum(1.0, np.maximum(own, STRUCK_SHARE * suffered))
    flagged, deepest = threat >= settings.manipulation_threshold, int(chains.depth.max(initial=0))
    settled = record.part(Totals).number
    n, agents = (settled, record.agents.size) if settled else (NAN, NAN)
    level = 0.25 * sum(found.values()) / (DENSE * agents) + 0.25 * int(flagged.sum()) / agents
    level += 0.30 * min(1.0, deepest / DEEP) + 0.20 * found["manipulation"] / agents
    return SecurityLevels(
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


def spread_of(record: Record) -> Contagion:
    """The record's chains of bad deals, by its settings."""
    settings = settings_of(record)
    return contagion(record, settings.contagion_velocity, settings.min_chain_length, settings.steps_per_epoch)


def _slow_indicators(record: Record) -> dict[str, Indicators]:
    """Threats that show in records of many interactions, by kind; of laundering see `laundering_levels`."""
    settings = settings_of(record)
    return {
        "manipulation": manipulation(record, settings.manipulation_threshold),
        "contagion": contagion_indicators(record.once(spread_of)),
    }


def security_report(table: Table, settings: SecuritySettings | None = None) -> SecurityReport:
    """The whole analysis, every single indicator included; settings: the table's, else SWARM's."""
    if settings is not None and settings != table.security:
        table = replace(table, security=settings, _kept={})
    known = settings_of(table)
    single = {
        "injection": injection(table, known.injection_threshold),
        "exfiltration": exfiltration(table),
    }
    slow = table.once(_slow_indicators)
    paths = laundering(table, known.laundering_trust_gap, known.min_chain_length)
    indicators = single | {"manipulation": slow["manipulation"], "laundering": paths, "contagion": slow["contagion"]}
    return SecurityReport(table.agents, indicators, table.once(spread_of), *table.once(security_levels))
