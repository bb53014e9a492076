"""What `swarm evaluate` does and prints."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from rich.table import Table

from swarm_env.engine.options import engine_of
from swarm_env.evaluation.govern import OVERSIGHT
from swarm_env.evaluation.measure import BACKGROUND
from swarm_env.evaluation.plan import FIRST_SEED, Plan
from swarm_env.evaluation.screen import output, progress

RUNS = Path("runs")  #: where results go unless --out says otherwise
LEGEND = (
    "focal_return: mean return of the policy's seats; [95 % bootstrap interval over seeds]; IQM: interquartile mean; "
    "d_z: paired effect size; p: sign-flip test, Holm-corrected; - is undefined"
)


def main(arguments: argparse.Namespace) -> int:
    """`swarm evaluate`; returns the exit code."""
    engine = engine_of(arguments)
    plan = Plan(
        arguments.policy, arguments.scenario, arguments.episodes, arguments.seeds, arguments.seats or "honest_*",
        arguments.mode, arguments.baseline, arguments.metrics.split(",") if arguments.metrics else None,
        arguments.set, FIRST_SEED if arguments.first_seed is None else arguments.first_seed, arguments.transfer,
    )  # fmt: skip
    out = Path(arguments.out) if arguments.out else RUNS / f"evaluate_{plan.settings_hash}"
    with progress("evaluating", plan.num_units, arguments.quiet) as update:
        found = plan.run(out, update, engine)
    console = output(arguments.quiet)
    for table in tables(found.results):
        console.print(table)
        console.print()
    console.print(LEGEND, style="dim", highlight=False, soft_wrap=not console.is_terminal)
    for path in found.files:
        console.print(f"wrote {path}", highlight=False, soft_wrap=True)
    return 0


def tables(results: dict[str, Any]) -> list[Table]:
    """For each scenario what the policies come to in the primary metrics, and how they differ from the baseline."""
    made = []
    for scenario in [each["scenario"] for each in results["scenarios"]]:
        made.append(_levels(results, scenario))
        if any(row["scenario"] == scenario for row in results["comparisons"]):
            made.append(_differences(results, scenario))
    return made


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, header_style="dim", padding=(0, 1))
    for k, column in enumerate(columns):
        table.add_column(column, justify="left" if k < 2 else "right", no_wrap=True)
    return table


def _levels(results: dict[str, Any], scenario: str) -> Table:
    settings, seats = results["settings"], results["seats"][scenario]
    title = (
        f"{scenario}: {settings['mode']} in {len(seats)} seats ({', '.join(seats[:4])}{', ...' * (len(seats) > 4)}), "
        f"{settings['seeds']} seeds of {settings['episodes']} episodes"
    )
    table = _table(title, "metric", "policy", "mean", "95 % interval", "sd", "IQM")
    rows = {(row["metric"], row["policy"]): row for row in results["summary"] if row["scenario"] == scenario}
    overseen = [name for (name, _), row in rows.items() if name in OVERSIGHT and row["n"]]
    shown = list(dict.fromkeys([*settings["primary"], BACKGROUND, *overseen]))
    for metric in shown:
        for k, policy in enumerate(results["policies"]):
            row = rows[metric, policy["name"]]
            cells = (_number(row["mean"]), _interval(row), _number(row["sd"]), _number(row["iqm"]))
            table.add_row("" if k else metric, policy["name"], *cells)
    return table


def _differences(results: dict[str, Any], scenario: str) -> Table:
    title = f"less {results['settings']['baseline']}, on the same seeds"
    table = _table(title, "metric", "policy", "difference", "95 % interval", "d_z", "p", "p Holm")
    rows = [row for row in results["comparisons"] if row["scenario"] == scenario and row["primary"]]
    previous = ""
    for row in sorted(rows, key=lambda row: results["settings"]["primary"].index(row["metric"])):
        cells = (_number(row["difference"]), _interval(row), _number(row["effect_size"], 2), _p(row["p"]))
        table.add_row("" if row["metric"] == previous else row["metric"], row["policy"], *cells, _p(row["p_holm"]))
        previous = row["metric"]
    return table


def _number(value: float, decimals: int | None = None) -> str:
    """Three decimals, one from a hundred on; undefined is a dash."""
    if math.isnan(value):
        return "-"
    places = (1 if abs(value) >= 100 else 3) if decimals is None else decimals
    return f"{value:.{places}f}"


def _p(value: float) -> str:
    return "-" if math.isnan(value) else "<.0001" if value < 1e-4 else f"{value:.4f}"


def _interval(row: dict[str, Any]) -> str:
    return "-" if math.isnan(row["low"]) else f"[{_number(row['low'])}, {_number(row['high'])}]"
