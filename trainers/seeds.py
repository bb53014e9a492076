"""`swarm train ALGORITHM --seeds N`: the same training over several seeds, a run folder each, by either engine."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from rich.console import Console

from swarm_env.engine.options import engine_of
from trainers.checkpoint import RunError
from trainers.command import RUNS
from trainers.reproduce.jobs import Job, run

MOST = 1_000


def main(arguments: argparse.Namespace) -> int:
    """Train with seeds first..first + N - 1; what is finished is kept. Returns the exit code."""
    if not 1 <= arguments.seeds <= MOST:
        raise RunError(f"--seeds {arguments.seeds} is out of range; allowed: 1..{MOST}")
    if arguments.resume is not None:
        raise RunError("--resume goes on with one run; with --seeds the same command goes on by itself")
    engine = engine_of(arguments)
    load_config = import_module(f"trainers.{arguments.algorithm}").load_config
    config = load_config(arguments.config, arguments.set)
    first = config.seed if arguments.seed is None else arguments.seed
    name = f"{arguments.algorithm}_{Path(config.scenario).stem}"
    out = Path(arguments.out) if arguments.out else RUNS / name
    file = None if arguments.config is None else str(Path(arguments.config).resolve())
    jobs = [Job(name, arguments.algorithm, tuple(arguments.set), first + k, file) for k in range(arguments.seeds)]
    console = Console(stderr=True, quiet=arguments.quiet)
    run(jobs, out, engine, lambda line: console.print(line, highlight=False, soft_wrap=True, markup=False))
    shown = Console(quiet=arguments.quiet)
    for job in jobs:
        shown.print(f"wrote {job.folder(out)}", highlight=False, soft_wrap=True, markup=False)
    return 0
