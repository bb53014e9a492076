"""What an evaluation found, as Python has it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found. `results` is the document of docs/evaluation.md; undefined numbers are NaN."""

    results: dict[str, Any]
    files: tuple[Path, ...] = ()  # written, results.json first

    def summary(self, policy: str, metric: str, scenario: str | None = None) -> dict[str, Any]:
        """The summary's row; scenario: the only one unless given. KeyError if there is none."""
        return self._row("summary", policy, metric, scenario)

    def comparison(self, policy: str, metric: str, scenario: str | None = None) -> dict[str, Any]:
        """The row of the comparison with the baseline; likewise."""
        return self._row("comparisons", policy, metric, scenario)

    def _row(self, table: str, policy: str, metric: str, scenario: str | None) -> dict[str, Any]:
        rows = [row for row in self.results[table] if (row["policy"], row["metric"]) == (policy, metric)]
        rows = [row for row in rows if scenario in (None, row["scenario"])]
        if len(rows) != 1:
            raise KeyError(f"{table}: {len(rows)} rows of {policy}, {metric}, {scenario}")
        found: dict[str, Any] = rows[0]
        return found
