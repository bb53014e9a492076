"""A sweep as pictures: one axis as a line with its band, two as a heat map, more as a heat map of every two of them.

Colours are viridis, which keeps its order in grey and for the colour-blind (Nuñez, Anderton and Renslow 2018, doi
10.1371/journal.pone.0199239, on its like); cells are also labelled where they are few. Undefined cells are hatched.
"""

from __future__ import annotations

import math
import os
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swarm_env.evaluation.store import EvaluationError
from swarm_env.render import load_matplotlib
from swarm_env.sweep.grid import Axis, Value
from swarm_env.sweep.plan import REFERENCE, Found, Sweep, setting_text

COLORS = "viridis"
BLUE, ORANGE = "#0072B2", "#D55E00"  # Okabe and Ito
LABELLED = 15  #: values of an axis up to which the cells carry their numbers
FORMATS = ("png", "svg", "pdf")


def check_format(suffix: str) -> str:
    """The suffix, if it can be drawn; EvaluationError if not."""
    if suffix.lower() not in FORMATS:
        raise EvaluationError(f"format: {suffix!r} is not known; allowed: {', '.join(FORMATS)}")
    return suffix.lower()


def draw(sweep: Sweep, found: Found, folder: Path, suffix: str = "png") -> list[Path]:
    """A picture for each metric, named after it; each whole or not at all.

    Raises:
        ImportError: matplotlib is missing. EvaluationError: it cannot be written.
    """
    load_matplotlib()
    written = []
    for metric in sweep.metrics:
        path = folder / f"{metric}.{suffix}"
        _save(_figure(sweep, found, metric), path)
        written.append(path)
    return written


def _save(figure: Any, path: Path) -> None:
    matplotlib = load_matplotlib()
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    same = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(path.suffix[1:], {})  # equal sweeps, equal bytes
    try:
        with matplotlib.rc_context({"svg.hashsalt": "swarm"}):
            figure.savefig(temporary, metadata=same)
        os.replace(temporary, path)
    except OSError as error:
        raise EvaluationError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        temporary.unlink(missing_ok=True)


def table(sweep: Sweep, found: Found, metric: str, column: str) -> NDArray[np.float64]:
    """A column of the summary over the grid, an axis for each of the grid's."""
    rows = {row["cell"]: row[column] for row in found.document["summary"] if row["metric"] == metric}
    shape = [len(axis.values) for axis in sweep.axes]
    return np.array([rows[cell] for cell in sweep.settings], dtype=np.float64).reshape(shape)


def _figure(sweep: Sweep, found: Found, metric: str) -> Any:
    matplotlib = load_matplotlib()
    grid = table(sweep, found, metric, "mean")
    wide = [k for k, axis in enumerate(sweep.axes) if len(axis.values) > 1] or [0]
    pairs = list(combinations(wide, 2))
    columns = min(2, max(1, len(pairs)))
    rows = max(1, -(-len(pairs) // columns))
    figure = matplotlib.figure.Figure((6.4 * columns, 4.6 * rows), dpi=120, layout="constrained", facecolor="white")
    settings = found.document["settings"]
    reference = found.row("summary", REFERENCE, metric)["mean"]
    figure.suptitle(
        f"{metric}: {settings['scenario']}, {settings['seeds']} seeds of {settings['episodes']} episodes; as it is "
        f"{_number(reference)}", fontsize=9,
    )  # fmt: skip
    if not pairs:
        flat = [table(sweep, found, metric, column).reshape(-1) for column in ("mean", "low", "high")]
        _line(figure.add_subplot(), sweep.axes[wide[0]], metric, flat, reference)
    for place, (down, across) in enumerate(pairs, 1):
        panel = _over_the_rest(grid, down, across)
        rest = [sweep.axes[k].key for k in wide if k not in (down, across)]
        _map(figure, figure.add_subplot(rows, columns, place), sweep.axes[down], sweep.axes[across], panel, rest)
    return figure


def _over_the_rest(grid: NDArray[np.float64], down: int, across: int) -> NDArray[np.float64]:
    """(values down, values across): the mean over all other axes, of what is defined."""
    moved = np.moveaxis(grid, (down, across), (0, 1))
    moved = moved.reshape(*moved.shape[:2], -1)
    defined = ~np.isnan(moved)
    counts = defined.sum(axis=2)
    with np.errstate(invalid="ignore"):
        mean: NDArray[np.float64] = np.where(defined, moved, 0.0).sum(axis=2) / np.where(counts, counts, np.nan)
    return mean


def _line(axes: Any, axis: Axis, metric: str, flat: list[NDArray[np.float64]], reference: float) -> None:
    """Mean with its interval; values that are no numbers stand side by side."""
    mean, low, high = flat
    x: Any = np.array(axis.values, dtype=float) if axis.numeric else np.arange(len(axis.values))
    order = np.argsort(x)
    axes.fill_between(x[order], low[order], high[order], color=BLUE, alpha=0.2, linewidth=0, label="95 % interval")
    axes.plot(x[order], mean[order], color=BLUE, marker="o", markersize=3.5, linewidth=1.5, label="mean over seeds")
    if not math.isnan(reference):
        axes.axhline(reference, color=ORANGE, linestyle="--", linewidth=1.2, label="scenario as it is")
    if not axis.numeric:
        axes.set_xticks(x, [_label(value) for value in axis.values])
    if np.isnan(mean).all():
        axes.text(0.5, 0.5, "undefined in every cell", transform=axes.transAxes, ha="center", va="center")
    axes.set_xlabel(axis.key, fontsize=8)
    axes.set_ylabel(metric, fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, frameon=False)


def _map(figure: Any, axes: Any, down: Axis, across: Axis, panel: NDArray[np.float64], rest: list[str]) -> None:
    """Cells of equal size, the first value of the vertical axis at the bottom."""
    axes.set_facecolor("#dddddd")
    image = axes.imshow(np.ma.masked_invalid(panel), cmap=COLORS, origin="lower", aspect="auto")
    axes.set_xticks(range(len(across.values)), [_label(value) for value in across.values], rotation=45, ha="right")
    axes.set_yticks(range(len(down.values)), [_label(value) for value in down.values])
    axes.tick_params(labelsize=7)
    axes.set_xlabel(across.key, fontsize=8)
    axes.set_ylabel(down.key, fontsize=8)
    if rest:
        axes.set_title(f"mean over {', '.join(rest)}", fontsize=8)
    bar = figure.colorbar(image, ax=axes)
    bar.ax.tick_params(labelsize=7)
    middle = float(np.nanmin(panel) + np.nanmax(panel)) / 2 if not np.isnan(panel).all() else 0.0
    few = max(panel.shape) <= LABELLED
    for (y, x), value in np.ndenumerate(panel):
        if math.isnan(value):
            axes.add_patch(_hatched(x, y))
        elif few:
            ink = "white" if value < middle else "black"  # viridis is dark where it is low
            axes.text(x, y, _number(float(value)), ha="center", va="center", fontsize=6, color=ink)


def _hatched(x: int, y: int) -> Any:
    import matplotlib.patches

    return matplotlib.patches.Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, hatch="////", edgecolor="#888888")


def _label(value: Value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else setting_text(value)


def _number(value: float) -> str:
    if math.isnan(value):
        return "undefined"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
