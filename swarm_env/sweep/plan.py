"""A sweep: every cell of a grid played on the same seeds, summarised, and compared with the scenario as it is."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swarm_env.catalog import Source, load_scenario
from swarm_env.engine.journal import Kind, digest
from swarm_env.engine.run import HERE, Engine
from swarm_env.evaluation import results, statistics
from swarm_env.evaluation.paired import FIRST_SEED, Paired, Progress, by_seed, names
from swarm_env.evaluation.store import EvaluationError
from swarm_env.metrics.tabulate import nearest
from swarm_env.scenario import Scenario, ScenarioError
from swarm_env.sweep.grid import Axis, cells

SCHEMA = "swarm-sweep/1"
KIND = Kind("sweep", SCHEMA, ("cell", "seed"))
REFERENCE = "reference"  #: the scenario without the grid's settings, as the other cells' names are numbers
#: Drawn and compared unless others are asked for: harm, selection, welfare, both errors, and how often somebody pays.
METRICS: tuple[str, ...] = (
    "toxicity_rate", "quality_gap", "net_social_welfare", "attack_success_rate", "overrefusal_rate",
    "intervention_rate",
)  # fmt: skip


@dataclass(frozen=True)
class Found:
    """What a sweep found. `document` is that of docs/studies.md; undefined numbers are NaN."""

    document: dict[str, Any]
    files: tuple[Path, ...] = ()

    def row(self, table: str, cell: str, metric: str) -> dict[str, Any]:
        """The row of `summary` or `comparisons`."""
        for row in self.document[table]:
            if (row["cell"], row["metric"]) == (cell, metric):
                found: dict[str, Any] = row
                return found
        raise KeyError(f"{table}: no row of {cell}, {metric}")


class Sweep:
    """A grid over a scenario that has been checked, before anything is played.

    Args:
        scenario: as for `load_scenario`.
        axes: of the grid.
        seeds, episodes: of each cell, of each seed.
        metrics: to compare and to draw; all are kept in runs.csv.
        overrides: "key.path=value" for every cell and the reference.

    Raises:
        ScenarioError: a scenario or a setting that does not load. EvaluationError: an unknown metric, a number out of
            range. ImportError: scipy is missing.
    """

    def __init__(
        self,
        scenario: Source,
        axes: Sequence[Axis],
        seeds: int,
        episodes: int,
        metrics: Sequence[str] = METRICS,
        overrides: Sequence[str] | Mapping[str, Any] = (),
    ) -> None:
        statistics.require_scipy()
        self.axes, self.metrics = tuple(axes), list(dict.fromkeys(metrics))
        self.base = load_scenario(scenario, overrides)
        self.settings = {f"{k}": cell for k, cell in enumerate(cells(axes))}
        self.cells: dict[str, Scenario] = {REFERENCE: self.base}
        self.cells |= {name: self._cell(settings) for name, settings in self.settings.items()}
        self._check_metrics()
        self.paired = Paired(KIND, self.cells, seeds, episodes)

    def _cell(self, settings: Mapping[str, Any]) -> Scenario:
        try:
            return load_scenario(self.base, settings)
        except ScenarioError as error:
            raise ScenarioError([p._replace(file="--grid", line=None) for p in error.problems]) from None

    def _check_metrics(self) -> None:
        if not self.metrics:
            raise EvaluationError("metrics: none given; name at least one")
        for name in self.metrics:
            known = names(self.base)
            if name not in known:
                raise EvaluationError(f"metrics: unknown metric {name!r}; {nearest(str(name), known)}")

    @property
    def settings_hash(self) -> str:
        """Of what the runs depend on."""
        return digest([self.paired.identity, [list(cell.items()) for cell in self.settings.values()]])

    def run(self, out: Path | None, progress: Progress | None = None, engine: Engine = HERE) -> Found:
        """Play what the folder does not hold yet (None keeps nothing), put it together, write it."""
        with closing(self.paired.store(out)) as kept:
            self.paired.fill(kept, progress, engine)
            document = self._document(kept.head["created"], by_seed(kept.units(), KIND.key[0], self.metrics))
            if out is None:
                return Found(document)
            files = results.write_long(out, self.columns, (row for unit in kept.units() for row in self._long(unit)))
            return Found(document, (results.write_document(out / "results.json", document), *files))

    @property
    def columns(self) -> tuple[str, ...]:
        """Of runs.csv: the grid's keys are columns of their own, empty in the reference."""
        return ("cell", *(axis.key for axis in self.axes), "seed", "market_seed", "episodes", "metric", "value")

    def _long(self, unit: dict[str, Any]) -> list[tuple[Any, ...]]:
        cell = self.settings.get(unit["cell"], {})
        settings = tuple("" if axis.key not in cell else setting_text(cell[axis.key]) for axis in self.axes)
        head = (unit["cell"], *settings, unit["seed"], unit["market_seed"], unit["episodes"])
        return [(*head, metric, value) for metric, value in unit["metrics"].items()]

    def _document(self, created: str, values: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "created": created,
            "versions": results.versions(),
            "settings": {
                "scenario": self.base.scenario_id, "content_hash": self.base.content_hash,
                "seeds": self.paired.seeds, "episodes": self.paired.episodes, "first_seed": FIRST_SEED,
                "metrics": self.metrics, "settings_hash": self.settings_hash,
            },
            "axes": [{"key": axis.key, "values": list(axis.values)} for axis in self.axes],
            "cells": [
                {"cell": name, "settings": self.settings.get(name, {}), "content_hash": scenario.content_hash}
                for name, scenario in self.cells.items()
            ],
            "summary": self._summary(values),
            "comparisons": self._comparisons(values),
        }  # fmt: skip

    def _summary(self, values: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
        kept = ("n", "undefined", "mean", "sd", "low", "high")
        rows = []
        for cell in self.cells:
            for metric in self.metrics:
                column = values[cell].get(metric)  # a grid over agents may leave an archetype without any
                said = statistics.spread([[] if column is None else column])._asdict()
                rows.append({"cell": cell, "metric": metric, **{name: said[name] for name in kept}})
        return rows

    def _comparisons(self, values: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Every cell less the reference, seed by seed; Holm's correction is over the cells of one metric."""
        rows: list[dict[str, Any]] = []
        for metric in self.metrics:
            theirs = values[REFERENCE][metric]
            there = [cell for cell in self.settings if metric in values[cell]]
            said = [statistics.compare(values[cell][metric], theirs) for cell in there]
            for cell, each, p in zip(there, said, statistics.holm([each.p for each in said]), strict=True):
                rows.append({"cell": cell, "metric": metric, **each._asdict(), "p_holm": p})
        return rows


def setting_text(value: Any) -> str:
    """A setting as YAML writes it, so that a column of them reads back."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def folder_for(sweep: Sweep, runs: str | os.PathLike[str]) -> Path:
    """Where its results go unless somewhere else is named."""
    return Path(runs) / f"sweep_{sweep.base.scenario_id}_{sweep.settings_hash}"
