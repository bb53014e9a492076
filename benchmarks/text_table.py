"""Tables that read well in a terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """An aligned Markdown table: the first column to the left, the others to the right."""
    width = [max(len(row[k]) for row in (columns, *rows)) for k in range(len(columns))]

    def line(cells: Sequence[str]) -> str:
        first = cells[0].ljust(width[0])
        others = (cell.rjust(wide) for cell, wide in zip(cells[1:], width[1:], strict=True))
        return "| " + " | ".join((first, *others)) + " |"

    rule = line(["-" * width[0], *("-" * (wide - 1) + ":" for wide in width[1:])])
    return "\n".join([line(columns), rule, *map(line, rows)])
