"""What an evaluation keeps on disk while it runs, so that it can go on: units.jsonl, a line for each finished unit.

Studies and sweeps keep theirs in the same way. The first line says what is being evaluated; every other ends with a
digest of itself. A line is written and flushed when its unit is done; a last line that was cut short is taken back.
Python's JSON gives every number back to the bit: a resumed run ends with the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import IO, Any, NamedTuple

from swarm_env.recording import RecordingError

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # not everywhere
    fcntl = None

SCHEMA = "swarm-evaluation/2"
UNITS = "units.jsonl"
Key = tuple[str | int, ...]  # what tells units apart
Run = dict[str, Any]


class Kind(NamedTuple):
    """What sort of work a store holds."""

    noun: str  # as in "an evaluation"
    schema: str
    key: tuple[str, ...]  # fields of a unit that tell it from the others


EVALUATION = Kind("evaluation", SCHEMA, ("policy", "scenario", "seed"))


class EvaluationError(ValueError):
    """An evaluation that cannot be made, read or resumed; one line."""


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


class Store:
    """The units of one evaluation, in a folder's units.jsonl or in memory only.

    Args:
        folder: where; None keeps nothing.
        identity: what must agree for a folder's units to be this evaluation's: short texts or lists, by name.
        kind: what sort of work it is.

    Raises:
        EvaluationError: a folder that holds something else, another evaluation or a damaged one, or cannot be written.
    """

    def __init__(self, folder: Path | None, identity: dict[str, Any], kind: Kind = EVALUATION) -> None:
        self.folder, self.kind, self.runs = folder, kind, dict[Key, Run]()
        self._file: IO[bytes] | None = None
        self.head: dict[str, Any] = {
            "schema": kind.schema,
            "created": created(),
            "settings_hash": digest(identity),
            "identity": identity,
        }
        if folder is None:
            return
        self.path = folder / UNITS
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not self.path.exists() and any(folder.iterdir()):
                raise EvaluationError(f"{folder}: not empty and holds no {kind.noun}; choose another --out")
            self._own()
            self._read()
        except OSError as error:
            self.close()
            raise EvaluationError(f"{folder}: cannot be written ({error.strerror})") from error
        except EvaluationError:
            self.close()
            raise

    def _own(self) -> None:
        """Keep other processes out until this one closes the file or ends; without such locks, trust them."""
        self._file = self.path.open("ab")
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise EvaluationError(f"{self.folder}: another process is at work on this {self.kind.noun}") from error

    @property
    def _a(self) -> str:
        return f"a{'n' * (self.kind.noun[0] in 'aeiou')} {self.kind.noun}"

    def _key(self, run: Run) -> Key:
        return tuple(run[name] for name in self.kind.key)

    def close(self) -> None:
        """Let others at the folder."""
        if self._file is not None:
            self._file.close()

    def _read(self) -> None:
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        for count, line in enumerate(whole.split(b"\n")[:-1], 1):
            try:
                said = json.loads(line)
                if count == 1:
                    self._compare(said)
                else:
                    if said.pop("digest") != digest(said):
                        raise ValueError("changed since it was written")
                    run = from_json(said)
                    self.runs[self._key(run)] = run
            except EvaluationError:
                raise
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise EvaluationError(f"{self.path}, line {count}: damaged, not what {self._a} writes") from error
        if len(whole) < len(content):
            os.truncate(self.path, len(whole))
        if not whole:  # new, or killed before the first line was whole
            self._append(self.head)

    def _compare(self, said: Any) -> None:
        if not isinstance(said, dict) or said.get("schema") != self.kind.schema:
            raise EvaluationError(f"{self.path}: not the units of {self._a} of schema {self.kind.schema}")
        theirs, ours = said["identity"], self.head["identity"]
        if said["settings_hash"] != digest(theirs):
            raise EvaluationError(f"{self.path}, line 1: damaged, not what {self._a} writes")
        for name in ours:
            if theirs.get(name) != ours[name]:
                raise EvaluationError(
                    f"{self.folder}: belongs to another {self.kind.noun}: {name} {_short(theirs.get(name))}, not "
                    f"{_short(ours[name])}; choose another --out"
                )
        self.head["created"] = str(said["created"])

    def _append(self, line: dict[str, Any]) -> None:
        assert self._file is not None
        self._file.write((json.dumps(to_json(line), separators=(",", ":"), allow_nan=False) + "\n").encode())
        self._file.flush()
        os.fsync(self._file.fileno())

    def add(self, run: Run) -> None:
        """Keep a finished unit."""
        self.runs[self._key(run)] = run
        if self.folder is not None:
            try:
                self._append({**to_json(run), "digest": digest(to_json(run))})
            except OSError as error:
                raise RecordingError(f"{self.path}: cannot be written ({error.strerror})") from error


def require_fresh(folder: Path, resume: bool, kind: Kind) -> None:
    """Refuse a folder with earlier units unless they are to be gone on with.

    Raises:
        EvaluationError: it holds some and `resume` is false.
    """
    if (folder / UNITS).exists() and not resume:
        raise EvaluationError(
            f"{folder}: holds earlier results; --resume goes on with this {kind.noun}, --out names another folder"
        )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
