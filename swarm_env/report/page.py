"""The page: tables, data, script and style in one file that asks the network for nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path

from swarm_env.recording import Whole
from swarm_env.report import tables
from swarm_env.report.content import page_data
from swarm_env.report.evaluation import check, read_training
from swarm_env.report.markup import embed, escape, listing, sha256
from swarm_env.report.series import collect
from swarm_env.report.sources import ReportError, find

SCRIPTS = ("dom.js", "chart.js", "figures.js", "spread.js", "timeline.js", "log.js", "stage.js", "player.js", "main.js")
ROOM = 500_000  #: events that the player holds unless told otherwise


@cache
def asset(name: str) -> str:
    """A file of the package's."""
    return files("swarm_env.report").joinpath("assets", name).read_text(encoding="utf-8")


def report(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str] = "report.html",
    *,
    title: str | None = None,
    room: int = ROOM,
) -> Path:
    """Write one self-contained HTML file about runs, evaluations and training runs; the path it has.

    Args:
        paths: event logs, metrics CSVs, evaluation JSONs, training folders, folders of these.
        out: the file to write, .html; it appears whole or not at all.
        title: of the page; None: what it shows.
        room: events that the episode player may hold; episodes beyond are named, and only in tables and figures.

    Raises:
        ReportError: nothing to show, a file that is none of these or broken (with its line), an `out` that would
            overwrite what was read.
        RecordingError: `out` cannot be written.
    """
    target = Path(out)
    given = [Path(path) for path in ([paths] if isinstance(paths, str | os.PathLike) else paths)]
    if target.suffix.lower() not in (".html", ".htm"):
        raise ReportError(f"--out {target}: a report is HTML; allowed is a name that ends in .html")
    if target.is_dir():
        raise ReportError(f"--out {target}: is a folder; allowed is the name of a file")
    if room < 0:
        raise ReportError(f"--player-events {room}: allowed is 0 or more")
    text = render(given, title, room)
    with Whole(target) as file:
        file.write(text)
    return target


def render(given: Sequence[Path], title: str | None = None, room: int = ROOM) -> str:
    """The page's text; see `report`."""
    found = find(given)
    series = collect(found)
    evaluations = [check(path, content) for path, content in found.evaluations]
    trainings = [read_training(folder) for folder in found.trainings]
    judged = evaluations + [t.evaluation for t in trainings if t.evaluation is not None]
    data = page_data(series, evaluations, trainings, room)
    labels = [*(one.label for one in series), *(one.label for one in judged), *(one.label for one in trainings)]
    shown = ", ".join(dict.fromkeys(labels))
    left_out = [f"Not in the player for want of room (--player-events): {name}" for name in data["leftOut"]]
    heading = title or (shown if len(shown) <= 80 else f"{shown[:77]}...")
    parts = {
        "runs": tables.of_runs(series) if series else "",
        "criteria": tables.of_criteria(series, evaluations),
        "evaluations": "".join(map(tables.of_evaluation, judged)),
        "metrics": tables.of_metrics(series) + tables.of_differences(series),
        "left_out": listing(left_out) if left_out else "",
    }
    return _fill(heading, parts, embed(data))


def _fill(heading: str, parts: dict[str, str], data: str) -> str:
    """The template with its places filled, each place once: what is put in is never looked at again."""
    from swarm_env import __version__

    script = '"use strict";\n(() => {\n' + "\n".join(asset(name) for name in SCRIPTS) + "\n})();\n"
    style = asset("report.css")
    policy = (
        f"default-src 'none'; script-src {sha256(script)}; style-src {sha256(style)}; img-src blob: data:; "
        "base-uri 'none'; form-action 'none'"
    )
    filled = {
        "policy": escape(policy).replace("&#x27;", "'"),
        "title": escape(heading),
        "written": escape(f"swarm_env {__version__}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
        "style": style,
        "script": script,
        "data": data,
        **parts,
    }
    pieces = asset("page.html").split("{{")
    text = [pieces[0]]
    for piece in pieces[1:]:
        name, rest = piece.split("}}", 1)
        text += [filled[name], rest]
    return "".join(text)
