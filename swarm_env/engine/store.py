"""What work keeps on disk while it runs, so that it can go on: a journal, units.jsonl, and parts of Parquet.

The journal's first line says what is being worked on; every other is a finished unit, with the hash of its job and a
digest of itself. A line is written when its unit is done; a last line that was cut short is taken back. Work of more
than `parts.PART` units is sealed part by part as it fills (`parts`; where pyarrow is installed): the part appears, then
its lines leave the journal. In the end units stand in the order of the plan, whoever computed them in whatever order:
equal work leaves equal bytes. Python's JSON and Parquet give every number back to the bit.

No more than one part is in memory at a time.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from swarm_env.engine import parts
from swarm_env.engine.job import EngineError, Job, Plan, fingerprint
from swarm_env.engine.journal import (
    UNITS,
    Kind,
    Run,
    StoreError,
    created,
    digest,
    from_line,
    to_json,
    to_line,
    whole_lines,
)  # fmt: skip
from swarm_env.engine.parts import PART, Finished
from swarm_env.recording import RecordingError

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # not everywhere
    fcntl = None

SLACK = 4  #: parts whose lines a journal may hold beyond its need before it is written anew


class Store:
    """The units of one piece of work, in a folder or, without one, in memory.

    Args:
        folder: where; None keeps nothing.
        identity: what must agree for a folder's units to be this work's: short texts or lists, by name.
        kind: what sort of work it is.
        plan: its jobs.

    Raises:
        StoreError: a folder that holds something else, another work or a damaged one, or cannot be written.
    """

    def __init__(self, folder: Path | None, identity: dict[str, Any], kind: Kind, plan: Plan) -> None:
        self.folder, self.kind, self.plan = folder, kind, plan
        self.parted = folder is not None and plan.num_units > PART and parts.available()
        self._where: dict[int, tuple[int, int]] = {}  # of the journal's units: offset, length
        self._open: dict[int, int] = {}  # part -> units of it in the journal
        self._sealed: set[int] = set()
        self._end = 0  # of the journal's whole lines
        self._dead = 0  # lines that are in parts by now
        self.head: dict[str, Any] = {
            "schema": kind.schema,
            "created": created(),
            "settings_hash": digest(identity),
            "identity": identity,
            "code": fingerprint(plan.job_kind),
        }
        self._file: IO[bytes] | None = None
        if folder is None:
            self._file = io.BytesIO()
            self._append(self.head)
            return
        self.path = folder / UNITS
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not self.path.exists() and any(folder.iterdir()):
                raise StoreError(f"{folder}: not empty and holds no {kind.noun}; choose another --out")
            self._file = self._own(self.path)
            self._read()
        except OSError as error:
            self.close()
            raise StoreError(f"{folder}: cannot be written ({error.strerror})") from error
        except EngineError:
            self.close()
            raise

    def __len__(self) -> int:
        """Units that are there."""
        return len(self._where) + sum(self._size(part) for part in self._sealed)

    def close(self) -> None:
        """Let others at the folder."""
        if self._file is not None:
            self._file.close()

    def missing(self, plan: Plan) -> Iterator[int]:
        """Units that are not there; what was there before is not looked at again while they are being added."""
        there = set(self._where)
        for part in range(-(-plan.num_units // PART)):
            if part not in self._sealed:
                yield from (i for i in range(part * PART, part * PART + self._size(part)) if i not in there)

    def add(self, index: int, job: Job, result: Run) -> None:
        """Keep a finished unit.

        Raises:
            RecordingError: it cannot be written; what was kept before stays as it was.
        """
        try:
            start = self._end
            self._append({"index": index, "job": job.hash, **to_json(result)}, signed=True)
            self._note(index, start, self._end - start)
            part = index // PART
            if self.parted and self._open[part] == self._size(part):
                self._seal(part)
        except OSError as error:
            raise self._unwritten(error) from error

    def failed(self, index: int) -> None:
        """Nothing is kept of it: it is missing."""

    def _unwritten(self, error: OSError) -> RecordingError:
        return RecordingError(f"{self.folder}: cannot be written ({error.strerror}); what is there is whole")

    def sync(self) -> None:
        """Make what was added safe from a power cut."""
        assert self._file is not None
        if self.folder is not None:
            os.fsync(self._file.fileno())

    def finish(self) -> None:
        """Put the journal's units into the plan's order; for when nothing more is to come."""
        try:
            if self._dead or list(self._where) != sorted(self._where):
                self._rewrite(sorted(self._where))
        except OSError as error:
            raise self._unwritten(error) from error

    def units(self) -> Iterator[Run]:
        """Those that are there, in the plan's order, read as they are asked for."""
        for part in range(-(-self.plan.num_units // PART)):
            if part in self._sealed:
                assert self.folder is not None
                yield from (each.unit for each in self._parted(part))
            else:
                first = part * PART
                yield from (self._at(i).unit for i in range(first, first + self._size(part)) if i in self._where)

    def _parted(self, part: int) -> Iterator[Finished]:
        assert self.folder is not None
        try:
            yield from parts.read(parts.path_of(self.folder, part))
        except ValueError as error:
            raise StoreError(str(error)) from error

    def _size(self, part: int) -> int:
        return min(PART, self.plan.num_units - part * PART)

    def _own(self, path: Path) -> IO[bytes]:
        """Keep other processes out until this one closes the file or ends; without such locks, trust them."""
        file = path.open("a+b", buffering=0)  # what is written is written: nothing of it waits for a later flush
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.close()
                raise StoreError(f"{self.folder}: another process is at work on this {self.kind.noun}") from error
        return file

    @property
    def _a(self) -> str:
        return f"a{'n' * (self.kind.noun[0] in 'aeiou')} {self.kind.noun}"

    def _note(self, index: int, start: int, length: int) -> None:
        if index not in self._where:
            self._open[index // PART] = self._open.get(index // PART, 0) + 1
        self._where[index] = start, length

    def _read(self) -> None:
        first = True
        for count, line in enumerate(whole_lines(self.path), 1):
            try:
                if first:
                    self._compare(json.loads(line))
                    self._find_parts()
                else:
                    self._remember(line)
            except EngineError:
                raise
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise StoreError(f"{self.path}, line {count}: damaged, not what {self._a} writes") from error
            first = False
            self._end += len(line)
        os.truncate(self.path, self._end)
        if first:  # new, or killed before the first line was whole
            self._append(self.head)
        for part in [part for part, count in self._open.items() if self.parted and count == self._size(part)]:
            self._seal(part)  # a full disk had been in the way

    def _remember(self, line: bytes) -> None:
        index, job, _ = from_line(line)
        if not 0 <= index < self.plan.num_units or job != self.plan.job(index).hash:
            raise ValueError("a unit of another job")
        if index // PART in self._sealed:
            self._dead += 1
        else:
            self._note(index, self._end, len(line))

    def _find_parts(self) -> None:
        """Parts that are there; one of other jobs is as good as none."""
        assert self.folder is not None
        for part in range(-(-self.plan.num_units // PART) if (self.folder / parts.FOLDER).is_dir() else 0):
            path = parts.path_of(self.folder, part)
            try:
                held = parts.jobs(path, self.head["settings_hash"])
            except ValueError as error:
                raise StoreError(f"{path}: {error}; remove it, and its units run again") from error
            ours = range(part * PART, part * PART + self._size(part))
            if held is not None and held == [self.plan.job(index).hash for index in ours]:
                self._sealed.add(part)

    def _compare(self, said: Any) -> None:
        if not isinstance(said, dict) or said.get("schema") != self.kind.schema:
            raise StoreError(f"{self.path}: not the units of {self._a} of schema {self.kind.schema}")
        theirs, ours = said["identity"], self.head["identity"]
        if said["settings_hash"] != digest(theirs):
            raise StoreError(f"{self.path}, line 1: damaged, not what {self._a} writes")
        for name in ours:
            if theirs.get(name) != ours[name]:
                raise StoreError(
                    f"{self.folder}: belongs to another {self.kind.noun}: {name} {_short(theirs.get(name))}, not "
                    f"{_short(ours[name])}; choose another --out"
                )
        if said.get("code") != self.head["code"]:
            raise StoreError(
                f"{self.folder}: was computed by other code of this package ({said.get('code')}, not "
                f"{self.head['code']}); choose another --out, or go on with that code"
            )
        self.head["created"] = str(said["created"])

    def _append(self, line: dict[str, Any], signed: bool = False) -> None:
        """Write a line; of one that cannot be written nothing stays."""
        assert self._file is not None
        plain = to_json(line)
        text = to_line({**plain, "digest": digest(plain)} if signed else plain)
        try:
            _write(self._file, text)
        except OSError:
            self._undo()
            raise
        self._end += len(text)

    def _undo(self) -> None:
        """Take back what a full disk has left of a line; if even that fails, the next reader does it."""
        assert self._file is not None
        try:
            os.ftruncate(self._file.fileno(), self._end)
        except OSError:
            return

    def _at(self, index: int) -> Finished:
        return from_line(self._line(index))

    def _line(self, index: int) -> bytes:
        assert self._file is not None
        start, length = self._where[index]
        self._file.seek(start)
        line = b""
        while len(line) < length:
            more = self._file.read(length - len(line))
            if not more:
                raise StoreError(f"{self.folder}: {UNITS} has been cut short by someone else")
            line += more
        return line

    def _seal(self, part: int) -> None:
        """Write a part; then its lines are no longer needed."""
        assert self.folder is not None
        ours = range(part * PART, part * PART + self._size(part))
        path = parts.path_of(self.folder, part)
        parts.write(path, [self._at(index) for index in ours], self.kind.key, self.head["settings_hash"])
        self._sealed.add(part)
        del self._open[part]
        for index in ours:
            del self._where[index]
        self._dead += len(ours)
        if self._dead >= SLACK * PART:
            self._rewrite(list(self._where))

    def _rewrite(self, order: list[int]) -> None:
        """The journal anew, these units in this order: another file takes its place, owned before it is seen."""
        if self.folder is None:
            return
        assert self._file is not None
        temporary = self.path.with_name(f".{UNITS}.part")
        temporary.unlink(missing_ok=True)
        new = self._own(temporary)
        try:
            where, end = {}, _write(new, to_line(self.head))
            for index in order:
                line = self._line(index)
                where[index] = end, len(line)
                end += _write(new, line)
            os.fsync(new.fileno())
            os.replace(temporary, self.path)
        except BaseException:
            new.close()
            temporary.unlink(missing_ok=True)
            raise
        self._file.close()
        self._file, self._where, self._end, self._dead = new, where, end, 0


def _write(file: IO[bytes], content: bytes) -> int:
    """Write all of it at the file's end; how much that is."""
    file.seek(0, os.SEEK_END)
    left = memoryview(content)
    while left:
        left = left[file.write(left) :]
    return len(content)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."


def require_fresh(folder: Path, resume: bool, kind: Kind) -> None:
    """Refuse a folder with earlier units unless they are to be gone on with.

    Raises:
        StoreError: it holds some and `resume` is false.
    """
    if (folder / UNITS).exists() and not resume:
        raise StoreError(
            f"{folder}: holds earlier results; --resume goes on with this {kind.noun}, --out names another folder"
        )
