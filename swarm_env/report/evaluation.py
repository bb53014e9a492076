"""Evaluations (`swarm evaluate`) and the tables that training runs end with, checked and made plain."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swarm_env.report.sources import ReportError

Record = dict[str, Any]

#: Lists of an evaluation: name -> (texts, numbers (or null)) that every entry has.
LISTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "runs": (("policy", "scenario"), ("seed",)),
    "summary": (("policy", "scenario", "metric"), ("n", "mean", "sd", "low", "high")),
    "comparisons": (("policy", "baseline", "scenario", "metric"), ("n", "difference", "low", "high")),
}
OPTIONAL = ("iqm", "iqm_low", "iqm_high", "effect_size", "p", "p_holm", "episodes")


@dataclass
class Evaluation:
    """An evaluation as it is shown. Undefined is NaN."""

    label: str
    runs: list[Record] = field(default_factory=list)
    summary: list[Record] = field(default_factory=list)
    comparisons: list[Record] = field(default_factory=list)
    about: str = ""


@dataclass
class Training:
    """A training run: a column of values a name, by step; its last table."""

    label: str
    steps: list[float]
    curves: dict[str, list[float]]
    evaluation: Evaluation | None = None


def _number(path: Path, where: str, entry: Record, key: str) -> float:
    value = entry.get(key)
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 1e300:
        raise ReportError(f"{path}, {where}.{key}: {str(value)[:40]!r}; allowed is a finite number, or null")
    return float(value)


def _table(path: Path, where: str, entry: Record, key: str) -> dict[str, float]:
    table = entry.get(key) or {}
    if not isinstance(table, dict):
        raise ReportError(f"{path}, {where}.{key}: {str(table)[:40]!r}; allowed is an object of numbers")
    return {name: _number(path, f"{where}.{key}", table, name) for name in table}


def check(path: Path, content: dict[str, Any]) -> Evaluation:
    """An evaluation's JSON, every part that is shown checked. Raises ReportError naming the place."""
    checked = Evaluation(path.resolve().parent.name if path.stem == "results" else path.stem)
    for name, (texts, numbers) in LISTS.items():
        entries = content.get(name)
        if not isinstance(entries, list):
            raise ReportError(f"{path}: {name} is missing or no list; an evaluation has runs, summary, comparisons")
        for i, entry in enumerate(entries):
            where = f"{name}[{i}]"
            if not isinstance(entry, dict):
                raise ReportError(f"{path}, {where}: {str(entry)[:40]!r}; allowed is an object")
            for key in texts:
                if not isinstance(entry.get(key), str):
                    raise ReportError(f"{path}, {where}.{key}: {str(entry.get(key))[:40]!r}; allowed is a text")
            kept: Record = {key: entry[key] for key in texts}
            kept |= {key: _number(path, where, entry, key) for key in (*numbers, *OPTIONAL)}
            kept["mode"] = str(entry["mode"]) if entry.get("mode") is not None else ""
            if name == "runs":
                kept |= {key: _table(path, where, entry, key) for key in ("metrics", "returns", "roles")}
                kept["criteria"] = _criteria(path, where, entry.get("criteria"))
            getattr(checked, name).append(kept)
    if not checked.runs and not checked.summary:
        raise ReportError(f"{path}: an evaluation without runs")
    checked.about = _about(content)
    return checked


def _criteria(path: Path, where: str, table: Any) -> dict[str, bool]:
    """Criterion -> passed: given so, or as an object or a list of objects with `passed`."""
    if table is None:
        return {}
    if isinstance(table, list):
        table = {str(entry.get("name")): entry for entry in table if isinstance(entry, dict)}
    if not isinstance(table, dict):
        raise ReportError(f"{path}, {where}.criteria: {str(table)[:40]!r}; allowed is an object of verdicts")
    verdicts = {}
    for name, verdict in table.items():
        passed = verdict.get("passed") if isinstance(verdict, dict) else verdict
        if passed is None:
            continue
        if type(passed) not in (bool, int, float):
            raise ReportError(f"{path}, {where}.criteria.{name}: {str(verdict)[:40]!r}; allowed is true or false")
        verdicts[name] = passed >= 1
    return verdicts


def _about(content: dict[str, Any]) -> str:
    """Where it comes from, in a line."""
    parts = [f"created {content['created']}" if content.get("created") else ""]
    versions = content.get("versions")
    if isinstance(versions, dict):
        parts.append(", ".join(f"{name} {version}" for name, version in versions.items()))
    return "; ".join(part for part in parts if part)


def read_training(folder: Path) -> Training:
    """A training run's folder; one that was killed has no last table. Raises ReportError."""
    path = folder / "metrics.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = [row for row in csv.reader(file, strict=True) if row]
    except FileNotFoundError:
        raise ReportError(f"{folder}: a training run that has logged nothing yet (no metrics.csv)") from None
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise ReportError(f"{path}: cannot be read as UTF-8 CSV: {error}") from error
    if header[0] != "step" or len(set(header)) < len(header):
        raise ReportError(f"{path}, line 1: {header[0][:40]!r}; a training run's columns start with 'step', each once")
    columns: list[list[float]] = [[] for _ in header]
    for line, cells in enumerate(rows, 2):
        if len(cells) != len(header):
            raise ReportError(f"{path}, line {line}: {len(cells)} cells, but the header has {len(header)}")
        for name, column, cell in zip(header, columns, cells, strict=True):
            try:
                value = float(cell or "nan")
            except ValueError:
                value = math.inf
            if math.isinf(value) or (name == "step" and math.isnan(value)):
                raise ReportError(f"{path}, line {line}, column {name[:40]}: {cell[:40]!r} is not a finite number")
            column.append(value)
    curves = dict(zip(header[1:], columns[1:], strict=True))
    return Training(folder.resolve().name, columns[0], curves, _last_table(folder / "evaluation.json"))


def _last_table(path: Path) -> Evaluation | None:
    """evaluation.json of a training run: for each policy, metric -> [mean, low, high], or a mean alone."""
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.get("schema"):
            return check(path, content)
        evaluation = Evaluation(path.parent.resolve().name)
        for entry in content["policies"]:
            episodes = _number(path, "policies", {**content, **entry}, "episodes")
            for metric, spread in entry.items():
                if metric == "episodes" or isinstance(spread, str | dict):
                    continue
                given = spread if isinstance(spread, list) else [spread, None, None]
                mean, low, high = (_number(path, f"policies.{metric}", {"value": v}, "value") for v in given)
                row = {"policy": str(entry["policy"]), "scenario": str(content["scenario"]), "metric": metric}
                row |= {"n": episodes, "mean": mean, "low": low, "high": high}
                evaluation.summary.append(row | dict.fromkeys(("sd", "iqm", "iqm_low", "iqm_high"), math.nan))
    except ReportError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError) as error:
        raise ReportError(f"{path}: damaged, not what a training run wrote ({type(error).__name__})") from error
    return evaluation
