"""An analysis as a picture: a panel for each metric, a line for each file."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from swarm_env.analysis.runs import Analysis, AnalysisError, listed, mean, sd
from swarm_env.render import load_matplotlib

# Okabe-Ito without its yellow, which is lost on white; dashes differ as well.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
DASHES = ("-", "--", "-.", ":")
UNITS = {
    r"gini|^cv_|^quality": "",
    "payoff_variance": " [payoff²]",
    "log_loss": " [nats]",
    r"welfare|payoff|cost|^spread$|conditional_loss": " [payoff]",
}


def target(path: Path) -> Path:
    """The plot's path, if matplotlib is here and can write there."""
    try:
        formats = load_matplotlib().backends.backend_agg.FigureCanvasAgg.get_supported_filetypes()
    except ImportError as error:
        raise AnalysisError(f"cannot plot to {path}: {error}") from error
    if path.suffix[1:].lower() not in formats:
        known = listed("." + suffix for suffix in sorted(formats))
        raise AnalysisError(f"cannot plot to {path}: suffix {path.suffix!r} is none of {known}")
    if not path.parent.is_dir():
        raise AnalysisError(f"cannot plot to {path}: there is no folder {path.parent}")
    if path.is_dir():
        raise AnalysisError(f"cannot plot to {path}: it is a directory")
    return path


def _panel(axes: Any, analysis: Analysis, metric: str) -> None:
    for i, (run, label) in enumerate(zip(analysis.runs, analysis.labels, strict=True)):
        line, band, color = mean(run.values[metric]), sd(run.values[metric]), COLORS[i % len(COLORS)]
        dot = float(np.clip(90 / len(line), 1, 3.5))  # an epoch between undefined ones has no line
        axes.plot(
            run.epochs,
            line,
            color=color,
            linestyle=DASHES[i % len(DASHES)],
            linewidth=1.5,
            marker="o",
            markersize=dot,
            label=label,
        )
        axes.fill_between(run.epochs, line - band, line + band, color=color, alpha=0.18, linewidth=0)
    if not any(np.isfinite(run.values[metric]).any() for run in analysis.runs):
        axes.text(0.5, 0.5, "undefined in every epoch", transform=axes.transAxes, ha="center", va="center")
    unit = next((unit for pattern, unit in UNITS.items() if re.search(pattern, metric)), "")
    axes.set_ylabel(metric + ("\n" * (len(metric) > 22) + unit).rstrip("\n"), fontsize=8)
    axes.set_xlabel("epoch", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.25)


def plot(analysis: Analysis, path: Path) -> None:
    """One panel a metric with all files; whole or not at all: written beside the target, then renamed."""
    columns = 1 if len(analysis.metrics) <= 3 else 2 if len(analysis.metrics) <= 8 else 3
    rows = -(-len(analysis.metrics) // columns)
    wide = max(map(len, analysis.labels)) > 40
    legend = 0.5 + 0.18 * len(analysis.runs) / (1 if wide else 2)  # inches, like size
    size = (7.5 if columns == 1 else 5.0 * columns, 2.4 * rows + legend)
    figure = load_matplotlib().figure.Figure(size, dpi=120, layout="constrained", facecolor="white")
    for i, metric in enumerate(analysis.metrics):
        _panel(figure.add_subplot(rows, columns, i + 1), analysis, metric)
    note = "mean over seeds, band: ± sd" if any(len(run.seeds) > 1 for run in analysis.runs) else None
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside upper center",
        ncols=1 if wide else 2,
        title=note,
        fontsize=8,
        title_fontsize=8,
        frameon=False,
    )
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        figure.savefig(temporary)
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        raise AnalysisError(f"cannot plot to {path}: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)
