"""What `swarm run` and `swarm list` print."""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Iterable, Sequence
from types import ModuleType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from swarm_env.catalog import load_scenario, shipped
from swarm_env.core.archetypes import ARCHETYPES
from swarm_env.core.compiled import is_warm
from swarm_env.core.features import FEATURES
from swarm_env.core.governance import LEVERS
from swarm_env.core.section import Section
from swarm_env.metrics import METRICS
from swarm_env.recording import output_paths
from swarm_env.scenario import Scenario
from swarm_env.simulate import RunResult, run_seeds
from swarm_env.tally import Row

#: Columns of the epoch table, and of the table by seed: heading, metric, decimals. They fit in 80 characters.
EPOCH_COLUMNS: tuple[tuple[str, str, int], ...] = (
    ("n", "total_interactions", 0), ("accepted", "acceptance_rate", 3), ("toxicity", "toxicity_rate", 3),
    ("gap", "quality_gap", 3), ("spread", "spread", 3), ("welfare", "total_welfare", 2),
    ("social", "net_social_welfare", 2), ("frozen", "n_frozen", 0), ("quar.", "n_quarantined", 0),
)  # fmt: skip
LEGEND = "gap: quality_gap, social: net_social_welfare, quar.: quarantined; - is undefined and counts nowhere"


def run(arguments: argparse.Namespace) -> int:
    """`swarm run`."""
    overrides = list(arguments.set)
    if arguments.epochs is not None:
        overrides.append(f"simulation.n_epochs={arguments.epochs}")
    scenario = load_scenario(arguments.scenario, overrides)
    first = scenario.simulation.seed if arguments.seed is None else arguments.seed
    count = 1 if arguments.seeds is None else arguments.seeds
    if count < 1:
        raise ValueError(f"--seeds must be at least 1, got {count}")
    seeds = range(first, first + count)
    console, errors = _console(arguments.quiet), Console(stderr=True, quiet=arguments.quiet)
    _print_header(console, scenario, seeds)
    results = _play(errors, scenario, seeds, arguments.out)
    if count == 1:
        console.print(_epoch_table(results[0]))
    else:
        console.print(_seed_table(results))
    console.print(LEGEND, style="dim", highlight=False, soft_wrap=True)
    _print_verdicts(console, results)
    for path in output_paths(scenario, arguments.out):
        console.print(f"wrote {path}", highlight=False, soft_wrap=True)
    return 1 if arguments.check and not all(result.passed for result in results) else 0


def _console(quiet: bool = False) -> Console:
    """Standard output; wide when it is no terminal, so that what a file gets is not folded at 80 characters."""
    console = Console(quiet=quiet)
    return console if console.is_terminal else Console(quiet=quiet, width=160)


def _print_header(console: Console, scenario: Scenario, seeds: range) -> None:
    groups = ", ".join(f"{group.label} {group.count}" for group in scenario.agents)
    spread = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]}..{seeds[-1]}"
    console.print(f"[bold]{scenario.scenario_id}[/bold]  {escape(scenario.description)}", highlight=False)
    simulation = scenario.simulation
    console.print(
        f"{groups}; {simulation.n_epochs} epochs of {simulation.steps_per_epoch} steps, {spread}",
        highlight=False,
    )


def _play(console: Console, scenario: Scenario, seeds: Sequence[int], out: str) -> list[RunResult]:
    if not is_warm():
        console.print("compiling the market's rules for this machine: once, less than a minute", highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("epochs", total=len(seeds) * scenario.simulation.n_epochs)
        return run_seeds(scenario, seeds, out, lambda seed, played, row: bar.advance(task))


def _text(value: float, decimals: int = 4) -> str:
    """A cell; undefined is a dash, never 0."""
    return "-" if math.isnan(value) else f"{value:.{decimals}f}"


def _cells(values: Sequence[float], whole: bool = True) -> list[str]:
    """The cells of EPOCH_COLUMNS; counts have decimals only in means."""
    return [_text(v, d if d or whole else 1) for v, (_, _, d) in zip(values, EPOCH_COLUMNS, strict=True)]


def _metrics_table(first: str) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 1))
    for title in (first, *(title for title, _, _ in EPOCH_COLUMNS)):
        table.add_column(title, justify="right", no_wrap=True)
    return table


def _values(row: Row) -> list[float]:
    return [row[name] for _, name, _ in EPOCH_COLUMNS]


def _epoch_table(result: RunResult) -> Table:
    table = _metrics_table("epoch")
    for epoch, row in enumerate(result.epochs):
        table.add_row(str(epoch), *_cells(_values(row)))
    table.add_section()
    table.add_row("run", *_cells(_values(result.metrics)), style="bold")
    return table


def _seed_table(results: list[RunResult]) -> Table:
    """One row a seed, over the whole run; below, mean and sample sd over seeds."""
    table = _metrics_table("seed")
    for result in results:
        table.add_row(str(result.seed), *_cells(_values(result.metrics)))
    columns = list(zip(*(_values(result.metrics) for result in results), strict=True))
    defined = [[v for v in column if not math.isnan(v)] for column in columns]
    means = [statistics.fmean(values) if values else math.nan for values in defined]
    deviations = [statistics.stdev(values) if len(values) > 1 else math.nan for values in defined]
    table.add_section()
    table.add_row("mean", *_cells(means, whole=False), style="bold")
    table.add_row("sd", *_cells(deviations, whole=False), style="bold")
    return table


def _print_verdicts(console: Console, results: list[RunResult]) -> None:
    """PASS or FAIL by criterion; over several seeds, how many pass."""
    for position, verdict in enumerate(results[0].verdicts):
        across = [result.verdicts[position] for result in results]
        passed = sum(v.passed for v in across)
        word = "[green]PASS[/green]" if passed == len(across) else "[red]FAIL[/red]"
        value = _text(verdict.value) if len(across) == 1 else f"{passed} of {len(across)} seeds"
        console.print(f"{word}  {verdict.name} {_text(verdict.bound)}: {verdict.meaning}: {value}", highlight=False)


def show_lists(topics: Iterable[str]) -> None:
    """`swarm list`."""
    console = _console()
    tables = {
        "scenarios": _scenario_table, "levers": _lever_table, "archetypes": _archetype_table,
        "metrics": _metric_table, "features": _feature_table,
    }  # fmt: skip
    for topic in topics:
        console.print(tables[topic]())


def _listing(title: str, *columns: str) -> Table:
    return Table(*columns, title=title, title_justify="left", title_style="bold", box=None, header_style="dim")


def _scenario_table() -> Table:
    table = _listing("scenarios", "id", "agents", "steps", "description")
    for name, path in shipped().items():
        scenario = load_scenario(path)
        table.add_row(name, str(scenario.num_agents), str(scenario.num_steps), escape(scenario.description))
    return table


def _settings(config: type[Section]) -> list[tuple[str, str, str]]:
    """(key, default, meaning) of every field of a section."""
    fields = config.model_fields.items()
    return [(name, str(field.default), escape(field.description or "")) for name, field in fields]


def _first_line(module: ModuleType) -> str:
    return (module.__doc__ or "").strip().splitlines()[0]


def _with_settings(table: Table, registry: dict[str, ModuleType]) -> Table:
    """A registry of modules: each with its settings below it."""
    for name, module in registry.items():
        table.add_row(f"[bold]{name}[/bold]", "", "", escape(_first_line(module)))
        for row in _settings(module.Config):
            table.add_row("", *row)
    return table


def _lever_table() -> Table:
    table = _listing("levers, in the order in which they act", "lever", "key under governance:", "default", "meaning")
    return _with_settings(table, LEVERS)


def _archetype_table() -> Table:
    return _with_settings(_listing("archetypes", "type", "key under config:", "default", "meaning"), ARCHETYPES)


def _metric_table() -> Table:
    table = _listing("metrics", "name", "better", "meaning")
    for name, metric in METRICS.items():
        table.add_row(name, metric.better or "", escape(metric.description))
    return table


def _feature_table() -> Table:
    table = _listing("features: all that is ever seen", "scope", "feature", "range", "meaning")
    for scope, features in FEATURES.items():
        for name, feature in features.items():
            table.add_row(scope, name, f"{feature.low:g}..{feature.high:g}", escape(feature.description))
    return table
