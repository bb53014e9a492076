"""How cost grows, where it goes, and how far it is from what the machine could do."""

from __future__ import annotations

from benchmarks.bars import epochs_around
from benchmarks.figures import Figures
from benchmarks.plan import AGENTS, LARGE, ROWS
from benchmarks.text_table import markdown

WRITE_BACK = 2  #: state is read and written


def _cell(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _nanoseconds(figures: Figures, id: str) -> float | None:
    rate = figures.rate(id)
    return None if rate is None else 1e9 / rate


def agents(figures: Figures) -> str:
    """Nanoseconds of processor time an agent-step, by agents and rows, one thread."""
    shared = (f"{rows:,} rows" for rows in ROWS[1:])
    columns = ("agents", "1 row", *shared, "complete graph, 1 row", "scripted, 32 rows", "may propose")
    rows = []
    for number in AGENTS:
        names = (*(f"{count}x1" for count in ROWS), "complete", "scripted")
        awake = figures.fact(f"grid{number}/32x1", "may_propose")
        cells = (_cell(_nanoseconds(figures, f"grid{number}/{name}")) for name in names)
        rows.append((f"{number:,}", *cells, "-" if awake is None else f"{awake:.0%}"))
    return markdown(columns, rows)


def threads(figures: Figures) -> str:
    """What a second thread gains, by wall time and what it costs in processor time."""
    columns = ("agents", *(f"{rows:,} rows" for rows in ROWS[1:]))
    rows = []
    for number in AGENTS:
        cells = []
        for count in ROWS[1:]:
            two, one = f"grid{number}/{count}x2", f"grid{number}/{count}x1"
            gain, work = figures.ratio(two, one, "wall"), figures.ratio(one, two)
            cells.append(f"{_cell(gain, 2)} ({_cell(work, 2)})")
        rows.append((f"{number:,}", *cells))
    return markdown(columns, rows)


def epochs(figures: Figures) -> str:
    """What an agent-step costs early and late in one long episode."""
    first, awake = figures.part("limits/epochs", epochs_around(10)), figures.fact("limits/epochs", "may_propose")
    rows = []
    for epoch in (1, 10, 50, 98):
        names = epochs_around(epoch)
        value = figures.part("limits/epochs", names)
        label = f"{names[0]}-{names[-1]}" if len(names) > 1 else names[0]
        against = None if value is None or first is None else value / first
        share = None if awake is None else sum(awake[name] for name in names) / len(names)
        rows.append(
            (
                label,
                _cell(None if value is None else value * 1e9),
                _cell(against, 2),
                "-" if share is None else f"{share:.0%}",
            )
        )
    return markdown(("epochs", "ns an agent-step", "against 8-12", "agents that may propose"), rows)


def phases(figures: Figures) -> str:
    """What each phase of a step adds."""
    id, before, rows = "limits/phases", 0.0, []
    names = figures.parts(id)
    whole = figures.part(id, names[-1:]) if names else None
    for name in names:
        until = figures.part(id, [name])
        assert until is not None
        assert whole is not None
        rows.append((name, _cell((until - before) * 1e9), f"{(until - before) / whole:.0%}"))
        before = until
    return markdown(("phase", "ns an agent-step", "share"), rows)


def limits(figures: Figures) -> str:
    """Bytes of an agent-step against the memory's bandwidth, and writing what is shown against the whole."""
    id = "limits/batch"
    took, bandwidth, show = (figures.rate(name) for name in (id, "limits/triad", "limits/show"))
    sizes = [figures.fact(id, name) for name in ("state_bytes", "shown_bytes", "action_bytes")]
    if took is None or bandwidth is None or None in sizes:
        return "Not measured."
    state, shown, chosen = (float(size or 0) / figures.records[id]["agents"] for size in sizes)
    moved = WRITE_BACK * state + shown + chosen
    memory = bandwidth / moved
    rows = [
        ("state, a row's share of one agent", f"{state:,.0f} B"),
        ("observation and mask", f"{shown:,.0f} B"),
        ("actions", f"{chosen:,.0f} B"),
        ("moved in a step, were all state read and written once", f"{moved:,.0f} B"),
        ("memory bandwidth, triad on one thread", f"{bandwidth / 1e9:,.1f} GB/s"),
        ("agent-steps/s at that bandwidth", f"{memory:,.0f}"),
        ("agent-steps/s, observations and masks written and nothing else", _cell(show)),
        ("agent-steps/s, measured", f"{took:,.0f}"),
        ("share of the memory limit", f"{took / memory:.0%}"),
        ("share of the writing limit", "-" if show is None else f"{took / show:.0%}"),
    ]
    return markdown(("7 agents, 4,096 rows, all rules, one thread", ""), rows)


def large(figures: Figures) -> str:
    """Markets of up to 100,000 agents: what an agent-step costs against seven agents many times, and what it takes."""
    rows = []
    for number in (7, *LARGE):
        id = f"large/{number}"
        state, shown, contacts, peak = (
            figures.fact(id, name) for name in ("state_bytes", "shown_bytes", "contacts", "peak_bytes")
        )
        rows.append(
            (
                f"{number:,}",
                "-" if contacts is None else f"{contacts / number:.1f}",
                _cell(figures.rate(id)),
                _cell(_nanoseconds(figures, id)),
                _cell(figures.ratio("large/7", id), 2),
                _cell(None if state is None else state / number),
                _cell(None if shown is None else shown / number),
                _cell(None if peak is None else peak / 2**20),
            )
        )
    columns = (
        "agents", "contacts an agent", "agent-steps/s", "ns an agent-step", "times that of 7", "state, bytes an agent",
        "shown, bytes an agent", "process at its peak, MiB",
    )  # fmt: skip
    return markdown(columns, rows)
