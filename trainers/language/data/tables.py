"""Rows of tables, one after another: files of comma- or tab-separated values, JSON, JSON lines, Parquet, and the hub.

Nothing is held but the row at hand (of Parquet: a batch). A row that cannot even be taken apart comes as a BadRowError
in its place, so that readers can count it and go on. Files may be compressed (.gz).
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from trainers.language.data.records import BadRowError, DataError
from trainers.language.data.schemas import Row

CHUNK = 1 << 16  #: characters of a JSON file read at once
MAX_FIELD = 1 << 24  #: characters that a field of a table, or an element of a JSON list, may have

Place = tuple[str, Row | BadRowError]  #: where it is (a line, a row number), and the row


def separated(file: IO[str], delimiter: str) -> Iterator[Place]:
    """Rows of separated values under a header; all values are text."""
    csv.field_size_limit(max(csv.field_size_limit(), MAX_FIELD))
    reader = csv.reader(file, delimiter=delimiter)
    header = next(reader, None)
    while header is not None:
        line = f"line {reader.line_num + 1}"
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, BadRowError(str(error))
            continue
        if not values:
            continue  # an empty line
        if len(values) != len(header):
            yield line, BadRowError(f"{len(values)} values under {len(header)} columns")
        else:
            yield line, dict(zip(header, values, strict=True))


def _as_row(value: Any) -> Row | BadRowError:
    return value if isinstance(value, dict) else BadRowError(f"a row is an object, not {type(value).__name__}")


def json_lines(file: IO[str]) -> Iterator[Place]:
    """An object a line."""
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            yield f"line {number}", _as_row(json.loads(line))
        except (ValueError, RecursionError) as error:
            yield f"line {number}", BadRowError(f"no JSON: {error}")


def json_list(file: IO[str], name: str) -> Iterator[Place]:
    """The objects of one list, read piece by piece.

    Raises:
        DataError: the list breaks off, or something stands between its elements: what follows cannot be told.
    """
    decoder, line = json.JSONDecoder(), 1
    held = file.read(CHUNK).lstrip().removeprefix("[")
    while True:
        gap = len(held) - len(held.lstrip(" \t\r\n,"))
        line += held.count("\n", 0, gap)
        held = held[gap:]
        if held.startswith("]"):
            return
        try:
            value, end = decoder.raw_decode(held)
        except (ValueError, RecursionError) as error:
            more = file.read(max(CHUNK, len(held))) if len(held) <= MAX_FIELD else ""
            if not more:
                raise DataError(f"{name}, line {line}: the list breaks off: {error}") from None
            held += more
            continue
        yield f"line {line}", _as_row(value)
        line += held.count("\n", 0, end)
        held = held[end:]


def parquet(path: Path) -> Iterator[Place]:
    """Rows of a Parquet file."""
    try:
        from pyarrow import ArrowInvalid
        from pyarrow import parquet as arrow
    except ImportError:
        raise DataError(f"{path}: Parquet needs pyarrow: pip install 'swarm-env[llm]'") from None
    number = 0
    try:
        for batch in arrow.ParquetFile(path).iter_batches(batch_size=256):
            for row in batch.to_pylist():
                number += 1
                yield f"row {number}", row
    except (ArrowInvalid, OSError) as error:
        raise DataError(f"{path}: no Parquet file: {str(error)[:120]}") from None


def _json(file: IO[str], name: str) -> Iterator[Place]:
    """A list, or lines, whichever it begins with."""
    first = ""
    while not first.strip() and (character := file.read(1)):
        first = character
    file.seek(0)
    return json_list(file, name) if first == "[" else json_lines(file)


#: Readers of text files by ending.
ENDINGS: dict[str, Callable[[IO[str], str], Iterator[Place]]] = {
    ".csv": lambda file, name: separated(file, ","),
    ".tsv": lambda file, name: separated(file, "\t"),
    ".jsonl": lambda file, name: json_lines(file),
    ".json": _json,
}


def from_file(path: Path) -> Iterator[Place]:
    """Rows of a file, by its ending.

    Raises:
        DataError: there is no such file, it is of no known kind, or it breaks off.
    """
    endings = [ending for ending in path.suffixes if ending != ".gz"]
    ending = endings[-1].lower() if endings else ""
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if ending == ".parquet":
        yield from parquet(path)
        return
    if ending not in ENDINGS:
        raise DataError(
            f"{path}: cannot read {ending or 'a file without ending'}: {', '.join(ENDINGS)}, .parquet (or .gz)"
        )
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        # what is no UTF-8 becomes lone surrogates, for which the row alone is blamed
        with opened(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            yield from ENDINGS[ending](file, str(path))
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: {error}") from None


def from_hub(
    name: str, config: str | None, split: str, data_dir: str | None, options: dict[str, Any]
) -> Iterator[Place]:
    """Rows of a dataset of the Hugging Face hub, streamed.

    Raises:
        DataError: `datasets` is not installed, or does not find it or may not.
    """
    try:
        import datasets
    except ImportError:
        raise DataError(f"{name}: the hub needs datasets: pip install 'swarm-env[llm]'") from None
    try:
        rows = datasets.load_dataset(name, config, split=split, data_dir=data_dir, streaming=True, **options)
        for number, row in enumerate(rows, 1):
            yield f"row {number}", row
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        where = f"{name} (config {config or 'none'}, split {split})"
        raise DataError(f"{where}: {type(error).__name__}: {str(error)[:300]}") from error
