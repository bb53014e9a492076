"""What a metrics CSV holds, as arrays by seed and epoch, and the statistics of its metrics.

A CSV has one row per seed and epoch: `scenario_id,seed,epoch`, then a column per metric, an empty cell where
the metric is undefined. Undefined never counts as 0; seeds are averaged within an epoch.
"""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
KEYS = ("scenario_id", "seed", "epoch")


class AnalysisError(ValueError):
    """Something given to `analyze` is wrong; the message is one line saying what, where and what is there."""


class Summary(NamedTuple):
    """One metric of one file. Statistics are over defined epochs; NaN where too few are defined."""

    mean: float
    sd: float  # sample sd over epochs, of the means over seeds
    seed_sd: float  # sample sd over seeds, of the means over epochs
    undefined: int  # of the `rows` cells
    rows: int
    slope: float  # least squares, per epoch
    change: float  # last defined epoch minus first


@dataclass(frozen=True, eq=False)
class Run:
    """One metrics CSV; S seeds, E epochs."""

    path: Path
    scenario_id: str
    seeds: tuple[int, ...]  # S
    epochs: NDArray[np.int64]  # (E,) ascending
    present: NDArray[np.bool_]  # (S, E) whether the file has this row
    values: dict[str, Floats]  # metric -> (S, E), NaN where undefined or absent

    def summary(self, metric: str) -> Summary:
        """Statistics of one metric that was read."""
        values = self.values[metric]
        series = mean(values)
        defined = np.flatnonzero(np.isfinite(series))
        slope = change = float("nan")
        if len(defined) > 1:
            x, y = self.epochs[defined] - self.epochs[defined].mean(), series[defined]
            slope, change = float(x @ (y - y.mean()) / (x @ x)), float(y[-1] - y[0])
        return Summary(
            float(mean(series)),
            float(sd(series)),
            float(sd(mean(values.T))),
            int(np.sum(self.present & np.isnan(values))),
            int(self.present.sum()),
            slope,
            change,
        )


@dataclass(frozen=True, eq=False)
class Analysis:
    """The runs in the order given; differences are to the first."""

    runs: tuple[Run, ...]
    metrics: tuple[str, ...]
    plot: Path | None = None  # written by `analyze`

    @property
    def labels(self) -> tuple[str, ...]:
        """Scenario ids, with the path where two files would read the same."""
        ids = [run.scenario_id for run in self.runs]
        return tuple(
            run.scenario_id if ids.count(run.scenario_id) == 1 else f"{run.scenario_id} {run.path}" for run in self.runs
        )


def mean(values: Floats) -> Floats:
    """Mean of the defined values over the first axis, NaN where there are none."""
    count = np.isfinite(values).sum(axis=0)
    return np.asarray(np.nansum(values, axis=0) / np.where(count > 0, count, np.nan))


def sd(values: Floats) -> Floats:
    """Sample sd of the defined values over the first axis, NaN where there are fewer than two."""
    count, squares = np.isfinite(values).sum(axis=0), np.nansum((values - mean(values)) ** 2, axis=0)
    return np.asarray(np.sqrt(squares / np.where(count > 1, count - 1, np.nan)))


def listed(names: Iterable[str], limit: int = 60) -> str:
    """The names, of many the first, and how many more there are."""
    names = list(names)
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def _nearby(folder: Path) -> str:
    if not folder.is_dir():
        return f"there is no folder {folder}"
    found = sorted(path.name for path in folder.glob("*_metrics.csv"))
    return f"metrics files in {folder}: {listed(found)}" if found else f"no *_metrics.csv lies in {folder}"


def _lines(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Header, and (line number, cells) of every row, each as long as the header."""
    if path.is_dir():
        raise AnalysisError(f"{path}: is a directory, not a metrics CSV; {_nearby(path)}")
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            lines = [(reader.line_num, cells) for cells in reader if cells]
    except FileNotFoundError:
        raise AnalysisError(f"{path}: no such file; {_nearby(path.parent)}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise AnalysisError(f"{path}: cannot be read as UTF-8 CSV: {error}") from error
    if not lines:
        raise AnalysisError(f"{path}: is empty; a metrics CSV starts with {','.join(KEYS)}")
    header, rows = [cell.strip() for cell in lines[0][1]], lines[1:]
    for name in ("epoch", "seed", "scenario_id", *header):
        if header.count(name) != 1:
            wrong = f"no column {name!r} among" if name not in header else f"column {name!r} stands twice in"
            raise AnalysisError(f"{path}: not a metrics CSV: {wrong} {listed(map(repr, header), 8)}")
    for line, cells in rows:
        if len(cells) != len(header):
            raise AnalysisError(f"{path}, line {line}: {len(cells)} cells, but the header has {len(header)}")
    if not rows:
        raise AnalysisError(f"{path}: has a header but no epochs")
    return header, rows


def _cell(path: Path, line: int, column: str, text: str) -> float:
    whole, limit = column in KEYS, 2**53 if column == "epoch" else float("inf")
    try:
        value = int(text) if whole else float(text.strip() or "nan")
    except ValueError:
        value = limit
    if abs(value) >= limit:
        kind = "a whole number" if whole else "a finite number (or empty, if undefined)"
        raise AnalysisError(f"{path}, line {line}, column {column}: {text!r} is not {kind}")
    return value


def read(path: Path, metrics: Sequence[str]) -> Run:
    """The named metrics of one CSV. Raises AnalysisError."""
    header, rows = _lines(path)
    there = [name for name in header if name not in KEYS]
    for name in metrics:
        if name not in there:
            near = difflib.get_close_matches(name, there, n=3)
            hint = f"nearest: {listed(near)}; " if near else ""
            raise AnalysisError(f"{path}: no metric {name!r}; {hint}there are: {listed(there) or 'none'}")
    at = {name: i for i, name in enumerate(header)}
    ids = {cells[at["scenario_id"]] for _, cells in rows}
    if len(ids) > 1:
        raise AnalysisError(f"{path}: holds several scenarios: {listed(map(repr, sorted(ids)), 8)}")
    seed_of, epoch_of = (
        [int(_cell(path, line, key, cells[at[key]])) for line, cells in rows] for key in ("seed", "epoch")
    )
    seeds, epochs = tuple(dict.fromkeys(seed_of)), np.unique(np.array(epoch_of, np.int64))
    present = np.zeros((len(seeds), len(epochs)), bool)
    values = {name: np.full(present.shape, np.nan) for name in metrics}
    place = {seed: i for i, seed in enumerate(seeds)}
    for (line, cells), seed, epoch in zip(rows, seed_of, epoch_of, strict=True):
        cell = place[seed], int(np.searchsorted(epochs, epoch))
        if present[cell]:
            raise AnalysisError(f"{path}, line {line}: epoch {epoch} of seed {seed} stands twice")
        present[cell] = True
        for name in metrics:
            values[name][cell] = _cell(path, line, name, cells[at[name]])
    scenario = "".join(c if c.isprintable() else "?" for c in ids.pop())  # it goes to a terminal
    return Run(path, scenario, seeds, epochs, present, values)
