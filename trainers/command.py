"""What `swarm train <algorithm>` does for any of them: settings, folder, training, the table at the end."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from rich.console import Console
from rich.table import Table

from swarm_env.scenario.settings import Section
from trainers.checkpoint import RunError

C = TypeVar("C", bound=Section)
C_in = TypeVar("C_in", bound=Section, contravariant=True)
RUNS = Path("runs")  #: where runs go unless --out says otherwise

#: Columns of a table: heading, key of a policy's results, decimals.
Columns = Sequence[tuple[str, str, int]]


class Train(Protocol[C_in]):
    """A trainer's main function."""

    def __call__(self, config: C_in, folder: Path, *, resume: bool, quiet: bool) -> dict[str, Any]:
        """Train in a folder; returns what its evaluation.json holds."""
        ...


def run(
    arguments: argparse.Namespace,
    load_config: Callable[[str | os.PathLike[str] | None, Sequence[str]], C],
    train: Train[C],
    table: Callable[[dict[str, Any]], Table],
) -> int:
    """Run a trainer by the command line's arguments, show its results as a table; returns the exit code."""
    overrides = list(arguments.set)
    if arguments.seed is not None:
        overrides.append(f"seed={arguments.seed}")
    if arguments.resume is not None:
        folder = Path(arguments.resume)
        config = _resumed(arguments, folder, overrides, load_config)
    else:
        config = load_config(arguments.config, overrides)
        if not arguments.out and int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise RunError("several processes train one run: say where by --out")
        folder = Path(arguments.out) if arguments.out else _new_folder(arguments.algorithm, config)
    results = train(config, folder, resume=arguments.resume is not None, quiet=arguments.quiet)
    quiet = arguments.quiet or os.environ.get("RANK", "0") != "0"
    console = Console(quiet=quiet)
    if not console.is_terminal:
        console = Console(quiet=quiet, width=160)
    if results["policies"]:
        console.print(table(results))
    console.print(f"wrote {folder}", highlight=False, soft_wrap=True)
    return 0


def _resumed(arguments: argparse.Namespace, folder: Path, overrides: list[str], load_config: Callable[..., C]) -> C:
    """The configuration of the run in the folder; what else was asked for must agree with it."""
    if arguments.out is not None:
        raise RunError("--resume goes on in the run's own folder; leave --out away")
    used = folder / "config.yaml"
    if not used.exists():
        raise RunError(f"{folder}: holds no run (config.yaml is not there)")
    config = load_config(used, ())
    asked = load_config(arguments.config or used, overrides)
    names = [name for name in type(config).model_fields if getattr(config, name) != getattr(asked, name)]
    if names:
        pairs = ", ".join(f"{name} {getattr(config, name)}, not {getattr(asked, name)}" for name in names)
        raise RunError(f"{folder}: belongs to another configuration: {pairs}")
    return config


def _new_folder(algorithm: str, config: Any) -> Path:
    """runs/<algorithm>_<scenario or game>_seed<n>, numbered if that is taken."""
    base = f"{algorithm}_{Path(config.scenario if hasattr(config, 'scenario') else config.game).stem}_seed{config.seed}"
    names = (base if k == 1 else f"{base}_{k}" for k in range(1, 1_000_000))
    return next(RUNS / name for name in names if not (RUNS / name).exists())


def _cell(value: Any, decimals: int) -> str:
    """A mean with its interval, or a number; undefined is a dash."""
    if value is None or (isinstance(value, list) and value[0] is None):
        return "-"
    if isinstance(value, list):
        mean, low, high = (f"{x:.{decimals}f}" for x in value)
        return f"{mean} [{low}, {high}]" if decimals == 1 else mean
    return f"{value:.{decimals}f}"


def table_of(results: dict[str, Any], title: str, columns: Columns) -> Table:
    """A row for each of results["policies"]."""
    table = Table(title=title, title_justify="left", box=None, header_style="bold", padding=(0, 1))
    table.add_column("policy")
    for heading, _, _ in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in results["policies"]:
        table.add_row(row["policy"], *(_cell(row.get(key), decimals) for _, key, decimals in columns))
    return table
