"""The results of an evaluation, schema swarm-evaluation/2: summaries, comparisons, files."""

from __future__ import annotations

import csv
import json
import platform
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module, metadata
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from swarm_env import __version__, statistics
from swarm_env.engine.journal import Run, to_json
from swarm_env.engine.parts import available
from swarm_env.evaluation.measure import NAMES
from swarm_env.recording import RecordingError, Whole, number

EVERY = "*"  #: stands for all scenarios together in a summary; no scenario can be called so
PACKAGES = ("numpy", "numba", "scipy")
#: Columns of runs.csv and runs.parquet.
ROWS = 65_536  #: rows of a table in memory at a time
LONG: tuple[str, ...] = ("policy", "scenario", "mode", "seed", "market_seed", "episodes", "metric", "value")

Table = list[dict[str, Any]]


def versions() -> dict[str, str]:
    """Python and the packages that the numbers depend on."""
    found = {name: metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), "swarm-env": __version__, **found}


def flat(run: Run) -> dict[str, float]:
    """A run's numbers under one name each: `metrics`, then return.<archetype>, then passed.<criterion>."""
    return {
        **run["metrics"],
        **{f"return.{role}": value for role, value in run["roles"].items()},
        **{f"passed.{name}": verdict["passed"] for name, verdict in run["criteria"].items()},
    }


def summarise(runs: Sequence[Run], policies: Sequence[str], scenarios: Sequence[str]) -> Table:
    """A row for each policy, scenario and number of `flat`; of several scenarios also their aggregate, EVERY."""
    values = _by_seed(runs)
    rows = []
    for policy in policies:
        for scenario in scenarios:
            for metric, column in values[policy, scenario].items():
                rows.append(_summary(policy, scenario, metric, [column]))
        for metric in NAMES if len(scenarios) > 1 else ():
            strata = [values[policy, scenario][metric] for scenario in scenarios]
            rows.append(_summary(policy, EVERY, metric, strata))
    return rows


def _by_seed(runs: Sequence[Run]) -> dict[tuple[str, str], dict[str, list[float]]]:
    """(policy, scenario) -> metric -> values in the order of the runs, which is that of the seeds."""
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for run in runs:
        columns = found.setdefault((run["policy"], run["scenario"]), {})
        for metric, value in flat(run).items():
            columns.setdefault(metric, []).append(value)
    return found


def _summary(policy: str, scenario: str, metric: str, strata: Sequence[list[float]]) -> dict[str, Any]:
    said = statistics.spread([np.array(column) for column in strata])
    return {"policy": policy, "scenario": scenario, "metric": metric, **said._asdict()}


def compare(
    runs: Sequence[Run], policies: Sequence[str], scenarios: Sequence[str], baseline: str | None, primary: Sequence[str]
) -> Table:
    """Every other policy less the baseline, seed by seed, for each scenario and number of `flat`; no baseline: none.

    `p_holm` corrects over all rows of the primary metrics together, and over all rows of the other metrics together:
    those were not asked about, and looking at them must not cost the ones that were.
    """
    values = _by_seed(runs)
    rows: Table = []
    for policy in policies if baseline is not None else ():
        for scenario in scenarios if policy != baseline else ():
            theirs = values[str(baseline), scenario]
            for metric, column in values[policy, scenario].items():
                said = statistics.compare(column, theirs[metric])
                head = {"policy": policy, "baseline": baseline, "scenario": scenario, "metric": metric}
                rows.append({**head, **said._asdict(), "p_holm": statistics.NAN, "primary": metric in primary})
    for family in (True, False):
        members = [row for row in rows if row["primary"] is family]
        for row, p in zip(members, statistics.holm([row["p"] for row in members]), strict=True):
            row["p_holm"] = p
    return rows


def long_rows(runs: Sequence[Run]) -> Iterator[tuple[Any, ...]]:
    """Rows of LONG: every number of every run, returns by agent as agent.<name>."""
    for run in runs:
        head = tuple(run[name] for name in LONG[:6])
        by_agent = {f"agent.{name}": value for name, value in run["returns"].items()}
        for metric, value in {**flat(run), **by_agent}.items():
            yield (*head, metric, value)


def write(folder: Path, results: dict[str, Any]) -> list[Path]:
    """results.json, runs.csv and, where pyarrow is installed, runs.parquet; each whole or not at all."""
    written = write_long(folder, LONG, long_rows(results["runs"]))
    return [write_document(folder / "results.json", results), *written]  # last: when it is there, so is the rest


def write_document(path: Path, document: dict[str, Any]) -> Path:
    """A JSON file of it; undefined is null."""
    with Whole(path) as file:
        file.write(json.dumps(to_json(document), indent=1, allow_nan=False) + "\n")
    return path


def write_long(folder: Path, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> list[Path]:
    """runs.csv and, where pyarrow is installed, runs.parquet: rows that end with a value, read as they come."""
    table, left = folder / "runs.csv", iter(rows)
    parquet = _Parquet(folder / "runs.parquet", columns) if available() else None
    try:
        with Whole(table) as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            while some := list(islice(left, ROWS)):
                writer.writerows((*row[:-1], number(row[-1])) for row in some)
                if parquet is not None:
                    parquet.add(some)
    except OSError as error:
        raise RecordingError(f"{table}: cannot be written ({error.strerror})") from error
    finally:
        if parquet is not None:
            parquet.stop()
    return [table] if parquet is None else [table, parquet.finish()]


class _Parquet:
    """The rows of runs.csv, a row group for each batch; undefined is NaN. It appears by `finish`, whole."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.path, self.names = path, names
        self._arrow, self._parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
        self._temporary = path.with_name(f".{path.name}.part")
        self._writer: Any = None

    def add(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write a batch; the first one settles the columns' types."""
        columns = dict(zip(self.names, map(list, zip(*rows, strict=True)), strict=True))
        batch = self._arrow.table(columns, None if self._writer is None else self._writer.schema)
        if self._writer is None:
            self._writer = self._parquet.ParquetWriter(self._temporary, batch.schema)
        self._writer.write_table(batch)

    def stop(self) -> None:
        """No more rows; close the file, if there is one."""
        if self._writer is not None:
            self._writer.close()

    def finish(self) -> Path:
        """Let it appear."""
        try:
            self._temporary.replace(self.path)
        except OSError as error:
            raise RecordingError(f"{self.path}: cannot be written ({error.strerror})") from error
        return self.path
