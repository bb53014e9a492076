"""What was recorded of one scenario in one place: metrics by seed and epoch, verdicts, who earned what."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from swarm_env.analysis.runs import KEYS, AnalysisError, read
from swarm_env.criteria import Verdict, judge
from swarm_env.report.episode import Episode
from swarm_env.report.logs import read_log
from swarm_env.report.played import played
from swarm_env.report.sources import ReportError, Sources

Floats = NDArray[np.float64]
Rows = dict[int, dict[str, float]]  # epoch -> metric -> value


@dataclass
class Series:
    """The runs of a log, of a CSV, or of both where they lie side by side under one name."""

    scenario_id: str
    path: Path  # of the first file
    label: str = ""
    rows: dict[int, Rows] = field(default_factory=dict)  # by seed
    episodes: list[Episode] = field(default_factory=list)
    verdicts: dict[int, list[Verdict]] = field(default_factory=dict)  # by seed, of complete runs
    notes: list[str] = field(default_factory=list)

    @property
    def seeds(self) -> list[int]:
        """Seeds with a closed epoch, ascending."""
        return sorted(seed for seed, rows in self.rows.items() if rows)

    @property
    def epochs(self) -> list[int]:
        """Epochs that closed in some seed, ascending."""
        return sorted({epoch for rows in self.rows.values() for epoch in rows})

    @property
    def metrics(self) -> list[str]:
        """Names, in the order of the file."""
        return list(dict.fromkeys(name for rows in self.rows.values() for row in rows.values() for name in row))

    def values(self, metric: str) -> Floats:
        """(S, E) by seed and epoch, NaN where undefined or not there."""
        nothing: dict[str, float] = {}
        table = [
            [self.rows[seed].get(epoch, nothing).get(metric, np.nan) for epoch in self.epochs] for seed in self.seeds
        ]
        return np.array(table, float).reshape(len(self.seeds), len(self.epochs))

    def by_seed(self, metric: str) -> Floats:
        """(S,) mean over the defined epochs of each seed."""
        values = self.values(metric)
        count = np.isfinite(values).sum(axis=1)
        return np.asarray(np.nansum(values, axis=1) / np.where(count > 0, count, np.nan), float)


def collect(sources: Sources) -> list[Series]:
    """Read all logs and CSVs. Raises ReportError."""
    found: dict[tuple[Path, str, str], Series] = {}
    for path in sources.logs:
        for episode in read_log(path):
            _add_episode(_of(found, path, "events.jsonl", episode.scenario_id), episode)
    for path in sources.tables:
        scenario_id, by_seed = _table(path)
        series = _of(found, path, "metrics.csv", scenario_id)
        for seed, rows in by_seed.items():
            logged = series.rows.get(seed, {})
            series.rows[seed] = rows if len(rows) > len(logged) else logged
    _label(list(found.values()))
    return list(found.values())


def _of(found: dict[tuple[Path, str, str], Series], path: Path, ending: str, scenario_id: str) -> Series:
    stem = path.name.removesuffix(ending).rstrip("_") if path.name.endswith(ending) else path.name
    return found.setdefault((path.parent.resolve(), stem, scenario_id), Series(scenario_id, path))


def _label(series: Sequence[Series]) -> None:
    """Scenario ids, with as much of the path as tells them apart."""
    ids = [one.scenario_id for one in series]
    folders = [(one.scenario_id, one.path.parent.name) for one in series]
    for one, folder in zip(series, folders, strict=True):
        if ids.count(one.scenario_id) == 1:
            one.label = one.scenario_id
        elif folders.count(folder) == 1:
            one.label = f"{one.scenario_id} ({folder[1] or '.'})"
        else:
            one.label = f"{one.scenario_id} ({one.path})"


def _table(path: Path) -> tuple[str, dict[int, Rows]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = [cell.strip() for cell in next(csv.reader(file))]
        run = read(path, [name for name in dict.fromkeys(header) if name not in KEYS])
    except AnalysisError as error:
        raise ReportError(str(error)) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ReportError(f"{path}: cannot be read as UTF-8 CSV: {error}") from error
    by_seed: dict[int, Rows] = {}
    for i, seed in enumerate(run.seeds):
        by_seed[seed] = {
            int(epoch): {name: float(values[i, j]) for name, values in run.values.items()}
            for j, epoch in enumerate(run.epochs)
            if run.present[i, j]
        }
    return run.scenario_id, by_seed


def _add_episode(series: Series, episode: Episode) -> None:
    series.episodes.append(episode)
    seed = episode.seed
    if seed in series.rows:
        raise ReportError(f"{series.path}: seed {seed} of {series.scenario_id!r} stands twice")
    series.rows[seed] = dict(enumerate(episode.tally.rows))
    if not episode.complete:
        series.notes.append(
            f"seed {seed} is incomplete: {len(episode.closes)} of {episode.num_epochs} epochs closed, "
            f"last step {episode.last if episode.last >= 0 else 'none'}"
        )
        return
    try:
        scenario = played(episode.opening)
    except ValueError as error:
        series.notes.append(f"seed {seed}: no verdicts, its scenario does not load here: {str(error)[:200]}")
        return
    series.verdicts[seed] = judge(scenario, episode.tally.rows, episode.tally.containment())
