"""The lines of a journal, units.jsonl: its head, then finished units, each with a digest of itself.

Python's JSON gives every number back to the bit.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from swarm_env.engine import parts
from swarm_env.engine.job import EngineError
from swarm_env.engine.parts import PART, Finished

UNITS = "units.jsonl"
Run = dict[str, Any]


class Kind(NamedTuple):
    """What sort of work a store holds."""

    noun: str  # as in "an evaluation"
    schema: str
    key: tuple[str, ...]  # fields of a unit that tell it from the others, what was varied first


class StoreError(EngineError):
    """A folder that cannot be used, read or gone on with; one line."""


def created() -> str:
    """Now, in UTC; SOURCE_DATE_EPOCH stands for it where it is set, as reproducible builds have it."""
    said = os.environ.get("SOURCE_DATE_EPOCH", "")
    seconds = int(said) if said.isdigit() else time.time()
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def to_json(value: Any) -> Any:
    """Plain data with NaN (undefined) as null."""
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def from_json(value: Any) -> Any:
    """A run's numbers back from JSON: null is undefined."""
    if isinstance(value, dict):
        return {key: from_json(item) for key, item in value.items()}
    return math.nan if value is None else value


def digest(value: Any) -> str:
    """SHA-256 (16 hex digits) over plain data."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def to_line(value: dict[str, Any]) -> bytes:
    """A line of a journal."""
    return (json.dumps(to_json(value), separators=(",", ":"), allow_nan=False) + "\n").encode()


def from_line(line: bytes) -> Finished:
    """The unit of a line; ValueError, KeyError, TypeError or AttributeError of a line that was not so written."""
    said = json.loads(line)
    if said.pop("digest") != digest(said):
        raise ValueError("changed since it was written")
    return Finished(int(said.pop("index")), str(said.pop("job")), from_json(said))


def whole_lines(path: Path) -> Iterator[bytes]:
    """All lines but a last one that was cut short."""
    with path.open("rb") as file:
        yield from (line for line in file if line.endswith(b"\n"))


def partial(folder: str | os.PathLike[str]) -> Iterator[Finished]:
    """The units that a folder holds, finished work or not, in the plan's order; it may be growing meanwhile.

    Raises:
        StoreError: no units there, or damaged ones.
    """
    journal = Path(folder) / UNITS
    where: dict[int, tuple[int, int]] = {}
    try:
        with journal.open("rb") as file:  # before the parts: what moves from here to there is seen at least once
            head, start = json.loads(file.readline()), file.tell()
            for line in file:
                if line.endswith(b"\n"):
                    where[int(json.loads(line)["index"])] = start, len(line)
                start += len(line)
            sealed = {
                int(path.stem.removeprefix("part-")): path
                for path in sorted((Path(folder) / parts.FOLDER).glob("part-*.parquet"))
                if parts.jobs(path, head["settings_hash"]) is not None
            }
            for part in sorted({index // PART for index in where} | set(sealed)):
                if part in sealed:
                    yield from parts.read(sealed[part])
                    continue
                for index in sorted(index for index in where if index // PART == part):
                    file.seek(where[index][0])
                    yield from_line(file.read(where[index][1]))
    except OSError as error:
        raise StoreError(f"{folder}: holds no units ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{folder}: damaged: {error}") from error
