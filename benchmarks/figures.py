"""Numbers out of results.json: medians, and ratios round by round, in which the machine's drift cancels."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

CLOCKS = ("cpu", "wall")


class Figures:
    """Results, asked by the id of a measurement. What was not measured is None, and so is all that depends on it."""

    def __init__(self, results: Mapping[str, Any]) -> None:
        self.results = results
        self.records: dict[str, Any] = {each["id"]: each for each in results["measurements"]}

    def measured(self, id: str) -> bool:
        """Whether there are repeats of it, all of them."""
        record = self.records.get(id)
        return record is not None and record["status"] == "ok" and bool(record["raw"])

    def rates(self, id: str, clock: str = "cpu") -> list[float]:
        """Units a second, repeat by repeat; empty where nothing was measured."""
        return [raw["count"] / raw[clock] for raw in self.records[id]["raw"]] if self.measured(id) else []

    def rate(self, id: str, clock: str = "cpu") -> float | None:
        """Median units a second of processor time, or of wall time."""
        rates = self.rates(id, clock)
        return median(rates) if rates else None

    def ratio(self, id: str, to: str, clock: str = "cpu") -> float | None:
        """How many times faster `id` is than `to`: the median over rounds of the round's own ratio."""
        pairs = list(zip(self.rates(id, clock), self.rates(to, clock), strict=False))
        return median(one / other for one, other in pairs) if pairs else None

    def share(self, group: str) -> float | None:
        """Median share of a core that one-thread work got while this group was measured: 1 on an idle machine."""
        seen = [
            raw["cpu"] / raw["wall"]
            for id, record in self.records.items()
            if id.startswith(f"{group}/") and self.measured(id) and record["args"].get("threads", 1) == 1
            for raw in record["raw"]
        ]
        return median(seen) if seen else None

    def fact(self, id: str, name: str) -> Any:
        """What a measurement says of itself besides its time."""
        record = self.records.get(id)
        return record["facts"].get(name) if record else None

    def part(self, id: str, names: list[str], clock: str = "cpu") -> float | None:
        """Median over repeats of seconds a unit, in these parts of a repeat together."""
        if not self.measured(id):
            return None
        at = 1 + ("wall", "cpu").index(clock)
        seen = []
        for raw in self.records[id]["raw"]:
            parts = [raw["parts"][name] for name in names if name in raw["parts"]]
            if parts:
                seen.append(sum(part[at] for part in parts) / sum(part[0] for part in parts))
        return median(seen) if seen else None

    def parts(self, id: str) -> list[str]:
        """Names of a measurement's parts, in order."""
        return list(self.records[id]["raw"][0]["parts"]) if self.measured(id) else []
