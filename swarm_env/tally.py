"""From events to metrics: one fold for the run that is being played and for the log that is read again.

`Tally.add` takes events in order and returns a row of metrics when an epoch closes. Because both ways feed the same
fold, replaying a log gives the numbers of the CSV exactly.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swarm_env import metrics
from swarm_env.events import FORMAT, Event
from swarm_env.metrics import CollusionSettings, SecuritySettings

#: Metrics of the record of dealings: over all interactions so far, as the levers see them; the others are an epoch's.
CUMULATIVE: tuple[str, ...] = (
    "ecosystem_collusion_risk", "n_flagged_pairs", "n_flagged_groups", "max_pair_score",
    "ecosystem_threat_level", "active_threats", "contagion_depth", "injection_rate", "manipulation_rate",
    "laundering_rate", "exfiltration_attempts",
)  # fmt: skip
#: What happened besides interactions: column -> kind of event counted.
COUNTS: dict[str, str] = {
    "proposals": "proposal", "bounces": "bounce", "posts": "post", "votes": "vote", "tasks": "task",
    "failed_audits": "audit", "violations": "violation", "freezes": "freeze", "quarantines": "quarantine",
    "releases": "release",
}  # fmt: skip
#: How the population stands when the epoch closes.
STANDING: tuple[str, ...] = (
    "n_agents", "n_frozen", "n_quarantined", "avg_reputation", "reputation_std", "avg_resources", "resources_gini",
    "penalty_total",
)  # fmt: skip
#: Every column after scenario_id, seed and epoch.
COLUMNS: tuple[str, ...] = (*metrics.METRICS, *COUNTS, *STANDING)

_INTERACTION: dict[str, type] = {
    "initiator": np.int64, "counterparty": np.int64, "accepted": np.bool_, "responded": np.bool_,
    **dict.fromkeys(("p", "p_offer", "tau", "effort", "c_a", "c_b", "r_a", "r_b", "v"), np.float64),
    **dict.fromkeys(("misuse", "rejections", "step", "epoch"), np.int64),
}  # fmt: skip
Row = dict[str, float]


class Tally:
    """Adds up one run. `interactions` and `rows` hold what has been seen so far.

    `earned` is every agent's reward so far, by name; `proposed` counts proposals by (agent, conduct). Both are what a
    learner in that seat would have been told and done.
    """

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.totals: Counter[str] = Counter()  # events by kind, over the run
        self.penalties = 0.0
        self.earned: defaultdict[str, float] = defaultdict(float)
        self.proposed: Counter[tuple[str, str]] = Counter()
        self.opening: Event = {}
        self._names: dict[str, int] = {}
        self._columns: dict[str, list[Any]] = {name: [] for name in _INTERACTION}
        self._start = 0  # first interaction of the epoch
        self._counts: Counter[str] = Counter()
        self._taken = 0.0  # penalties of the epoch
        self._closing: Event = {}
        self._quarantined: set[int] = set()

    def add(self, event: Event) -> Row | None:
        """Take the next event; the epoch's row if it closes one."""
        kind = event["event"]
        if kind == "scenario":
            self._open(event)
        elif kind == "settlement":
            self._settle(event)
        elif kind == "penalty":
            self._taken += event["resources"]
            self.earned[event["agent"]] -= event["resources"]
        elif kind == "task":
            self.earned[event["agent"]] += event["pay"]
        elif kind == "proposal":
            self.proposed[event["agent"], event["conduct"]] += 1
        elif kind == "quarantine":
            self._quarantined.add(self._names[event["agent"]])
        self._counts[kind] += 1
        if kind != "epoch":
            return None
        row = self._close(event)
        self.rows.append(row)
        return row

    def _open(self, event: Event) -> None:
        if event["format"] != FORMAT:
            raise ValueError(f"event log of format {event['format']}; this version reads format {FORMAT}")
        self.opening = event
        self._names = {agent["name"]: i for i, agent in enumerate(event["agents"])}

    def _settle(self, event: Event) -> None:
        columns = self._columns
        for name in _INTERACTION:
            if name == "responded":
                columns[name].append(event["answered"])
            elif name in ("initiator", "counterparty"):
                columns[name].append(self._names[event[name]])
            else:
                columns[name].append(event[name])
        accepted = event["accepted"]
        self.earned[event["initiator"]] += event["payoff_a"] if accepted else -event["c_a"]
        self.earned[event["counterparty"]] += event["payoff_b"] if accepted else -event["c_b"]

    @property
    def interactions(self) -> dict[str, NDArray[Any]]:
        """All interactions so far, as `metrics.compute` takes them."""
        return {name: np.array(self._columns[name], dtype=kind) for name, kind in _INTERACTION.items()}

    def _settings(self) -> dict[str, Any]:
        """What `metrics` needs to know of the scenario."""
        scenario = self.opening["scenario"]
        return {
            "num_agents": len(self._names),
            "safety_threshold": scenario["market"]["safety_threshold"],
            "collusion": collusion_settings(scenario["governance"]),
            "security": security_settings(scenario["governance"], scenario["simulation"]["steps_per_epoch"]),
        }

    def compute(self, names: list[str], since: int, trust: list[float] | None) -> Row:
        """The named metrics over the interactions from number `since` on."""
        table = {name: column[since:] for name, column in self.interactions.items()}
        payoff = self.opening["scenario"]["payoff"]
        return metrics.compute(table, payoff, names, trust=trust, **self._settings())

    def containment(self) -> float:
        """Share of the run's contagion chains whose origin was quarantined; NaN without any chain."""
        table = metrics.tabulate(self.interactions, self.opening["scenario"]["payoff"], **self._settings())
        origins = metrics.security_report(table).contagion.chain[:, 0]
        if len(origins) == 0:
            return float("nan")
        return float(np.mean([int(table.agents[k]) in self._quarantined for k in origins]))

    def _close(self, event: Event) -> Row:
        reputation, resources = np.array(event["reputation"]), np.array(event["resources"])
        epoch = self.compute([name for name in metrics.METRICS if name not in CUMULATIVE], self._start, None)
        record = self.compute(list(CUMULATIVE), 0, event["reputation"])
        counts = {column: float(self._counts[kind]) for column, kind in COUNTS.items()}
        standing = (
            len(reputation), sum(event["frozen"]), sum(event["quarantined"]), reputation.mean(), reputation.std(),
            resources.mean(), metrics.gini(resources), self._taken,
        )  # fmt: skip
        self._start = len(self._columns["p"])
        self.totals += self._counts
        self.penalties += self._taken
        self._counts, self._taken, self._closing = Counter(), 0.0, event
        row = {name: (epoch if name in epoch else record)[name] for name in metrics.METRICS}
        return {**row, **counts, **dict(zip(STANDING, map(float, standing), strict=True))}

    def whole(self) -> Row:
        """The metrics over the whole run so far; standing as at the last close, counts and penalties added up."""
        if not self.rows:
            raise ValueError("no epoch has closed yet")
        last = self.rows[-1]
        row = self.compute(list(metrics.METRICS), 0, self._closing["reputation"])
        counts = {column: float(self.totals[kind]) for column, kind in COUNTS.items()}
        standing = {name: last[name] for name in STANDING}
        return {**row, **counts, **standing, "penalty_total": self.penalties}


def collusion_settings(governance: dict[str, Any]) -> CollusionSettings:
    """The report's settings: the lever's, as the scenario has them."""
    return CollusionSettings(
        frequency_threshold=governance["collusion_frequency_threshold"],
        correlation_threshold=governance["collusion_correlation_threshold"],
        min_interactions=governance["collusion_min_interactions"],
        score_threshold=governance["collusion_score_threshold"],
    )


def security_settings(governance: dict[str, Any], steps_per_epoch: int) -> SecuritySettings:
    """The report's settings: the lever's, as the scenario has them."""
    return SecuritySettings(
        injection_threshold=governance["security_injection_threshold"],
        manipulation_threshold=governance["security_manipulation_threshold"],
        laundering_trust_gap=governance["security_laundering_trust_gap"],
        contagion_velocity=governance["security_contagion_velocity"],
        min_chain_length=governance["security_min_chain_length"],
        steps_per_epoch=steps_per_epoch,
    )
