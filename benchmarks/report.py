"""docs/performance.md from results.json: the tables between its markers, and nothing that is not in the results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import cost_tables
from benchmarks.bars import BARS
from benchmarks.figures import Figures
from benchmarks.plan import SPREAD_ROWS
from benchmarks.text_table import markdown

VERSION = 1  #: of results.json
PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
NONE = "-"  #: in a table, what was not measured


def number(value: float | None, digits: int | None = None) -> str:
    """For a table: whole from 100 on, else three figures; "-" for what was not measured."""
    if value is None:
        return NONE
    if digits is None:
        digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def about(figures: Figures) -> str:
    """When, on what, with which versions."""
    results = figures.results
    machine, settings = results["machine"], results["settings"]
    share = figures.share("grid7")
    got = "" if share is None else f" While threads were compared, one-thread work got {share:.0%} of a core."
    note = f"**{results['note']}**\n\n" if results.get("note") else ""
    versions = ", ".join(f"{name} {version}" for name, version in results["packages"].items() if version)
    return (
        f"Measured {results['date']} on {machine['kind']} ({machine['processor']}); load average "
        f"{' before, '.join(results['load'])} after. {settings['rounds']} rounds of {settings['seconds']:g} s each."
        f"{got}\n\n{note}"
        f"Versions: {versions}."
    )


def bars(figures: Figures) -> str:
    """Every bar, its number, and whether it is met."""
    verdict = {True: "met", False: "**not met**", None: "not measured"}
    rows = [
        (
            bar.text,
            f"{'<=' if bar.at_most else '>='} {number(bar.target)} {bar.unit}".strip(),
            number(bar.value(figures)),
            "not judged: busy machine" if bar.busy(figures) else verdict[bar.met(figures)],
            bar.note,
        )
        for bar in BARS
    ]
    return markdown(("bar", "demanded", "measured", "", "note"), rows)


def speed(figures: Figures, ids: Sequence[str], base: str) -> str:
    """A table of contenders: rates by processor time, their range, by wall time, and how far `base` is ahead."""
    rows = []
    for id in ids:
        record, rates = figures.records.get(id), figures.rates(id)
        if record is None:
            continue
        span = f"{number(min(rates))}..{number(max(rates))}" if rates else NONE
        agents = max(1, record["agents"])
        rate = figures.rate(id)
        env_steps = number(None if rate is None else rate / agents)
        lead = number(figures.ratio(base, id)) if id != base else "1"
        rows.append((record["label"], env_steps, number(rate), span, number(figures.rate(id, "wall")), lead))
    first = figures.records[base]["label"] if base in figures.records else base
    columns = ("", "env-steps/s", "agent-steps/s", "range", "by wall time", "first is faster by")
    return f"Against: {first}.\n\n" + markdown(columns, rows)


def _group(figures: Figures, group: str) -> list[str]:
    return [id for id in figures.records if id.startswith(f"{group}/")]


def market(figures: Figures) -> str:
    """PettingZoo environments and SWARM, against our vectorised environment, and ours against the bridge."""
    ids = sorted(_group(figures, "market"), key=lambda id: -(figures.rate(id) or 0))
    parallel = [
        (figures.records[id]["label"], number(figures.ratio(id, "market/bridge")))
        for id in ids
        if figures.records[id]["run"].startswith("market_runs")
    ]
    beside = markdown(("agent-steps/s against SWARM's bridge", "times"), parallel)
    return speed(figures, ids, "market/batch") + "\n\n" + beside


def spread(figures: Figures) -> str:
    """Ours beside VMAS, JaxMARL and MPE2."""
    parts = []
    for agents in (3, 8):
        group = f"spread{agents}"
        parts.append(speed(figures, _group(figures, group), f"{group}/ours_4096"))
        leads = [
            (f"{rows:,} rows", number(figures.ratio(f"{group}/ours_{rows}", f"{group}/vmas_{rows}")))
            for rows in SPREAD_ROWS
        ]
        parts.append(markdown((f"{agents} agents: lead over VMAS at equal rows", "times"), leads))
    return "\n\n".join(parts)


def learning(figures: Figures) -> str:
    """Stable-Baselines3 over our batch, and over SuperSuit's copies."""
    return speed(figures, _group(figures, "learning"), "learning/vecenv")


def missing(figures: Figures) -> str:
    """What failed, was skipped or is not there, and why."""
    rows = [(each["label"], each["status"], each["reason"]) for each in figures.records.values() if each["reason"]]
    return markdown(("", "", "reason"), rows) if rows else "Nothing: all that was planned was measured."


SECTIONS: dict[str, Callable[[Figures], str]] = {
    "about": about,
    "bars": bars,
    "market": market,
    "spread": spread,
    "learning": learning,
    "agents": cost_tables.agents,
    "large": cost_tables.large,
    "threads": cost_tables.threads,
    "epochs": cost_tables.epochs,
    "phases": cost_tables.phases,
    "limits": cost_tables.limits,
    "missing": missing,
}


def render(text: str, results: Mapping[str, Any]) -> str:
    """The page with every section's tables between its markers; the prose stays.

    Raises:
        ValueError: results of another version, or a page without some section's markers.
    """
    if results["version"] != VERSION:
        raise ValueError(f"results.json is of version {results['version']}; this renders version {VERSION}")
    figures = Figures(results)
    for name, section in SECTIONS.items():
        start, end = f"<!-- bench: {name} -->", f"<!-- end: {name} -->"
        before, found, rest = text.partition(start)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise ValueError(f"docs/{PAGE.name} has no markers {start} and {end}")
        text = f"{before}{start}\n\n{section(figures)}\n\n{end}{after}"
    return text


def write(results: Mapping[str, Any]) -> None:
    """Put the tables into docs/performance.md."""
    text = render(PAGE.read_text(encoding="utf-8"), results)
    partial = PAGE.with_suffix(".md.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(PAGE)
    print(f"wrote docs/{PAGE.name}")


def listing(measurements: Sequence[Mapping[str, Any]]) -> str:
    """All rates as a table, for the terminal."""
    figures = Figures({"measurements": measurements})
    rows = [
        (each["id"], number(figures.rate(each["id"])), number(figures.rate(each["id"], "wall")), each["reason"] or "")
        for each in measurements
    ]
    return "\n" + markdown(("", "a CPU second", "a second", ""), rows)
