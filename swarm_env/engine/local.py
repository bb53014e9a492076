"""The local engine: processes of this machine, one compute thread each, started fresh (spawn) and fed through pipes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from swarm_env.engine.fingerprint import introduce
from swarm_env.engine.job import KINDS, EngineError, Job, warm_up
from swarm_env.engine.pool import DIED, DONE, READY, Event
from swarm_env.engine.worker import THREADS, Outcome, compute, died, settle

STILLBORN = 3  #: workers in a row that end before they are ready: then something is wrong with all of them


def _serve(pipe: Connection, kind: str) -> None:
    """The life of a worker."""
    settle()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver ends its workers itself
    threading.Thread(target=_end_with_the_driver, daemon=True).start()
    try:
        warm_up(kind)
        pipe.send(introduce(KINDS[kind].packages))
        while True:
            pipe.send(compute(pipe.recv()))
    except (EOFError, BrokenPipeError, ConnectionResetError):  # the driver has gone
        os._exit(0)


def _end_with_the_driver() -> None:
    """A driver that is killed takes its workers along: what they write would be in the way of the next driver."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(0)


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Variables that libraries read when they load, for processes started meanwhile."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(THREADS)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class LocalPool:
    """Workers of this machine, by number; see `Pool`."""

    def __init__(self, size: int, kind: str) -> None:
        self.kind, self._number, self._stillborn = kind, 0, 0
        self._workers: dict[int, tuple[BaseProcess, Connection]] = {}
        self._ready: set[int] = set()
        for _ in range(size):
            self._start()

    def _start(self) -> None:
        ours, theirs = get_context("spawn").Pipe()
        process = get_context("spawn").Process(target=_serve, args=(theirs, self.kind), name="swarm worker")
        with _single_threaded():
            process.start()
        theirs.close()
        self._workers[self._number] = process, ours
        self._number += 1

    @property
    def width(self) -> int:
        """Workers, those that are starting included."""
        return len(self._workers)

    def submit(self, worker: int, jobs: Sequence[Job]) -> None:
        """Give a ready worker a group; one that has died in the meantime says so by an event."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self._workers[worker][1].send(list(jobs))

    def wait(self, timeout: float) -> list[Event]:
        """What has happened, or happens within so many seconds."""
        pipes = {pipe: number for number, (_, pipe) in self._workers.items()}
        found = []
        for pipe in wait(list(pipes), timeout):
            number = pipes[pipe]  # type: ignore[index]
            try:
                said: Any = pipe.recv()  # type: ignore[union-attr, call-arg]
            except (EOFError, OSError):
                found.append(Event(DIED, number, self._bury(number)))
                self._start()
            else:
                found.append(Event(DONE if isinstance(said, Outcome) else READY, number, said))
                self._ready.add(number)
                self._stillborn = 0
        return found

    def kill(self, worker: int) -> None:
        """End a worker at once and start another in its place."""
        self._workers[worker][0].kill()
        self._ready.add(worker)  # it was: not stillborn
        self._bury(worker)
        self._start()

    def _bury(self, number: int) -> str:
        process, pipe = self._workers.pop(number)
        pipe.close()
        process.join()
        if number not in self._ready:
            self._stillborn += 1
            if self._stillborn == STILLBORN:
                raise EngineError(f"no worker can be started: {died(process.exitcode)} before it was ready")
        return died(process.exitcode)

    def close(self) -> None:
        """End all workers."""
        for process, _ in self._workers.values():
            process.kill()
        for process, pipe in self._workers.values():
            process.join()
            pipe.close()
        self._workers.clear()
