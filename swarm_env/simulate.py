"""Scripted runs: play a scenario's own population, write its log and its metrics, judge it by its criteria."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from swarm_env.catalog import Source, load_scenario
from swarm_env.compile import Compiled, compile_scenario
from swarm_env.criteria import Verdict, judge
from swarm_env.events import of_step, opening
from swarm_env.recording import Whole, metadata, output_paths, to_line, write_csv
from swarm_env.scenario import Scenario
from swarm_env.tally import Row, Tally

#: Called after every epoch with (seed, epochs played, the epoch's metrics).
Progress = Callable[[int, int, Row], None]


@dataclass(frozen=True)
class RunResult:
    """One scripted run."""

    scenario: Scenario
    seed: int
    metrics: Row  # over the whole run
    epochs: list[Row]  # one a epoch, by metric name
    verdicts: list[Verdict]  # on the scenario's success criteria
    tally: Tally = field(repr=False)  # interactions and counts behind the metrics

    @property
    def passed(self) -> bool:
        """Every criterion passed."""
        return all(verdict.passed for verdict in self.verdicts)


def run(
    scenario: Source,
    seed: int | None = None,
    out: str | os.PathLike[str] | None = "logs",
    progress: Progress | None = None,
) -> RunResult:
    """Play a scenario's scripted population for one episode.

    Args:
        scenario: a Scenario, a YAML file, a mapping, or the id of a shipped scenario.
        seed: of every draw, 0..2**63-1; None: the scenario's own.
        out: folder for ``<scenario_id>_events.jsonl`` and ``<scenario_id>_metrics.csv``; None writes nothing.
        progress: called after every epoch.

    Returns:
        Metrics over the run and by epoch, and the verdicts on the success criteria.

    Raises:
        ScenarioError: a scenario that does not load.
        RecordingError: a folder that cannot be written.
    """
    loaded = load_scenario(scenario)
    return run_seeds(loaded, [loaded.simulation.seed if seed is None else seed], out, progress)[0]


def run_seeds(
    scenario: Scenario,
    seeds: Sequence[int],
    out: str | os.PathLike[str] | None = "logs",
    progress: Progress | None = None,
) -> list[RunResult]:
    """Play it once for every seed, all into one log and one CSV; see `run`."""
    for seed in seeds:
        if not 0 <= seed < 2**63:
            raise ValueError(f"seed must be in 0..2**63-1, got {seed}")
    compiled = compile_scenario(scenario)
    if out is None:
        return [_play(compiled, seed, lambda line: None, progress) for seed in seeds]
    log, table = output_paths(scenario, out)
    with Whole(log) as file:
        results = [_play(compiled, seed, file.write, progress) for seed in seeds]
    _write_metrics(table, results)
    return results


def _write_metrics(path: Path, results: list[RunResult]) -> None:
    write_csv(
        path,
        (
            (result.scenario.scenario_id, result.seed, epoch, row)
            for result in results
            for epoch, row in enumerate(result.epochs)
        ),
    )


def _play(compiled: Compiled, seed: int, write: Callable[[str], object], progress: Progress | None) -> RunResult:
    scenario, tally = compiled.scenario, Tally()
    state, view = compiled.allocate(1, infos=False)
    state.rows["seed"] = seed
    compiled.reset(state, view, 0, 1)
    actions = np.zeros((1, 0, len(compiled.nvec)), dtype=np.int64)  # nobody to act for
    first = opening(scenario, seed)
    write(to_line(metadata(scenario, seed)))
    write(to_line(first))
    tally.add(first)
    for _ in range(scenario.num_steps):
        compiled.advance(state, view, actions, 0, 1)
        for event in of_step(compiled, state):
            write(to_line(event))
            row = tally.add(event)
            if row is not None and progress is not None:
                progress(seed, len(tally.rows), row)
    verdicts = judge(scenario, tally.rows, tally.containment())
    return RunResult(scenario, seed, tally.whole(), tally.rows, verdicts, tally)
