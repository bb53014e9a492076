"""From recorded episodes to numbers by seed: the metric suite, returns by agent and by role, success criteria.

Every metric is computed for one whole episode, exactly as `swarm_env.run` does for its run, and then averaged over the
seed's episodes in which it is defined. Episodes are not pooled: collusion, security and Gini speak of one market's
record, and of many markets together they would speak of pairs that never met.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swarm_env import metrics
from swarm_env.criteria import CRITERIA, Verdict, judge
from swarm_env.evaluation.govern import OVERSIGHT
from swarm_env.evaluation.play import Record
from swarm_env.metrics import METRICS
from swarm_env.scenario import Scenario
from swarm_env.tally import COLUMNS, COUNTS, CUMULATIVE, Row, collusion_settings, security_settings

FOCAL, BACKGROUND = "focal_return", "background_return"
#: What a unit's `metrics` hold: the columns of a run's CSV, what is known of an overseer's part in the decisions, and
#: the returns of those in focal and in other seats.
NAMES: tuple[str, ...] = (*COLUMNS, *OVERSIGHT, FOCAL, BACKGROUND)


class Measures:
    """What the metrics of one scenario need to know of it."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        settings = scenario.to_dict(defaults=True)
        self.payoff = settings["payoff"]
        self.settings: dict[str, Any] = {
            "num_agents": scenario.num_agents,
            "safety_threshold": scenario.market.safety_threshold,
            "collusion": collusion_settings(settings["governance"]),
            "security": security_settings(settings["governance"], scenario.simulation.steps_per_epoch),
        }
        criteria = scenario.success_criteria
        self.asked = [name for name in CRITERIA if getattr(criteria, name) is not None]

    def compute(self, deals: Mapping[str, NDArray[Any]], names: Sequence[str], trust: Any) -> Row:
        """The named metrics of some deals of one market."""
        return metrics.compute(deals, self.payoff, names, trust=trust, **self.settings)

    def episodes(self, record: Record) -> Iterator[tuple[Row, list[Verdict]]]:
        """Metrics (COLUMNS and OVERSIGHT) and verdicts of each episode."""
        for e in range(len(record.gained)):
            deals = {name: column[record.start[e] : record.start[e + 1]] for name, column in record.deals.items()}
            yield self._whole(record, e, deals), self._verdicts(record, e, deals) if self.asked else []

    def _whole(self, record: Record, e: int, deals: Mapping[str, NDArray[Any]]) -> Row:
        reputation, resources = record.reputation[e, -1], record.resources[e, -1]
        return {
            **self.compute(deals, list(METRICS), reputation),
            **{column: float(record.counts[column][e]) for column in COUNTS},
            "n_agents": float(len(reputation)),
            "n_frozen": float(record.frozen[e, -1].sum()),
            "n_quarantined": float(record.quarantined[e, -1].sum()),
            "avg_reputation": float(reputation.mean()),
            "reputation_std": float(reputation.std()),
            "avg_resources": float(resources.mean()),
            "resources_gini": metrics.gini(resources),
            "penalty_total": float(record.penalties[e].sum()),
            **{name: float(rates[e]) for name, rates in record.oversight.items()},
        }

    def _verdicts(self, record: Record, e: int, deals: Mapping[str, NDArray[Any]]) -> list[Verdict]:
        """As `swarm_env.run` judges, from only those columns of the epochs' rows that the criteria read."""
        read = [CRITERIA[name][0] for name in self.asked]
        of_epoch = [name for name in read if name in METRICS and name not in CUMULATIVE]
        so_far = [name for name in read if name in CUMULATIVE]
        bounds = np.searchsorted(deals["epoch"], np.arange(record.penalties.shape[1] + 1))
        rows = []
        for k in range(len(bounds) - 1):
            row = {"n_agents": float(record.gained.shape[1]), "penalty_total": float(record.penalties[e, k])}
            for names, since, trust in ((of_epoch, bounds[k], None), (so_far, 0, record.reputation[e, k])):
                if names:
                    part = {name: column[since : bounds[k + 1]] for name, column in deals.items()}
                    row |= self.compute(part, names, trust)
            rows.append(row)
        contained = self._containment(record, e, deals) if "containment" in read else math.nan
        return judge(self.scenario, rows, contained)

    def _containment(self, record: Record, e: int, deals: Mapping[str, NDArray[Any]]) -> float:
        """Share of the contagion chains whose origin was quarantined; NaN without any."""
        table = metrics.tabulate(deals, self.payoff, **self.settings)
        origins = metrics.security_report(table).contagion.chain[:, 0]
        return float(record.caught[e, origins].mean()) if len(origins) else math.nan


def mean(values: Sequence[float]) -> float:
    """Of those that are defined; NaN if none is."""
    kept = [value for value in values if not math.isnan(value)]
    return math.fsum(kept) / len(kept) if kept else math.nan


class Unit:
    """Adds up the batches of one policy, scenario and seed."""

    def __init__(self, measures: Measures) -> None:
        self.measures = measures
        self.rows: list[Row] = []
        self.verdicts: list[list[Verdict]] = []
        self.gained: list[NDArray[np.float64]] = []
        self.focal: list[NDArray[np.bool_]] = []  # (E, N): who was in a focal seat

    def add(self, record: Record, focal: NDArray[np.bool_]) -> None:
        """A batch; focal (N,): whether an agent sat in a focal seat in it."""
        for row, verdicts in self.measures.episodes(record):
            self.rows.append(row)
            self.verdicts.append(verdicts)
        self.gained.append(record.gained)
        self.focal.append(np.broadcast_to(focal, record.gained.shape))

    def result(self) -> dict[str, Any]:
        """`episodes`, `metrics`, `returns`, `focal`, `roles` and `criteria` of a run, see docs/evaluation.md."""
        scenario = self.measures.scenario
        gained, focal = np.concatenate(self.gained), np.concatenate(self.focal)
        names, roles = scenario.agent_names, np.array(scenario.archetypes)
        values = {name: mean([row[name] for row in self.rows]) for name in (*COLUMNS, *OVERSIGHT)}
        values[FOCAL] = mean(gained[focal].tolist())
        values[BACKGROUND] = mean(gained[~focal].tolist())
        return {
            "episodes": len(gained),
            "metrics": values,
            "returns": dict(zip(names, gained.mean(axis=0).tolist(), strict=True)),
            "focal": {name: float(gained[focal[:, i], i].mean()) for i, name in enumerate(names) if focal[:, i].any()},
            "roles": {role: float(gained[:, roles == role].mean()) for role in dict.fromkeys(scenario.archetypes)},
            "criteria": {
                verdict.name: {
                    "bound": verdict.bound,
                    "value": mean([verdicts[k].value for verdicts in self.verdicts]),
                    "passed": float(np.mean([verdicts[k].passed for verdicts in self.verdicts])),
                }
                for k, verdict in enumerate(self.verdicts[0])
            },
        }
