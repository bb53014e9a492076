"""What a run leaves behind: the event log (JSON lines) and the metrics CSV. Both appear whole or not at all.

The log's first line of each run is its metadata (`run`: version, time, machine), the one line in which two runs of the
same scenario and seed may differ.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import platform
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from swarm_env.events import Event
from swarm_env.scenario import Scenario
from swarm_env.tally import COLUMNS, Row, Tally

KEYS: tuple[str, ...] = ("scenario_id", "seed", "epoch")  #: first columns of a metrics CSV


class RecordingError(ValueError):
    """A log that cannot be read or a folder that cannot be written; one line saying which and why."""


def metadata(scenario: Scenario, seed: int) -> Event:
    """The first line of a run: what is not part of its results."""
    from swarm_env import __version__

    return {
        "event": "run",
        "scenario_id": scenario.scenario_id,
        "scenario_hash": scenario.content_hash,
        "seed": seed,
        "version": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def to_line(event: Event) -> str:
    """One line of the log. JSON has no NaN: there is none in an event."""
    return json.dumps(event, separators=(",", ":"), allow_nan=False) + "\n"


class Whole:
    """A text file that appears under its name only when it is complete; `close(keep=False)` leaves nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, self._temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        except OSError as error:
            raise RecordingError(f"{path}: cannot be written ({error.strerror})") from error
        self.file: IO[str] = os.fdopen(handle, "w", encoding="utf-8", newline="")

    def close(self, keep: bool = True) -> None:
        """Put the file in its place, or throw it away."""
        if keep:
            self.file.flush()
            os.fsync(self.file.fileno())
        self.file.close()
        if not keep:
            os.unlink(self._temporary)
            return
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(self._temporary, 0o666 & ~mask)  # temporary files are private, results are not
        os.replace(self._temporary, self.path)

    def __enter__(self) -> IO[str]:
        return self.file

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close(keep=kind is None)


def number(value: float) -> str:
    """A cell: shortest text that reads back as the same number; undefined is empty."""
    if math.isnan(value):
        return ""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def write_csv(path: Path, rows: Iterable[tuple[str, int, int, Row]]) -> None:
    """Write a metrics CSV of (scenario_id, seed, epoch, metrics)."""
    with Whole(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*KEYS, *COLUMNS])
        for scenario_id, seed, epoch, row in rows:
            writer.writerow([scenario_id, seed, epoch, *(number(row[name]) for name in COLUMNS)])


def read_events(path: str | os.PathLike[str]) -> Iterator[Event]:
    """The events of a log, in order.

    Raises:
        RecordingError: no such file, or a line that is no event (with its number).
    """
    try:
        file = io.open(path, encoding="utf-8")  # noqa: UP020, SIM115  closed below, after the last event
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror}") from error
    with file:
        for count, line in enumerate(file, 1):
            try:
                event = json.loads(line)
                if not isinstance(event["event"], str):
                    raise TypeError
            except (ValueError, KeyError, TypeError) as error:
                raise RecordingError(f"{path}, line {count}: not an event: {line[:60]!r}") from error
            yield event


def replay(path: str | os.PathLike[str]) -> list[Tally]:
    """Read a log again: the tally of each run in it. `tally.rows` are the rows of the CSV, exactly.

    Raises:
        RecordingError: as for `read_events`, or a log without a run.
    """
    tallies: list[Tally] = []
    for event in read_events(path):
        if event["event"] == "run":
            continue
        if event["event"] == "scenario":
            tallies.append(Tally())
        if not tallies:
            raise RecordingError(f"{path}: does not start with a run")
        try:
            tallies[-1].add(event)
        except (KeyError, TypeError, ValueError) as error:
            raise RecordingError(f"{path}: a broken {event['event']} event: {error}") from error
    if not tallies:
        raise RecordingError(f"{path}: holds no run")
    return tallies


def output_paths(scenario: Scenario, out: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Where a run's event log and metrics CSV go: folder `out`, names as the scenario's `outputs` has them."""
    outputs: Any = scenario.outputs
    names = (
        outputs.event_log or f"{scenario.scenario_id}_events.jsonl",
        outputs.metrics_csv or f"{scenario.scenario_id}_metrics.csv",
    )
    inside = [Path(name).relative_to("logs") if Path(name).parts[0] == "logs" else Path(name) for name in names]
    return Path(out) / inside[0], Path(out) / inside[1]
