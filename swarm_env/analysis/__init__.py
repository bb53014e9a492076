"""What `swarm analyze` does: read metrics CSVs, summarise metrics over epochs, set files side by side, plot."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from swarm_env.analysis.plot import plot as draw_plot
from swarm_env.analysis.plot import target as plot_target
from swarm_env.analysis.runs import Analysis, AnalysisError, Run, Summary, mean, read, sd
from swarm_env.analysis.text import render_text, sparkline

DEFAULT_METRICS = ("toxicity_rate", "quality_gap", "spread")


def analyze(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    metrics: str | Sequence[str] | None = None,
    plot: str | os.PathLike[str] | None = None,
) -> Analysis:
    """Read metrics CSVs and, with `plot`, draw them. Raises AnalysisError.

    metrics: names, or one text "a,b,c"; DEFAULT_METRICS if None. plot: file to write, its suffix a format.
    """
    files = [Path(path) for path in ([paths] if isinstance(paths, str | os.PathLike) else paths)]
    metrics = DEFAULT_METRICS if metrics is None else metrics
    names = metrics.split(",") if isinstance(metrics, str) else metrics
    chosen = tuple(dict.fromkeys(name.strip() for name in names if name.strip()))
    if not files:
        raise AnalysisError("no metrics file given")
    if not chosen:
        raise AnalysisError(f"no metric given: {metrics!r} names none")
    target = None if plot is None else plot_target(Path(plot))  # before reading, to fail at once
    analysis = Analysis(tuple(read(path, chosen) for path in files), chosen, target)
    if target is not None:
        draw_plot(analysis, target)
    return analysis


__all__ = [
    "DEFAULT_METRICS",
    "Analysis",
    "AnalysisError",
    "Run",
    "Summary",
    "analyze",
    "mean",
    "render_text",
    "sd",
    "sparkline",
]
