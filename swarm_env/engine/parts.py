"""Finished units as partitioned Parquet: part k holds units k * PART .. (k + 1) * PART - 1, one row a number.

Columns, the same for every kind of work:

    index     int64    place of the unit in its plan
    job       string   hash of the job that made it
    label     string   what was varied: the cell of a sweep, the arm of a study, the policy of an evaluation
    scenario  string   id, where units of several scenarios stand in one plan; else null
    seed      int64
    head      string   what else the unit says, JSON
    section   string   `metrics`, and what else a unit has by name: `roles`, `returns`, `criteria/<name>`
    metric    string
    value     double   NaN is undefined

Equal units give equal bytes. A part is written under another name and renamed: it is there whole or not at all.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

PART = 1024  #: units of a part
ROWS = 65_536  #: rows that a reader holds at a time
SCHEMA = "swarm-units/1"
FOLDER = "units"  #: of the parts, in the folder of the work
COLUMNS: tuple[str, ...] = ("index", "job", "label", "scenario", "seed", "head", "section", "metric", "value")
CODED = ("job", "label", "scenario", "head", "section", "metric")  #: columns of few different texts


class Finished(NamedTuple):
    """A unit as it is kept."""

    place: int  # in its plan
    job: str  # hash
    unit: dict[str, Any]


def available() -> bool:
    """Whether parts can be written and read here."""
    return find_spec("pyarrow") is not None


def path_of(folder: Path, part: int) -> Path:
    """Of a part, in the folder of the work."""
    return folder / FOLDER / f"part-{part:06d}.parquet"


def write(path: Path, units: Sequence[Finished], key: Sequence[str], settings_hash: str) -> None:
    """Write a part; key: the fields that tell units apart, what was varied first."""
    arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for index, job, unit in units:
        head, numbers = split(unit)
        scenario = unit["scenario"] if "scenario" in key else None
        fixed = (index, job, str(unit[key[0]]), scenario, unit["seed"], json.dumps(head, separators=(",", ":")))
        for name, value in zip(COLUMNS[:6], fixed, strict=True):
            columns[name] += [value] * len(numbers)
        for name, values in zip(COLUMNS[6:], zip(*numbers, strict=True), strict=True):
            columns[name] += values
    types = {"index": arrow.int64(), "seed": arrow.int64(), "value": arrow.float64()}
    schema = arrow.schema(
        [(name, types.get(name, arrow.string())) for name in COLUMNS],
        metadata={"schema": SCHEMA, "settings_hash": settings_hash, "jobs": json.dumps([job for _, job, _ in units])},
    )
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with temporary.open("wb") as file:
            parquet.write_table(arrow.table(columns, schema), file, compression="zstd", write_page_checksum=True)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def jobs(path: Path, settings_hash: str) -> list[str] | None:
    """Hashes of the jobs of a part of this work; None: there is no such part. ValueError: of something else."""
    if not path.exists():
        return None
    if not available():
        raise ValueError("needs pyarrow: pip install 'swarm-env[parquet]'")
    try:
        said = import_module("pyarrow.parquet").read_schema(path).metadata or {}
    except (OSError, ValueError) as error:
        raise ValueError("damaged, no Parquet file") from error
    if said.get(b"schema") != SCHEMA.encode() or said.get(b"settings_hash") != settings_hash.encode():
        raise ValueError("not a part of this work")
    found: list[str] = json.loads(said[b"jobs"])
    return found


def read(path: Path) -> Iterator[Finished]:
    """The units of a part, in order, no more than ROWS rows in memory at a time. ValueError: it is damaged."""
    parquet = import_module("pyarrow.parquet")
    index, job, head = -1, "", ""
    numbers: list[tuple[str, str, float]] = []
    try:
        with parquet.ParquetFile(path, read_dictionary=list(CODED), page_checksum_verification=True) as file:
            for batch in file.iter_batches(batch_size=ROWS, columns=["index", "job", "head", *COLUMNS[6:]]):
                places = batch.column("index").to_pylist()
                jobs, heads, sections, metrics = (
                    _decoded(batch.column(k)) for k in ("job", "head", "section", "metric")
                )
                rows = list(zip(sections, metrics, batch.column("value").to_pylist(), strict=True))
                for first, last in _stretches(places):
                    if places[first] != index:
                        if index >= 0:
                            yield Finished(index, job, joined(head, numbers))
                        index, job, head, numbers = places[first], jobs[first], heads[first], []
                    numbers += rows[first:last]
    except (OSError, ValueError) as error:
        said = " ".join(str(error).split())[:100]
        raise ValueError(f"{path}: damaged: {said}; remove it, and its units run again") from error
    if index >= 0:
        yield Finished(index, job, joined(head, numbers))


def _decoded(column: Any) -> list[str]:
    """A column of few different texts, as so many references to them."""
    texts = column.dictionary.to_pylist()
    return [texts[code] for code in column.indices.to_pylist()]


def _stretches(places: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Where equal numbers stand side by side: first, and one past the last."""
    first = 0
    for last in range(1, len(places) + 1):
        if last == len(places) or places[last] != places[first]:
            yield first, last
            first = last


def split(unit: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str, float]]]:
    """A unit without its numbers by name, and these: (section, metric, value)."""
    numbers: list[tuple[str, str, float]] = []

    def without(part: dict[str, Any], path: str) -> dict[str, Any]:
        left: dict[str, Any] = {}
        for name, value in part.items():
            if isinstance(value, dict):
                left[name] = without(value, f"{path}/{name}" if path else name)
            elif path and isinstance(value, float):
                numbers.append((path, name, value))
            else:
                left[name] = value
        return left

    return without(unit, ""), numbers


def joined(head: str, numbers: Sequence[tuple[str, str, float]]) -> dict[str, Any]:
    """The unit that `split` took apart."""
    unit: dict[str, Any] = json.loads(head)
    section, place = "", unit
    for path, name, value in numbers:
        if path != section:
            section, place = path, unit
            for step in path.split("/"):
                place = place[step]
        place[name] = math.nan if value is None else value
    return unit
