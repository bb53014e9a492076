"""What `swarm analyze` does: read metrics CSVs, summarise metrics over epochs, set files side by side, plot.

A CSV has one row per seed and epoch: `scenario_id,seed,epoch`, then a column per metric, an empty cell where
the metric is undefined. Undefined is shown as "-" and never counts as 0; seeds are averaged within an epoch.
"""

import csv
import difflib
import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from swarm_env.render import load_matplotlib

Floats = NDArray[np.float64]
DEFAULT_METRICS = ("toxicity_rate", "quality_gap", "spread")
KEYS = ("scenario_id", "seed", "epoch")
SPARKS, ASCII_SPARKS = "▁▂▃▄▅▆▇█", "_.:-=+*#"
SPARK_WIDTH = 40  # characters; longer runs are averaged into as many bins
# Okabe-Ito without its yellow, which is lost on white; dashes differ as well.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
DASHES = ("-", "--", "-.", ":")
UNITS = {
    r"gini|^cv_|^quality": "",
    "payoff_variance": " [payoff²]",
    "log_loss": " [nats]",
    r"welfare|payoff|cost|^spread$|conditional_loss": " [payoff]",
}


class AnalysisError(ValueError):
    """Something given to `analyze` is wrong; the message is one line saying what, where and what is there."""


class Summary(NamedTuple):
    """One metric of one file. Statistics are over defined epochs; NaN where too few are defined."""

    mean: float
    sd: float  # sample sd over epochs, of the means over seeds
    seed_sd: float  # sample sd over seeds, of the means over epochs
    undefined: int  # of the `rows` cells
    rows: int
    slope: float  # least squares, per epoch
    change: float  # last defined epoch minus first


@dataclass(frozen=True, eq=False)
class Run:
    """One metrics CSV; S seeds, E epochs."""

    path: Path
    scenario_id: str
    seeds: tuple[int, ...]  # S
    epochs: NDArray[np.int64]  # (E,) ascending
    present: NDArray[np.bool_]  # (S, E) whether the file has this row
    values: dict[str, Floats]  # metric -> (S, E), NaN where undefined or absent

    def summary(self, metric: str) -> Summary:
        """Statistics of one metric that was read."""
        values = self.values[metric]
        series = mean(values)
        defined = np.flatnonzero(np.isfinite(series))
        slope = change = float("nan")
        if len(defined) > 1:
            x, y = self.epochs[defined] - self.epochs[defined].mean(), series[defined]
            slope, change = float(x @ (y - y.mean()) / (x @ x)), float(y[-1] - y[0])
        return Summary(
            float(mean(series)),
            float(sd(series)),
            float(sd(mean(values.T))),
            int(np.sum(self.present & np.isnan(values))),
            int(self.present.sum()),
            slope,
            change,
        )


@dataclass(frozen=True, eq=False)
class Analysis:
    """The runs in the order given; differences are to the first."""

    runs: tuple[Run, ...]
    metrics: tuple[str, ...]
    plot: Path | None = None  # written by `analyze`

    @property
    def labels(self) -> tuple[str, ...]:
        """Scenario ids, with the path where two files would read the same."""
        ids = [run.scenario_id for run in self.runs]
        return tuple(
            run.scenario_id if ids.count(run.scenario_id) == 1 else f"{run.scenario_id} {run.path}" for run in self.runs
        )


def mean(values: Floats) -> Floats:
    """Mean of the defined values over the first axis, NaN where there are none."""
    count = np.isfinite(values).sum(axis=0)
    return np.asarray(np.nansum(values, axis=0) / np.where(count > 0, count, np.nan))


def sd(values: Floats) -> Floats:
    """Sample sd of the defined values over the first axis, NaN where there are fewer than two."""
    count, squares = np.isfinite(values).sum(axis=0), np.nansum((values - mean(values)) ** 2, axis=0)
    return np.asarray(np.sqrt(squares / np.where(count > 1, count - 1, np.nan)))


def _listed(names: Iterable[str], limit: int = 60) -> str:
    names = list(names)
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def _nearby(folder: Path) -> str:
    if not folder.is_dir():
        return f"there is no folder {folder}"
    found = sorted(path.name for path in folder.glob("*_metrics.csv"))
    return f"metrics files in {folder}: {_listed(found)}" if found else f"no *_metrics.csv lies in {folder}"


def _lines(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Header, and (line number, cells) of every row, each as long as the header."""
    if path.is_dir():
        raise AnalysisError(f"{path}: is a directory, not a metrics CSV; {_nearby(path)}")
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            lines = [(reader.line_num, cells) for cells in reader if cells]
    except FileNotFoundError:
        raise AnalysisError(f"{path}: no such file; {_nearby(path.parent)}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise AnalysisError(f"{path}: cannot be read as UTF-8 CSV: {error}") from error
    if not lines:
        raise AnalysisError(f"{path}: is empty; a metrics CSV starts with {','.join(KEYS)}")
    header, rows = [cell.strip() for cell in lines[0][1]], lines[1:]
    for name in ("epoch", "seed", "scenario_id", *header):
        if header.count(name) != 1:
            wrong = f"no column {name!r} among" if name not in header else f"column {name!r} stands twice in"
            raise AnalysisError(f"{path}: not a metrics CSV: {wrong} {_listed(map(repr, header), 8)}")
    for line, cells in rows:
        if len(cells) != len(header):
            raise AnalysisError(f"{path}, line {line}: {len(cells)} cells, but the header has {len(header)}")
    if not rows:
        raise AnalysisError(f"{path}: has a header but no epochs")
    return header, rows


def _cell(path: Path, line: int, column: str, text: str) -> float:
    whole, limit = column in KEYS, 2**53 if column == "epoch" else float("inf")
    try:
        value = int(text) if whole else float(text.strip() or "nan")
    except ValueError:
        value = limit
    if abs(value) >= limit:
        kind = "a whole number" if whole else "a finite number (or empty, if undefined)"
        raise AnalysisError(f"{path}, line {line}, column {column}: {text!r} is not {kind}")
    return value


def _read(path: Path, metrics: Sequence[str]) -> Run:
    header, rows = _lines(path)
    there = [name for name in header if name not in KEYS]
    for name in metrics:
        if name not in there:
            near = difflib.get_close_matches(name, there, n=3)
            hint = f"nearest: {_listed(near)}; " if near else ""
            raise AnalysisError(f"{path}: no metric {name!r}; {hint}there are: {_listed(there) or 'none'}")
    at = {name: i for i, name in enumerate(header)}
    ids = {cells[at["scenario_id"]] for _, cells in rows}
    if len(ids) > 1:
        raise AnalysisError(f"{path}: holds several scenarios: {_listed(map(repr, sorted(ids)), 8)}")
    seed_of, epoch_of = (
        [int(_cell(path, line, key, cells[at[key]])) for line, cells in rows] for key in ("seed", "epoch")
    )
    seeds, epochs = tuple(dict.fromkeys(seed_of)), np.unique(np.array(epoch_of, np.int64))
    present = np.zeros((len(seeds), len(epochs)), bool)
    values = {name: np.full(present.shape, np.nan) for name in metrics}
    place = {seed: i for i, seed in enumerate(seeds)}
    for (line, cells), seed, epoch in zip(rows, seed_of, epoch_of, strict=True):
        cell = place[seed], int(np.searchsorted(epochs, epoch))
        if present[cell]:
            raise AnalysisError(f"{path}, line {line}: epoch {epoch} of seed {seed} stands twice")
        present[cell] = True
        for name in metrics:
            values[name][cell] = _cell(path, line, name, cells[at[name]])
    scenario = "".join(c if c.isprintable() else "?" for c in ids.pop())  # it goes to a terminal
    return Run(path, scenario, seeds, epochs, present, values)


def analyze(
    paths: str | Path | Sequence[str | Path],
    metrics: str | Sequence[str] | None = None,
    plot: str | Path | None = None,
) -> Analysis:
    """Read metrics CSVs and, with `plot`, draw them. Raises AnalysisError.

    metrics: names, or one text "a,b,c"; DEFAULT_METRICS if None. plot: file to write, its suffix a format.
    """
    files = [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    metrics = DEFAULT_METRICS if metrics is None else metrics
    names = metrics.split(",") if isinstance(metrics, str) else metrics
    chosen = tuple(dict.fromkeys(name.strip() for name in names if name.strip()))
    if not files:
        raise AnalysisError("no metrics file given")
    if not chosen:
        raise AnalysisError(f"no metric given: {metrics!r} names none")
    target = None if plot is None else _target(Path(plot))  # before reading, to fail at once
    analysis = Analysis(tuple(_read(path, chosen) for path in files), chosen, target)
    if target is not None:
        _plot(analysis, target)
    return analysis


# ---- text ----


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
    count, seeds = len(run.seeds), _listed(map(str, run.seeds), 8)
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


# ---- plot ----


def _target(path: Path) -> Path:
    """The plot's path, if matplotlib is here and can write there."""
    try:
        formats = load_matplotlib().backends.backend_agg.FigureCanvasAgg.get_supported_filetypes()
    except ImportError as error:
        raise AnalysisError(f"cannot plot to {path}: {error}") from error
    if path.suffix[1:].lower() not in formats:
        known = _listed("." + suffix for suffix in sorted(formats))
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


def _plot(analysis: Analysis, path: Path) -> None:
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
