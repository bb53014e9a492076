"""What a study says of its seeds: cells with intervals, Markdown tables, and their place in a note."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from swarm_env import statistics
from trainers.checkpoint import write_whole

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"


def cell(values: Iterable[float | None], decimals: int, scale: float = 1.0) -> str:
    """Mean over seeds and its 95 % bootstrap interval; "-" where undefined, and how many seeds where not all are.

    Args:
        values: one a seed; None and NaN are undefined.
        scale: they are multiplied by it first (100 for %).
    """
    given = [math.nan if value is None else scale * value for value in values]
    found = statistics.spread([given])
    if not found.n:
        return "-"
    mean = f"{found.mean:.{decimals}f}"
    interval = "" if math.isnan(found.low) else f" [{found.low:.{decimals}f}, {found.high:.{decimals}f}]"
    return mean + interval + (f" (n={found.n})" if found.undefined else "")


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the first column is text, the others numbers."""
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def insert(note: Path, results: str) -> None:
    """Replace what stands between the two markers of a note; what was written by hand around them stays.

    Raises:
        ValueError: a note without the markers.
    """
    text = note.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{note}: has no place for results, the lines {BEGIN} and {END}")
    write_whole(note, f"{before}{BEGIN}\n{results.rstrip()}\n{END}{after}".encode())
