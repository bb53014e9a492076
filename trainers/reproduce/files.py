"""Work that leaves files in a folder: a plan, and the place where its results are kept, in one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from swarm_env.engine.job import EngineError, Job, Plan, runner
from swarm_env.engine.run import Engine, carry_out
from swarm_env.evaluation.screen import progress


class Piece(NamedTuple):
    """A piece of work."""

    job: Job
    title: str
    there: bool  # whether it has been done
    file: Path  # the last one that it writes


class Files:
    """Pieces of one kind; see `swarm_env.engine.job.Plan` and `Kept`.

    Args:
        say: told a line for each piece that is done, or could not be.
    """

    def __init__(self, kind: str, pieces: Sequence[Piece], say: Callable[[str], None]) -> None:
        self.job_kind, self.pieces, self.say = kind, list(pieces), say
        self.done = len(self)

    def __len__(self) -> int:
        """Pieces that had been done before."""
        return sum(piece.there for piece in self.pieces)

    @property
    def num_units(self) -> int:
        """Pieces."""
        return len(self.pieces)

    def job(self, index: int) -> Job:
        """Of a piece."""
        return self.pieces[index].job

    def title(self, index: int) -> str:
        """What a piece is called."""
        return self.pieces[index].title

    def groups(self, indices: Iterable[int], most: int) -> Iterator[list[int]]:
        """One by one."""
        yield from ([index] for index in indices)

    def here(self, indices: Sequence[int]) -> Iterator[Any]:
        """Do them in this process."""
        yield from runner(self.job_kind)([self.job(index) for index in indices])

    def missing(self, plan: Plan) -> Iterator[int]:
        """Those that are not done."""
        yield from (index for index, piece in enumerate(self.pieces) if not piece.there)

    def add(self, index: int, job: Job, result: Any) -> None:
        """A piece is done, and its file is there.

        Raises:
            EngineError: the file is not to be seen from here.
        """
        piece = self.pieces[index]
        if not piece.file.exists():
            raise EngineError(f"{piece.file}: not to be seen here; --out must be a folder that all workers share")
        self.done += 1
        self.say(f"{self.done} of {len(self.pieces)}: {piece.title}")

    def carry_out(self, engine: Engine, out: Path, patient: bool = False) -> None:
        """Do what is not done, a bar on the terminal meanwhile; see `swarm_env.engine.run.carry_out`."""
        with progress(self.job_kind, len(self.pieces), quiet=not sys.stderr.isatty()) as update:
            carry_out(self, self, len(self), engine, update, out, patient)

    def sync(self) -> None:
        """Files are safe as they are written."""

    def failed(self, index: int) -> None:
        """A piece could not be done."""
        self.done += 1
        self.say(f"{self.done} of {len(self.pieces)}: {self.pieces[index].title} FAILED")
