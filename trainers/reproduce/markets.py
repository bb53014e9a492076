"""Governed markets in a study: the whole metric suite of `swarm evaluate`, for whoever answers every proposal."""

from __future__ import annotations

from collections.abc import Mapping

import swarm_env
from swarm_env import Scenario

Row = dict[str, float | None]

#: Of the tables: heading, metric, decimals.
COLUMNS: tuple[tuple[str, str, int], ...] = (
    ("toxicity", "toxicity_rate", 3), ("quality gap", "quality_gap", 3),
    ("cond. loss, initiator", "conditional_loss_initiator", 3),
    ("cond. loss, counterparty", "conditional_loss_counterparty", 3), ("accepted", "acceptance_rate", 2),
    ("F1", "safety_f1", 3), ("welfare", "total_welfare", 0), ("net social welfare", "net_social_welfare", 0),
    ("triggered", "feedback_trigger_rate", 2), ("revisions a decision", "revisions_per_decision", 2),
)  # fmt: skip


def judge(scenario: Scenario, answers: Mapping[str, str], episodes: int, first_seed: int) -> dict[str, Row]:
    """Metrics (COLUMNS) of whole episodes by who answers, name -> SPEC, all on the same markets; undefined is None."""
    names = {f"p{k}": who for k, who in enumerate(answers)}  # a policy's name is a plain word, a heading need not be
    judged = swarm_env.evaluate(
        dict(zip(names, answers.values(), strict=True)), scenario, episodes, 1, seats="all", transfer=True,
        first_seed=first_seed,
    )  # fmt: skip
    return {
        who: {metric: _plain(judged.summary(name, metric)["mean"]) for _, metric, _ in COLUMNS}
        for name, who in names.items()
    }


def _plain(value: float) -> float | None:
    return None if value != value else value
