"""The Ray engine: one actor a core of a cluster, one compute thread each.

Actors and not tasks, so that the driver knows when a job has started and can end just that one; retries are the
scheduler's, as on one machine. Every node is asked what it has before any job starts, and every actor as it starts:
nodes that join later are used, and held to the same.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

from swarm_env.engine import fingerprint
from swarm_env.engine.job import KINDS, EngineError, Job, warm_up
from swarm_env.engine.pool import DIED, DONE, READY, Event
from swarm_env.engine.worker import compute, settle

ANSWER = 10.0  #: seconds that an address has to take a connection
START = 120.0  #: seconds that a node has to start a first process and say what it has
STILLBORN = 3  #: actors in a row that end before they are ready: then something is wrong with all of them
LOOK = 10.0  #: seconds between two looks at whether the cluster has grown
CORES = "CPU"


def load_ray() -> ModuleType:
    """The package `ray`; ImportError says how to install it."""
    try:
        return import_module("ray")
    except ImportError as error:
        raise ImportError("--engine ray needs ray: pip install 'swarm-env[ray]'") from error


def connect(address: str | None) -> ModuleType:
    """Ray, connected to the cluster at an address; None: a cluster of its own on this machine.

    Raises:
        ImportError: Ray is not installed. EngineError: nobody answers there, or somebody of another Ray or Python.
    """
    ray = load_ray()
    if ray.is_initialized():
        return ray
    options: dict[str, Any] = {"log_to_driver": False, "configure_logging": True, "logging_level": "error"}
    if address is None:
        options |= {"include_dashboard": False, "object_store_memory": 100 * 2**20}
    elif address != "auto":
        _reach(address)
    try:
        ray.init(address=address or "local", **options)
    except Exception as error:  # ConnectionError, RuntimeError of other versions, and what Ray's client raises
        said = " ".join(str(error).split())[:300]
        raise EngineError(
            f"--address {address or 'local'}: no Ray cluster to be used there: {said}{_token()}"
        ) from error
    return ray


def _token() -> str:
    """Ray's own error does not say when it is for want of a token."""
    if os.environ.get("RAY_AUTH_MODE"):
        return ""
    return (
        " (a cluster that asks for a token wants RAY_AUTH_MODE=token here, and the token in RAY_AUTH_TOKEN or its file)"
    )


def _reach(address: str) -> None:
    """Refuse an address that takes no connection; Ray itself would try for minutes, and end the process."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit() or not 0 < int(port) < 2**16:
        raise EngineError(f"--address {address!r}: must be HOST:PORT, ray://HOST:PORT or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER).close()
    except OSError as error:
        raise EngineError(f"--address {address}: nobody answers there ({error.strerror or error})") from error


class _Actor:
    """A worker; lives in a process of its own."""

    def introduce(self, kind: str) -> tuple[str, dict[str, str]]:
        settle()
        warm_up(kind)
        return fingerprint.introduce(KINDS[kind].packages)

    def compute(self, jobs: Sequence[Job]) -> Any:
        return compute(jobs)


class RayPool:
    """Actors of a cluster, by number; see `Pool`.

    Args:
        size: actors at most; None: one for each core that the cluster has, and more as it grows.

    Raises:
        EngineError: a node without the package, or with another version or other code than the driver's.
    """

    def __init__(self, ray: ModuleType, size: int | None, kind: str) -> None:
        self.ray, self.size, self.kind = ray, size, kind
        self._number, self._stillborn = 0, 0
        self._looked = time.monotonic()
        self._actors: dict[int, Any] = {}
        self._asked: dict[Any, tuple[int, str]] = {}  # reference -> worker, READY or DONE
        self._check_nodes()
        self._grow()

    def _check_nodes(self) -> None:
        """Ask each node what it has, before any job: by functions that travel whole, for it may have no swarm_env."""
        packages = KINDS[self.kind].packages
        cloudpickle = import_module("ray.cloudpickle")
        cloudpickle.register_pickle_by_value(fingerprint)
        try:
            ask = self.ray.remote(num_cpus=0, max_retries=0)(fingerprint.introduce)
            by_node = import_module("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy
            nodes = [node for node in self.ray.nodes() if node["Alive"]]
            asked = [
                ask.options(scheduling_strategy=by_node(node_id=node["NodeID"], soft=False)).remote(packages)
                for node in nodes
            ]
            ours = fingerprint.about(packages)
            for node, reference in zip(nodes, asked, strict=True):
                name = node["NodeManagerAddress"]
                try:
                    theirs = self.ray.get(reference, timeout=START)[1]
                except Exception as error:
                    said = " ".join(str(error).split())[:200]
                    raise EngineError(f"node {name} of the cluster starts no worker: {said}") from error
                differing = fingerprint.differences(ours, theirs)
                if differing:
                    raise EngineError(f"node {name} of the cluster does not match the driver: {differing}")
        finally:
            cloudpickle.unregister_pickle_by_value(fingerprint)

    def _grow(self) -> None:
        """As many actors as are wanted; those that the cluster has no room for start when it has."""
        size = self.size or max(1, int(self.ray.cluster_resources().get(CORES, 1)))
        while len(self._actors) < size:
            actor = self.ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(_Actor).remote()
            self._actors[self._number] = actor
            self._asked[actor.introduce.remote(self.kind)] = self._number, READY
            self._number += 1

    @property
    def width(self) -> int:
        """Workers, those that are starting included."""
        return len(self._actors)

    def submit(self, worker: int, jobs: Sequence[Job]) -> None:
        """Give a ready actor a group."""
        self._asked[self._actors[worker].compute.remote(list(jobs))] = worker, DONE

    def wait(self, timeout: float) -> list[Event]:
        """What has happened, or happens within so many seconds."""
        if self.size is None and time.monotonic() - self._looked >= LOOK:
            self._looked = time.monotonic()
            self._grow()
        references = list(self._asked)
        if not references:
            time.sleep(min(timeout, 0.1))
            return []
        ready, _ = self.ray.wait(references, num_returns=1, timeout=timeout)
        more, _ = self.ray.wait(references, num_returns=len(references), timeout=0)
        return [self._event(reference) for reference in dict.fromkeys([*ready, *more])]

    def _event(self, reference: Any) -> Event:
        worker, what = self._asked.pop(reference)
        try:
            said = self.ray.get(reference)
        except self.ray.exceptions.RayError as error:  # what a job raises is an Outcome: this is the actor's end
            said = " ".join(str(error).split())[:300]
            if what == READY:
                self._stillborn += 1
                if self._stillborn == STILLBORN:
                    raise EngineError(f"no worker can be started on the cluster: {said}") from error
            self._drop(worker)
            return Event(DIED, worker, f"its worker died: {said}")
        self._stillborn = 0
        return Event(what, worker, said)

    def _drop(self, worker: int) -> None:
        self._actors.pop(worker)
        self._grow()

    def kill(self, worker: int) -> None:
        """End an actor at once and start another in its place."""
        self.ray.kill(self._actors[worker], no_restart=True)
        self._asked = {ref: asked for ref, asked in self._asked.items() if asked[0] != worker}
        self._drop(worker)

    def close(self) -> None:
        """End all actors; the cluster stays, unless it is the driver's own."""
        for actor in self._actors.values():
            self.ray.kill(actor, no_restart=True)
        self._actors.clear()
        self._asked.clear()
