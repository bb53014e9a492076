"""The market as a picture: agents on a circle, dealings as arrows, a key; for "rgb_array" and "human"."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swarm_env.render.backend import load_matplotlib
from swarm_env.render.snapshot import Floats, Snapshot, number

MAX_LABELS = 24  # agents that draw_rgb names
MAX_CIRCLE = 64  # agents on one circle; more would touch, and take several lanes
MAX_CONTACTS = 5000  # faint contact lines; more would only be grey and slow
# Okabe-Ito colours; the shapes differ too, so that a grey print still tells archetypes apart.
STYLES = {
    "honest": ("o", "#0072B2"),
    "opportunistic": ("s", "#E69F00"),
    "deceptive": ("^", "#CC79A7"),
    "adversarial": ("D", "#D55E00"),
    "cautious": ("p", "#009E73"),
    "adaptive_adversary": ("*", "black"),
}
SPARE = [("h", "#56B4E9"), ("v", "#F0E442"), ("P", "#999999"), ("8", "#7B5EA7"), ("X", "#8C6D31")]
SCALE = {"D": 0.75, "s": 0.88, "^": 1.1, "*": 1.4}  # side per diameter, for markers of equal weight
P_STOPS = ("#C44601", "#E8924A", "#9A9A9A", "#4F9BD0", "#005A96")  # p from 0 to 1: vermilion - grey - blue
ICE, FROST, RED, INK, FAINT = "#56B4E9", "#0A6EBD", "#C00000", "#222222", "#999999"
DASHES: dict[str, Any] = {"accepted": "solid", "rejected": (0, (4, 2)), "expired": (0, (1, 1.6))}


def p_colors() -> Any:
    """Vermilion - grey - blue colour map: safe for the colour-blind, and p = .5 stays visible on white."""
    return load_matplotlib().colors.LinearSegmentedColormap.from_list("p", list(P_STOPS)).with_extremes(bad=INK)


def _styles(archetypes: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    styles = STYLES | dict(zip(sorted(set(archetypes) - set(STYLES)), cycle(SPARE), strict=False))
    return {name: styles[name] for name in dict.fromkeys(archetypes)}


def _layout(s: Snapshot, width: float, height: float, font: float) -> tuple[Floats, Floats, float]:
    """Positions (N, 2) around 0, marker radii (N,) and width of their rims; all lengths in points."""
    n, k = len(s.names), np.arange(len(s.names))
    label = max(len(name) for name in s.names) * 0.6 * font if n <= MAX_LABELS else 0.0
    reach = max(min(width / 2 - label - 36, height / 2 - 26 - 22 * (label > 0)), height / 5)
    lanes = 1 if n <= MAX_CIRCLE else round((0.1 * n) ** 0.5)  # as much room along a lane as across
    gap = 2 * np.pi * reach / n if lanes == 1 else 0.5 * reach / lanes
    slots = -(-n // lanes) * lanes  # full turns of the lanes, or first and last could meet
    angle, distance = np.pi / 2 - 2 * np.pi * k / slots, reach * (1 - 0.5 * (k % lanes) / lanes)
    wealth = np.sqrt(np.clip(np.nan_to_num(np.asarray(s.resources, float)) / 100, 0.15, 4))
    radius = min(11.0, 0.21 * gap) * wealth
    xy = distance[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return xy, radius, float(np.clip(radius.mean() / 4, 0.25, 2.6))


def _draw_deals(ax: Any, s: Snapshot, xy: Floats, edge: Floats) -> None:
    """Arrows bent to one side: a dealing, its answer and its repetition then do not hide each other."""

    def unit(vectors: Floats) -> Floats:
        return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9))

    seen, repeat = dict[tuple[int, int], int](), np.zeros((len(s.deals), 1))
    for i, deal in enumerate(s.deals):
        repeat[i] = seen[deal[:2]] = seen.get(deal[:2], -1) + 1
    a, b = (np.array([deal[i] for deal in s.deals], int) for i in (0, 1))
    size = float(np.clip(36 / max(len(a), 1) ** 0.5, 2.2, 9))
    bend = (xy[a] + xy[b]) / 2 + (xy[b] - xy[a])[:, ::-1] * (1, -1) * (0.14 + 0.1 * np.minimum(repeat, 6))
    start, tip = xy[a] + unit(bend - xy[a]) * edge[a, None], xy[b] + unit(bend - xy[b]) * edge[b, None]
    ahead = unit(tip - bend)
    base, across = tip - ahead * size, ahead[:, ::-1] * (-1, 1) * size * 0.42
    path, parts = load_matplotlib().path.Path, load_matplotlib().collections
    steps = [path.MOVETO, path.CURVE3, path.CURVE3]
    curves = [path(points, steps) for points in np.stack([start, bend, base], axis=1)]
    colors = p_colors()(np.ma.masked_invalid(np.array([deal.p for deal in s.deals])))
    ax.add_collection(
        parts.PathCollection(
            curves,
            facecolors="none",
            edgecolors=colors,
            linewidths=size / 4.5,
            zorder=2,
            linestyles=[DASHES[deal.status] for deal in s.deals] or "solid",
        ),
        autolim=False,
    )
    hollow = np.array([not deal.accepted for deal in s.deals], bool)[:, None]  # nothing came of it
    ax.add_collection(
        parts.PolyCollection(
            list(np.stack([tip, base + across, base - across], axis=1)),
            facecolors=np.where(hollow, 1.0, colors),
            edgecolors=colors,
            linewidths=size / 9,
            zorder=5,
        ),
        autolim=False,
    )


def _draw_agents(ax: Any, s: Snapshot, xy: Floats, radius: Floats, rim: float) -> None:
    def put(of: NDArray[np.bool_], size: Floats, **style: Any) -> None:
        ax.scatter(*xy[of].T, s=size[of] ** 2, **style)

    many, q, f = len(s.names) > MAX_CIRCLE, np.asarray(s.quarantined, bool), np.asarray(s.frozen, bool)
    rims = load_matplotlib().colormaps["viridis"](np.clip(np.nan_to_num(s.reputation), -1, 1) / 2 + 0.5)
    for name, (marker, color) in _styles(s.archetypes).items():
        of = np.array(s.archetypes) == name
        put(
            of,
            2 * radius * SCALE.get(marker, 1.0),
            c=color,
            marker=marker,
            edgecolors=rims[of],
            linewidths=rim,
            zorder=4,
        )
    put(
        q,
        2 * radius + 7 * rim,
        facecolors=RED if many else "white",
        edgecolors=RED,
        zorder=3,
        linewidths=rim / 2,
        hatch=None if many else "x" * 7,
    )  # hatching a thousand takes a second
    put(f, 2 * radius + 3 * rim, facecolors="none", edgecolors=ICE, linewidths=rim, zorder=4.5)
    for color, times in (("white", 2.2), (FROST, 0.7)):
        badge = xy[f] + 0.75 * (radius[f, None] + 1.5 * rim)
        ax.scatter(*badge.T, s=20 * rim, c=color, marker=(6, 2, 0), linewidths=rim * times, zorder=4.6)


def _draw_names(ax: Any, s: Snapshot, xy: Floats, away: Floats, font: float) -> None:
    """Each name outside the circle, `away` (N,) points from the middle of its agent."""
    for name, at, distance in zip(s.names, xy, away, strict=True):
        x, y = at / np.linalg.norm(at)
        side = "center" if abs(x) < 0.1 else "left" if x > 0 else "right"
        if side == "center" and len(s.names) > 12:
            distance += font  # or it would meet its neighbours
        ax.text(
            at[0] + x * distance,
            at[1] + y * distance,
            name,
            ha=side,
            color=INK,
            fontsize=font,
            zorder=6,
            va="center_baseline" if abs(y) < 0.9 else "bottom" if y > 0 else "top",
            parse_math=False,
        )


def _draw_key(figure: Any, s: Snapshot) -> None:
    """Colour bars of p and reputation, then what shapes, rings and dashes mean."""
    mpl, line = load_matplotlib(), load_matplotlib().lines.Line2D
    for left, label, colors, low in ((0.12, "p", p_colors(), 0), (0.66, "reputation (rim)", "viridis", -1)):
        values = mpl.cm.ScalarMappable(mpl.colors.Normalize(low, 1), colors)
        cax = figure.add_axes((left, 0.178, 0.26, 0.016))
        bar = figure.colorbar(values, cax=cax, orientation="horizontal", ticks=np.linspace(low, 1, 5))
        bar.ax.tick_params(labelsize=7, colors=INK, length=2, pad=1.5)
        figure.text(left - 0.012, 0.186, label, fontsize=8, ha="right", va="center", color=INK)
    marks: list[tuple[Any, ...]] = [(m, c, c, name) for name, (m, c) in _styles(s.archetypes).items()]
    marks += [((6, 2, 0), FROST, FROST, "frozen"), ("o", RED, "white", "quarantined")]
    handles = [
        line([], [], marker=m, color=c, mfc=face, label=word, linestyle="none", markersize=7)
        for m, c, face, word in marks
    ]
    handles += [line([], [], color="#555555", linestyle=dash, label=word) for word, dash in DASHES.items()]
    legend = figure.legend(
        handles=handles,
        ncols=-(-len(handles) // 3),
        bbox_to_anchor=(0.5, 0.09),
        loc="center",
        fontsize=7.5,
        labelcolor=INK,
        frameon=False,
        handletextpad=0.6,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def draw_rgb(snapshot: Snapshot, width: int = 640, height: int = 640) -> NDArray[np.uint8]:
    """(height, width, 3) picture of the market; equal snapshots give equal pixels.

    A marker's shape and colour are the archetype, its area the resources, its rim the reputation; arrows run
    from initiator to counterparty in the colour of p. Raises ValueError for a side outside 64..8192 pixels,
    ImportError without matplotlib.
    """
    if not (64 <= width <= 8192 and 64 <= height <= 8192):
        raise ValueError(f"draw_rgb: width and height must be in 64..8192 pixels, not {width} x {height}")
    s, mpl, dpi = snapshot, load_matplotlib(), min(width, height) / 6.4  # laid out for 6.4 inches, scaled
    figure = mpl.figure.Figure(((width + 0.01) / dpi, (height + 0.01) / dpi), dpi=dpi, facecolor="white")
    canvas = mpl.backends.backend_agg.FigureCanvasAgg(figure)
    wide, high, font = 0.98 * width / dpi * 72, 0.715 * height / dpi * 72, 8.0 if len(s.names) <= 12 else 7.0
    ax = figure.add_axes((0.01, 0.21, 0.98, 0.715), xlim=(-wide / 2, wide / 2), ylim=(-high / 2, high / 2))
    ax.axis("off")
    xy, radius, rim = _layout(s, wide, high, font)
    contacts = np.zeros((0, 2), int) if s.contacts is None else np.asarray(s.contacts)
    shown = contacts[:: max(1, -(-len(contacts) // MAX_CONTACTS))]
    faint = {"colors": FAINT, "linewidths": 0.4, "alpha": min(0.5, 8 / (len(shown) + 1) ** 0.5), "zorder": 1}
    ax.add_collection(mpl.collections.LineCollection(list(xy[shown]), **faint), autolim=False)
    _draw_deals(ax, s, xy, radius + 2 + 3 * rim * np.asarray(s.quarantined))
    _draw_agents(ax, s, xy, radius, rim)
    if len(s.names) <= MAX_LABELS:
        _draw_names(ax, s, xy, radius + 5 * rim, font)
    _draw_key(figure, s)
    title = s.scenario_id if len(s.scenario_id) <= 52 else s.scenario_id[:49] + "..."
    when = f"epoch {s.epoch} of {s.num_epochs}, step {s.step} of {s.steps_per_epoch}"
    when += f" ({len(shown)} of {len(contacts)} contacts drawn)" if len(shown) < len(contacts) else ""
    note = (
        f"running toxicity {number(s.toxicity)}    mean p {number(s.mean_p)}    "
        f"{len(s.deals)} dealings    {len(s.names)} agents, {np.sum(s.frozen)} frozen, "
        f"{np.sum(s.quarantined)} quarantined"
    )
    for at, words, size in ((0.974, title, 12.0), (0.94, when, 9.5), (0.018, note, 8.0)):
        figure.text(0.5, at, words, fontsize=size, ha="center", va="center", color=INK, parse_math=False)
    canvas.draw()
    return np.array(canvas.buffer_rgba(), np.uint8)[..., :3].copy()
