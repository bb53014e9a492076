"""An analysis as text: a table by epoch, a table of summaries, sparklines; "-" is undefined."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from swarm_env.analysis.runs import Analysis, Floats, Run, listed, mean, sd

SPARKS, ASCII_SPARKS = "▁▂▃▄▅▆▇█", "_.:-=+*#"
SPARK_WIDTH = 40  # characters; longer runs are averaged into as many bins


def sparkline(values: Floats, among: Floats | None = None) -> str:
    """A block per value (or bin of a long run) on the scale of `among`; undefined is a gap, flat is level."""
    if len(values) > SPARK_WIDTH:
        values = np.array([mean(part) for part in np.array_split(values, SPARK_WIDTH)])
    scale = values if among is None else among
    low, high = (np.nanmin(scale), np.nanmax(scale)) if np.isfinite(scale).any() else (0.0, 0.0)
    flat = high - low <= 1e-12 * max(abs(low), abs(high))  # rounding is no trend
    heights = np.where(np.isfinite(values), 3.0, np.nan) if flat else (values - low) / (high - low) * 7
    return "".join(" " if np.isnan(height) else SPARKS[round(height)] for height in heights.tolist())


def _spec(series: Sequence[Floats]) -> str:
    """One number format for a metric in all files: some five significant digits, so that points align."""
    largest = float(np.nanmax(np.abs(np.concatenate([np.zeros(1), *series]))))
    if largest and not 1e-3 <= largest < 1e6:
        return "z.3e"
    return f"z.{max(1, 4 - int(np.log10(max(largest, 1))))}f"


def _show(value: float, spec: str) -> str:
    return format(value, spec) if np.isfinite(value) else "-"


class _Column(NamedTuple):
    title: str
    cells: Sequence[str]
    group: str = ""


def _table(columns: Sequence[_Column], keys: int, width: int | None, bold: str) -> list[str]:
    """Lines; columns beyond `width` go on in a further block, which repeats the first `keys` columns."""
    size = [max(map(len, [column.title, *column.cells])) for column in columns]
    todo, lines = list(range(keys, len(columns))), list[str]()
    while todo:
        block = [*range(keys), todo.pop(0)]
        while todo and sum(size[i] + 2 for i in [*block, todo[0]]) - 2 <= (width or sys.maxsize):
            block.append(todo.pop(0))
        spans = [
            (group, sum(size[i] + 2 for i in members) - 2)
            for group, members in groupby(block, key=lambda i: columns[i].group)
        ]
        head = "  ".join(f" {group} "[:span].center(span, "─" if group else " ") for group, span in spans)
        lines += ["", head.rstrip()] if head.strip() else [""]
        for row in zip(*([columns[i].title, *columns[i].cells] for i in block), strict=True):
            cells = [
                cell.ljust(size[i]) if columns[i].title in ("metric", "trend") else cell.rjust(size[i])
                for i, cell in zip(block, row, strict=True)
            ]
            lines.append("  ".join(cells).rstrip())
        title = -1 - len(columns[0].cells)
        lines[title] = bold % lines[title]
    return lines


def _epoch_columns(analysis: Analysis, specs: dict[str, str], tags: list[str]) -> list[_Column]:
    epochs = sorted({epoch for run in analysis.runs for epoch in run.epochs.tolist()})
    columns = [_Column("epoch", [str(epoch) for epoch in epochs])]
    for run, tag, label in zip(analysis.runs, tags, analysis.labels, strict=True):
        for metric, spec in specs.items():
            at = dict.fromkeys(epochs, "")  # stays blank where this file has no such epoch
            values, room = run.values[metric], len(_show(0, spec))
            for epoch, m, s in zip(run.epochs.tolist(), mean(values), sd(values), strict=True):
                between = f" ± {_show(s, spec):>{room}}" if len(run.seeds) > 1 and np.isfinite(m) else ""
                at[epoch] = _show(m, spec) + between
            columns.append(_Column(metric, list(at.values()), f"{tag} {label}" if tag else ""))
    return columns


def _summary_columns(analysis: Analysis, specs: dict[str, str], tags: list[str]) -> list[_Column]:
    rows = []
    for metric, spec in specs.items():
        series = [mean(run.values[metric]) for run in analysis.runs]
        fine = spec if spec.endswith("e") else f"z.{int(spec[2]) + 2}f"
        first = analysis.runs[0].summary(metric).mean
        for i, (run, tag) in enumerate(zip(analysis.runs, tags, strict=True)):
            s = run.summary(metric)
            rows.append(
                (
                    metric,
                    tag,
                    _show(s.mean, spec),
                    _show(s.mean - first, "+" + spec) if i else "",
                    _show(s.sd, spec),
                    _show(s.seed_sd, spec),
                    f"{s.undefined}/{s.rows}",
                    _show(s.slope, "+" + fine),
                    _show(s.change, "+" + spec),
                    sparkline(series[i], np.concatenate(series)),
                )
            )
    titles = ("metric", "file", "mean", "vs [1]", "sd", "seed sd", "undef", "slope", "change", "trend")
    hidden = set() if len(analysis.runs) > 1 else {"file", "vs [1]"}
    hidden |= set() if any(len(run.seeds) > 1 for run in analysis.runs) else {"seed sd"}
    cells = zip(*rows, strict=True)
    return [_Column(title, cell) for title, cell in zip(titles, cells, strict=True) if title not in hidden]


def _heading(run: Run, tag: str) -> str:
    count, seeds = len(run.seeds), listed(map(str, run.seeds), 8)
    seeds = f"seed {seeds}" if count == 1 else f"{count} seeds ({seeds})"
    return f"{tag} {run.scenario_id}: {len(run.epochs)} epochs, {seeds}, {run.path}".lstrip()


def _notes(analysis: Analysis) -> list[str]:
    several, seeds = len(analysis.runs) > 1, any(len(run.seeds) > 1 for run in analysis.runs)
    notes = [
        '"-" is undefined and counts nowhere; undef: undefined of all cells; slope: least squares',
        "per epoch; change: last defined epoch minus first.",
    ]
    notes += ["vs [1]: mean minus that of [1]. The trends of a metric share one scale."] * several
    notes += ["Seeds are averaged within an epoch, ± sample sd; seed sd: sd of the means by seed."] * seeds
    return ["", *notes, *([f"Plot written to {analysis.plot}"] if analysis.plot else [])]


def render_text(analysis: Analysis, width: int | None = None, color: bool = False, encoding: str | None = None) -> str:
    """The analysis as text: the files, a table by epoch, a table of summaries, what the columns mean.

    Tables wider than `width` characters are split into blocks (None: never). What `encoding` (None: that of
    standard output) cannot take is drawn in ASCII. `color` adds terminal codes.
    """
    tags = [f"[{i}]" if len(analysis.runs) > 1 else "" for i, _ in enumerate(analysis.runs, 1)]
    specs = {name: _spec([mean(run.values[name]) for run in analysis.runs]) for name in analysis.metrics}
    bold = "\x1b[1m%s\x1b[0m" if color else "%s"
    lines = [bold % _heading(run, tag) for run, tag in zip(analysis.runs, tags, strict=True)]
    lines += _table(_epoch_columns(analysis, specs, tags), 1, width, bold)
    lines += _table(_summary_columns(analysis, specs, tags), 2 if len(analysis.runs) > 1 else 1, width, bold)
    text = "\n".join(lines + _notes(analysis)) + "\n"
    encoding = encoding or getattr(sys.stdout, "encoding", None) or "ascii"
    try:
        ("─±" + SPARKS).encode(encoding)
    except (UnicodeEncodeError, LookupError):
        encoding, text = "ascii", text.translate(str.maketrans("─±" + SPARKS, "-~" + ASCII_SPARKS))
    return text.encode(encoding, "replace").decode(encoding)
