"""The engine's options on the command line: of `swarm sweep`, `evaluate`, `study`, `reproduce` and `train --seeds`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swarm_env.engine.run import Engine


def add_options(parser: argparse.ArgumentParser) -> None:
    """Let a command take them."""
    group = parser.add_argument_group("engine", "where the work runs; results are the same to the byte (docs/scale.md)")
    group.add_argument("--engine", default="local", metavar="NAME", help="local (default) or ray")
    group.add_argument("--address", metavar="ADDR", help="of a Ray cluster: HOST:PORT, ray://HOST:PORT or auto")
    group.add_argument("--workers", type=int, metavar="W", help="jobs at a time (default: one a core; 0: no workers)")
    group.add_argument("--job-timeout", type=float, metavar="SECONDS", help="that a job may take (default: no limit)")
    group.add_argument("--retries", type=int, default=2, metavar="N", help="of a job that failed (default: 2)")


def refuse_options(arguments: argparse.Namespace, needed: str) -> None:
    """ValueError if an engine was asked for where there is no work to share out."""
    asked = (arguments.address, arguments.workers, arguments.job_timeout)
    if arguments.engine != "local" or any(value is not None for value in asked):
        raise ValueError(f"the engine's options go with {needed}: one run is one job")


def engine_of(arguments: argparse.Namespace) -> Engine:
    """What was asked for; EngineError if that makes no sense."""
    from swarm_env.engine.run import Engine
    from swarm_env.engine.schedule import Limits

    limits = Limits(arguments.job_timeout, arguments.retries)
    return Engine(arguments.engine, arguments.address, arguments.workers, limits)
