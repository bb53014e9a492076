"""What `swarm sweep` does and prints."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from swarm_env.engine.options import engine_of
from swarm_env.engine.store import require_fresh
from swarm_env.evaluation.screen import output, progress
from swarm_env.sweep.grid import parse_grid
from swarm_env.sweep.heatmap import check_format, draw
from swarm_env.sweep.plan import KIND, METRICS, REFERENCE, Found, Sweep, folder_for

RUNS = Path("runs")  #: where results go unless --out says otherwise
LEGEND = (
    "mean over seeds; * differs from the scenario as it is: p of the sign-flip test, Holm-corrected over cells, <= .05"
)
SHOWN = 60  #: cells printed; results.json and runs.csv have all


def main(arguments: argparse.Namespace) -> int:
    """`swarm sweep`; returns the exit code."""
    engine = engine_of(arguments)
    axes, suffix = parse_grid(arguments.grid), check_format(arguments.format)
    metrics = METRICS if arguments.metrics is None else [name for name in arguments.metrics.split(",") if name]
    sweep = Sweep(arguments.scenario, axes, arguments.seeds, arguments.episodes, metrics, arguments.set)
    out = Path(arguments.out) if arguments.out else folder_for(sweep, RUNS)
    require_fresh(out, arguments.resume, KIND)
    with progress("sweeping", sweep.paired.num_units, arguments.quiet) as update:
        found = sweep.run(out, update, engine)
    table = _table(sweep, found)
    console = output(arguments.quiet, max(160, sum(len(str(column.header)) + 2 for column in table.columns)))
    console.print(table)
    console.print(LEGEND, style="dim", highlight=False, soft_wrap=not console.is_terminal)
    files = list(found.files)
    try:
        files += draw(sweep, found, out, suffix)
    except ImportError as error:
        console.print(f"no pictures: {error}", highlight=False, soft_wrap=True, markup=False)
    for path in files:
        console.print(f"wrote {path}", highlight=False, soft_wrap=True)
    return 0


def _table(sweep: Sweep, found: Found) -> Table:
    settings = found.document["settings"]
    title = (
        f"{settings['scenario']}: {len(sweep.settings)} cells, {settings['seeds']} seeds of {settings['episodes']} "
        "episodes"
    )
    last = [axis.key.rpartition(".")[2] for axis in sweep.axes]
    keys_shown = last if len(set(last)) == len(last) else [axis.key for axis in sweep.axes]
    table = Table(title=title, title_justify="left", title_style="bold", box=None, header_style="dim", padding=(0, 1))
    for name in (*keys_shown, *sweep.metrics):
        table.add_column(escape(name), justify="right")
    for cell in list(sweep.cells)[: SHOWN + 1]:
        keys = [escape(str(sweep.settings[cell][axis.key])) for axis in sweep.axes] if cell != REFERENCE else []
        keys = keys or ["as it is", *[""] * (len(sweep.axes) - 1)]
        table.add_row(*keys, *(_cell(found, cell, metric) for metric in sweep.metrics))
    if len(sweep.cells) > SHOWN + 1:
        table.add_row(f"... {len(sweep.cells) - SHOWN - 1} more")
    return table


def _cell(found: Found, cell: str, metric: str) -> str:
    mean = found.row("summary", cell, metric)["mean"]
    if mean != mean:
        return "-"
    differs = cell != REFERENCE and _differs(found, cell, metric)
    return f"{mean:.{1 if abs(mean) >= 100 else 3}f}" + ("*" if differs else " ")


def _differs(found: Found, cell: str, metric: str) -> bool:
    try:
        return bool(found.row("comparisons", cell, metric)["p_holm"] <= 0.05)
    except KeyError:
        return False
