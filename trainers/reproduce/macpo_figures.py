"""Figures of the MACPO study: students and teachers by round, with 95 % bootstrap intervals over seeds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from swarm_env import statistics

if TYPE_CHECKING:
    from trainers.reproduce.macpo import Found

#: Okabe and Ito's colours, which colour-blind readers can tell apart.
COLORS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#D55E00", "#0072B2", "#CC79A7")
MARKERS = "osD^vPX"


def draw(found: Found, folder: Path) -> list[Path]:
    """Write macpo_rounds.png into a folder."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("the figures need matplotlib: pip install 'swarm-env[plot]'") from error
    figure = Figure(figsize=(11.0, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = {
        "student, three rounds": ("published", "majority", "K = 1", "no mutual positives", "no hard negatives",
                                  "frozen teachers"),
        "student, six rounds": ("published, long", "majority, long", "majority, frozen teachers",
                                "majority, smaller steps", "majority, replay", "majority, fresh contexts"),
    }  # fmt: skip
    axes = figure.subplots(1, 3, sharey=True)
    for ax, (title, names) in zip(axes, panels.items(), strict=False):
        for k, name in enumerate(names):
            _line(ax, found.rounds(name, "student/accuracy"), name, k)
        _dress(ax, title)
    for k, name in enumerate(("published", "majority")):
        _line(axes[2], found.teachers(name), f"teachers' mean, {name}", k)
        _line(axes[2], found.rounds(name, "majority/accuracy"), f"their majority, {name}", k + 2)
    _dress(axes[2], "teachers, three rounds")
    top = np.nanmean(np.array(found.policy("published", "ceiling", "accuracy"), dtype=float))
    for ax in axes:
        ax.axhline(100 * top, color="#777777", linewidth=1, linestyle=":")
        ax.annotate("ceiling", (0, 100 * top), fontsize=7, color="#555555", va="bottom")
    axes[0].set_ylabel("accuracy on held-out proposals, %")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "macpo_rounds.png"
    figure.savefig(path, dpi=110)
    return [path]


def _line(ax: Any, values: Any, label: str, k: int) -> None:
    """Means over seeds of (seeds, T + 1), and their intervals as a band."""
    spread = [statistics.spread([100 * values[:, t]]) for t in range(values.shape[1])]
    x = np.arange(values.shape[1])
    ax.plot(x, [one.mean for one in spread], color=COLORS[k], marker=MARKERS[k], markersize=4, label=label)
    ax.fill_between(
        x, [one.low for one in spread], [one.high for one in spread], color=COLORS[k], alpha=0.12, linewidth=0
    )


def _dress(ax: Any, title: str) -> None:
    ax.set_title(title, fontsize=9)
    ax.set_xlabel("round")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.grid(alpha=0.3)
    ax.legend(fontsize=6.5, loc="lower right")
