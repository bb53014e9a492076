"""What `swarm report` was given: which file is an event log, a metrics CSV, an evaluation, a training run.

Files are told apart by what they hold, not by their names. In a folder only files that look like ours by name are
taken, and a folder that is itself a training run is taken whole.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ALLOWED = (
    "an events.jsonl or metrics.csv of `swarm run`, an evaluation JSON of `swarm evaluate`, "
    "a training run's folder, or a folder of these"
)
SCHEMAS = ("swarm-evaluation/1", "swarm-evaluation/2")  #: of the evaluations that are read; 2 has more metrics
PATTERNS = ("*events.jsonl", "*metrics.csv", "*.json")  #: what is looked for in a folder
FIRST = 1 << 16  #: characters in which a file must show what it is
LARGEST = 1 << 29  #: bytes of an evaluation


class ReportError(ValueError):
    """Something given to `report` is wrong: one line saying what, where, and what is allowed."""


@dataclass
class Sources:
    """Paths by what they are, each once, in the order given."""

    logs: list[Path] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    evaluations: list[tuple[Path, dict[str, Any]]] = field(default_factory=list)
    trainings: list[Path] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.logs) + len(self.tables) + len(self.evaluations) + len(self.trainings)


def find(paths: Sequence[str | os.PathLike[str]]) -> Sources:
    """Sort the arguments of `swarm report`.

    Raises:
        ReportError: nothing given, a path that is not there or cannot be read, a file that is none of ours, a folder
            without any.
    """
    if not paths:
        raise ReportError(f"nothing to report on; give {ALLOWED}")
    sources, seen = Sources(), set[Path]()
    for path in map(Path, paths):
        if not path.exists():
            raise ReportError(f"{path}: no such file or folder; give {ALLOWED}")
        if path.is_dir():
            before = len(sources)
            _folder(sources, path, seen)
            if len(sources) == before and path.resolve() not in seen:
                raise ReportError(f"{path}: holds nothing to report on; allowed is {ALLOWED}")
        else:
            _file(sources, path, seen)
    return sources


def is_training(folder: Path) -> bool:
    """A folder that `swarm train` wrote."""
    return (folder / "run.json").is_file() and (folder / "config.yaml").is_file()


def _once(path: Path, seen: set[Path]) -> bool:
    new = path.resolve() not in seen
    seen.add(path.resolve())
    return new


def _folder(sources: Sources, folder: Path, seen: set[Path], deep: bool = True) -> None:
    if is_training(folder):
        if _once(folder, seen):
            sources.trainings.append(folder)
        return
    for path in sorted({path for pattern in PATTERNS for path in folder.glob(pattern) if path.is_file()}):
        if path.suffix == ".json":
            content = _json(path, strict=False)
            if isinstance(content, dict) and content.get("schema") in SCHEMAS and _once(path, seen):
                sources.evaluations.append((path, content))
        else:
            _file(sources, path, seen)
        seen.add(folder.resolve())
    if deep:
        for below in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
            _folder(sources, below, seen, deep=False)


def _file(sources: Sources, path: Path, seen: set[Path]) -> None:
    if not _once(path, seen):
        return
    start = _start(path)
    line = start.split("\n", 1)[0].lstrip("\ufeff").strip()
    if line.startswith("{"):
        _of_json(sources, path, line, start)
    elif {"scenario_id", "seed", "epoch"} <= {cell.strip().strip('"') for cell in line.split(",")}:
        sources.tables.append(path)
    elif line.startswith("step,") and is_training(path.parent):
        if _once(path.parent, seen):
            sources.trainings.append(path.parent)
    else:
        raise ReportError(f"{path}, line 1: starts with {line[:40]!r}; allowed is {ALLOWED}")


def _of_json(sources: Sources, path: Path, line: str, start: str) -> None:
    try:
        first = json.loads(line)
    except (ValueError, RecursionError):
        first = None
    if isinstance(first, dict) and isinstance(first.get("event"), str):
        sources.logs.append(path)
        return
    if isinstance(first, dict) and "event_type" in first:
        raise ReportError(f"{path}: an event log of another program (SWARM's own); allowed is {ALLOWED}")
    if first is None and start.lstrip().startswith('{"event"'):
        raise ReportError(f"{path}, line 1: not an event: {line[:40]!r}; the log was cut before its run began")
    content = _json(path, strict=True)
    if not isinstance(content, dict) or content.get("schema") not in SCHEMAS:
        found = content.get("schema") if isinstance(content, dict) else None
        has = f"has schema {str(found)[:40]!r}" if found is not None else "has no schema"
        raise ReportError(f"{path}: {has}; an evaluation has {' or '.join(SCHEMAS)}; allowed is {ALLOWED}")
    sources.evaluations.append((path, content))


def _start(path: Path) -> str:
    try:
        with path.open("rb") as file:
            start = file.read(FIRST)
    except OSError as error:
        raise ReportError(f"{path}: cannot be read ({error.strerror})") from error
    if not start.strip():
        raise ReportError(f"{path}: is empty; allowed is {ALLOWED}")
    try:
        if b"\0" in start:
            raise ValueError
        return start.decode("utf-8", "strict" if len(start) < FIRST else "ignore")
    except ValueError:
        raise ReportError(f"{path}: is no text in UTF-8; allowed is {ALLOWED}") from None


def _json(path: Path, strict: bool) -> Any:
    """The content of a JSON file; where it is none, an error, or None unless `strict`."""
    try:
        if path.stat().st_size > LARGEST:
            raise ReportError(f"{path}: {path.stat().st_size} bytes; an evaluation has {LARGEST} at most")
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        if not strict:
            return None
        if isinstance(error, ReportError):
            raise
        what = getattr(error, "msg", None) or str(error) or "nested too deeply"
        at = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise ReportError(f"{path}{at}: not whole JSON ({what}); allowed is {ALLOWED}") from error
